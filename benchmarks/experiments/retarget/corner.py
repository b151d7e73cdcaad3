"""Privacy against an attacker who learns from what is published, over naturalness: every method.

    python benchmarks/experiments/retarget/corner.py --data_dir=data --views=54,90 \
        "--more=wifs:wifs 1=runs/experiment/wifs_resampled/seed=0/alpha=1,seed=0"

Unprotected walks, people blurred as a whole, the package's ST-GAN and retargeting over alpha, and
trainings named by --more. Figures are kept in --out: stopped, the same command goes on. With
--families=retarget the other rows of the table stay as they are.
"""

import csv
import dataclasses
from collections.abc import Collection
from pathlib import Path

import cv2
import matplotlib.figure
import numpy as np
from absl import app, flags

from stgan_jax import contour, evaluate, files, methods
from stgan_jax.errors import InputError, numbers, one_sentence, parse_flags
from stgan_jax.evaluation import report
from stgan_jax.material import Walks
from stgan_jax.retarget import Retargeter

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "What is measured on.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", ["gei", "zheng"], "The strongest of them counts.")
_ALPHAS = flags.DEFINE_list("alphas", ["0", "0.25", "0.5", "0.75", "1"], "Of retargeting.")
_BLUR = flags.DEFINE_list("blur", ["0.05", "0.1"], "Standard deviations, of the stature.")
_FAMILIES = flags.DEFINE_list("families", [], "Those measured: blur, stgan, ...; all by default.")
_MORE = flags.DEFINE_multi_string("more", [], "FAMILY:NAME=WORKDIR of further trainings.")
_WALKS = flags.DEFINE_integer("natural_walks", 40, "A view, that naturalness is taken of.")
_OUT = flags.DEFINE_string("out", "runs/corner", "Folder of what is kept.")
_TABLE = Path(__file__).with_name("corner.csv")
_CROP = (contour.SIZE, contour.SIZE)
_STATURE = 0.9 * contour.SIZE  # of a silhouette in its crop, about


def _blurred(share: float) -> methods.Method:
    """People blurred as a whole, cut out again where they cover half of what is behind them."""

    def apply(own, walks, seed):
        before = contour.decode(contour.to_pixels(own), "resampled").reshape(-1, *_CROP)
        soft = [cv2.GaussianBlur(m.astype(np.float32), (0, 0), share * _STATURE) for m in before]
        after = (np.stack(soft) > 0.5).astype(np.uint8).reshape(*own.shape[:2], *_CROP)
        return contour.to_unit(contour.encode(after, "resampled"))

    return methods.Method(f"blur {share:g}", "blur", "resampled", apply, share, f"blur {share:g}")


def _methods() -> dict[str, list[methods.Method]]:
    """By family, in order of strength."""
    model, digest = Retargeter.load("retarget"), methods.trained("retarget").digest
    families = {
        "blur": [_blurred(x) for x in numbers("--blur", _BLUR.value, float)],
        "stgan": [methods.trained(name) for name in ("stgan_mild", "stgan", "stgan_strong")],
        "retarget": [
            methods.retargeted(f"retarget {alpha:g}", model, alpha, digest)
            for alpha in numbers("--alphas", _ALPHAS.value, float)
        ],
    }
    for entry in _MORE.value:
        name, workdir = entry.split("=", 1)
        family, label = name.split(":")
        method = methods.trained(workdir)
        families.setdefault(family, []).append(dataclasses.replace(method, name=label))
    for name in _FAMILIES.value:
        if name not in families:
            raise InputError(f"--families: no {name} is there, but {', '.join(families)}")
    return {k: v for k, v in families.items() if not _FAMILIES.value or k in _FAMILIES.value}


def _kept(families: Collection[str], views: str) -> list[dict]:
    """Rows of the present table that are not measured now."""
    if not _FAMILIES.value or not _TABLE.is_file():
        return []  # all are measured
    with _TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["family"] not in families]
    text = ("family", "method", "views")
    rows = [{k: v if k in text else float(v) for k, v in row.items()} for row in rows]
    if any(row["views"] != views for row in rows):
        raise InputError(f"{_TABLE} is of other views: measure all families")
    return rows


def _draw(rows: list[dict], path: Path) -> None:
    figure = matplotlib.figure.Figure(figsize=(10, 4.4), layout="constrained")
    panels = {"swing": "swing of the legs that is kept", "whole": "frames in one piece, uncrossed"}
    for axis, (key, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for family in dict.fromkeys(row["family"] for row in rows):
            own = [row for row in rows if row["family"] == family]
            x, y = [row["rank1"] for row in own], [row[key] for row in own]
            axis.plot(x, y, "o-", markersize=4, label=family)
            for row in own:
                axis.annotate(f"{row['alpha']:g}", (row["rank1"], row[key]), fontsize=7)
        axis.set(xlabel="rank-1, semi-informed, strongest recogniser", ylabel=label)
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    with files.replacing(path) as beside:
        figure.savefig(beside, dpi=110)


def main(_):
    with one_sentence():
        files.check_output(_TABLE)
        views = numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views or None)
        chosen = evaluate.Options(
            _RECOGNIZERS.value, ("semi-informed",), False, _WALKS.value, recovery_walks=0
        )
        families = _methods()
        kept = _kept(
            ["unprotected", *families], " ".join(map(str, sorted(set(walks.view.tolist()))))
        )
        every = [method for group in families.values() for method in group]
        told, pictures = evaluate.evaluate(every, walks, chosen, _OUT.value, _DATASET.value)
        report.write(Path(_OUT.value) / "report", told, pictures)
        family_of = {m.name: family for family, group in families.items() for m in group}
        rows = []
        for method in told["methods"]:
            (by,) = method["privacy"].values()
            found = {
                name: seen["conditions"]["nm"]["rank1"]["accuracy"] for name, seen in by.items()
            }
            natural = method["naturalness"]["measures"]
            crossing = natural["self_crossing"] or 0.0
            rows.append({
                "family": family_of.get(method["name"], "unprotected"), "method": method["name"],
                "alpha": method["alpha"] or 0.0, "views": " ".join(map(str, told["views"])),
                **found, "rank1": max(found.values()), "swing": natural["leg_amplitude_ratio"],
                "whole": natural["one_piece"] * (1 - crossing), "flicker": natural["flicker"],
                "distance_to_real": natural["distance_to_real"],
            })  # fmt: skip
        rows += kept
        files.write_table(_TABLE, rows, 4)
        _draw(rows, _TABLE.with_suffix(".png"))
        print(f"{_TABLE}, {_TABLE.with_suffix('.png')}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
