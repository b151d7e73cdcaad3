"""Sweeps: every lane a run of its own, as many of them in one compiled step as the devices hold."""

import contextlib
import functools
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from stgan_jax.training import checkpoint, loop, parallel, plan, run_log, sweep_report, tuning
from stgan_jax.training.experiment import Experiment
from stgan_jax.training.lanes import Grid, Lane, common, groups_of, lanes_of
from stgan_jax.training.recorder import is_due, weights_norm
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import TrainState
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

Prepare = Callable[[RunSettings], Experiment]


def sweep(
    settings: RunSettings,
    prepare: Prepare,
    grid: Grid,
    seeds: Sequence[int],
    workdir: str | os.PathLike,
    at_once: int = 0,
) -> bool:
    """Trains a model for every point of a grid and every seed, and goes on where it was stopped.

    Each lane is the run that `loop.train` would make with its settings, in a folder that every
    other command takes for one. Lanes that differ in `RunSettings.TRACED` and seeds alone train
    in one compiled step, in rounds where they do not fit all at once; those of one seed get the
    same batches and noise. At the end `sweep.csv`, `sweep_means.csv` and `sweep.png` lie in
    `workdir`; `sweep.json` keeps which lanes trained together, as a resumed sweep has to know.

    Args:
      settings: settings of all lanes, but for the grid and the seed.
      prepare: gathers what a training needs, such as `methods.catalog.prepare`.
      grid: numeric setting -> its values, each different.
      seeds: different.
      workdir: folder of the sweep, created if it does not exist.
      at_once: lanes of a round; 0 for as many as fit.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: see `loop.train`; and if a lane's figures are not finite: the others are trained
        to their end first.
    """
    if jax.process_count() > 1:
        raise InputError("a sweep runs in one process, on all of its devices")
    workdir = files.local(workdir)
    lanes = lanes_of(settings, grid, seeds, workdir)
    with contextlib.ExitStack() as stack:
        for lane in lanes:
            lane.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(loop.locked(lane.folder))
        for lane in lanes:
            loop.refuse_other_run(lane.settings, lane.folder)
        return _sweep(_prepared_once(prepare), lanes, workdir, at_once)


def planned(
    settings: RunSettings, prepare: Prepare, grid: Grid, seeds: Sequence[int], at_once: int = 0
) -> str:
    """What a sweep takes on the present devices, as a table; nothing is trained.

    Of each network that its lanes have: memory and least work of the step of 1, 2, 4, ... lanes
    and of all, how many fit, and how many rounds it takes.
    """
    device = plan.published(jax.devices()[0].device_kind)
    limit, lines = plan.memory_limit(), [plan.heading()]
    for group in groups_of(lanes_of(settings, grid, seeds, Path())):
        experiment = prepare(common(group[0]))
        counts = {*itertools.takewhile(len(group).__gt__, (2**i for i in itertools.count()))}
        for count in sorted({*counts, len(group), at_once or 1}):
            cost = plan.cost(traced(experiment, group[:count]))
            fits = cost.memory is not None and (limit is None or cost.memory.total <= limit)
            lines.append(plan.row(count, cost, device, fits))
        rounds = -(-len(group) // (at_once or fitting(prepare, group, exact=True)))
        lines.append(f"{len(group)} lanes as {group[0].name}: {rounds} round(s)")
    return "\n".join(lines)


def _prepared_once(prepare: Prepare) -> Prepare:
    """`prepare`, which reads or renders the data, once for rounds of the same settings."""
    last: dict[RunSettings, Experiment] = {}

    def prepared(settings):
        if settings not in last:
            last.clear()
            last[settings] = prepare(settings)
        return last[settings]

    return prepared


def _sweep(prepare: Prepare, lanes: list[Lane], workdir: Path, at_once: int) -> bool:
    if all(
        lane.diverged.exists() or lane.settings.steps in checkpoint.saved_steps(lane.folder)
        for lane in lanes
    ):
        print(f"{workdir}: trained to its end already")
    else:
        rounds = _rounds(prepare, lanes, workdir, at_once)
        for number, each in enumerate(rounds, 1):
            if len(rounds) > 1:
                print(f"round {number} of {len(rounds)}: {len(each)} lanes", flush=True)
            if not _train(prepare, each):
                return False
    sweep_report.write([(lane.values, lane.settings.seed, lane.folder) for lane in lanes], workdir)
    lost = [lane.name for lane in lanes if lane.diverged.exists()]
    if lost:
        raise InputError(
            f"{', '.join(lost)}: not finite, see diverged.json in {workdir}: sweep these "
            "again with a lower learning rate, in another --workdir"
        )
    return True


def _rounds(prepare: Prepare, lanes: list[Lane], workdir: Path, at_once: int) -> list[list[Lane]]:
    """Which lanes train together.

    Those that have begun stay together: their figures depend on it in the last bits.
    """
    named, devices = {lane.name: lane for lane in lanes}, jax.device_count()
    path, rounds = workdir / "sweep.json", []
    if path.exists():
        for names in json.loads(path.read_text())["rounds"]:
            known = [named[name] for name in names if name in named]
            if any(checkpoint.saved_steps(lane.folder) for lane in known):
                rounds.append(known)
                named = {name: lane for name, lane in named.items() if lane not in known}
    for group in groups_of(named.values()):
        most = min(at_once or fitting(prepare, group), len(group))
        count = -(-len(group) // most)
        # As even as devices can share: rounds of a size compile once.
        size = min(most, -(-len(group) // count // devices) * devices)
        rounds += [group[i : i + size] for i in range(0, len(group), size)]
    with files.replacing(path) as beside:
        kept = {"rounds": [[lane.name for lane in each] for each in rounds]}
        beside.write_text(json.dumps(kept, indent=1) + "\n")
    return rounds


def fitting(prepare: Prepare, lanes: Sequence[Lane], exact: bool = False) -> int:
    """How many of a group's lanes the devices' memory holds at once; at least one.

    On a CPU lanes follow each other, and their states are what counts: nothing is compiled to
    find out, unless it has to be exact.
    """
    limit = plan.memory_limit()
    if limit is None or len(lanes) == 1:
        return len(lanes)
    experiment = prepare(common(lanes[0]))
    if jax.default_backend() == "cpu" and not exact:
        state = jax.eval_shape(lambda: experiment.start(0))
        return max(1, min(len(lanes), limit // (3 * plan.bytes_of(state))))

    def need(count: int) -> int | None:
        cost = plan.cost(traced(experiment, lanes[:count]))
        return None if cost.memory is None else cost.memory.total

    return plan.largest(need, len(lanes), limit, jax.device_count())


def traced(experiment: Experiment, lanes: Sequence[Lane]) -> jax.stages.Traced:
    """The step of so many lanes before it is compiled; nothing is computed."""
    step = experiment.chosen_step(len(lanes))
    program, values, seeds = _program(experiment, lanes, step)
    one = jax.eval_shape(lambda: experiment.start(seeds[0]))
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct((len(lanes), *x.shape), x.dtype), one)
    batch = next(loop.batches(experiment, seeds, 0))
    assert program.trace
    return program.trace(state, program.put_batch(*batch), values)


def _program(
    experiment: Experiment, lanes: Sequence[Lane], step: parallel.Step, way: str = ""
) -> tuple[parallel.Compiled, dict[str, np.ndarray], list[int]]:
    """The compiled step of lanes, the values that they differ in, and their seeds."""
    settings = experiment.settings
    held = experiment.source.everything() if settings.hold else None
    seeds = list(dict.fromkeys(lane.settings.seed for lane in lanes))
    rows = np.array([seeds.index(lane.settings.seed) for lane in lanes])
    points = [dict(lane.values) for lane in lanes]
    values = {
        name: np.array([point[name] for point in points], np.float32)
        for name in settings.TRACED
        if name in points[0]
    }
    if hasattr(settings, "alpha"):
        alphas = [getattr(lane.settings, "alpha") for lane in lanes]  # noqa: B009
        values["alpha"] = np.array(alphas, np.float32)
    return parallel.lanes_compiled(step, rows, held, way), values, seeds


def _fastest_program(
    experiment: Experiment, lanes: Sequence[Lane], state: TrainState
) -> tuple[parallel.Compiled, dict[str, np.ndarray], list[int]]:
    """`_program`, on an accelerator by the ways that are fastest there."""
    step = experiment.chosen_step(len(lanes))
    if jax.default_backend() == "cpu" or jax.device_count() > 1 or len(lanes) == 1:
        return _program(experiment, lanes, step)
    batch = next(loop.batches(experiment, _program(experiment, lanes, step)[2], 0))

    def build(way: str) -> tuning.Call:
        program, values, _ = _program(experiment, lanes, step, way)
        own, inputs = program.put_state(state), program.put_batch(*batch)

        def call():
            nonlocal own
            own, metrics = jax.block_until_ready(program.step(own, inputs, values))
            return {k: v for k, v in metrics.items() if k.startswith(("loss/", "gradient_norm/"))}

        return call

    ways = {way: functools.partial(build, way) for way in parallel.LANES}
    sizes = jax.tree.map(np.shape, (state, batch))
    about = f"{len(lanes)} lanes of {experiment.settings.kind}"
    choice = tuning.fastest(
        tuning.Piece("lanes", ways, None, about, f"{experiment.settings} {sizes}")
    )
    return _program(experiment, lanes, step, choice.way)


def _train(prepare: Prepare, lanes: list[Lane]) -> bool:
    """One round, from the newest step that all its lanes have saved."""
    first = _common_step(lanes)
    if first >= lanes[0].settings.steps or all(lane.diverged.exists() for lane in lanes):
        return True
    experiment = prepare(common(lanes[0]))
    loop.refuse_many_devices(experiment, "jit")
    with contextlib.ExitStack() as stack:
        writers = [checkpoint.Writer(lane.folder, lane.settings.to_dict()) for lane in lanes]
        for writer in writers:
            stack.callback(writer.close)
        initial = {seed: experiment.start(seed) for seed in {x.settings.seed for x in lanes}}
        states = []
        for lane, writer in zip(lanes, writers, strict=True):
            state = initial[lane.settings.seed]
            saved = None
            if first in checkpoint.saved_steps(lane.folder):
                saved = writer.restore(state, first)
            states.append(saved or state.replace(step=np.asarray(first, np.int32)))
        logs = [run_log.Log(lane.folder, first) for lane in lanes]
        for log in logs:
            stack.callback(log.close)
        together = parallel.stacked(states)
        program, values, seeds = _fastest_program(experiment, lanes, together)
        recorder = _LanesRecorder(experiment, lanes, writers, logs)
        state = program.put_state(together)
        try:
            return loop.fit(experiment, program, state, recorder, values, seeds, first)
        except _AllDivergedError:
            return True


def _common_step(lanes: list[Lane]) -> int:
    """The newest step that all lanes have saved: a kill may come between two lanes' saves."""
    saved = [set(checkpoint.saved_steps(x.folder)) for x in lanes if not x.diverged.exists()]
    if not all(saved):  # a lane has none yet: from the start
        return 0
    common = set.intersection(*saved) if saved else set()
    if saved and not common:
        raise InputError(
            f"{lanes[0].folder.parent}: the lanes have no step in common: sweep them as before, "
            "or in another --workdir"
        )
    return max(common, default=0)


class _AllDivergedError(Exception):
    """No lane of a round is left."""


class _LanesRecorder:
    """The recorder of a round: what `recorder.RunRecorder` does, for each lane in its folder.

    A lane that is not finite any more stops: it is recorded no further. The others go on.
    """

    def __init__(
        self,
        experiment: Experiment,
        lanes: list[Lane],
        writers: list[checkpoint.Writer],
        logs: list[run_log.Log],
    ):
        self.lanes = len(lanes)
        self._experiment = experiment
        self._each = list(zip(lanes, writers, logs, strict=True))
        self._lost = {i for i, lane in enumerate(lanes) if lane.diverged.exists()}

    def before_step(self, number: int) -> None:
        """Nothing."""

    def on_metrics(self, number: int, metrics: Mapping[str, Any]) -> None:
        """See `recorder.Recorder`."""
        for i in range(self.lanes):
            self._check(number, i, {name: value[i] for name, value in metrics.items()})

    def _check(self, number: int, i: int, figures: Mapping[str, Any]) -> None:
        lane = self._each[i][0]
        bad = [name for name, value in figures.items() if not np.isfinite(value)]
        if bad and i not in self._lost:
            self._lost.add(i)
            with files.replacing(lane.diverged) as beside:
                beside.write_text(json.dumps({"step": number, "figures": bad}) + "\n")
            left = self.lanes - len(self._lost)
            tqdm.write(f"{lane.name} stops: {bad[0]} is not finite at step {number}; {left} go on")
            if not left:
                raise _AllDivergedError

    def on_means(self, number: int, means: Mapping[str, Any]) -> None:
        """See `recorder.Recorder`."""
        for i, (_, _, log) in enumerate(self._each):
            if i not in self._lost:
                log.figures(number, {name: float(value[i]) for name, value in means.items()})

    def after_step(self, number: int, state: TrainState, stopped: bool) -> dict[str, float]:
        """Validates and saves each lane where it is due."""
        settings, validate = self._experiment.settings, self._experiment.validate
        save = stopped or is_due(settings, number, settings.save_every)
        evaluate = is_due(settings, number, settings.evaluate_every)
        for i, (lane, writer, log) in enumerate(self._each):
            if i in self._lost or not (save or evaluate):
                continue
            own, loss = parallel.lane(state, i), None
            self._check(number, i, {"parameters' norm": weights_norm(own)})
            if i in self._lost:
                continue
            if evaluate and validate:
                figures = validate(own.params, getattr(lane.settings, "alpha", 0.0))
                log.figures(number, figures)
                loss = figures["validation/loss"]
            if save or (loss is not None and loss < writer.best):
                writer.save(own, loss)
        return {}
