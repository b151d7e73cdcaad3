"""The plainest recogniser: distances of gait energy images, without training."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.shapes import likeness


@dataclasses.dataclass(frozen=True)
class GeiSettings:
    """There is nothing to set."""


@dataclasses.dataclass(frozen=True)
class Gei:
    """Euclidean distances of energy images of 64x44 pixels in [0, 1].

    Han and Bhanu 2006, without their discriminant analysis.
    """

    name: ClassVar[str] = "gei"

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """Euclidean distances of energy images."""
        g, p = (gaits.energy().reshape(len(gaits), -1) / 255.0 for gaits in (gallery, probes))
        squared = likeness.squared_distances(p, g)
        return np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)

    def arrays(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def restore(settings: GeiSettings, arrays: dict[str, Any]) -> Gei:
    """The recogniser."""
    del settings, arrays
    return Gei()


def train(gaits: AlignedGaits, seed: int, settings: GeiSettings) -> Gei:
    """The recogniser, which learns nothing."""
    del gaits, seed, settings
    return Gei()
