"""Can two results of one recording be linked, and how much of that is due to the kept walk?

    python benchmarks/experiments/retarget/linking.py --data_dir=data

Walks nm-05 of the test people, retargeted in several runs with other keys: each run's walks are
looked for among another run's of the same view, by recognisers that learnt from retargeted walks of
other people; means over all pairs of runs, and the share of pairs whose own interval holds chance.
"In step": without what retargeting does against it. And the same with ideal silhouettes: strangers
rendered in each recording's steps, faultlessly, so that nothing links them but the walk itself.
"""

import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import attacks, gaits, recognizers
from stgan_jax.evaluation.walks import FRAMES, Walks
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer, stranger
from stgan_jax.util import files
from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", ["gei", "zheng", "set_network"], "Which.")
_CACHE = flags.DEFINE_string("cache", "runs/recognizers", "Folder of trained recognisers.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("linking.csv")), "Table to write.")
_REPETITION = 5
_RUNS, _TRAINING = (0, 1, 3, 4), 2  # seeds


def _ideal(walks: Walks, index: np.ndarray, manner: float, run: int) -> gaits.AlignedGaits:
    """The same steps, each by a stranger of the run."""

    def drawn(i: int) -> np.ndarray:
        walk, other = walks.names[i], stranger(jax.random.key((run << 24) + i), manner)
        which = walk.subject, walk.view, walk.condition, walk.repetition
        return procedural.silhouettes(*which, FRAMES, body_of=other)

    return gaits.collect((walks.names[i], drawn(i)) for i in index.tolist())


def _row(
    name: str, recognizer: recognizers.Recognizer, runs: list[gaits.AlignedGaits], chance: float
) -> dict[str, Any]:
    """How well a recogniser links the runs of one kind of walks."""
    each = [
        attacks.matching(recognizer.distances, one, other, False)
        for one, other in itertools.combinations(runs, 2)
    ]
    found = np.mean([matching.same_view() for matching in each], 0)
    scores = [np.concatenate(s) for s in zip(*(m.scores() for m in each), strict=True)]
    low, high = attacks.interval(found, each[0].probe_subject)
    lows = [attacks.interval(m.same_view(), m.probe_subject)[0] for m in each]
    return {
        "walks": name,
        "recognizer": recognizer.name,
        "rank1": float(found.mean()),
        "rank1_low": low,
        "rank1_high": high,
        "pairs_at_chance": float(np.mean(np.array(lows) <= chance)),
        "eer": attacks.equal_error_rate(*scores),
        "linkability": attacks.linkability(*scores),
    }


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        views = numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views or None)
        training, test = walks.roles()
        chosen = walks.of(test) & (walks.condition == "nm") & (walks.repetition == _REPETITION)
        model = RetargetAnonymizer.load(_MODEL.value)
        plain = model.named("retargeted")
        methods = (model.with_options(in_step=True, turn=0.0).named("in step"), plain)
        material = walks.gaits(
            plain, np.flatnonzero(walks.of(training)), _TRAINING, "to learn from"
        )
        attackers = [
            recognizers.cached(_CACHE.value, name, material) for name in _RECOGNIZERS.value
        ]
        runs = {
            method.name: [
                walks.gaits(method, np.flatnonzero(chosen), run, f"run {run}") for run in _RUNS
            ]
            for method in methods
        }
        index, manner = np.flatnonzero(chosen), model.options.manner
        runs["ideal silhouettes"] = [_ideal(walks, index, manner, run) for run in _RUNS]
        rows = []
        for name, each in runs.items():
            for recognizer in attackers:
                rows.append(_row(name, recognizer, each, 1 / len(test)))
                print(rows[-1])
        files.write_table(_OUT.value, rows, 4)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
