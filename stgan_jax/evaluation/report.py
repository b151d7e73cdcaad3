"""An evaluation as files: report.json, tables (CSV), plots and pictures (PNG), report.html.

report.json, version 2, whose schema is `report.schema.json` beside this module: `protocol` (see
docs/protocol.md), `dataset`, `views`, `frames`, `subjects` (numbers, by role: those who teach
"recognizers", those by whom scores are weighed ("weighing"), those to be found ("test")), `walks`
(how many, by role), `recognizers`, `size` of their networks, `attacks`, `seed`, and `methods`, a
list of

- `name`, `kind`, `codec`, `alpha`, `digest` of the weights; `missing`: which walks are left out
  because the method has none of them, by role, see `published`;
- `privacy`: attack ("clean" for the unprotected walks) -> recogniser, or "fused" for all of them
  together -> `conditions`, `eer`, `linkability` (D_sys), `chance`, `probes_without_gallery` (how
  many were left out), and, if other views were searched, `table`: condition -> `views`, `rank1`
  (rows: the probe's view, columns: the gallery's), `mean`, `mean_other_views`. For each condition
  ("nm", "bg", "cl") there are `rank1` and `rank3`, each with `accuracy` (same view), `interval`
  (95 %, bootstrap over subjects), `success` by both of the papers' definitions (see
  `attacks.success`), and both by view. "fused" has the `weights` of the recognisers' scores;
  "gait_numbers" has `parts`, what each number finds alone (see `attacks.summary`);
- `naturalness`: `measures` (see `naturalness.walk_figures`; with `frame_score` and `video_score`,
  see `detectors`), their `intervals` (as above) and the same `by_view`. `frame_score_by` and
  `video_score_by` name what gave these; without an action network the latter is null, and so is
  every video score;
- `recovery`: `pixels` (see `recovery.figures`) and the same `by_view`.

`study` is the mos.json of raters' opinions (see `study.report`), or null if none were asked.
Rates are from 0 to 1; what could not be measured is null.
"""

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.evaluation import page, plots
from stgan_jax.evaluation.plots import chance, headline
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

VERSION = 2
SCHEMA = Path(__file__).with_name("report.schema.json")


def check(folder: str | os.PathLike) -> None:
    """Raises `InputError` if `write` could not write there; to be called before hours of work."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{place}: a file is where a folder is needed: choose another --out")
    files.check_output(place / "report.json")


def write(
    folder: str | os.PathLike,
    report: Mapping[str, Any],
    pictures: Mapping[str, UInt8[np.ndarray, "_ _"]],
) -> str:
    """Writes all files.

    Args:
      folder: for the files; created if it does not exist.
      report: from `run.evaluate`, to which "study" may be added.
      pictures: by name: "walk-090", "xor-090".

    Returns:
      a summary, in lines.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = _without_nan(report)
    for name, rows in (
        ("privacy", _privacy_rows(plain)),
        ("views", _view_rows(plain)),
        ("naturalness", _naturalness_rows(plain)),
    ):
        with files.replacing(folder / f"{name}.csv") as beside, open(beside, "w", newline="") as f:
            csv.writer(f).writerows(rows)
    drawn = {
        "success": plots.success(plain),
        "attacks": plots.attacks(plain),
        "tradeoff": plots.tradeoff(plain),
        "views": plots.views(plain),
    }
    images = {}
    for name, figure in drawn.items():
        if figure is not None:
            with files.replacing(folder / f"{name}.png") as beside:
                figure.savefig(beside, dpi=100)
            images[name] = (folder / f"{name}.png").read_bytes()
    for name, picture in pictures.items():
        with files.replacing(folder / f"{name}.png") as beside:
            cv2.imwrite(os.fspath(beside), picture)
        images[name] = (folder / f"{name}.png").read_bytes()
    with files.replacing(folder / "report.json") as beside:
        beside.write_text(json.dumps(plain, indent=1) + "\n")
    with files.replacing(folder / "report.html") as beside:
        beside.write_text(page.page(plain, images))
    return f"{summary(report)}\n{folder}/report.html"


def _without_nan(value: Any) -> Any:
    """The same values with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(report: Mapping[str, Any]) -> str:
    """What methods are judged by, and under it every attack, as lines of text."""
    last = report["attacks"][-1]
    figures = ", ".join(
        f"{method['name']} {_headline(method, last)}"
        for method in report["methods"]
        if last in method["privacy"]
    )
    lines = [f"{last}, all recognisers fused: {figures or 'nothing was attacked'}"]
    lines.append("rank-1, same view, normal walks [95 % interval], and EER")
    for method in report["methods"]:
        for attack in method["privacy"]:
            name, rank1 = headline(method, attack)
            low, high = rank1["interval"]
            lines.append(
                f"{method['name']:24} {attack:14} {rank1['accuracy']:.2f} [{low:.2f}, {high:.2f}] "
                f"EER {method['privacy'][attack][name]['eer']:.2f} "
                f"({name}), chance {chance(report):.3f}"
            )
    lines += [f"{m['name']}: left out: {m['missing']}" for m in report["methods"] if m["missing"]]
    return "\n".join(lines)


def _headline(method: Mapping[str, Any], attack: str) -> str:
    name, rank1 = headline(method, attack)
    return f"rank-1 {rank1['accuracy']:.2f} EER {method['privacy'][attack][name]['eer']:.2f}"


_PRIVACY_COLUMNS = (
    "method", "attack", "recognizer", "condition", "view", "rank1", "rank1_low", "rank1_high",
    "rank3", "chance", "success_all_top1", "success_recognized_before_top1",
    "success_all_top3", "success_recognized_before_top3", "eer", "linkability",
)  # fmt: skip


def _privacy_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield _PRIVACY_COLUMNS
    for method, attack, name, figures in page.attacked(report):
        for condition, ranks in figures["conditions"].items():
            head = method["name"], attack, name, condition
            one, three = ranks["rank1"], ranks["rank3"]
            chance = figures["chance"]["rank1"]
            success = *one["success"].values(), *three["success"].values()
            scores = figures["eer"], figures["linkability"]
            rank1 = one["accuracy"], *one["interval"], three["accuracy"], chance
            yield *head, "all", *rank1, *success, *scores
            for view, value in one["by_view"].items():
                success = (
                    *one["success_by_view"][view].values(),
                    *three["success_by_view"][view].values(),
                )
                yield *head, view, value, "", "", three["by_view"][view], chance, *success, "", ""


def _view_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield "method", "attack", "recognizer", "condition", "probe_view", "gallery_view", "rank1"
    for method, attack, name, figures in page.attacked(report):
        for condition, table in figures.get("table", {}).items():
            for probe_view, row in zip(table["views"], table["rank1"], strict=True):
                for gallery_view, value in zip(table["views"], row, strict=True):
                    yield method["name"], attack, name, condition, probe_view, gallery_view, value


def _naturalness_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield "method", "view", "measure", "value", "low", "high"
    for method in report["methods"]:
        natural = method["naturalness"]
        for view, measures in {"all": natural["measures"], **natural["by_view"]}.items():
            for name, value in measures.items():
                interval = natural["intervals"][name] if view == "all" else None
                yield method["name"], view, name, value, *(interval or ("", ""))
