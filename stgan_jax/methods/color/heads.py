"""A head that is nobody's: hair and skin in two mean colours of a person, and a face like all."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

PATCHES = ("hair", "head", "neck", "hood")  # which take colours from a head
# Where colours are taken: (along, degrees from the middle of the front), from and to.
_HAIR = (
    ("hair", (0.0, 0.6), (110.0, 180.0)),
    ("head", (0.03, 0.14), (0.0, 60.0)),
    ("hair", (0.0, 1.0), (0.0, 180.0)),
)
_SKIN = (
    ("head", (0.45, 0.85), (0.0, 50.0)),
    ("neck", (0.0, 1.0), (0.0, 90.0)),
    ("hand_L", (0.0, 1.0), (0.0, 180.0)),
    ("hand_R", (0.0, 1.0), (0.0, 180.0)),
    ("head", (0.0, 1.0), (0.0, 180.0)),
)
_LEAST = 0.02  # of these places that somebody must have seen
# Down to where hair covers a head, along, so many degrees from the middle of the front.
_HAIRLINE = (0, 45, 70, 100, 180), (0.15, 0.16, 0.30, 0.80, 0.95)
_SOFT = 0.04  # along, over which hair ends
# What is darker in every face: (along, degrees aside, deviation of both, share of the light).
_FEATURES = (
    (0.50, 22.0, 0.025, 6.0, 0.55),  # eyes
    (0.42, 22.0, 0.015, 11.0, 0.30),  # brows
    (0.66, 0.0, 0.020, 7.0, 0.20),  # below the nose
    (0.78, 0.0, 0.015, 11.0, 0.30),  # mouth
)


class Seen(NamedTuple):
    """What frames show of a patch.

    Attributes:
      texture: the patch, what nobody saw filled in.
      known: what somebody did see.
    """

    texture: UInt8[np.ndarray, "rows columns 3"]
    known: Bool[np.ndarray, "rows columns"]


def nobodys(patches: Mapping[str, Seen], face: str) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Textures of a head that hold no more of a person than two mean colours.

    Args:
      patches: all of `shapes.surface`, by their names.
      face: "blur"; or "fill", for one colour.

    Returns:
      textures of `PATCHES`.
    """
    hair, skin = _mean(patches, _HAIR), _mean(patches, _SKIN)
    known = [color for color in (hair, skin) if color is not None]
    usual = np.mean(known, axis=0) if known else patches["head"].texture.mean((0, 1))
    hair, skin = (usual if face == "fill" or one is None else one for one in (hair, skin))
    along, aside = _places(patches["head"])
    light = np.ones(patches["head"].known.shape)
    if face != "fill":
        for row, degrees, tall, wide, share in _FEATURES:
            away = np.square((along - row) / tall) + np.square((aside - degrees) / wide)
            light *= 1.0 - share * np.exp(-0.5 * away)
    below = np.clip(0.5 + (along - np.interp(aside, *_HAIRLINE)) / _SOFT, 0.0, 1.0)
    head = hair + below[..., None] * (skin * light[..., None] - hair)
    whole = {"hair": hair, "head": head, "neck": skin, "hood": hair}
    return {
        name: np.broadcast_to(np.rint(whole[name]), patches[name].texture.shape).astype(np.uint8)
        for name in PATCHES
    }


def _places(
    patch: Seen,
) -> tuple[Float[np.ndarray, "rows 1"], Float[np.ndarray, " columns"]]:
    """Of texels: along the patch, and degrees from the middle of the front, 0 to 180."""
    rows, columns = patch.known.shape
    turn = 360 * (np.arange(columns) + 0.5) / columns
    return (np.arange(rows)[:, None] + 0.5) / rows, np.minimum(turn, 360 - turn)


def _mean(
    patches: Mapping[str, Seen],
    places: tuple[tuple[str, tuple[float, float], tuple[float, float]], ...],
) -> Float[np.ndarray, "3"] | None:
    """The mean colour at the first of some places that somebody saw; None if nobody saw any."""
    for name, (top, bottom), (least, most) in places:
        along, aside = _places(patches[name])
        there = (along >= top) & (along <= bottom) & (aside >= least) & (aside <= most)
        at = there & patches[name].known
        if at.sum() > _LEAST * there.sum():
            return patches[name].texture[at].mean(0)
    return None
