"""Silhouette <-> coarse signed distance field: a shape that may change its topology.

A contour's points run another way round as soon as legs cross or a hand leaves the hip. A field
that is positive inside and negative outside changes smoothly there, so that fields, unlike
contours, may be averaged, interpolated and written in a linear basis.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int8, UInt8

from stgan_jax.shapes.contour import SIZE

SIDE = 80  # cells a side, 3 pixels each
REACH = 12.0  # pixels from the outline beyond which all distances count alike
STEPS = 127  # integers a unit, as fields are stored


def encode(
    masks: UInt8[np.ndarray, "T 240 240"] | Bool[np.ndarray, "T 240 240"],
) -> Int8[np.ndarray, "T 80 80"]:
    """Distances to the outline, positive inside, in 1/127 of `REACH` and cut off there.

    A silhouette counts with all that it encloses and with all its parts. Where none is, all
    is outside.
    """
    out = np.full((len(masks), SIDE, SIDE), -STEPS, np.int8)
    with ThreadPoolExecutor(2) as threads:  # OpenCV lets others go on meanwhile
        list(threads.map(_encode_all, np.array_split(masks, 2), np.array_split(out, 2)))
    return out


def _encode_all(masks: np.ndarray, out: np.ndarray) -> None:
    for mask, field in zip(masks, out, strict=True):
        _encode(mask, field)


def _encode(mask: np.ndarray, out: np.ndarray) -> None:
    """One silhouette's field, into `out`, which is all outside."""
    cell, margin = SIZE // SIDE, int(REACH) + 1
    mask = np.asarray(mask, np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return
    # Farther away than the margin all is outside.
    rows, columns = (
        slice(max(0, (start - margin) // cell), min(SIDE, -(-(start + size + margin) // cell)))
        for start, size in ((top, height), (left, width))
    )
    part = np.s_[rows.start * cell : rows.stop * cell, columns.start * cell : columns.stop * cell]
    pieces, _ = cv2.findContours(mask[part], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask[part].shape, np.uint8)
    cv2.drawContours(filled, pieces, -1, 1, cv2.FILLED)
    distance = cv2.distanceTransform(filled, cv2.DIST_L2, 3)
    distance -= cv2.distanceTransform(cv2.bitwise_xor(filled, 1), cv2.DIST_L2, 3)
    # The outline lies between two pixels, half a pixel from the centre of either.
    cv2.subtract(distance, filled, distance, dtype=cv2.CV_32F)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    coarse = cv2.resize(distance, shape, interpolation=cv2.INTER_AREA) + 0.5
    out[rows, columns] = np.rint(np.clip(coarse / REACH, -1.0, 1.0) * STEPS)


def decode(fields: Float[np.ndarray, "T 80 80"]) -> UInt8[np.ndarray, "T 240 240"]:
    """The largest part in which a field is positive, without holes: 1 inside, 0 outside.

    The scale does not matter. Outlines are finer than cells: the field is interpolated.
    """
    out = np.zeros((len(fields), SIZE, SIZE), np.uint8)
    for t, field in enumerate(fields):
        fine = cv2.resize(
            np.ascontiguousarray(field, np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
        )
        solid = (fine > 0).astype(np.uint8)
        parts, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if parts:
            largest = max(parts, key=cv2.contourArea)
            cv2.drawContours(out[t], [largest], -1, 1, cv2.FILLED)
    return out
