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
