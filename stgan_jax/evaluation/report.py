"""An evaluation as files: report.json, tables (CSV), plots and pictures (PNG), report.html.

report.json, version 1: `dataset`, `views`, `frames`, `subjects` (numbers, by role), `walks`
(how many, by role), `recognizers`, `attacks`, `seed`, and `methods`, a list of

- `name`, `kind`, `codec`, `alpha`, `digest` of the weights;
- `privacy`: attack ("clean" for the unprotected walks) -> recogniser -> `conditions`, `eer`,
  `linkability` (D_sys), `chance`, `probes_without_gallery` (how many were left out), and, if
  other views were searched, `table`: condition -> `views`, `rank1` (rows: the probe's view,
  columns: the gallery's), `mean`, `mean_other_views`. For each condition ("nm", "bg", "cl")
  there are `rank1` and `rank3`, each with `accuracy` (same view), `interval` (95 %, bootstrap
  over subjects), `success` by both of the papers' definitions (see `attacks.success`), and
  both by view;
- `naturalness`: `measures` (see `naturalness.walk_figures`; with `frame_score` and `video_score`,
  see `detectors`), their `intervals` (as above) and the same `by_view`. `frame_score_by` and
  `video_score_by` name what gave these; without an action network the latter is null, and so is
  every video score;
- `recovery`: `pixels` (see `recovery.figures`) and the same `by_view`.

`study` is the mos.json of raters' opinions (see `study.report`), or null if none were asked.
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

from stgan_jax.evaluation import detectors, plots
from stgan_jax.evaluation.plots import MEASURES, chance, worst
from stgan_jax.shapes import gei
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

VERSION = 1


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
        beside.write_text(_page(plain, images))
    return f"{summary(report)}\n{folder}/report.html"


def _without_nan(value: Any) -> Any:
    """The same values with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(report: Mapping[str, Any]) -> str:
    """Rank-1 accuracies of the strongest recognisers, as lines of text."""
    lines = ["rank-1 of the strongest recogniser, same view, normal walks [95 % interval]"]
    for method in report["methods"]:
        for attack in method["privacy"]:
            name, rank1 = worst(method, attack)
            low, high = rank1["interval"]
            lines.append(
                f"{method['name']:24} {attack:14} {rank1['accuracy']:.2f} [{low:.2f}, {high:.2f}] "
                f"({name}), chance {chance(report):.3f}"
            )
    return "\n".join(lines)


_PRIVACY_COLUMNS = (
    "method", "attack", "recognizer", "condition", "view", "rank1", "rank1_low", "rank1_high",
    "rank3", "chance", "success_all_top1", "success_recognized_before_top1",
    "success_all_top3", "success_recognized_before_top3", "eer", "linkability",
)  # fmt: skip


def _privacy_rows(report: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    yield _PRIVACY_COLUMNS
    for method, attack, name, figures in _attacked(report):
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
    for method, attack, name, figures in _attacked(report):
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


def _attacked(report: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, str, Any]]:
    """Every method, attack, recogniser and what it found."""
    for method in report["methods"]:
        for attack, by_recognizer in method["privacy"].items():
            for name, figures in by_recognizer.items():
                yield method, attack, name, figures


def _page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    shown = {name: _image(name, data) for name, data in images.items()}
    views = [name.removeprefix("walk-") for name in images if name.startswith("walk-")]
    methods = [method["name"] for method in report["methods"]]
    people, trained = (len(report["subjects"][role]) for role in ("test", "recognizers"))
    gallery = "\n".join(
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
        "flatters a method: run it in full before you rely on these figures.</p>"
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
<p>{html.escape(report["dataset"])}: {people} people on whom nothing was trained, recognisers
trained on {trained} others; {report["walks"]["probes"]} probes, {report["walks"]["gallery"]}
gallery walks, views {", ".join(map(str, report["views"]))}. Rank-1: how often the nearest of all
people is the right one; chance {chance(report):.3f}. In brackets 95 % bootstrap intervals over
subjects.</p>
{quick}
<p>An <b>ignorant</b> attacker does not know that walks are anonymised (the only one in the
papers); a <b>lazy-informed</b> one anonymises the gallery, too; a <b>semi-informed</b> one also
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
<p>Mean distance of contour points from the original's, in pixels of a 240 x 240 crop: as
published; as computed back by a ridge regression that learnt from other people's walks before
and after, with other noise; and as guessed by somebody who knows the true pose and nothing of the
person. A regression that is nearer than this guess has found something of the person.</p>
{_recovery(report)}
<h2>Pictures</h2>
{gallery}
</html>
"""


def _image(name: str, data: bytes) -> str:
    return f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join(f"<tr>{_cells(row, 'td')}</tr>\n" for row in rows)
    return f"<table><thead><tr>{_cells(head, 'th')}</tr></thead>\n{body}</table>"


def _cells(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)


def _headline(report: Mapping[str, Any]) -> str:
    attacks = ["clean", *report["attacks"]]
    rows = []
    for method in report["methods"]:
        cells = [html.escape(method["name"])]
        for attack in attacks:
            if attack not in method["privacy"]:
                cells.append("")
                continue
            name, rank1 = worst(method, attack)
            low, high = rank1["interval"]
            cells.append(
                f"<b>{rank1['accuracy']:.2f}</b> [{low:.2f}, {high:.2f}]<br><small>{name}</small>"
            )
        rows.append(cells)
    return _table(["rank-1, strongest recogniser", *attacks], rows)


def _every(report: Mapping[str, Any]) -> str:
    conditions = sorted(
        {c for *_, figures in _attacked(report) for c in figures["conditions"]},
        key=gei.CONDITIONS.index,
    )
    rows = []
    for method, attack, name, figures in _attacked(report):
        cells = [html.escape(method["name"]), attack, name]
        for condition in conditions:
            ranks = figures["conditions"].get(condition)
            if ranks is None:
                cells.append("")
                continue
            text = f"{ranks['rank1']['accuracy']:.2f}"
            bold = worst(method, attack, condition)[0] == name
            cells.append(f"<b>{text}</b>" if bold else text)
        ranks = figures["conditions"].get("nm")
        if ranks is None:
            cells += [""] * 3
        else:
            cells.append(f"{ranks['rank3']['accuracy']:.2f}")
            cells += [
                " / ".join("-" if v is None else f"{v:.2f}" for v in ranks[r]["success"].values())
                for r in ("rank1", "rank3")
            ]
        cells += [f"{figures['eer']:.2f}", f"{figures['linkability']:.2f}"]
        other = figures.get("table", {}).get("nm", {}).get("mean_other_views")
        cells.append("" if other is None else f"{other:.2f}")
        rows.append(cells)
    head = ["method", "attack", "recogniser", *conditions, "rank-3 nm", "success top-1"]
    return _table([*head, "success top-3", "EER", "D<sub>sys</sub>", "other views"], rows)


def _natural(report: Mapping[str, Any]) -> str:
    methods = report["methods"]
    rows = []
    for name, (text, faultless) in MEASURES.items():
        cells = []
        for natural in (method["naturalness"] for method in methods):
            value, interval = natural["measures"].get(name), natural["intervals"].get(name)
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
        for opinion in (by_view.get(view) for by_view in methods.values()):
            text = "" if opinion is None else f"<b>{opinion['mos']:.2f}</b>"
            if opinion and opinion["interval"]:
                text += " <small>[{:.2f}, {:.2f}]</small>".format(*opinion["interval"])
            cells.append(text)
        rows.append(cells)
    raters = sum(not rater["excluded"] for rater in study["raters"])
    return f"""<h3>What people say</h3>
<p>Mean opinion scores of {raters} raters, from 1 (Bad) to 5 (Excellent). In brackets:
{html.escape(study["interval"])}.</p>
{_table(["MOS", *map(html.escape, methods)], rows)}"""
