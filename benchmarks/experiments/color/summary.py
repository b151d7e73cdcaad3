"""Sums up the files of measure.py in tables of Markdown."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stgan_jax.data.datasets import built
from stgan_jax.shapes import gei

SETS = {
    "plain": "clothes",
    "textural": "clothes",
    "complete": "completeness",
    "incomplete": "completeness",
}


def text(folder: Path, gallery_dir: str) -> str:
    """All tables that there are measurements for."""
    out = []
    for part, columns in (
        ("tables", ("psnr", "ssim", "psnr_overlap", "ssim_overlap")),
        ("truth", ("psnr_truth", "ssim_truth", "psnr_edge", "unsteadiness", "flicker")),
    ):
        rows = read(folder / f"{part}.jsonl")
        if rows:
            out.append(f"{part}: {len(rows)} walks of {_people(rows)} people, views {_views(rows)}")
            out += [by_set(rows, column) for column in columns]
    rows = read(folder / "matched.jsonl")
    if rows:
        out.append(f"matched: {len(rows)} walks of {_people(rows)} people, views {_views(rows)}")
        out.append(success(rows, gallery_dir))
    rows = read(folder / "broken.jsonl")
    if rows:
        out.append(f"broken: {len(rows)} walks of {_people(rows)} people, views {_views(rows)}")
        out.append(pieces(rows))
    return "\n\n".join(out)


def read(path: Path) -> list[dict]:
    """Lines of a part; none if it was not measured."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def by_set(rows: list[dict], column: str) -> str:
    """Means over the walks of each set, a line a method."""
    lines = [f"| {column} | {' | '.join(SETS)} |", "| --- " * (len(SETS) + 1) + "|"]
    for method in rows[0]["figures"]:
        cells = []
        for name, key in SETS.items():
            values = [row["figures"][method][column] for row in rows if row[key] == name]
            cells.append(f"{np.nanmean(values):.4g}" if len(values) else "-")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def success(rows: list[dict], gallery_dir: str) -> str:
    """Share of walks not recognised any more of those that were (Eq. 5), and rank-1, by set."""
    subjects = sorted({int(row["walk"][:3]) for row in rows})
    views = sorted({int(row["walk"][-3:]) for row in rows})
    gallery = built.Sequences(
        "synthetic_walkers/full", gallery_dir, subjects, views, ("nm-05", "nm-06")
    )
    images = np.stack([gei.energy_image(gallery.silhouettes(i)) for i in range(len(gallery))])
    names = np.array([(walk.subject, walk.view) for walk in gallery.walks])
    right: dict[str, np.ndarray] = {}
    for method in rows[0]["figures"]:
        found = []
        for row in rows:
            at = names[:, 1] == int(row["walk"][-3:])
            probe = np.array(row["figures"][method], np.float32)[None]
            own = [int(row["walk"][:3])]
            found.append(gei.rank1(images[at], names[at, 0], probe, own)[0])
        right[method] = np.array(found)
    known = right["original"] > 0
    lines = [
        "| silhouettes of | rank-1 | success rate, Eq. 5 | by set |",
        "| --- | --- | --- | --- |",
    ]
    for method, hits in right.items():
        each = []
        for name, key in SETS.items():
            at = known & np.array([row[key] == name for row in rows])
            each.append(f"{name} {1 - hits[at].mean():.3f}")
        lines.append(
            f"| {method} | {hits.mean():.3f} | {1 - hits[known].mean():.3f} | {', '.join(each)} |"
        )
    return "\n".join(lines)


def pieces(rows: list[dict]) -> str:
    """Of frames that came broken, the share that left in one piece."""
    lines = [
        "| by way of | broken frames | one piece | one component | overlap |",
        "| --- " * 5 + "|",
    ]
    for way in rows[0]["figures"]:
        total = {k: sum(row["figures"][way][k] for row in rows) for k in rows[0]["figures"][way]}
        count = max(total["frames"], 1)
        shares = (
            f"{total[k] / count:.4f}" for k in ("one_piece", "one_component", "iou_with_whole")
        )
        lines.append(f"| {way} | {total['frames']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _people(rows: Iterable[dict]) -> int:
    return len({row["walk"][:3] for row in rows})


def _views(rows: Iterable[dict]) -> str:
    return ", ".join(map(str, sorted({int(row["walk"][-3:]) for row in rows})))
