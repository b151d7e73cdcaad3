"""The training step of the colour networks: (state, batch, alpha) -> (state, metrics)."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stgan_jax.methods.color.examples import ColorBatch
from stgan_jax.methods.color.losses import ColorLoss, objective
from stgan_jax.methods.color.networks import ColorNet, blended
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


def augmented(
    key: jax.Array, batch: ColorBatch, jitter: float, options: StepOptions
) -> tuple[Array, Array, Array, Array]:
    """x_rgb, pseudo ground truth, x_bi and own silhouettes in [0, 1], half of them mirrored.

    Gains of the colour channels are drawn from 1 - jitter to 1 + jitter, so that the network is
    shown clothes and scenes of more colours than there are.
    """
    sides, gains = jax.random.split(key)
    count = len(batch.colors)
    turn = options.own_share(lambda n: jax.random.bernoulli(sides, 0.5, (n,)), count)
    gain = options.own_share(
        lambda n: jax.random.uniform(gains, (n, 3), minval=1 - jitter, maxval=1 + jitter), count
    )

    def mirrored(x: Any) -> Array:
        x = x.astype(jnp.float32) / 255.0
        return jnp.where(turn.reshape(-1, *(1,) * (x.ndim - 1)), x[:, :, ::-1], x)

    colors, pseudo, anonymized, own = (mirrored(x) for x in batch)
    colors, pseudo = (jnp.clip(x * gain[:, None, None], 0.0, 1.0) for x in (colors, pseudo))
    return colors, pseudo, anonymized, own


def color_loss(
    net: ColorNet, loss: ColorLoss, params: Any, alpha: Any, *batch: Array
) -> tuple[Float[Array, ""], Metrics]:
    """`losses.objective` of a network, of a batch as `augmented` gives it."""
    colors, pseudo, anonymized, own = batch
    generated = blended(colors, anonymized, *net.apply(params, colors, anonymized))
    return objective(generated, colors, pseudo, anonymized, own, alpha, loss)


def color_step(
    state: TrainState,
    batch: ColorBatch,
    alpha: float | Float[Array, ""],
    *,
    net: ColorNet,
    optimizers: Optimizers,
    loss: ColorLoss,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One update of a colour network.

    Args:
      state: with params "gen".
      batch: crops of frames and both silhouettes.
      alpha: weight of L_Style.
      net: the network.
      optimizers: for "gen".
      loss: what is minimised.
      options: additions.
    """
    inputs = augmented(state.key(), batch, loss.jitter, options)

    def of_params(params, *inputs):
        return color_loss(net, loss, params, alpha, *inputs)

    grads, metrics = options.gradients(of_params, state.params["gen"], *inputs, unrolled=True)
    state, norms = state.finish_step("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}
