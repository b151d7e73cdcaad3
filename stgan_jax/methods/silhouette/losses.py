"""The objectives of the silhouette anonymiser: a distance and DCGAN's adversarial terms."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stgan_jax.methods.silhouette.networks import SilhouetteNets
from stgan_jax.methods.stgan import losses as gan
from stgan_jax.training.gradients import Metrics

Fields = Float[Array, "B T S S"]


def discriminator(
    disc: Any, gen: Any, own: Fields, wanted: Fields, noise: Array, nets: SilhouetteNets
) -> tuple[Float[Array, ""], Metrics]:
    """What D_S minimises, and its terms.

    Args:
      disc: parameters of D_S.
      gen: parameters of the generator, which stay.
      own: fields of the source.
      wanted: fields of the other person: real for D_S.
      noise: the other's numbers (B, Z).
      nets: the modules.
    """
    fake = jax.lax.stop_gradient(nets.generate(gen, own, noise))
    both = nets.spatial.apply(disc, jnp.concatenate([wanted, fake]))
    loss = -gan.discriminator_value(*jnp.split(both, 2))
    return loss, {"loss/spatial_disc": loss}


def generator(
    gen: Any,
    disc: Any,
    own: Fields,
    wanted: Fields,
    noise: Array,
    nets: SilhouetteNets,
    adversarial_weight: float,
) -> tuple[Float[Array, ""], Metrics]:
    """What the generator minimises, and its terms; arguments as in `discriminator`.

    The distance is in percent of a field's range.
    """
    drawn = nets.generate(gen, own, noise)
    spatial = gan.adversarial(nets.spatial.apply(disc, drawn), saturating=False)
    field = 100.0 * jnp.mean(jnp.abs(drawn - wanted))
    total = field + adversarial_weight * spatial
    both, either = (drawn > 0) & (wanted > 0), (drawn > 0) | (wanted > 0)
    overlap = jnp.mean(jnp.sum(both, (-2, -1)) / jnp.maximum(jnp.sum(either, (-2, -1)), 1))
    terms = {"loss/gen_spatial": spatial, "loss/gen_field": field}
    return total, {"loss/gen": total, "iou": overlap, **terms}
