"""A few steps of ST-GAN by SGD, as test_parallel.py runs them on so many devices:

python tests/training/parallel_case.py OUT MODE... [COORDINATOR PROCESSES PROCESS]
"""

import functools
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from stgan_jax.data.batches import Gaits
from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.methods.stgan.step import stgan_step
from stgan_jax.training import parallel
from stgan_jax.training.experiment import step_of
from stgan_jax.training.state import TrainState, with_average

CONFIG = StganSettings(
    data=WalkerData(1, 1, frames=3),
    noise="gaussian",
    balance="printed",
    features=2,
    lstm_units=4,
    batch_size=16,
    optimizer="sgd",
    gen_learning_rate=1e-4,
    disc_learning_rate=1e-3,
    ema=0.5,
    clip_norm=100.0,
)


def run(mode, process=0, processes=1):
    import jax

    nets, optimizers = CONFIG.nets(), CONFIG.optimizers()
    params = with_average(nets.init(jax.random.key(0), {}, 3), CONFIG.ema)
    state = TrainState.create(7, params, optimizers)
    update = functools.partial(stgan_step, nets=nets, loss=CONFIG.loss_parts())
    step = step_of(update, CONFIG, optimizers)
    program = parallel.compiled(step, CONFIG.batch_size, mode)
    state = program.put_state(parallel.same_everywhere(state))
    rng = np.random.default_rng(0)
    share = CONFIG.batch_size // processes
    out = {}
    for number in range(3):
        batch = rng.integers(0, 61184, (CONFIG.batch_size, 3, 4000), dtype=np.uint16)
        own = Gaits(batch[process * share : (process + 1) * share])
        state, metrics = program.step(state, program.put_batch(own), 0.3)
        for name, value in program.one(metrics).items():
            out[f"{number}/{name}"] = np.asarray(value)
    for i, leaf in enumerate(jax.tree.leaves(program.one(state))):
        out[f"state/{i:03d}"] = np.asarray(leaf)
    return out


def main(out, *arguments):
    modes = [a for a in arguments if a in parallel.MODES]
    rest = [a for a in arguments if a not in parallel.MODES]
    process, processes = 0, 1
    if rest:
        processes, process = int(rest[1]), int(rest[2])
        parallel.initialize(rest[0], processes, process)
    for mode in modes:
        np.savez(f"{out}.{mode}.{process}.npz", **run(mode, process, processes))


if __name__ == "__main__":
    main(*sys.argv[1:])
