"""The empty scene behind the people, from a static camera."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Item = TypeVar("Item")

_LEAST_SHOWN = 0.1  # share of the samples that must show a place without people
_BAND = 16  # rows processed at a time: their samples stay in the processor's cache
_CHUNK = 1 << 16  # numbers of each sample that are ordered at a time, for the same reason


def spread(items: Iterable[Item], most: int = 60) -> list[Item]:
    """Evenly spaced items: at most `most`, and more than a third of that if there are as many.

    Memory does not grow with the number of items, which need not be known in advance.
    """
    kept: list[Item] = []
    stride = 1
    for number, item in enumerate(items):
        if number % stride == 0:
            kept.append(item)
            if len(kept) > max(2, most):
                kept, stride = kept[::2], stride * 2
    return kept


def median_background(
    samples: UInt8[np.ndarray, "N H W 3"],
) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """The static scene, and how much each of its pixels changes.

    Returns:
      `(background, restlessness)`: the temporal median, which is what each pixel shows for
      more than half of the time; and the median absolute deviation from it (largest
      channel, in grey levels), high where leaves, water or a flapping tape move.
    """
    background = np.empty(samples.shape[1:], np.uint8)
    restlessness = np.empty(samples.shape[1:3], np.float32)
    for row in range(0, len(background), _BAND):
        band = samples[:, row : row + _BAND]
        background[row : row + _BAND] = median(band)
        restlessness[row : row + _BAND] = median(_distance(band, background[row : row + _BAND]))
    return background, restlessness


def median(values: UInt8[np.ndarray, "N *shape"]) -> UInt8[np.ndarray, "*shape"]:
    """The (upper) median over the first axis, by a sorting network."""
    flat, pairs = values.reshape(len(values), -1), _network(len(values), len(values) // 2)
    out = np.empty(flat.shape[1:], np.uint8)
    for start in range(0, len(out), _CHUNK):
        part = np.s_[start : start + _CHUNK]
        rows = list(flat[:, part])
        for low, high in pairs:
            one, other = rows[low], rows[high]
            rows[low], rows[high] = np.minimum(one, other), np.maximum(one, other)
        out[part] = rows[len(rows) // 2]
    return out.reshape(values.shape[1:])


@functools.cache
def _network(count: int, wanted: int) -> list[tuple[int, int]]:
    """Pairs to exchange in order for the value of one rank: Batcher's odd-even merge sort (Knuth,
    The Art of Computer Programming 3, algorithm 5.2.2M), without those that do not matter for it.
    """
    pairs: list[tuple[int, int]] = []
    first = step = 1 << max(0, (count - 1).bit_length() - 1)
    while step and count > 1:
        far, rest, apart = first, 0, step
        while True:
            pairs += [(i, i + apart) for i in range(count - apart) if i & step == rest]
            if far == step:
                break
            apart, far, rest = far - step, far // 2, step
        step //= 2
    needed, kept = {wanted}, []
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return kept[::-1]


def _distance(values: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Grey levels between values (N, ..., 3) and colours (..., 3): the largest channel's."""
    away = np.maximum(values, center) - np.minimum(values, center)
    return np.maximum(np.maximum(away[..., 0], away[..., 1]), away[..., 2])


@dataclasses.dataclass(frozen=True)
class EmptyScene:
    """What a static camera records where nobody is.

    Attributes:
      empty: RGB picture of the scene without people.
      threshold: grey levels by which foreground differs from it, see `thresholds`.
    """

    empty: UInt8[np.ndarray, "H W 3"]
    threshold: UInt8[np.ndarray, "H W"]


def scene_behind(samples: UInt8[np.ndarray, "N H W 3"]) -> EmptyScene:
    """The scene behind the people, from samples of a whole video, whose light may change slowly.

    Samples are first brought to one light, in place. Somebody who stands still for more than
    half of the time is in the median; they are taken out of the scene if they are away for at
    least a twelfth of the time, see `_without_standing`.
    """
    _in_one_light(samples)
    empty, restlessness = median_background(samples)
    _without_standing(samples, empty, restlessness)
    return EmptyScene(empty, thresholds(restlessness))


def scene_without(
    samples: UInt8[np.ndarray, "N H W 3"], masks: UInt8[np.ndarray, "N H W"]
) -> tuple[EmptyScene, UInt8[np.ndarray, "H W"]]:
    """The scene behind people whose places are known, from samples of a whole video.

    Args:
      samples: frames; they are brought to one light in place.
      masks: 1 where people may be in each.

    Returns:
      `(scene, unknown)`: the temporal median of what no mask covers, and 1 where that is nothing
      or next to nothing: there, the scene is the median of all samples, and its threshold 255.
    """
    _in_one_light(samples)
    empty, restlessness, unknown = median_without(samples, masks, _LEAST_SHOWN)
    limits = thresholds(restlessness)
    limits[unknown] = 255
    return EmptyScene(empty, limits), unknown.astype(np.uint8)


def median_without(
    samples: UInt8[np.ndarray, "N H W 3"], masks: UInt8[np.ndarray, "N H W"], least: float
) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """The temporal median of what no mask (0/1) covers.

    Args:
      samples: frames in one light.
      masks: 1 where people may be in each.
      least: share of the samples that must show a place; one of them at least.

    Returns:
      `(empty, restlessness, unknown)`: the first two as in `median_background`; and where too
      few samples show the place: there, the former is the median of all, the latter the usual.
    """
    empty = np.empty(samples.shape[1:], np.uint8)
    restlessness = np.empty(samples.shape[1:3], np.float32)
    visible = len(samples) - np.add.reduce(masks, 0, dtype=np.uint16).astype(np.int64)
    unknown = visible < max(1, least * len(samples))
    for row in range(0, len(empty), _BAND):
        band = np.s_[row : row + _BAND]
        values, hidden = samples[:, band], (masks[:, band] > 0) & ~unknown[band]
        empty[band] = _median_of_some(values, hidden)
        away = _distance(values, empty[band])[..., None]
        restlessness[band] = _median_of_some(away, hidden)[..., 0]
    restlessness[unknown] = np.median(restlessness)
    return empty, restlessness, unknown


def _in_one_light(samples: UInt8[np.ndarray, "N H W 3"]) -> None:
    """Brings samples to the light of their median, in place."""
    rough = median(samples[:: max(1, len(samples) // 25)])
    for sample in samples:
        gain = _gain(sample, *_small(rough))
        if np.abs(gain - 1).max() > 0.03:
            sample[:] = _lit(sample, 1 / gain)


def _without_standing(samples, empty, restlessness) -> None:
    """Removes from a median, in place, what stood still for long and was away for a while.

    Where pixels have a second value for at least a twelfth of the time, one of the two values
    is the object that stood there: the one whose region has edges along its border.
    """
    noise = float(np.median(restlessness))
    limit = max(20.0, 5 * noise)
    other = np.zeros_like(empty)
    changed = np.zeros(empty.shape[:2], np.uint8)
    for row in range(0, len(empty), _BAND):
        band = samples[:, row : row + _BAND]
        away = _distance(band, empty[row : row + _BAND]) > limit
        at = np.nonzero(away.view(np.uint8).sum(0, dtype=np.uint8) >= max(2, len(samples) / 12))
        if not len(at[0]):
            continue
        values, same = band[:, at[0], at[1]], ~away[:, at[0], at[1]]
        middle = _median_of_some(values, same)
        deviation = _distance(values, middle)[..., None]
        stable = _median_of_some(deviation, same)[:, 0] < max(8.0, 2.5 * noise)
        rows, cols = at[0][stable] + row, at[1][stable]
        other[rows, cols] = middle[stable]
        changed[rows, cols] = 1
    unit = max(3, round(len(empty) / 120) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (unit, unit))
    grown = cv2.morphologyEx(
        cv2.morphologyEx(changed, cv2.MORPH_OPEN, disc), cv2.MORPH_DILATE, disc
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grown)
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        if height < len(empty) / 30 or area < (len(empty) / 40) ** 2:
            continue
        window = np.s_[max(top - 2, 0) : top + height + 2, max(left - 2, 0) : left + width + 2]
        region = (labels[window] == label).astype(np.uint8)
        swapped = empty[window].copy()
        take = (region & changed[window]).astype(bool)
        swapped[take] = other[window][take]
        rim = cv2.morphologyEx(
            region & changed[window], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)
        )
        if _edges(empty[window], rim) > 1.2 * _edges(swapped, rim):
            empty[window] = swapped
            restlessness[window][take] = noise


def _edges(image: np.ndarray, where: np.ndarray) -> float:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    return float(slope[where > 0].mean()) if where.any() else 0.0


def _median_of_some(values, hidden):
    """`median` over the first axis of `values` (..., channels) that are not `hidden` (...)."""
    some = hidden.any(0)
    if 2 * some.sum() < some.size:
        out = median(values)
        if some.any():
            out[some] = _median_of_some(values[:, some], hidden[:, some])
        return out
    # Hidden values go to both ends in turn, so that the middle stays where it is.
    odd = np.logical_xor.accumulate(hidden, axis=0)
    ends = np.where(odd, np.uint8(0), np.uint8(255))
    return median(np.where(hidden[..., None], ends[..., None], values))


def masked_median(
    samples: UInt8[np.ndarray, "N H W 3"], masks: UInt8[np.ndarray, "N H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The temporal median of what no mask (0/1) covers; black where nothing is left."""
    empty = np.empty(samples.shape[1:], np.uint8)
    for row in range(0, len(empty), 32):
        band = np.s_[:, row : row + 32]
        empty[row : row + 32] = _median_of_some(samples[band], masks[band] > 0)
    empty[masks.all(0)] = 0
    return empty


# --- light -----------------------------------------------------------------------------------

_CELLS = (6, 8)  # rows and columns of cells in which light is measured
_SIDE = 12  # pixels to which a cell's side is scaled for that


class Light:
    """The empty scene in the light of each frame of a video, frames in order.

    How much brighter or darker the scene is than the background picture is measured in cells
    by medians, so that a person who stands still is not mistaken for light. Changes are
    followed within two seconds, a lamp that is switched within a fifth of a second.
    """

    def __init__(
        self,
        empty: UInt8[np.ndarray, "H W 3"],
        fps: float,
        mended: UInt8[np.ndarray, "H W 3"] | None = None,
    ):
        """Takes the scene by which light is measured, and the one that is lit, if it is another."""
        self._empty = self._now = empty if mended is None else mended
        self._small = _small(empty)
        self._applied = self._gain = np.ones((*_CELLS, 3), np.float32)
        self._every = max(1, round(fps / 5))  # frames between measurements
        self._share = min(1.0, 0.5 * self._every / max(fps, 0.5))
        self._frames = 0

    def update(self, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Takes the next frame; returns the empty scene in this frame's light."""
        self._frames += 1
        if (self._frames - 1) % self._every:
            return self._now
        gain = _gain(frame, *self._small)
        switched = float(np.median(np.abs(gain / self._gain - 1))) > 0.1
        self._gain = gain if switched else self._gain + self._share * (gain - self._gain)
        if np.abs(self._gain / self._applied - 1).max() > 0.015:
            self._applied = self._gain
            self._now = _lit(self._empty, self._gain)
        return self._now


def _small(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    size = (_CELLS[1] * _SIDE, _CELLS[0] * _SIDE)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32), size


def _gain(frame: np.ndarray, small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    now = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    ratio = (now + 8.0) / (small + 8.0)
    cells = ratio.reshape(_CELLS[0], _SIDE, _CELLS[1], _SIDE, 3).swapaxes(1, 2)
    cells = np.median(cells.reshape(*_CELLS, -1, 3), axis=2)
    return np.clip(cv2.medianBlur(cells.astype(np.float32), 5), 0.4, 2.5)


def _lit(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    full = cv2.resize(gain, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint((image + 8.0) * full - 8.0), 0, 255).astype(np.uint8)


def gain_of(
    image: UInt8[np.ndarray, "H W 3"],
    other: UInt8[np.ndarray, "H W 3"],
    where: Bool[np.ndarray, "H W"],
) -> Float[np.ndarray, "3"]:
    """By which factors another picture's channels are brighter, where both show the same."""
    step = np.s_[::8, ::8]
    chosen = where[step]
    if chosen.sum() < 50:
        return np.ones(3, np.float32)
    one, two = image[step][chosen] + np.float32(8), other[step][chosen] + np.float32(8)
    return np.clip(np.median(two / one, axis=0), 0.4, 2.5).astype(np.float32)


def times(
    image: UInt8[np.ndarray, "H W 3"], gain: Float[np.ndarray, "3"]
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture in the light that `gain_of` found."""
    if np.abs(gain - 1).max() < 0.01:
        return image
    tables = [np.clip(np.rint((np.arange(256) + 8.0) * g - 8.0), 0, 255) for g in gain]
    return np.asarray(cv2.LUT(image, np.stack(tables, -1).astype(np.uint8)[None]))


def thresholds(restlessness: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Grey levels by which a pixel must differ from the background to count as foreground.

    A multiple of the camera's noise, 16 at least, and more where the scene itself moves.
    """
    noise = float(np.median(restlessness))
    unrest = np.maximum(restlessness - 1.5 * noise, 0.0)
    return np.clip(max(16.0, 4.0 * noise) + 5.0 * unrest, 0, 255).astype(np.uint8)
