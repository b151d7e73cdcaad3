"""The training loop: an experiment and a folder in, checkpoints out; it resumes by itself."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from stgan_jax.training import checkpoint, parallel, prefetch, run_log
from stgan_jax.training.experiment import Experiment
from stgan_jax.training.recorder import Recorder, RunRecorder, is_due, profiled
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import TrainState
from stgan_jax.util import files
from stgan_jax.util.errors import InputError


def train(
    settings: RunSettings,
    prepare: Callable[[RunSettings], Experiment],
    workdir: str | os.PathLike,
    mode: str = "jit",
    profile: bool = False,
) -> bool:
    """Trains a model to its end, from the latest checkpoint in `workdir` if there is one.

    Shows a progress bar with the losses, examples a second and the time left. Ctrl-C or SIGTERM
    saves and stops; the same call goes on. Leaves in `workdir`: `checkpoints`, `best`,
    `config.json`, `metrics.jsonl`, TensorBoard's events and `pictures`. All devices of all
    processes work on it; several processes share the folder.

    Args:
      settings: what to train.
      prepare: gathers what a training needs, such as `methods.catalog.prepare`.
      workdir: folder of the run, created if it does not exist.
      mode: how the step is compiled, one of `parallel.MODES`.
      profile: writes a trace of some steps to `workdir`/profile.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: the folder holds another run or cannot be written to, data are missing, or a
        loss is not finite.
    """
    settings, workdir = settings.completed(), files.local(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with locked(workdir):
        return _train(settings, prepare, workdir, mode, profile)


def locked(workdir: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps other trainings out of a folder; processes of one training share it."""
    if jax.process_index() > 0:
        return contextlib.nullcontext()
    return files.locked(workdir, "is trained in")


def _train(
    settings: RunSettings,
    prepare: Callable[[RunSettings], Experiment],
    workdir: Path,
    mode: str,
    profile: bool,
) -> bool:
    refuse_other_run(settings, workdir)
    if (checkpoint.latest_step(workdir) or 0) >= settings.steps:
        _say(f"{workdir}: trained to its end already")
        return True
    if mode == "pmap" and settings.batch_size // jax.device_count() % settings.accumulate:
        raise InputError(
            f"each device's share of a batch of {settings.batch_size} cannot be accumulated in "
            f"{settings.accumulate} slices: raise batch_size, or use --parallel=jit"
        )
    with contextlib.ExitStack() as stack:
        writer = checkpoint.Writer(workdir, settings.to_dict())
        stack.callback(writer.close)
        experiment = prepare(settings)
        refuse_many_devices(experiment, mode)
        held = experiment.source.everything() if settings.hold else None
        step = experiment.chosen_step()
        program = parallel.compiled(step, settings.batch_size, mode, held)
        state = parallel.same_everywhere(experiment.start(settings.seed))
        state = program.put_state(writer.restore(state) or state)
        first = int(program.one(state.step))
        log = None
        if jax.process_index() == 0:
            log = run_log.Log(workdir, first)
            stack.callback(log.close)
        trace = stack.enter_context(profiled(workdir / "profile" if profile else None))
        recorder = RunRecorder(experiment, program, writer, log, trace)
        return fit(experiment, program, state, recorder, experiment.alpha, [settings.seed], first)


def fit(
    experiment: Experiment,
    program: parallel.Compiled,
    state: TrainState,
    recorder: Recorder,
    alpha: Any,
    seeds: Sequence[int],
    first: int,
) -> bool:
    """The loop itself: from step `first` to the settings' last, or until a signal comes.

    Args:
      experiment: what is trained.
      program: its compiled step.
      state: the state at step `first`, laid out by `program.put_state`.
      recorder: what is called as it goes.
      alpha: weight of the noise; for lanes, the values that they differ in, by name.
      seeds: one for each stream of batches.
      first: number of steps done already.

    Returns:
      whether the last step is done.
    """
    settings, count = experiment.settings, experiment.settings.steps_per_call
    feed = prefetch.on_device(
        batches(experiment, seeds, first), lambda each: program.put_batch(*each)
    )
    progress = tqdm(
        total=settings.steps * settings.batch_size * recorder.lanes,
        initial=first * settings.batch_size * recorder.lanes,
        desc=f"training {settings.kind}",
        unit=settings.UNIT,
        unit_scale=True,
        disable=jax.process_index() > 0,
    )
    window: list[dict[str, Any]] = []  # metrics since the last log
    since, waited = time.perf_counter(), 0.0
    with progress, _stop_signal() as stop:
        for number in range(first + count, settings.steps + 1, count):
            recorder.before_step(number)
            asked = time.perf_counter()
            batch = next(feed)
            waited += time.perf_counter() - asked
            state, metrics = program.step(state, batch, alpha)
            window.append(metrics)

            log = is_due(settings, number, settings.log_every or settings.steps)
            log |= is_due(settings, number, settings.save_every)
            if jax.process_count() == 1:
                stopped = stop.is_set()
            else:  # all must stop at the same step
                stopped = log and parallel.any_process(stop.is_set())
            log |= stopped

            if log:
                window = _each_step([program.one(metrics) for metrics in window], settings)
                for i, values in enumerate(window):
                    recorder.on_metrics(number - len(window) + 1 + i, values)
            figures: dict[str, Any] = recorder.after_step(number, state, stopped)
            if log:
                means = run_log.mean(window)
                brief = {name: float(np.nanmean(value)) for name, value in means.items()}
                progress.set_postfix_str(f"step {number} {run_log.line(brief)}", refresh=False)
                seconds = time.perf_counter() - since
                figures = means | _speed(means, window, settings, seconds, waited) | figures
                window, since, waited = [], time.perf_counter(), 0.0
            if figures:
                recorder.on_means(number, figures)
            progress.update(settings.batch_size * recorder.lanes * count)
            if stopped and number < settings.steps:
                progress.close()
                _say(f"stopped at step {number}, saved: run the same command to go on")
                return False
    return True


def batches(experiment: Experiment, seeds: Sequence[int], first: int) -> Iterator[tuple]:
    """Batches of each seed, from step `first` on, as the compiled step takes them."""
    settings, source = experiment.settings, experiment.source
    if first % settings.steps_per_call:
        raise InputError(
            f"there are {first} steps done, no multiple of steps_per_call: go on with "
            f"--config.steps_per_call=1, or a divisor of {first}"
        )
    if settings.hold:
        source = source.indices()
    process, processes = jax.process_index(), jax.process_count()
    each = [source.batches(settings.batch_size, seed, first, process, processes) for seed in seeds]
    if settings.hold:
        each = [prefetch.stacked(batches, settings.steps_per_call) for batches in each]
    return zip(*each, strict=True)


def _each_step(window: list[dict[str, Any]], settings: RunSettings) -> list[dict[str, Any]]:
    """The metrics of each single step, on the host; a call of a step that holds has several."""
    window = [{name: np.asarray(value) for name, value in call.items()} for call in window]
    if not settings.hold:
        return window
    return [
        {name: value[i] for name, value in call.items()}
        for call in window
        for i in range(settings.steps_per_call)
    ]


def _speed(
    means: Mapping[str, Any],
    window: list[dict[str, Any]],
    settings: RunSettings,
    seconds: float,
    waited: float,
) -> dict[str, Any]:
    """Examples a second of each lane, and the share of the time that was spent waiting for data."""
    shape = np.shape(means[next(iter(means))])
    rate = np.full(shape, len(window) * settings.batch_size / seconds)
    return {"sequences_per_second": rate, "share_waiting": np.full_like(rate, waited / seconds)}


def refuse_many_devices(experiment: Experiment, mode: str) -> None:
    """Raises `InputError` if the compiler would have to share kernels over devices."""
    if experiment.one_device and mode == "jit" and jax.device_count() > 1:
        raise InputError(
            f"{experiment.one_device} is for one device or --parallel=pmap, and there are "
            f"{jax.device_count()}: leave it out, or let this process see one alone"
        )


def refuse_other_run(settings: RunSettings, workdir: str | os.PathLike) -> None:
    """Raises `InputError` if the folder holds another run than the one of these settings."""
    saved = checkpoint.settings_in(workdir)
    if saved is None:
        return
    if saved.get("kind") == settings.kind:
        try:
            before = type(settings).from_saved(saved)
        except InputError as error:
            raise InputError(f"{workdir}: {error}") from error
        name = settings.differing(before)
        old, new = before.to_dict().get(name or ""), settings.to_dict().get(name or "")
    else:
        name, old, new = "kind", saved.get("kind"), settings.kind
    if name is not None:
        raise InputError(
            f"{workdir}: holds a run with {name}={old!r}, not {new!r}: choose "
            "another --workdir, or the same settings to go on"
        )


def _say(sentence: str) -> None:
    """Prints, in one of many processes."""
    if jax.process_index() == 0:
        print(sentence)


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
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
