"""The one training loop: settings and a folder in, checkpoints out, resumed by itself."""

import contextlib
import dataclasses
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, UInt, UInt16
from tqdm import tqdm

from stgan_jax import checkpoint, contour, steps
from stgan_jax.data import walkers
from stgan_jax.errors import InputError
from stgan_jax.models.noise import ContourBasis
from stgan_jax.settings import (
    NoiseSettings,
    Settings,
    StganSettings,
    WalkerData,
    from_dict,
    to_dict,
)
from stgan_jax.state import TrainState

if TYPE_CHECKING:
    from stgan_jax.data import pipeline

Step = Callable[[TrainState, jax.Array], tuple[TrainState, steps.Metrics]]


def train(config: Settings, workdir: str | os.PathLike) -> bool:
    """Trains a model to its end, from the latest checkpoint in `workdir` where there is one.

    Shows a progress bar with the losses, sequences (noise GAN: contours) a second and
    the time left. Ctrl-C or SIGTERM saves and stops; the same call goes on.

    Args:
      config: what to train.
      workdir: folder of the run, made where it does not exist.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: the folder holds another run, the noise checkpoint is no such thing,
        or a loss is not finite.
    """
    noise_params = {}
    if isinstance(config, StganSettings):
        noise = checkpoint.load(config.noise_checkpoint, NoiseSettings.kind)
        config, noise_params = _with_noise(config, noise), noise.params()
    Path(workdir).mkdir(parents=True, exist_ok=True)
    _refuse_other_run(config, workdir)
    if (checkpoint.latest_step(workdir) or 0) >= config.steps:
        print(f"{workdir}: trained to its end already")
        return True
    source, frames = _source(config)
    if isinstance(config, StganSettings):
        state, step = stgan_start(config, noise_params)
    else:
        assert frames is not None
        state, step = noise_start(config, frames)
    writer = checkpoint.Writer(workdir, to_dict(config))
    try:
        return _loop(config, writer.restore_latest(state) or state, step, source, writer)
    finally:
        writer.close()


def _source(config: Settings) -> tuple["pipeline.Source", UInt[np.ndarray, "N *shape"] | None]:
    """What a training draws from, and the same as an array where it lies in memory.

    The noise GAN wants single frames, in memory.
    """
    from stgan_jax.data import datasets, pipeline  # TensorFlow: only where data is fed

    data = config.data
    if not data.dataset:
        rendered = render(data)
    else:
        sequences = datasets.Sequences(
            data.dataset,
            data.data_dir,
            range(data.first_subject, data.last_subject + 1),
            data.views,
            data.walks,
            data.frames,
        )
        source = pipeline.sequence_source(
            sequences,
            frames=data.frames,
            codec=data.codec,
            window=data.window,
            mirror=data.mirror,
            seed=config.seed,
        )
        if isinstance(config, StganSettings):
            return source, None
        every = np.arange(source.count)
        rendered = np.concatenate(
            [source.fetch(every[[i]], every[[i]]) for i in tqdm(every, "reading", unit="seq")]
        )
    if isinstance(config, NoiseSettings):
        rendered = rendered.reshape(-1, contour.DIM)
    return pipeline.array_source(rendered), rendered


def render(data: WalkerData) -> UInt16[np.ndarray, "N T 4000"]:
    """Ideal walkers' contours that settings ask for."""
    subjects = range(data.first_subject, data.last_subject + 1)
    return walkers.contours(subjects, data.views, data.walks, data.frames, data.codec)


def noise_start(
    config: NoiseSettings, frames: UInt[np.ndarray, "N 4000"]
) -> tuple[TrainState, Step]:
    """First state and compiled step of a noise GAN, its basis fitted to at most 3000 frames."""
    nets, optimizers = config.nets(), config.optimizers()
    basis = ContourBasis.identity()
    if config.basis_size:
        sample = frames[:: -(-len(frames) // 3000)]
        basis = ContourBasis.fit(contour.fixed_to_unit(sample), config.basis_size)
    params = nets.init(jax.random.key(config.seed), basis)
    step = functools.partial(
        steps.noise_step, nets=nets, optimizers=optimizers, r1=config.r1, ema=config.ema
    )
    return TrainState.create(config.seed, params, optimizers), jax.jit(step, donate_argnums=0)


def stgan_start(config: StganSettings, noise_params: dict) -> tuple[TrainState, Step]:
    """First state and compiled step of an ST-GAN on a trained noise GAN's parameters."""
    nets, optimizers = config.nets(), config.optimizers()
    params = nets.init(jax.random.key(config.seed), noise_params, config.data.frames)
    step = jax.jit(
        functools.partial(steps.stgan_step, nets=nets, optimizers=optimizers, loss=config.loss()),
        donate_argnums=0,
    )
    state = TrainState.create(config.seed, params, optimizers)
    return state, lambda state, batch: step(state, batch, config.alpha)


def _with_noise(config: StganSettings, noise: checkpoint.Checkpoint) -> StganSettings:
    noise_run = from_dict(noise.settings)
    assert isinstance(noise_run, NoiseSettings)
    if noise_run.data.codec != config.data.codec:
        raise InputError(
            f"{config.noise_checkpoint}: trained on {noise_run.data.codec} contours and this run "
            f"uses {config.data.codec} ones: train a noise GAN with the same codec"
        )
    return dataclasses.replace(config, noise_run=noise_run)


def _refuse_other_run(config: Settings, workdir: str | os.PathLike) -> None:
    """A folder goes on with the run it holds; how long and how often to save may change."""
    saved = checkpoint.settings_in(workdir)
    free = ("steps", "log_every", "save_every", "noise_checkpoint")
    for name, value in to_dict(config).items():
        if saved and name not in free and _comparable(saved.get(name)) != _comparable(value):
            raise InputError(
                f"{workdir}: holds a run with {name}={saved.get(name)!r}, not {value!r}: choose "
                "another --workdir, or the same settings to go on"
            )


def _comparable(value):
    """As JSON gives it back, without where the data lie: they may be moved."""
    if isinstance(value, dict):
        return {k: _comparable(v) for k, v in value.items() if k != "data_dir"}
    return [_comparable(v) for v in value] if isinstance(value, list | tuple) else value


def _loop(
    config: Settings,
    state: TrainState,
    step: Step,
    source: "pipeline.Source",
    writer: checkpoint.Writer,
) -> bool:
    from stgan_jax.data import pipeline

    first = int(state.step)
    feed = pipeline.on_device(pipeline.batches(source, config.batch_size, config.seed, first))
    progress = tqdm(
        total=config.steps * config.batch_size,
        initial=first * config.batch_size,
        desc=f"training {config.kind}",
        unit="seq" if len(source.shape) == 2 else "contour",
        unit_scale=True,
    )
    with progress, _stop_requested() as stop:
        for number in range(first + 1, config.steps + 1):
            state, metrics = step(state, next(feed))
            stopped, save = stop.is_set(), number % config.save_every == 0
            if save or stopped or number % config.log_every == 0 or number == config.steps:
                progress.set_postfix_str(_line(number, metrics), refresh=False)
            progress.update(config.batch_size)
            if save or stopped or number == config.steps:
                _require_finite(number, {"parameters' norm": optax.tree.norm(state.params)})
                writer.save(state)
            if stopped and number < config.steps:
                progress.close()
                print(f"stopped at step {number}, saved: run the same command to go on")
                return False
    return True


@contextlib.contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that no step is torn; a second one kills."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number, _):
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(step: int, metrics: steps.Metrics) -> str:
    """The losses in brief; refuses to go on without numbers."""
    _require_finite(step, metrics)
    shown = (f"{name[5:]} {v:.3g}" for name, v in metrics.items() if name.startswith("loss/"))
    return f"step {step} " + " ".join(shown)


def _require_finite(step: int, values: Mapping[str, Float[Array, ""]]) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise InputError(
                f"{name} is {value} at step {step}: train in another --workdir with a lower "
                "learning rate"
            )
