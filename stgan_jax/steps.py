"""Pure training steps: (state, batch, alpha) -> (state, metrics), to be compiled by the caller.

Each serves one device, a mesh, or one device of many under pmap, where `Options.axis` names
them. Randomness is a function of (seed, step) and of the whole batch, so that the number of
devices does not change it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt

from stgan_jax import contour, losses, slices
from stgan_jax.models import noise as noise_models
from stgan_jax.models import stgan as stgan_models
from stgan_jax.state import Optimizers, TrainState

Metrics = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Options:
    """What a practitioner may add to the papers' steps; by default nothing.

    Attributes:
      disc_steps: updates of the discriminators for one of the generator, each with fresh noise.
      real_label: what discriminators are taught to call real gaits; below 1, label smoothing.
      r1: weight of a gradient penalty r1/2 E||grad D||^2 at real gaits (Mescheder 2018).
      ema: decay of a moving average of the generator's weights; 0 for none.
      accumulate: in how many slices, one after the other, a batch is worked off. Less memory,
        the same gradients.
      remat: recompute activations instead of storing them (gradient checkpointing).
      axis: name of the axis of devices under pmap.
    """

    disc_steps: int = 1
    real_label: float = 1.0
    r1: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    remat: bool = False
    axis: str | None = None

    def apply(self, module: nn.Module) -> Callable:
        """The module's apply, its activations recomputed if so asked."""
        return jax.checkpoint(module.apply) if self.remat else module.apply

    def own_share(self, draw: Callable[[int], Array], count: int) -> Array:
        """This device's `count` of what is drawn for all devices together."""
        if self.axis is None:
            return draw(count)
        everything = draw(count * jax.lax.psum(1, self.axis))
        return jax.lax.dynamic_slice_in_dim(
            everything, jax.lax.axis_index(self.axis) * count, count
        )

    def gradients(
        self, loss: Callable, params: Any, *batch: Array, unrolled: bool = False
    ) -> tuple[Any, Metrics]:
        """Gradients of `loss(params, *batch) -> (mean, metrics)` and metrics, of the whole batch.

        Averaged over slices of the batch, and over devices under pmap.

        Args:
          loss: see above; of the mean over a batch.
          params: to differentiate by.
          batch: arrays of float32, (B, ...).
          unrolled: slices as code of their own, two at a time, instead of a loop one by one, in
            which XLA's convolutions are slow on CPUs (6 times in `coloring.color_step`). It
            compiles the longer for it.
        """
        compute = jax.grad(loss, has_aux=True)
        if self.accumulate == 1:
            result = compute(params, *batch)
        else:
            sliced = jax.tree.map(
                lambda x: x.reshape(self.accumulate, x.shape[0] // self.accumulate, *x.shape[1:]),
                batch,
            )
            summed = slices.unrolled if unrolled else slices.looped
            total = summed(functools.partial(compute, params), sliced)
            result = jax.tree.map(lambda x: x / self.accumulate, total)
        return result if self.axis is None else jax.lax.pmean(result, self.axis)

    def penalty(self, disc: Callable, params: Any, real: Array) -> Float[Array, ""] | float:
        """r1/2 E||grad D||^2 at real inputs (B, ..., D)."""
        if not self.r1:
            return 0.0
        slope = jax.grad(lambda x: jnp.sum(disc(params, x)))(real)
        return 0.5 * self.r1 * jnp.mean(jnp.sum(jnp.square(slope), -1))


def _judged(
    disc: Callable, params: Any, real: Array, fake: Array, name: str, options: Options
) -> tuple[Float[Array, ""], Metrics]:
    """What a discriminator minimises: minus its value (Eqs. 2, 3), plus the penalty; metrics."""
    real_logits, fake_logits = jnp.split(disc(params, real, fake), 2)
    value = losses.discriminator_value(real_logits, fake_logits, options.real_label)
    return options.penalty(disc, params, real) - value, {
        f"loss/{name}_disc": -value,
        f"accuracy/{name}_real": jnp.mean(real_logits > 0, dtype=jnp.float32),
        f"accuracy/{name}_fake": jnp.mean(fake_logits < 0, dtype=jnp.float32),
    }


@dataclasses.dataclass(frozen=True)
class NoiseNets:
    """The noise GAN's modules (ST-GAN 3.3) and the length of its Gaussian seed.

    Attributes:
      truncation: deviation of the seeds that `sample` draws, where training has 1. Note: not in the
        paper; below 1 contours are more like people's, and more alike.
    """

    gen: noise_models.NoiseGenerator
    disc: noise_models.NoiseDiscriminator
    seed_size: int = 64
    truncation: float = 1.0

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

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """What of the parameters `sample` needs."""
        return {name: params[name] for name in ("noise_gen_ema", "noise_basis")}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Float[Array, "N 4000"]:
        """Noise contours Z-hat in [0, 1] from the averaged G_N."""
        seeds = self.truncation * noise_models.sample_seeds(key, count, self.seed_size)
        return noise_models.noise_contour(
            self.gen, params["noise_gen_ema"], params["noise_basis"], seeds
        )


@dataclasses.dataclass(frozen=True)
class GaitNoise:
    """Noise that comes with each example: a gait in step with the own one, see `retarget`."""

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """What of the parameters is needed to draw it: nothing."""
        del params
        return {}


@dataclasses.dataclass(frozen=True)
class RawNoise:
    """Gaussian noise in place of G_N's contours: the ablation of ST-GAN Fig. 7.

    Note: the paper does not say how a seed becomes 4000 numbers. Here each coordinate is
    Gaussian around the crop's middle with a contour's spread.
    """

    spread: float = 0.25

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """What of the parameters `sample` needs: nothing."""
        del params
        return {}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Float[Array, "N 4000"]:
        """Noise in [0, 1]."""
        del params
        seeds = noise_models.sample_seeds(key, count, contour.DIM)
        return jnp.clip(0.5 + self.spread * seeds, 0.0, 1.0)


def noise_step(
    state: TrainState,
    contours: UInt[Array, "B 4000"],
    *,
    nets: NoiseNets,
    optimizers: Optimizers,
    options: Options,
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
    basis = state.params["noise_basis"]
    real = basis.code(contour.fixed_to_unit(contours))
    gen, disc = options.apply(nets.gen), options.apply(nets.disc)
    joined = lambda params, *codes: disc(params, jnp.concatenate(codes))  # noqa: E731
    seeds_of = lambda key: options.own_share(  # noqa: E731
        lambda count: noise_models.sample_seeds(key, count, nets.seed_size), len(real)
    )
    seeds = seeds_of(state.key())
    frozen = state.params["noise_gen"]
    metrics: Metrics = {}
    for number in reversed(range(options.disc_steps)):  # the last shares its noise with G_N

        def disc_loss(params, real, seeds):
            return _judged(joined, params, real, gen(frozen, seeds), "noise", options)

        drawn = seeds_of(jax.random.fold_in(state.key(), number)) if number else seeds
        grads, metrics = options.gradients(disc_loss, state.params["noise_disc"], real, drawn)
        state, norms = state.updated({"noise_disc": grads}, optimizers)

    def gen_loss(params, seeds):
        logits = disc(state.params["noise_disc"], gen(params, seeds))
        loss = losses.adversarial(logits, saturating=False)
        return loss, {"loss/noise_gen": loss}

    grads, terms = options.gradients(gen_loss, state.params["noise_gen"], seeds)
    state, more = state.finished("noise_gen", grads, optimizers, options.ema)
    return state, {**metrics, **terms, **norms, **more}


@dataclasses.dataclass(frozen=True)
class StganNets:
    """ST-GAN's modules (3.4) with the pre-trained noise GAN's."""

    gen: stgan_models.Generator
    spatial_disc: stgan_models.SpatialDiscriminator
    temporal_disc: stgan_models.TemporalDiscriminator
    noise: NoiseNets | RawNoise | GaitNoise

    def init(self, key: jax.Array, noise_params: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name, for sequences of `frames`; the noise GAN's are taken over frozen."""
        keys = jax.random.split(key, 3)
        contours = jnp.zeros((1, frames, contour.DIM))
        return {
            "gen": self.gen.init(keys[0], contours, contours[:, 0]),
            "spatial_disc": self.spatial_disc.init(keys[1], contours),
            "temporal_disc": self.temporal_disc.init(keys[2], contours),
            **self.noise.frozen(noise_params),
        }


@dataclasses.dataclass(frozen=True)
class StganLoss:
    """Which form of Eqs. 4-8 is trained; the defaults are the equations as printed."""

    distance: str = "l1"
    saturating: bool = True
    adversarial_weight: float = 1.0
    balance: str = "printed"


def used(params: Mapping[str, Any]) -> Any:
    """G's weights as they are used: their moving average where one is kept."""
    return params["gen_ema"] if "gen_ema" in params else params["gen"]


def _known(gen: Callable, params: Any, real: Array, noise: Array) -> Callable:
    """G for these arguments alone: computed here, differentiable by params as often as asked."""
    fake, pull = jax.vjp(lambda params: gen(params, real, noise), params)
    known = jax.custom_vjp(lambda params: fake)
    known.defvjp(lambda params: (fake, None), lambda _, change: pull(change))
    return lambda params, real, noise: known(params)


def stgan_step(
    state: TrainState,
    contours: UInt[Array, "B T 4000"] | UInt[Array, "B 2 T 4000"],
    alpha: float | Float[Array, ""],
    *,
    nets: StganNets,
    optimizers: Optimizers,
    loss: StganLoss,
    options: Options = Options(),
) -> tuple[TrainState, Metrics]:
    """One alternation of ST-GAN: D_S and D_T (Eqs. 2, 3) with G fixed, then G (Eq. 8).

    Both halves share G's forward pass, unless a batch is worked off in slices: kept of all of
    them, it would take the memory that slices save.

    Args:
      state: as `StganNets.init` and `TrainState.create` make it.
      contours: the original gaits Y, fixed-point; with `GaitNoise` pairs of Y and its noise.
      alpha: weight of the perturbation loss, >= 0; traced, so that other values do not recompile.
      nets: the modules.
      optimizers: for "gen", "spatial_disc" and "temporal_disc".
      loss: which form of the losses.
      options: additions.
    """
    drawn = nets.noise
    if isinstance(drawn, GaitNoise):
        pairs = contour.fixed_to_unit(contours)
        real, given = pairs[:, 0], pairs[:, 1]
        noise_of: Callable[[Array], Array] = lambda key: given  # noqa: E731
    else:
        real, sample = contour.fixed_to_unit(contours), drawn.sample
        noise_of = lambda key: jax.lax.stop_gradient(  # noqa: E731
            options.own_share(lambda count: sample(state.params, key, count), len(real))
        )
    gen = options.apply(nets.gen)
    discs = {
        "spatial": options.apply(nets.spatial_disc),
        "temporal": options.apply(nets.temporal_disc),
    }
    noise = noise_of(state.key())
    frozen = state.params["gen"]
    known = _known(gen, frozen, real, noise) if options.accumulate == 1 else gen
    metrics: Metrics = {}
    for number in reversed(range(options.disc_steps)):  # the last shares its noise with G

        def disc_loss(params, real, noise, number=number):
            fake = (gen if number else known)(frozen, real, noise)
            total: Array = jnp.zeros(())
            seen: Metrics = {}
            for name, disc in discs.items():
                one, terms = _judged(disc, params[f"{name}_disc"], real, fake, name, options)
                total, seen = total + one, seen | terms
            return total, seen

        other = noise_of(jax.random.fold_in(state.key(), number)) if number else noise
        judges = {f"{name}_disc": state.params[f"{name}_disc"] for name in discs}
        grads, metrics = options.gradients(disc_loss, judges, real, other)
        state, norms = state.updated(grads, optimizers)

    def gen_loss(params, real, noise):
        fake = known(params, real, noise)
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
    state, more = state.finished("gen", grads, optimizers, options.ema)
    return state, {**metrics, **terms, **norms, **more}


def wifs_step(
    state: TrainState,
    pairs: UInt[Array, "B 2 T 4000"],
    alpha: float | Float[Array, ""],
    *,
    net: stgan_models.Generator,
    optimizers: Optimizers,
    options: Options = Options(),
) -> tuple[TrainState, Metrics]:
    """One update of the WIFS network on Eq. 5.

    Args:
      state: with params "gen".
      pairs: an original gait X_1 and a noise gait X_2, fixed-point.
      alpha: how much of the noise gait is added.
      net: Phi, a `Generator` with a shared encoder.
      optimizers: for "gen".
      options: additions; those for discriminators do nothing.
    """

    def cost(params, own, noise):
        value = losses.modification(own, noise, options.apply(net)(params, own, noise), alpha)
        return value, {"loss/gen": value}

    own, noise = (contour.fixed_to_unit(pairs[:, i]) for i in (0, 1))
    grads, metrics = options.gradients(cost, state.params["gen"], own, noise)
    state, norms = state.finished("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}
