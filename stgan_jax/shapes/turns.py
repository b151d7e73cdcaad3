"""Rotations of points of a body; its frame is that of `body`: x forward, y to the left, z up."""

import numpy as np


def hanging(flexion: np.ndarray, outward: float) -> np.ndarray:
    """Unit vector (T, 3) of a hanging limb, `flexion` forward and `outward` to +y, radians."""
    inside = np.cos(outward)
    return _vectors(np.sin(flexion) * inside, np.sin(outward), -np.cos(flexion) * inside)


def about_z(vectors: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    """Turns vectors (..., 3) to the left, by radians."""
    return _left(vectors[..., 0], vectors[..., 1], vectors[..., 2], yaw)


def turned(offset, yaw, *, roll=0.0, pitch=0.0) -> np.ndarray:
    """Rotates one body-frame offset by roll (about x), pitch (forward, about y), then yaw."""
    x, y, z = offset
    c, s = np.cos(roll), np.sin(roll)
    y, z = y * c - z * s, y * s + z * c
    c, s = np.cos(pitch), np.sin(pitch)
    return _left(x * c + z * s, y, -x * s + z * c, yaw)


def _left(x, y, z, yaw) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return _vectors(c * x - s * y, s * x + c * y, z)


def _vectors(x, y, z) -> np.ndarray:
    """Numbers and arrays as (..., 3); by far cheaper than `np.stack` for a few frames."""
    out = np.empty((*np.broadcast(x, y, z).shape, 3))
    out[..., 0], out[..., 1], out[..., 2] = x, y, z
    return out
