"""How well does cadence alone identify a walker, and what does `tempo` leave of that?

    python benchmarks/experiments/retarget/cadence.py --data_dir=data

The attacker measures the time of a step and nothing else. Gallery nm-01 to nm-04, probes nm-05 and
nm-06 of the test people, same view; every walk has a key of its own. "nearest" takes the nearest
mean of a gallery's times; "law" knows how factors are drawn and how exactly steps repeat (from
clean walks of other people), and takes the likeliest. Also: how natural re-timed walks are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.interpolate
import scipy.stats
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import attacks, motion, naturalness
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import catalog
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.shapes import gait
from stgan_jax.util import files
from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_TEMPO = flags.DEFINE_list("tempo", ["0.12", "0.2"], "Largest relative changes of cadence.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("cadence.csv")), "Table to write.")
_GRID = np.arange(8.5, 18.0, 0.01)  # frames a step
_NATURAL = ("one_piece", "change_ratio", "flicker", "leg_amplitude_ratio")


def _step(cycle: motion.LegCycle) -> float:
    """Logarithm of a step's frames, after one and after two of which the motion repeats itself."""
    lags = np.arange(len(cycle.rows))
    alike = scipy.interpolate.CubicSpline(lags, cycle.rows)
    return float(np.log(_GRID[np.argmax(alike(_GRID) + alike(2 * _GRID))]))


def _key(walk: WalkName) -> jax.Array:
    number = [walk.subject, walk.repetition, walk.view]
    return jax.random.key(int(np.random.default_rng(number).integers(2**31)))


def _density(errors: np.ndarray, largest: float, gallery: float) -> scipy.stats.gaussian_kde:
    """Density of a probe's logarithm less the mean of the same person's four gallery walks'."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(errors, (4000, 5))
    drawn[:, 0] += np.log1p(largest) * rng.uniform(-1, 1, 4000)
    drawn[:, 1:] += np.log1p(gallery) * rng.uniform(-1, 1, (4000, 4))
    return scipy.stats.gaussian_kde(drawn[:, 0] - drawn[:, 1:].mean(1), 0.1)


def _rank(
    walks: Walks, index: np.ndarray, gallery: np.ndarray, probes: np.ndarray, density=None
) -> tuple[float, float, float]:
    """Rank-1 in the same view, and its interval."""
    found, subjects = [], []
    is_probe, own = walks.repetition[index] > 4, walks.subject[index]
    known = np.unique(own)
    for view in np.unique(walks.view[index]):
        here = walks.view[index] == view
        means = np.array([gallery[here & ~is_probe & (own == s)].mean() for s in known])
        probed = here & is_probe
        away = probes[probed][:, None] - means
        if density is None:
            away = np.abs(away)
        else:
            away = -density.logpdf(away.ravel()).reshape(away.shape)
        found.append(attacks.hits(away, known, own[probed]))
        subjects.append(own[probed])
    hits, whose = np.concatenate(found), np.concatenate(subjects)
    return float(hits.mean()), *attacks.interval(hits, whose)


def _spread(walks: Walks, index: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """How one person's steps differ from walk to walk."""
    person = walks.subject[index] * 1000 + walks.view[index]
    every = [steps[person == one] for one in np.unique(person)]
    return np.concatenate(
        [(own - own.mean()) * np.sqrt(len(own) / (len(own) - 1)) for own in every if len(own) > 1]
    )


def _chosen(walks: Walks, subjects: Sequence[int]) -> np.ndarray:
    return np.flatnonzero(walks.of(subjects) & (walks.condition == "nm"))


def _measured(
    walks: Walks, index: np.ndarray, changes: Sequence[float]
) -> tuple[dict[Any, np.ndarray], dict[float, list[list[float]]]]:
    """Steps of walks, as they are ("unprotected") and by each change, and how natural they are."""
    model = catalog.load(_MODEL.value)
    models = {change: model.with_options(tempo=change) for change in changes}
    steps: dict[Any, np.ndarray] = {
        name: np.empty(len(index)) for name in ("unprotected", *changes)
    }
    natural: dict[float, list[list[float]]] = {change: [] for change in changes}
    clean = walks.silhouettes(Unprotected(), index, 0)
    for i, (n, _, masks) in enumerate(tqdm(clean, "walks", len(index), unit="walk")):
        steps["unprotected"][i] = _step(motion.leg_cycle(masks))
        key, own_tempo = _key(walks.names[n]), None
        for change in changes:
            anonymized = models[change](masks, key)
            after = motion.leg_cycle(anonymized)
            steps[change][i] = _step(after)
            own_tempo = after if own_tempo is None else own_tempo
            if walks.repetition[n] == 5:
                figures = naturalness.walk_figures(masks, anonymized)
                drawn = 1 / gait.factor(key, change)
                period = motion.period_ratio(own_tempo, after) / drawn
                natural[change].append([*(figures[k] for k in _NATURAL), abs(period - 1)])
    return steps, natural


def _table(
    walks: Walks,
    index: np.ndarray,
    steps: dict[Any, np.ndarray],
    errors: np.ndarray,
    changes: Sequence[float],
) -> list[dict[str, Any]]:
    """Both attackers' rank-1 on walks as they are and by each change."""
    # What it is called, probes, gallery, and the largest change of both.
    cases: list[tuple[str, Any, Any, float, float]] = [
        ("unprotected", "unprotected", "unprotected", 0.0, 0.0)
    ]
    for change in changes:
        cases.append(("ignorant", change, "unprotected", change, 0.0))
        cases.append(("lazy-informed", change, change, change, change))
    rows = []
    for name, probes, gallery, largest, of_gallery in cases:
        density = _density(errors, largest, of_gallery)
        for attacker, law in (("nearest", None), ("law", density)):
            rank1, low, high = _rank(walks, index, steps[gallery], steps[probes], law)
            about = {"gallery_and_probes": name, "tempo": largest, "attacker": attacker}
            rows.append({**about, "rank1": rank1, "low": low, "high": high})
    return rows


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        changes = [0.0, *numbers("--tempo", _TEMPO.value, float)]
        views = numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        training, test = walks.roles()
        others = _chosen(walks, training)
        clean = walks.silhouettes(Unprotected(), others, 0)
        clean_steps = [
            _step(motion.leg_cycle(masks))
            for *_, masks in tqdm(clean, "other people", len(others), unit="walk")
        ]
        errors = _spread(walks, others, np.array(clean_steps))
        index = _chosen(walks, test)
        steps, natural = _measured(walks, index, changes)
        rows = _table(walks, index, steps, errors, changes)
        for row in rows:
            print(*(f"{v:.3f}" if isinstance(v, float) else v for v in row.values()))
        print("a person's steps differ by", round(float(errors.std()), 4), "from walk to walk,")
        person = walks.subject[index]
        means = [steps["unprotected"][person == s].mean() for s in np.unique(person)]
        print("people by", round(float(np.std(means)), 4))
        for change, each in natural.items():
            mean, off = np.nanmean(each, 0), np.array(each)[:, -1]
            figures = dict(zip((*_NATURAL, "period_error"), mean.round(4).tolist(), strict=True))
            worst, lost = float(np.nanmax(off)), int(np.isnan(off).sum())
            print("tempo", change, figures, "worst", round(worst, 3), "not measured", lost)
        files.write_table(_OUT.value, rows, 3)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
