"""Privacy against an attacker who learns from what is published, over naturalness: every method.

    python benchmarks/experiments/retarget/corner.py --data_dir=data --views=54,90 \
        "--more=wifs:wifs 1=runs/experiment/wifs_resampled/seed=0/alpha=1,seed=0"

Unprotected walks, people blurred as a whole, the package's ST-GAN and retargeting over alpha, and
trainings named by --more. Figures are kept in --out: a stopped run goes on by the same command.
With --families=retarget the other rows of the table stay as they are.
"""

import csv
from collections.abc import Collection
from pathlib import Path

import cv2
import jax
import matplotlib.figure
import numpy as np
from absl import app, flags

from stgan_jax.evaluation import report, run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import catalog
from stgan_jax.methods.api import Anonymizer, Silhouettes
from stgan_jax.shapes import contour
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, numbers, one_sentence, parse_flags

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "What is measured on.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", ["gei", "zheng"], "The strongest of them counts.")
_ALPHAS = flags.DEFINE_list("alphas", ["0", "0.25", "0.5", "0.75", "1"], "Of retargeting.")
_BLUR = flags.DEFINE_list("blur", ["0.05", "0.1"], "Standard deviations, of the stature.")
_FAMILIES = flags.DEFINE_list("families", [], "Those measured: blur, stgan, ...; all by default.")
_MORE = flags.DEFINE_multi_string("more", [], "FAMILY:NAME=WORKDIR of further trainings.")
_WALKS = flags.DEFINE_integer("natural_walks", 40, "A view, for naturalness.")
_OUT = flags.DEFINE_string("out", "runs/corner", "Folder of what is kept.")
_TABLE = Path(__file__).with_name("corner.csv")
_STATURE = 0.9 * contour.SIZE  # of a silhouette in its crop, about


class Blur(Anonymizer):
    """People blurred as a whole, cut out again where they cover half of what is behind them.

    Attributes:
      alpha: standard deviation of the blur, of the stature.
    """

    kind = "blur"

    def __init__(self, share: float):
        """Takes the standard deviation, of the stature."""
        self.alpha, self._deviation = share, share * _STATURE
        self.name = self.digest = f"blur {share:g}"

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """See `Anonymizer.__call__`; the key does not matter."""
        sigma = self._deviation
        soft = [cv2.GaussianBlur(m.astype(np.float32), (0, 0), sigma) for m in silhouettes]
        return (np.stack(soft) > 0.5).astype(np.uint8)


def _methods() -> dict[str, list[Anonymizer]]:
    """By family, in order of strength."""
    model = catalog.load("retarget")
    families: dict[str, list[Anonymizer]] = {
        "blur": [Blur(share) for share in numbers("--blur", _BLUR.value, float)],
        "stgan": [catalog.load(name) for name in ("stgan_mild", "stgan", "stgan_strong")],
        "retarget": [
            model.with_options(alpha=alpha).named(f"retarget {alpha:g}")
            for alpha in numbers("--alphas", _ALPHAS.value, float)
        ],
    }
    for entry in _MORE.value:
        name, workdir = entry.split("=", 1)
        family, label = name.split(":")
        families.setdefault(family, []).append(catalog.load(workdir).named(label))
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


def _row(family: str, method: dict, views: str) -> dict:
    """A method's row of the table, of its part of the evaluation's report."""
    (by,) = method["privacy"].values()
    rank1 = {name: each["conditions"]["nm"]["rank1"]["accuracy"] for name, each in by.items()}
    natural = method["naturalness"]["measures"]
    return {
        "family": family,
        "method": method["name"],
        "alpha": method["alpha"] or 0.0,
        "views": views,
        **rank1,
        "rank1": max(rank1.values()),
        "swing": natural["leg_amplitude_ratio"],
        "whole": natural["one_piece"] * (1 - (natural["self_crossing"] or 0.0)),
        "flicker": natural["flicker"],
        "distance_to_real": natural["distance_to_real"],
    }


def main(_):
    with one_sentence():
        files.check_output(_TABLE)
        degrees = numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, degrees or None)
        settings = run.EvaluationSettings(
            _RECOGNIZERS.value, ("semi-informed",), False, _WALKS.value, recovery_walks=0
        )
        families, views = _methods(), " ".join(map(str, walks.views()))
        kept = _kept(["unprotected", *families], views)
        every = [method for group in families.values() for method in group]
        result, pictures = run.evaluate(every, walks, settings, _OUT.value, _DATASET.value)
        report.write(Path(_OUT.value) / "report", result, pictures)
        family_of = {m.name: family for family, group in families.items() for m in group}
        rows = [
            _row(family_of.get(method["name"], "unprotected"), method, views)
            for method in result["methods"]
        ]
        rows += kept
        files.write_table(_TABLE, rows, 4)
        _draw(rows, _TABLE.with_suffix(".png"))
        print(f"{_TABLE}, {_TABLE.with_suffix('.png')}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
