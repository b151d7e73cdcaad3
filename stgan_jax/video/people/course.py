"""Where people walk in the picture: what a video shows of a walk beside silhouettes.

Who walks by is as far from the camera as their feet are below the horizon. A camera that looks at
a level ground from `eye` statures above it shows a person of height h, feet `eye` x h below the
horizon, whatever its lens: both are fitted to the boxes of all people at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from stgan_jax.methods.api import Course
from stgan_jax.shapes import drawing
from stgan_jax.video.people import linking, steady
from stgan_jax.video.people.sightings import CLEAR, MIDDLE, Sightings

_SMOOTH = 1.1  # seconds, a gait cycle: a box's middle and feet swing with the legs
_FOCAL = 1.0  # focal length over the longer side of the picture, as phones and cameras have it
_APART = 0.3  # heights by which feet must come to lie apart for a camera to be fitted
_STEEPEST = 35.0  # degrees; what is fitted steeper is misfitted
_BESIDE = 0.05  # of a height: an outline so near is beside another one
_TRUNK = [11, 12, 23, 24]  # BlazePose's left and right shoulder, left and right hip
_EARS, _ANKLES = [7, 8], [27, 28]
# Of the length from ears to hips: that from the ears to the top of the head, and how far above the
# ears an outline must end to end in a raised arm.
_CROWN, _ARM = 0.2, 0.4
_MEDIAN = 9  # sightings of which a length is the median; of three times as many, a line
_VISIBLE = 0.5  # mean visibility of these from which they are used
_STANDING = 0.75  # that of ankles; below the frame they are guessed to be inside, with less
_BROAD = 0.5  # of the trunk's length: how far right ones are from left ones, from the front
_HIDDEN = 0.1  # share of a box that is another's, who is nearer, from which somebody is hidden


class Way(NamedTuple):
    """Where somebody is in the picture, sighting by sighting.

    Attributes:
      places: (row, col) between the feet, and the height, in pixels, as they would be if the camera
        stood; what the frame cuts off, or somebody hides, is completed.
      whole: sightings in which nothing was to be completed.
      facing: see `Course`.
    """

    places: Float[np.ndarray, "T 3"]
    whole: Bool[np.ndarray, " T"]
    facing: Float[np.ndarray, " T"]


def ways(
    people: Sequence[Sightings],
    everybody: Sequence[Sightings],
    shape: tuple[int, int],
    camera: steady.Steady | None,
) -> list[Way]:
    """People's ways through a clip.

    The column is that of the centre of mass: legs and arms sway half as much about it as about the
    middle of a box.

    Args:
      people: those whose ways are wanted.
      everybody: who may be before them.
      shape: (height, width) of the frames.
      camera: how it moves; None if it stands.
    """
    others: dict[int, list[np.ndarray]] = defaultdict(list)
    for sightings in everybody:
        for frame, *box in sightings.table()[:, :5]:
            others[frame].append(np.array(box))
    out = []
    for sightings in people:
        table, joints = sightings.table(), _joints(sightings)
        there, middle, cut = _as_if_still(table, joints, shape, camera)
        boxes, frames = table[:, 1:5], table[:, 0]
        free = [not _is_hidden(box, others[n]) for n, box in zip(frames, boxes, strict=True)]
        known = np.array(free, bool) & (table[:, CLEAR] > 0)
        whole = known & ~cut.any(1)
        places = _uncut(frames, there, middle, cut, whole, joints.upper)
        if known.any():
            places = np.stack([np.interp(frames, frames[known], x[known]) for x in places.T], 1)
        out.append(Way(places, whole, joints.facing))
    return out


def _is_hidden(box: Int[np.ndarray, "4"], others: Sequence[Int[np.ndarray, "4"]]) -> bool:
    """Whether somebody of the others, who stands lower in the picture, is before a box.

    An outline that is hidden ends where the other one begins.
    """
    if not others:
        return False
    margin = _BESIDE * (box[2] - box[0])
    there = np.stack(others) + margin * np.array([-1, -1, 1, 1])
    share = linking.common(there, box.astype(float)) / np.prod(box[2:] - box[:2])
    return bool(np.any((share > _HIDDEN) & (there[:, 2] - margin > box[2])))


def seen_whole(
    sightings: Sightings, shape: tuple[int, int], camera: steady.Steady | None
) -> Float[np.ndarray, "N 3"]:
    """Places for `eye`, see `Way`: those where a silhouette is clear and the frame cuts nothing."""
    table = sightings.table()
    boxes, middle, cut = _as_if_still(table, _joints(sightings), shape, camera)
    top, _, bottom, _ = boxes.T
    places = np.stack([bottom, middle, bottom - top], 1)
    return places[(table[:, CLEAR] > 0) & ~cut.any(1)]


class _Joints(NamedTuple):
    """What joints tell of each sighting; NaN where they tell nothing.

    Attributes:
      upper: pixels from the ears to the hips.
      top: row of the head's top, if the outline goes on above it, as a raised arm does.
      ankles: row of the ankles, if they are visible.
      facing: see `Course`.
    """

    upper: Float[np.ndarray, " T"]
    top: Float[np.ndarray, " T"]
    ankles: Float[np.ndarray, " T"]
    facing: Float[np.ndarray, " T"]


def _joints(sightings: Sightings) -> _Joints:
    """Sizes and directions by joints: a network that knows bodies tells left from right.

    And so front from back, which a silhouette hardly shows.
    """
    out = _Joints(*np.full((4, len(sightings)), np.nan))
    for i, sighting in enumerate(sightings):
        joints = sighting.joints
        if joints is None or not sighting.clear or joints[_TRUNK, 2].mean() < _VISIBLE:
            continue
        rows, columns = joints[_TRUNK, :2].T
        ears, length = joints[_EARS, 0].mean(), (rows[2:] - rows[:2]).mean()
        if length > 0:
            out.upper[i] = upper = rows[2:].mean() - ears
            if ears - sighting.box[0] > _ARM * upper:
                out.top[i] = ears - _CROWN * upper
            if joints[_ANKLES, 2].mean() > _STANDING:
                out.ankles[i] = joints[_ANKLES, 0].mean()
            out.facing[i] = (columns[::2] - columns[1::2]).mean() / (_BROAD * length)
    return out._replace(facing=np.clip(out.facing, -1.0, 1.0))


def _as_if_still(
    table: Int[np.ndarray, "T 12"],
    joints: _Joints,
    shape: tuple[int, int],
    camera: steady.Steady | None,
) -> tuple[Float[np.ndarray, "T 4"], Float[np.ndarray, " T"], Bool[np.ndarray, "T 4"]]:
    """Boxes and columns of centres as if the camera stood; at which sides the frame cuts them.

    A raised arm is not in the boxes, and soles below the frame do not count.
    """
    boxes = table[:, 1:5]
    body = boxes.astype(np.float64)
    body[:, 0] = np.where(np.isnan(joints.top), body[:, 0], joints.top)
    there = steady.to(steady.views(table, camera), body)
    wide = np.maximum(boxes[:, 3] - boxes[:, 1], 1)
    middle = there[:, 1] + (table[:, MIDDLE] - boxes[:, 1]) * (there[:, 3] - there[:, 1]) / wide
    cut = np.concatenate([boxes[:, :2] <= 0, boxes[:, 2:] >= np.array(shape)], 1)
    cut[:, 2] &= ~(joints.ankles < shape[0])
    return there, middle, cut


def _uncut(
    frames: Int[np.ndarray, " T"],
    boxes: Float[np.ndarray, "T 4"],
    middle: Float[np.ndarray, " T"],
    cut: Bool[np.ndarray, "T 4"],
    whole: Bool[np.ndarray, " T"],
    uppers: Float[np.ndarray, " T"],
) -> Float[np.ndarray, "T 3"]:
    """Places, see `Way`, as they would be in a wider frame: with the size of those that are whole.

    Of who is cut off below alone, it grows as what is above the hips does.

    Args:
      frames: numbers of the sightings' frames, of which some may be missing.
      boxes: one person's.
      middle: column of the centre of mass of what is inside the frame.
      cut: at which sides (top, left, bottom, right) the frame cuts each box.
      whole: which boxes show all of the person.
      uppers: from the ears to the hips, NaN where it is unknown.
    """
    top, left, bottom, right = boxes.T
    height = bottom - top
    if whole.any():
        tall = np.interp(frames, frames[whole], height[whole])
        aside = cut[:, 1] | cut[:, 3]  # a head or a foot may be outside
        below = cut[:, 2] & ~cut[:, 0] & ~aside
        known = ~np.isnan(uppers)
        if (known & whole).any():
            upper = median_filter(np.interp(frames, frames[known], uppers[known]), _MEDIAN)
            if len(upper) >= 3 * _MEDIAN:
                upper = savgol_filter(upper, 3 * _MEDIAN, 1)
            grown = upper / np.interp(frames, frames[whole], upper[whole])
            tall = np.where(below, tall * grown, tall)
        before, after = (
            tall * np.median((abs(middle - side) / height)[whole]) for side in (left, right)
        )
        bottom = np.where(aside, np.interp(frames, frames[whole], bottom[whole]), bottom)
        bottom = np.where(below, top + tall, bottom)
        height = np.where(cut.any(1), tall, height)
        middle = np.where(cut[:, 1] & ~cut[:, 3], right - after, middle)
        middle = np.where(cut[:, 3] & ~cut[:, 1], left + before, middle)
    return np.stack([bottom, middle, height], 1)


def eye(places: Sequence[Float[np.ndarray, "_ 3"]]) -> float | None:
    """The camera's height above the ground in statures, None if the places do not tell.

    Args:
      places: each person's places, see `Way`, where all of them is seen.
    """
    known = np.concatenate([np.zeros((0, 3)), *places])
    if len(known) < 3:
        return None
    feet, _, height = known.T
    low, high = np.quantile(feet, (0.05, 0.95))
    if high - low < _APART * np.median(height):
        return None
    weights, slope = np.ones(len(known)), 0.0
    for _ in range(10):  # least squares in which outliers count little
        slope, level = np.polyfit(feet, height, 1, w=weights)
        off = np.abs(height - slope * feet - level) / height
        weights = 1.0 / (1.0 + np.square(off / 0.05))
    return float(1.0 / slope) if slope > 0.05 else None


def track(
    places: Float[np.ndarray, "T 3"],
    fps: float,
    shape: tuple[int, int],
    above: float | None,
) -> Course:
    """What is known of a walk.

    Args:
      places: in consecutive frames, see `Way`.
      fps: frames a second.
      shape: (height, width) of the picture.
      above: height of the camera in statures, see `eye`.
    """
    window = _window(len(places), fps)
    if window < 3:
        return Course(fps)
    height = smoothed(places, fps)[:, 2]
    steps = savgol_filter(places[:, :2], window, 1, deriv=1, axis=0) / height[:, None]
    pitch, near = None, float(np.median(height)) / (_FOCAL * max(shape))
    if above is not None:
        slope = (above - drawing.MIDDLE) * near
        pitch = float(np.clip(np.degrees(np.arctan(slope)), 0.0, _STEEPEST))
    return Course(fps, steps, pitch, near)


def smoothed(places: Float[np.ndarray, "T 3"], fps: float) -> Float[np.ndarray, "T 3"]:
    """The way on which the steps of `track` lead: a body that walks so stands on its feet."""
    window = _window(len(places), fps)
    return places if window < 3 else savgol_filter(places, window, 1, axis=0)


def around(fps: float) -> int:
    """How many frames before and after one its place depends on."""
    return _window(10**9, fps) // 2


def _window(frames: int, fps: float) -> int:
    return min(frames - 1 + frames % 2, round(_SMOOTH * fps) // 2 * 2 + 1)
