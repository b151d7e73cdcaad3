"""Silhouettes by background difference.

Note: the papers start from silhouettes (CASIA-B has them). This is a plain segmenter for a
static camera.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from stgan_jax.shapes import cropping

Box = Int[np.ndarray, "4"]  # top, left, bottom, right; bottom and right exclusive


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A set of pixels of a frame: `mask` (0/1) inside `box`."""

    box: Box
    mask: UInt8[np.ndarray, "h w"]

    @functools.cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    @property
    def height(self) -> int:
        """The box's height in pixels."""
        return int(self.box[2] - self.box[0])

    @property
    def width(self) -> int:
        """The box's width in pixels."""
        return int(self.box[3] - self.box[1])

    def on(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """A mask (0/1) of a whole frame that holds this region."""
        out = np.zeros(shape, np.uint8)
        top, left, bottom, right = self.box
        out[top:bottom, left:right] = self.mask
        return out


def enclosed(mask: np.ndarray) -> Region:
    """All pixels of a mask that is not empty as one region."""
    flat = mask.astype(np.uint8)
    top, left, bottom, right = box = cropping.box(flat)
    return Region(np.array(box), flat[top:bottom, left:right])


def middle(box: Shaped[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 2"]:
    """The middle (row, column) of boxes."""
    return (box[..., :2] + box[..., 2:]) / 2


def around(box: Shaped[np.ndarray, "4"], margin: int) -> tuple[slice, slice]:
    """Rows and columns of a box, cut down to whole pixels, and a margin; none before the first."""
    top, left, bottom, right = map(int, box)
    return (
        slice(max(top - margin, 0), bottom + margin),
        slice(max(left - margin, 0), right + margin),
    )


def union(parts: Sequence[Any]) -> Region:
    """All that is in any of some parts, each with a `box` and a `mask`, as one region."""
    corner = np.min([part.box[:2] for part in parts], axis=0)
    end = np.max([part.box[2:] for part in parts], axis=0)
    mask = np.zeros(end - corner, np.uint8)
    for part in parts:
        top, left, bottom, right = part.box - np.tile(corner, 2)
        mask[top:bottom, left:right] |= part.mask
    return Region(np.concatenate([corner, end]), mask)


def foreground(
    frame: UInt8[np.ndarray, "H W 3"],
    background: UInt8[np.ndarray, "H W 3"],
    threshold: UInt8[np.ndarray, "H W"],
) -> UInt8[np.ndarray, "H W"]:
    """1 where a frame differs from the background by more than noise and shadow.

    Morphology cleans the mask: it closes gaps and removes specks and thin streaks.

    Args:
      frame: RGB.
      background: the empty scene.
      threshold: grey levels by which the channel of the largest difference must differ;
        higher where the scene itself moves, see `background.thresholds`.
    """
    mask = difference(frame, background, threshold)
    out = np.zeros_like(mask)
    unit = frame.shape[0] / 576  # kernels grow with the resolution
    for window in _windows(mask, int(40 * unit) + 8):
        out[window] |= _cleaned(frame[window], background[window], mask[window], unit)
    return out


def difference(
    frame: UInt8[np.ndarray, "H W 3"],
    background: UInt8[np.ndarray, "H W 3"],
    threshold: UInt8[np.ndarray, "H W"],
) -> UInt8[np.ndarray, "H W"]:
    """1 where a frame differs from the background by more than noise; `foreground` unprocessed."""
    return cv2.compare(distance(frame, background), threshold, cv2.CMP_GT) & 1


def distance(
    frame: UInt8[np.ndarray, "H W 3"], background: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "H W"]:
    """By how many grey levels a frame differs, in the mean of 3x3 pixels, in the channel in which
    it is most. At the frame's edge a pixel counts itself in the place of its neighbour.
    """
    away = cv2.blur(cv2.absdiff(frame, background), (3, 3), borderType=cv2.BORDER_REPLICATE)
    red, green, blue = cv2.split(away)
    return cv2.max(cv2.max(red, green), blue)


def _windows(mask: np.ndarray, margin: int) -> list[tuple[slice, slice]]:
    """Windows that hold more than specks of a mask, with a margin: the rest is skipped."""
    (height, width), cell = mask.shape, 16  # pixels
    size = (-(-width // cell), -(-height // cell))
    padded = cv2.copyMakeBorder(
        mask, 0, size[1] * cell - height, 0, size[0] * cell - width, cv2.BORDER_CONSTANT
    )
    share = cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    full = (share > 15).astype(np.uint8)
    reach = 2 * (-(-margin // cell)) + 1
    near = cv2.dilate(full, np.ones((reach, reach), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(near)
    return [
        np.s_[top * cell : (top + tall) * cell, left * cell : (left + wide) * cell]
        for left, top, wide, tall, _ in stats[1:count]
    ]


def _cleaned(
    frame: np.ndarray, background: np.ndarray, mask: np.ndarray, unit: float
) -> np.ndarray:
    mask = mask & ~_shadow(frame, background, mask, unit)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(5 * unit))
    # Thin things stay where they are attached to something thick, as arms are and twigs are not.
    thick = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(7 * unit))
    reach = np.ones((int(32 * unit) | 1,) * 2, np.uint8)
    return cv2.morphologyEx(cv2.dilate(thick, reach) & mask, cv2.MORPH_OPEN, _disc(3 * unit))


def _shadow(frame: np.ndarray, background: np.ndarray, mask: np.ndarray, unit: float) -> np.ndarray:
    """1 where the ground beside somebody is dimmed by about the same factor in every channel.

    Dark clothes may look the same. So only dimmed pixels on the ground count as shadow: to the
    side of a body that is not dimmed, or at its feet if these are visible. All else is kept.
    """
    dim, darkest = _dimmed(frame, background)
    body = cv2.morphologyEx(mask & ~dim.view(np.uint8), cv2.MORPH_OPEN, _disc(5 * unit))
    body = cv2.dilate(body, _disc(5 * unit)) & mask
    out = np.zeros_like(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask, _disc(9 * unit)))
    for label in range(1, count):
        left, top, width, height, _ = stats[label]
        window = np.s_[top : top + height, left : left + width]
        here = (labels[window] == label).astype(np.uint8)
        doubtful = mask[window] & ~body[window] & here
        out[window] |= _on_the_ground(body[window] & here, doubtful, darkest[window] > 0.65)
    return out


def dimmed(
    frame: UInt8[np.ndarray, "H W 3"], background: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "H W"]:
    """1 where a frame is darker than the background by one factor in all channels, as in shadow."""
    return _dimmed(frame, background)[0].view(np.uint8)


def _dimmed(frame: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`dimmed`, and the factor of the channel that is darkened most."""
    lit = (cv2.blur(frame, (3, 3)) + np.float32(8)) / (cv2.blur(background, (3, 3)) + np.float32(8))
    red, green, blue = cv2.split(lit)
    darkest, brightest = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    dim = (darkest > 0.3) & (brightest < 0.98) & (brightest - darkest < 0.12 * brightest)
    return dim, darkest


def _on_the_ground(body: np.ndarray, doubtful: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """1 where doubtful pixels beside a body (0/1) are unlikely to be a part of it.

    Below it they may be dark legs, unless they are few and only slightly dimmed (`soft`).
    """
    out = np.zeros_like(body)
    rows = np.flatnonzero(body.any(1))
    if not len(rows) or body.sum() < 0.4 * doubtful.sum():
        return out
    top, bottom = rows[0], rows[-1] + 1
    height = bottom - top
    upright = (np.count_nonzero(body, axis=0) >= 0.25 * height).astype(np.uint8)[None]
    stride = np.ones((1, 2 * int(0.2 * height) + 1), np.uint8)
    aside = cv2.dilate(upright, stride)[0] == 0
    if not aside.all():
        out[top + height // 2 :, aside] = doubtful[top + height // 2 :, aside]
    for pieces, most, lowest in (
        (doubtful, len(body), bottom + 0.1 * height),
        (doubtful & soft, 0.4 * height, len(body)),
    ):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces)
        first, tall = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_HEIGHT]
        fallen = (first >= top + int(0.6 * height)) & (first + tall <= lowest) & (tall <= most)
        fallen[0] = False
        out |= fallen.astype(np.uint8)[labels]
    return out


def _disc(diameter: float) -> np.ndarray:
    odd = max(3, int(diameter) | 1)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd))


def regions(mask: UInt8[np.ndarray, "H W"], least_area: int) -> list[Region]:
    """The connected regions of a foreground that have at least `least_area` pixels.

    A region inside a hole of another one counts as a part of that one.
    """
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in reversed(outlines):  # from top to bottom
        left, top, width, height = cv2.boundingRect(outline)
        if width * height < least_area:
            continue
        window = np.zeros((height, width), np.uint8)
        cv2.drawContours(window, [outline], -1, 1, cv2.FILLED, offset=(-left, -top))
        window &= mask[top : top + height, left : left + width]
        region = Region(np.array([top, left, top + height, left + width]), window)
        if region.area >= least_area:
            found.append(region)
    return found
