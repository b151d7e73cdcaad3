"""How natural an anonymised walk looks, measured without raters.

The papers ask 20 people (ST-GAN 4.3, mean opinion score) and two networks (`detectors`).
Note: the measures here are not in the papers, but for the XOR images (ST-GAN Fig. 18). Each
names one fault that an eye sees: a body in pieces, a tangled outline, a ragged edge, flicker,
legs that do not swing, a shape that nobody has. None of them says that a walk is natural; the
row to compare with is the unprotected walk's, `walk_figures(original, original, ...)`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax.evaluation import attacks, detectors, motion
from stgan_jax.evaluation.cache import Cache
from stgan_jax.evaluation.motion import Walk
from stgan_jax.evaluation.walks import WalkPart, Walks, spread
from stgan_jax.methods.api import Anonymizer
from stgan_jax.shapes import contour, gei, likeness
from stgan_jax.util import grids

VERSION = 2  # of what the figures mean; those cached under another version are computed again
_SCORED_WALKS = 8  # per view, by networks
_REFERENCE_WALKS = 40  # of other people, per view, that anonymised silhouettes are compared with

# Why a figure of `walk_figures` is NaN.
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


def compare(
    methods: Sequence[Anonymizer],
    walks: Walks,
    parts: Mapping[str, WalkPart],
    cache: Cache,
    count: int,
    detector: detectors.Scorer | None = None,
    action: detectors.Scorer | None = None,
) -> tuple[list[dict[str, Any]], dict[str, UInt8[np.ndarray, "_ _"]]]:
    """Measures how natural methods' walks are.

    Args:
      methods: the first leaves walks as they are.
      walks: everybody's.
      parts: see `Walks.parts`: probes are measured, training walks are the reference.
      cache: keeps figures.
      count: number of walks per view.
      detector: gives the frame score; None for OpenCV's people detector.
      action: gives the video score; None for none.

    Returns:
      of each method `measures`, `intervals` and `by_view` as `report` describes them; and
      pictures by name: "walk-090", the methods' silhouettes of one walk, a row each, and
      "xor-090", where they differ from the first method's.
    """
    each: list[dict[str, list[dict[str, Any]]]] = [{} for _ in methods]
    pictures = {}
    score = functools.partial(_scores, detector=detector, action=action)
    scored_by = [None if scorer is None else scorer.name for scorer in (detector, action)]
    mask, seed = parts["probes"]
    for view in tqdm(walks.views(), "naturalness", unit="view"):
        index = spread(mask & (walks.view == view), count)
        others = spread(parts["training"].mask & (walks.view == view), _REFERENCE_WALKS)
        plain = functools.cache(functools.partial(_plain, methods[0], walks, index, others))
        drawn: list[Walk] = []  # one walk by every method
        for method, by_view in zip(methods, each, strict=True):
            drawn += [walk for *_, walk in walks.silhouettes(method, index[:1], seed)]
            by_view[str(view)] = cache.figures(
                ["naturalness", VERSION, count, view, scored_by],
                method,
                functools.partial(_view_figures, method, walks, index, seed, plain, score),
            )
        pictures[f"walk-{view:03d}"] = _sheet(drawn)
        if len(drawn) > 1:
            rows = [xor_row(drawn[0], walk) for walk in drawn[1:]]
            pictures[f"xor-{view:03d}"] = np.vstack(rows)
    return [_summary(by_view) for by_view in each], pictures


def _plain(
    method: Anonymizer, walks: Walks, index: Int[np.ndarray, " N"], others: Int[np.ndarray, " M"]
) -> tuple[UInt8[np.ndarray, "R 64 44"], dict[int, Walk]]:
    """Aligned silhouettes of every fifth frame of the others' walks, and the walks by index."""
    reference = [gei.normalize(walk[::5]) for *_, walk in walks.silhouettes(method, others, 0)]
    original = {i: walk for i, _, walk in walks.silhouettes(method, index, 0)}
    return np.concatenate(reference), original


def _view_figures(
    method: Anonymizer,
    walks: Walks,
    index: Int[np.ndarray, " N"],
    seed: int,
    plain: Callable[[], tuple[np.ndarray, Mapping[int, Walk]]],
    score: Callable[[Walk], dict[str, float | None]],
) -> list[dict[str, Any]]:
    """`walk_figures`, and some scores, of each walk, and whose it is."""
    reference, original = plain()
    out: list[dict[str, Any]] = []
    for i, contours, walk in walks.silhouettes(method, index, seed):
        figures = walk_figures(original[i], walk, contours, method.codec, reference)
        scores = score(walk) if len(out) < _SCORED_WALKS else {}
        out.append({"subject": int(walks.subject[i]), **figures, **scores})
    return out


def _scores(
    silhouettes: Walk, detector: detectors.Scorer | None, action: detectors.Scorer | None
) -> dict[str, float | None]:
    """Frame score of every fifth frame and video score of a walk, drawn dark on light."""
    frames = detectors.draw(silhouettes)
    return {
        "frame_score": detectors.frame_score(frames[::5], detector).value,
        "video_score": detectors.video_score(frames, action).value,
    }


def _summary(by_view: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """A method's means and intervals, from the figures of its walks."""
    means = {view: _mean_figures([_without_subject(w) for w in by_view[view]]) for view in by_view}
    measures = _mean_figures(list(means.values()))
    return {
        "measures": measures,
        "intervals": {name: _interval(name, by_view) for name in measures},
        "by_view": means,
    }


def _without_subject(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "subject"}


def _mean_figures(each: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Means over the walks or views in which a figure could be measured; None if in none."""
    out: dict[str, float | None] = {}
    for name in each[0]:
        values = [figures.get(name) for figures in each]
        measured = [value for value in values if value is not None and np.isfinite(value)]
        out[name] = float(np.mean(measured)) if measured else None
    return out


def _interval(
    name: str, by_view: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[float, float] | None:
    """95 % interval over subjects of a figure's mean over views; None of one walk per view."""
    deviations, subjects, means = [], [], []
    for walks in by_view.values():
        found = [(w[name], w["subject"]) for w in walks if w.get(name) is not None]
        values = np.array([value for value, _ in found if np.isfinite(value)])
        if len(values):
            means.append(values.mean())
            deviations += (values - values.mean()).tolist()
            subjects += [subject for value, subject in found if np.isfinite(value)]
    if len(deviations) == len(means):
        return None
    low, high = attacks.interval(np.array(deviations), np.array(subjects))
    return float(np.mean(means) + low), float(np.mean(means) + high)


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
      contours: the contours from which `anonymized` was drawn, in pixels; None if it was not.
      codec: codec of `contours`, one of `contour.CODECS`.
      reference: aligned silhouettes (`gei.normalize`) of other people in the same view.

    Returns:
      figures by name; NaN if there is nothing to measure, `WHY_NAN` says why. In brackets
      what a faultless walk has:
      `one_piece` [1], share of frames, see `one_piece`;
      `self_crossing` [0], share of frames, see `self_crossing`;
      `roughness` [1.08 to 1.12], see `roughness`; `head_roughness`, that of the body's upper
      fifth, which is what padding distorts;
      `change_ratio` [about 1], `motion.change` over the original's: below 1 the walk is stiff,
      above it restless;
      `flicker` [0.003 to 0.008], see `motion.flicker`;
      `leg_amplitude_ratio` [about 1], see `motion.leg_amplitude_ratio`;
      `period_ratio` [1], see `motion.period_ratio`;
      `distance_to_real` [0.06 from the front, 0.15 from the side], see `distance_to_real`.
    """
    if reference is None:
        reference = np.zeros((0, gei.HEIGHT, gei.WIDTH), np.uint8)
    before, after = motion.leg_cycle(original), motion.leg_cycle(anonymized)
    return {
        "one_piece": _mean(one_piece(anonymized)),
        "self_crossing": np.nan if contours is None else _mean(self_crossing(contours, codec)),
        "roughness": _mean(roughness(anonymized)),
        "head_roughness": _mean(roughness(head(anonymized))),
        "change_ratio": motion.ratio(motion.change(anonymized), motion.change(original)),
        "flicker": motion.flicker(anonymized),
        "leg_amplitude_ratio": motion.leg_amplitude_ratio(before, after),
        "period_ratio": motion.period_ratio(before, after),
        "distance_to_real": _mean(distance_to_real(anonymized, reference)),
    }


def _mean(values: np.ndarray) -> float:
    """Mean over the frames that could be measured, NaN if none could."""
    measured = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(measured.mean()) if len(measured) else float("nan")


def one_piece(silhouettes: Walk) -> Bool[np.ndarray, " T"]:
    """Whether each silhouette is one body.

    True if, after an opening by 3x3 pixels, one component holds 98 % of the area: a decoded
    outline is always connected, though perhaps by a thread that holds no body together.
    False for an empty frame.
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
      codec: one of `contour.CODECS`; padding is left out.
      pixels: least number of wrongly wound pixels of a contour that crosses itself.
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
      integers of shape (T, size, size); parts of a polygon outside the image are cut off.
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


def roughness(silhouettes: Walk) -> Float[np.ndarray, " T"]:
    """Length of each silhouette's outline over that of the same outline smoothed.

    Smoothed along its length by a Gaussian of 4 pixels, so that only detail finer than a
    limb counts; over the convex hull's length a stride would be as rough as a ragged edge.
    A disc has about 1.05, by the steps between its pixels. NaN for an empty frame.
    """
    points = contour.encode(silhouettes).reshape(-1, contour.POINTS, 2).astype(np.float64)
    curve = points[..., 0] + 1j * points[..., 1]
    length = _length(curve)
    per_pixel = 2 * np.pi * np.fft.fftfreq(contour.POINTS) * contour.POINTS
    frequency = per_pixel / np.where(length > 0, length, 1.0)[:, None]
    smooth = np.fft.ifft(np.fft.fft(curve) * np.exp(-0.5 * np.square(4.0 * frequency)))
    return np.where(length > 0, length / np.where(length > 0, _length(smooth), 1.0), np.nan)


def _length(curve: np.ndarray) -> np.ndarray:
    """Length of closed curves of complex points."""
    return np.abs(curve - np.roll(curve, 1, axis=-1)).sum(-1)


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


def distance_to_real(
    silhouettes: Walk, reference: UInt8[np.ndarray, "M 64 44"]
) -> Float[np.ndarray, " T"]:
    """1 - intersection over union of each aligned silhouette with the likest of a reference.

    1 for a frame that `gei.normalize` leaves out as empty; NaN without a reference.
    """
    if not len(reference):
        return np.full(len(silhouettes), np.nan)
    out = np.ones(len(silhouettes))
    aligned = [gei.normalize(mask[None]) for mask in silhouettes]
    filled = [len(frame) > 0 for frame in aligned]
    if any(filled):
        out[filled] = 1.0 - likeness.best_iou(np.concatenate(aligned), reference)
    return out


def xor_images(original: Walk, anonymized: Walk) -> Walk:
    """White (255) where two silhouettes differ, black where they agree (ST-GAN Fig. 18)."""
    return np.where(original.astype(bool) != anonymized.astype(bool), 255, 0).astype(np.uint8)


def xor_row(original: Walk, anonymized: Walk, frames: int = 8) -> UInt8[np.ndarray, "240 W"]:
    """XOR images of frames spread evenly over the walk, side by side."""
    images = xor_images(original, anonymized)
    chosen = np.linspace(0, len(images) - 1, min(frames, len(images))).round().astype(int)
    return np.hstack(images[chosen])


def _sheet(walks: Sequence[Walk]) -> UInt8[np.ndarray, "h w"]:
    """Silhouettes of walks, a row of ten evenly spaced frames for each."""
    rows = [walk[np.linspace(0, len(walk) - 1, 10).astype(int)] for walk in walks]
    return grids.grid(np.concatenate(rows), 10)
