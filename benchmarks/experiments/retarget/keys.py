"""Does a walk whose view a dataset names publish anything but its key?

    python benchmarks/experiments/retarget/keys.py --data_dir=data

All walks of the test people get one key first: walks of one view must come out alike, bit for bit.
Then each gets a key of its own, as an attacker meets them, ten times over: how often one number of
the gait, read off published walks, finds the right person among 40 (nearest walk of the gallery,
in units of the spread in it). Of ten times as many probes chance strays less.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from stgan_jax.evaluation import attacks, numbers
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import catalog
from stgan_jax.shapes import contour
from stgan_jax.util import errors, files

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_SEEDS = flags.DEFINE_integer("seeds", 10, "How many keys each walk gets.", lower_bound=1)
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("keys.json")), "File to write.")
_CHUNK = 20  # walks read at a time
_PARTS = {**numbers.NAMES, "all, nearest": slice(None)}


def main(_) -> None:
    with errors.one_sentence():
        views = errors.numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views, ["nm"])
        out: dict[str, Any] = {"dataset": walks.dataset, "views": views, "alike": _alike(walks)}
        found, people = zip(*(_found(walks, seed) for seed in range(_SEEDS.value)), strict=True)
        out |= {"seeds": len(found), "probes": sum(map(len, people)), "found": {}}
        for name in _PARTS:
            hits = np.concatenate([one[name] for one in found])
            low, high = attacks.interval(hits, np.concatenate(people))
            row = {"rank1": hits.mean(), "interval": [low, high]}
            row["by_seed"] = [one[name].mean() for one in found]
            out["found"][name] = row
            print(f"{name:14s} {hits.mean():.3f} [{low:.3f}, {high:.3f}]")
        with files.replacing(_OUT.value) as beside:
            beside.write_text(json.dumps(out, indent=1, default=float) + "\n")


def _alike(walks: Walks) -> dict[str, list[int]]:
    """View -> how many walks come out as most do under one key, and of how many."""
    model, key = catalog.load("retarget"), jax.random.key(0)
    out: dict[str, list[int]] = {}
    _, test = walks.roles()
    for view in walks.views():
        index = np.flatnonzero(walks.of(test) & (walks.view == view))
        drawn: Counter[bytes] = Counter()
        for start in range(0, len(index), _CHUNK):
            for own in contour.to_pixels(walks.contours(index[start : start + _CHUNK], "padded")):
                silhouettes = contour.decode(own, "padded")
                drawn[model.from_view(float(view))(silhouettes, key).tobytes()] += 1
        out[str(view)] = [max(drawn.values()), len(index)]
        print(f"{view} degrees: {max(drawn.values())} of {len(index)} walks are alike")
    return out


def _found(walks: Walks, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Part -> whether it finds the right person, probe by probe; and whose probes these are."""
    model, reader = catalog.load("retarget"), catalog.gait_reader()
    gaits = {}
    for name in ("probes", "gallery"):
        part = walks.parts(seed)[name]
        index = np.flatnonzero(part.mask)
        gaits[name] = walks.gaits(model, index, part.seed, f"{name}, seed {seed}", reader)
    probes, gallery = gaits["probes"], gaits["gallery"]
    scale = np.maximum(gallery.numbers.std(0), 1e-9)
    other_view = probes.view[:, None] != gallery.view
    found = {}
    for name, columns in _PARTS.items():
        p, g = ((x.numbers / scale)[:, columns] for x in (probes, gallery))
        apart = np.linalg.norm(p[:, None] - g, axis=-1)
        nearest = np.where(other_view, np.inf, apart).argmin(1)
        found[name] = gallery.subject[nearest] == probes.subject
    return found, probes.subject


if __name__ == "__main__":
    app.run(main, flags_parser=errors.parse_flags)
