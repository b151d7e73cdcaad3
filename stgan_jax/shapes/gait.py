"""A gait as few numbers: its moment, the view, the swing. All of a walk that is left to publish.

Not in the papers. By a walk's pose codes, however few, two results of one recording are recognised
among others; by these numbers, smoothed over a second or so and moved, they are not.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Complex, Float, Shaped
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage, signal

SIZE = 12  # numbers of `pose_vector`
_NEAR = 12.0  # frames, the deviation of the weights of what is near a frame, for its phase
_LASTING = 20.0  # and for view and swing
_ANGLES = np.linspace(-np.pi, np.pi, 48, endpoint=False)
_STEP = 2 * np.pi / 48
_CADENCES = np.arange(402) / 2009  # cycles a frame, up to those of a run at 10 frames a second
_USUAL = 80  # of them, if no phase is read: a cycle a second at 25 frames a second
_SLOWEST = 0.012  # slower ones look like standing in so few frames: a stroll at 60 a second
_JUMP, _JUMPS = 0.05, 13  # cycles; frames around it that are drawn anew
_CERTAIN = 1.2  # of 2: strength with which a phase is read of somebody who stands in mid-step
_WALKS = 0.85  # of a step and more is one
_STEPS = 0.75  # of one: whoever swings the legs so far does not stand
_SURE = 0.9  # that there is a bag or a coat; one walk misread in both results links them
_STEEPEST = 25.0  # degrees that `pose_vector` is in units of
_PITCHES = 6.0, 16.0, 26.0  # degrees; which of them, a walk is seldom misread by


def pose_vector(
    phase: Float[np.ndarray, "*T"],
    view: Float[np.ndarray, "*T"],
    swing: Float[np.ndarray, "*T"] | float,
    condition: str,
    pitch: Float[np.ndarray, "*T"] | float,
) -> Float[np.ndarray, "T 12"]:
    """A walker's pose as numbers of about one.

    Args:
      phase: cycles from the right heel's strike.
      view: degrees.
      swing: swing of the legs, 1 for a whole one.
      condition: "nm", "bg" (bag) or "cl" (coat).
      pitch: degrees by which the camera looks down.

    Returns:
      phase and its double as (cos, sin), view as (cos, sin, cos 2v, sin 2v), swing, bag, coat,
      pitch.
    """
    turn, radians = 2 * np.pi * np.asarray(phase), np.radians(view)
    rest = [swing, float(condition == "bg"), float(condition == "cl"), pitch / _STEEPEST]
    waves = [f(a) for a in (turn, 2 * turn, radians, 2 * radians) for f in (np.cos, np.sin)]
    columns = np.broadcast_arrays(*waves, *rest)
    return np.stack(columns, -1).astype(np.float32)


class Gait(NamedTuple):
    """A whole walk; see `pose_vector` for all but the shapes.

    Attributes:
      phase, view, swing: one for each frame, the first two going on beyond a turn.
      condition: one for the whole walk.
      pitch: one for the whole walk.
    """

    phase: Float[np.ndarray, " T"]
    view: Float[np.ndarray, " T"]
    swing: Float[np.ndarray, " T"]
    condition: str
    pitch: float

    def moved(self, factor: float, start: float, turn: float) -> "Gait":
        """Ahead by `start` cycles in its middle, `factor` times as fast, turned by degrees."""
        middle = self.phase[len(self.phase) // 2]
        phase = middle + factor * (self.phase - middle) + start
        return self._replace(phase=phase, view=self.view + turn)

    def vector(self) -> Float[np.ndarray, "T 12"]:
        """As `pose_vector` has it."""
        return pose_vector(self.phase, self.view, self.swing, self.condition, self.pitch)


def read(numbers: Float[np.ndarray, "T 12"]) -> Gait:
    """The walk that a network reads frame by frame (`methods.retarget.networks.GaitReader`).

    Steps come evenly within a second or so, slower or faster before and after, or not at all where
    somebody stands; she has a bag or a coat throughout or not; and nobody takes more than a whole
    step. Phase and view are those whose numbers are nearest to what is read: where front and back,
    or left and right, look alike, only the doubles tell, and the mean of both would be neither.
    """
    numbers = numbers.astype(np.float64)
    waves = numbers[:, [0, 2, 4, 6]] + 1j * numbers[:, [1, 3, 5, 7]]
    bag, coat, pitch = numbers[:, 9:12].mean(0)
    condition = "cl" if coat > max(bag, _SURE) else "bg" if bag > _SURE else "nm"
    view = _nearest(_smooth(waves[:, 2]), _smooth(waves[:, 3]))
    swing = np.clip(_smooth(numbers[:, 8]) / _WALKS, 0.0, 1.0)
    return Gait(
        _phase(waves[:, 0], waves[:, 1], swing > _STEPS),
        np.degrees(np.unwrap(view)),
        swing,
        condition,
        float(min(_PITCHES, key=lambda known: abs(known - _STEEPEST * pitch))),
    )


def _around(deviation: float) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Frames from one on, and how much they count."""
    frames = np.arange(-int(3 * deviation), int(3 * deviation) + 1.0)
    return frames, np.exp(-0.5 * np.square(frames / deviation))


def _smooth(values: Shaped[np.ndarray, " T"]) -> Shaped[np.ndarray, " T"]:
    _, counts = _around(_LASTING)
    total = signal.convolve(np.ones(len(values)), counts, "same")
    return signal.convolve(values, counts, "same") / total


def _nearest(
    once: Complex[np.ndarray, "*N"], twice: Complex[np.ndarray, "*N"]
) -> Float[np.ndarray, "*N"]:
    """Angles whose exp(i a) and exp(2 i a) are nearest to both numbers, in radians."""
    turns = np.exp(-1j * _ANGLES)
    alike = (once[..., None] * turns).real + (twice[..., None] * turns**2).real
    angle = _ANGLES[alike.argmax(-1)]
    for _ in range(3):  # Newton's, from within half a step of the grid
        one, two = once * np.exp(-1j * angle), twice * np.exp(-2j * angle)
        bend = np.maximum(one.real + 4 * two.real, 1e-9)
        angle = angle + np.clip((one.imag + 2 * two.imag) / bend, -_STEP, _STEP)
    return angle


def _phase(
    once: Complex[np.ndarray, " T"], twice: Complex[np.ndarray, " T"], walks: Bool[np.ndarray, " T"]
) -> Float[np.ndarray, " T"]:
    """Cycles, by the cadence that explains most of what is read around each frame.

    Where legs are hidden nothing is read, which no cadence at all explains best; where one is taken
    for the other a phase does not follow from the one before. Whoever `walks` goes on there.
    """
    away, counts = _around(_NEAR)
    waves = np.exp(-2j * np.pi * away[:, None] * _CADENCES)
    near = [sliding_window_view(np.pad(x, len(away) // 2), len(away)) for x in (once, twice)]
    angles, best, every = [], [], np.zeros(len(_CADENCES))
    for i in range(0, len(once), 512):
        one, two = (x[i : i + 512] * counts for x in near)
        one, two = one @ waves, two @ waves**2
        fits = np.abs(one) + np.abs(two)
        here = np.arange(len(one)), fits.argmax(1)
        angles.append(_nearest(one[here], two[here]))
        best.append(np.stack([_CADENCES[here[1]], fits[here]]))
        every += fits.sum(0)
    phase = np.unwrap(np.concatenate(angles)) / (2 * np.pi)
    cadence, fit = np.concatenate(best, 1)
    fit /= signal.convolve(np.ones(len(phase)), counts, "same")
    jumps = np.abs(np.diff(phase) - cadence[1:]) > _JUMP
    astray = ndimage.maximum_filter1d(np.pad(jumps, (1, 0)), _JUMPS)
    hidden = walks & (astray | ((cadence < _SLOWEST) & (fit < _CERTAIN)))
    return _going_on(phase, cadence, hidden, every) if hidden.any() else phase


def _going_on(
    phase: Float[np.ndarray, " T"],
    cadence: Float[np.ndarray, " T"],
    hidden: Bool[np.ndarray, " T"],
    fits: Float[np.ndarray, " N"],
) -> Float[np.ndarray, " T"]:
    """Phases that go on where they are `hidden`, as before and after or as fits the whole walk."""
    here, known = np.arange(len(phase)), np.flatnonzero(~hidden)
    if not len(known):
        peaks, _ = signal.find_peaks(fits, prominence=0.03 * fits.max())
        peaks = peaks[_CADENCES[peaks] > _SLOWEST]
        usual = peaks[fits[peaks].argmax()] if len(peaks) else _USUAL
        return phase[0] + _CADENCES[usual] * here
    ahead = np.cumsum(np.interp(here, known, cadence[known]))
    return ahead + np.interp(here, known, np.unwrap((phase - ahead)[known], period=1.0))


def factor(key: jax.Array, largest: float) -> float:
    """Factor by which a gait becomes faster: from 1 / (1 + largest) to 1 + largest.

    Uniform in the logarithm, 1 included: whoever knows how it is drawn then learns least. Away
    from 1 the nearest cadence would be the wrong one, but people could be ruled out in the
    middle, too.
    Note: the papers name cadence as future work.

    Args:
      key: decides it.
      largest: relative change, at least 0; 0 always gives 1.
    """
    share = float(jax.random.uniform(jax.random.fold_in(key, 0x7E), minval=-1.0, maxval=1.0))
    return float((1.0 + largest) ** share)


def start(key: jax.Array) -> float:
    """Share of a cycle by which a gait is ahead in the middle of a walk: from -0.5 to 0.5.

    Which moments of a gait a short recording holds tells it from others, whoever walks in it.

    Args:
      key: decides it, uniformly.
    """
    return float(jax.random.uniform(jax.random.fold_in(key, 0x5F), minval=-0.5, maxval=0.5))
