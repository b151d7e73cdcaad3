"""Time of one training step, compilation apart:

    python benchmarks/step_time.py [--batch=8] [--frames=50] [--runs=10] [--out=FILE.json]

ST-GAN's step at the paper's size, 8 sequences of 50 contours of 4000 numbers, both
discriminators and the generator updated; and the noise GAN's. Random contours: what
they show does not change the work.
"""

import functools

import jax
import numpy as np
import timing
from absl import app, flags

from stgan_jax import settings, steps
from stgan_jax.contour import DIM
from stgan_jax.models.noise import ContourBasis
from stgan_jax.state import TrainState

_BATCH = flags.DEFINE_integer("batch", 8, "Sequences a step.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 10, "Timed steps; the median counts.", lower_bound=10)
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")


def main(_):
    data = settings.WalkerData(1, 1, (90,), ("nm-01",), frames=_FRAMES.value)
    noise_run = settings.NoiseSettings(data=data)
    run = settings.StganSettings(data=data, noise_run=noise_run)
    rng = np.random.default_rng(0)
    results = {}

    noise_nets = noise_run.nets()

    def new_noise_params():  # each state's own: a compiled step takes them over
        basis = ContourBasis.fit(rng.random((100, DIM), np.float32), noise_run.basis_size)
        return noise_nets.init(jax.random.key(0), basis)

    state = TrainState.create(0, new_noise_params(), noise_run.optimizers())
    step = functools.partial(
        steps.noise_step,
        nets=noise_nets,
        optimizers=noise_run.optimizers(),
        options=noise_run.options(),
    )
    frames = rng.integers(0, 61184, (noise_run.batch_size, DIM), dtype=np.uint16)
    results["noise_step"] = timing.compile_and_run(
        step, state, frames, runs=_RUNS.value, donate_argnums=0
    )

    nets = run.nets()
    params = nets.init(jax.random.key(0), new_noise_params(), _FRAMES.value)
    state = TrainState.create(0, params, run.optimizers())
    step = functools.partial(
        steps.stgan_step, nets=nets, optimizers=run.optimizers(), loss=run.loss()
    )
    shape = (_BATCH.value, _FRAMES.value, DIM)
    gaits = rng.integers(0, 61184, shape, dtype=np.uint16)
    results["stgan_step"] = timing.compile_and_run(
        step, state, gaits, run.alpha, runs=_RUNS.value, donate_argnums=0
    )
    results["stgan_step"] |= {
        "shape": shape, "sequences_per_second": _BATCH.value / results["stgan_step"]["median"]
    }  # fmt: skip
    timing.report(results, _OUT.value)


if __name__ == "__main__":
    app.run(main)
