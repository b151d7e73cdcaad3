"""Can two runs on one recording be linked by who walks? And by how much does the kept walk do that?

    python benchmarks/experiments/retarget/linking.py --data_dir=data

Walks nm-05 of the test people, retargeted with other keys again and again: each run's are looked
for among another run's of the same view, by recognisers that learnt from retargeted walks of other
people; means over all pairs of runs, and of how many pairs the own interval holds chance. "In
step": without what retargeting does against it. With --tempo, which changes the cadence as well.
Beside it the same of ideal silhouettes: strangers rendered in each recording's steps, faultlessly,
so that nothing links them but the walk itself.
"""

import itertools
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from stgan_jax import files, methods
from stgan_jax.data import identity, walkers
from stgan_jax.errors import numbers, one_sentence, parse_flags
from stgan_jax.evaluation import gaits, privacy, recognizers
from stgan_jax.material import FRAMES, Walks
from stgan_jax.retarget import Retargeter, stranger_seed

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", ["gei", "zheng", "set_network"], "Which.")
_CACHE = flags.DEFINE_string("cache", "runs/recognizers", "Folder of trained recognisers.")
_TEMPO = flags.DEFINE_float("tempo", 0.2, "Largest change of cadence, in a row of its own.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("linking.csv")), "Table to write.")
_REPETITION = 5
_RUNS, _TRAINING = (0, 1, 3, 4), 2  # seeds


def _ideal(walks: Walks, index: np.ndarray, manner: float, run: int) -> gaits.Gaits:
    """The same steps, each by a stranger of the run."""

    def drawn(i: int) -> np.ndarray:
        walk, seed = walks.named[i], stranger_seed(jax.random.key((run << 24) + i))
        return walkers.silhouettes(
            walk.subject, walk.view, walk.condition, walk.repetition, FRAMES,
            body_of=identity.sample_identity(seed, manner),
        )  # fmt: skip

    return gaits.collect((walks.named[i], drawn(i)) for i in index.tolist())


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        walks = Walks.of_dataset(
            _DATASET.value, _DATA_DIR.value, numbers("--views", _VIEWS.value) or None
        )
        training, test = walks.roles()
        chosen = walks.of(test) & (walks.condition == "nm") & (walks.repetition == _REPETITION)
        model, digest = Retargeter.load(_MODEL.value), methods.trained(_MODEL.value).digest
        tempo = _TEMPO.value
        in_step = Retargeter(model.settings, model.params)
        in_step.in_step, in_step.turn = True, 0.0
        still, plain, other = (
            methods.retargeted(name, network, 1.0, digest, largest)
            for name, network, largest in (
                ("in step", in_step, 0.0), ("retargeted", model, 0.0),
                (f"tempo {tempo:g}", model, tempo),
            )
        )  # fmt: skip
        learnt = walks.gaits(plain, walks.of(training), _TRAINING, "to learn from")
        attackers = [recognizers.cached(_CACHE.value, name, learnt) for name in _RECOGNIZERS.value]
        runs = {
            method.name: [walks.gaits(method, chosen, run, f"run {run}") for run in _RUNS]
            for method in (still, plain, other)
        }
        index = np.flatnonzero(chosen)
        runs["ideal silhouettes"] = [
            _ideal(walks, index, model.settings.manner, run) for run in _RUNS
        ]
        rows = []
        for name, made in runs.items():
            for recognizer in attackers:
                each = [
                    privacy.matching(recognizer.distances, one, other, False)
                    for one, other in itertools.combinations(made, 2)
                ]
                found = np.mean([matching.same_view() for matching in each], 0)
                scores = [np.concatenate(s) for s in zip(*(m.scores() for m in each), strict=True)]
                low, high = privacy.interval(found, each[0].probe_subject)
                lows = [privacy.interval(m.same_view(), m.probe_subject)[0] for m in each]
                rows.append({
                    "walks": name, "recognizer": recognizer.name, "rank1": float(found.mean()),
                    "rank1_low": low, "rank1_high": high,
                    "pairs_at_chance": float(np.mean(np.array(lows) <= 1 / len(test))),
                    "eer": privacy.equal_error_rate(*scores),
                    "linkability": privacy.linkability(*scores),
                })  # fmt: skip
                print(rows[-1])
        files.write_table(_OUT.value, rows, 4)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
