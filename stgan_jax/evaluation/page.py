"""The report of an evaluation as a page to open and pass on."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stgan_jax.evaluation import detectors, recognizers
from stgan_jax.evaluation.plots import MEASURES, chance, headline, worst
from stgan_jax.shapes import gei


def attacked(report: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, str, Any]]:
    """Every method, attack, recogniser and what it found."""
    for method in report["methods"]:
        for attack, by_recognizer in method["privacy"].items():
            for name, figures in by_recognizer.items():
                yield method, attack, name, figures


def page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The whole page, pictures (PNG) by name in it."""
    tags = {name: _image(name, data) for name, data in images.items()}
    views = [name.removeprefix("walk-") for name in images if name.startswith("walk-")]
    methods = [method["name"] for method in report["methods"]]
    people, trained, weighing = (
        len(report["subjects"][role]) for role in ("test", "recognizers", "weighing")
    )
    gallery = "\n".join(
        f"<h3>View {int(view)}&deg;</h3><p>Rows: {', '.join(map(html.escape, methods))}.</p>"
        f"{tags['walk-' + view]}"
        + (
            "<p>Where they differ from the unprotected walk (white):</p>" + tags["xor-" + view]
            if "xor-" + view in tags
            else ""
        )
        for view in views
    )
    quick = (
        ""
        if set(recognizers.KINDS) <= set(report["recognizers"])
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
trained on {trained} others, scores weighed by {weighing} more; {report["walks"]["probes"]} probes,
{report["walks"]["gallery"]} gallery walks, views {", ".join(map(str, report["views"]))}. Rank-1:
how often the nearest of all people is the right one; chance {chance(report):.3f}. In brackets 95 %
bootstrap intervals over subjects.</p>
{quick}
<p>An <b>ignorant</b> attacker does not know that walks are anonymised (the only one in the
papers); a <b>lazy-informed</b> one anonymises the gallery, too; a <b>semi-informed</b> one also
trains the recogniser on anonymised walks, with other noise. Only the last says how private a
method is.</p>
{_headline(report)}
{tags["attacks"]}
{tags["tradeoff"]}
<h2>Every recogniser</h2>
<p>Rank-1 in the same view by condition: normal (nm), with a bag (bg), in a coat (cl). Bold: the
worst over recognisers. Success: the share not found, of all anonymised walks (ST-GAN 4.2) / of
those found before (WIFS). EER 0.5 and D<sub>sys</sub> 0 are perfect privacy.</p>
{_every(report)}
{_numbers(report)}
{tags.get("success", "")}
{tags.get("views", "")}
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
            name, rank1 = headline(method, attack)
            low, high = rank1["interval"]
            eer = method["privacy"][attack][name]["eer"]
            cells.append(
                f"<b>{rank1['accuracy']:.2f}</b> [{low:.2f}, {high:.2f}]<br>"
                f"<small>{name}, EER {eer:.2f}</small>"
            )
        rows.append(cells)
    return _table(["rank-1, all recognisers fused", *attacks], rows)


def _numbers(report: Mapping[str, Any]) -> str:
    """What each number of a gait finds alone."""
    rows, head = [], []
    for method, attack, _, figures in attacked(report):
        if "parts" in figures:
            head = list(figures["parts"])
            cells = [f"{part['rank1']:.2f}" for part in figures["parts"].values()]
            rows.append([html.escape(method["name"]), attack, *cells])
    if not rows:
        return ""
    return f"""<h2>What each number of a gait tells</h2>
<p>Rank-1 of normal walks in the same view by the nearest neighbour in single numbers that the gait
reader reads off what is published.</p>
{_table(["method", "attack", *head], rows)}"""


def _every(report: Mapping[str, Any]) -> str:
    conditions = sorted(
        {c for *_, figures in attacked(report) for c in figures["conditions"]},
        key=gei.CONDITIONS.index,
    )
    rows = []
    for method, attack, name, figures in attacked(report):
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
