"""Makes the original's head unrecognisable before colours are taken from the frame.

A visible face would identify a person in spite of another gait. The head is the top of the
original silhouette, so that no detector is needed and none can miss it. All colours are taken
from a frame in which the head's pixels are replaced.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.video.people.sightings import Sightings

HOW = ("keep", "blur", "fill")
# A head is 0.13 of a stature; more with hair, a bent neck or a camera above.
_SHARE = 0.22
_ABOUT = 50  # sightings before and after one from which a stature is measured
_CELLS = (2, 4)  # columns and rows of mean colours that remain of a blurred head


@dataclasses.dataclass(frozen=True)
class Stature:
    """A person's height in pixels in the frames about one.

    Attributes:
      most: the tallest silhouette's; legs may be hidden in the others.
      usual: the median; a taller silhouette includes something above the head.
    """

    most: float = 0.0
    usual: float = np.inf


UNKNOWN = Stature()


def stature(sightings: Sightings, i: int) -> Stature:
    """The stature about this time: one silhouette may lack legs or include other things."""
    boxes = sightings.boxes(max(i - _ABOUT, 0), i + _ABOUT + 1)
    heights = boxes[:, 2] - boxes[:, 0]
    return Stature(float(heights.max()), float(np.median(heights)))


def hide(
    frame: UInt8[np.ndarray, "H W 3"],
    own: UInt8[np.ndarray, "H W"],
    how: str,
    stature: Stature = UNKNOWN,
) -> UInt8[np.ndarray, "H W 3"]:
    """A frame in which the head of a silhouette cannot be recognised.

    Args:
      frame: the original.
      own: the person's silhouette, 0/1.
      how: "keep" changes nothing; "blur" leaves eight mean colours of hair, face and neck,
        interpolated; "fill" leaves one.
      stature: the person's height, if more is known than `own` shows.

    Returns:
      a copy that holds nothing of the head region but those means; the frame itself for "keep"
      and for an empty silhouette.

    Raises:
      ValueError: `how` is not in `HOW`.
    """
    if how not in HOW:
        raise ValueError(f"face {how!r}: choose one of {', '.join(HOW)}")
    if how == "keep" or not own.any():
        return frame
    region = mask(own, stature)
    left, top, width, height = cv2.boundingRect(region)
    window = np.s_[top : top + height, left : left + width]
    inside = region[window].astype(np.float32)
    cells = _CELLS if how == "blur" else (1, 1)
    if height < 2 * cells[1] or width < 2 * cells[0]:  # too small to be recognised
        cells = (1, 1)
    weight = cv2.resize(inside, cells, interpolation=cv2.INTER_AREA)
    weight = weight.reshape(cells[1], cells[0], 1)
    sums = cv2.resize(frame[window] * inside[..., None], cells, interpolation=cv2.INTER_AREA)
    sums = sums.reshape(cells[1], cells[0], 3)
    whole = sums.sum((0, 1)) / weight.sum()
    colors = np.where(weight > 0.02, sums / np.maximum(weight, 0.02), whole).astype(np.float32)
    smooth = cv2.resize(colors, (width, height), interpolation=cv2.INTER_LINEAR)
    out = frame.copy()
    at = region[window] > 0
    out[window][at] = np.rint(smooth.reshape(height, width, 3))[at].astype(np.uint8)
    return out


def mask(own: UInt8[np.ndarray, "H W"], stature: Stature = UNKNOWN) -> UInt8[np.ndarray, "H W"]:
    """The head region of a silhouette that is not empty: its top, 0/1.

    It is measured from the top of the body's middle column, as a raised hand is no head, and
    includes all pixels above. In a silhouette taller than usual it reaches down to the height
    above the feet at which the person's head ends otherwise.
    """
    rows = np.flatnonzero(own.any(1))
    height = int(rows[-1]) + 1 - int(rows[0])
    mass = np.cumsum(own.sum(0))
    middle, reach = int(np.searchsorted(mass, mass[-1] / 2)), max(1, round(0.06 * height))
    column = own[:, max(middle - reach, 0) : middle + reach + 1]
    top = int(np.flatnonzero(column.any(1))[0])
    last = top + max(1, round(_SHARE * max(height, stature.most)))
    neck = int(rows[-1]) + 1 - (1 - _SHARE) * min(stature.usual, height)
    out = own.copy()
    out[max(last, round(neck)) :] = 0
    return out
