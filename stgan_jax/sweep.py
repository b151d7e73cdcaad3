"""Sweeps over alpha and seeds: every lane a run of its own, all of them in one compiled step."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stgan_jax import checkpoint, experiments, files, metrics, parallel, train
from stgan_jax.errors import InputError
from stgan_jax.settings import (
    NoiseSettings,
    RetargetSettings,
    Settings,
    SilhouetteSettings,
    StganSettings,
    WifsSettings,
    to_dict,
)

# What a lane's last figures are called in the table, where there are such.
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

    config: Settings
    folder: Path

    @property
    def name(self) -> str:
        """As its folder."""
        return self.folder.name

    @property
    def diverged(self) -> Path:
        """A file that tells when and in what the lane was not finite any more; else it is not."""
        return self.folder / "diverged.json"


def sweep(
    config: Settings, alphas: Sequence[float], seeds: Sequence[int], workdir: str | os.PathLike
) -> bool:
    """Trains a model for every alpha and seed at once, and goes on where a sweep was stopped.

    Each lane is the run that `train.train` would make with its alpha and seed, in a folder
    that every other command takes for one. Lanes of one seed see the same batches and noise.
    At the end `sweep.csv` and `sweep.png` lie in `workdir`.

    Args:
      config: of all lanes, but for alpha and seed.
      alphas: different, not negative.
      seeds: different.
      workdir: folder of the sweep, made where it does not exist.

    Returns:
      whether it is trained to its end, and was not stopped before.

    Raises:
      InputError: see `train.train`; and where a lane's figures are not finite: the others are
        trained to their end first.
    """
    if isinstance(config, NoiseSettings | RetargetSettings | SilhouetteSettings):
        raise InputError(
            f"a {config.kind!r} training has no alpha: sweep over configs/stgan.py or its like"
        )
    if jax.process_count() > 1:
        raise InputError("a sweep runs in one process, on all of its devices")
    for name, values in (("alphas", alphas), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise InputError(f"--{name}: name at least one, and each once")
    train.refuse_kernels(config)
    if isinstance(config, StganSettings):
        config = experiments.with_noise(config)
    elif isinstance(config, WifsSettings):  # one for all lanes: they share their batches
        drawn = experiments.noise_subject(dataclasses.replace(config, seed=seeds[0]))
        config = dataclasses.replace(config, noise_subject=drawn)
    lanes = [
        Lane(
            dataclasses.replace(config, alpha=alpha, seed=seed),
            Path(workdir) / f"alpha={alpha:g},seed={seed}",
        )
        for seed in seeds
        for alpha in alphas
    ]
    for lane in lanes:
        lane.folder.mkdir(parents=True, exist_ok=True)
        train.refuse_other_run(lane.config, lane.folder)
    first = _common_step(lanes)
    done = first >= config.steps
    if done:
        print(f"{workdir}: trained to its end already")
    else:
        with contextlib.ExitStack() as stack:
            done = _train(config, lanes, seeds, first, stack)
    if done:
        _report(lanes, Path(workdir))
        lost = [lane.name for lane in lanes if lane.diverged.exists()]
        if lost:
            raise InputError(
                f"{', '.join(lost)}: not finite, see diverged.json in {workdir}: sweep these "
                "again with a lower learning rate, in another --workdir"
            )
    return done


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
    config: Settings,
    lanes: list[Lane],
    seeds: Sequence[int],
    first: int,
    stack: contextlib.ExitStack,
) -> bool:
    writers = [checkpoint.Writer(lane.folder, to_dict(lane.config)) for lane in lanes]
    for writer in writers:
        stack.callback(writer.close)
    experiment = experiments.prepare(config)
    states = []
    started = {seed: experiment.start(seed) for seed in seeds}
    for lane, writer in zip(lanes, writers, strict=True):
        fresh = started[lane.config.seed]
        kept = (
            writer.restore(fresh, first) if first in checkpoint.saved_steps(lane.folder) else None
        )
        states.append(kept or fresh.replace(step=np.asarray(first, np.int32)))
    held = experiment.source.everything() if config.hold else None
    program = parallel.lanes_compiled(experiment.step, len(lanes), held)
    rows = np.array([list(seeds).index(lane.config.seed) for lane in lanes])
    alphas = np.array([_alpha(lane) for lane in lanes], np.float32)
    logs = [metrics.Log(lane.folder, first) for lane in lanes]
    for log in logs:
        stack.callback(log.close)
    lost = {i for i, lane in enumerate(lanes) if lane.diverged.exists()}

    def put(batches):
        return program.put_batch(np.stack(batches))

    def step(state, batches):
        return program.step(state, batches, rows, alphas)

    def told(number: int, figures: Mapping[str, Any]) -> None:
        for i in range(len(lanes)):
            check(number, i, {name: value[i] for name, value in figures.items()})

    def check(number: int, i: int, figures: Mapping[str, Any]) -> None:
        bad = [name for name, value in figures.items() if not np.isfinite(value)]
        if bad and i not in lost:
            lost.add(i)
            with files.replacing(lanes[i].diverged) as beside:
                beside.write_text(json.dumps({"step": number, "figures": bad}) + "\n")
            print(f"{lanes[i].name}: {bad[0]} is not finite at step {number}; the others go on")

    def figures(number: int, values: Mapping[str, Any]) -> None:
        for i, log in enumerate(logs):
            if i not in lost:
                log.figures(number, {name: float(value[i]) for name, value in values.items()})

    def hook(number: int, state, stopped: bool) -> dict[str, float]:
        save = stopped or train.due(config, number, config.save_every)
        evaluate = train.due(config, number, config.evaluate_every)
        for i, (lane, writer, log) in enumerate(zip(lanes, writers, logs, strict=True)):
            if i in lost or not (save or evaluate):
                continue
            own, loss = parallel.lane(state, i), None
            check(number, i, {"parameters' norm": train.weights_norm(own)})
            if i in lost:
                continue
            if evaluate and experiment.validate:
                seen = experiment.validate(own.params, _alpha(lane))
                log.figures(number, seen)
                loss = seen["validation/loss"]
            if save or (loss is not None and loss < writer.best):
                writer.save(own, loss)
        return {}

    state = program.put_state(parallel.stacked(states))
    _, done = train.run(
        step, state, experiment, list(seeds), first,
        put=put, one=lambda tree: tree, told=told, hook=hook, figures=figures, lanes=len(lanes),
    )  # fmt: skip
    return done


def _alpha(lane: Lane) -> float:
    assert not isinstance(lane.config, NoiseSettings | SilhouetteSettings)
    return lane.config.alpha


def _report(lanes: list[Lane], workdir: Path) -> None:
    """Prints the lanes' last figures as a table and draws them over alpha."""
    rows: list[dict[str, Any]] = []
    for lane in lanes:
        row: dict[str, Any] = {"alpha": _alpha(lane), "seed": lane.config.seed}
        for line in metrics.read(lane.folder / "metrics.jsonl"):
            row |= {_COLUMNS[name]: value for name, value in line.items() if name in _COLUMNS}
        rows.append(row)
    known = [name for name in _COLUMNS.values() if any(name in row for row in rows)]
    columns = ["alpha", "seed", *known]
    files.write_table(workdir / "sweep.csv", rows)
    print("  ".join(f"{name:>{max(8, len(name))}}" for name in columns))
    for row in rows:
        cells = (row.get(name, float("nan")) for name in columns)
        print("  ".join(
            f"{cell:>{max(8, len(name))}.4g}" for cell, name in zip(cells, columns, strict=True)
        ))  # fmt: skip
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
