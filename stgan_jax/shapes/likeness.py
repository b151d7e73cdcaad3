"""How alike silhouettes, contours, and whole sets of them are."""

import numpy as np
from jaxtyping import Float, UInt8


def squared_distances(
    a: Float[np.ndarray, "M D"], b: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, "M N"]:
    """Squared Euclidean distances of all pairs; by rounding they may be a little below 0."""
    return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)


def best_iou(
    samples: UInt8[np.ndarray, "N H W"], people: UInt8[np.ndarray, "M H W"]
) -> Float[np.ndarray, " N"]:
    """Highest intersection over union of each sample (0 or 1) with any of `people`.

    0 for an empty sample.
    """
    return _iou(samples, people).max(1)


def pairwise_iou(masks: UInt8[np.ndarray, "N H W"]) -> float:
    """Mean intersection over union of two different masks (0 or 1); 1 if all are the same."""
    return float(_iou(masks, masks)[np.triu_indices(len(masks), 1)].mean())


def _iou(a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "N M"]:
    a, b = (masks.reshape(len(masks), -1).astype(np.float32) for masks in (a, b))
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1) - both
    return both / np.maximum(either, 1.0)


def energy_distance(samples: Float[np.ndarray, "N D"], people: Float[np.ndarray, "M D"]) -> float:
    """Energy distance of two sets of contours: 0 if both come from the same distribution.

    2 E|x - y| - E|x - x'| - E|y - y'| (Szekely and Rizzo 2013), Euclidean, in the contours' unit.
    It grows both with contours that nobody has and with people who are never drawn. Pairs of a
    contour with itself are left out, so that small sets may come out a little below 0.
    """

    def mean_distance(a, b):
        distances = np.sqrt(np.maximum(squared_distances(a, b), 0.0))
        if a is b:
            np.fill_diagonal(distances, 0.0)
            return distances.sum() / (len(a) * (len(a) - 1))
        return distances.mean()

    x, y = (np.asarray(values, np.float64) for values in (samples, people))
    return float(2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y))
