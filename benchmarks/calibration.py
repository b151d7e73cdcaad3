"""How hard a dataset is: plain gait-energy-image matching, to be compared with real CASIA-B.

    python benchmarks/calibration.py --dataset=synthetic_walkers/full --data_dir=D

Nearest neighbour on gait energy images of all subjects; gallery nm-01 to nm-04; probes
nm-05..06, bg-01..02 and cl-01..02. Real CASIA-B, same view, mean over views: nm 0.92-0.99,
bg 0.30-0.75, cl 0.10-0.35.
"""

import json

import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data import datasets, splits
from stgan_jax.evaluation import gei

_DATASET = flags.DEFINE_enum("dataset", "synthetic_walkers/full", datasets.NAMES, "Which.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it is built.")
_GALLERY = ("nm-01", "nm-02", "nm-03", "nm-04")
_PROBES = {"nm": ("nm-05", "nm-06"), "bg": ("bg-01", "bg-02"), "cl": ("cl-01", "cl-02")}


def main(_):
    everybody = splits.subjects("all")["all"]
    sequences = datasets.Sequences(_DATASET.value, _DATA_DIR.value, everybody)
    images = np.stack(
        [
            gei.energy_image(sequences.silhouettes(i))
            for i in tqdm(range(len(sequences)), desc="gait energy images", unit="seq")
        ]
    )
    subject = np.array([walk.subject for walk in sequences.walks])
    view = np.array([walk.view for walk in sequences.walks])
    name = np.array([walk.name for walk in sequences.walks])
    views = sorted(set(view.tolist()))
    rank1 = {condition: np.zeros((len(views), len(views))) for condition in _PROBES}
    for row, gallery_view in enumerate(tqdm(views, desc="matching", unit="view")):
        gallery = np.isin(name, _GALLERY) & (view == gallery_view)
        for condition, walks in _PROBES.items():
            for column, probe_view in enumerate(views):
                probe = np.isin(name, walks) & (view == probe_view)
                found = gei.rank1(images[gallery], subject[gallery], images[probe], subject[probe])
                rank1[condition][row, column] = found.mean()
    other = ~np.eye(len(views), dtype=bool)
    table = {
        condition: {
            "same view, mean": round(float(np.diag(table).mean()), 3),
            "same view, by view": dict(zip(views, np.diag(table).round(3).tolist(), strict=True)),
            "other views, mean": round(float(table[other].mean()), 3),
        }
        for condition, table in rank1.items()
    }
    print(json.dumps({"dataset": _DATASET.value, "subjects": len(set(subject)), **table}, indent=2))


if __name__ == "__main__":
    app.run(main)
