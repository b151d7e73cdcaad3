"""Silhouettes side by side in one picture."""

import cv2
import numpy as np
from jaxtyping import UInt8


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
