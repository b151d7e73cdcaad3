"""A recogniser that compares the numbers of walks' gaits, see `evaluation.numbers`.

All together by linear discriminant analysis, trained on the recogniser's own subjects; beside it
each number alone and all of them by the nearest neighbour.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from stgan_jax.evaluation import numbers
from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class GaitNumbersSettings:
    """How it is trained.

    Attributes:
      shrinkage: share of the mean variance in the scatter within a person, 0 to 1.
    """

    shrinkage: float = 0.02


NEAREST = "all, nearest"


@dataclasses.dataclass(frozen=True)
class GaitNumbers:
    """The trained recogniser.

    Attributes:
      scale: each number's standard deviation among walks of one view.
      directions: matrix from scaled numbers to L others, in which one person's walks have unit
        covariance.
      between: variance of people in each of these L numbers.
      middle: means of the training walks in these: a row for each view, and one of all, for views
        that are not known.
      views: degrees, of the rows of `middle` but the last.
    """

    scale: Float[np.ndarray, " K"]
    directions: Float[np.ndarray, "K L"]
    between: Float[np.ndarray, " L"]
    middle: Float[np.ndarray, "V L"]
    views: Int[np.ndarray, " W"]
    name: ClassVar[str] = "gait_numbers"
    parts: ClassVar[tuple[str, ...]] = (*numbers.NAMES, NEAREST)

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """Minus the logarithm of how much likelier one person is than two, but for a constant.

        Both walks are Gaussian about their person, and people about the mean of the view.
        """
        g, p = (self._projected(gaits) for gaits in (gallery, probes))
        total = 1.0 + self.between
        rest = total**2 - self.between**2
        product = (p * (self.between / rest)) @ g.T
        squares = [np.square(x) @ (self.between**2 / (2 * total * rest)) for x in (p, g)]
        return (squares[0][:, None] + squares[1][None] - product).astype(np.float32)

    def part(
        self, name: str, gallery: AlignedGaits, probes: AlignedGaits
    ) -> Float[np.ndarray, "P G"]:
        """Euclidean distances of some scaled numbers: one of `parts`."""
        columns = slice(None) if name == NEAREST else numbers.NAMES[name]
        g, p = ((_of(gaits) / self.scale)[:, columns] for gaits in (gallery, probes))
        return np.linalg.norm(p[:, None] - g[None], axis=-1).astype(np.float32)

    def _projected(self, gaits: AlignedGaits) -> Float[np.ndarray, "N L"]:
        row = np.full(len(gaits), len(self.views))
        for i, view in enumerate(self.views):
            row[gaits.view == view] = i
        return _of(gaits) / self.scale @ self.directions - self.middle[row]

    def arrays(self) -> dict[str, Any]:
        """Arrays for `restore`."""
        return dict(vars(self))


def restore(settings: GaitNumbersSettings, arrays: dict[str, Any]) -> GaitNumbers:
    """Rebuilds a recogniser from its `arrays`."""
    del settings
    return GaitNumbers(**arrays)


def train(gaits: AlignedGaits, seed: int, settings: GaitNumbersSettings) -> GaitNumbers:
    """Learns how numbers vary within a person and between people, in one view.

    From normal walks, as the gallery's are; from all if nobody has two normal walks in a view.

    Raises:
      InputError: numbers were not read, or fewer than two people have two walks in a view.
    """
    del seed
    values = _of(gaits)
    for chosen in (gaits.condition == "nm", np.ones(len(gaits), bool)):
        group = np.stack([gaits.view, gaits.subject], 1)[chosen]
        groups, index, count = np.unique(group, axis=0, return_inverse=True, return_counts=True)
        index = index.reshape(-1)
        often = (count > 1)[index]
        if len(np.unique(group[often, 1])) > 1:
            break
    else:
        raise InputError("recogniser gait_numbers: two people need two walks each in a view")
    values, view = values[chosen], group[:, 0]
    middle = {one: values[view == one].mean(0) for one in np.unique(view)}
    apart = values - np.stack([middle[one] for one in view])
    scale = np.maximum(apart.std(0), 1e-6)
    apart = apart / scale
    means = np.stack([apart[index == i].mean(0) for i in range(len(groups))])
    inner = apart - means[index]
    within = inner.T @ inner / max(1, len(inner) - len(groups))
    size = len(within)
    within += settings.shrinkage * (np.trace(within) / size + 1e-6) * np.eye(size)
    # A mean of n walks differs by 1 / n of what walks do, too, which is no difference of people.
    between, directions = scipy.linalg.eigh(means.T @ means / len(means), within)
    between = np.maximum(between - (1 / count).mean(), 1e-4)
    rows = np.stack([*middle.values(), values.mean(0)]) / scale @ directions
    views = np.array(list(middle), np.int64)
    return GaitNumbers(scale, directions, between, rows, views)


def _of(gaits: AlignedGaits) -> Float[np.ndarray, "N K"]:
    if gaits.numbers.shape[1] != numbers.COUNT:
        raise InputError(
            "recogniser gait_numbers: no gait was read off these walks: give the evaluation a "
            "reader, as launch/evaluate.py does"
        )
    return gaits.numbers.astype(np.float64)
