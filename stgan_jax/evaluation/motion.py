"""Motion of a walk: change and flicker of its silhouettes, swing and period of its legs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

Walk = UInt8[np.ndarray, "T 240 240"]

_FASTEST = 7  # frames per step, of a run at 25 frames a second
_SWING = 0.001  # statures, a fifth of a pixel: the least that a mean over rows shows
_WIDTH_SWING = 0.02  # statures; from the front and behind the width swings by a fifth of this
_SCALES = np.exp(0.01 * np.arange(-92, 54))


def change(silhouettes: Walk) -> float:
    """Mean change between consecutive frames: area of their XOR over the walk's mean area."""
    if len(silhouettes) < 2 or not silhouettes.any():
        return float("nan")
    area = np.count_nonzero(silhouettes) / len(silhouettes)
    moved = np.count_nonzero(silhouettes[1:] != silhouettes[:-1])
    return float(moved / (len(silhouettes) - 1) / area)


def flicker(silhouettes: Walk) -> float:
    """Mean area that differs both from the frame before and from the next, over the mean area.

    Only in the body's upper third: the trunk glides, so that what comes or goes for one frame is
    jitter. Lower down the limbs of a faultless walk outrun their own width from the side, as
    much as an outline that shakes by two pixels.
    """
    top, height = _body(silhouettes)
    upper = silhouettes[:, : max(1, round(top + height / 3))]
    if len(upper) < 3 or not upper.any():
        return float("nan")
    before, here, after = upper[:-2], upper[1:-1], upper[2:]
    area = np.count_nonzero(upper) / len(upper)
    return float(np.count_nonzero((here != before) & (here != after)) / len(here) / area)


def _body(silhouettes: np.ndarray) -> tuple[float, float]:
    """The row of a walk's head and its height in rows, medians over the frames."""
    rows = np.any(silhouettes, axis=-1)
    rows = rows[rows.any(-1)]
    if not len(rows):
        return 0.0, 1.0
    top = float(np.median(rows.argmax(-1)))
    bottom = float(np.median(rows.shape[1] - 1 - rows[:, ::-1].argmax(-1)))
    return top, max(bottom - top, 1.0)


class LegCycle(NamedTuple):
    """Autocovariances of the legs' motion at lags of 0 to L - 1 frames, 3/4 of the walk.

    The legs are the body's lower third, where no hand hangs; the unit is statures squared.

    Attributes:
      width: autocovariance of the legs' width, from left-most to right-most pixel.
      mean: that of the mean extent of their rows; a lifted foot, which leaves the lowest rows,
        shows in it.
      rows: that of each row's extent, summed over the rows: it recognises a pose in every view.
    """

    width: Float[np.ndarray, " L"]
    mean: Float[np.ndarray, " L"]
    rows: Float[np.ndarray, " L"]


def leg_cycle(silhouettes: Walk) -> LegCycle:
    """How the legs' motion repeats itself; 0 where they do not move."""
    top, height = _body(silhouettes)
    legs = silhouettes[:, int(top + 2 * height / 3) :].astype(bool)
    rows = _extent(legs) / height
    width = _extent(np.any(legs, axis=1))[:, None] / height
    return LegCycle(*map(_autocovariance, (width, rows.mean(1, keepdims=True), rows)))


def _extent(pixels: np.ndarray) -> np.ndarray:
    """Distance from the first to the last pixel that is set, along the last axis."""
    between = pixels.shape[-1] - pixels.argmax(-1) - pixels[..., ::-1].argmax(-1)
    return np.where(pixels.any(-1), between, 0)


def _autocovariance(motion: Float[np.ndarray, "T R"]) -> Float[np.ndarray, " L"]:
    frames = len(motion)
    if not frames:
        return np.zeros(0)
    motion = motion - motion.mean(0)
    lags = range(3 * frames // 4)
    return np.array([np.sum(motion[: frames - k] * motion[k:]) / (frames - k) for k in lags])


def amplitude(cycle: Float[np.ndarray, " L"]) -> float:
    """RMS size of a motion that repeats itself, from its autocovariance; 0 if none does.

    The root of the highest peak but the one at 0: jitter, which does not repeat, adds nothing.
    """
    peak = _repeat(cycle)
    return float(np.sqrt(cycle[peak])) if peak else 0.0


def leg_amplitude_ratio(original: LegCycle, anonymized: LegCycle) -> float:
    """The legs' swing after over that before.

    The swing is that of the legs' width; if the original's width hardly swings, from the front
    and behind, that of the mean extent of their rows. NaN if not even that repeats itself.
    """
    if amplitude(original.width) >= _WIDTH_SWING:
        return ratio(amplitude(anonymized.width), amplitude(original.width))
    return ratio(amplitude(anonymized.mean), amplitude(original.mean))


def ratio(value: float, original: float) -> float:
    """The quotient, NaN unless the original is positive."""
    return float(value / original) if original > 0 else float("nan")


def _repeat(cycle: np.ndarray) -> int:
    """Frames after which the motion repeats itself best, 0 if it does not."""
    best = _FASTEST - 1 + _peak(cycle[_FASTEST - 1 :])
    high = best >= _FASTEST and cycle[best] > max(0.3 * cycle[0], _SWING**2)
    return best if high else 0


def period_ratio(original: LegCycle, anonymized: LegCycle) -> float:
    """Gait period after over gait period before, from 0.4 to 1.7.

    The stretch in time that makes the autocovariances of the rows correlate best. A single
    peak will not do: in some views the walk looks alike after a step, in others after two, and
    an anonymiser may turn the one into the other. That is why the best correlation counts only
    within the range: at an end of it, it is the flank of a step that fits a cycle. NaN if
    either does not repeat, or the two correlate below 0.75 however stretched.
    """
    before, after = original.rows, anonymized.rows
    if not _repeat(before) or not _repeat(after):
        return float("nan")
    lags = np.arange(len(before))
    fits = []
    for scale in _SCALES:
        n = int(min(len(lags), len(after), scale * lags[-1] + 1))
        fits.append(np.corrcoef(np.interp(lags[:n] / scale, lags, before), after[:n])[0, 1])
    best = _peak(np.array(fits))
    return float(_SCALES[best]) if best and fits[best] > 0.75 else float("nan")


def _peak(values: np.ndarray) -> int:
    """Index of the highest local maximum, 0 if there is none: the ends are none."""
    inner = values[1:-1]
    peaks = (inner >= values[:-2]) & (inner >= values[2:])
    return 1 + int(np.where(peaks, inner, -np.inf).argmax()) if peaks.any() else 0
