"""Times the feed: sequences a second from a built dataset, cold from disk and warm.

python benchmarks/pipeline.py --dataset=synthetic_walkers/full --data_dir=D
"""

import itertools
import json
import os
import time
from pathlib import Path

import timing
from absl import app, flags

from stgan_jax.data import datasets, pipeline, splits

_DATASET = flags.DEFINE_enum("dataset", "synthetic_walkers/full", datasets.NAMES, "Which.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it is built.")
_BATCHES = flags.DEFINE_integer("batches", 60, "Batches of 8 sequences a measurement.")


def main(_):
    subjects = splits.subjects("all")["all"]
    sequences = datasets.Sequences(_DATASET.value, _DATA_DIR.value, subjects, least_frames=50)
    results = {"machine": timing.machine(), "sequences": len(sequences)}
    for codec, window, mirror in (
        ("resampled", "last", False), ("resampled", "random", True), ("padded", "last", False),
    ):  # fmt: skip
        source = pipeline.sequence_source(sequences, codec=codec, window=window, mirror=mirror)
        name = f"{codec}, {window} window" + (", mirrored" if mirror else "")
        for state in ("cold", "warm"):
            if state == "cold":
                _forget(Path(_DATA_DIR.value))
            feed = pipeline.batches(source, 8, seed=0)
            next(feed)
            started = time.perf_counter()
            for _ in itertools.islice(feed, _BATCHES.value):
                pass
            rate = 8 * _BATCHES.value / (time.perf_counter() - started)
            results[f"{name}, {state}: sequences a second"] = round(rate)
    print(json.dumps(results, indent=2))


def _forget(folder: Path) -> None:
    """Asks the system to drop the files from its cache, so that they come from disk."""
    for path in folder.rglob("*.array_record*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    app.run(main)
