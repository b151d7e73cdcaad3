"""Does a folder of OpenGait's 64x64 silhouettes do as well as input? Measured at what comes out.

    python benchmarks/experiments/retarget/opengait.py --data_dir=data --views=54,90

Walks of `synthetic_walkers/full` become trees of pickles as OpenGait's pretreatment writes them,
what `stgan-anonymize` runs for datasets makes the same trees of them, and attackers and measures
of naturalness see what is read back. Trees are kept in --out: stopped, the same command goes on;
for other weights name another folder.
"""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax import evaluate, files
from stgan_jax.data import casia_b, datasets, records
from stgan_jax.errors import numbers, one_sentence, parse_flags
from stgan_jax.evaluation import gaits, gei, naturalness, privacy, recognizers
from stgan_jax.footage.walks import anonymize_dataset
from stgan_jax.material import FRAMES, Walks

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", ["gei", "zheng"], "Which.")
_OUT = flags.DEFINE_string("out", "runs/opengait", "Folder of the trees.")
_TABLE = Path(__file__).with_name("opengait.csv")
_SIDE = 64
_ROLES = ("probes", "gallery", "training")
_NATURAL = ("one_piece", "flicker", "leg_amplitude_ratio", "period_ratio")


def _pretreated(mask: np.ndarray) -> np.ndarray | None:
    """A frame as OpenGait's pretreatment leaves it: of one height, centred, soft outlines."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    body = mask[rows[0] : rows[-1] + 1] * np.uint8(255)
    width = round(body.shape[1] * _SIDE / len(body))
    small = cv2.resize(body, (width, _SIDE), interpolation=cv2.INTER_CUBIC)
    mass = np.cumsum(small.sum(0, dtype=np.float64))
    middle = int(np.searchsorted(mass, mass[-1] / 2))
    return np.pad(small, ((0, 0), (_SIDE // 2, _SIDE // 2)))[:, middle : middle + _SIDE]


def _write(walks: Walks, stored: datasets.Sequences, chosen: np.ndarray, tree: Path) -> None:
    for i in tqdm(np.flatnonzero(chosen), f"pickles: {tree.name}", unit="walk"):
        walk = walks.named[i]
        folder = tree / f"{walk.subject:03d}" / walk.name / f"{walk.view:03d}"
        path = folder / f"{walk.view:03d}.pkl"
        if path.exists():
            continue
        frames = [_pretreated(mask) for mask in stored.silhouettes(i)[-FRAMES:]]
        folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as beside:
            beside.write_bytes(pickle.dumps(np.stack([f for f in frames if f is not None])))


def _read(tree: Path) -> dict[str, np.ndarray]:
    """Silhouettes by name, as the builder of `casia_b` reads them."""
    found: dict[str, np.ndarray] = {}
    for folder in tqdm(sorted(tree.iterdir()), f"reading {tree.name}", unit="subject"):
        found |= casia_b.read_subject(tree, int(folder.name))[0]
    return found


def _gaits(found: dict[str, np.ndarray]) -> gaits.Gaits:
    named = ((datasets.Walk(*records.parsed(name), len(x)), x) for name, x in found.items())
    return gaits.collect(named)


def main(_):
    with one_sentence():
        files.check_output(_TABLE)
        out, views = Path(_OUT.value), [int(v) for v in numbers("--views", _VIEWS.value)]
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        everybody = sorted(set(walks.subject.tolist()))
        stored = datasets.Sequences(
            _DATASET.value, _DATA_DIR.value, everybody, views, least_frames=FRAMES
        )
        training, test = walks.roles()
        is_gallery, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
        chosen = (walks.of(test) & is_probe, walks.of(test) & is_gallery, walks.of(training))
        clean, made = {}, {}
        for seed, (role, mask) in enumerate(zip(_ROLES, chosen, strict=True)):
            tree, result = out / role, out / f"{role}-anonymized"
            _write(walks, stored, mask, tree)
            told = anonymize_dataset(tree, result, None, seed, jobs=os.cpu_count() or 1)
            print(f"{role}: {told['walks']} walks, not anonymised: {told['errors']}")
            clean[role], made[role] = _read(tree), _read(result)
        known, seen = ({k: _gaits(v) for k, v in x.items()} for x in (clean, made))
        rows = [
            _row("clean", known["training"], known["gallery"], known["probes"]),
            *(
                _row(attack, learnt["training"], gallery["gallery"], seen["probes"])
                for attack, learnt, gallery in zip(
                    evaluate.ATTACKS, (known, known, seen), (known, seen, seen), strict=True
                )
            ),
        ]
        before: list[list[float]] = []
        after: list[list[float]] = []
        for name, original in tqdm(clean["probes"].items(), "naturalness", unit="walk"):
            anonymized = made["probes"][name]
            if len(anonymized) != len(original):
                print(f"{name}: {len(original)} frames came back as {len(anonymized)}")
            elif records.parsed(name)[1] == "nm":
                for each, walk in ((before, original), (after, anonymized)):
                    told = naturalness.walk_figures(original, walk)
                    each.append([told[k] for k in _NATURAL])
        first, *others = rows
        table = [first | _means(before), *(row | _means(after) for row in others)]
        print(f"{len(after)} walks:", {k: round(v, 4) for k, v in _means(after).items()})
        files.write_table(_TABLE, table, 4)


def _means(walks: list[list[float]]) -> dict[str, float]:
    return {k: float(v) for k, v in zip(_NATURAL, np.nanmean(walks, 0), strict=True)}


def _row(attack: str, learnt: gaits.Gaits, gallery: gaits.Gaits, probes: gaits.Gaits) -> dict:
    row: dict = {"attack": attack}
    for name in _RECOGNIZERS.value:
        knowing = recognizers.cached(Path(_OUT.value) / "recognizers", name, learnt)
        matching = privacy.matching(knowing.distances, gallery, probes)
        told = privacy.figures(matching, matching, False)
        found = told["conditions"]["nm"]["rank1"]
        low, high = found["interval"]
        row |= {name: found["accuracy"], f"{name} low": low, f"{name} high": high}
        row[f"{name} eer"] = told["eer"]
    print(row)
    return row


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
