"""How hard is a dataset? Plain gait-energy-image matching, to be compared with real CASIA-B.

    python benchmarks/calibration.py --dataset=synthetic_walkers/full --data_dir=D

Prints, from the stored silhouettes, the table that launch/build_data.py prints; --json for all its
figures. See `gei.calibration`.
"""

import dataclasses
import json

import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.datasets import built, splits
from stgan_jax.shapes import gei

_DATASET = flags.DEFINE_enum("dataset", "synthetic_walkers/full", built.NAMES, "Which.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it is built.")
_JSON = flags.DEFINE_bool("json", False, "All figures, as JSON.")


def main(_):
    sequences = built.Sequences(_DATASET.value, _DATA_DIR.value, splits.subjects("all")["all"])
    images = np.stack(
        [
            gei.energy_image(sequences.silhouettes(i))
            for i in tqdm(range(len(sequences)), desc="gait energy images", unit="seq")
        ]
    )
    names = [dataclasses.astuple(walk)[:4] for walk in sequences.walks]
    matching = gei.calibration(images, names)
    print(json.dumps(matching, indent=2) if _JSON.value else gei.table(matching))


if __name__ == "__main__":
    app.run(main)
