"""A head that is nobody's: hair and skin in two mean colours of a person, and a face like all."""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

PATCHES = ("hair", "head", "neck", "hood")  # which take colours from a head
# Where colours are taken: (along, degrees from the middle of the front), from and to.
_TOP = (
    ("hair", (0.0, 0.5), (110.0, 180.0)),
    ("head", (0.03, 0.14), (0.0, 60.0)),
    ("hair", (0.0, 1.0), (0.0, 180.0)),
)
_UNDER_HAT = (("hair", (0.55, 0.75), (100.0, 180.0)),)
_FACE = (("head", (0.45, 0.85), (0.0, 50.0)),)
_SKIN = (  # where bodies fit so badly that it may be cloth or shadow
    ("neck", (0.0, 1.0), (0.0, 90.0)),
    ("hand_L", (0.0, 1.0), (0.0, 180.0)),
    ("hand_R", (0.0, 1.0), (0.0, 180.0)),
    ("head", (0.0, 1.0), (0.0, 180.0)),
)
_LEAST = 0.02  # of these places that somebody must have seen
# Lab colours, from and to, of hair and of skin in most light; and what is taken where neither is.
_Tones = tuple[tuple[float, float, float], tuple[float, float, float]]
_HAIR_TONES: _Tones = (0.0, -8.0, -10.0), (100.0, 24.0, 36.0)
_SKIN_TONES: _Tones = (30.0, -2.0, -4.0), (90.0, 28.0, 34.0)
_USUAL_HAIR, _USUAL_SKIN = np.array([58.0, 45.0, 38.0]), np.array([176.0, 134.0, 110.0])
# Down to where hair covers a head, along, so many degrees from the middle of the front; what hangs
# lower than heads, at the end, is hair.
_HAIRLINE = (0, 45, 68, 84, 104, 120), (0.15, 0.16, 0.28, 0.50, 0.74, 0.80)
_HANGING = 0.95
_HAT = 0.4  # along: down to where a hat covers the head
_SOFT = 0.04  # along, over which hair ends
_LIGHT = (0.2, 0.72), (1.0, 0.86)  # along: light comes from above
THROAT = 0.85  # of the light, below a chin
_EAR = 0.58, 96.0, 0.085, 10.0  # along, degrees aside, half of its height and of its width
# What is darker in every face: (along, degrees aside, deviation of both, share of the light).
_FEATURES = (
    (0.50, 22.0, 0.025, 6.0, 0.55),  # eyes
    (0.42, 22.0, 0.015, 11.0, 0.30),  # brows
    (0.66, 0.0, 0.020, 7.0, 0.20),  # below the nose
    (0.78, 0.0, 0.015, 11.0, 0.30),  # mouth
)


class PatchColors(NamedTuple):
    """What frames show of a patch.

    Attributes:
      texture: the patch, what nobody saw filled in.
      known: what somebody did see.
    """

    texture: UInt8[np.ndarray, "rows columns 3"]
    known: Bool[np.ndarray, "rows columns"]


def nobodys(patches: Mapping[str, PatchColors], face: str) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Textures of a head that hold no more of a person than two mean colours, or three with a hat.

    A top in a colour that no hair has is a hat's. Where neither hair nor skin is to be seen they
    have usual colours.

    Args:
      patches: all of `shapes.surface`, by their names.
      face: "blur"; or "fill", for one colour.

    Returns:
      textures of `PATCHES`.
    """
    top, skin = _mean(patches, _TOP), _mean(patches, _FACE)
    skin = _mean(patches, _SKIN, _SKIN_TONES) if skin is None else skin
    if face == "fill":
        known = [color for color in (top, skin) if color is not None]
        one = np.mean(known, axis=0) if known else patches["head"].texture.mean((0, 1))
        return {name: _as_texture(one, patches[name]) for name in PATCHES}
    hat = top is not None and not _is_like(top, _HAIR_TONES)
    hair = _mean(patches, _UNDER_HAT, _HAIR_TONES) if hat else top
    hair, skin = _USUAL_HAIR if hair is None else hair, _USUAL_SKIN if skin is None else skin
    along, aside = _places(patches["head"])
    below = np.clip(0.5 + (along - np.interp(aside, *_HAIRLINE)) / _SOFT, 0.0, 1.0)
    from_ear = np.hypot((along - _EAR[0]) / _EAR[2], (aside - _EAR[1]) / _EAR[3])
    bare = np.maximum(below, np.clip(1.5 - 2 * (from_ear - 0.5), 0, 1))
    light = 1.0 - 0.25 * np.exp(-8 * np.square(from_ear - 0.8))  # its rim
    features = light.copy()
    for row, degrees, tall, wide, share in _FEATURES:
        away = np.square((along - row) / tall) + np.square((aside - degrees) / wide)
        features *= 1.0 - share * np.exp(-0.5 * away)
    fall = np.interp(along, *_LIGHT)[..., None]

    def head(bare: Float[np.ndarray, "rows columns"], light: Float[np.ndarray, "rows columns"]):
        colors = hair + bare[..., None] * (skin * light[..., None] - hair)
        return np.where(hat & (along < _HAT)[..., None], top, colors) * fall

    whole = {
        "hair": head(np.where(along < _HANGING, bare, 0.0), light),
        "head": head(bare, features),
        "neck": THROAT * skin,
        "hood": hair,
    }
    return {name: _as_texture(colors, patches[name]) for name, colors in whole.items()}


def _as_texture(
    colors: Float[np.ndarray, "*_ 3"], patch: PatchColors
) -> UInt8[np.ndarray, "_ _ 3"]:
    return np.broadcast_to(np.rint(colors), patch.texture.shape).astype(np.uint8)


def _places(
    patch: PatchColors,
) -> tuple[Float[np.ndarray, "rows 1"], Float[np.ndarray, " columns"]]:
    """Of texels: along the patch, and degrees from the middle of the front, 0 to 180."""
    rows, columns = patch.known.shape
    turn = 360 * (np.arange(columns) + 0.5) / columns
    return (np.arange(rows)[:, None] + 0.5) / rows, np.minimum(turn, 360 - turn)


def _mean(
    patches: Mapping[str, PatchColors],
    places: tuple[tuple[str, tuple[float, float], tuple[float, float]], ...],
    like: _Tones | None = None,
) -> Float[np.ndarray, "3"] | None:
    """The mean colour at the first of some places that somebody saw, and that it may be `like`.

    None if nobody saw any.
    """
    for name, (top, bottom), (least, most) in places:
        along, aside = _places(patches[name])
        there = (along >= top) & (along <= bottom) & (aside >= least) & (aside <= most)
        at = there & patches[name].known
        if at.sum() > _LEAST * there.sum():
            color = patches[name].texture[at].mean(0)
            if like is None or _is_like(color, like):
                return color
    return None


def _is_like(color: Float[np.ndarray, "3"], tones: _Tones) -> bool:
    """Whether a colour lies between two corners in Lab."""
    lab = cv2.cvtColor(color.astype(np.float32)[None, None] / 255, cv2.COLOR_RGB2LAB)[0, 0]
    low, high = tones
    return bool(np.all((lab >= low) & (lab <= high)))
