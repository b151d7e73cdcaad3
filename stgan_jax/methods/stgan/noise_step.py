"""The noise GAN's modules and training step, and other sources of noise for ST-GAN."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt

from stgan_jax.methods.stgan import losses
from stgan_jax.methods.stgan.noise_networks import (
    ContourBasis,
    NoiseDiscriminator,
    NoiseGenerator,
    noise_contour,
    sample_seeds,
)
from stgan_jax.methods.stgan.step import discriminator_loss
from stgan_jax.shapes import contour
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


@dataclasses.dataclass(frozen=True)
class NoiseNets:
    """The noise GAN's modules (ST-GAN 3.3).

    Attributes:
      gen: G_N.
      disc: D_N.
      seed_size: length of the Gaussian seed.
      truncation: deviation of the seeds that `sample` draws, where training has 1. Note: not in the
        paper; below 1 contours are more like people's, and more alike.
    """

    gen: NoiseGenerator
    disc: NoiseDiscriminator
    seed_size: int = 64
    truncation: float = 1.0

    def init(self, key: jax.Array, basis: ContourBasis) -> dict[str, Any]:
        """Parameters by name; the exponential moving average of G_N starts as G_N."""
        gen_key, disc_key = jax.random.split(key)
        gen = self.gen.init(gen_key, jnp.zeros((1, self.seed_size)))
        disc = self.disc.init(disc_key, jnp.zeros((1, basis.size)))
        return {
            "noise_gen": gen,
            "noise_gen_ema": jax.tree.map(jnp.copy, gen),
            "noise_disc": disc,
            "noise_basis": basis,
        }

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that `sample` needs."""
        return {name: params[name] for name in ("noise_gen_ema", "noise_basis")}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Float[Array, "N 4000"]:
        """Noise contours Z-hat in [0, 1] from the averaged G_N."""
        seeds = self.truncation * sample_seeds(key, count, self.seed_size)
        return noise_contour(self.gen, params["noise_gen_ema"], params["noise_basis"], seeds)


@dataclasses.dataclass(frozen=True)
class GaitNoise:
    """Noise that comes with each example: a gait in step with the own one, by `retarget`."""

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that it needs: none."""
        del params
        return {}


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Gaussian noise in place of G_N's contours: the ablation of ST-GAN Fig. 7.

    Note: the paper does not say how a seed becomes 4000 numbers. Here each coordinate is
    Gaussian around the crop's middle with a contour's spread.
    """

    spread: float = 0.25

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that `sample` needs: none."""
        del params
        return {}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Float[Array, "N 4000"]:
        """Noise in [0, 1]."""
        del params
        seeds = sample_seeds(key, count, contour.DIM)
        return jnp.clip(0.5 + self.spread * seeds, 0.0, 1.0)


def noise_step(
    state: TrainState,
    contours: UInt[Array, "B 4000"],
    *,
    nets: NoiseNets,
    optimizers: Optimizers,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One update of D_N, then one of G_N: the plain GAN of Goodfellow 2014 (ST-GAN 3.3).

    Note: G_N's own weights are trained, their moving average is used (`options.ema`, 0 for
    none); together with R1 it keeps G_N from collapsing onto few contours.

    Args:
      state: as `NoiseNets.init` and `TrainState.create` make it.
      contours: real contours, fixed-point.
      nets: the modules.
      optimizers: for "noise_gen" and "noise_disc".
      options: additions; `r1` and `ema` are on by default in the settings.
    """
    gen, disc = nets.gen.apply, nets.disc.apply
    real = state.params["noise_basis"].code(contour.fixed_to_unit(contours))
    seeds = options.own_share(
        lambda count: sample_seeds(state.key(), count, nets.seed_size), len(real)
    )
    frozen = state.params["noise_gen"]

    def on_both(params, *codes):
        return disc(params, jnp.concatenate(codes))

    def disc_loss(params, real, seeds):
        return discriminator_loss(on_both, params, real, gen(frozen, seeds), "noise", options)

    grads, metrics = options.gradients(disc_loss, state.params["noise_disc"], real, seeds)
    state, norms = state.apply_gradients({"noise_disc": grads}, optimizers)

    def gen_loss(params, seeds):
        logits = disc(state.params["noise_disc"], gen(params, seeds))
        loss = losses.adversarial(logits, saturating=False)
        return loss, {"loss/noise_gen": loss}

    grads, terms = options.gradients(gen_loss, state.params["noise_gen"], seeds)
    state, more = state.finish_step("noise_gen", grads, optimizers, options.ema)
    return state, {**metrics, **terms, **norms, **more}
