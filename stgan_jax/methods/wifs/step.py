"""The training step of WIFS 2017: (state, batch, alpha) -> (state, metrics)."""

from jaxtyping import Array, Float

from stgan_jax.data.batches import GaitPairs
from stgan_jax.methods.wifs import losses
from stgan_jax.methods.wifs.networks import Generator
from stgan_jax.shapes import contour
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


def wifs_step(
    state: TrainState,
    batch: GaitPairs,
    alpha: float | Float[Array, ""],
    *,
    net: Generator,
    optimizers: Optimizers,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One update of the WIFS network on Eq. 5.

    Args:
      state: with params "gen".
      batch: original gaits X_1 and noise gaits X_2, (B, T, 4000) each, fixed-point.
      alpha: how much of the noise gait is added.
      net: Phi, a `Generator` with a shared encoder.
      optimizers: for "gen".
      options: additions.
    """

    def loss(params, own, noise):
        value = losses.modification(own, noise, net.apply(params, own, noise), alpha)
        return value, {"loss/gen": value}

    own, noise = (contour.fixed_to_unit(batch.contours[:, i]) for i in (0, 1))
    grads, metrics = options.gradients(loss, state.params["gen"], own, noise)
    state, norms = state.finish_step("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}
