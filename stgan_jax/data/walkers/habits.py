"""What a person keeps from recording to recording, beside body and manner.

Averages over time do not show it, but whoever reads numbers off walks does: how fast and how
steadily somebody walks, along which line, with a bag or without, and which of their clothes a
segmentation takes for the wall. How strong all this is has been set by `benchmarks/calibration.py`.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from stgan_jax.shapes import identity

# Cadence from walk to walk, as a share of it; phase along a walk, in cycles: median person, and
# how people differ, as the deviation of the logarithm.
_TEMPO, _UNEVEN, _PEOPLE = 0.017, 0.006, 0.5
_PATH = 2.4  # degrees, the deviation of people's lines of walking
_BAGS = 0.12  # share of people who carry a bag in normal walks
_WEARS = 2.2  # so many times as much do a person's clothes resemble the wall of a laboratory
_BLENDS = {"hair": 0.24, "shoe": 0.18, "skin": 0.10, "top": 0.05, "bottom": 0.05}


@dataclasses.dataclass(frozen=True)
class Habits:
    """One person's habits.

    Attributes:
      tempo: deviation of the cadence from walk to walk, as a share of it.
      uneven: deviation of the phase along a walk from even steps, cycles.
      path: degrees between the line that is to be walked and the one that is.
      bag: whether they carry their bag in normal walks.
      blends: garment -> how much it resembles the background, 0 to 1.
    """

    tempo: float
    uneven: float
    path: float
    bag: bool
    blends: Mapping[str, float]


def sample_habits(seed: int) -> Habits:
    """Draws a person's habits; those of the person whom `identity.sample_identity` draws."""
    rng = np.random.default_rng([seed, 0x4A])
    tempo, uneven = np.exp(_PEOPLE * rng.normal(size=2)) * (_TEMPO, _UNEVEN)
    path, bag = _PATH * np.clip(rng.normal(), -2.2, 2.2), bool(rng.random() < _BAGS)
    return Habits(float(tempo), float(uneven), float(path), bag, sample_blends(rng, _WEARS))


def sample_blends(rng: np.random.Generator, strength: float = 1.0) -> dict[str, float]:
    """How much each garment resembles the background, 0 to 0.9: in most people, little."""
    most = min(0.9, 0.6 * strength)
    return {n: float(min(most, rng.exponential(strength * m))) for n, m in _BLENDS.items()}


def carried(seed: int, condition: str) -> str:
    """The condition as it is seen: "bg" also in normal walks of whoever always has a bag."""
    return "bg" if condition == "nm" and sample_habits(seed).bag else condition


def motion(seed: int, condition: str, repetition: int, spread: float) -> identity.Motion:
    """A repetition's motion, see `identity.sample_motion`, at a tempo as steady as the person's."""
    drawn = identity.sample_motion(seed, condition, repetition, spread)
    number = identity.CONDITIONS.index(condition)
    rng = np.random.default_rng([seed, 0x4B, number, repetition])
    tempo = 1.0 + sample_habits(seed).tempo * rng.normal()
    return dataclasses.replace(drawn, tempo=float(tempo))


def phase(
    seed: int, motion: identity.Motion, condition: str, repetition: int, frames: int, fps: float
) -> Float[np.ndarray, " T"]:
    """Gait phase of consecutive frames in cycles, as unevenly as the person walks.

    Args:
      seed: decides the person.
      motion: the repetition's; its start and tempo count.
      condition: one of `identity.CONDITIONS`.
      repetition: number of the walk.
      frames: length T.
      fps: frames a second.
    """
    person = identity.sample_identity(seed)
    number = identity.CONDITIONS.index(condition)
    rng = np.random.default_rng([seed, 0x4C, number, repetition])
    seconds = np.arange(frames) / fps
    # Slow waves: a step takes about half a second.
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * seconds + rng.uniform())) for _ in range(4)
    ]
    off = sample_habits(seed).uneven * np.sqrt(0.5) * np.sum(waves, 0)
    return motion.start + person.cadence * motion.tempo * seconds + off
