"""ST-GAN's training step: (state, batch, alpha) -> (state, metrics), to be compiled by the caller.

It serves one device, a mesh, or one device of many under pmap. Randomness is a function of
(seed, step) and of the whole batch, so that the number of devices does not change it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stgan_jax.data.batches import GaitPairs, Gaits
from stgan_jax.methods.stgan import losses
from stgan_jax.methods.stgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator
from stgan_jax.shapes import contour
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState, inference_params


@dataclasses.dataclass(frozen=True)
class StganNets:
    """ST-GAN's modules (3.4) and its noise.

    Attributes:
      gen: G.
      spatial_disc: D_S.
      temporal_disc: D_T.
      noise: where Z-hat comes from, one of the classes in `noise_step`.
    """

    gen: Generator
    spatial_disc: SpatialDiscriminator
    temporal_disc: TemporalDiscriminator
    noise: Any

    def init(self, key: jax.Array, noise_params: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name, for sequences of `frames`, with the noise GAN's as they are."""
        keys = jax.random.split(key, 3)
        contours = jnp.zeros((1, frames, contour.DIM))
        return {
            "gen": self.gen.init(keys[0], contours, contours[:, 0]),
            "spatial_disc": self.spatial_disc.init(keys[1], contours),
            "temporal_disc": self.temporal_disc.init(keys[2], contours),
            **self.noise.frozen(noise_params),
        }

    def anonymize(
        self,
        params: dict[str, Any],
        contours: Float[Array, "B T 4000"],
        noise: Float[Array, "B 4000"] | Float[Array, "B T 4000"],
    ) -> Float[Array, "B T 4000"]:
        """Anonymised contours in [0, 1], by G's weights for inference."""
        return self.gen.apply(inference_params(params), contours, noise)


def discriminator_loss(
    disc: Callable, params: Any, real: Array, fake: Array, name: str, options: StepOptions
) -> tuple[Float[Array, ""], Metrics]:
    """What a discriminator minimises: minus its value (Eqs. 2, 3), plus the penalty; metrics.

    Args:
      disc: (params, real, fake) -> logits of both, one after the other.
      params: the discriminator's parameters.
      real: original gaits.
      fake: generated gaits.
      name: what metrics call it.
      options: additions.
    """
    real_logits, fake_logits = jnp.split(disc(params, real, fake), 2)
    value = losses.discriminator_value(real_logits, fake_logits)
    return options.penalty(disc, params, real) - value, {
        f"loss/{name}_disc": -value,
        f"accuracy/{name}_real": jnp.mean(real_logits > 0, dtype=jnp.float32),
        f"accuracy/{name}_fake": jnp.mean(fake_logits < 0, dtype=jnp.float32),
    }


def _run_once(gen: Callable, params: Any, real: Array, noise: Array) -> Callable:
    """Runs G once; the returned function replays its output and VJP for the same arguments.

    So both halves of a step share one forward pass.
    """
    fake, pull = jax.vjp(lambda params: gen(params, real, noise), params)
    replay = jax.custom_vjp(lambda params: fake)
    replay.defvjp(lambda params: (fake, None), lambda _, change: pull(change))
    return lambda params, real, noise: replay(params)


def stgan_step(
    state: TrainState,
    batch: Gaits | GaitPairs,
    alpha: float | Float[Array, ""],
    *,
    nets: StganNets,
    optimizers: Optimizers,
    loss: losses.StganLoss,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One alternation of ST-GAN: D_S and D_T (Eqs. 2, 3) with G fixed, then G (Eq. 8).

    Both halves share G's forward pass, unless a batch is split into slices: kept for all of them,
    its result would take the memory that slices save.

    Args:
      state: as `StganNets.init` and `TrainState.create` make it.
      batch: the original gaits Y (B, T, 4000), fixed-point, in pairs with noise gaits if
        `nets.noise` is `GaitNoise`.
      alpha: weight of the perturbation loss, >= 0; traced, so that other values do not recompile.
      nets: the modules.
      optimizers: for "gen", "spatial_disc" and "temporal_disc".
      loss: which form of the losses.
      options: additions.
    """
    real, noise = batch.unit()
    if noise is None:
        noise = jax.lax.stop_gradient(
            options.own_share(
                lambda count: nets.noise.sample(state.params, state.key(), count), len(real)
            )
        )
    discs = {"spatial": nets.spatial_disc.apply, "temporal": nets.temporal_disc.apply}
    frozen = state.params["gen"]
    gen: Callable = nets.gen.apply
    if options.accumulate == 1:
        gen = _run_once(gen, frozen, real, noise)

    def disc_loss(params, real, noise):
        fake = gen(frozen, real, noise)
        total: Array = jnp.zeros(())
        metrics: Metrics = {}
        for name, disc in discs.items():
            one, terms = discriminator_loss(disc, params[f"{name}_disc"], real, fake, name, options)
            total, metrics = total + one, metrics | terms
        return total, metrics

    disc_params = {f"{name}_disc": state.params[f"{name}_disc"] for name in discs}
    grads, metrics = options.gradients(disc_loss, disc_params, real, noise)
    state, norms = state.apply_gradients(grads, optimizers)

    def gen_loss(params, real, noise):
        fake = gen(params, real, noise)
        terms = {
            name: losses.adversarial(disc(state.params[f"{name}_disc"], fake), loss.saturating)
            for name, disc in discs.items()
        }
        terms["rec"] = losses.reconstruction(real, fake, loss.distance)
        terms["per"] = losses.perturbation(noise, fake, loss.distance)
        total = losses.generator(
            loss.adversarial_weight * terms["spatial"],
            loss.adversarial_weight * terms["temporal"],
            terms["rec"],
            terms["per"],
            alpha,
            loss.balance,
        )
        return total, {"loss/gen": total, **{f"loss/gen_{k}": v for k, v in terms.items()}}

    grads, terms = options.gradients(gen_loss, state.params["gen"], real, noise)
    state, more = state.finish_step("gen", grads, optimizers, options.ema)
    return state, {**metrics, **terms, **norms, **more}
