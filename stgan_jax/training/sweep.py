"""Sweeps over alpha and seeds: every lane a run of its own, all of them in one compiled step."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stgan_jax.training import checkpoint, loop, parallel, run_log
from stgan_jax.training.experiment import Experiment
from stgan_jax.training.recorder import is_due, weights_norm
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import TrainState
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

# Columns of the table of last figures, for those figures that a lane has.
_COLUMNS = {
    "validation/share_of_noise": "share of noise",
    "validation/rec": "validation rec",
    "validation/per": "validation per",
    "loss/gen": "loss G",
    "accuracy/spatial_fake": "D_S right on fake",
    "accuracy/temporal_fake": "D_T right on fake",
}


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run of a sweep, in its own folder `alpha=A,seed=S`."""

    settings: Any  # RunSettings with an `alpha`
    folder: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def diverged(self) -> Path:
        """A file that says when and in which figure the lane ceased to be finite, if it did."""
        return self.folder / "diverged.json"


def sweep(
    settings: RunSettings,
    prepare: Callable[[RunSettings], Experiment],
    alphas: Sequence[float],
    seeds: Sequence[int],
    workdir: str | os.PathLike,
) -> bool:
    """Trains a model for every alpha and seed at once, and goes on where a sweep was stopped.

    Each lane is the run that `loop.train` would make with its alpha and seed, in a folder that
    every other command takes for one. Lanes of one seed get the same batches and noise. At the
    end `sweep.csv` and `sweep.png` lie in `workdir`.

    Args:
      settings: settings of all lanes, but for alpha and seed.
      prepare: gathers what a training needs, such as `methods.catalog.prepare`.
      alphas: different, not negative.
      seeds: different.
      workdir: folder of the sweep, created if it does not exist.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: see `loop.train`; and if a lane's figures are not finite: the others are trained
        to their end first.
    """
    if not hasattr(settings, "alpha"):
        raise InputError(
            f"a {settings.kind!r} training has no alpha: sweep over configs/stgan.py, wifs.py or "
            "color.py"
        )
    if jax.process_count() > 1:
        raise InputError("a sweep runs in one process, on all of its devices")
    for name, values in (("alphas", alphas), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise InputError(f"--{name}: name at least one, and each once")
    settings = settings.completed().for_lanes(seeds[0])
    workdir = files.local(workdir)
    lanes = [
        Lane(
            dataclasses.replace(settings, alpha=alpha, seed=seed),  # type: ignore[call-arg]
            workdir / f"alpha={alpha:g},seed={seed}",
        )
        for seed in seeds
        for alpha in alphas
    ]
    with contextlib.ExitStack() as stack:
        for lane in lanes:
            lane.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(loop.locked(lane.folder))
        return _sweep(settings, prepare, lanes, seeds, workdir)


def _sweep(
    settings: RunSettings,
    prepare: Callable[[RunSettings], Experiment],
    lanes: list[Lane],
    seeds: Sequence[int],
    workdir: Path,
) -> bool:
    for lane in lanes:
        loop.refuse_other_run(lane.settings, lane.folder)
    first = _common_step(lanes)
    finished = first >= settings.steps
    if finished:
        print(f"{workdir}: trained to its end already")
    else:
        with contextlib.ExitStack() as stack:
            finished = _train(prepare(settings), lanes, seeds, first, stack)
    if finished:
        _report(lanes, workdir)
        lost = [lane.name for lane in lanes if lane.diverged.exists()]
        if lost:
            raise InputError(
                f"{', '.join(lost)}: not finite, see diverged.json in {workdir}: sweep these "
                "again with a lower learning rate, in another --workdir"
            )
    return finished


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


def _train(
    experiment: Experiment,
    lanes: list[Lane],
    seeds: Sequence[int],
    first: int,
    stack: contextlib.ExitStack,
) -> bool:
    loop.refuse_many_devices(experiment, "jit")
    settings = experiment.settings
    writers = [checkpoint.Writer(lane.folder, lane.settings.to_dict()) for lane in lanes]
    for writer in writers:
        stack.callback(writer.close)
    initial = {seed: experiment.start(seed) for seed in seeds}
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
    held = experiment.source.everything() if settings.hold else None
    rows = np.array([list(seeds).index(lane.settings.seed) for lane in lanes])
    program = parallel.lanes_compiled(experiment.step, rows, held)
    alphas = np.array([lane.settings.alpha for lane in lanes], np.float32)
    recorder = _LanesRecorder(experiment, lanes, writers, logs)
    state = program.put_state(parallel.stacked(states))
    return loop.fit(experiment, program, state, recorder, alphas, list(seeds), first)


class _LanesRecorder:
    """The recorder of a sweep: what `recorder.RunRecorder` does, for each lane in its folder.

    A lane that is not finite any more is recorded no further; the others go on.
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
            print(f"{lane.name}: {bad[0]} is not finite at step {number}; the others go on")

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
                figures = validate(own.params, lane.settings.alpha)
                log.figures(number, figures)
                loss = figures["validation/loss"]
            if save or (loss is not None and loss < writer.best):
                writer.save(own, loss)
        return {}


def _report(lanes: list[Lane], workdir: Path) -> None:
    """Prints the lanes' last figures as a table and draws them over alpha."""
    rows: list[dict[str, Any]] = []
    for lane in lanes:
        row: dict[str, Any] = {"alpha": lane.settings.alpha, "seed": lane.settings.seed}
        for line in run_log.read(lane.folder / "metrics.jsonl"):
            row |= {_COLUMNS[name]: value for name, value in line.items() if name in _COLUMNS}
        rows.append(row)
    known = [name for name in _COLUMNS.values() if any(name in row for row in rows)]
    columns = ["alpha", "seed", *known]
    files.write_table(workdir / "sweep.csv", rows)
    print("  ".join(f"{name:>{max(8, len(name))}}" for name in columns))
    for row in rows:
        cells = (row.get(name, float("nan")) for name in columns)
        pairs = zip(cells, columns, strict=True)
        print("  ".join(f"{cell:>{max(8, len(name))}.4g}" for cell, name in pairs))
    _plot(rows, known, workdir / "sweep.png")
    print(f"{workdir / 'sweep.csv'}, {workdir / 'sweep.png'}: the same as a file and a picture")


def _plot(rows: list[dict[str, Any]], columns: list[str], path: Path) -> None:
    import matplotlib.figure  # slow to load

    height = -(-len(columns) // 3)
    figure = matplotlib.figure.Figure(figsize=(9.6, 2.9 * height), layout="constrained")
    axes = figure.subplots(height, 3, squeeze=False).ravel()
    for axis in axes[len(columns) :]:
        axis.remove()
    for axis, name in zip(axes, columns, strict=False):
        for seed in dict.fromkeys(row["seed"] for row in rows):
            points = sorted(
                (row["alpha"], row[name]) for row in rows if row["seed"] == seed and name in row
            )
            if points:
                axis.plot(*zip(*points, strict=True), "o-", label=f"seed {seed}")
        axis.set(xlabel="alpha", title=name)
        axis.grid(alpha=0.3)
    axes[0].legend()
    with files.replacing(path) as beside:
        figure.savefig(beside, dpi=110)
