"""What is each part of retargeting worth? One change a row, short and equal trainings.

    python benchmarks/experiments/retarget/ablation.py --data_dir=data --out=runs/ablation

Wants `launch/build_data.py --dataset=synthetic_walkers/full`. Trainings are those of
`configs/retarget.py:demo`, on the same pairs, which are rendered once. A stopped run goes on by the
same command: pairs, trainings and figures are kept in --out. Rows of the table that are not
measured stay as they are: D_S and D_T, the identity adversary and the cycle are deleted, and only
commit a4819ee can measure their rows.
"""

import csv
import dataclasses
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from absl import app, flags
from sklearn.linear_model import RidgeCV

from stgan_jax.data.datasets import splits
from stgan_jax.evaluation import attacks, naturalness, recognizers
from stgan_jax.evaluation.walks import FRAMES, Walks, spread
from stgan_jax.methods import catalog, weights
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.methods.retarget import experiment
from stgan_jax.methods.retarget.examples import PairBatch, examples
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.shapes import gei, identity
from stgan_jax.training.loop import train
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, numbers, one_sentence, parse_flags

ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    "without rate": {"rate_weight": 0.0},
    "without pose": {"pose_weight": 0.0},
    "window 1": {"window": 1},
    "window 7": {"window": 7},
    "code 8": {"code_size": 8},
    "code 40": {"code_size": 40},
    "without motion": {"motion_weight": 0.0},
    "without overlap": {"overlap_weight": 0.0},
    "base with seed 1": {"seed": 1},
    "window 1 with seed 1": {"window": 1, "seed": 1},
}
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "What is measured on.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_OUT = flags.DEFINE_string("out", "runs/ablation", "Folder of everything that is kept.")
_ROWS = flags.DEFINE_list("rows", [], "Which, by name; all by default.")
_STEPS = flags.DEFINE_integer("steps", 300, "Of each training.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_WALKS = flags.DEFINE_integer("natural_walks", 20, "A view, for naturalness.")
_TABLE = flags.DEFINE_string(
    "table", str(Path(__file__).with_name("ablation.csv")), "Table to write."
)
_NATURAL = ("one_piece", "leg_amplitude_ratio", "flicker", "change_ratio", "period_ratio")
_CONFIG = Path(__file__).parents[3] / "configs" / "retarget.py"


def _examples(count, frames, components, first=0, fixed=None, workers=None):
    """`examples`, kept in a file in --out."""
    path = Path(_OUT.value) / f"examples-{count}-{frames}-{components}-{first}.npz"
    if not path.is_file():
        batch, fixed = examples(count, frames, components, first, fixed, workers)
        arrays = {f"{k}/{name}": x for k, each in fixed.items() for name, x in each.items()}
        with files.replacing(path) as beside:
            np.savez(beside, **batch._asdict(), **arrays)
    fixed = {}
    with np.load(path) as arrays:
        for place in sorted(set(arrays.files) - set(PairBatch._fields)):
            outer, name = place.split("/")
            fixed.setdefault(outer, {})[name] = arrays[place]
        return PairBatch(*(arrays[name] for name in PairBatch._fields)), fixed


def _walks() -> Walks:
    """Normal walks of everybody in the chosen views."""
    from stgan_jax.data import feed  # TensorFlow
    from stgan_jax.data.datasets import built

    views = numbers("--views", _VIEWS.value)
    names = [f"nm-{number:02d}" for number in range(1, 7)]
    everybody = range(1, splits.SUBJECTS + 1)
    sequences = built.Sequences(_DATASET.value, _DATA_DIR.value, everybody, views, names, FRAMES)
    sources = {
        codec: feed.sequence_source(sequences, frames=FRAMES, codec=codec)
        for codec in ("resampled", "padded")
    }
    return Walks(sequences.walks, sources)


def _explained(features: Callable, known: PairBatch, unseen: PairBatch) -> float:
    """Share of the source's identity that a ridge regression explains on pairs not learnt from.

    From means and spreads over time, and from both for each view, which it knows.

    Args:
      features: (walks, T, K) -> (walks, T, F).
      known: pairs to learn from.
      unseen: pairs to be asked about.
    """

    def inputs_and_people(batch: PairBatch):
        walks, people, pose = (np.asarray(x, np.float32) for x in batch[:3])
        x = np.asarray(features(walks[:, 0]))
        x = np.concatenate([x.mean(1), x.std(1)], 1)
        view = pose[:, pose.shape[1] // 2, 4:8]
        around = np.concatenate([np.ones((len(view), 1)), view], 1)
        return (around[:, :, None] * x[:, None]).reshape(len(x), -1), people[:, 0]

    x, y = inputs_and_people(known)
    scale = x.std(0) + 1e-6
    model = RidgeCV(np.logspace(0, 6, 13)).fit(x / scale, y)
    x, truth = inputs_and_people(unseen)
    error = np.square(model.predict(x / scale) - truth).mean()
    return float(1 - error / np.square(truth - y.mean(0)).mean())


def _attacked(method: Anonymizer, walks: Walks) -> dict[str, float]:
    """Rank-1 of semi-informed attackers, the mean over views, as `evaluate` computes it."""
    training, test = walks.roles()
    is_gallery, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    probes = walks.gaits(method, np.flatnonzero(walks.of(test) & is_probe), 0, "probes")
    gallery = walks.gaits(method, np.flatnonzero(walks.of(test) & is_gallery), 1, "gallery")
    material = walks.gaits(method, np.flatnonzero(walks.of(training)), 2, "to learn from")
    out = {}
    for name in ("gei", "zheng"):
        recognizer = recognizers.train(name, material)
        matching = attacks.matching(recognizer.distances, gallery, probes)
        found = matching.same_view(1)
        there = ~np.isnan(found)
        out[name] = float(found[there].mean())
        low, high = attacks.interval(found[there], matching.probe_subject[there])
        out[f"{name}_low"], out[f"{name}_high"] = low, high
        out[f"{name}_eer"] = attacks.equal_error_rate(*matching.scores())
    return out


def _before_and_after(
    method: Anonymizer, walks: Walks
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Some probes of each view, original and anonymised."""
    _, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    probes, out = walks.of(walks.roles()[1]) & is_probe, []
    for view in walks.views():
        index = spread(probes & (walks.view == view), _WALKS.value)
        before, after = (
            [silhouettes for *_, silhouettes in walks.silhouettes(each, index, 0)]
            for each in (Unprotected(), method)
        )
        out.append(list(zip(before, after, strict=True)))
    return out


def _natural(method: Anonymizer, walks: Walks) -> dict[str, float]:
    """Means over walks, then over views."""
    by_view = []
    for view in _before_and_after(method, walks):
        figures = [naturalness.walk_figures(*walk) for walk in view]
        by_view.append([np.nanmean([each[name] for each in figures]) for name in _NATURAL])
    return dict(zip(_NATURAL, np.mean(by_view, 0).tolist(), strict=True))


def _likeness(model: Anonymizer, walks: Walks) -> float:
    """Overlap (IoU) of walks at alpha 0 with themselves, at the same moments."""
    own = model.with_options(alpha=0.0, in_step=True, turn=0.0)
    views = _before_and_after(own, walks)
    return float(np.mean([(a & b).sum() / (a | b).sum() for view in views for a, b in view]))


def _figures(name: str, settings: RetargetSettings, walks: Walks) -> dict[str, Any]:
    """Trains and measures a row."""
    folder = Path(_OUT.value) / name.replace(" ", "_")
    if not train(settings, catalog.prepare, folder):
        raise SystemExit(1)  # stopped
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in logged if "validation/iou" in line][-1]
    model, (_, params) = catalog.load(folder), weights.load_as(folder, RetargetSettings)
    out: dict[str, Any] = {"row": name, "validation_iou": last["validation/iou"]}
    out |= _attacked(model, walks) | _natural(model, walks)
    data, size = settings.data, settings.components
    known, fixed = _examples(data.walks, data.frames, size)
    unseen, _ = _examples(data.validation_walks, data.frames, size, identity.FIRST_UNSEEN, fixed)
    encoder = settings.nets().encoder
    read = jax.jit(lambda walks: encoder.apply(params["gen"]["encoder"], walks)[0])
    out["own_iou_at_alpha_0"] = _likeness(model, walks)
    out["identity_in_codes"] = _explained(read, known, unseen)
    out["identity_in_silhouettes"] = _explained(lambda x: x[..., :40], known, unseen)
    return out


def main(_):
    with one_sentence():
        out = Path(_OUT.value)
        out.mkdir(parents=True, exist_ok=True)
        base = catalog.settings_of_config(runpy.run_path(str(_CONFIG))["get_config"]("demo"))
        # As the recorded rows were trained.
        base = dataclasses.replace(
            base, steps=_STEPS.value, picture_every=_STEPS.value, hold=False, steps_per_call=1
        )
        unknown = set(_ROWS.value) - set(ROWS)
        if unknown:
            raise InputError(f"--rows: no row {min(unknown)!r}, choose of {', '.join(ROWS)}")
        table: dict[str, dict[str, Any]] = {}
        if Path(_TABLE.value).is_file():
            with open(_TABLE.value) as file:
                table = {row["row"]: row for row in csv.DictReader(file)}
        walks = _walks()
        with mock.patch.object(experiment, "examples", _examples):
            for name in _ROWS.value or ROWS:
                path = out / f"{name}.json"
                if not path.is_file():
                    figures = _figures(name, dataclasses.replace(base, **ROWS[name]), walks)
                    with files.replacing(path) as beside:
                        beside.write_text(json.dumps(figures))
                table[name] = row = json.loads(path.read_text())
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
                files.write_table(_TABLE.value, list(table.values()), 4)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
