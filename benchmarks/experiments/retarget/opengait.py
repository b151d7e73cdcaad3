"""Do OpenGait's 64x64 silhouettes do as input? Measures privacy and naturalness of the output.

    python benchmarks/experiments/retarget/opengait.py --data_dir=data --views=54,90

Walks of `synthetic_walkers/full` become trees of pickles as OpenGait's pretreatment writes them.
These are anonymised as `stgan-anonymize` does with datasets, and attackers and measures of
naturalness take what is read back. Trees are kept in --out: a stopped run goes on by the same
command; for other weights name another folder.
"""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.datasets import built, casia_b, records
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import attacks, gaits, naturalness, recognizers
from stgan_jax.evaluation.attackers import ATTACKS
from stgan_jax.evaluation.walks import FRAMES, Walks
from stgan_jax.shapes import gei
from stgan_jax.util import files
from stgan_jax.util.errors import numbers, one_sentence, parse_flags
from stgan_jax.video.walks import anonymize_dataset

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


def _write(walks: Walks, stored: built.Sequences, chosen: np.ndarray, tree: Path) -> None:
    """Writes a pickle for each chosen walk, unless it is there."""
    for i in tqdm(np.flatnonzero(chosen), f"pickles: {tree.name}", unit="walk"):
        walk = walks.names[i]
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


def _gaits(found: dict[str, np.ndarray]) -> gaits.AlignedGaits:
    return gaits.collect((WalkName(*records.parsed(name), len(x)), x) for name, x in found.items())


def main(_):
    with one_sentence():
        files.check_output(_TABLE)
        out, views = Path(_OUT.value), numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        everybody = sorted(set(walks.subject.tolist()))
        stored = built.Sequences(
            _DATASET.value, _DATA_DIR.value, everybody, views, least_frames=FRAMES
        )
        training, test = walks.roles()
        is_gallery, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
        chosen = (walks.of(test) & is_probe, walks.of(test) & is_gallery, walks.of(training))
        clean, anonymized = {}, {}
        for seed, (role, mask) in enumerate(zip(_ROLES, chosen, strict=True)):
            tree, result = out / role, out / f"{role}-anonymized"
            _write(walks, stored, mask, tree)
            report = anonymize_dataset(tree, result, None, seed, jobs=os.cpu_count() or 1)
            print(f"{role}: {report['walks']} walks, not anonymised: {report['errors']}")
            clean[role], anonymized[role] = _read(tree), _read(result)
        before, after = ({k: _gaits(v) for k, v in x.items()} for x in (clean, anonymized))
        rows = [_row("clean", before["training"], before["gallery"], before["probes"])]
        for attack, knows in ATTACKS.items():
            material, gallery = (after if known else before for known in knows)
            rows.append(_row(attack, material["training"], gallery["gallery"], after["probes"]))
        natural = _natural(clean["probes"], anonymized["probes"])
        means = [{k: float(v) for k, v in zip(_NATURAL, x, strict=True)} for x in natural]
        table = [row | means[min(number, 1)] for number, row in enumerate(rows)]
        print({k: round(v, 4) for k, v in means[1].items()})
        files.write_table(_TABLE, table, 4)


def _natural(clean: dict[str, np.ndarray], anonymized: dict[str, np.ndarray]) -> np.ndarray:
    """Means of `_NATURAL` over normal walks, before and after (2, 4)."""
    walks = []
    for name, original in tqdm(clean.items(), "naturalness", unit="walk"):
        if len(anonymized[name]) != len(original):
            print(f"{name}: {len(original)} frames came back as {len(anonymized[name])}")
        elif records.parsed(name)[1] == "nm":
            both = [naturalness.walk_figures(original, x) for x in (original, anonymized[name])]
            walks.append([[figures[k] for k in _NATURAL] for figures in both])
    print(f"{len(walks)} walks")
    return np.nanmean(walks, 0)


def _row(
    attack: str,
    training: gaits.AlignedGaits,
    gallery: gaits.AlignedGaits,
    probes: gaits.AlignedGaits,
) -> dict:
    row: dict = {"attack": attack}
    for name in _RECOGNIZERS.value:
        recognizer = recognizers.cached(Path(_OUT.value) / "recognizers", name, training)
        matching = attacks.matching(recognizer.distances, gallery, probes)
        figures = attacks.figures(matching, matching, False)
        rank1 = figures["conditions"]["nm"]["rank1"]
        low, high = rank1["interval"]
        row |= {name: rank1["accuracy"], f"{name} low": low, f"{name} high": high}
        row[f"{name} eer"] = figures["eer"]
    print(row)
    return row


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
