"""A gait as few numbers: its moment, the view, the swing. All of a walk that is left to publish.

Not in the papers. By a walk's pose codes, however few, two results of one recording are recognised
among others; by these numbers, smoothed over a second or so and moved, they are not.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Complex, Float, Shaped
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage, signal

from stgan_jax.shapes import drawing

SIZE = 12  # numbers of `pose_vector`
# Which change their sign in a mirror: the other leg's phase, the other side's view.
SIDED = np.isin(np.arange(SIZE), (0, 1, 5, 7))
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
_USUAL_PACE = 0.75  # of one's median cadence; whoever goes slower than that slows down
_STANDS = 0.3  # of a step: whoever swings the legs less only shuffles on the spot
_FACES = 0.3  # of `facing`, from which joints tell front from back
_KNOWN = 0.2  # share of the frames around one in which they must be known
_STEEPEST = 25.0  # degrees that `pose_vector` is in units of
LEVEL = 6.0  # degrees by which cameras look down that look level
_PITCHES = LEVEL, 16.0, 26.0  # which of them, a walk is seldom misread by


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
      near: 1 / the camera's distance in statures, see `drawing.project`; 0 if it is far away.
    """

    phase: Float[np.ndarray, " T"]
    view: Float[np.ndarray, " T"]
    swing: Float[np.ndarray, " T"]
    condition: str
    pitch: float
    near: float = 0.0

    @property
    def feet_pitch(self) -> float:
        """Degrees by which the camera looks down at the feet."""
        slope = np.sin(np.radians(self.pitch)) + drawing.MIDDLE * self.near
        return float(np.degrees(np.arcsin(np.clip(slope, -1.0, 1.0))))

    def turned(self, degrees: float) -> "Gait":
        """The same gait from a camera further round the walker."""
        return self._replace(view=self.view + degrees)

    def faced(self, facing: Float[np.ndarray, " T"]) -> "Gait":
        """The walk seen from the front or from behind as joints tell, see `Course.facing`.

        Of a silhouette, a network may take the one for the other. Where joints tell little, as
        from the side, the view stays.
        """
        known = ~np.isnan(facing)
        share = np.maximum(smoothed(known * 1.0), 1e-9)
        mean = smoothed(np.where(known, facing, 0.0)) / share
        wrong = (mean * np.cos(np.radians(self.view)) < 0) & (np.abs(mean) > _FACES)
        wrong &= share > _KNOWN
        radians = np.radians(np.where(wrong, 180.0 - self.view, self.view))
        return self._replace(view=np.degrees(np.unwrap(radians)))

    def in_cadence(self, cadence: Float[np.ndarray, " T"] | float, start: float) -> "Gait":
        """The same way at another cadence, in cycles a frame: phases begin at `start`.

        A single cadence is kept by whoever walks as fast as usual, and slows down to none with
        whoever slows down (`pace`): how fast somebody's steps follow each other does not show.
        """
        rates = cadence * self.pace() if np.ndim(cadence) == 0 else cadence
        steps = np.broadcast_to(rates, self.phase.shape)
        return self._replace(phase=start + np.cumsum(steps) - steps[0])

    def pace(self) -> Float[np.ndarray, " T"]:
        """How fast a person goes beside their own usual, 0 to 1; 0 where they stand.

        1 from `_USUAL_PACE` of the median cadence on, so that an even walk has none but ones.
        """
        rates, walks = self._steps()
        if not walks.any():
            return np.zeros(len(rates))
        return np.clip(rates / (_USUAL_PACE * np.median(rates[walks])), 0.0, 1.0)

    def _steps(self) -> tuple[Float[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        """Cycles a frame, and in which frames somebody walks."""
        rates = np.gradient(self.phase) if len(self.phase) > 1 else np.zeros(1)
        return rates, (rates > _SLOWEST) & (self.swing > _STANDS)

    def vector(self) -> Float[np.ndarray, "T 12"]:
        """As `pose_vector` has it."""
        return pose_vector(self.phase, self.view, self.swing, self.condition, self.pitch)


def past(degrees: float, frames: int) -> Gait:
    """A walk past a camera that stands at so many degrees, as datasets name them, in even steps.

    All that is left of who was recorded is the camera's place and how long it took. How far
    somebody's own line is from the one that all walk is theirs, and what a network misreads (the
    other side, a stop, a steeper camera) it misreads of the same people again.
    """
    phase = _CADENCES[_USUAL] * np.arange(frames)
    return Gait(phase, np.full(frames, float(degrees)), np.ones(frames), "nm", LEVEL)


def read(
    numbers: Float[np.ndarray, "T 12"],
    variances: Float[np.ndarray, "T 12"] | None = None,
    smooth: bool = True,
) -> Gait:
    """The walk that a network reads frame by frame (`methods.retarget.networks.WalkReader`).

    Steps come evenly within a second or so, slower or faster before and after, or not at all where
    somebody stands; she has a bag or a coat throughout or not; and nobody takes more than a whole
    step. Phase and view are those whose numbers are nearest to what is read: where front and back,
    or left and right, look alike, only the doubles tell, and the mean of both would be neither.

    Args:
      numbers: a row of `pose_vector` for each frame.
      variances: how uncertain each is; bag, coat and pitch are those of the certain frames.
      smooth: False takes the phase of each frame as it is read.
    """
    numbers = numbers.astype(np.float64)
    waves = numbers[:, [0, 2, 4, 6]] + 1j * numbers[:, [1, 3, 5, 7]]
    counts = np.ones((len(numbers), 3)) if variances is None else 1.0 / variances[:, 9:12]
    bag, coat, pitch = np.sum(counts * numbers[:, 9:12], 0) / counts.sum(0)
    condition = "cl" if coat > max(bag, _SURE) else "bg" if bag > _SURE else "nm"
    view = _nearest(smoothed(waves[:, 2]), smoothed(waves[:, 3]))
    swing = np.clip(smoothed(numbers[:, 8]) / _WALKS, 0.0, 1.0)
    if smooth:
        phase = _phase(waves[:, 0], waves[:, 1], swing > _STEPS)
    else:
        phase = np.unwrap(_nearest(waves[:, 0], waves[:, 1])) / (2 * np.pi)
    return Gait(
        phase,
        np.degrees(np.unwrap(view)),
        swing,
        condition,
        float(min(_PITCHES, key=lambda known: abs(known - _STEEPEST * pitch))),
    )


def _around(deviation: float) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Frames from one on, and how much they count."""
    frames = np.arange(-int(3 * deviation), int(3 * deviation) + 1.0)
    return frames, np.exp(-0.5 * np.square(frames / deviation))


def smoothed(values: Shaped[np.ndarray, " T"]) -> Shaped[np.ndarray, " T"]:
    """The mean over a second or so around each frame, as views and swings change."""
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
    waves, doubles = _waves()
    near = [
        sliding_window_view(np.pad(x.astype(np.complex64), len(away) // 2), len(away))
        for x in (once, twice)
    ]
    angles, best, every = [], [], np.zeros(len(_CADENCES))
    for i in range(0, len(once), 512):
        one, two = near[0][i : i + 512] @ waves, near[1][i : i + 512] @ doubles
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


@functools.cache
def _waves() -> tuple[Complex[np.ndarray, "N K"], Complex[np.ndarray, "N K"]]:
    """exp(-i a) and exp(-2 i a) of every cadence around a frame, each frame by its weight."""
    away, counts = _around(_NEAR)
    waves = np.exp(-2j * np.pi * away[:, None] * _CADENCES)
    once, twice = ((counts[:, None] * x).astype(np.complex64) for x in (waves, waves**2))
    return once, twice


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


def start(key: jax.Array) -> float:
    """Phase at which a published gait begins, in cycles, from -0.5 to 0.5.

    Which moments of a gait a short recording holds tells it from others, whoever walks in it.

    Args:
      key: decides it, uniformly.
    """
    return float(jax.random.uniform(jax.random.fold_in(key, 0x5F), minval=-0.5, maxval=0.5))
