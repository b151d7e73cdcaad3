"""Head, hair, bag and loose clothes of a body, as spheres beside those of its limbs.

Each function adds its spheres to those of `body.body_spheres`, in place. Loose cloth follows the
legs late, as `late` says: where each knee was a moment ago.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from stgan_jax.shapes.identity import Identity
from stgan_jax.shapes.turns import turned

_Spheres = dict[str, tuple[np.ndarray, float]]
_Knees = Mapping[str, Float[np.ndarray, "T 3"]]
_SIDES = (("L", 1.0), ("R", -1.0))


def head(
    spheres: _Spheres, p: Identity, top: np.ndarray, nod: np.ndarray, phase: np.ndarray
) -> None:
    """A head of 0.13 statures, narrower than deep, and what is on it.

    Args:
      spheres: receives the head's spheres.
      p: the person.
      top: upper end of the neck's bones, below which the head turns.
      nod: radians forward.
      phase: the right leg's gait phase in cycles, by which a pony tail swings.
    """
    size, look = p.head, p.look
    length, volume = p.hair
    hair = 0.005 * volume + look.curls
    places = {  # (x, z), radius
        "jaw_root": ((0.004, 0.052), 0.0315),
        "cranium": ((-0.004, 0.118 * size), 0.0465 * size),
        "brow": ((0.014, 0.108 * size), 0.0415 * size),
        "nose": ((0.052, 0.086 * size), 0.0085),
        "jaw": ((0.029, 0.055), 0.0195 * size),
        "cranium_top": ((-0.011, 0.121 * size), 0.0465 * size + hair),
        "crown": ((-0.002, 0.133 * size), 0.0350 * size + hair),
        "occiput": ((-0.015, 0.109 * size), 0.0440 * size + hair),
        "hair_end": ((-0.024, 0.084 - 0.085 * length), 0.032 * size * volume + 0.5 * look.curls),
    }
    if look.cap:
        places["peak"] = ((-0.003, 0.131 * size), 0.0405 * size + hair)
        places["brim"] = ((0.078, 0.123 * size), 0.006)
    if look.knot:
        tail = look.knot == 2
        places["knot_0"] = ((-0.060, (0.116 if tail else 0.134) * size), 0.017 if tail else 0.024)
    for name, ((x, z), radius) in places.items():
        spheres[name] = (top + turned([x, 0.0, z], 0.0, pitch=nod), radius)
    if look.knot:  # it swings to the side once a cycle and up twice, as the head does
        out = 0.012 * np.cos(2 * np.pi * phase), -0.006 * np.cos(4 * np.pi * phase)
        low = np.stack([-0.010 + out[1], out[0], np.full_like(phase, -0.085)], -1)
        start, radius = spheres["knot_0"]
        spheres["knot_1"] = (start + low, 0.011) if look.knot == 2 else (start, radius)


def bag(spheres: _Spheres, kind: int, top: np.ndarray, turn: np.ndarray) -> None:
    """A bag.

    Args:
      spheres: receives the bag's spheres.
      kind: 0 a backpack, 1 a shoulder bag at the left hip, 2 a hand bag on the right.
      top: upper end of the neck's bones.
      turn: how far the thorax is turned, radians to the left.
    """
    if kind == 0:
        corners = [(-0.105, y, z) for y in (-0.045, 0.045) for z in (-0.06, -0.21)]
        places = [top + turned(c, turn) for c in corners]
        radius = 0.036
    elif kind == 1:
        hip = spheres["seat_L"][0]
        corners = [(x, 0.075, z) for x in (-0.055, 0.055) for z in (0.06, -0.045)]
        places = [hip + turned(c, 0.4 * turn) for c in corners]
        radius = 0.024
    else:
        hand = spheres["fingers_R"][0]
        corners = [(x, 0.0, z) for x in (-0.05, 0.05) for z in (-0.02, -0.13)]
        places = [hand + turned(c, 0.0 * turn) for c in corners]
        radius = 0.020
    for i, place in enumerate(places):
        spheres[f"bag_{i}"] = (place, radius)


def coat(spheres: _Spheres, p: Identity, top: np.ndarray, late: _Knees) -> None:
    """The lower end of a coat, and its hood."""
    for side, sign in _SIDES:
        hip = spheres[f"hip_{side}"][0]
        hem = hip + np.clip(p.coat_length, 0.15, 1.1) * (late[side] - hip)
        hem = hem * [0.75, 1.0, 1.0] + [0.0, sign * 0.006, 0.0]  # cloth keeps legs together
        spheres[f"hem_{side}"] = (hem, float(0.060 * np.sqrt(p.thigh_width) * p.coat_bulk**1.5))
    spheres["hood"] = (top + [-0.028, 0.0, 0.028], 0.045 * p.coat_bulk)


def jacket(spheres: _Spheres, p: Identity, late: _Knees) -> None:
    """The lower end of a jacket, which hangs straight from the chest."""
    for side, sign in _SIDES:
        hip, seat = spheres[f"hip_{side}"][0], spheres[f"seat_{side}"][0]
        hem = 0.6 * hip + 0.4 * seat + p.look.jacket * (late[side] - hip) * [0.6, 1.0, 1.0]
        radius = 0.054 * np.sqrt(p.thigh_width) + 0.012
        spheres[f"tail_{side}"] = (hem + [0.0, sign * 0.006, 0.0], float(radius))


def dress(spheres: _Spheres, p: Identity, late: _Knees) -> None:
    """The hem of a skirt."""
    for side, sign in _SIDES:
        hip = spheres[f"hip_{side}"][0]
        hem = hip + p.look.skirt * (late[side] - hip) * [0.85, 1.0, 1.0]
        radius = 0.036 * p.thigh_width + 0.010 + 0.022 * p.look.flare
        spheres[f"drape_{side}"] = (hem + [0.0, sign * 0.012 * p.look.flare, 0.0], radius)
