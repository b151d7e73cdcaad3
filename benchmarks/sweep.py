"""A sweep's compiled step of K lanes beside K single steps, by turns:

    python benchmarks/sweep.py [--lanes=8] [--batch=8] [--frames=50] [--out=FILE.json]

Lanes differ in alpha and share their batch, as those of one seed do.
"""

from collections.abc import Callable
from typing import Any

import cases
import jax
import numpy as np
import timing
from absl import flags

from stgan_jax.training import parallel

_LANES = flags.DEFINE_integer("lanes", 8, "K.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 8, "Sequences a step.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "Computed in.")
timing.define_flags(runs=5)


def main():
    count, case = _LANES.value, cases.stgan(_BATCH.value, _FRAMES.value, _DTYPE.value)
    alphas, rows = np.linspace(0.1, 0.8, count, dtype=np.float32), np.zeros(count, np.int32)
    state = jax.device_get(case.state())
    single = parallel.compiled(case.parallel_step, _BATCH.value)
    many = parallel.lanes_compiled(case.parallel_step, rows)
    one = going_on(single.step, single.put_state(state), single.put_batch(case.batch), alphas[0])
    stacked = many.put_state(parallel.stacked([state] * count))
    lanes = going_on(many.step, stacked, many.put_batch(case.batch), alphas)

    def singles():
        for _ in range(count):
            one()

    calls: dict[str, Callable] = {f"{count} single steps": singles, f"{count}-lane step": lanes}
    times = timing.interleaved(calls, flags.FLAGS.runs)
    timing.report(
        {
            "shape": case.shape,
            "dtype": _DTYPE.value,
            "lanes": count,
            "seconds": timing.spreads(times),
            "intervals": timing.intervals(times, *calls),
        },
        timing.ratios(times, *calls),
    )


def going_on(step: Callable, state: Any, *rest: Any) -> Callable[[], None]:
    """A compiled step as a call that goes on from the last; the first one compiles it."""

    def call():
        nonlocal state
        state, _ = jax.block_until_ready(step(state, *rest))

    return call


if __name__ == "__main__":
    timing.run(main)
