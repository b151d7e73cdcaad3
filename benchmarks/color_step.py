"""Time of a training step of the colour network at 128x128 beside PyTorch's, batch 16:

    python benchmarks/color_step.py --peer=torch --out=FILE.json

Both start from the same parameters on the same batch, must come to the same losses in two steps,
and are timed by turns. Ours is the step that `configs/color.py` trains, random mirroring and tints
apart, which the peer does not have. (torch_compile of PyTorch 2.13 comes to other losses,
and is refused then.)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing
from absl import flags

from stgan_jax.methods.color.examples import ColorBatch
from stgan_jax.methods.color.networks import SIZE, ColorNet
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.methods.color.step import color_loss
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError

_PEERS = ("torch", "torch_compile")
_PEER = flags.DEFINE_list("peer", [], f"Which of {', '.join(_PEERS)} to time beside.")
_BATCH = flags.DEFINE_integer("batch", 16, "Examples a step.", lower_bound=1)
_ACCUMULATE = flags.DEFINE_integer("accumulate", 4, "Slices of a batch.", lower_bound=1)
timing.define_flags()


def batch(count: int) -> ColorBatch:
    """Random colours, and silhouettes of about a person's area, that overlap by most of it."""
    rng = np.random.default_rng(0)
    # One array for all: the generator's order decides the numbers.
    both = rng.integers(0, 256, (count, SIZE, SIZE, 8), dtype=np.uint8)
    masks = np.zeros((2, count, SIZE, SIZE), np.uint8)
    for example in masks.swapaxes(0, 1):
        top, left = rng.integers(0, SIZE // 16), rng.integers(SIZE // 4, SIZE // 2)
        for mask in example:
            shift, width = rng.integers(-4, 5), rng.integers(SIZE // 5, SIZE // 3)
            mask[top : top + 7 * SIZE // 8, left + shift : left + shift + width] = 255
    return ColorBatch(both[..., :3].copy(), both[..., 3:6].copy(), *masks)


def main():
    if unknown := [name for name in _PEER.value if name not in _PEERS]:
        raise InputError(f"--peer={unknown[0]}: choose from {', '.join(_PEERS)}")
    run = ColorSettings(batch_size=_BATCH.value, accumulate=_ACCUMULATE.value, jitter=0.0)
    examples, net = batch(_BATCH.value), run.net()
    zeros = jnp.zeros((1, SIZE, SIZE, 3)), jnp.zeros((1, SIZE, SIZE))
    params = jax.jit(net.init)(jax.random.key(0), *zeros)
    step = functools.partial(_step, run=run, net=net)
    state = TrainState.create(0, {"gen": jax.tree.map(jnp.copy, params)}, run.optimizers())
    candidates: dict[str, Any] = {"ours": timing.Step(step, state, examples)}
    for name in _PEER.value:
        try:
            import peers_torch_color as peers
        except ModuleNotFoundError as error:
            raise InputError(f"{error.name} is not installed: pip install '.[bench]'") from error
        candidates[name] = peers.Step(run, params, examples, name == "torch_compile")
    timing.require_same_losses(candidates, 1e-4)
    times = timing.interleaved(candidates, flags.FLAGS.runs)
    ratios: dict[str, float] = {}
    for name in _PEER.value:
        ratios |= timing.ratios(times, name, "ours")
    timing.report(
        {
            "shape": examples.colors.shape,
            "seconds": timing.spreads(times),
            "compiled": {name: each.about for name, each in candidates.items() if each.about},
        },
        ratios,
    )


def _step(state: TrainState, examples: ColorBatch, run: ColorSettings, net: ColorNet):
    """`color_step` on batches that are neither mirrored nor tinted."""
    inputs = [x.astype(jnp.float32) / 255.0 for x in examples]

    def of_params(params, *inputs):
        return color_loss(net, run.loss(), params, run.alpha, *inputs)

    grads, metrics = run.options().gradients(of_params, state.params["gen"], *inputs, unrolled=True)
    state, norms = state.finish_step("gen", grads, run.optimizers(), run.ema)
    return state, {**metrics, **norms}


if __name__ == "__main__":
    timing.run(main)
