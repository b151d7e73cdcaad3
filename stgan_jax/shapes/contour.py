"""Silhouette <-> contour vector.

A contour vector holds 2000 points of the silhouette's outline as interleaved
(row, col) pairs in pixels, `[r0, c0, r1, c1, ...]`: 4000 numbers (ST-GAN 3.1-3.2,
WIFS III-B). Two codecs fill it:

* `"padded"`, the papers' own: every pixel of the outline in order, then zeros.
* `"resampled"`: 2000 points at equal arc length, clockwise from the top-most point.
  Note: not in the papers. It makes index i mean about the same body part in every
  frame, so that mixing two contours gives a contour and not a shredded head.

What is defined for every mask, in both codecs:

* an empty mask is the zero vector, and the zero vector decodes to an empty mask;
* of several components the one with the largest enclosed area is taken;
* holes are not encoded: a decoded silhouette has none;
* a mask that touches the image border has that border as part of its outline;
* an outline of more than 2000 pixels keeps 2000 of them, evenly spaced (padded);
* a single pixel at (0, 0) cannot be distinguished from padding and counts as empty.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt16

SIZE = 240
POINTS = 2000
DIM = 2 * POINTS
CODECS = ("resampled", "padded")

_SHIFT = 6  # fractional bits of the coordinates passed to OpenCV
_NO_POINTS = np.zeros((0, 2), np.float32)


def outline(mask: UInt8[np.ndarray, "H W"] | Bool[np.ndarray, "H W"]) -> Int[np.ndarray, "N 2"]:
    """Outer boundary pixels of the largest component, clockwise, as (row, col); N = 0 if empty."""
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        return np.zeros((0, 2), np.int32)
    # A line encloses no area: the longer of two lines is the larger one.
    largest = max(contours, key=lambda c: (cv2.contourArea(c), len(c)))
    # OpenCV goes counter-clockwise from the top-left pixel and says (x, y). That pixel stays
    # the first: at (0, 0) and last it would be taken for padding.
    return np.roll(largest[::-1, 0, ::-1], 1, axis=0)


def encode(
    masks: UInt8[np.ndarray, "*batch H W"] | Bool[np.ndarray, "*batch H W"],
    codec: str = "resampled",
) -> Float[np.ndarray, "*batch 4000"]:
    """Encodes silhouettes as contour vectors.

    Args:
      masks: non-zero where the person is.
      codec: one of `CODECS`.

    Returns:
      float32 contour vectors in pixels.

    Raises:
      ValueError: an unknown codec, or masks of fewer than two dimensions.
    """
    if masks.ndim < 2:
        raise ValueError(f"masks need shape (..., height, width), not {masks.shape}")
    outlines = [outline(mask) for mask in masks.reshape(-1, *masks.shape[-2:])]
    return encode_outlines(outlines, codec).reshape(*masks.shape[:-2], DIM)


def encode_outlines(
    outlines: Sequence[np.ndarray], codec: str = "resampled"
) -> Float[np.ndarray, "T 4000"]:
    """`encode` for silhouettes whose outlines (N, 2) are known already, see `outline`."""
    encode_points = _codec(codec)[0]
    out = np.zeros((len(outlines), POINTS, 2), np.float32)
    filled = [i for i, points in enumerate(outlines) if len(points)]
    if filled:
        encode_points(out, filled, [outlines[i] for i in filled])
    return out.reshape(-1, DIM)


def mirror_outline(
    points: Int[np.ndarray, "N 2"] | UInt8[np.ndarray, "N 2"],
) -> UInt8[np.ndarray, "N 2"]:
    """The outline of the mirrored 240x240 silhouette, clockwise from its first pixel row by row."""
    if not len(points):
        return points.astype(np.uint8)
    rows, cols = points[::-1, 0].astype(np.int64), SIZE - 1 - points[::-1, 1].astype(np.int64)
    first = int(np.argmin(rows * SIZE + cols))
    return np.roll(np.stack([rows, cols], -1), -first, axis=0).astype(np.uint8)


def decode(
    vectors: Float[np.ndarray, "*batch D"],
    codec: str = "resampled",
    shape: tuple[int, int] = (SIZE, SIZE),
) -> UInt8[np.ndarray, "*batch H W"]:
    """Draws contour vectors as filled silhouettes, 1 inside and on the outline, 0 outside.

    The outline may cross itself, as a network's may: everything it encloses is filled
    (WIFS Fig. 6). Coordinates outside `shape` are cut off; NaN raises.

    Args:
      vectors: contour vectors in pixels, D = 4000.
      codec: the codec that encoded them.
      shape: height and width of the silhouettes.

    Raises:
      ValueError: an unknown codec, vectors that are not 4000 long, or non-finite ones.
    """
    decode_points = _codec(codec)[1]
    if vectors.shape[-1] != DIM:
        raise ValueError(f"contour vectors need {DIM} elements, not {vectors.shape[-1]}")
    if not np.isfinite(vectors).all():
        raise ValueError("contour vectors contain NaN or infinity")
    out = np.zeros((*vectors.shape[:-1], *shape), np.uint8)
    for index in np.ndindex(vectors.shape[:-1]):
        _draw(out[index], decode_points(vectors[index].reshape(POINTS, 2)))
    return out


def _codec(name: str) -> tuple[Callable, Callable]:
    codecs = {"padded": (_pad, _unpad), "resampled": (_resample, _unless_zero)}
    if name not in codecs:
        raise ValueError(f"unknown codec {name!r}: choose one of {', '.join(CODECS)}")
    return codecs[name]


def _pad(out: np.ndarray, rows: list[int], outlines: list[np.ndarray]) -> None:
    for row, points in zip(rows, outlines, strict=True):
        if len(points) > POINTS:
            points = points[np.arange(POINTS) * len(points) // POINTS]
        out[row, : len(points)] = points


def _unpad(points: np.ndarray) -> np.ndarray:
    used = np.flatnonzero((np.abs(points) >= 0.5).any(-1))
    return points[: used[-1] + 1] if len(used) else _NO_POINTS


def _resample(out: np.ndarray, rows: list[int], outlines: list[np.ndarray]) -> None:
    """All frames in one pass: a call of NumPy costs as much as a frame's arithmetic."""
    closed = []
    for points in outlines:
        top = _top(points)
        closed += [points[top:], points[: top + 1]]
    knots = np.concatenate(closed).astype(np.float64)
    ends = np.cumsum([len(points) + 1 for points in outlines])
    steps = np.sqrt(np.square(np.diff(knots, axis=0, append=0)).sum(-1))
    steps[ends - 1] = 1.0  # from one frame's end to the next one's start: no target falls there
    arc = np.cumsum(steps) - steps
    starts = arc[np.append(0, ends[:-1])]
    at = starts[:, None] + (arc[ends - 1] - starts)[:, None] * (np.arange(POINTS) / POINTS)
    for axis in (0, 1):
        out[rows, :, axis] = np.interp(at, arc, knots[:, axis])


def _top(points: np.ndarray) -> int:
    """Index of the top-most point; of a flat top its middle, so that it moves little in time."""
    top = np.flatnonzero(points[:, 0] == points[:, 0].min())
    cols = points[top, 1]
    return int(top[np.argsort(cols, kind="stable")[len(cols) // 2]])


def _unless_zero(points: np.ndarray) -> np.ndarray:
    return points if points.any() else _NO_POINTS


def _draw(image: np.ndarray, points: np.ndarray) -> None:
    if not len(points):
        return
    limit = 4 * max(image.shape)  # far outside is outside; OpenCV's integers are finite
    fixed = np.rint(np.clip(points, -limit, limit)[:, ::-1] * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [fixed], 1, cv2.LINE_8, _SHIFT)
    # fillPoly leaves doubly enclosed areas empty: fill all that the outline encloses.
    parts, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, parts, -1, 1, cv2.FILLED)


def to_unit(vectors):
    """Pixels -> the [0, 1] coordinates that networks take. Works on NumPy and JAX arrays."""
    return vectors / SIZE


def to_pixels(vectors):
    """Inverse of `to_unit`."""
    return vectors * SIZE


_FIXED = 256  # fixed-point steps a pixel of resampled contours; padded ones are whole pixels


def to_fixed(
    vectors: Float[np.ndarray, "*batch 4000"], codec: str = "resampled"
) -> UInt8[np.ndarray, "*batch 4000"] | UInt16[np.ndarray, "*batch 4000"]:
    """Pixels -> integers, as contours are stored and fed: half a float's memory or a quarter.

    uint16 in steps of 1/256 pixel for resampled contours, uint8 in pixels for padded ones.
    """
    scale, dtype = (1, np.uint8) if codec == "padded" else (_FIXED, np.uint16)
    return np.rint(np.asarray(vectors, np.float64) * scale).astype(dtype)


def fixed_to_unit(fixed):
    """Integers of `to_fixed` -> float32 [0, 1] coordinates that networks take (on the device)."""
    scale = 1 if fixed.dtype == np.uint8 else _FIXED
    return fixed.astype(np.float32) * np.float32(1 / (scale * SIZE))
