"""Time of one training step beside peers of the same networks, compilation apart:

    python benchmarks/step_time.py --peer=torch,torch_compile,flax --out=FILE.json

ST-GAN's step at the paper's size, 8 sequences of 50 contours of 4000 numbers, both
discriminators and the generator updated. Peers start from our parameters on our batch, must
come to our losses in two steps, and only then are timed, by turns with ours:

* torch, torch_compile: PyTorch, eager and compiled (`peers_torch`); pip install '.[bench]'.
* flax: `nn.Conv` and `nn.RNN` in the package's own step (`peers_flax`).
* stencil, plain, pallas: our own other ways to convolve (--config.convolution); "ours" is the one
  of `auto`. pallas is for GPUs and TPUs: `--peer=plain,stencil,pallas` finds the fastest there.

Without --peer also the noise GAN's step.
"""

import functools
from collections.abc import Callable
from typing import Any

import cases
import jax
import numpy as np
import peers_flax
import timing
from absl import flags
from timing import require_same_losses

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.stgan.noise_networks import ContourBasis
from stgan_jax.methods.stgan.noise_step import noise_step
from stgan_jax.methods.stgan.settings import NoiseSettings
from stgan_jax.methods.stgan.step import StganNets
from stgan_jax.shapes.contour import DIM
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError

WAYS = ("stencil", "plain", "pallas")
PEERS = ("torch", "torch_compile", "flax", *WAYS)
_PEER = flags.DEFINE_list("peer", [], f"Which of {', '.join(PEERS)} to time beside.")
_BATCH = flags.DEFINE_integer("batch", 8, "Sequences a step.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_UNITS = flags.DEFINE_integer("lstm_units", 128, "Of the LSTM in D_T.", lower_bound=1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "Computed in.")
timing.define_flags()

_SAME = {"float32": 1e-4, "bfloat16": 3e-2}  # how far a peer's losses may be from ours, relative


def main():
    if unknown := [name for name in _PEER.value if name not in PEERS]:
        raise InputError(f"--peer={unknown[0]}: choose from {', '.join(PEERS)}")
    case = cases.stgan(_BATCH.value, _FRAMES.value, _DTYPE.value, lstm_units=_UNITS.value)
    candidates: dict[str, Any] = {"ours": _step(case)}
    for name in _PEER.value:
        candidates[name] = peer(name, case)
    require_same_losses(candidates, _SAME[_DTYPE.value])
    calls = dict(candidates)
    if not _PEER.value:
        calls |= {"noise GAN": noise_gan(), "calibration": timing.calibration()}
    times = timing.interleaved(calls, flags.FLAGS.runs)
    ratios: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for name in _PEER.value or ["calibration"]:
        ratios |= timing.ratios(times, name, "ours")
        intervals |= timing.intervals(times, name, "ours")
    seconds = timing.spreads(times)
    memory = {n: s.about["temporary_bytes"] for n, s in candidates.items() if s.about}
    if "flax" in memory:
        ratios["flax / ours, temporary memory"] = memory["flax"] / memory["ours"]
    timing.report(
        {
            "shape": case.shape,
            "dtype": _DTYPE.value,
            "seconds": seconds,
            "intervals": intervals,
            "ways": {
                "convolution": case.nets.gen.convolution,
                "recurrence": case.nets.temporal_disc.recurrence,
            },
            "sequences_per_second": {
                name: _BATCH.value / seconds[name]["median"] for name in candidates
            },
            "compiled": {name: step.about for name, step in candidates.items() if step.about},
        },
        ratios,
    )


def _step(case: cases.Case, nets: StganNets | None = None) -> timing.Step:
    return timing.Step(case.step(nets), case.state(), case.batch, case.run.alpha)


def peer(name: str, case: cases.Case) -> Any:
    """A peer's step: a call with `losses` and `about` as `timing.Step` has them."""
    if name == "flax":
        return _step(case, peers_flax.nets(case.nets))
    if name in WAYS:
        return _step(case, cases.convolved(case.nets, name))
    try:
        import peers_torch
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install '.[bench]'") from error
    return peers_torch.Step(case, compile=name == "torch_compile")


def noise_gan() -> Callable[[], None]:
    """The noise GAN's step, batch 256."""
    run = NoiseSettings(data=WalkerData(1, 1))
    nets, rng = run.nets(), np.random.default_rng(0)
    basis = ContourBasis.fit(rng.random((100, DIM), np.float32), run.basis_size)
    state = TrainState.create(0, nets.init(jax.random.key(0), basis), run.optimizers())
    step = functools.partial(
        noise_step, nets=nets, optimizers=run.optimizers(), options=run.options()
    )
    return timing.Step(step, state, rng.integers(0, 61184, (run.batch_size, DIM), dtype=np.uint16))


if __name__ == "__main__":
    timing.run(main)
