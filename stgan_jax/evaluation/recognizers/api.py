"""The interface that every gait recogniser offers."""

import dataclasses
from collections.abc import Callable, Mapping
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


@runtime_checkable
class InParts(Recognizer, Protocol):
    """A recogniser that also says what some of its features find by themselves.

    Attributes:
      parts: their names.
    """

    parts: ClassVar[tuple[str, ...]]

    def part(
        self, name: str, gallery: AlignedGaits, probes: AlignedGaits
    ) -> Float[np.ndarray, "P G"]:
        """`distances` by one of `parts` alone."""
        ...


SIZES = ("small", "medium", "large")


@dataclasses.dataclass(frozen=True)
class RecognizerKind:
    """How recognisers of one kind are trained and restored.

    Attributes:
      settings: class of its settings, which all have defaults.
      train: (gaits, seed, settings) -> recogniser.
      restore: (settings, the result of `Recognizer.arrays`) -> recogniser.
      version: to be raised when the same settings lead to another recogniser.
      sizes: settings other than the defaults ("medium", which two CPU cores train in minutes):
        "small", for a first look, and "large", the size that other work reports.
      reads: whether it needs the gaits' numbers, see `AlignedGaits`.
    """

    settings: type
    train: Callable[[AlignedGaits, int, Any], Recognizer]
    restore: Callable[[Any, dict[str, Any]], Recognizer]
    version: int = 1
    sizes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reads: bool = False
