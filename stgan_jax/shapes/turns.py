"""Rotations of points of a body; its frame is that of `body`: x forward, y to the left, z up."""

import numpy as np


def hanging(flexion: np.ndarray, outward: float) -> np.ndarray:
    """Unit vector (T, 3) of a hanging limb, `flexion` forward and `outward` to +y, radians."""
    return np.stack(
        [
            np.sin(flexion) * np.cos(outward),
            np.broadcast_to(np.sin(outward), flexion.shape),
            -np.cos(flexion) * np.cos(outward),
        ],
        -1,
    )


def about_z(vectors: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    """Turns vectors (..., 3) to the left, by radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([c * x - s * y, s * x + c * y, z + 0 * c], -1)


def turned(offset, yaw, *, roll=0.0, pitch=0.0) -> np.ndarray:
    """Rotates one body-frame offset by roll (about x), pitch (forward, about y), then yaw."""
    x, y, z = offset
    y, z = y * np.cos(roll) - z * np.sin(roll), y * np.sin(roll) + z * np.cos(roll)
    x, z = x * np.cos(pitch) + z * np.sin(pitch), -x * np.sin(pitch) + z * np.cos(pitch)
    x, y, z, yaw = np.broadcast_arrays(x, y, z, yaw)
    return about_z(np.stack([x, y, z], -1), yaw)
