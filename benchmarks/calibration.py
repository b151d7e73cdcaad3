"""How hard is a dataset? Plain matching of energy images and of gaits' numbers, beside CASIA-B.

    python benchmarks/calibration.py --out=benchmarks/results/calibration.json
    python benchmarks/calibration.py --dataset=casia_b --data_dir=D

Prints the table that launch/build_data.py prints (`gei.calibration`), and what `gait_numbers` finds
of 40 people's unprotected normal walks, all numbers together and each alone, by the view. Without
--data_dir `synthetic_walkers` are rendered here, three views in half an hour on a busy core.
"""

import concurrent.futures
import json
import multiprocessing
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.datasets import built, names, splits, synthetic_walkers
from stgan_jax.data.walkers import procedural, recording
from stgan_jax.evaluation import attacks, gaits
from stgan_jax.evaluation.recognizers import gait_numbers
from stgan_jax.evaluation.walks import FRAMES
from stgan_jax.methods import catalog
from stgan_jax.shapes import contour, gei
from stgan_jax.util import errors, files

_DATASET = flags.DEFINE_enum("dataset", "synthetic_walkers/full", built.NAMES, "Which.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where it is built; rendered here by default.")
_VIEWS = flags.DEFINE_list("views", ["0", "54", "90"], "Degrees.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes that render.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")
# Rank-1 of real people's unprotected walks, 40 people, 54 and 90 degrees.
_REAL = {"all": (0.64, 0.65), "cadence": (0.19, 0.13), "view": (0.14, 0.06)}


def main(_):
    with errors.one_sentence():
        views = errors.numbers("--views", _VIEWS.value)
        if _OUT.value:
            files.check_output(_OUT.value)
        images, walks = [], []
        by_role = splits.subjects("stgan")
        measured = {*by_role["recognizer"][:40], *by_role["test"]}
        reader = catalog.gait_reader()

        def aligned():
            for name, masks in _sequences(views):
                images.append(gei.energy_image(masks))
                walks.append((name.subject, name.condition, name.repetition, name.view))
                if name.condition == "nm" and name.subject in measured and len(masks) >= FRAMES:
                    yield name, _as_published(masks[-FRAMES:])

        read = gaits.collect(aligned(), reader)
    matching = gei.calibration(np.stack(images), walks)
    print(gei.table(matching))
    found = {str(view): _numbers(read[read.view == view], by_role["test"]) for view in views}
    print(f"gait_numbers, rank-1 of {len(by_role['test'])} people   (real people at 54; 90)")
    for name in found[str(views[0])]:
        row = "   ".join(f"{view}: {each[name]:.3f}" for view, each in found.items())
        print(f"{name:12}{row}   {_REAL.get(name, '')}")
    if _OUT.value:
        version = str(synthetic_walkers.SyntheticWalkers.VERSION)
        figures = {"dataset": _DATASET.value, "matching": matching, "gait_numbers": found}
        if _DATASET.value.startswith("synthetic"):
            figures = {"version": version, **figures}
        with files.replacing(_OUT.value) as beside, open(beside, "w") as file:
            json.dump(figures, file, indent=1)


def _numbers(read: gaits.AlignedGaits, people: tuple[int, ...]) -> dict[str, float]:
    """Rank-1 by LDA ("all"), by the nearest neighbour, and by each number alone."""
    tested = np.isin(read.subject, people)
    gallery, probes = (
        tested & part for part in gei.gallery_and_probes(read.condition, read.repetition)
    )
    recognizer = gait_numbers.train(read[~tested], 0, gait_numbers.GaitNumbersSettings())
    known, sought = read[gallery], read[probes]
    away = {"all": recognizer.distances(known, sought)}
    away |= {name: recognizer.part(name, known, sought) for name in recognizer.parts}
    return {
        name: round(float(attacks.hits(each, known.subject, sought.subject).mean()), 4)
        for name, each in away.items()
    }


def _as_published(masks: np.ndarray) -> np.ndarray:
    """As an evaluation has unprotected walks: one piece, without holes."""
    return contour.decode(contour.encode(masks, "padded"), "padded")


def _sequences(views: list[int]) -> Iterator[tuple[names.WalkName, np.ndarray]]:
    if _DATA_DIR.value is not None:
        stored = built.Sequences(
            _DATASET.value, _DATA_DIR.value, splits.subjects("all")["all"], views
        )
        for i in tqdm(range(len(stored)), "reading", unit="walk"):
            yield stored.walks[i], stored.silhouettes(i)
        return
    jobs = [
        (subject, view, *procedural.walk_name(walk))
        for subject in splits.subjects("all")["all"]
        for walk in synthetic_walkers.WALKS
        for view in views
    ]
    # Forked children of a process that runs JAX can hang: spawn.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(_WORKERS.value, context) as pool:
        rendered = tqdm(pool.map(_rendered, jobs, chunksize=8), "rendering", len(jobs), unit="walk")
        for (subject, view, condition, repetition), masks in zip(jobs, rendered, strict=True):
            yield names.WalkName(subject, condition, repetition, view, len(masks)), masks


def _rendered(job: tuple[int, int, str, int]) -> np.ndarray:
    return recording.silhouettes(*job)


if __name__ == "__main__":
    app.run(main, flags_parser=errors.parse_flags)
