"""Times the feed: sequences a second from a built dataset, cold from disk and warm.

    python benchmarks/pipeline.py --dataset=synthetic_walkers/full --data_dir=D [--out=FILE.json]

A turn draws batches of 8 from a feed that goes on from turn to turn. The few that are ready at the
start of a turn were computed between turns: keep --batches large beside them.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import timing
from absl import flags

from stgan_jax.data import feed
from stgan_jax.data.datasets import built, splits

_DATASET = flags.DEFINE_enum("dataset", "synthetic_walkers/full", built.NAMES, "Which.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it is built.")
_BATCHES = flags.DEFINE_integer("batches", 60, "Batches of 8 sequences a turn.", lower_bound=1)
timing.define_flags(runs=3)

_FEEDS = (("resampled", "last", False), ("resampled", "random", True), ("padded", "last", False))


def main():
    subjects = splits.subjects("all")["all"]
    sequences = built.Sequences(_DATASET.value, _DATA_DIR.value, subjects, least_frames=50)
    calls: dict[str, Callable] = {"calibration": timing.calibration()}
    for codec, window, mirror in _FEEDS:
        source = feed.sequence_source(sequences, codec=codec, window=window, mirror=mirror)
        name = f"{codec}, {window} window" + (", mirrored" if mirror else "")
        for state, cold in (("cold", Path(_DATA_DIR.value)), ("warm", None)):
            batches = source.batches(8, seed=0)
            calls[f"{name}, {state}"] = functools.partial(_draw, batches, cold)
    times = timing.interleaved(calls, flags.FLAGS.runs)
    seconds = timing.spreads(times)
    rates = {
        name: round(8 * _BATCHES.value / each["median"])
        for name, each in seconds.items()
        if name != "calibration"
    }
    timing.report(
        {"sequences": len(sequences), "sequences_per_second": rates, "seconds": seconds},
        timing.by_calibration(times),
    )


def _draw(batches: Iterator, cold: Path | None) -> None:
    """Draws a turn's batches, after asking the system to drop the files in `cold`, if any."""
    if cold is not None:
        _forget(cold)
    for _ in itertools.islice(batches, _BATCHES.value):
        pass


def _forget(folder: Path) -> None:
    """Asks the system to drop the files from its cache, so that they come from disk."""
    for path in folder.rglob("*.array_record*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    timing.run(main)
