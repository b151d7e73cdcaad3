"""The training step of retargeting: (state, batch) -> (state, metrics)."""

import jax
import jax.numpy as jnp

from stgan_jax.methods.retarget.examples import PairBatch
from stgan_jax.methods.retarget.losses import RetargetLoss, gait_objective, objective
from stgan_jax.methods.retarget.networks import CELLS, RetargetNets
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


def retarget_step(
    state: TrainState,
    batch: PairBatch,
    *,
    nets: RetargetNets,
    optimizers: Optimizers,
    loss: RetargetLoss,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One update of all networks: the other's silhouettes are to come from the one's.

    The identity encoder, for alpha below 1, the reader and the gait's networks learn beside the
    others and change none of them.

    Args:
      state: as `RetargetNets.init` and `TrainState.create` make it.
      batch: pairs of walks, float16.
      nets: the modules.
      optimizers: for "gait", and for "gen" unless that stays as it is.
      loss: weights.
      options: additions.
    """
    batch = jax.tree.map(lambda x: x.astype(jnp.float32), batch)
    count, _, frames, _ = batch.walks.shape
    noise = options.own_share(
        lambda count: jax.random.normal(state.key(), (count, frames, nets.encoder.size)), count
    )
    cells = None
    if loss.stride > 1:
        first = jax.random.randint(jax.random.fold_in(state.key(), 1), (), 0, loss.stride)
        cells = first + loss.stride * jnp.arange(CELLS // loss.stride)
    params = state.params

    def gait_loss(gait, batch):
        return gait_objective(gait, params, batch, nets, loss, cells)

    def gen_loss(gen, batch, noise):
        return objective(gen, params["basis"], batch, noise, nets, loss, cells)

    grads, metrics = options.gradients(gait_loss, params["gait"], batch)
    if "gen" not in optimizers:
        state, norms = state.finish_step("gait", grads, optimizers, 0.0)
        return state, {**metrics, **norms}
    gen_grads, gen_metrics = options.gradients(gen_loss, params["gen"], batch, noise)
    state, norms = state.apply_gradients({"gait": grads}, optimizers)
    state, gen_norms = state.finish_step("gen", gen_grads, optimizers, options.ema)
    return state, {**metrics, **gen_metrics, **norms, **gen_norms}
