"""Can the original contour be computed back from the anonymised one?

ST-GAN 5 calls that impossible, since the noise is not known. Yet an attacker who owns the
anonymiser has pairs of other people's contours before and after, and needs no noise: what the
noise leaves of a body, a linear regression finds. Not in the papers.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from stgan_jax.evaluation.cache import Cache
from stgan_jax.evaluation.walks import WalkPart, Walks, spread
from stgan_jax.methods.api import Anonymizer
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError

_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
_FOLDS = 4
_STRIDE = 5  # frames from one that is recovered to the next


class Pairs(NamedTuple):
    """Frames of walks in one view, as resampled contours in [0, 1].

    Attributes:
      original: contours before.
      anonymized: contours after.
      subject: number of the person.
    """

    original: Float[np.ndarray, "N T 4000"]
    anonymized: Float[np.ndarray, "N T 4000"]
    subject: Int[np.ndarray, " N"]


def attack(
    method: Anonymizer, walks: Walks, parts: Mapping[str, WalkPart], cache: Cache, count: int
) -> dict[str, Any]:
    """Attacks normal walks of a method, each view by itself.

    Args:
      method: anonymises the walks.
      walks: everybody's.
      parts: see `Walks.parts`: training walks are known to the attacker, probes are attacked.
      cache: keeps figures.
      count: number of walks per view that are known, and that are attacked.

    Returns:
      `by_view`, view -> `figures`, and `pixels`, their means over the views.
    """

    def figures_of(view: int) -> dict[str, float]:
        known, attacked = (
            _pairs(method, walks, parts[name], view, count) for name in ("training", "probes")
        )
        return figures(known, attacked)

    by_view = {
        str(view): cache.figures(
            ["recovery", count, view], method, functools.partial(figures_of, view)
        )
        for view in tqdm(walks.views(), f"{method.name}: recovery", unit="view")
    }
    means = {name: float(np.mean([f[name] for f in by_view.values()])) for name in _FIGURES}
    return {"pixels": means, "by_view": by_view}


def _pairs(method: Anonymizer, walks: Walks, part: WalkPart, view: int, count: int) -> Pairs:
    mask = part.mask & (walks.view == view) & (walks.condition == "nm")
    index = spread(mask, count)
    anonymized = [
        contour.to_unit(contour.encode(silhouettes[::_STRIDE]))
        for *_, silhouettes in walks.silhouettes(method, index, part.seed)
    ]
    original = walks.contours(index, "resampled")[:, ::_STRIDE]
    return Pairs(original, np.stack(anonymized), walks.subject[index])


_FIGURES = ("recovered", "untouched", "mean_pose")


def figures(known: Pairs, attacked: Pairs) -> dict[str, float]:
    """How near a ridge regression comes to the original contours, frame by frame.

    Its penalty is chosen on folds of the attacker's own subjects.

    Args:
      known: pairs that the attacker has.
      attacked: walks of other people in the same view; their originals are only compared with.

    Returns:
      mean distances of contour points from the original's, in pixels of the 240x240 crop:
      `recovered`, those of the regression's contours; `untouched`, those of the anonymised
      contours as they are; and `mean_pose`, those of the mean over the known people, each in the
      frame whose pose (contour less the walk's mean) is nearest to the true one. That is a guess
      by somebody who knows the pose and not the person: a regression that comes no nearer has
      found nothing of a person.

    Raises:
      InputError: scikit-learn is missing, or there are fewer than two known subjects.
    """
    try:
        from sklearn.kernel_ridge import KernelRidge  # never writes 4000 x 4000 coefficients
        from sklearn.model_selection import GroupKFold, cross_val_predict
    except ModuleNotFoundError as error:
        raise InputError(
            "the recovery attack needs scikit-learn: pip install 'stgan-jax[evaluate]'"
        ) from error
    people = np.unique(known.subject)
    if len(people) < 2:
        raise InputError("a recovery attack needs pairs of two known people, or more")
    folds = GroupKFold(min(_FOLDS, len(people)))
    groups = np.repeat(known.subject, known.original.shape[1])
    before, after = (x.reshape(-1, contour.DIM) for x in (known.original, known.anonymized))
    before_mean, after_mean = before.mean(0), after.mean(0)
    before, after = before - before_mean, np.asarray(after - after_mean, np.float64)
    products = after @ after.T  # once for all folds and penalties

    def error_of(penalty: float) -> float:
        ridge = KernelRidge(alpha=penalty, kernel="precomputed")
        guess = cross_val_predict(ridge, products, before, groups=groups, cv=folds)
        return float(((guess - before) ** 2).mean())

    model = KernelRidge(alpha=min(_PENALTIES, key=error_of), kernel="precomputed")
    attacking = attacked.anonymized.reshape(-1, contour.DIM) - after_mean
    guess = model.fit(products, before).predict(attacking @ after.T) + before_mean
    found = guess, attacked.anonymized, _mean_pose(known, attacked.original)
    return {
        name: _distance(contours, attacked.original)
        for name, contours in zip(_FIGURES, found, strict=True)
    }


def _distance(contours: np.ndarray, original: np.ndarray) -> float:
    """Mean distance of points, pixels."""
    apart = contour.to_pixels(contours.reshape(-1, contour.POINTS, 2)) - contour.to_pixels(
        original.reshape(-1, contour.POINTS, 2)
    )
    return float(np.linalg.norm(apart, axis=-1).mean())


def _mean_pose(known: Pairs, original: Float[np.ndarray, "M T 4000"]) -> np.ndarray:
    """The mean over known people of each one's frame in the pose nearest to the original's."""
    wanted = _poses(original)
    total = np.zeros_like(wanted, np.float64)
    people = np.unique(known.subject)
    for person in people:
        walks = known.original[known.subject == person]
        poses = _poses(walks)
        # |a - b|^2 without what is the same for all b.
        nearest = np.argmin((poses**2).sum(1) - 2 * wanted @ poses.T, axis=1)
        total += walks.reshape(-1, contour.DIM)[nearest]
    return total / len(people)


def _poses(walks: Float[np.ndarray, "N T 4000"]) -> Float[np.ndarray, "NT 4000"]:
    """Contours less their walk's mean."""
    return (walks - walks.mean(1, keepdims=True)).reshape(-1, contour.DIM)
