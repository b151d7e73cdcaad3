"""A sweep's last figures: a row for each lane, means over seeds, and a plot with intervals."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stgan_jax.training import run_log
from stgan_jax.util import files

# Columns of the tables, for those figures that a lane has.
_COLUMNS = {
    "validation/share_of_noise": "share of noise",
    "validation/rec": "validation rec",
    "validation/per": "validation per",
    "validation/loss": "validation loss",
    "loss/gen": "loss G",
    "accuracy/spatial_fake": "D_S right on fake",
    "accuracy/temporal_fake": "D_T right on fake",
}
_CONFIDENCE = 0.95
Values = tuple[tuple[str, float], ...]
Row = dict[str, Any]


class Interval(NamedTuple):
    """A mean over seeds, and half of its 95 % interval by Student's t (NaN for a single seed)."""

    mean: float
    half: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Interval":
        """The interval of figures, one for each seed; both NaN without any."""
        from scipy import stats  # slow to load

        count = len(figures)
        if count < 2:
            return cls(float(np.mean(figures)) if count else math.nan, math.nan)
        error = np.std(figures, ddof=1) / math.sqrt(count)
        return cls(
            float(np.mean(figures)), float(stats.t.ppf(0.5 + _CONFIDENCE / 2, count - 1) * error)
        )


def write(lanes: Sequence[tuple[Values, int, Path]], workdir: Path) -> None:
    """Writes `sweep.csv`, `sweep_means.csv` and `sweep.png`, and prints the means as a table.

    A lane that diverged has its step in place of figures, and counts in no mean.

    Args:
      lanes: each lane's point of the grid, seed and folder.
      workdir: folder for the files.
    """
    rows = [_row(*lane) for lane in lanes]
    known = [name for name in _COLUMNS.values() if any(name in row for row in rows)]
    files.write_table(workdir / "sweep.csv", rows)
    axes = [name for name, _ in lanes[0][0]]
    means: list[Row] = []
    for point in dict.fromkeys(values for values, _, _ in lanes):
        of_point = [row for row in rows if all(row[name] == value for name, value in point)]
        mean: Row = {**dict(point), "seeds": sum("diverged at" not in row for row in of_point)}
        for name in known:
            figures = [row[name] for row in of_point if name in row]
            mean[name], mean[f"{name} +-"] = Interval.of(figures)
        means.append(mean)
    files.write_table(workdir / "sweep_means.csv", means)
    print(_table([*axes, "seeds", *known], means))
    for row in rows:
        if "diverged at" in row:
            where = ", ".join(f"{name} {row[name]:g}" for name in (*axes, "seed"))
            print(f"{where}: diverged at step {row['diverged at']}")
    _plot(means, axes, known, workdir / "sweep.png")
    print(f"{workdir}/sweep.csv, sweep_means.csv, sweep.png: every lane, the means, a picture")


def _row(values: Values, seed: int, folder: Path) -> Row:
    row: Row = {**dict(values), "seed": seed}
    if (folder / "diverged.json").exists():
        lost = json.loads((folder / "diverged.json").read_text())
        return row | {"diverged at": lost["step"]}
    for line in run_log.read(folder / "metrics.jsonl"):
        row |= {_COLUMNS[name]: value for name, value in line.items() if name in _COLUMNS}
    return row


def _table(columns: Sequence[str], means: Sequence[Row]) -> str:
    """Means, with half of an interval where there are several seeds."""
    lines = [list(columns)]
    for row in means:
        cells = []
        for name in columns:
            half = row.get(f"{name} +-", math.nan)
            more = "" if math.isnan(half) else f" +- {half:.2g}"
            cells.append(f"{row[name]:.4g}{more}")
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _plot(means: Sequence[Row], axes: Sequence[str], columns: Sequence[str], path: Path) -> None:
    """Each figure over the setting with most values, a line for each choice of the others."""
    import matplotlib.figure  # slow to load

    counts = {name: len({row[name] for row in means}) for name in axes}
    over = max(axes, key=counts.__getitem__, default="")
    others = [name for name in axes if name != over and counts[name] > 1]
    columns = columns or ["seeds"]
    height = -(-len(columns) // 3)
    figure = matplotlib.figure.Figure(figsize=(9.6, 2.9 * height), layout="constrained")
    every = figure.subplots(height, 3, squeeze=False).ravel()
    for axis in every[len(columns) :]:
        axis.remove()
    for axis, name in zip(every, columns, strict=False):
        lines: dict[str, list[Row]] = {}
        for row in means:
            label = ", ".join(f"{other} {row[other]:g}" for other in others)
            lines.setdefault(label, []).append(row)
        for label, points in lines.items():
            points = sorted(points, key=lambda row: row.get(over, 0.0))
            x = np.array([row.get(over, 0.0) for row in points])
            y = np.array([row[name] for row in points], float)
            half = np.array([row.get(f"{name} +-", math.nan) for row in points])
            (line,) = axis.plot(x, y, "o-", markersize=3.5, label=label)
            axis.fill_between(x, y - half, y + half, color=line.get_color(), alpha=0.2, lw=0)
            if over and x.min() > 0 and x.max() > 30 * x.min():
                axis.set_xscale("log")
        axis.set(xlabel=over or "all seeds", title=name)
        axis.grid(alpha=0.3)
    if others:
        every[0].legend(fontsize="small")
    with files.replacing(path) as beside:
        figure.savefig(beside, dpi=110)
