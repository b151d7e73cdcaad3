"""Where people walk in the picture: what a video shows of a walk beside silhouettes.

Who walks by is as far from the camera as their feet are below the horizon. A camera that looks at
a level ground from `eye` statures above it shows a person of height h, feet `eye` x h below the
horizon, whatever its lens: both are fitted to the boxes of all people at once.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import savgol_filter

from stgan_jax.methods.api import Course

_SMOOTH = 1.1  # seconds, a gait cycle: a box's middle and feet swing with the legs
_FOCAL = 1.0  # focal length over the longer side of the picture, as phones and cameras have it
_APART = 0.3  # heights by which feet must come to lie apart for a camera to be fitted
_STEEPEST = 35.0  # degrees; what is fitted steeper is misfitted
_MIDDLE = 0.5  # of a stature: the part of a body that is looked at


def eye(boxes: Sequence[Float[np.ndarray, "_ 4"] | Int[np.ndarray, "_ 4"]]) -> float | None:
    """The camera's height above the ground in statures, None if the boxes do not tell.

    Args:
      boxes: of each person, (top, left, bottom, right) where they are seen whole.
    """
    known = np.concatenate([np.zeros((0, 4)), *boxes])
    if len(known) < 3:
        return None
    feet, height = known[:, 2], known[:, 2] - known[:, 0]
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
    boxes: Float[np.ndarray, "T 4"],
    fps: float,
    shape: tuple[int, int],
    above: float | None,
) -> Course:
    """What is known of a walk.

    Args:
      boxes: (top, left, bottom, right) in pixels in consecutive frames.
      fps: frames a second.
      shape: (height, width) of the picture.
      above: height of the camera in statures, see `eye`.
    """
    top, left, bottom, right = boxes.T
    window = min(len(boxes) - 1 + len(boxes) % 2, round(_SMOOTH * fps) // 2 * 2 + 1)
    if window < 3:
        return Course(fps)
    height = savgol_filter(bottom - top, window, 1)
    place = np.stack([bottom, (left + right) / 2], 1)
    steps = savgol_filter(place, window, 1, deriv=1, axis=0) / height[:, None]
    pitch = None
    if above is not None:
        slope = (above - _MIDDLE) * np.median(height) / (_FOCAL * max(shape))
        pitch = float(np.clip(np.degrees(np.arctan(slope)), 0.0, _STEEPEST))
    return Course(fps, steps, pitch)
