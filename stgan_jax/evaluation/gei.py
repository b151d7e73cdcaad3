"""Gait energy images and the plainest recogniser on them: the nearest neighbour."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

HEIGHT, WIDTH = 64, 44


def normalize(silhouettes: UInt8[np.ndarray, "T H W"]) -> UInt8[np.ndarray, "N 64 44"]:
    """Silhouettes scaled to height 64 and centred on the median of their mass, as the field does.

    Frames with hardly any foreground (fewer than 100 pixels) are left out: N <= T.
    """
    out = []
    for mask in silhouettes:
        rows = np.flatnonzero(mask.any(1))
        if mask.sum() < 100:
            continue
        body = mask[rows[0] : rows[-1] + 1]
        width = max(1, round(body.shape[1] * HEIGHT / len(body)))
        small = cv2.resize(body * np.uint8(255), (width, HEIGHT), interpolation=cv2.INTER_AREA)
        mass = np.cumsum(small.sum(0, dtype=np.float64))
        middle = int(np.searchsorted(mass, mass[-1] / 2))
        padded = np.pad(small, ((0, 0), (WIDTH, WIDTH)))
        out.append(padded[:, middle + WIDTH - WIDTH // 2 :][:, :WIDTH])
    return (np.array(out, np.uint8).reshape(-1, HEIGHT, WIDTH) > 127).astype(np.uint8)


def energy_image(silhouettes: UInt8[np.ndarray, "T H W"]) -> Float[np.ndarray, "64 44"]:
    """g(x, y) = 1/T sum_t I_t(x, y) of normalised silhouettes (WIFS Eq. 1); zeros of none."""
    frames = normalize(silhouettes)
    if not len(frames):
        return np.zeros((HEIGHT, WIDTH), np.float32)
    return frames.mean(0, dtype=np.float32)


def rank1(
    gallery: Float[np.ndarray, "G *shape"],
    gallery_subjects: Sequence[int] | Int[np.ndarray, " G"],
    probes: Float[np.ndarray, "P *shape"],
    probe_subjects: Sequence[int] | Int[np.ndarray, " P"],
) -> Float[np.ndarray, " P"]:
    """Whether each probe's nearest gallery image (Euclidean) is of the same subject: 1.0 or 0.0."""
    flat = lambda images: np.reshape(images, (len(images), -1)).astype(np.float64)  # noqa: E731
    g, p = flat(gallery), flat(probes)
    distances = (p**2).sum(1)[:, None] - 2 * p @ g.T + (g**2).sum(1)
    nearest: Int[np.ndarray, " P"] = distances.argmin(1)
    return (np.asarray(gallery_subjects)[nearest] == np.asarray(probe_subjects)).astype(np.float64)
