"""The training step of reading: (state, batch) -> (state, metrics)."""

import jax

from stgan_jax.methods.retarget.examples import ReadingBatch
from stgan_jax.methods.retarget.losses import objective
from stgan_jax.methods.retarget.networks import WalkReader
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


def retarget_step(
    state: TrainState,
    batch: ReadingBatch,
    *,
    reader: WalkReader,
    optimizers: Optimizers,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One update of the reader; half of the walks, other ones each time, are mirrored.

    Args:
      state: with the reader as "gen".
      batch: walks as stored.
      reader: the module.
      optimizers: for "gen".
      options: additions.
    """

    def loss(params, batch):
        return objective(params, batch, reader)

    which = options.own_share(
        lambda count: jax.random.bernoulli(state.key(), shape=(count,)), len(batch.cells)
    )
    walks = batch.floats().mirrored(which)
    grads, metrics = options.gradients(loss, state.params["gen"], walks)
    state, norms = state.finish_step("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}
