"""How natural an anonymised walk looks, measured without a network and without raters.

The papers ask 20 people (ST-GAN 4.3, mean opinion score) and two networks (`detectors`).
Note: the measures here are not in the papers, but for the XOR images (ST-GAN Fig. 18). Each
names one fault that an eye sees: a body in pieces, a tangled outline, a ragged edge, flicker,
legs that do not swing, a shape that nobody has. None of them says that a walk is natural; the
row to compare with is the unprotected walk's, `walk_figures(original, original, ...)`.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from stgan_jax import contour
from stgan_jax.evaluation import gei, noise

Walk = UInt8[np.ndarray, "T 240 240"]

VERSION = 2  # of what the figures mean: those that were kept under another one are taken anew

# Of each figure of `walk_figures`, why it is NaN where it is.
WHY_NAN = {
    "one_piece": "the walk has no frames",
    "self_crossing": "no contours were given, or all of them are empty",
    "roughness": "all silhouettes are empty",
    "head_roughness": "all silhouettes are empty",
    "change_ratio": "the original does not move, or a walk is empty or has fewer than two frames",
    "flicker": "fewer than three frames, or all silhouettes are empty",
    "leg_amplitude_ratio": "the original's legs show no repeated swing in this view and length",
    "period_ratio": "the original's or the anonymised legs show no repeated swing, or none alike",
    "distance_to_real": "no reference silhouettes were given, or the walk has no frames",
}


def walk_figures(
    original: Walk,
    anonymized: Walk,
    contours: Float[np.ndarray, "T 4000"] | None = None,
    codec: str = "resampled",
    reference: UInt8[np.ndarray, "M 64 44"] | None = None,
) -> dict[str, float]:
    """All measures of one anonymised walk.

    Args:
      original: the walk before, 0 or 1.
      anonymized: the walk after, in the same crop.
      contours: the contours of which `anonymized` was drawn, in pixels, if it was.
      codec: of `contour.CODECS`, that of `contours`.
      reference: aligned silhouettes (`gei.normalize`) of other people in the same view.

    Returns:
      figures by name; NaN where there is nothing to measure, `WHY_NAN` says why. In brackets
      what a faultless walk has:
      `one_piece` [1], share of frames, see `one_piece`;
      `self_crossing` [0], share of frames, see `self_crossing`;
      `roughness` [1.08 to 1.12], see `roughness`; `head_roughness`, that of the body's upper
      fifth, which is what padding distorts;
      `change_ratio` [about 1], `change` from frame to frame over the original's: below 1 the
      walk is stiff, above it restless;
      `flicker` [0.003 to 0.008], see `flicker`;
      `leg_amplitude_ratio` [about 1], see `leg_amplitude_ratio`;
      `period_ratio` [1], see `period_ratio`;
      `distance_to_real` [0.06 from the front, 0.15 from the side], see `distance_to_real`.
    """
    if reference is None:
        reference = np.zeros((0, gei.HEIGHT, gei.WIDTH), np.uint8)
    before, after = leg_cycle(original), leg_cycle(anonymized)
    return {
        "one_piece": _mean(one_piece(anonymized)),
        "self_crossing": np.nan if contours is None else _mean(self_crossing(contours, codec)),
        "roughness": _mean(roughness(anonymized)),
        "head_roughness": _mean(roughness(head(anonymized))),
        "change_ratio": _over(change(anonymized), change(original)),
        "flicker": flicker(anonymized),
        "leg_amplitude_ratio": leg_amplitude_ratio(before, after),
        "period_ratio": period_ratio(before, after),
        "distance_to_real": _mean(distance_to_real(anonymized, reference)),
    }


def _mean(values: np.ndarray) -> float:
    """Mean of the measured frames, NaN of none."""
    measured = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(measured.mean()) if len(measured) else float("nan")


def _over(value: float, of_original: float) -> float:
    return float(value / of_original) if of_original > 0 else float("nan")


def one_piece(silhouettes: Walk) -> Bool[np.ndarray, " T"]:
    """Whether each silhouette is one body.

    It is if, after an opening by 3x3 pixels, one component holds 98 % of the area: a decoded
    outline is always connected, though perhaps by a thread that holds no body together.
    An empty frame is not.
    """
    out = np.zeros(len(silhouettes), bool)
    for t, mask in enumerate(silhouettes):
        solid = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        out[t] = len(areas) > 0 and areas.max() >= 0.98 * areas.sum()
    return out


def self_crossing(
    contours: Float[np.ndarray, "T 4000"], codec: str = "resampled", pixels: int = 4
) -> Float[np.ndarray, " T"]:
    """Whether each contour's polygon crosses itself: 1.0 or 0.0, NaN for an empty contour.

    Around a crossing of two strands the winding number takes three values, and that of a
    simple polygon takes two (0 outside, 1 or -1 inside): the polygon crosses itself if and
    only if some place is wound otherwise. The numbers are taken at pixel centres, in one
    pass over all edges, so that loops between pixels, which nobody sees, do not count.

    Args:
      contours: in pixels.
      codec: of `contour.CODECS`; of padded contours the padding is left out.
      pixels: from how many wrongly wound pixels on a contour counts as crossing itself.
    """
    points = contours.reshape(-1, contour.POINTS, 2).astype(np.float64)
    empty = ~points.any((1, 2))
    if codec == "padded":
        used = np.any(np.abs(points) >= 0.5, axis=-1)
        last = np.where(used.any(1), contour.POINTS - 1 - used[:, ::-1].argmax(1), 0)
        beyond = np.arange(contour.POINTS) > last[:, None]
        points = np.where(beyond[..., None], points[np.arange(len(points)), last][:, None], points)
    winding = winding_numbers(points)
    turns = np.sign(winding.sum((1, 2), dtype=np.int64))[:, None, None]
    wrong = ((winding != 0) & (winding != turns)).sum((1, 2))
    return np.where(empty, np.nan, (wrong >= pixels).astype(np.float64))


def winding_numbers(polygons: Float[np.ndarray, "T P 2"], size: int = contour.SIZE) -> np.ndarray:
    """How often each closed polygon of (row, col) points winds around each pixel centre.

    Returns:
      integers of shape (T, size, size); parts of a polygon outside of the image are cut off.
    """
    start, end = polygons, np.roll(polygons, -1, axis=1)
    # An edge crosses the centre lines of rows low <= r < high; half-open, so that two edges
    # that meet on a line count once.
    first, last = np.ceil(start[..., 0]), np.ceil(end[..., 0])
    low = np.clip(np.minimum(first, last), 0, size).astype(np.int64).ravel()
    high = np.clip(np.maximum(first, last), 0, size).astype(np.int64).ravel()
    count = high - low
    edge = np.repeat(np.arange(len(count)), count)
    row = low[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    (r0, c0), (r1, c1) = start.reshape(-1, 2)[edge].T, end.reshape(-1, 2)[edge].T
    col = np.ceil(c0 + (row - r0) * (c1 - c0) / (r1 - r0))
    col = np.clip(col, 0, size).astype(np.int64)
    frame = edge // polygons.shape[1]
    steps = np.bincount(
        (frame * size + row) * (size + 1) + col,
        weights=np.sign(r1 - r0),
        minlength=len(polygons) * size * (size + 1),
    )
    steps = steps.reshape(-1, size, size + 1)[..., :size].astype(np.int16)
    return np.cumsum(steps, axis=-1, dtype=np.int16)


def roughness(silhouettes: Walk, scale: float = 4.0) -> Float[np.ndarray, " T"]:
    """Length of each silhouette's outline over that of the same outline smoothed.

    Smoothed along its length by a Gaussian of `scale` pixels. Over the convex hull's length
    a stride would count as rough as a ragged edge; so only what is finer than a limb does.
    A smooth shape has about 1.03, by the steps between its pixels. NaN for an empty frame.
    """
    points = contour.encode(silhouettes).reshape(-1, contour.POINTS, 2).astype(np.float64)
    curve = points[..., 0] + 1j * points[..., 1]
    length = lambda z: np.abs(z - np.roll(z, 1, axis=-1)).sum(-1)  # noqa: E731
    whole = length(curve)
    per_pixel = 2 * np.pi * np.fft.fftfreq(contour.POINTS) * contour.POINTS
    frequency = per_pixel / np.where(whole > 0, whole, 1.0)[:, None]
    smooth = np.fft.ifft(np.fft.fft(curve) * np.exp(-0.5 * np.square(scale * frequency)))
    return np.where(whole > 0, whole / np.where(whole > 0, length(smooth), 1.0), np.nan)


def head(silhouettes: Walk) -> Walk:
    """The upper fifth of each body, from its highest to its lowest row; the rest is empty."""
    out = np.zeros_like(silhouettes)
    for t in range(len(silhouettes)):
        rows = silhouettes[t].any(1)
        if rows.any():
            top, bottom = int(rows.argmax()), len(rows) - int(rows[::-1].argmax())
            stop = top + max(1, round((bottom - top) / 5))
            out[t, top:stop] = silhouettes[t, top:stop]
    return out


def change(silhouettes: Walk) -> float:
    """Mean change between consecutive frames: area of their XOR over the walk's mean area."""
    if len(silhouettes) < 2 or not silhouettes.any():
        return float("nan")
    area = np.count_nonzero(silhouettes) / len(silhouettes)
    moved = np.count_nonzero(silhouettes[1:] != silhouettes[:-1])
    return float(moved / (len(silhouettes) - 1) / area)


def flicker(silhouettes: Walk) -> float:
    """Mean area that differs both from the frame before and from the next, over the mean area.

    Of the body's upper third: the trunk glides, so that what comes or goes for one frame is
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


_FASTEST = 7  # frames a step, of a run at 25 frames a second
_SWING = 0.001  # statures, a fifth of a pixel: a mean over rows shows as little
_WIDTH_SWING = 0.02  # statures; from the front and behind the width swings by a fifth of this
_SCALES = np.exp(0.01 * np.arange(-92, 54))


class LegCycle(NamedTuple):
    """Autocovariances of the legs' motion at lags of 0 to L - 1 frames, 3/4 of the walk.

    The legs are the body's lower third, where no hand hangs; the unit is statures squared.

    Attributes:
      width: of the legs' width, from left-most to right-most pixel.
      mean: of the mean extent of their rows, which sees a lifted foot leave the lowest rows.
      rows: summed over the rows' extents: a pose is known again in every view.
    """

    width: Float[np.ndarray, " L"]
    mean: Float[np.ndarray, " L"]
    rows: Float[np.ndarray, " L"]


def leg_cycle(silhouettes: Walk) -> LegCycle:
    """How the legs' motion repeats itself, see `LegCycle`; zeros where it does not move."""
    top, height = _body(silhouettes)
    legs = silhouettes[:, int(top + 2 * height / 3) :].astype(bool)
    rows = _extent(legs) / height
    width = _extent(np.any(legs, axis=1))[:, None] / height
    return LegCycle(*map(_autocovariance, (width, rows.mean(1, keepdims=True), rows)))


def _extent(pixels: np.ndarray) -> np.ndarray:
    """From the first to the last pixel that is set, along the last axis."""
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
    """Size of a motion that repeats itself, RMS, from its autocovariance; 0 where none does.

    The root of the highest peak but the one at 0: jitter, which does not repeat, adds nothing.
    """
    peak = _repeat(cycle)
    return float(np.sqrt(cycle[peak])) if peak else 0.0


def leg_amplitude_ratio(original: LegCycle, anonymized: LegCycle) -> float:
    """The legs' swing after over that before.

    Of the legs' width; where the original's width hardly swings, from the front and behind, of
    the mean extent of their rows. NaN where not even that repeats itself.
    """
    if amplitude(original.width) >= _WIDTH_SWING:
        return _over(amplitude(anonymized.width), amplitude(original.width))
    return _over(amplitude(anonymized.mean), amplitude(original.mean))


def _repeat(cycle: np.ndarray) -> int:
    """Frames after which the motion repeats itself best, 0 where it does not."""
    best = _FASTEST - 1 + _peak(cycle[_FASTEST - 1 :])
    high = best >= _FASTEST and cycle[best] > max(0.3 * cycle[0], _SWING**2)
    return best if high else 0


def period_ratio(original: LegCycle, anonymized: LegCycle) -> float:
    """Gait period after over gait period before, from 0.4 to 1.7.

    The stretch in time that makes the autocovariances of the rows correlate best. A single
    peak will not do: in some views the walk looks alike after a step, in others after two, and
    an anonymiser may turn the one into the other. Which is why the best correlation counts only
    within the range: at an end of it, it is the flank of a step that fits a cycle. NaN where
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
    """Where the highest local maximum is, 0 where there is none: the ends are none."""
    inner = values[1:-1]
    peaks = (inner >= values[:-2]) & (inner >= values[2:])
    return 1 + int(np.where(peaks, inner, -np.inf).argmax()) if peaks.any() else 0


def distance_to_real(
    silhouettes: Walk, reference: UInt8[np.ndarray, "M 64 44"]
) -> Float[np.ndarray, " T"]:
    """1 - intersection over union of each aligned silhouette with the likest of a reference.

    1 for a frame with hardly anyone in it, see `gei.normalize`; NaN without a reference.
    """
    if not len(reference):
        return np.full(len(silhouettes), np.nan)
    out = np.ones(len(silhouettes))
    aligned = [gei.normalize(mask[None]) for mask in silhouettes]
    seen = [len(frame) > 0 for frame in aligned]
    if any(seen):
        out[seen] = 1.0 - noise.best_iou(np.concatenate(aligned), reference)
    return out


def xor_images(original: Walk, anonymized: Walk) -> Walk:
    """White (255) where two silhouettes differ, black where they agree (ST-GAN Fig. 18)."""
    return np.where(original.astype(bool) != anonymized.astype(bool), 255, 0).astype(np.uint8)


def xor_row(original: Walk, anonymized: Walk, frames: int = 8) -> UInt8[np.ndarray, "240 W"]:
    """XOR images of frames spread evenly over the walk, side by side."""
    images = xor_images(original, anonymized)
    chosen = np.linspace(0, len(images) - 1, min(frames, len(images))).round().astype(int)
    return np.hstack(images[chosen])
