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

from stgan_jax import coloring
from stgan_jax.color_settings import ColorSettings
from stgan_jax.errors import InputError
from stgan_jax.state import TrainState

_PEERS = ("torch", "torch_compile")
_PEER = flags.DEFINE_list("peer", [], f"Which of {', '.join(_PEERS)} to time beside.")
_BATCH = flags.DEFINE_integer("batch", 16, "Examples a step.", lower_bound=1)
_ACCUMULATE = flags.DEFINE_integer("accumulate", 4, "Slices of a batch.", lower_bound=1)
timing.define_flags()


def batch(count: int, size: int = 128) -> np.ndarray:
    """Random colours, and silhouettes of about a person's area, that overlap by most of it."""
    rng = np.random.default_rng(0)
    out = rng.integers(0, 256, (count, size, size, coloring.CHANNELS), dtype=np.uint8)
    out[..., 6:] = 0
    for example in out:
        top, left = rng.integers(0, size // 16), rng.integers(size // 4, size // 2)
        for channel in (6, 7):
            shift, width = rng.integers(-4, 5), rng.integers(size // 5, size // 3)
            example[top : top + 7 * size // 8, left + shift : left + shift + width, channel] = 255
    return out


def main():
    if unknown := [name for name in _PEER.value if name not in _PEERS]:
        raise InputError(f"--peer={unknown[0]}: choose from {', '.join(_PEERS)}")
    run = ColorSettings(batch_size=_BATCH.value, accumulate=_ACCUMULATE.value, jitter=0.0)
    examples = batch(_BATCH.value)
    net = run.net()
    shown = jnp.zeros((1, 128, 128, 3)), jnp.zeros((1, 128, 128))
    params = jax.jit(net.init)(jax.random.key(0), *shown)
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
        {"shape": examples.shape, "seconds": timing.spreads(times),
         "compiled": {n: s.about for n, s in candidates.items() if s.about}},
        ratios,
    )  # fmt: skip


def _step(state: TrainState, examples: jax.Array, run: ColorSettings, net):
    """`coloring.color_step` on batches that are neither mirrored nor tinted."""
    x = examples.astype(jnp.float32) / 255.0
    inputs = x[..., :3], x[..., 3:6], x[..., 6], x[..., 7]

    def cost(params, *inputs):
        return coloring.color_cost(net, run.loss(), params, run.alpha, *inputs)

    grads, metrics = run.options().gradients(cost, state.params["gen"], *inputs, unrolled=True)
    state, norms = state.updated({"gen": grads}, run.optimizers())
    return state.replace(step=state.step + 1), {**metrics, **norms}


if __name__ == "__main__":
    timing.run(main)
