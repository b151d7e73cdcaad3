"""Can the original contour be computed back from the anonymised one?

ST-GAN 5 calls that impossible, since the noise is not known. An attacker who owns the anonymiser
has pairs of other people's contours before and after, though, and needs no noise: what of the body
the noise leaves in, a linear regression finds. Not in the papers.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stgan_jax import contour
from stgan_jax.errors import InputError

_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
_FOLDS = 4


class Pairs(NamedTuple):
    """Frames of walks in one view, resampled contours in [0, 1].

    Attributes:
      original: before.
      anonymized: after.
      subject: whose.
    """

    original: Float[np.ndarray, "N T 4000"]
    anonymized: Float[np.ndarray, "N T 4000"]
    subject: Int[np.ndarray, " N"]


def figures(known: Pairs, attacked: Pairs) -> dict[str, float]:
    """How near a ridge regression, each frame by itself, comes to the original contours.

    Its penalty is chosen on folds of the attacker's own subjects.

    Args:
      known: pairs that the attacker has.
      attacked: walks of other people in the same view; their originals are only compared with.

    Returns:
      mean distances of contour points from the original's, in pixels of the 240x240 crop:
      `recovered`, of the regression's; `untouched`, of the anonymised contour as it is; and
      `mean_pose`, of the mean over the known people, each in the frame whose pose (contour less
      the walk's mean) is nearest to the true one. That is a guess by somebody who is told the
      pose and not the person: a regression that comes no nearer has found nothing of a person.

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

    def missed(penalty: float) -> float:
        ridge = KernelRidge(alpha=penalty, kernel="precomputed")
        guessed = cross_val_predict(ridge, products, before, groups=groups, cv=folds)
        return float(((guessed - before) ** 2).mean())

    model = KernelRidge(alpha=min(_PENALTIES, key=missed), kernel="precomputed")
    attacking = attacked.anonymized.reshape(-1, contour.DIM) - after_mean
    guessed = model.fit(products, before).predict(attacking @ after.T) + before_mean
    return {
        "recovered": _distance(guessed, attacked.original),
        "untouched": _distance(attacked.anonymized, attacked.original),
        "mean_pose": _distance(_in_pose(known, attacked.original), attacked.original),
    }


def _distance(guessed: np.ndarray, original: np.ndarray) -> float:
    away = contour.to_pixels(guessed.reshape(-1, contour.POINTS, 2)) - contour.to_pixels(
        original.reshape(-1, contour.POINTS, 2)
    )
    return float(np.linalg.norm(away, axis=-1).mean())


def _in_pose(known: Pairs, original: Float[np.ndarray, "M T 4000"]) -> np.ndarray:
    """The mean over known people of each one's frame in the pose nearest to the original's."""
    pose = lambda walks: (walks - walks.mean(1, keepdims=True)).reshape(-1, contour.DIM)  # noqa: E731
    wanted, total = pose(original), np.zeros((original.shape[0] * original.shape[1], contour.DIM))
    people = np.unique(known.subject)
    for person in people:
        walks = known.original[known.subject == person]
        offered = pose(walks)
        # |a - b|^2 without what is the same for all b.
        nearest = np.argmin((offered**2).sum(1) - 2 * wanted @ offered.T, axis=1)
        total += walks.reshape(-1, contour.DIM)[nearest]
    return total / len(people)
