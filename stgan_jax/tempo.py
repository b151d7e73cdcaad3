"""Cadence: whether a walk has one, and which other one and which beginning a key gives it.

Note: the papers name cadence as future work.
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


_FOUND: contextvars.ContextVar[list[bool] | None] = contextvars.ContextVar("found", default=None)


@contextlib.contextmanager
def watched() -> Iterator[list[bool]]:
    """Yields a list that `found` adds what it finds to while the block lasts."""
    each: list[bool] = []
    token = _FOUND.set(each)
    try:
        yield each
    finally:
        _FOUND.reset(token)


def found(codes: Float[np.ndarray, "T C"]) -> bool:
    """Whether a walk shows a `period`."""
    there = period(codes) > 0
    if (each := _FOUND.get()) is not None:
        each.append(there)
    return there
