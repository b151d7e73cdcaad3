"""A study's figures: mean opinion scores with intervals, tests, and who is left out.

mos.json, version 1: `views`; `interval`, how intervals were computed; `rules` of exclusion;
`raters`, a row for each who began: `rated` of `planned`, `repeats`, `difference` (mean, absolute)
and `agreement` (share of equal ones) of their two scores of a repeated clip, `correlation` with
the others' mean score of a clip, `excluded` (the rule, or null); `methods`: name -> "all" or view
-> `mos`, `interval`, `raters` (how many), `quartiles`, `values` (one per rater); `tests`; `clips`;
`comments`. What could not be computed is null.
"""

import base64
import csv
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats

from stgan_jax.study.database import LABELS, Database
from stgan_jax.study.plan import ANCHOR
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSION = 1
LEAST_RATED = 0.9
LEAST_CLIPS = 3  # for a mean to say something about a rater
MOST_DIFFERENCE = 1.5  # two guesses differ by 1.6 on average
MOST_INVERSION = 1.0
LEAST_CORRELATION, USUAL_CORRELATION = 0.2, 0.5
RULES = (
    f"less than {LEAST_RATED:.0%} of the clips rated",
    "the same score for every clip",
    f"the second score of a repeated clip differs by more than {MOST_DIFFERENCE:g} on average (of "
    f"{LEAST_CLIPS} or more)",
    f"{LEAST_CLIPS} or more unprotected clips scored more than {MOST_INVERSION:g} below the others "
    "on average: an inverted scale",
    f"scores correlate below {LEAST_CORRELATION:g} with the others' mean scores of the clips, in a "
    f"study where half of the raters reach {USUAL_CORRELATION:g}",
)

Row = Mapping[str, Any]


def figures(folder: str | os.PathLike) -> dict[str, Any]:
    """Evaluates a study as far as it has been rated.

    As in ST-GAN 4.3, what counts is a rater's mean score of a method in a view. The MOS is the
    mean over raters, its 95 % interval Student's t over raters, cut off at the scale's ends.
    Methods are compared by Wilcoxon's signed-rank test over the raters of both, two-sided, with
    Holm's correction over all pairs in all views, and separately over all pairs of means over
    views. Repeats only serve to measure consistency.

    Args:
      folder: the study.

    Returns:
      the content of mos.json.

    Raises:
      InputError: there is no study, no rating yet, or every rater falls under a rule.
    """
    study = Database(folder)
    rows = study.presentations()
    if not any(row["score"] for row in rows):
        raise InputError(f"{folder}: nobody has rated anything yet")
    first = [row for row in rows if row["score"] and not row["is_repeat"]]
    began = sorted({row["rater"] for row in rows if row["score"]})
    raters = [_rater(number, rows, first) for number in began]
    known = [rater["correlation"] for rater in raters if rater["correlation"] is not None]
    if known and np.median(known) >= USUAL_CORRELATION:
        for rater in raters:
            low = rater["correlation"] is not None and rater["correlation"] < LEAST_CORRELATION
            rater["excluded"] = rater["excluded"] or (RULES[-1] if low else None)
    included = {rater["rater"] for rater in raters if not rater["excluded"]}
    counted = [row for row in first if row["rater"] in included]
    if not counted:
        raise InputError(
            f"{folder}: every one of {len(raters)} raters falls under a rule of exclusion: "
            + "; ".join(RULES)
        )
    # In the plots' order: the methods, then the yardstick.
    names = sorted({row["method"] for row in rows}, key=lambda name: (name == ANCHOR, name))
    views = sorted({row["view"] for row in rows})
    scores = _scores(counted)
    return {
        "version": VERSION,
        "views": views,
        "interval": "95 %, Student's t over raters",
        "rules": list(RULES),
        "raters": raters,
        "methods": {
            name: {
                "all" if view is None else str(view): _mos(list(scores[name, view].values()))
                for view in (None, *views)
                if (name, view) in scores
            }
            for name in names
        },
        "tests": [
            *_tests(scores, names, [None]),
            *_tests(scores, names, views),
        ],
        "clips": _clips(counted),
        "comments": {str(rater): text for rater, text in study.comments().items()},
    }


def _scores(rows: Sequence[Row]) -> dict[tuple[str, int | None], dict[int, float]]:
    """(method, view) -> rater -> mean score; for view None the mean of these over views."""
    scores: dict[tuple[str, int, int], list[int]] = {}
    for row in rows:
        scores.setdefault((row["method"], row["view"], row["rater"]), []).append(row["score"])
    out: dict[tuple[str, int | None], dict[int, float]] = {}
    by_rater: dict[tuple[str, int], list[float]] = {}
    for (method, view, rater), values in sorted(scores.items()):
        mean = float(np.mean(values))
        out.setdefault((method, view), {})[rater] = mean
        by_rater.setdefault((method, rater), []).append(mean)
    for (method, rater), means in by_rater.items():
        out.setdefault((method, None), {})[rater] = float(np.mean(means))
    return out


def _mos(values: Sequence[float]) -> dict[str, Any]:
    mean, interval = float(np.mean(values)), None
    if len(values) > 1:
        half = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
        interval = [float(max(1, mean - half)), float(min(len(LABELS), mean + half))]
    return {
        "mos": mean,
        "interval": interval,
        "raters": len(values),
        "quartiles": np.percentile(values, [25, 50, 75]).tolist(),
        "values": list(values),
    }


def _tests(scores, names: Sequence[str], views: Sequence[int | None]) -> list[dict[str, Any]]:
    """Wilcoxon's test of each pair in each view, and p by Holm over all of these."""
    out: list[dict[str, Any]] = []
    for view, (one, other) in itertools.product(views, itertools.combinations(names, 2)):
        a, b = scores.get((one, view), {}), scores.get((other, view), {})
        differences = np.array([a[rater] - b[rater] for rater in sorted(a.keys() & b.keys())])
        if not len(differences):
            continue
        statistic, p = 0.0, 1.0  # where all agree there is nothing to test
        if differences.any():
            # Rounded, since equal sums of fractions must count as ties.
            test = scipy.stats.wilcoxon(differences.round(9))
            statistic, p = float(test.statistic), float(test.pvalue)
        out.append(
            {
                "view": view,
                "methods": [one, other],
                "raters": len(differences),
                "difference": float(differences.mean()),
                "statistic": statistic,
                "p": p,
            }
        )
    adjusted = 0.0
    for rank, test in enumerate(sorted(out, key=lambda test: test["p"])):
        adjusted = max(adjusted, min(1.0, (len(out) - rank) * test["p"]))
        test["p_holm"] = adjusted
    return out


def _rater(number: int, rows: Sequence[Row], first: Sequence[Row]) -> dict[str, Any]:
    """A rater's consistency, and the rule that excludes them, if one does without the others."""
    own = [row for row in rows if row["rater"] == number]
    rated = [row for row in own if row["score"]]
    once = {row["clip"]: row["score"] for row in rated if not row["is_repeat"]}
    differences = [
        abs(row["score"] - once[row["clip"]])
        for row in rated
        if row["is_repeat"] and row["clip"] in once
    ]
    by_clip: dict[str, list[int]] = {}
    for row in first:
        if row["rater"] != number and row["clip"] in once:
            by_clip.setdefault(row["clip"], []).append(row["score"])
    shared = [(once[clip], np.mean(values)) for clip, values in by_clip.items()]
    correlation = None
    if len(shared) > 2 and all(len(set(side)) > 1 for side in zip(*shared, strict=True)):
        correlation = float(scipy.stats.pearsonr(*zip(*shared, strict=True)).statistic)
    anchors, others = (
        [row["score"] for row in rated if (row["method"] == ANCHOR) is is_anchor]
        for is_anchor in (True, False)
    )
    broken = (
        len(rated) < LEAST_RATED * len(own),
        len(rated) > 1 and len({row["score"] for row in rated}) == 1,
        len(differences) >= LEAST_CLIPS and np.mean(differences) > MOST_DIFFERENCE,
        len(anchors) >= LEAST_CLIPS
        and bool(others)
        and np.mean(anchors) < np.mean(others) - MOST_INVERSION,
    )
    return {
        "rater": number,
        "rated": len(rated),
        "planned": len(own),
        "repeats": len(differences),
        "difference": float(np.mean(differences)) if differences else None,
        "agreement": float(np.mean(np.equal(differences, 0))) if differences else None,
        "correlation": correlation,
        "excluded": next((r for r, is_so in zip(RULES, broken, strict=False) if is_so), None),
    }


def _clips(rows: Sequence[Row]) -> list[dict[str, Any]]:
    by_clip: dict[tuple[str, int, str], list[int]] = {}
    for row in rows:
        by_clip.setdefault((row["method"], row["view"], row["source"]), []).append(row["score"])
    keys = "method", "view", "source", "ratings", "mos"
    return [
        dict(zip(keys, (*clip, len(values), float(np.mean(values))), strict=True))
        for clip, values in sorted(by_clip.items())
    ]


def boxes(report: Mapping[str, Any]) -> "Figure":
    """Box plots of raters' means by view, methods side by side, means as triangles.

    As ST-GAN Fig. 12. Boxes: quartiles; whiskers: within 1.5 interquartile ranges; dots: beyond.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods = report["methods"]
    groups = ["all", *map(str, report["views"])]
    groups = [group for group in groups if any(group in by_view for by_view in methods.values())]
    width = 0.8 / len(methods)
    size = (max(6.0, 1.4 + len(groups) * (0.35 + 0.3 * len(methods))), 4.2)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for number, (name, by_view) in enumerate(methods.items()):
        rated = [i for i, group in enumerate(groups) if group in by_view]
        if not rated:  # by nobody who counts
            continue
        color = "#999999" if name == ANCHOR else _COLORS[number % len(_COLORS)]
        axis.boxplot(
            [by_view[groups[i]]["values"] for i in rated],
            positions=[i + (number - (len(methods) - 1) / 2) * width for i in rated],
            widths=0.8 * width,
            label=name.replace("$", r"\$"),
            boxprops={"facecolor": color, "alpha": 0.6},
            **_BOXES,
        )
    axis.set_xticks(range(len(groups)), [g if g == "all" else f"{g}°" for g in groups])
    axis.axvline(0.5, color="#bbbbbb", linewidth=0.8)
    axis.set_yticks(range(1, 6), [f"{i} {label}" for i, label in enumerate(LABELS, 1)])
    axis.set(xlabel="view (triangles: means)", ylabel="raters' mean scores")
    axis.set(xlim=(-0.6, len(groups) - 0.4), ylim=(0.8, 5.2))
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_BOXES: Mapping[str, Any] = {
    "patch_artist": True,
    "manage_ticks": False,
    "showmeans": True,
    "medianprops": {"color": "black"},
    "meanprops": {"marker": "^", "markerfacecolor": "white", "markeredgecolor": "black"},
    "flierprops": {"marker": ".", "markersize": 5},
}


def write(folder: str | os.PathLike, study: str | os.PathLike) -> str:
    """Writes mos.json, mos.csv, tests.csv, ratings.csv, mos.png and mos.html.

    Args:
      folder: for the files, created if it does not exist; may be that of an evaluation's report.
      study: folder of the study.

    Returns:
      a summary, in lines.

    Raises:
      InputError: see `figures`, or the folder cannot be written to.
    """
    from stgan_jax.util import web  # slow to load

    report = figures(study)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in _tables(report, Database(study).presentations()).items():
        with files.replacing(folder / f"{name}.csv") as beside, open(beside, "w", newline="") as f:
            csv.writer(f).writerows(table)
    with files.replacing(folder / "mos.png") as beside:
        boxes(report).savefig(beside, dpi=120)
    with files.replacing(folder / "mos.json") as beside:
        beside.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    picture = base64.b64encode((folder / "mos.png").read_bytes()).decode()
    page = web.templates(Path(__file__).parent / "templates").get_template("report.html")
    with files.replacing(folder / "mos.html") as beside:
        beside.write_text(page.render(report=report, picture=picture))
    return f"{summary(report)}\n{folder}/mos.html"


def _tables(report: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, list[Sequence[Any]]]:
    return {
        "mos": [
            ("method", "view", "mos", "low", "high", "raters", "quartile1", "median", "quartile3"),
            *(
                (name, view, f["mos"], *(f["interval"] or ("", "")), f["raters"], *f["quartiles"])
                for name, by_view in report["methods"].items()
                for view, f in by_view.items()
            ),
        ],
        "tests": [
            ("view", "method", "other", "raters", "difference", "statistic", "p", "p_holm"),
            *(
                ["all" if t["view"] is None else t["view"], *t["methods"], *list(t.values())[2:]]
                for t in report["tests"]
            ),
        ],
        "ratings": [list(rows[0]), *(list(row.values()) for row in rows if row["score"])],
    }


def load(folder: str | os.PathLike) -> dict[str, Any]:
    """Reads a report that `write` has written. Raises `InputError` if there is none."""
    path = Path(folder) / "mos.json"
    try:
        report = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file: make it by study.py report STUDY --out={folder}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged: make it anew") from error
    needed = {"views", "methods", "raters", "interval"}
    is_report = isinstance(report, dict) and needed <= report.keys()
    if not is_report or report.get("version") != VERSION:
        raise InputError(f"{path}: is no report of a study of version {VERSION}: make it anew")
    return report


def summary(report: Mapping[str, Any]) -> str:
    """The scores over all views, as lines of text."""
    included = sum(not rater["excluded"] for rater in report["raters"])
    excluded = len(report["raters"]) - included
    lines = [f"MOS of {included} raters, {excluded} left out [95 % interval]"]
    for name, by_view in report["methods"].items():
        if "all" in by_view:
            low, high = by_view["all"]["interval"] or (math.nan, math.nan)
            lines.append(f"{name:24} {by_view['all']['mos']:.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines)
