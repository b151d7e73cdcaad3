"""What each part of retargeting is worth: one change a row, short and equal trainings.

    python benchmarks/experiments/retarget/ablation.py --data_dir=data --out=runs/ablation

Wants `launch/build_data.py --dataset=synthetic_walkers/full`. Trainings are those of
`configs/retarget.py:demo`, on the same pairs, which are rendered once. Whatever stops it, the same
command goes on: pairs, trainings and figures are kept in --out.
"""

import dataclasses
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from sklearn.linear_model import RidgeCV

from stgan_jax import files, methods, retargeting, settings
from stgan_jax.data import pairs, splits
from stgan_jax.errors import InputError, numbers, one_sentence, parse_flags
from stgan_jax.evaluation import gei, naturalness, privacy, recognizers
from stgan_jax.material import FRAMES, Walks
from stgan_jax.retarget import Retargeter
from stgan_jax.train import train

# By how much a term is weighted where its row adds it: about a tenth of the whole loss.
ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    "with D_S and D_T": {"adversarial_weight": 0.3},
    "with the identity adversary": {"adversary_weight": 10.0},
    "with cycle": {"cycle_weight": 0.2},
    "with cycle on unpaired walks": {"cycle_weight": 0.2, "unpaired": None},
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
_WALKS = flags.DEFINE_integer("natural_walks", 20, "A view, that naturalness is taken of.")
_TABLE = flags.DEFINE_string(
    "table", str(Path(__file__).with_name("ablation.csv")), "Table to write."
)
_NATURAL = ("one_piece", "leg_amplitude_ratio", "flicker", "change_ratio", "period_ratio")
# ST-GAN trains on them: they are neither recognised nor train a recogniser.
_UNPAIRED = splits.subjects("stgan")["train"]
_CONFIG = Path(__file__).parents[3] / "configs" / "retarget.py"


def _kept(rendered: Callable, folder: Path) -> Callable:
    """`pairs.rows`, its result kept in files."""

    def rows(count, frames, components, first=0, fixed=None, workers=None):
        path = folder / f"pairs-{count}-{frames}-{components}-{first}.npz"
        if not path.is_file():
            made, told = rendered(count, frames, components, first, fixed, workers)
            arrays = {f"{k}/{name}": x for k, each in told.items() for name, x in each.items()}
            with files.replacing(path) as beside:
                np.savez(beside, rows=made, **arrays)
        told = {}
        with np.load(path) as arrays:
            for place in sorted(set(arrays.files) - {"rows"}):
                outer, name = place.split("/")
                told.setdefault(outer, {})[name] = arrays[place]
            return arrays["rows"], told

    return rows


def _walks() -> Walks:
    """Normal walks of everybody in the chosen views."""
    from stgan_jax.data import datasets, pipeline  # TensorFlow

    sequences = datasets.Sequences(
        _DATASET.value, _DATA_DIR.value, range(1, splits.SUBJECTS + 1),
        [int(view) for view in numbers("--views", _VIEWS.value)],
        [f"nm-{number:02d}" for number in range(1, 7)], FRAMES,
    )  # fmt: skip
    sources = {
        codec: pipeline.sequence_source(sequences, frames=FRAMES, codec=codec)
        for codec in ("resampled", "padded")
    }
    return Walks(sequences.walks, sources)


def _told_by(features: Callable, known: np.ndarray, unseen: np.ndarray, frames: int) -> float:
    """Share of the source's identity that a ridge regression explains on pairs not learnt from.

    Of means and spreads over time, and of both for each view, which it is told.
    """

    def seen(rows):
        walks, people, pose, _ = retargeting.unpacked(jnp.asarray(rows), frames)
        x = np.asarray(features(walks[:, 0]))
        x = np.concatenate([x.mean(1), x.std(1)], 1)
        view = np.asarray(pose[:, frames // 2, 4:8])
        around = np.concatenate([np.ones((len(view), 1)), view], 1)
        return (around[:, :, None] * x[:, None]).reshape(len(x), -1), np.asarray(people[:, 0])

    x, y = seen(known)
    scale = x.std(0) + 1e-6
    model = RidgeCV(np.logspace(0, 6, 13)).fit(x / scale, y)
    x, truth = seen(unseen)
    error = np.square(model.predict(x / scale) - truth).mean()
    return float(1 - error / np.square(truth - y.mean(0)).mean())


def _attacked(method: methods.Method, walks: Walks) -> dict[str, float]:
    """Rank-1 of semi-informed attackers, the mean over views, as `evaluate` has it."""
    training, test = walks.roles()
    is_gallery, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    probes = walks.gaits(method, walks.of(test) & is_probe, 0, "probes")
    gallery = walks.gaits(method, walks.of(test) & is_gallery, 1, "gallery")
    material = walks.gaits(method, walks.of(training), 2, "to learn from")
    out = {}
    for name in ("gei", "zheng"):
        knowing = recognizers.train(name, material)
        matching = privacy.matching(knowing.distances, gallery, probes)
        found = matching.same_view(1)
        there = ~np.isnan(found)
        out[name] = float(found[there].mean())
        low, high = privacy.interval(found[there], matching.probe_subject[there])
        out[f"{name}_low"], out[f"{name}_high"] = low, high
        out[f"{name}_eer"] = privacy.equal_error_rate(*matching.scores())
    return out


def _shown(method: methods.Method, walks: Walks) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Some probes of each view before and after."""
    _, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    out = []
    for view in np.unique(walks.view):
        index = np.flatnonzero(walks.of(walks.roles()[1]) & is_probe & (walks.view == view))
        index = index[np.unique(np.linspace(0, len(index) - 1, _WALKS.value).astype(int))]
        before, after = (
            [seen for _, _, seen in walks.silhouettes(each, index, 0)]
            for each in (methods.unprotected(), method)
        )
        out.append(list(zip(before, after, strict=True)))
    return out


def _natural(method: methods.Method, walks: Walks) -> dict[str, float]:
    """Means over walks, then over views."""
    by_view = []
    for view in _shown(method, walks):
        told = [naturalness.walk_figures(*walk) for walk in view]
        by_view.append([np.nanmean([each[name] for each in told]) for name in _NATURAL])
    return dict(zip(_NATURAL, np.mean(by_view, 0).tolist(), strict=True))


def _likeness(model: Retargeter, walks: Walks) -> float:
    """Overlap (IoU) of walks at alpha 0 with themselves, at the same moments."""
    model.in_step, model.turn = True, 0.0
    shown = _shown(methods.retargeted("own", model, 0.0), walks)
    return float(np.mean([(a & b).sum() / (a | b).sum() for view in shown for a, b in view]))


def _figures(name: str, config: settings.RetargetSettings, walks: Walks) -> dict[str, Any]:
    """Trains and measures a row."""
    folder = Path(_OUT.value) / name.replace(" ", "_")
    if not train(config, folder):
        raise SystemExit(1)  # asked to stop
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in logged if "validation/iou" in line][-1]
    method = methods.trained(folder)
    out: dict[str, Any] = {"row": name, "validation_iou": last["validation/iou"]}
    out |= _attacked(method, walks) | _natural(method, walks)
    data, model = config.data, Retargeter.load(folder)
    known, fixed = pairs.rows(data.walks, data.frames, config.components)
    unseen, _ = pairs.rows(
        data.validation_walks, data.frames, config.components, pairs.FIRST_UNSEEN, fixed
    )
    encoder, params = config.nets().encoder, model.params["gen"]["encoder"]
    read = jax.jit(lambda seen: encoder.apply(params, seen)[0])
    out["own_iou_at_alpha_0"] = _likeness(model, walks)
    out["identity_in_codes"] = _told_by(read, known, unseen, data.frames)
    out["identity_in_silhouettes"] = _told_by(lambda x: x[..., :40], known, unseen, data.frames)
    return out


def main(_):
    with one_sentence():
        out = Path(_OUT.value)
        out.mkdir(parents=True, exist_ok=True)
        base = settings.from_config(runpy.run_path(str(_CONFIG))["get_config"]("demo"))
        assert isinstance(base, settings.RetargetSettings)
        base = dataclasses.replace(
            base, steps=_STEPS.value, picture_every=_STEPS.value,
            hold=False, steps_per_call=1,  # convolutions are slow in a loop's body on CPUs
        )  # fmt: skip
        unknown = set(_ROWS.value) - set(ROWS)
        if unknown:
            raise InputError(f"--rows: no row {min(unknown)!r}, choose of {', '.join(ROWS)}")
        walks, rows = _walks(), []
        unpaired = settings.WalkerData(
            _UNPAIRED[0], _UNPAIRED[-1], frames=base.data.frames,
            dataset=_DATASET.value, data_dir=_DATA_DIR.value,
        )  # fmt: skip
        with mock.patch.object(pairs, "rows", _kept(pairs.rows, out)):
            for name in _ROWS.value or ROWS:
                path = out / f"{name}.json"
                if not path.is_file():
                    change = dict(ROWS[name])
                    if "unpaired" in change:
                        change["unpaired"] = unpaired
                    told = _figures(name, dataclasses.replace(base, **change), walks)
                    with files.replacing(path) as beside:
                        beside.write_text(json.dumps(told))
                rows.append(json.loads(path.read_text()))
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()})
                files.write_table(_TABLE.value, rows, 4)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
