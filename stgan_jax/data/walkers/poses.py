"""Bodies that stand or sit, and sway as living ones do."""

import dataclasses

import numpy as np
from jaxtyping import Float

from stgan_jax.shapes import body, identity

SWAY = 0.005  # largest lean of a standing body at the height of a stature, in statures
SHIFT = 0.004  # how far hips move as the weight goes from one leg to the other, in statures

_FOOT = ("heel", "ball", "toe", "back", "inner", "outer", "tip")
_SHANK = ("calf", "cuff", "ankle", *_FOOT)
_LEG = ("thigh", "tail", "drape", "knee", *_SHANK)
_FOREARM = ("wrist", "palm", "fingers")
_ARM = ("elbow", *_FOREARM)
_FORWARD = 10.0  # degrees by which a thigh without swing is ahead of the vertical, see `body`


def standing(
    person: identity.Identity, condition: str, frames: int, fps: float, seed: int
) -> body.Spheres:
    """Somebody who stands: the spheres of `body.body_spheres`, nearly still.

    The body leans by up to `SWAY`, and now and then the weight goes from one leg to the other,
    by which the hips move `SHIFT` to either side. The feet stay where they are.

    Args:
      person: the identity.
      condition: "nm", "bg" or "cl".
      frames: length T.
      fps: frames a second.
      seed: decides the pose and the motion.
    """
    rng = np.random.default_rng([seed, 0x57])
    spheres = _neutral(person, condition, frames)
    relaxed = rng.choice(["L", "R"])
    for side in "LR":
        bend = rng.uniform(8.0, 14.0) if side == relaxed else 0.0
        _turn(spheres, "hip", _LEG, side, 0.55 * bend - _FORWARD + 1)
        _turn(spheres, "knee", _SHANK, side, -bend)
        _turn(spheres, "ankle", _FOOT, side, 0.45 * bend)
        fold = rng.choice([0.0, 0.0, 35.0, 95.0])
        _turn(spheres, "shoulder", _ARM, side, 0.15 * fold)
        _turn(spheres, "elbow", _FOREARM, side, fold)
    _put_down(spheres)
    sideways, forward = (SWAY * _drift(rng, frames, fps) for _ in range(2))
    shift = SHIFT * _weight(rng, frames, fps)
    for name, (centre, radius) in spheres.items():
        z = centre[:, 2]
        hips = np.clip(z / 0.5, 0, 1) * np.clip(1.4 - 0.8 * z, 0, 1)  # 1 at the hips, 0.6 above
        moved = np.stack([0.7 * forward * z, 0.7 * sideways * z + shift * hips, 0 * z], -1)
        spheres[name] = (centre + moved, radius)
    return spheres


def sitting(
    person: identity.Identity, frames: int, fps: float, seed: int
) -> tuple[body.Spheres, float]:
    """Somebody who sits, hands on the lap, and sways above the hips; see `standing`.

    Returns:
      `(spheres, seat)`: the body, and the height of what it sits on, in statures.
    """
    rng = np.random.default_rng([seed, 0x51])
    spheres = _neutral(person, "nm", frames)
    for side in "LR":
        knee = rng.uniform(72, 95)
        _turn(spheres, "hip", _LEG, side, 86.0 - _FORWARD)
        _turn(spheres, "knee", _SHANK, side, -knee)
        _turn(spheres, "ankle", _FOOT, side, knee - 86.0 + 1)
        _turn(spheres, "shoulder", _ARM, side, rng.uniform(12, 25))
        _turn(spheres, "elbow", _FOREARM, side, rng.uniform(45, 65))
    _put_down(spheres)
    hip, radius = spheres["hip_L"]
    seat = float(hip[0, 2] - radius)
    sideways, forward = (SWAY * _drift(rng, frames, fps) for _ in range(2))
    for name, (centre, radius) in spheres.items():
        above = np.maximum(centre[:, 2] - hip[:, 2], 0.0) / 0.5
        moved = np.stack([forward * above, sideways * above, 0 * above], -1)
        spheres[name] = (centre + moved, radius)
    return spheres, seat


def _neutral(person: identity.Identity, condition: str, frames: int) -> body.Spheres:
    """The body at one moment of a walk without any swing."""
    person = dataclasses.replace(
        person,
        hip_swing=0.0,
        knee_swing=0.0,
        ankle_swing=0.0,
        arm_swing=0.0,
        arm_lag=0.0,
        pelvis_turn=0.0,
        thorax_turn=0.0,
        pelvis_list=0.0,
        sway=0.0,
        asymmetry=(0.0, 0.0, 0.0),
        harmonics=(0.0, 0.0, 0.0, 0.0),
    )
    return body.body_spheres(person, identity.MEAN_MOTION, condition, np.zeros(frames))[0]


def _turn(
    spheres: body.Spheres, joint: str, names: tuple[str, ...], side: str, degrees: float
) -> None:
    """Turns the spheres beyond a joint forwards about it, in place."""
    pivot = spheres[f"{joint}_{side}"][0]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    for name in names:
        if f"{name}_{side}" not in spheres:  # somebody without a jacket or a skirt
            continue
        centre, radius = spheres[f"{name}_{side}"]
        x, y, z = (centre - pivot).T
        turned = np.stack([c * x - s * z, y, s * x + c * z], -1)
        spheres[f"{name}_{side}"] = (pivot + turned, radius)


def _put_down(spheres: body.Spheres) -> None:
    """Moves a body, in place, so that its lowest foot is on the ground."""
    feet = [f"{name}_{side}" for name in _FOOT for side in "LR"]
    down = np.min([spheres[name][0][:, 2] - spheres[name][1] for name in feet], axis=0)
    for name, (centre, radius) in spheres.items():
        spheres[name] = (centre - down[:, None] * [0.0, 0.0, 1.0], radius)


def _drift(rng: np.random.Generator, frames: int, fps: float) -> Float[np.ndarray, " T"]:
    """A smooth random motion between -1 and 1, of 0.1 to 0.6 Hz."""
    seconds = np.arange(frames) / fps
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * seconds + rng.uniform())) for _ in range(4)
    ]
    return np.sum(waves, axis=0) / len(waves)


def _weight(rng: np.random.Generator, frames: int, fps: float) -> Float[np.ndarray, " T"]:
    """On which leg the weight is, -1 to 1: it changes every 2 to 5 seconds, within one."""
    seconds = np.arange(frames) / fps
    out = np.full(frames, rng.choice([-1.0, 1.0]))
    at = rng.uniform(0.8, 2.5)
    while at < frames / fps:
        out *= -np.tanh((seconds - at) / 0.25)
        at += rng.uniform(2.0, 5.0)
    return out
