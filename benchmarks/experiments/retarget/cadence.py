"""What does cadence alone tell of who walks, and what does `tempo` leave of it?

    python benchmarks/experiments/retarget/cadence.py --data_dir=data

An attacker who measures the time of a step and looks at nothing else. Gallery nm-01 to nm-04,
probes nm-05 and nm-06 of the test people, same view; every walk has a key of its own. "nearest"
takes the nearest mean of a gallery's times; "law" knows how factors are drawn and how exactly steps
repeat (from clean walks of other people), and takes the likeliest. Also: how natural re-timed walks
are.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import scipy.interpolate
import scipy.stats
from absl import app, flags
from tqdm import tqdm

from stgan_jax import files, gait, methods
from stgan_jax.errors import numbers, one_sentence, parse_flags
from stgan_jax.evaluation import naturalness, privacy
from stgan_jax.material import Walks
from stgan_jax.retarget import Retargeter

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_TEMPO = flags.DEFINE_list("tempo", ["0.12", "0.2"], "Largest relative changes of cadence.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("cadence.csv")), "Table to write.")
_GRID = np.arange(8.5, 18.0, 0.01)  # frames a step
_NATURAL = ("one_piece", "change_ratio", "flicker", "leg_amplitude_ratio")


def _step(cycle: naturalness.LegCycle) -> float:
    """Logarithm of a step's frames: where the motion repeats itself after one and after two."""
    lags = np.arange(len(cycle.rows))
    alike = scipy.interpolate.CubicSpline(lags, cycle.rows)
    return float(np.log(_GRID[np.argmax(alike(_GRID) + alike(2 * _GRID))]))


def _key(walk) -> jax.Array:
    number = [walk.subject, walk.repetition, walk.view]
    return jax.random.key(int(np.random.default_rng(number).integers(2**31)))


def _density(errors: np.ndarray, largest: float, gallery: float) -> scipy.stats.gaussian_kde:
    """Of a probe's logarithm less the mean of four gallery walks', for one person."""
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
    is_probe = walks.repetition[index] > 4
    for view in np.unique(walks.view[index]):
        here = walks.view[index] == view
        known = np.unique(walks.subject[index])
        own = walks.subject[index]
        means = np.array([gallery[here & ~is_probe & (own == s)].mean() for s in known])
        asked = here & is_probe
        away = probes[asked][:, None] - means
        if density is None:
            away = np.abs(away)
        else:
            away = -density.logpdf(away.ravel()).reshape(away.shape)
        found.append(privacy.hits(away, known, own[asked]))
        subjects.append(own[asked])
    hits, whose = np.concatenate(found), np.concatenate(subjects)
    return float(hits.mean()), *privacy.interval(hits, whose)


def _spread(walks: Walks, index: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """How one person's steps differ from walk to walk."""
    whose = walks.subject[index] * 1000 + walks.view[index]
    return np.concatenate([
        (own - own.mean()) * np.sqrt(len(own) / (len(own) - 1))
        for own in (steps[whose == one] for one in np.unique(whose)) if len(own) > 1
    ])  # fmt: skip


def _chosen(walks: Walks, subjects: Sequence[int]) -> np.ndarray:
    return np.flatnonzero(walks.of(subjects) & (walks.condition == "nm"))


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        views = [int(view) for view in numbers("--views", _VIEWS.value)]
        changes = [0.0, *map(float, _TEMPO.value)]
        model = Retargeter.load(_MODEL.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        training, test = walks.roles()
        plain = methods.unprotected()
        others = _chosen(walks, training)
        clean = walks.silhouettes(plain, others, 0)
        errors = _spread(walks, others, np.array([
            _step(naturalness.leg_cycle(masks))
            for _, _, masks in tqdm(clean, "other people", len(others), unit="walk")
        ]))  # fmt: skip
        index = _chosen(walks, test)
        steps = {name: np.empty(len(index)) for name in ("unprotected", *changes)}
        natural: dict[float, list] = {change: [] for change in changes}
        clean = walks.silhouettes(plain, index, 0)
        for i, (n, _, masks) in enumerate(tqdm(clean, "walks", len(index), unit="walk")):
            before = naturalness.leg_cycle(masks)
            steps["unprotected"][i] = _step(before)
            own_tempo = None
            for change in changes:
                key = _key(walks.named[n])
                made = model(masks, key, tempo=change)
                after = naturalness.leg_cycle(made)
                steps[change][i] = _step(after)
                own_tempo = after if own_tempo is None else own_tempo
                if walks.repetition[n] == 5:
                    figures = naturalness.walk_figures(masks, made)
                    asked = 1 / gait.factor(key, change)
                    period = naturalness.period_ratio(own_tempo, after) / asked
                    natural[change].append([*(figures[k] for k in _NATURAL), abs(period - 1)])
        rows = []

        def add(what, probes, gallery, largest, of_gallery):
            density = _density(errors, largest, of_gallery)
            for attacker, law in (("nearest", None), ("law", density)):
                figures = _rank(walks, index, steps[gallery], steps[probes], law)
                names = ("rank1", "low", "high")
                rows.append({
                    "gallery_and_probes": what, "tempo": largest, "attacker": attacker,
                    **dict(zip(names, figures, strict=True)),
                })  # fmt: skip

        add("unprotected", "unprotected", "unprotected", 0.0, 0.0)
        for change in changes:
            add("ignorant", change, "unprotected", change, 0.0)
            add("lazy-informed", change, change, change, change)
        for row in rows:
            print(*(f"{v:.3f}" if isinstance(v, float) else v for v in row.values()))
        print("a person's steps differ by", round(float(errors.std()), 4), "from walk to walk,")
        whose = walks.subject[index]
        means = [steps["unprotected"][whose == s].mean() for s in np.unique(whose)]
        print("people by", round(float(np.std(means)), 4))
        for change, each in natural.items():
            mean, off = np.nanmean(each, 0), np.array(each)[:, -1]
            told = dict(zip((*_NATURAL, "period_error"), mean.round(4).tolist(), strict=True))
            worst, lost = float(np.nanmax(off)), int(np.isnan(off).sum())
            print("tempo", change, told, "worst", round(worst, 3), "not measured", lost)
        files.write_table(_OUT.value, rows, 3)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
