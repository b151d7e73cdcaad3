"""Pure training steps: (state, batch, ...) -> (state, metrics), to be compiled by the caller."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, UInt

from stgan_jax import contour, losses
from stgan_jax.models import noise as noise_models
from stgan_jax.models import stgan as stgan_models
from stgan_jax.state import Optimizers, TrainState

Metrics = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class NoiseNets:
    """The noise GAN's modules (ST-GAN 3.3) and the length of its Gaussian seed."""

    gen: noise_models.NoiseGenerator
    disc: noise_models.NoiseDiscriminator
    seed_size: int = 64

    def init(self, key: jax.Array, basis: noise_models.ContourBasis) -> dict[str, Any]:
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

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Float[Array, "N 4000"]:
        """Noise contours Z-hat in [0, 1] from the averaged G_N."""
        seeds = noise_models.sample_seeds(key, count, self.seed_size)
        return noise_models.noise_contour(
            self.gen, params["noise_gen_ema"], params["noise_basis"], seeds
        )


def noise_step(
    state: TrainState,
    contours: UInt[Array, "B 4000"],
    *,
    nets: NoiseNets,
    optimizers: Optimizers,
    r1: float = 0.1,
    ema: float = 0.999,
) -> tuple[TrainState, Metrics]:
    """One update of D_N, then one of G_N: the plain GAN of Goodfellow 2014 (ST-GAN 3.3).

    Note: two additions keep G_N from collapsing onto few contours, a gradient penalty
    `r1`/2 E||grad D_N||^2 at real codes (Mescheder 2018) and a moving average of G_N.

    Args:
      state: as `NoiseNets.init` and `TrainState.create` make it.
      contours: real contours, fixed-point.
      nets: the modules.
      optimizers: for "noise_gen" and "noise_disc".
      r1: weight of the penalty; 0 for the paper's plain GAN.
      ema: decay of the average; 0 for none.
    """
    basis = state.params["noise_basis"]
    real = basis.code(contour.fixed_to_unit(contours))
    seeds = noise_models.sample_seeds(state.key(), len(real), nets.seed_size)
    fake, pull_back = jax.vjp(lambda p: nets.gen.apply(p, seeds), state.params["noise_gen"])

    def disc_loss(params):
        real_logits, fake_logits = nets.disc.apply(params, real), nets.disc.apply(params, fake)
        slope = jax.grad(lambda code: nets.disc.apply(params, code).sum())(real)
        penalty = 0.5 * r1 * jnp.mean(jnp.sum(jnp.square(slope), -1))
        value = losses.discriminator_value(real_logits, fake_logits)
        return penalty - value, {
            "loss/noise_disc": -value,
            "accuracy/noise_real": jnp.mean(real_logits > 0),
            "accuracy/noise_fake": jnp.mean(fake_logits < 0),
        }

    grads, metrics = jax.grad(disc_loss, has_aux=True)(state.params["noise_disc"])
    state = state.updated({"noise_disc": grads}, optimizers)

    def gen_loss(fake):
        logits = nets.disc.apply(state.params["noise_disc"], fake)
        return losses.adversarial(logits, saturating=False)

    metrics["loss/noise_gen"], slope = jax.value_and_grad(gen_loss)(fake)
    state = state.updated({"noise_gen": pull_back(slope)[0]}, optimizers)
    average = optax.incremental_update(
        state.params["noise_gen"], state.params["noise_gen_ema"], 1.0 - ema
    )
    state = state.replace(step=state.step + 1, params={**state.params, "noise_gen_ema": average})
    return state, metrics


@dataclasses.dataclass(frozen=True)
class StganNets:
    """ST-GAN's modules (3.4) with the pre-trained noise GAN's."""

    gen: stgan_models.Generator
    spatial_disc: stgan_models.SpatialDiscriminator
    temporal_disc: stgan_models.TemporalDiscriminator
    noise: NoiseNets

    def init(self, key: jax.Array, noise_params: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name, for sequences of `frames`; the noise GAN's are taken over frozen."""
        keys = jax.random.split(key, 3)
        contours = jnp.zeros((1, frames, contour.DIM))
        return {
            "gen": self.gen.init(keys[0], contours, contours[:, 0]),
            "spatial_disc": self.spatial_disc.init(keys[1], contours),
            "temporal_disc": self.temporal_disc.init(keys[2], contours),
            **{name: noise_params[name] for name in ("noise_gen_ema", "noise_basis")},
        }


@dataclasses.dataclass(frozen=True)
class StganLoss:
    """Which form of Eqs. 4-8 is trained; the defaults are the equations as printed."""

    distance: str = "l1"
    saturating: bool = True
    adversarial_weight: float = 1.0


def stgan_step(
    state: TrainState,
    contours: UInt[Array, "B T 4000"],
    alpha: float | Float[Array, ""],
    *,
    nets: StganNets,
    optimizers: Optimizers,
    loss: StganLoss,
) -> tuple[TrainState, Metrics]:
    """One alternation of ST-GAN: D_S and D_T (Eqs. 2, 3) with G fixed, then G (Eq. 8).

    One forward pass of G serves both halves: its output does not depend on the
    discriminators, so their update leaves it valid.

    Args:
      state: as `StganNets.init` and `TrainState.create` make it.
      contours: the original gaits Y, fixed-point.
      alpha: weight of the perturbation loss, >= 0; traced, so that other values do not recompile.
      nets: the modules.
      optimizers: for "gen", "spatial_disc" and "temporal_disc".
      loss: which form of the losses.
    """
    real = contour.fixed_to_unit(contours)
    noise = jax.lax.stop_gradient(nets.noise.sample(state.params, state.key(), len(real)))
    fake, pull_back = jax.vjp(lambda p: nets.gen.apply(p, real, noise), state.params["gen"])
    metrics: Metrics = {}
    both = jnp.concatenate([real, fake])

    def disc_loss(params, disc):
        real_logits, fake_logits = jnp.split(disc.apply(params, both), 2)
        value = losses.discriminator_value(real_logits, fake_logits)
        return -value, (jnp.mean(real_logits > 0), jnp.mean(fake_logits < 0))

    discs: dict[str, nn.Module] = {"spatial": nets.spatial_disc, "temporal": nets.temporal_disc}
    disc_grads = {}
    for name, disc in discs.items():
        (value, accuracy), disc_grads[f"{name}_disc"] = jax.value_and_grad(disc_loss, has_aux=True)(
            state.params[f"{name}_disc"], disc
        )
        metrics[f"loss/{name}_disc"] = value
        metrics[f"accuracy/{name}_real"], metrics[f"accuracy/{name}_fake"] = accuracy
    state = state.updated(disc_grads, optimizers)

    def gen_loss(fake):
        terms = {
            name: losses.adversarial(
                disc.apply(state.params[f"{name}_disc"], fake), loss.saturating
            )
            for name, disc in discs.items()
        }
        terms["rec"] = losses.reconstruction(real, fake, loss.distance)
        terms["per"] = losses.perturbation(noise, fake, loss.distance)
        weight = loss.adversarial_weight
        total = losses.generator(
            weight * terms["spatial"], weight * terms["temporal"], terms["rec"], terms["per"], alpha
        )
        return total, terms

    (total, terms), slope = jax.value_and_grad(gen_loss, has_aux=True)(fake)
    state = state.updated({"gen": pull_back(slope)[0]}, optimizers)
    metrics |= {"loss/gen": total, **{f"loss/gen_{name}": v for name, v in terms.items()}}
    return state.replace(step=state.step + 1), metrics
