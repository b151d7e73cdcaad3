"""An evaluation as files: report.json, tables (CSV), plots and pictures (PNG), report.html.

report.json, version 1: `dataset`, `views`, `frames`, `subjects` (numbers, by role), `walks`
(how many, by role), `recognizers`, `attacks`, `seed`, and `methods`, a list of

- `name`, `kind`, `codec`, `alpha`, `digest` of the weights;
- `privacy`: attack ("clean" for the unprotected walks) -> recogniser -> `conditions`, `eer`,
  `linkability` (D_sys), `chance`, `probes_without_gallery` (how many were left out), and, where
  other views were searched, `table`: condition -> `views`, `rank1` (rows: the probe's view,
  columns: the gallery's), `mean`, `mean_other_views`. Of each condition ("nm", "bg", "cl")
  there are `rank1` and `rank3`, each with `accuracy` (same view), `interval` (95 %, bootstrap
  over subjects), `success` by both of the papers' definitions (see `privacy.success`), and
  both by view;
- `naturalness`: `measures` (see `naturalness.walk_figures`; with `frame_score` and `video_score`,
  see `detectors`), their `intervals` (as above) and the same `by_view`. `frame_score_by` and
  `video_score_by` name what gave these; without an action network the latter is null, and so is
  every video score.
- `recovery`: `pixels` (see `recovery.figures`) and the same `by_view`.
`study` is the mos.json of raters' opinions (see `study.report`), or null where none were asked.
Rates are from 0 to 1; what could not be measured is null.
"""

import base64
import csv
import html
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax import files
from stgan_jax.errors import InputError
from stgan_jax.evaluation import detectors, plots
from stgan_jax.evaluation.plots import MEASURES, chance, worst

VERSION = 1


def check(folder: str | os.PathLike) -> None:
    """Raises `InputError` where `write` could not write: to be known before hours of work."""
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
) -> None:
    """Writes all files into a folder, made where it does not exist.

    Args:
      folder: where to.
      report: of `evaluate.evaluate`.
      pictures: by name: "walk-090", "xor-090".
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
        beside.write_text(_page(plain, images))


def _without_nan(value: Any) -> Any:
    """JSON has no word for what is no number."""
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(report: Mapping[str, Any]) -> str:
    """The most important figures as lines of text: how often the strongest recogniser is right."""
    lines = ["rank-1 of the strongest recogniser, same view, normal walks [95 % interval]"]
    for method in report["methods"]:
        for attack in method["privacy"]:
            name, seen = worst(method, attack)
            low, high = seen["interval"]
            lines.append(
                f"{method['name']:24} {attack:14} {seen['accuracy']:.2f} [{low:.2f}, {high:.2f}] "
                f"({name}), chance {chance(report):.3f}"
            )
    return "\n".join(lines)


def _privacy_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield (
        "method", "attack", "recognizer", "condition", "view", "rank1", "rank1_low", "rank1_high",
        "rank3", "chance", "success_all_top1", "success_recognized_before_top1",
        "success_all_top3", "success_recognized_before_top3", "eer", "linkability",
    )  # fmt: skip
    for method, attack, name, seen in _attacked(report):
        for condition, figures in seen["conditions"].items():
            one, three = figures["rank1"], figures["rank3"]
            chance = seen["chance"]["rank1"]
            yield (
                method["name"], attack, name, condition, "all", one["accuracy"], *one["interval"],
                three["accuracy"], chance, *one["success"].values(), *three["success"].values(),
                seen["eer"], seen["linkability"],
            )  # fmt: skip
            for view, value in one["by_view"].items():
                yield (
                    method["name"], attack, name, condition, view, value, "", "",
                    three["by_view"][view], chance, *one["success_by_view"][view].values(),
                    *three["success_by_view"][view].values(), "", "",
                )  # fmt: skip


def _view_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield "method", "attack", "recognizer", "condition", "probe_view", "gallery_view", "rank1"
    for method, attack, name, seen in _attacked(report):
        for condition, table in seen.get("table", {}).items():
            for probed, row in zip(table["views"], table["rank1"], strict=True):
                for stored, value in zip(table["views"], row, strict=True):
                    yield method["name"], attack, name, condition, probed, stored, value


def _naturalness_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield "method", "view", "measure", "value", "low", "high"
    for method in report["methods"]:
        seen = method["naturalness"]
        for view, measures in {"all": seen["measures"], **seen["by_view"]}.items():
            for name, value in measures.items():
                interval = seen["intervals"][name] if view == "all" else None
                yield method["name"], view, name, value, *(interval or ("", ""))


def _attacked(report: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, str, Any]]:
    for method in report["methods"]:
        for attack, by in method["privacy"].items():
            for name, seen in by.items():
                yield method, attack, name, seen


def _page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    shown = {name: _image(name, data) for name, data in images.items()}
    views = [name.removeprefix("walk-") for name in images if name.startswith("walk-")]
    methods = [method["name"] for method in report["methods"]]
    people, trained = (len(report["subjects"][role]) for role in ("test", "recognizers"))
    found = "\n".join(
        f"<h3>View {int(view)}&deg;</h3><p>Rows: {', '.join(map(html.escape, methods))}.</p>"
        f"{shown['walk-' + view]}"
        + (
            "<p>Where they differ from the unprotected walk (white):</p>" + shown["xor-" + view]
            if "xor-" + view in shown
            else ""
        )
        for view in views
    )
    quick = (
        ""
        if len(report["recognizers"]) == 4
        else "<p class=warn>A quick look, without the strongest recognisers. A weak attacker "
        "flatters; for the record run it in full.</p>"
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8">
<title>Gait anonymisation: {html.escape(report["dataset"])}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ border: 1px solid #ccc; padding: .25rem .6rem; text-align: right;
  white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
thead {{ background: #f2f2f2; }} small {{ color: #555; }} img {{ max-width: 100%; }}
.warn {{ background: #fff3cd; padding: .5rem 1rem; }}
</style>
<h1>Who is still found?</h1>
<p>{html.escape(report["dataset"])}: {people} people nobody trained on, recognisers trained on
{trained} others; {report["walks"]["probes"]} probes, {report["walks"]["gallery"]} gallery walks,
views {", ".join(map(str, report["views"]))}. Rank-1: how often the nearest of all people is the
right one; chance {chance(report):.3f}. In brackets 95 % bootstrap intervals over subjects.</p>
{quick}
<p>An <b>ignorant</b> attacker does not know that walks are anonymised (all that the papers
measure); a <b>lazy-informed</b> one anonymises the gallery, too; a <b>semi-informed</b> one also
trains the recogniser on anonymised walks, with other noise. Only the last says how private a
method is.</p>
{_headline(report)}
{shown["attacks"]}
{shown["tradeoff"]}
<h2>Every recogniser</h2>
<p>Rank-1 in the same view by condition: normal (nm), with a bag (bg), in a coat (cl). Bold: the
worst over recognisers. Success: the share not found, of all anonymised walks (ST-GAN 4.2) / of
those found before (WIFS). EER 0.5 and D<sub>sys</sub> 0 are perfect privacy.</p>
{_every(report)}
{shown.get("success", "")}
{shown.get("views", "")}
<h2>How natural?</h2>
<p>Frame score by: {html.escape(report["frame_score_by"])}, of silhouettes drawn dark on light.
Video score by: {html.escape(report["video_score_by"] or detectors.NO_VIDEO_NETWORK)}.</p>
{_natural(report)}
{_opinions(report.get("study"))}
<h2>Can it be undone?</h2>
<p>Mean distance of contour points from the original's, in pixels of a 240 x 240 crop: as they are
published; as computed back by a ridge regression, which learnt from other people's walks before
and after, with other noise; and of a guess by somebody who knows the true pose and nothing of the
person. A regression below the last has found something of the person.</p>
{_recovery(report)}
<h2>Pictures</h2>
{found}
</html>
"""


def _image(name: str, data: bytes) -> str:
    return f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = lambda cells, tag: "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)  # noqa: E731
    body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead>\n{body}</table>"


def _headline(report: Mapping[str, Any]) -> str:
    attacks = ["clean", *report["attacks"]]
    rows = []
    for method in report["methods"]:
        cells = [html.escape(method["name"])]
        for attack in attacks:
            if attack not in method["privacy"]:
                cells.append("")
                continue
            name, seen = worst(method, attack)
            low, high = seen["interval"]
            cells.append(
                f"<b>{seen['accuracy']:.2f}</b> [{low:.2f}, {high:.2f}]<br><small>{name}</small>"
            )
        rows.append(cells)
    return _table(["rank-1, strongest recogniser", *attacks], rows)


def _every(report: Mapping[str, Any]) -> str:
    conditions = sorted(
        {c for _, _, _, seen in _attacked(report) for c in seen["conditions"]},
        key=("nm", "bg", "cl").index,
    )
    rows = []
    for method, attack, name, seen in _attacked(report):
        cells = [html.escape(method["name"]), attack, name]
        for condition in conditions:
            figures = seen["conditions"].get(condition)
            if figures is None:
                cells.append("")
                continue
            text = f"{figures['rank1']['accuracy']:.2f}"
            bold = worst(method, attack, condition)[0] == name
            cells.append(f"<b>{text}</b>" if bold else text)
        figures = seen["conditions"].get("nm")
        if figures is None:
            cells += [""] * 3
        else:
            cells.append(f"{figures['rank3']['accuracy']:.2f}")
            cells += [
                " / ".join("-" if v is None else f"{v:.2f}" for v in figures[r]["success"].values())
                for r in ("rank1", "rank3")
            ]
        cells += [f"{seen['eer']:.2f}", f"{seen['linkability']:.2f}"]
        other = seen.get("table", {}).get("nm", {}).get("mean_other_views")
        cells.append("" if other is None else f"{other:.2f}")
        rows.append(cells)
    head = [
        "method", "attack", "recogniser", *conditions, "rank-3 nm", "success top-1",
        "success top-3", "EER", "D<sub>sys</sub>", "other views",
    ]  # fmt: skip
    return _table(head, rows)


def _natural(report: Mapping[str, Any]) -> str:
    methods = report["methods"]
    rows = []
    for name, (text, faultless) in MEASURES.items():
        cells = []
        for seen in (method["naturalness"] for method in methods):
            value, interval = seen["measures"].get(name), seen["intervals"].get(name)
            cells.append("-" if value is None else f"{value:.3f}")
            if interval:
                cells[-1] += " <small>[{:.3f}, {:.3f}]</small>".format(*interval)
        rows.append([text, faultless, *cells])
    return _table(["", "faultless", *(html.escape(m["name"]) for m in methods)], rows)


def _recovery(report: Mapping[str, Any]) -> str:
    names = ("untouched", "recovered", "mean_pose")
    rows = [
        [html.escape(method["name"]), *(f"{method['recovery']['pixels'][n]:.2f}" for n in names)]
        for method in report["methods"]
        if "recovery" in method
    ]
    return _table(["", "as published", "computed back", "pose alone"], rows)


def _opinions(study: Mapping[str, Any] | None) -> str:
    if study is None:
        return ""
    methods = study["methods"]
    rows = []
    for view in ("all", *map(str, study["views"])):
        cells = ["all views" if view == "all" else f"{view}&deg;"]
        for seen in (by.get(view) for by in methods.values()):
            text = "" if seen is None else f"<b>{seen['mos']:.2f}</b>"
            if seen and seen["interval"]:
                text += " <small>[{:.2f}, {:.2f}]</small>".format(*seen["interval"])
            cells.append(text)
        rows.append(cells)
    raters = sum(not rater["excluded"] for rater in study["raters"])
    return f"""<h3>What people say</h3>
<p>Mean opinion scores of {raters} raters, from 1 (Bad) to 5 (Excellent). In brackets:
{html.escape(study["interval"])}.</p>
{_table(["MOS", *map(html.escape, methods)], rows)}"""
