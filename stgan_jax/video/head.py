"""The original's head made unrecognisable before anything takes colours from it.

A face undoes what another gait is worth. The head is the top of the original silhouette, so that
no detector is needed and none can miss it. Whatever colours come out come from a frame in which
these pixels are gone.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

HOW = ("keep", "blur", "fill")
# A head is 0.13 of a stature; hair, a bent neck and a camera from above make it more.
_SHARE = 0.22
_CELLS = (2, 4)  # columns and rows of colours that a blurred head is left with


@dataclasses.dataclass(frozen=True)
class Stature:
    """A person's height in pixels, as it was seen about some time.

    Attributes:
      most: of the tallest silhouette; others' legs may be hidden.
      usual: of most silhouettes; a taller one has grown together with something above the head.
    """

    most: float = 0.0
    usual: float = np.inf


UNKNOWN = Stature()


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
      how: "keep" changes nothing; "blur" leaves eight mean colours, run into each other, of hair,
        face and neck; "fill" one.
      stature: where more is known of it than what `own` shows.

    Returns:
      a copy, or with "keep" and of an empty silhouette the frame itself. Nothing of the head
      region goes into it but those means.

    Raises:
      ValueError: another word.
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
    mean = lambda image: cv2.resize(image, cells, interpolation=cv2.INTER_AREA)  # noqa: E731
    if height < 2 * cells[1] or width < 2 * cells[0]:  # as good as blurred by its distance
        cells = (1, 1)
    weight = mean(inside)[..., None].reshape(cells[1], cells[0], 1)
    sums = mean(frame[window] * inside[..., None]).reshape(cells[1], cells[0], 3)
    whole = sums.sum((0, 1)) / weight.sum()
    colors = np.where(weight > 0.02, sums / np.maximum(weight, 0.02), whole).astype(np.float32)
    smooth = cv2.resize(colors, (width, height), interpolation=cv2.INTER_LINEAR)
    out = frame.copy()
    at = region[window] > 0
    out[window][at] = np.rint(smooth.reshape(height, width, 3))[at].astype(np.uint8)
    return out


def mask(own: UInt8[np.ndarray, "H W"], stature: Stature = UNKNOWN) -> UInt8[np.ndarray, "H W"]:
    """The head region of a silhouette that is not empty: its top, 0/1.

    The top of what stands over the body's middle column, and all above it: a raised hand is no
    head. Of a silhouette taller than usual it reaches down to where heads otherwise
    end above the feet.
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
