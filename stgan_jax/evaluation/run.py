"""How private and how natural anonymised walks are: every figure of the papers, and attackers."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from stgan_jax import __version__
from stgan_jax.evaluation import (
    detectors,
    naturalness,
    published,
    recognizers,
    recovery,
    report,
)
from stgan_jax.evaluation.attackers import ATTACKS, Attackers, AttackSettings, split
from stgan_jax.evaluation.cache import Cache
from stgan_jax.evaluation.published import Published
from stgan_jax.evaluation.walks import FRAMES, Walks
from stgan_jax.methods.api import Anonymizer, ReadsGaits
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.util.errors import InputError

PROTOCOL = "1.0"  # of docs/protocol.md; to be raised when it leads to other figures


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and how thoroughly.

    Attributes:
      recognizers: names of `recognizers.KINDS`.
      attacks: names of `ATTACKS`.
      across_views: whether galleries of other views are searched, too.
      natural_walks: number of walks per view from which naturalness is measured.
      recovery_walks: number of walks per view from which a recovery attack learns, and of those
        that it attacks; 0 for no such attack.
      seed: for all noise and for the recognisers.
      size: of the recognising networks, one of `recognizers.SIZES`.
    """

    recognizers: Sequence[str] = tuple(recognizers.KINDS)
    attacks: Sequence[str] = tuple(ATTACKS)
    across_views: bool = True
    natural_walks: int = 40
    recovery_walks: int = 50
    seed: int = 0
    size: str = "medium"

    def __post_init__(self):
        """Raises `InputError` for an unknown recogniser or attack, or if there is none."""
        for field, names, known in (
            ("recognizers", self.recognizers, recognizers.KINDS),
            ("attacks", self.attacks, ATTACKS),
            ("size", (self.size,), recognizers.SIZES),
        ):
            if not names or set(names) - set(known):
                raise InputError(f"{field}: choose from {', '.join(known)}")


def settings(
    quick: bool = False,
    recognizers: Sequence[str] = (),
    attacks: Sequence[str] = (),
    seed: int = 0,
    size: str = "medium",
) -> EvaluationSettings:
    """Settings from a command line: all that are empty as in a quick or in the full evaluation."""
    chosen = EvaluationSettings(seed=seed, size=size)
    if quick:
        few = "gei", "zheng", "gait_numbers"
        chosen = EvaluationSettings(few, tuple(ATTACKS), False, 2, 16, seed, size)
    return dataclasses.replace(
        chosen, recognizers=recognizers or chosen.recognizers, attacks=attacks or chosen.attacks
    )


class Instruments(NamedTuple):
    """Networks that measure.

    Attributes:
      reader: reads gaits for the recognisers that compare their numbers.
      detector: gives the frame score; None for OpenCV's people detector.
      action: gives the video score; None for none.
    """

    reader: ReadsGaits | None = None
    detector: detectors.Scorer | None = None
    action: detectors.Scorer | None = None


NO_INSTRUMENTS = Instruments()


class Evaluation:
    """Figures of methods, each computed when it is asked for, and kept in the cache.

    Attributes:
      compared: the methods, the unprotected walks first.
      walks: those that all of them have.
    """

    def __init__(
        self,
        methods: Sequence[Anonymizer],
        walks: Walks,
        settings: EvaluationSettings,
        cache: str | os.PathLike,
        dataset: str = "",
        instruments: Instruments = NO_INSTRUMENTS,
    ):
        """See `evaluate`."""
        self._settings, self._instruments = settings, instruments
        self.walks = walks = published.common(walks, methods)
        self._parts = walks.parts(settings.seed)
        self.compared = _plain_first(methods)
        self._cache = Cache(
            cache, [__version__, report.VERSION, dataset, walks.digest(), settings.seed]
        )
        reads = [name for name in settings.recognizers if recognizers.KINDS[name].reads]
        if reads and instruments.reader is None:
            raise InputError(f"{reads[0]} needs a reader of gaits: give one, or leave it out")
        chosen = AttackSettings(
            settings.recognizers, settings.across_views, settings.size, settings.seed
        )
        reader = instruments.reader if reads else None
        self.attackers = Attackers(
            self.compared[0], walks, self._parts, self._cache, chosen, reader
        )

    def recovery(self, method: Anonymizer) -> dict[str, Any] | None:
        """See `recovery.attack`; None if there is nothing to learn from, or none is wanted."""
        count = self._settings.recovery_walks
        if not count or _missing(method).get("training") == "all":
            return None
        return recovery.attack(method, self.walks, self._parts, self._cache, count)

    def naturalness(
        self, methods: Sequence[Anonymizer]
    ) -> tuple[list[dict[str, Any]], dict[str, UInt8[np.ndarray, "_ _"]]]:
        """See `naturalness.compare`; the first method leaves walks as they are."""
        return naturalness.compare(
            methods,
            self.walks,
            self._parts,
            self._cache,
            self._settings.natural_walks,
            self._instruments.detector,
            self._instruments.action,
        )

    def counts(self) -> dict[str, int]:
        """How many walks there are in each part."""
        return {n: int(self._parts[n].mask.sum()) for n in ("training", "gallery", "probes")}


def evaluate(
    methods: Sequence[Anonymizer],
    walks: Walks,
    settings: EvaluationSettings = EvaluationSettings(),
    cache: str | os.PathLike = "runs/recognizers",
    dataset: str = "",
    instruments: Instruments = NO_INSTRUMENTS,
) -> tuple[dict[str, Any], dict[str, UInt8[np.ndarray, "_ _"]]]:
    """Measures methods on walks of people on whom nothing was trained.

    Args:
      methods: compared with each other and with the unprotected walks.
      walks: everybody's, see `Walks.parts`.
      settings: what to measure.
      cache: folder of trained recognisers and of figures, which the same version uses again: an
        evaluation that was stopped goes on.
      dataset: name and version of the walks' dataset, for the report.
      instruments: networks that measure.

    Returns:
      the report (see `evaluation.report`), and pictures by name.

    Raises:
      InputError: too few people or walks for a figure, or two methods of one name.
    """
    evaluation = Evaluation(methods, walks, settings, cache, dataset, instruments)
    compared, walks = evaluation.compared, evaluation.walks
    rows = [
        {name: getattr(method, name) for name in ("name", "kind", "alpha", "codec", "digest")}
        for method in compared
    ]
    for row, method in zip(rows, compared, strict=True):
        row["missing"] = _missing(method)
    for row, method in zip(rows, compared, strict=True):
        names = possible(method, settings.attacks)
        for name in sorted(set(settings.attacks) - set(names)):
            gone = " and ".join(role for role, n in row["missing"].items() if n == "all")
            print(f"{method.name}: no {name} attack, as its tree has no walk of the {gone}")
        row["privacy"] = evaluation.attackers.figures(method, names)
    for row, method in zip(rows, compared, strict=True):
        if (recovered := evaluation.recovery(method)) is not None:
            row["recovery"] = recovered
    natural, pictures = evaluation.naturalness(compared)
    for row, figures in zip(rows, natural, strict=True):
        row["naturalness"] = figures

    training, test = walks.roles()
    learnt, weighing = split(training)
    detector, action = instruments.detector, instruments.action
    return {
        "version": report.VERSION,
        "protocol": PROTOCOL,
        "dataset": dataset,
        "views": walks.views(),
        "frames": FRAMES,
        "subjects": {"recognizers": list(learnt), "weighing": list(weighing), "test": list(test)},
        "walks": evaluation.counts(),
        "recognizers": list(settings.recognizers),
        "size": settings.size,
        "attacks": list(settings.attacks),
        "seed": settings.seed,
        "frame_score_by": detectors.HOG if detector is None else detector.name,
        "video_score_by": None if action is None else action.name,
        "methods": rows,
    }, pictures


def _missing(method: Anonymizer) -> dict[str, Any]:
    """Which walks a method lacks that was published elsewhere."""
    return dict(getattr(method, "missing", {}))


def possible(method: Anonymizer, names: Sequence[str]) -> Sequence[str]:
    """The attacks for which a method has walks."""
    return method.attacks(names) if isinstance(method, Published) else names


def _plain_first(methods: Sequence[Anonymizer]) -> list[Anonymizer]:
    """The unprotected walks and all methods that change them."""
    others = [method for method in methods if not isinstance(method, Unprotected)]
    names = [method.name for method in others]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"two methods are called {min(twice)}: rename a folder")
    return [Unprotected(), *others]
