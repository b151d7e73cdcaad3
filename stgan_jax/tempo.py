"""Another cadence and beginning: a walk's pose codes at warped times; the person stays in place.

Note: the papers name cadence as future work. Where somebody is in each frame is not changed, only
which moment of their gait is drawn there. So feet slip by as much as the tempo changes, and do not
where a gait only begins at another moment.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Float

SHORTEST = 7  # frames a repetition, of a run at 10 frames a second
_LONGEST = 150  # and of a slow walk at 100 frames a second
_FINER = 1.015  # from one length that is tried to the next
_FADE = 8  # frames in which one repetition passes over into another


def factor(key: jax.Array, largest: float) -> float:
    """By how much a gait becomes faster: from 1 / (1 + largest) to 1 + largest.

    Uniform in the logarithm, 1 included: who knows how it is drawn then learns least. Away from 1
    the nearest cadence would be the wrong one, but people could be ruled out in the middle, too.

    Args:
      key: decides it.
      largest: relative change, at least 0; 0 always gives 1.
    """
    share = float(jax.random.uniform(jax.random.fold_in(key, 0x7E), minval=-1.0, maxval=1.0))
    return float((1.0 + largest) ** share)


def start(key: jax.Array) -> float:
    """By how much of a repetition a gait is ahead in the middle of a walk: from -0.5 to 0.5.

    Which moments of a gait a short recording holds tells it from others, whoever walks in it.

    Args:
      key: decides it, uniformly.
    """
    return float(jax.random.uniform(jax.random.fold_in(key, 0x5F), minval=-0.5, maxval=0.5))


def period(codes: Float[np.ndarray, "T C"]) -> float:
    """Frames after which pose codes repeat themselves, as a rule a cycle; 0 where none is clear.

    By how much a cycle and its double explain of any two repetitions in a row, beside a view that
    changes evenly: people need not keep step for longer. The more of a walk is seen, the less
    that share differs from a half where there is no gait.
    """
    frames, codes = len(codes), codes.astype(np.float64)
    longest = min(3 * frames / 4, _LONGEST)
    if longest < SHORTEST + 2:
        return 0.0
    lengths = SHORTEST * _FINER ** np.arange(np.log(longest / SHORTEST) // np.log(_FINER) + 1)
    alike = np.array([_explained(codes, length, round(2 * length)) for length in lengths])
    alike *= np.minimum(1.0, frames / (2 * lengths))  # less than two are easily explained
    inner = alike[1:-1]
    peaks = np.where((inner >= alike[:-2]) & (inner >= alike[2:]), inner, 0.0)
    best = 1 + int(np.argmax(peaks))
    if peaks.max() < 0.5 + 4.0 / frames:
        return 0.0
    # Two steps are a cycle, and legs change places in it: it explains more than they do.
    cycle = best + round(np.log(2.0) / np.log(_FINER)) + np.arange(-2, 3)
    cycle = cycle[cycle < len(lengths)]
    if len(cycle) and alike[cycle].max() >= 0.85 * alike[best]:
        longer = int(cycle[np.argmax(alike[cycle])])
        step, both = (
            _explained(codes, lengths[i], round(2 * lengths[longer])) for i in (best, longer)
        )
        best = longer if both > step else best
    near = lengths[best] * _FINER ** np.linspace(-3, 3, 7)
    bend, slope, _ = np.polyfit(
        np.arange(-3, 4), [_explained(codes, x, round(2 * lengths[best])) for x in near], 2
    )
    off = np.clip(-slope / (2 * bend), -3, 3) if bend < 0 else 0.0
    return float(lengths[best] * _FINER**off)


def _explained(codes: Float[np.ndarray, "T C"], length: float, window: int) -> float:
    """Share of so many frames in a row that a cycle of a length and its double explain."""
    window = min(window, len(codes))
    time = np.arange(window) - (window - 1) / 2
    waves = [wave(2 * np.pi * k * time / length) for k in (1, 2) for wave in (np.cos, np.sin)]
    axes, _ = np.linalg.qr(np.stack([np.ones(window), time, *waves], 1))
    rest = len(codes) - window
    starts = np.linspace(0, rest, 1 + int(np.ceil(rest / length))).round().astype(int)
    cut = codes[starts[:, None] + np.arange(window)]
    parts = np.sum(np.square(np.einsum("wd,kwc->kdc", axes, cut)), (0, 2))
    return float(parts[2:].sum() / max(np.sum(np.square(cut)) - parts[:2].sum(), 1e-9))


def times(
    frames: int, period: float, factor: float, start: float = 0.0
) -> Float[np.ndarray, "T 3"]:
    """For each frame the times to draw, two where one repetition passes over into another.

    Time runs `factor` times as fast and steps back by whole repetitions, so that it stays within
    half a repetition and `_FADE` frames of the true one. In its middle a walk is ahead by `start`
    repetitions.

    Returns:
      a time in frames, another one a repetition away, and its weight from 0 to 0.5.
    """
    here = np.arange(frames, dtype=np.float64)
    ahead = (factor - 1.0) * (here - (frames - 1) / 2) + start * period
    off = ahead / period - np.round(ahead / period)  # repetitions, from -0.5 to 0.5
    near = np.abs(factor - 1.0) * _FADE / 2 / period  # of the fade's first half
    weight = 0.5 * np.clip(1.0 - (0.5 - np.abs(off)) / max(near, 1e-9), 0.0, 1.0)
    one = here + off * period
    return np.stack([one, one - np.sign(off) * period, weight], 1)


_CHANGED: contextvars.ContextVar[list[bool] | None] = contextvars.ContextVar(
    "changed", default=None
)


@contextlib.contextmanager
def watched() -> Iterator[list[bool]]:
    """Yields a list that `retimed` adds to while the block lasts: whether it changed a walk."""
    changed: list[bool] = []
    token = _CHANGED.set(changed)
    try:
        yield changed
    finally:
        _CHANGED.reset(token)


def retimed(
    codes: Float[np.ndarray, "T C"], factor: float, start: float = 0.0
) -> Float[np.ndarray, "T C"]:
    """A whole walk's codes as if the gait were `factor` times as fast; unchanged without a gait.

    See `times`. Beyond both ends the walk goes on as it did a repetition before. At its own cadence
    it starts by whole frames, so that codes are those that were read.
    """
    length = period(codes)
    if (changed := _CHANGED.get()) is not None:
        changed.append(length > 0)
    if not length or (factor, start) == (1.0, 0.0):
        return codes
    if factor == 1.0:
        start = round(start * length) / length
    frames = len(codes)
    margin = int(np.ceil(length / 2 + _FADE)) + 1
    at = np.arange(-margin, frames + margin, dtype=np.float64)
    over, under = np.ceil((at - frames + 1) / length), np.floor(at / length)
    inside = at - length * (over.clip(0) + under.clip(None, 0))
    known = _at(codes, inside)
    # No jump at the ends: what the repetition is off by there fades out.
    for edge, order in ((margin, -1), (margin + frames - 1, 1)):
        beyond = np.arange(1, margin + 1)
        jump = codes[0 if order < 0 else -1] - _at(codes, inside[[edge + order]] - order)[0]
        known[edge + order * beyond] += np.clip(1 - beyond / _FADE, 0, 1)[:, None] * jump
    first, second, weight = times(frames, length, factor, start).T
    weight = weight[:, None]
    mixed = (1 - weight) * _at(known, first + margin) + weight * _at(known, second + margin)
    return mixed.astype(codes.dtype)


def _at(codes: np.ndarray, time: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N C"]:
    """Codes between frames."""
    time = np.clip(time, 0, len(codes) - 1)
    low = np.minimum(time.astype(int), max(len(codes) - 2, 0))
    part = (time - low)[:, None]
    return (1 - part) * codes[low] + part * codes[np.minimum(low + 1, len(codes) - 1)]
