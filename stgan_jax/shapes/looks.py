"""What people wear and how they do their hair, as far as outlines show it.

It is no part of the numbers that are read off a walk (`identity.vector`).
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Clothes and hair; the defaults are plain ones, lengths in statures.

    Attributes:
      trousers, sleeves: how loose they are, 0 tight, 1 wide.
      sole: thickness of the shoes' soles.
      jacket: how far a jacket hangs down over the thighs, as a share of them; 0 for none.
      skirt: how far a skirt hangs down, as a share of the thighs; 0 for trousers.
      flare: how wide the skirt is, 0 to 1.
      curls: how far hair stands off the head.
      knot: 0 for none, 1 a bun, 2 a pony tail.
      cap: whether there is one.
    """

    trousers: float = 0.4
    sleeves: float = 0.4
    sole: float = 0.004
    jacket: float = 0.0
    skirt: float = 0.0
    flare: float = 0.0
    curls: float = 0.0
    knot: int = 0
    cap: bool = False


PLAIN = Appearance()


def sample_look(seed: int, long_hair: bool) -> Appearance:
    """Draws what somebody wears, a pure function of its arguments.

    Args:
      seed: decides it.
      long_hair: whether the hair is long, with which knots and skirts are more usual.
    """
    rng = np.random.default_rng([seed, 0x10])
    trousers, sleeves, flare, sole = rng.uniform(size=4)
    jacket = rng.uniform(0.1, 0.4) if rng.random() < 0.4 else 0.0
    skirt = rng.uniform(0.55, 1.15) if rng.random() < (0.3 if long_hair else 0.03) else 0.0
    curls = rng.uniform(0.004, 0.018) if rng.random() < 0.2 else 0.0
    knot = int(rng.choice(3, p=[0.4, 0.2, 0.4] if long_hair else [0.97, 0.02, 0.01]))
    cap = bool(rng.random() < 0.1)
    return Appearance(
        float(trousers), float(sleeves), 0.002 + 0.008 * float(sole), jacket, skirt,
        float(flare), curls, knot, cap,
    )  # fmt: skip
