"""Training steps of the colour networks and of the silhouette anonymiser, see `steps`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8, UInt8

from stgan_jax import color_losses, losses
from stgan_jax.fields import SIDE, STEPS
from stgan_jax.models import color as models
from stgan_jax.models import silhouette
from stgan_jax.models.retarget import IDENTITY
from stgan_jax.state import Optimizers, TrainState
from stgan_jax.steps import Metrics, Options

CHANNELS = 8  # of an example: x_rgb, pseudo ground truth (3 each), x_bi, own silhouette


@dataclasses.dataclass(frozen=True)
class ColorLoss:
    """What a colour network minimises; see `color_settings.ColorSettings`."""

    target: str = "style"
    radius: int = 2
    center: str = "overlap"
    means: bool = True
    jitter: float = 0.0


def varied(
    key: jax.Array, batch: UInt8[Array, "B S S 8"], jitter: float, options: Options
) -> tuple[Array, Array, Array, Array]:
    """x_rgb, pseudo ground truth, x_bi and own silhouettes in [0, 1], mirrored by half.

    Gains of the colour channels are drawn from 1 - jitter to 1 + jitter, so that clothes and scenes
    of more colours are seen than there are.
    """
    sides, gains = jax.random.split(key)
    count, x = len(batch), batch.astype(jnp.float32) / 255.0
    turn = options.own_share(lambda n: jax.random.bernoulli(sides, 0.5, (n,)), count)
    gain = options.own_share(
        lambda n: jax.random.uniform(gains, (n, 3), minval=1 - jitter, maxval=1 + jitter), count
    )
    x = jnp.where(turn[:, None, None, None], x[:, :, ::-1], x)
    colors, pseudo = (jnp.clip(x[..., i : i + 3] * gain[:, None, None], 0.0, 1.0) for i in (0, 3))
    return colors, pseudo, x[..., 6], x[..., 7]


def color_cost(
    net: models.ColorNet, loss: ColorLoss, params: Any, alpha: Any, *batch: Array
) -> tuple[Float[Array, ""], Metrics]:
    """L_Rec + alpha L_Style (Colour 2020, Eq. 1), or the distance to a pseudo ground truth.

    Args:
      net: the network.
      loss: which of them.
      params: of the network.
      alpha: weight of L_Style.
      batch: as `varied` gives it.
    """
    colors, pseudo, anonymized, own = batch
    made = models.blended(colors, anonymized, *net.apply(params, colors, anonymized))
    if loss.target == "pseudo":
        total = color_losses.reconstruction(pseudo, made, anonymized)
        return total, {"loss/gen": total}
    known = own if loss.center == "overlap" else None
    center, edge = color_losses.regions(anonymized, loss.radius, known)
    terms = {
        "rec": color_losses.reconstruction(colors, made, center),
        "style": color_losses.style(colors, made, center, edge, loss.means),
    }
    total = terms["rec"] + alpha * terms["style"]
    return total, {"loss/gen": total, **{f"loss/gen_{k}": v for k, v in terms.items()}}


def color_step(
    state: TrainState,
    batch: UInt8[Array, "B S S 8"],
    alpha: float | Float[Array, ""],
    *,
    net: models.ColorNet,
    optimizers: Optimizers,
    loss: ColorLoss,
    options: Options,
) -> tuple[TrainState, Metrics]:
    """One update of a colour network.

    Args:
      state: with params "gen".
      batch: see `CHANNELS`.
      alpha: weight of L_Style.
      net: the network.
      optimizers: for "gen".
      loss: what is minimised.
      options: additions; those for discriminators do nothing.
    """
    inputs = varied(state.key(), batch, loss.jitter, options)

    def cost(params, *inputs):
        return color_cost(net, loss, params, alpha, *inputs)

    grads, metrics = options.gradients(cost, state.params["gen"], *inputs, unrolled=True)
    state, norms = state.finished("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}


@dataclasses.dataclass(frozen=True)
class SilhouetteLoss:
    """Weight of the adversarial terms beside the distance, in percent of a field's range."""

    adversarial_weight: float = 0.3


@dataclasses.dataclass(frozen=True)
class SilhouetteNets:
    """The modules, see `models.silhouette`; `temporal` is None where there is no D_T."""

    encoder: silhouette.Encoder
    decoder: silhouette.Decoder
    spatial: silhouette.Discriminator
    temporal: silhouette.Discriminator | None

    def init(self, key: jax.Array, people: dict[str, Any], frames: int, side: int) -> dict:
        """Parameters by name; `people` are "mean" and "scale" of identities' numbers."""
        keys = jax.random.split(key, 4)
        field = jnp.zeros((1, frames, side, side))
        noise = jnp.zeros((1, len(people["mean"])))
        gen = {
            "encoder": self.encoder.init(keys[0], field[0]),
            "decoder": self.decoder.init(keys[1], jnp.zeros((1, self.encoder.size)), noise),
        }
        params = {
            "gen": gen,
            "people": jax.tree.map(jnp.asarray, people),
            "spatial_disc": self.spatial.init(keys[2], field),
        }
        if self.temporal is not None:
            params["temporal_disc"] = self.temporal.init(keys[3], field)
        return params

    def discs(self) -> dict[str, silhouette.Discriminator]:
        """Those that there are, by the names of their terms."""
        return {"spatial": self.spatial} | ({"temporal": self.temporal} if self.temporal else {})

    def made(
        self, gen: Any, field: Float[Array, "B T S S"], noise: Float[Array, "B Z"]
    ) -> Float[Array, "B T S S"]:
        """Other people's fields in the pose of those given, one noise a walk."""
        frames = field.shape[1]
        code = self.encoder.apply(gen["encoder"], field.reshape(-1, *field.shape[2:]))
        every = jnp.repeat(noise, frames, 0)
        return self.decoder.apply(gen["decoder"], code, every).reshape(field.shape)


def packed(
    own: Int8[np.ndarray, "T 80 80"], wanted: Int8[np.ndarray, "T 80 80"], person: np.ndarray
) -> Int8[np.ndarray, " N"]:
    """An example: one walk's fields, those wanted, and the wanted person's numbers.

    The numbers, of about unit variance, are cut off at 4 and rounded to 1/32.
    """
    number = np.rint(np.clip(person, -4.0, 4.0) * (STEPS / 4.0)).astype(np.int8)
    return np.concatenate([own.ravel(), wanted.ravel(), number])


def unpacked(rows: Int8[Array, "B N"]) -> tuple[Array, Array, Array]:
    """The inverse: fields (B, T, 80, 80) in [-1, 1], twice, and numbers (B, Z)."""
    x = rows.astype(jnp.float32) / STEPS
    frames = (rows.shape[1] - IDENTITY) // (2 * SIDE * SIDE)
    fields = x[:, : 2 * frames * SIDE * SIDE].reshape(len(x), 2, frames, SIDE, SIDE)
    return fields[:, 0], fields[:, 1], 4.0 * x[:, fields[0].size :]


def silhouette_step(
    state: TrainState,
    batch: Int8[Array, "B N"],
    *,
    nets: SilhouetteNets,
    optimizers: Optimizers,
    loss: SilhouetteLoss,
    options: Options,
) -> tuple[TrainState, Metrics]:
    """One alternation of discriminators and generator.

    Args:
      state: as `SilhouetteNets.init` and `TrainState.create` make it.
      batch: see `packed`.
      nets: the modules.
      optimizers: for "gen", "spatial_disc" and, where it is, "temporal_disc".
      loss: weights.
      options: additions; `disc_steps` and `r1` do nothing.
    """
    own, wanted, noise = unpacked(batch)

    def disc_cost(params, own, wanted, noise):
        fake = jax.lax.stop_gradient(nets.made(state.params["gen"], own, noise))
        total: Array = jnp.zeros(())
        seen: Metrics = {}
        for name, disc in nets.discs().items():
            both = disc.apply(params[f"{name}_disc"], jnp.concatenate([wanted, fake]))
            real, false = jnp.split(both, 2)
            value = losses.discriminator_value(real, false, options.real_label)
            total, seen[f"loss/{name}_disc"] = total - value, -value
        return total, seen

    def gen_cost(params, own, wanted, noise):
        made = nets.made(params, own, noise)
        terms = {
            name: losses.adversarial(disc.apply(state.params[f"{name}_disc"], made), False)
            for name, disc in nets.discs().items()
        }
        adversarial = sum(terms.values(), start=jnp.zeros(()))
        terms["field"] = 100.0 * jnp.mean(jnp.abs(made - wanted))
        total = terms["field"] + loss.adversarial_weight * adversarial
        both, either = (made > 0) & (wanted > 0), (made > 0) | (wanted > 0)
        overlap = jnp.mean(jnp.sum(both, (-2, -1)) / jnp.maximum(jnp.sum(either, (-2, -1)), 1))
        named = {f"loss/gen_{k}": v for k, v in terms.items()}
        return total, {"loss/gen": total, "iou": overlap, **named}

    metrics: Metrics = {}
    norms: Metrics = {}
    if loss.adversarial_weight:
        judges = {f"{name}_disc": state.params[f"{name}_disc"] for name in nets.discs()}
        grads, metrics = options.gradients(disc_cost, judges, own, wanted, noise)
        state, norms = state.updated(grads, optimizers)
    grads, seen = options.gradients(gen_cost, state.params["gen"], own, wanted, noise)
    state, more = state.finished("gen", grads, optimizers, options.ema)
    return state, {**metrics, **seen, **norms, **more}
