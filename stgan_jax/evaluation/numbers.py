"""A walk as the few numbers of its gait: what somebody who measures published walks writes down.

Recognisers of time averages are blind to cadence, and sets of frames to their order; these
numbers are not. They come from a `ReadsGaits`, by default the package's own.
"""

import numpy as np
from jaxtyping import Float, Shaped

from stgan_jax.methods.api import ReadsGaits, Silhouettes
from stgan_jax.shapes import gait

# What is written down, and which columns of `of_walk` hold it. Note: stride and ground speed are
# not among them: silhouettes of a dataset, cropped and scaled, do not tell them.
NAMES = {
    "cadence": slice(0, 1),
    "steadiness": slice(1, 3),
    "asymmetry": slice(3, 5),
    "view": slice(5, 7),
    "turning": slice(7, 9),
    "swing": slice(9, 11),
    "bag": slice(11, 13),
    "coat": slice(13, 15),
    "pitch": slice(15, 17),
}
COUNT = 17
VERSION = 1  # to be raised when the same reading leads to other numbers
_SWING, _BAG, _COAT, _PITCH = 8, 9, 10, 11  # columns of `gait.pose_vector`


def of_walk(reader: ReadsGaits, silhouettes: Silhouettes) -> Float[np.ndarray, " 17"]:
    """Reads a walk and summarises what was read.

    Returns:
      cadence in cycles a frame; spread of the cadence along the walk, and of the phase as read of
      single frames about the smooth one, in cycles; how far left and right steps differ in phase,
      as the first harmonic (cos, sin) of that difference; the view as (cos, sin), what it turns
      by in degrees a frame, and its spread; mean and spread of the swing, of the bag's and the
      coat's number, and of the camera's pitch. All 0 for a walk without anybody.
    """
    there = silhouettes.any((1, 2))
    if np.count_nonzero(there) < 2:
        return np.zeros(COUNT, np.float32)
    read = reader.read_gait(silhouettes).astype(np.float64)
    smooth = gait.read(read)
    read, phase, when = read[there], smooth.phase[there], np.flatnonzero(there)
    once = read[:, 0] + 1j * read[:, 1]
    off = np.angle(once * np.exp(-2j * np.pi * phase)) / (2 * np.pi)
    step = np.exp(2j * np.pi * phase)
    uneven = 2 * np.mean(off * step)
    facing = read[:, 4] + 1j * read[:, 5]
    middle = np.mean(facing)
    about = np.degrees(np.angle(facing * np.conj(middle)))
    values = [
        _slope(when, phase), np.std(np.diff(phase) / np.diff(when)), np.std(off),
        uneven.real, uneven.imag,
        middle.real, middle.imag,
        _slope(when, about), np.std(about),
    ]  # fmt: skip
    for column in (_SWING, _BAG, _COAT, _PITCH):
        values += [read[:, column].mean(), read[:, column].std()]
    return np.array(values, np.float32)


def _slope(when: Shaped[np.ndarray, " N"], values: Float[np.ndarray, " N"]) -> float:
    """Of the straight line that fits best, N >= 2."""
    away = when - when.mean()
    return float(away @ values / (away @ away))
