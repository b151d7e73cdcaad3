"""What raters said, as figures: mean opinion scores with intervals, tests, who is left out.

mos.json, version 1: `views`; `interval`, how intervals were made; `rules` of exclusion; `raters`,
a row for each who began: `rated` of `planned`, `repeats`, `difference` (mean, absolute) and
`agreement` (share of equal ones) of their scores, `correlation` with the others' mean score of a
clip, `excluded` (the rule, or null); `methods`: name -> "all" or view -> `mos`, `interval`,
`raters` (how many), `quartiles`, `values` (of each rater); `tests`; `clips`; `comments`. What
could not be computed is null.
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

from stgan_jax import files
from stgan_jax.errors import InputError
from stgan_jax.study.database import LABELS, Database
from stgan_jax.study.plan import ANCHOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSION = 1
LEAST_RATED = 0.9
LEAST_CLIPS = 3  # for a mean to say something of a rater
MOST_DIFFERENCE = 1.5  # whoever guesses differs by 1.6 from themselves
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
    Holm's correction over all pairs in all views, and apart from that over all pairs of means
    over views. Repeats count for consistency alone.

    Raises:
      InputError: no study there, no rating yet, or every rater falls under a rule.
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
            alone = rater["correlation"] is not None and rater["correlation"] < LEAST_CORRELATION
            rater["excluded"] = rater["excluded"] or (RULES[-1] if alone else None)
    kept = {rater["rater"] for rater in raters if not rater["excluded"]}
    counted = [row for row in first if row["rater"] in kept]
    if not counted:
        raise InputError(
            f"{folder}: every one of {len(raters)} raters falls under a rule of exclusion: "
            + "; ".join(RULES)
        )
    # Methods as the plots show them: what is compared, then the yardstick.
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
    """(method, view) -> rater -> mean score; view None: the mean over views of these."""
    given: dict[tuple[str, int, int], list[int]] = {}
    for row in rows:
        given.setdefault((row["method"], row["view"], row["rater"]), []).append(row["score"])
    out: dict[tuple[str, int | None], dict[int, float]] = {}
    by_rater: dict[tuple[str, int], list[float]] = {}
    for (method, view, rater), values in sorted(given.items()):
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
            # Sums of fractions: equal differences are to be seen as ties.
            tested = scipy.stats.wilcoxon(differences.round(9))
            statistic, p = float(tested.statistic), float(tested.pvalue)
        out.append(
            {"view": view, "methods": [one, other], "raters": len(differences),
             "difference": float(differences.mean()), "statistic": statistic, "p": p}
        )  # fmt: skip
    adjusted = 0.0
    for rank, test in enumerate(sorted(out, key=lambda test: test["p"])):
        adjusted = max(adjusted, min(1.0, (len(out) - rank) * test["p"]))
        test["p_holm"] = adjusted
    return out


def _rater(number: int, rows: Sequence[Row], first: Sequence[Row]) -> dict[str, Any]:
    """How consistent a rater is, and why they are left out, if by a rule of theirs alone."""
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
    by: dict[tuple[str, int, str], list[int]] = {}
    for row in rows:
        by.setdefault((row["method"], row["view"], row["source"]), []).append(row["score"])
    return [
        {"method": method, "view": view, "source": source, "ratings": len(values),
         "mos": float(np.mean(values))}
        for (method, view, source), values in sorted(by.items())
    ]  # fmt: skip


def boxes(told: Mapping[str, Any]) -> "Figure":
    """Box plots of raters' means by view, methods side by side, means as triangles.

    As ST-GAN Fig. 12. Boxes: quartiles; whiskers: within 1.5 interquartile ranges; dots: beyond.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = ["all", *map(str, told["views"])]
    groups = [g for g in groups if any(g in by for by in told["methods"].values())]
    methods = told["methods"]
    width = 0.8 / len(methods)
    size = (max(6.0, 1.4 + len(groups) * (0.35 + 0.3 * len(methods))), 4.2)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    colors = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"]
    for number, (name, by) in enumerate(methods.items()):
        there = [i for i, group in enumerate(groups) if group in by]
        if not there:  # nobody who counts has rated any of it
            continue
        color = "#999999" if name == ANCHOR else colors[number % len(colors)]
        axis.boxplot(
            [by[groups[i]]["values"] for i in there],
            positions=[i + (number - (len(methods) - 1) / 2) * width for i in there],
            widths=0.8 * width, patch_artist=True, manage_ticks=False, showmeans=True,
            label=name.replace("$", r"\$"),
            boxprops={"facecolor": color, "alpha": 0.6}, medianprops={"color": "black"},
            meanprops={"marker": "^", "markerfacecolor": "white", "markeredgecolor": "black"},
            flierprops={"marker": ".", "markersize": 5},
        )  # fmt: skip
    axis.set_xticks(range(len(groups)), [g if g == "all" else f"{g}°" for g in groups])
    axis.axvline(0.5, color="#bbbbbb", linewidth=0.8)
    axis.set_yticks(range(1, 6), [f"{i} {label}" for i, label in enumerate(LABELS, 1)])
    axis.set(xlabel="view (triangles: means)", ylabel="raters' mean scores", ylim=(0.8, 5.2),
             xlim=(-0.6, len(groups) - 0.4))  # fmt: skip
    axis.grid(axis="y", linewidth=0.4)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def write(folder: str | os.PathLike, study: str | os.PathLike) -> str:
    """Writes mos.json, mos.csv, tests.csv, ratings.csv, mos.png and mos.html.

    Args:
      folder: where to, made where it does not exist; may be that of an evaluation's report.
      study: folder of the study.

    Returns:
      a summary, in lines.

    Raises:
      InputError: see `figures`, or the folder cannot be written to.
    """
    import jinja2

    told = figures(study)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = Database(study).presentations()
    tables: dict[str, list[Sequence[Any]]] = {
        "mos": [
            ("method", "view", "mos", "low", "high", "raters", "quartile1", "median", "quartile3"),
            *(
                (name, view, f["mos"], *(f["interval"] or ("", "")), f["raters"], *f["quartiles"])
                for name, by in told["methods"].items()
                for view, f in by.items()
            ),
        ],
        "tests": [
            ("view", "method", "other", "raters", "difference", "statistic", "p", "p_holm"),
            *(["all" if t["view"] is None else t["view"], *t["methods"], *list(t.values())[2:]]
              for t in told["tests"]),
        ],
        "ratings": [list(rows[0]), *(list(row.values()) for row in rows if row["score"])],
    }  # fmt: skip
    for name, table in tables.items():
        with files.replacing(folder / f"{name}.csv") as beside, open(beside, "w", newline="") as f:
            csv.writer(f).writerows(table)
    with files.replacing(folder / "mos.png") as beside:
        boxes(told).savefig(beside, dpi=120)
    with files.replacing(folder / "mos.json") as beside:
        beside.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
    picture = base64.b64encode((folder / "mos.png").read_bytes()).decode()
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    with files.replacing(folder / "mos.html") as beside:
        beside.write_text(page.get_template("report.html").render(told=told, picture=picture))
    return f"{summary(told)}\n{folder}/mos.html"


def load(folder: str | os.PathLike) -> dict[str, Any]:
    """A report that `write` has written. Raises `InputError` where there is none."""
    path = Path(folder) / "mos.json"
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file: make it by study.py report STUDY --out={folder}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged: make it anew") from error
    needed = {"views", "methods", "raters", "interval"}
    if not (isinstance(told, dict) and told.get("version") == VERSION and needed <= told.keys()):
        raise InputError(f"{path}: is no report of a study of version {VERSION}: make it anew")
    return told


def summary(told: Mapping[str, Any]) -> str:
    """The scores over all views as lines of text."""
    kept = sum(not rater["excluded"] for rater in told["raters"])
    lines = [f"MOS of {kept} raters, {len(told['raters']) - kept} left out [95 % interval]"]
    for name, by in told["methods"].items():
        if "all" in by:
            low, high = by["all"]["interval"] or (math.nan, math.nan)
            lines.append(f"{name:24} {by['all']['mos']:.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines)
