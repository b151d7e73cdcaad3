"""An evaluation's figures, one by one, by several processes that leave them in its cache."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stgan_jax.evaluation import detectors, published, run
from stgan_jax.evaluation.run import Evaluation, EvaluationSettings, Instruments
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import baselines, catalog, peers
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.util import children

Loaded = tuple[Sequence[Anonymizer], Walks, Instruments]


@dataclasses.dataclass(frozen=True)
class Compared:
    """What an evaluation is made of, by name, so that every process can load it by calling this.

    Attributes:
      dataset, data_dir, views, conditions: see `Walks.of_dataset`.
      checkpoints: see `catalog.load_all`.
      linear_mix: the noise GAN of `baselines.LinearMix`, if that is compared.
      peers: see `peers.named`.
      published: see `published.from_flags`.
      detector, detector_input, action, action_input: see `detectors.from_flags`.
      names: other names of the checkpoints.
    """

    dataset: str
    data_dir: str
    views: Sequence[int] = ()
    conditions: Sequence[str] = ()
    checkpoints: Sequence[str] = ()
    linear_mix: str | None = None
    peers: Sequence[str] = ()
    published: Sequence[str] = ()
    detector: Sequence[str] = ()
    detector_input: Sequence[int] = (0, 640)
    action: str | None = None
    action_input: Sequence[int] = (0, 16, 112)
    names: Sequence[str] = ()

    def __call__(self) -> Loaded:
        """Loads all of it.

        Raises:
          InputError: something is not there.
        """
        score = self.detector, self.detector_input, self.action, self.action_input
        scorers = detectors.from_flags(*score)
        methods = catalog.load_all(self.checkpoints)
        if self.names:
            methods = [m.named(name) for m, name in zip(methods, self.names, strict=True)]
        methods += peers.named(self.peers)
        methods += [baselines.LinearMix(self.linear_mix, 0.3)] if self.linear_mix else []
        where = self.dataset, self.data_dir
        walks = Walks.of_dataset(*where, list(self.views), list(self.conditions))
        methods += published.from_flags(self.published, walks)
        return methods, walks, Instruments(catalog.gait_reader(), *scorers)


class FigureCell(NamedTuple):
    """One thing to compute.

    Attributes:
      what: "walks", "recognizer", "attack", "recovery" or "naturalness".
      method: number of the method.
      name: the walks' part, or the recogniser's or the attack's name.
      number: number of the walks' block.
    """

    what: str
    method: int
    name: str = ""
    number: int = 0


def stages(evaluation: Evaluation, settings: EvaluationSettings) -> list[list[FigureCell]]:
    """All that is kept in a cache, in stages of which each needs what the one before has left.

    Walks come first, then the recognisers that learn from them, then what these find. So also one
    method is shared by several processes, and nothing is computed twice.
    """
    walks, trained, found = [], [], []
    for i, method in enumerate(evaluation.compared):
        is_plain = isinstance(method, Unprotected)
        if not (method.digest or is_plain):
            continue  # nothing of it is kept
        names = run.possible(method, settings.attacks)
        attackers = evaluation.attackers
        walks += [FigureCell("walks", i, *piece) for piece in attackers.pieces(method, names)]
        if attackers.learns(method, names):
            trained += [FigureCell("recognizer", i, name) for name in settings.recognizers]
        found += [FigureCell("attack", i, name) for name in (["clean"] if is_plain else names)]
        (trained if is_plain else found).append(FigureCell("naturalness", i))
        found.append(FigureCell("recovery", i))
    return [walks, trained, found]


class Computer:
    """Computes cells; one a process."""

    def __init__(
        self, load: Callable[[], Loaded], settings: EvaluationSettings, cache: str | os.PathLike
    ):
        """Loads what the evaluation is made of."""
        methods, walks, instruments = load()
        self._evaluation = Evaluation(methods, walks, settings, cache, walks.dataset, instruments)

    def __call__(self, cell: FigureCell) -> None:
        """Computes a cell, if it is not in the cache."""
        evaluation = self._evaluation
        method = evaluation.compared[cell.method]
        match cell.what:
            case "walks":
                evaluation.attackers.prepare(method, cell.name, cell.number)
            case "recognizer":
                evaluation.attackers.train(method, cell.name)
            case "attack":
                evaluation.attackers.figures(method, [cell.name])
            case "recovery":
                evaluation.recovery(method)
            case "naturalness":
                # The first one's are there.
                evaluation.naturalness(evaluation.compared[:1] + [method] * (cell.method > 0))
        print(f"{method.name}: {' '.join(map(str, cell[::2]))}", file=sys.stderr, flush=True)


def fill(
    load: Callable[[], Loaded],
    settings: EvaluationSettings,
    cache: str | os.PathLike,
    jobs: int,
    flags: Sequence[str] = (),
) -> Loaded:
    """Computes all figures of an evaluation into its cache; `run.evaluate` then finds them there.

    Args:
      load: returns what is compared; can be pickled, as `Compared` can.
      settings: what is measured.
      cache: folder that all processes see.
      jobs: number of processes on this machine.
      flags: Apache Beam's, among them --runner for other machines.

    Returns:
      what `load` returns.

    Raises:
      InputError: something cannot be computed.
    """
    if not flags:
        children.prepare("stgan_jax.util.quiet", __name__, "stgan_jax.util.engine")
    from stgan_jax.util import engine  # Apache Beam: only where several processes compute

    engine.check(flags)
    methods, walks, instruments = load()
    known = cache, walks.dataset, instruments
    todo = stages(Evaluation(methods, walks, settings, *known), settings)
    make = functools.partial(Computer, load, settings, os.fspath(cache))
    engine.run(make, todo, engine.Runner.of_flags(jobs, flags), os.path.join(cache, ".cells"))
    return methods, walks, instruments
