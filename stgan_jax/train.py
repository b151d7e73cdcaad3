"""The one training loop: settings and a folder in, checkpoints out, resumed by itself."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from stgan_jax import checkpoint, experiments, metrics, parallel
from stgan_jax.errors import InputError
from stgan_jax.experiments import Experiment
from stgan_jax.settings import Settings, StganSettings, from_dict, to_dict
from stgan_jax.state import TrainState

# What may change when a run goes on.
_FREE = (
    "steps", "log_every", "save_every", "evaluate_every", "picture_every", "noise_checkpoint",
    "hold", "steps_per_call", "convolution",
)  # fmt: skip
_PROFILED = 10  # steps in a trace


def train(
    config: Settings, workdir: str | os.PathLike, mode: str = "jit", profile: bool = False
) -> bool:
    """Trains a model to its end, from the latest checkpoint in `workdir` where there is one.

    Shows a progress bar with the losses, sequences (noise GAN: contours) a second and
    the time left. Ctrl-C or SIGTERM saves and stops; the same call goes on. Leaves in
    `workdir`: `checkpoints`, `best`, `config.json`, `metrics.jsonl`, TensorBoard's events and
    `pictures`. All devices of all processes work on it; several processes share the folder.

    Args:
      config: what to train.
      workdir: folder of the run, made where it does not exist.
      mode: of `parallel.MODES`, how the step is compiled.
      profile: writes a trace of some steps to `workdir`/profile.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: the folder holds another run or cannot be written to, the noise checkpoint
        is no such thing, or a loss is not finite.
    """
    if isinstance(config, StganSettings):
        config = experiments.with_noise(config)
    Path(workdir).mkdir(parents=True, exist_ok=True)
    refuse_other_run(config, workdir)
    if (checkpoint.latest_step(workdir) or 0) >= config.steps:
        say(f"{workdir}: trained to its end already")
        return True
    if mode == "pmap" and config.batch_size // jax.device_count() % config.accumulate:
        raise InputError(
            f"each device's share of a batch of {config.batch_size} cannot be accumulated in "
            f"{config.accumulate} slices: raise batch_size, or use --parallel=jit"
        )
    refuse_kernels(config, mode)
    with contextlib.ExitStack() as stack:
        writer = checkpoint.Writer(workdir, to_dict(config))
        stack.callback(writer.close)
        experiment = experiments.prepare(config)
        held = experiment.source.everything() if config.hold else None
        program = parallel.compiled(experiment.step, config.batch_size, mode, held)
        state = parallel.same_everywhere(experiment.start(config.seed))
        state = program.put_state(writer.restore(state) or state)
        log = None
        if jax.process_index() == 0:
            log = metrics.Log(workdir, int(program.one(state.step)))
            stack.callback(log.close)
        return _train(experiment, program, state, writer, log, Path(workdir), profile)


def _train(
    experiment: Experiment,
    program: parallel.Compiled,
    state: TrainState,
    writer: checkpoint.Writer,
    log: metrics.Log | None,
    workdir: Path,
    profile: bool,
) -> bool:
    config = experiment.config

    def put(batches):
        return program.put_batch(batches[0])

    def step(state, batch):
        return program.step(state, batch, experiment.alpha)

    def told(number: int, figures: Mapping[str, Any]) -> None:
        _require_finite(number, figures, writer)

    def figures(number: int, values: Mapping[str, Any]) -> None:
        if log:
            log.figures(number, {name: float(value) for name, value in values.items()})

    def hook(number: int, state: TrainState, stopped: bool) -> dict[str, float]:
        save = stopped or due(config, number, config.save_every)
        evaluate = due(config, number, config.evaluate_every)
        draw = due(config, number, config.picture_every)
        if not (save or evaluate or draw):
            return {}
        state = program.one(state)
        _require_finite(number, {"parameters' norm": weights_norm(state)}, writer)
        seen: dict[str, float] = {}
        if evaluate and experiment.validate:
            seen = experiment.validate(state.params, experiment.alpha)
        loss = seen.get("validation/loss")
        if save or (loss is not None and loss < writer.best):
            writer.save(state, loss)
        if draw:
            for name, image in experiment.pictures(state.params).items():
                if log:
                    log.picture(number, name, image)
        return seen

    first = int(program.one(state.step))
    with profiled(workdir / "profile" if profile else None) as trace:
        return run(
            step, state, experiment, [config.seed], first, put=put, one=program.one, told=told,
            hook=hook, figures=figures, each=trace,
        )[1]  # fmt: skip


def due(config: Settings, number: int, every: int) -> bool:
    """Whether what happens every so many steps (0: never) and at the last is due at a step."""
    return every > 0 and (number % every == 0 or number == config.steps)


def weights_norm(state: TrainState) -> float:
    """Euclidean norm of all networks' parameters, which is no number where one of them is none."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(state.params)]
    return float(np.sqrt(sum(np.vdot(x, x) for x in leaves if np.issubdtype(x.dtype, np.floating))))


def run(
    step: Callable[[TrainState, Any], tuple[TrainState, dict[str, Any]]],
    state: TrainState,
    experiment: Experiment,
    seeds: list[int],
    first: int,
    *,
    put: Callable[[tuple[np.ndarray, ...]], Any],
    one: Callable[[Any], Any],
    told: Callable[[int, Mapping[str, Any]], None],
    hook: Callable[[int, TrainState, bool], metrics.Figures],
    figures: Callable[[int, Mapping[str, Any]], None],
    each: Callable[[int], None] = lambda number: None,
    lanes: int = 1,
) -> tuple[TrainState, bool]:
    """The loop itself: from step `first` to the settings' last, or until it is asked to stop.

    Args:
      step: (state, batch as `put` gives it) -> (state, metrics).
      state: at step `first`, as `step` wants it.
      experiment: what is trained.
      seeds: of the streams of batches.
      first: steps done already.
      put: sends batches to the devices, one of each seed.
      one: takes a single copy of metrics from all devices'.
      told: is given each step's metrics in its turn, and raises where they are bad.
      hook: is called after each step with its number, the state, and whether it is the last
        because of a signal; gives further figures.
      figures: is given the means since it was given some, where `log_every` says.
      each: is called with the number of the step to come.
      lanes: how many runs a step trains.

    Returns:
      the state, and whether the last step is done.
    """
    from stgan_jax.data import pipeline  # TensorFlow: only where data is fed

    config, source = experiment.config, experiment.source
    count = config.steps_per_call
    if first % count:
        raise InputError(
            f"there are {first} steps done, no multiple of steps_per_call: go on with "
            f"--config.steps_per_call=1, or a divisor of {first}"
        )
    if config.hold:
        source = source.indices()
    feeds = [
        pipeline.batches(
            source, config.batch_size, seed, first, jax.process_index(), jax.process_count()
        )
        for seed in seeds
    ]
    if config.hold:
        feeds = [pipeline.stacked(feed, count) for feed in feeds]
    feed = pipeline.on_device(zip(*feeds, strict=True), put)
    progress = tqdm(
        total=config.steps * config.batch_size * lanes,
        initial=first * config.batch_size * lanes,
        desc=f"training {config.kind}",
        unit="contour" if config.kind == "noise" else "seq",
        unit_scale=True,
        disable=jax.process_index() > 0,
    )
    window: list[dict[str, Any]] = []
    since, waited = time.perf_counter(), 0.0
    with progress, _stop_requested() as stop:
        for number in range(first + count, config.steps + 1, count):
            each(number)
            asked = time.perf_counter()
            batch = next(feed)
            waited += time.perf_counter() - asked
            state, seen = step(state, batch)
            window.append(seen)
            tell = due(config, number, config.log_every or config.steps)
            tell |= due(config, number, config.save_every)
            if jax.process_count() == 1:
                stopped = stop.is_set()
            else:  # all must stop at the same step
                stopped = tell and parallel.any_process(stop.is_set())
            tell |= stopped
            if tell:
                window = [_host(one(values)) for values in window]
                if config.hold:  # of each step in a call
                    window = [{k: v[i] for k, v in call.items()} for call in window
                              for i in range(count)]  # fmt: skip
                for i, values in enumerate(window):
                    told(number - len(window) + 1 + i, values)
            extra = hook(number, state, stopped)
            if tell:
                mean = metrics.mean(window)
                brief = {name: float(np.mean(value)) for name, value in mean.items()}
                progress.set_postfix_str(f"step {number} {metrics.line(brief)}", refresh=False)
                seconds = time.perf_counter() - since
                mean["sequences_per_second"] = np.full(
                    np.shape(mean[next(iter(mean))]), len(window) * config.batch_size / seconds
                )
                mean["share_waiting"] = np.full_like(mean["sequences_per_second"], waited / seconds)
                figures(number, {**mean, **extra})
                window, since, waited = [], time.perf_counter(), 0.0
            elif extra:
                figures(number, extra)
            progress.update(config.batch_size * lanes * count)
            if stopped and number < config.steps:
                progress.close()
                say(f"stopped at step {number}, saved: run the same command to go on")
                return state, False
    return state, True


def _host(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in values.items()}


def refuse_kernels(config: Settings, mode: str = "jit") -> None:
    """Pallas kernels are for accelerators, and jit does not share them out over devices."""
    if config.convolution != "pallas":
        return
    if jax.default_backend() == "cpu":
        raise InputError("convolution=pallas is for GPUs and TPUs: leave it out on a CPU")
    if mode == "jit" and jax.device_count() > 1:
        raise InputError(
            f"convolution=pallas is for one device or --parallel=pmap, and there are "
            f"{jax.device_count()}: leave it out, or let this process see one alone"
        )


def refuse_other_run(config: Settings, workdir: str | os.PathLike) -> None:
    """A folder goes on with the run it holds; how long and how often to save may change."""
    saved = checkpoint.settings_in(workdir)
    if saved is None:
        return
    before = to_dict(from_dict(saved))  # what is new since has its default
    # A schedule is spread over all steps.
    free = [name for name in _FREE if name != "steps" or config.schedule == "constant"]
    for name, value in to_dict(config).items():
        if name not in free and _comparable(before.get(name)) != _comparable(value):
            raise InputError(
                f"{workdir}: holds a run with {name}={before.get(name)!r}, not {value!r}: choose "
                "another --workdir, or the same settings to go on"
            )


def _comparable(value):
    """As JSON gives it back, without where the data lie: they may be moved."""
    if isinstance(value, dict):
        return {k: _comparable(v) for k, v in value.items() if k != "data_dir"}
    return [_comparable(v) for v in value] if isinstance(value, list | tuple) else value


def _require_finite(step: int, values: Mapping[str, Any], writer: checkpoint.Writer) -> None:
    """Raises `InputError` with the step, the term and the last good checkpoint."""
    for name, value in values.items():
        if not np.all(np.isfinite(value)):
            saved = writer.last_saved()
            good = (
                "nothing is saved" if saved is None else f"the checkpoint of step {saved} is good"
            )
            raise InputError(
                f"{name} is {value} at step {step}, {good}: train in another --workdir with a "
                "lower learning rate"
            )


def say(sentence: str) -> None:
    """Prints, in one of many processes."""
    if jax.process_index() == 0:
        print(sentence)


@contextlib.contextmanager
def profiled(folder: Path | None) -> Iterator[Callable[[int], None]]:
    """A function to call before each step: the third and those after it are traced to `folder`."""
    if folder is None:
        yield lambda number: None
        return
    count = itertools.count(1)
    running = False

    def each(_: int) -> None:
        nonlocal running
        number = next(count)
        if number == 3:  # compiled and warm
            jax.profiler.start_trace(os.fspath(folder))
            running = True
        elif running and number == 3 + _PROFILED:
            jax.profiler.stop_trace()
            running = False

    try:
        yield each
    finally:
        if running:
            jax.profiler.stop_trace()
        say(f"{folder}: a trace of the steps, to be opened with TensorBoard or Perfetto")


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
