"""The empty scene behind the people, from a static camera, and whether the camera is static."""

import itertools
import os

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.errors import InputError
from stgan_jax.video import io


def sample_frames(
    path: str | os.PathLike, count: int = 60
) -> tuple[UInt8[np.ndarray, "N H W 3"], int]:
    """Evenly spaced frames of a whole video, and the number of frames it really has.

    Args:
      path: the video, decoded once from end to end; memory does not grow with its length.
      count: at least so many samples, fewer than twice as many, if it is that long.

    Raises:
      InputError: nothing to decode, see `io.read_frames`.
    """
    samples: list[np.ndarray] = []
    stride, total = 1, 0
    for frame in io.read_frames(path):
        if total % stride == 0:
            samples.append(frame)
        if len(samples) == 2 * count:
            samples, stride = samples[::2], stride * 2
        total += 1
    if not samples:
        raise InputError(f"{path}: holds no frames")
    return np.stack(samples), total


def median_background(
    samples: UInt8[np.ndarray, "N H W 3"],
) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """The static scene and how restless it is.

    Returns:
      `(background, restlessness)`: the temporal median, which shows what each pixel shows
      more than half of the time; and the median absolute deviation from it (largest
      channel, in grey levels), high where leaves, water or a flapping tape move.
    """
    background = np.empty(samples.shape[1:], np.uint8)
    restlessness = np.empty(samples.shape[1:3], np.float32)
    for row in range(0, len(background), 64):  # in bands: the median copies its input
        band = samples[:, row : row + 64]
        background[row : row + 64] = np.median(band, axis=0)
        away = np.abs(band.astype(np.int16) - background[row : row + 64]).max(-1)
        restlessness[row : row + 64] = np.median(away, axis=0)
    return background, restlessness


def thresholds(
    restlessness: Float[np.ndarray, "H W"], least: float = 16.0
) -> UInt8[np.ndarray, "H W"]:
    """Grey levels by which a pixel must differ from the background to count as foreground.

    Some times the camera's noise, and more where the scene itself moves.
    """
    noise = float(np.median(restlessness))
    unrest = np.maximum(restlessness - 1.5 * noise, 0.0)
    return np.clip(max(least, 4.0 * noise) + 5.0 * unrest, 0, 255).astype(np.uint8)


def camera_motion(samples: UInt8[np.ndarray, "N H W 3"]) -> float:
    """How far the camera moves: the largest displacement of the scene between two samples.

    Corners all over the picture are followed from each sample to the next (pyramidal
    Lucas-Kanade) and a similarity is fitted to them by RANSAC, which disregards the
    people. Displacements are measured at the frame's corners and add up over time.

    Returns:
      pixels, as a share of the frame's diagonal; 0.0 where the scene has too little
      texture to tell, infinity where the scene changes so much that nothing fits (a cut).
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in samples]
    height, width = grey[0].shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    pose, largest = np.eye(3), 0.0
    for before, after in itertools.pairwise(grey):
        points = _spread_corners(before)
        if len(points) < 20:
            continue
        moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points[:, None], None)
        good = found[:, 0] == 1
        if good.sum() < 0.3 * len(points):
            return float("inf")
        fit, inliers = cv2.estimateAffinePartial2D(
            points[good], moved[good, 0], ransacReprojThreshold=0.7
        )
        if fit is None or inliers.mean() < 0.3:
            return float("inf")
        pose = np.vstack([fit, [0, 0, 1]]) @ pose
        there = corners @ pose[:2, :2].T + pose[:2, 2]
        largest = max(largest, float(np.linalg.norm(there - corners, axis=1).max()))
    return largest / float(np.hypot(height, width))


def _spread_corners(grey: UInt8[np.ndarray, "H W"], cells: int = 8) -> Float[np.ndarray, "N 2"]:
    """Up to six good corners (x, y) in each of 8x8 cells: clothes must not win them all."""
    height, width = grey.shape
    found = [np.zeros((0, 2), np.float32)]
    for row in range(cells):
        for col in range(cells):
            top, left = row * height // cells, col * width // cells
            cell = grey[top : (row + 1) * height // cells, left : (col + 1) * width // cells]
            points = cv2.goodFeaturesToTrack(cell, 6, 0.1, 5) if min(cell.shape) > 7 else None
            if points is not None and cell.std() > 2:
                found.append(points[:, 0] + np.array([left, top], np.float32))
    return np.concatenate(found)
