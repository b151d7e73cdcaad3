"""How much generated noise contours look like people."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8


def best_iou(
    samples: UInt8[np.ndarray, "N H W"], people: UInt8[np.ndarray, "M H W"]
) -> Float[np.ndarray, " N"]:
    """Each sample's highest intersection over union with any of the given silhouettes.

    0 for an empty sample.
    """
    a = samples.reshape(len(samples), -1).astype(np.float32)
    b = people.reshape(len(people), -1).astype(np.float32)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1) - both
    return (both / np.maximum(either, 1.0)).max(1)


def pairwise_iou(masks: UInt8[np.ndarray, "N H W"]) -> float:
    """Mean intersection over union between two different masks: 1 where all are alike."""
    a = masks.reshape(len(masks), -1).astype(np.float32)
    both = a @ a.T
    either = a.sum(1)[:, None] + a.sum(1) - both
    pairs = np.triu_indices(len(masks), 1)
    return float((both / np.maximum(either, 1.0))[pairs].mean())


def energy_distance(samples: Float[np.ndarray, "N D"], people: Float[np.ndarray, "M D"]) -> float:
    """How far two sets of contours are from being drawn alike: 0 for the same distribution.

    2 E|x - y| - E|x - x'| - E|y - y'| (Szekely and Rizzo 2013), Euclidean, in the contours' unit.
    It tells both contours that nobody has and people who never come up. Pairs of a contour
    with itself are left out, so that small sets may come out a little below 0.
    """

    def mean_distance(a, b):
        squared = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
        total = np.sqrt(np.maximum(squared, 0.0))
        if a is b:
            np.fill_diagonal(total, 0.0)
            return total.sum() / (len(a) * (len(a) - 1))
        return total.mean()

    x, y = (np.asarray(values, np.float64) for values in (samples, people))
    return float(2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y))


def grid(masks: UInt8[np.ndarray, "N H W"], columns: int = 8) -> UInt8[np.ndarray, "h w"]:
    """Masks side by side, black on white, `columns` in a row, at 120 pixels each."""
    cells = [
        cv2.resize(
            np.where(mask, 0, 255).astype(np.uint8), (120, 120), interpolation=cv2.INTER_AREA
        )
        for mask in masks
    ]
    cells += [np.full((120, 120), 255, np.uint8)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])
