"""A few steps of ST-GAN by SGD, as tests/test_parallel.py runs them on so many devices:

python tests/parallel_case.py OUT MODE... [COORDINATOR PROCESSES PROCESS]
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from stgan_jax import parallel, settings, steps
from stgan_jax.state import TrainState

CONFIG = settings.StganSettings(
    data=settings.WalkerData(1, 1, frames=3),
    noise="gaussian",
    features=2,
    lstm_units=4,
    batch_size=16,
    optimizer="sgd",
    gen_learning_rate=1e-4,
    disc_learning_rate=1e-3,
    distance="l2",
    disc_steps=2,
    ema=0.5,
    clip_norm=100.0,
)


def run(mode, process=0, processes=1):
    import dataclasses

    import jax

    nets, optimizers = CONFIG.nets(), CONFIG.optimizers()
    params = nets.init(jax.random.key(0), {}, 3)
    state = TrainState.create(7, {**params, "gen_ema": params["gen"]}, optimizers)

    def step(state, batch, alpha, axis):
        options = dataclasses.replace(CONFIG.options(), axis=axis)
        return steps.stgan_step(
            state, batch, alpha, nets=nets, optimizers=optimizers, loss=CONFIG.loss(),
            options=options,
        )  # fmt: skip

    program = parallel.compiled(step, CONFIG.batch_size, mode)
    state = program.put_state(parallel.same_everywhere(state))
    rng = np.random.default_rng(0)
    share = CONFIG.batch_size // processes
    told = {}
    for number in range(3):
        batch = rng.integers(0, 61184, (CONFIG.batch_size, 3, 4000), dtype=np.uint16)
        own = batch[process * share : (process + 1) * share]
        state, metrics = program.step(state, program.put_batch(own), 0.3)
        for name, value in program.one(metrics).items():
            told[f"{number}/{name}"] = np.asarray(value)
    for i, leaf in enumerate(jax.tree.leaves(program.one(state))):
        told[f"state/{i:03d}"] = np.asarray(leaf)
    return told


def main(out, *arguments):
    modes = [a for a in arguments if a in parallel.MODES]
    rest = [a for a in arguments if a not in parallel.MODES]
    process, processes = 0, 1
    if rest:
        processes, process = int(rest[1]), int(rest[2])
        parallel.initialize(rest[0], processes, process)
    for mode in modes:
        told = run(mode, process, processes)
        np.savez(f"{out}.{mode}.{process}.npz", **told)


if __name__ == "__main__":
    main(*sys.argv[1:])
