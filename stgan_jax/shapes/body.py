"""A procedural walking body: an identity's build and gait as moving spheres.

A body is a set of named spheres whose convex hulls are its parts (a thigh is the
hull of a hip and a knee sphere). Body frame: x forward, y to the walker's left,
z up, origin on the ground below the pelvis; lengths in statures (1 = body height).
Segment proportions follow Drillis & Contini's tables and joint curves follow
Winter's normal-cadence curves, both varied per identity.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from stgan_jax.shapes.identity import Identity, Motion

# Flexion in degrees over one gait cycle that starts at heel strike: (cycle %, angle).
_CURVES = {
    "hip": [(0, 30), (10, 27), (20, 19), (30, 9), (40, 0), (50, -8), (58, -7), (70, 13), (80, 26),
            (90, 31)],
    "knee": [(0, 4), (8, 14), (15, 18), (22, 16), (30, 10), (40, 5), (50, 10), (60, 33), (70, 58),
             (74, 61), (80, 53), (88, 25), (95, 5)],
    "ankle": [(0, 0), (7, -5), (20, 4), (40, 10), (50, 7), (58, -8), (64, -16), (70, -11), (80, 0),
              (90, 1)],
}  # fmt: skip


def _periodic(knots: Sequence[tuple[float, float]]) -> CubicSpline:
    x, y = np.asarray([*knots, (100.0, knots[0][1])], np.float64).T
    return CubicSpline(x / 100, np.radians(y), bc_type="periodic")


_SPLINES = {name: _periodic(knots) for name, knots in _CURVES.items()}

# Parts as hulls of spheres, and what each is dressed in. "L"/"R" pairs are expanded below.
_MIDDLE_PARTS = {
    "head": (("cranium", "brow", "jaw"), "skin"),
    "hair": (("cranium_top", "occiput", "hair_end"), "hair"),
    "crown": (("crown",), "hair"),  # the same hair: the part that shows from the front
    "neck": (("neck", "jaw_root"), "skin"),
    "chest": (("shoulder_L", "shoulder_R", "chest_L", "chest_R", "neck"), "top"),
    "belly": (("chest_L", "chest_R", "waist_L", "waist_R"), "top"),
    "pelvis": (("waist_L", "waist_R", "hip_L", "hip_R", "seat_L", "seat_R"), "bottom"),
}
_SIDE_PARTS = {
    "upper_arm": (("shoulder", "elbow"), "top"),
    "forearm": (("elbow", "wrist"), "top"),
    "hand": (("wrist", "fingers"), "skin"),
    "thigh": (("hip", "thigh", "knee"), "bottom"),
    "calf": (("knee", "calf"), "bottom"),
    "shin": (("calf", "ankle"), "bottom"),
    "foot": (("ankle", "heel", "ball"), "shoe"),
    "toes": (("ball", "toe"), "shoe"),
}
_EXTRA_PARTS: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "bg": {"bag": (("bag_0", "bag_1", "bag_2", "bag_3"), "bag")},
    "cl": {
        "coat": (("chest_L", "chest_R", "waist_L", "waist_R", "seat_L", "seat_R"), "coat"),
        "skirt": (("waist_L", "waist_R", "seat_L", "seat_R", "hem_L", "hem_R"), "coat"),
        "hood": (("neck", "hood"), "coat"),
    },
}


@dataclasses.dataclass(frozen=True)
class BodyPart:
    """One rigid-looking piece of the body: the convex hull of `spheres`, wearing `garment`."""

    name: str
    spheres: tuple[str, ...]
    garment: str


def body_parts(condition: str) -> tuple[BodyPart, ...]:
    """The parts drawn for a condition: "nm" normal, "bg" bag or "cl" coat."""
    parts = [BodyPart(name, *spec) for name, spec in _MIDDLE_PARTS.items()]
    for name, (spheres, garment) in _SIDE_PARTS.items():
        for side in "LR":
            own = tuple(f"{sphere}_{side}" for sphere in spheres)
            parts.append(BodyPart(f"{name}_{side}", own, garment))
    parts += [BodyPart(name, *spec) for name, spec in _EXTRA_PARTS.get(condition, {}).items()]
    return tuple(parts)


Spheres = dict[str, tuple[Float[np.ndarray, "T 3"], float]]


def body_spheres(
    person: Identity, motion: Motion, condition: str, phase: Float[np.ndarray, " T"]
) -> tuple[Spheres, float]:
    """Poses a person: where every sphere of the body is.

    Args:
      person: the identity.
      motion: the repetition's variation.
      condition: "nm", "bg" (bag) or "cl" (coat).
      phase: right leg's gait phase per frame, in cycles from heel strike.

    Returns:
      `(spheres, stride)`: name -> (centres (T, 3), radius), in statures, in a frame
      that moves along with the pelvis; and the stride, the distance walked a gait
      cycle, in statures, by which a standing foot does not slide.
    """
    spheres = _Poser(person, motion, condition).pose(phase)
    # One exact cycle fixes the pelvis' path and the stride for every phase.
    path, stride = _contact(person, motion, condition)
    surge, height = path(phase % 1.0).T
    shift = np.stack([surge, 0 * surge, height], -1)
    spheres = {name: (centre + shift, radius) for name, (centre, radius) in spheres.items()}
    return spheres, stride


@functools.lru_cache(64)
def _contact(person: Identity, motion: Motion, condition: str) -> tuple[CubicSpline, float]:
    return _Poser(person, motion, condition).ground_contact()


def leg_angles(
    person: Identity, motion: Motion, phase: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T 4"]:
    """Flexion of the left and right hip and of the left and right knee, in radians."""
    walker = _Poser(person, motion, "nm")
    both = [walker.angles(side, at) for side, at in walker.phases(phase).items()]
    return np.stack([both[0][0], both[1][0], both[0][1], both[1][1]], -1)


class _Poser:
    """Kinematic chain from pelvis to toes, fingers and head for one person and repetition."""

    def __init__(self, person: Identity, motion: Motion, condition: str):
        self.person, self.motion, self.condition = person, motion, condition
        self.coat = condition == "cl"

    def pose(self, phase: np.ndarray) -> Spheres:
        p = self.person
        spheres: Spheres = {}
        both = self.phases(phase)
        turn = p.pelvis_turn * np.cos(2 * np.pi * phase)  # right hip forward at its heel strike
        tilt = p.pelvis_list * np.sin(2 * np.pi * phase + 0.4)
        sway = -p.sway * np.sin(2 * np.pi * phase)[:, None] * [0.0, 1.0, 0.0]
        pelvis = sway
        thorax_turn = -p.thorax_turn * np.cos(2 * np.pi * phase)
        lean = p.lean + self.motion.lean + np.radians(1.0) * np.cos(4 * np.pi * phase)
        for side, sign in (("L", 1.0), ("R", -1.0)):
            self._leg(spheres, side, sign, both[side], pelvis, turn, tilt)
        top = self._trunk(spheres, pelvis, turn, tilt, thorax_turn, lean)
        self._head(spheres, top, lean)
        for side, sign in (("L", 1.0), ("R", -1.0)):
            self._arm(spheres, side, sign, both[side], thorax_turn)
        if self.condition == "bg":
            self._bag(spheres, top, thorax_turn)
        if self.coat:
            self._coat(spheres, top)
        return spheres

    def ground_contact(self) -> tuple[CubicSpline, float]:
        """The pelvis' (forward, upward) path over the cycle that goes with standing feet.

        Upward it keeps the lower foot on the ground. Forward it holds the ball of the foot that
        bears the body: with stride s and the pelvis' surge u, `ball(phase) + u(phase) + s phase`
        is constant over each foot's stance, in the sense of least squares. Both are cut off
        above the fourth harmonic, for a body does not jerk.

        Returns:
          `(path, stride)`: phase -> (2,) statures, and statures a cycle.
        """
        count = 64
        cycle = np.arange(count) / count
        spheres = self.pose(cycle)
        feet = [f"{part}_{side}" for side in "LR" for part in ("heel", "ball", "toe")]
        need = np.max([spheres[name][1] - spheres[name][0][:, 2] for name in feet], axis=0)
        spectrum = np.fft.rfft(need)
        spectrum[5:] = 0
        height = np.fft.irfft(spectrum, count)
        waves = np.concatenate(
            [f(2 * np.pi * cycle[:, None] * np.arange(1, 5)) for f in (np.cos, np.sin)], axis=1
        )
        rows, balls = [], []
        for side, offset in (("R", 0.0), ("L", 0.5 + self.person.asymmetry[2])):
            standing = ((cycle + offset) % 1.0 > 0.04) & ((cycle + offset) % 1.0 < 0.56)
            # Phase grows steadily over a stance, also over the one that the cycle's end cuts.
            phase = ((cycle + offset) % 1.0)[standing]
            foot = np.full((len(phase), 2), [side == "R", side == "L"], np.float64)
            rows.append(np.column_stack([waves[standing], phase, foot]))
            balls.append(-spheres[f"ball_{side}"][0][standing, 0])
        solution = np.linalg.lstsq(np.concatenate(rows), np.concatenate(balls))[0]
        surge = waves @ solution[: waves.shape[1]]
        path = np.stack([surge, height], -1)[np.arange(count + 1) % count]
        spline = CubicSpline(np.arange(count + 1) / count, path, bc_type="periodic")
        return spline, float(solution[waves.shape[1]])

    def phases(self, phase: np.ndarray) -> dict[str, np.ndarray]:
        """Gait phase of each leg, in cycles from its heel strike; `phase` is the right one's."""
        return {"L": phase + 0.5 + self.person.asymmetry[2], "R": phase}

    def angles(self, side: str, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p, m = self.person, self.motion
        uneven = 1.0 + (0.5 if side == "L" else -0.5) * p.asymmetry[0]
        mean = np.radians(10.0)
        hip = mean + (_SPLINES["hip"](phase % 1.0) - mean) * p.hip_swing * m.swing * uneven
        knee = _SPLINES["knee"](phase % 1.0) * p.knee_swing
        ankle = _SPLINES["ankle"](phase % 1.0) * p.ankle_swing
        a, b, c, d = p.harmonics
        hip = hip + a * np.cos(4 * np.pi * phase) + b * np.sin(4 * np.pi * phase)
        knee = np.maximum(
            knee + c * np.cos(2 * np.pi * phase) + d * np.sin(4 * np.pi * phase), np.radians(1.0)
        )
        return hip, knee, ankle

    def _leg(self, spheres, side, sign, phase, pelvis, turn, tilt):
        p = self.person
        hip, knee, ankle = self.angles(side, phase)
        thigh_length = 0.245 * p.legs / (0.5 + 0.5 * p.shank)
        shank_length = 0.246 * p.legs * (0.5 + 0.5 * p.shank)
        root = pelvis + _turned([0.0, sign * 0.056 * p.hips, 0.0], turn, roll=tilt)
        # The legs lean inwards so that the feet come down near the line of walking.
        inward = -sign * (0.056 * p.hips - 0.038 * p.step_width) / (thigh_length + shank_length)
        down = _swing(hip, inward)
        knee_at = root + thigh_length * down
        shank_dir = _swing(hip - knee, inward)
        ankle_at = knee_at + shank_length * shank_dir
        bulk = 1.18 if self.coat else 1.0
        cloth = 0.006  # trousers
        spheres[f"hip_{side}"] = (root, 0.052 * p.thigh_width * bulk + cloth)
        spheres[f"thigh_{side}"] = (
            root + 0.35 * thigh_length * down,
            0.047 * p.thigh_width * bulk + cloth,
        )
        spheres[f"knee_{side}"] = (knee_at, 0.030 * np.sqrt(p.thigh_width * p.calf_width) + cloth)
        back = _swing(hip - knee + np.pi / 2, 0.0) * -0.006
        spheres[f"calf_{side}"] = (
            knee_at + 0.33 * shank_length * shank_dir + back,
            0.0285 * p.calf_width + cloth,
        )
        spheres[f"ankle_{side}"] = (ankle_at, 0.019 * np.sqrt(p.calf_width) + cloth)
        pitch = hip - knee + ankle
        for name, (x, z), radius in (
            ("heel", (-0.028, -0.022), 0.017),
            ("ball", (0.070 * p.foot, -0.021), 0.018),
            ("toe", (0.102 * p.foot, -0.025), 0.0135),
        ):
            at = _turned([x, 0.0, z], sign * p.toe_out, pitch=-pitch)
            spheres[f"{name}_{side}"] = (ankle_at + at, radius)
        spheres[f"seat_{side}"] = (
            pelvis + _turned([-0.026 * p.seat, sign * 0.042 * p.hips, 0.006], turn, roll=tilt),
            0.052 * p.seat * bulk,
        )

    def _trunk(self, spheres, pelvis, turn, tilt, thorax_turn, lean) -> np.ndarray:
        p = self.person
        bulk = 1.2 * self.person.coat_bulk if self.coat else 1.0
        for side, sign in (("L", 1.0), ("R", -1.0)):
            waist = _turned([0.004, sign * 0.038 * p.hips, 0.075], turn, roll=tilt, pitch=lean)
            spheres[f"waist_{side}"] = (pelvis + waist, 0.058 * p.belly * bulk)
        chest, neck = (
            pelvis + _turned([0.0, 0.0, height], 0.0, pitch=lean) for height in (0.205, 0.305)
        )
        for side, sign in (("L", 1.0), ("R", -1.0)):
            out = _turned([0.012, sign * 0.052 * p.shoulders, 0.0], thorax_turn)
            spheres[f"chest_{side}"] = (chest + out, 0.064 * p.chest_depth * bulk)
            out = _turned([-0.004, sign * 0.103 * p.shoulders, -0.044], thorax_turn)
            radius = 0.031 * (0.5 + 0.5 * p.arm_width) * bulk
            spheres[f"shoulder_{side}"] = (neck + out, radius)
        forward = np.array([p.hunch + self.motion.hunch, 0.0, 0.0])
        spheres["neck"] = (
            neck + forward * 0.5 + [0.0, 0.0, 0.008],
            0.031 * (0.5 + 0.5 * p.arm_width),
        )
        return neck + forward

    def _head(self, spheres, top, lean):
        p, size = self.person, self.person.head
        nod = 0.35 * lean
        length, volume = p.hair
        places = {  # (x, z), radius
            "jaw_root": ((0.012, 0.050), 0.028),
            "cranium": ((0.010, 0.112 * size), 0.057 * size),
            "brow": ((0.031, 0.103 * size), 0.042 * size),
            "jaw": ((0.033, 0.064), 0.030 * size),
            "cranium_top": ((0.008, 0.120 * size), 0.0585 * size * (0.9 + 0.1 * volume)),
            "crown": ((0.004, 0.133 * size), 0.038 * size),
            "occiput": ((-0.010, 0.100 * size), 0.054 * size * (0.85 + 0.15 * volume)),
            "hair_end": ((-0.022, 0.088 - 0.085 * length), 0.034 * size * volume),
        }
        for name, ((x, z), radius) in places.items():
            spheres[name] = (top + _turned([x, 0.0, z], 0.0, pitch=nod), radius)

    def _arm(self, spheres, side, sign, phase, thorax_turn):
        p, m = self.person, self.motion
        uneven = 1.0 + (0.5 if side == "L" else -0.5) * p.asymmetry[1]
        carrying = self.condition == "bg" and p.bag == 2 and side == "R"
        reach = p.arm_swing * m.arm * uneven * (0.35 if carrying else 0.8 if self.coat else 1.0)
        swing = -reach * np.cos(2 * np.pi * (phase - p.arm_lag)) - np.radians(7.0)
        elbow = p.elbow + m.elbow + 0.5 * np.maximum(swing + 0.2, 0.0)
        if carrying:
            elbow = np.full_like(elbow, np.radians(6.0))
        shoulder = spheres[f"shoulder_{side}"][0]
        out = sign * (p.abduction + m.abduction + (0.05 if self.coat else 0.0))
        bulk = 1.5 * p.coat_bulk if self.coat else 1.0
        root = shoulder + [0.0, 0.0, -0.008]
        upper = root + 0.175 * p.arms * _turn_z(_swing(swing, out), thorax_turn)
        lower = upper + 0.140 * p.arms * _turn_z(_swing(swing + elbow, 0.4 * out), thorax_turn)
        fingers = lower + 0.062 * p.arms * _turn_z(
            _swing(swing + elbow * 1.05 + 0.1, 0.2 * out), thorax_turn
        )
        spheres[f"elbow_{side}"] = (upper, 0.0205 * p.arm_width * bulk + 0.003)
        spheres[f"wrist_{side}"] = (lower, 0.0150 * p.arm_width * bulk + 0.002)
        spheres[f"fingers_{side}"] = (fingers, 0.0135)

    def _bag(self, spheres, top, thorax_turn):
        kind = self.person.bag
        if kind == 0:  # backpack
            corners = [(-0.105, y, z) for y in (-0.045, 0.045) for z in (-0.06, -0.21)]
            places = [top + _turned(c, thorax_turn) for c in corners]
            radius = 0.036
        elif kind == 1:  # shoulder bag at the left hip
            hip = spheres["seat_L"][0]
            corners = [(x, 0.075, z) for x in (-0.055, 0.055) for z in (0.06, -0.045)]
            places = [hip + _turned(c, 0.4 * thorax_turn) for c in corners]
            radius = 0.024
        else:  # hand bag on the right
            hand = spheres["fingers_R"][0]
            corners = [(x, 0.0, z) for x in (-0.05, 0.05) for z in (-0.02, -0.13)]
            places = [hand + _turned(c, 0.0 * thorax_turn) for c in corners]
            radius = 0.020
        for i, place in enumerate(places):
            spheres[f"bag_{i}"] = (place, radius)

    def _coat(self, spheres, top):
        p = self.person
        for side, sign in (("L", 1.0), ("R", -1.0)):
            hip, knee = spheres[f"hip_{side}"][0], spheres[f"knee_{side}"][0]
            hem = hip + np.clip(p.coat_length, 0.15, 1.1) * (knee - hip)
            hem = hem * [0.75, 1.0, 1.0] + [0.0, sign * 0.006, 0.0]  # cloth lags behind the leg
            spheres[f"hem_{side}"] = (hem, 0.056 * p.thigh_width * p.coat_bulk)
        spheres["hood"] = (top + [-0.028, 0.0, 0.028], 0.042 * p.coat_bulk)


def _swing(flexion: np.ndarray, outward: float) -> np.ndarray:
    """Unit vector (T, 3) of a hanging limb, `flexion` forward and `outward` to +y, radians."""
    return np.stack(
        [
            np.sin(flexion) * np.cos(outward),
            np.broadcast_to(np.sin(outward), flexion.shape),
            -np.cos(flexion) * np.cos(outward),
        ],
        -1,
    )


def _turn_z(vectors: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([c * x - s * y, s * x + c * y, z + 0 * c], -1)


def _turned(offset, yaw, *, roll=0.0, pitch=0.0) -> np.ndarray:
    """Rotates one body-frame offset by roll (about x), pitch (forward, about y), then yaw."""
    x, y, z = offset
    y, z = y * np.cos(roll) - z * np.sin(roll), y * np.sin(roll) + z * np.cos(roll)
    x, z = x * np.cos(pitch) + z * np.sin(pitch), -x * np.sin(pitch) + z * np.cos(pitch)
    x, y, z, yaw = np.broadcast_arrays(x, y, z, yaw)
    return _turn_z(np.stack([x, y, z], -1), yaw)
