"""Do the numbers that retargeting publishes tell who walked? Each alone, and all together.

    python benchmarks/experiments/retarget/gait_numbers.py --data_dir=data

An attacker reads published walks with the reader that made them. Gallery nm-01 to nm-04, probes
nm-05 and nm-06 of the test people, same view; every walk has a key of its own. "nearest" takes the
nearest walk, each number in units of its spread over the walks of one of the training people;
"LDA" learns from published walks of the training people which differences tell people apart.
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tqdm import tqdm

from stgan_jax.evaluation import attacks
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import catalog
from stgan_jax.methods.api import Anonymizer, walk_keys
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.shapes import contour, gait
from stgan_jax.util import files
from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_READER = flags.DEFINE_string("reader", "retarget", "What the attacker reads gaits with.")
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_suffix(".csv")), "Table to write.")
_COLUMNS = {
    "cadence": [0],
    "view": [1, 2],
    "swing": [3],
    "bag, coat": [4, 5],
    "pitch": [6],
    "all but cadence": [1, 2, 3, 4, 5, 6],
    "all": [0, 1, 2, 3, 4, 5, 6],
}


def summary(reader: RetargetAnonymizer, silhouettes: np.ndarray) -> np.ndarray:
    """Cadence in cycles a frame; view as (cos, sin), swing, bag, coat and pitch as read."""
    read = reader.read_gait(silhouettes)
    phase = gait.read(read).phase
    cadence = np.polyfit(np.arange(len(phase)), phase, 1)[0]
    return np.array([cadence, *read[:, [4, 5, 8, 9, 10, 11]].mean(0)])


def _published(method: Anonymizer, reader: RetargetAnonymizer, walks: Walks) -> np.ndarray:
    """The numbers of all normal walks, NaN for others; keys are those of an evaluation."""
    out = np.full((len(walks.names), 7), np.nan)
    normal = walks.condition == "nm"
    for name, part in walks.parts(0).items():
        for i in tqdm(np.flatnonzero(part.mask & normal), f"{method.name}: {name}", unit="walk"):
            own = walks.contours(np.array([i]), "resampled")[0]
            [key] = walk_keys([walks.names[i]], part.seed)
            silhouettes = contour.decode(contour.to_pixels(own), "resampled")
            out[i] = summary(reader, method(silhouettes, key))
    return out


def _within(values: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Spread of each number over the walks of one person in one view."""
    each = [values[people == one] for one in np.unique(people)]
    return np.sqrt(np.mean([one.var(0) for one in each if len(one) > 1], 0)) + 1e-9


def rank1(values: np.ndarray, walks: Walks, attacker: str) -> tuple[float, float, float]:
    """Rank-1 in the same view and its interval; `values` as of `_published`."""
    parts, found, subjects = walks.parts(0), [], []
    normal = walks.condition == "nm"
    for view in walks.views():
        here = normal & (walks.view == view)
        training, gallery, probes = (
            np.flatnonzero(here & parts[name].mask) for name in ("training", "gallery", "probes")
        )
        unit = values / _within(values[training], walks.subject[training])
        if attacker == "LDA":
            fitted = LinearDiscriminantAnalysis().fit(unit[training], walks.subject[training])
            unit = np.nan_to_num(unit)
            unit = fitted.transform(unit)
        away = np.linalg.norm(unit[probes][:, None] - unit[gallery], axis=-1)
        found.append(attacks.hits(away, walks.subject[gallery], walks.subject[probes]))
        subjects.append(walks.subject[probes])
    hits, whose = np.concatenate(found), np.concatenate(subjects)
    return float(hits.mean()), *attacks.interval(hits, whose)


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, numbers("--views", _VIEWS.value))
        reader, rows = RetargetAnonymizer.load(_READER.value), []
        for method in (catalog.load(_MODEL.value), Unprotected()):
            values = _published(method, reader, walks)
            for name, columns in _COLUMNS.items():
                for attacker in ("nearest", "LDA"):
                    mean, low, high = rank1(values[:, columns], walks, attacker)
                    about = {"walks": method.name, "numbers": name, "attacker": attacker}
                    rows.append({**about, "rank1": mean, "low": low, "high": high})
                    print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1].values()))
        files.write_table(_OUT.value, rows, 3)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
