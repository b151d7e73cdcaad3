"""A person's place in the frame <-> a square crop of 240x240 pixels."""

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.signal import savgol_filter

from stgan_jax.shapes.contour import SIZE

FILL = 0.85  # share of the crop's side that the person's larger extent takes
_WINDOW = 15  # frames over which squares are smoothed


def box(mask: UInt8[np.ndarray, "H W"]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what is not 0, bottom and right exclusive; zeros if all is."""
    left, top, width, height = cv2.boundingRect(mask)
    return top, left, top + height, left + width


def boxes(frames: Iterable[UInt8[np.ndarray, "H W"]]) -> Int[np.ndarray, "T 4"]:
    """(top, left, bottom, right) of what is above 127 in each frame; zeros where nothing is."""
    return np.array([box((frame > 127).astype(np.uint8)) for frame in frames])


def track_squares(
    boxes: Float[np.ndarray, "T 4"] | Int[np.ndarray, "T 4"],
) -> Int[np.ndarray, "T 3"]:
    """Squares that hold a person through time, for `crop` and `place`.

    Centre and side follow the boxes smoothed by a moving line fit over 15 frames, so that the
    crop glides and does not pump with every step.

    Args:
      boxes: (top, left, bottom, right) in pixels, bottom and right exclusive, of
        consecutive frames.

    Returns:
      (top, left, side) in whole pixels. A square may reach beyond the frame.
    """
    top, left, bottom, right = np.asarray(boxes, np.float64).T
    span = np.stack(
        [(top + bottom) / 2, (left + right) / 2, np.maximum(bottom - top, right - left)]
    )
    window = min(_WINDOW, span.shape[1])
    window -= 1 - window % 2
    if window >= 3:
        span = savgol_filter(span, window, polyorder=1, axis=1)
    side = np.maximum(np.rint(span[2] / FILL), 1)
    return np.rint(np.stack([span[0] - side / 2, span[1] - side / 2, side], -1)).astype(np.int64)


def crop(
    image: UInt8[np.ndarray, "H W *channels"], square: Int[np.ndarray, "3"], size: int = SIZE
) -> UInt8[np.ndarray, "size size *channels"]:
    """Cuts a square (top, left, side) out of an image and scales it to `size`.

    What lies outside the image is 0. The aspect is kept: the cut is a square.
    """
    top, left, side = map(int, square)
    rows, inner_rows = _overlap(top, side, image.shape[0])
    cols, inner_cols = _overlap(left, side, image.shape[1])
    window = np.zeros((side, side, *image.shape[2:]), np.uint8)
    window[inner_rows, inner_cols] = image[rows, cols]
    return _resize(window, size)


def crop_mask(mask, square, size: int = SIZE) -> UInt8[np.ndarray, "size size"]:
    """`crop` for a silhouette: non-zero in, {0, 1} out, edges cut at half coverage."""
    return (crop(np.where(mask, np.uint8(255), np.uint8(0)), square, size) > 127).astype(np.uint8)


def crop_masks(
    masks: Iterable[UInt8[np.ndarray, "H W"]], squares: Int[np.ndarray, "T 3"]
) -> UInt8[np.ndarray, "T 240 240"]:
    """`crop_mask` for each of a walk's silhouettes and squares."""
    return np.stack([crop_mask(mask, square) for mask, square in zip(masks, squares, strict=True)])


def place(
    mask: UInt8[np.ndarray, "size size"], square: Int[np.ndarray, "3"], shape: tuple[int, int]
) -> UInt8[np.ndarray, "H W"]:
    """Puts a cropped silhouette back at its place in the frame: the inverse of `crop_mask`.

    The inverse is exact up to resampling; what the square held outside the frame is lost.
    """
    top, left, side = map(int, square)
    window = (_resize(np.where(mask, np.uint8(255), np.uint8(0)), side) > 127).astype(np.uint8)
    rows, inner_rows = _overlap(top, side, shape[0])
    cols, inner_cols = _overlap(left, side, shape[1])
    out = np.zeros(shape, np.uint8)
    out[rows, cols] = window[inner_rows, inner_cols]
    return out


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    shrinks = image.shape[0] > size
    return cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """The part of [start, start + length) inside [0, limit), in outer and in inner terms."""
    first, last = np.clip([start, start + length], 0, limit)
    return slice(first, last), slice(first - start, last - start)
