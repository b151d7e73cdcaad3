"""The interface that every gait recogniser offers."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from stgan_jax.evaluation.gaits import AlignedGaits


@runtime_checkable
class Recognizer(Protocol):
    """Measures how alike walks are.

    Attributes:
      name: its kind's name in `recognizers.KINDS`.
    """

    name: ClassVar[str]

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """From each probe to each gallery walk: smaller for more alike, in no common unit."""
        ...

    def arrays(self) -> dict[str, Any]:
        """Arrays, in nested dictionaries, from which its kind restores it."""
        ...


@dataclasses.dataclass(frozen=True)
class RecognizerKind:
    """How recognisers of one kind are trained and restored.

    Attributes:
      settings: class of its settings, which all have defaults.
      train: (gaits, seed, settings) -> recogniser.
      restore: (settings, the result of `Recognizer.arrays`) -> recogniser.
      version: to be raised when the same settings lead to another recogniser.
    """

    settings: type
    train: Callable[[AlignedGaits, int, Any], Recognizer]
    restore: Callable[[Any, dict[str, Any]], Recognizer]
    version: int = 1
