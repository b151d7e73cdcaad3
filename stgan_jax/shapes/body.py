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

from stgan_jax.shapes import worn
from stgan_jax.shapes.identity import Identity, Motion
from stgan_jax.shapes.looks import Appearance
from stgan_jax.shapes.turns import about_z, hanging, turned

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
    "head": (("cranium", "brow", "jaw", "nose"), "skin"),
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
    "hand": (("wrist", "palm", "fingers"), "skin"),
    "thigh": (("hip", "thigh", "knee"), "bottom"),
    "calf": (("knee", "calf"), "bottom"),
    "shin": (("calf", "cuff", "ankle"), "bottom"),
    "foot": (("ankle", "heel", "ball"), "shoe"),
    "toes": (("ball", "toe"), "shoe"),
    "sole": (("back", "inner", "outer", "tip"), "shoe"),
}
_WAIST = ("waist_L", "waist_R", "seat_L", "seat_R")
_EXTRA_PARTS: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "bg": {"bag": (("bag_0", "bag_1", "bag_2", "bag_3"), "bag")},
    "cl": {
        "coat": (("chest_L", "chest_R", *_WAIST), "coat"),
        "skirt": ((*_WAIST, "hem_L", "hem_R"), "coat"),
        "hood": (("neck", "hood"), "coat"),
    },
    "jacket": {"jacket": (("chest_L", "chest_R", "tail_L", "tail_R"), "top")},
    "dress": {"drape": ((*_WAIST, "drape_L", "drape_R"), "bottom")},
    "knot": {"knot": (("knot_0", "knot_1"), "hair")},
    "cap": {"cap": (("peak", "brim"), "top")},
}
# Statures by which parts are nearer than their middle: from the side hair covers the head, from
# everywhere its crown and a cap do, and a coat what is below.
OVER = {
    "hair": 0.015, "crown": 0.08, "cap": 0.09, "coat": 0.04, "skirt": 0.06, "hood": 0.04,
    "jacket": 0.04, "drape": 0.05,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BodyPart:
    """One rigid-looking piece of the body: the convex hull of `spheres`, wearing `garment`."""

    name: str
    spheres: tuple[str, ...]
    garment: str


def body_parts(person: Identity, condition: str) -> tuple[BodyPart, ...]:
    """The parts drawn of a person in a condition: "nm" normal, "bg" bag or "cl" coat."""
    return _parts(condition, *_worn(person.look, condition))


def _worn(look: Appearance, condition: str) -> list[str]:
    """Which extra parts somebody has on."""
    here = {
        "jacket": look.jacket and condition != "cl",
        "dress": look.skirt,
        "knot": look.knot,
        "cap": look.cap,
    }
    return [name for name, wears in here.items() if wears]


@functools.cache
def _parts(*extra: str) -> tuple[BodyPart, ...]:
    parts = [BodyPart(name, *spec) for name, spec in _MIDDLE_PARTS.items()]
    for name, (spheres, garment) in _SIDE_PARTS.items():
        for side in "LR":
            own = tuple(f"{sphere}_{side}" for sphere in spheres)
            parts.append(BodyPart(f"{name}_{side}", own, garment))
    for which in extra:
        parts += [BodyPart(name, *spec) for name, spec in _EXTRA_PARTS.get(which, {}).items()]
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
        late = {}
        for side, sign in (("L", 1.0), ("R", -1.0)):
            late[side] = self._leg(spheres, side, sign, both[side], pelvis, turn, tilt)
        top = self._trunk(spheres, pelvis, turn, tilt, thorax_turn, lean)
        worn.head(spheres, p, top, 0.35 * lean, phase)
        for side, sign in (("L", 1.0), ("R", -1.0)):
            self._arm(spheres, side, sign, both[side], thorax_turn)
        if self.condition == "bg":
            worn.bag(spheres, p.bag, top, thorax_turn)
        if self.coat:
            worn.coat(spheres, p, top, late)
        extra = _worn(p.look, self.condition)
        if "jacket" in extra:
            worn.jacket(spheres, p, late)
        if "dress" in extra:
            worn.dress(spheres, p, late)
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
        feet = [
            f"{part}_{side}" for side in "LR" for part in ("heel", "ball", "toe", "back", "tip")
        ]
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

    def _leg(self, spheres, side, sign, phase, pelvis, turn, tilt) -> np.ndarray:
        """Adds a leg; returns where its knee was a moment ago, which loose cloth follows."""
        p = self.person
        hip, knee, ankle = self.angles(side, phase)
        thigh_length = 0.245 * p.legs / (0.5 + 0.5 * p.shank)
        shank_length = 0.246 * p.legs * (0.5 + 0.5 * p.shank)
        root = pelvis + turned([0.0, sign * 0.056 * p.hips, 0.0], turn, roll=tilt)
        # The legs lean inwards so that the feet come down near the line of walking.
        inward = -sign * (0.056 * p.hips - 0.038 * p.step_width) / (thigh_length + shank_length)
        down = hanging(hip, inward)
        knee_at = root + thigh_length * down
        shank_dir = hanging(hip - knee, inward)
        ankle_at = knee_at + shank_length * shank_dir
        # Cloth is where the leg was a moment ago.
        hips, knees, _ = self.angles(side, phase - 0.04 * p.look.trousers)
        cuff = knee_at + 0.92 * shank_length * hanging(hips - knees, inward)
        bulk = 1.18 if self.coat else 1.0
        loose = p.look.trousers if not p.look.skirt else 0.0
        cloth = 0.003 + 0.009 * loose
        calf = np.sqrt(p.calf_width)
        back = hanging(hip - knee + np.pi / 2, 0.0) * -0.006
        for name, at, radius in (
            ("hip", root, 0.052 * p.thigh_width * bulk + cloth),
            ("thigh", root + 0.35 * thigh_length * down, 0.047 * p.thigh_width * bulk + cloth),
            ("knee", knee_at, 0.030 * np.sqrt(p.thigh_width) * calf + cloth),
            ("calf", knee_at + 0.33 * shank_length * shank_dir + back, 0.0285 * calf**2 + cloth),
            ("ankle", ankle_at, 0.019 * calf + 0.006),
            ("cuff", cuff, 0.018 * calf + 0.006 + 0.016 * loose),
        ):
            spheres[f"{name}_{side}"] = (at, float(radius))
        pitch = hip - knee + ankle
        below = -0.033 - p.look.sole
        for name, place, radius in (
            ("heel", (-0.028, 0.0, -0.022), 0.017),
            ("ball", (0.070 * p.foot, 0.0, -0.021), 0.018),
            ("toe", (0.102 * p.foot, 0.0, -0.025), 0.0135),
            ("back", (-0.038, 0.0, below), 0.0065),
            ("inner", (0.076 * p.foot, -0.019 * sign, below + 0.004), 0.0105),
            ("outer", (0.070 * p.foot, 0.020 * sign, below + 0.004), 0.0105),
            ("tip", (0.104 * p.foot, 0.0, below), 0.0065),
        ):
            at = turned(place, sign * p.toe_out, pitch=-pitch)
            spheres[f"{name}_{side}"] = (ankle_at + at, radius)
        spheres[f"seat_{side}"] = (
            pelvis + turned([-0.026 * p.seat, sign * 0.042 * p.hips, 0.006], turn, roll=tilt),
            0.052 * p.seat * bulk,
        )
        return root + thigh_length * hanging(self.angles(side, phase - 0.05)[0], inward)

    def _trunk(self, spheres, pelvis, turn, tilt, thorax_turn, lean) -> np.ndarray:
        p = self.person
        jacket = bool(p.look.jacket)
        bulk = 1.25 * p.coat_bulk**1.5 if self.coat else 1.15 if jacket else 1.0
        for side, sign in (("L", 1.0), ("R", -1.0)):
            waist = turned([0.004, sign * 0.038 * p.hips, 0.075], turn, roll=tilt, pitch=lean)
            spheres[f"waist_{side}"] = (pelvis + waist, 0.058 * p.belly * bulk)
        chest, neck = (
            pelvis + turned([0.0, 0.0, height], 0.0, pitch=lean) for height in (0.205, 0.305)
        )
        for side, sign in (("L", 1.0), ("R", -1.0)):
            out = turned([0.012, sign * 0.052 * p.shoulders, 0.0], thorax_turn)
            spheres[f"chest_{side}"] = (chest + out, 0.064 * p.chest_depth * bulk)
            out = turned([-0.004, sign * 0.103 * p.shoulders, -0.044], thorax_turn)
            radius = 0.033 * (0.5 + 0.5 * p.arm_width) * bulk
            spheres[f"shoulder_{side}"] = (neck + out, radius)
        forward = np.array([p.hunch + self.motion.hunch, 0.0, 0.0])
        spheres["neck"] = (
            neck + forward * 0.5 + [0.0, 0.0, 0.008],
            (0.040 if jacket else 0.033) * (0.5 + 0.5 * p.arm_width),  # a collar, or the neck
        )
        return neck + forward

    def _arm(self, spheres, side, sign, phase, thorax_turn):
        p, m = self.person, self.motion
        uneven = 1.0 + (0.5 if side == "L" else -0.5) * p.asymmetry[1]
        carrying = self.condition == "bg" and p.bag == 2 and side == "R"
        reach = p.arm_swing * m.arm * uneven * (0.35 if carrying else 0.7 if self.coat else 1.0)
        swing = -reach * np.cos(2 * np.pi * (phase - p.arm_lag)) - np.radians(7.0)
        elbow = p.elbow + m.elbow + 0.5 * np.maximum(swing + 0.2, 0.0)
        if carrying:
            elbow = np.full_like(elbow, np.radians(6.0))
        shoulder = spheres[f"shoulder_{side}"][0]
        out = sign * (p.abduction + m.abduction + (0.08 if self.coat else 0.0))
        bulk = 1.7 * p.coat_bulk**1.5 if self.coat else 1.0
        loose = 0.002 + 0.008 * p.look.sleeves + (0.004 if p.look.jacket else 0.0)
        root = shoulder + [0.0, 0.0, -0.008]
        upper = root + 0.175 * p.arms * about_z(hanging(swing, out), thorax_turn)
        lower = upper + 0.140 * p.arms * about_z(hanging(swing + elbow, 0.4 * out), thorax_turn)
        fingers = lower + 0.062 * p.arms * about_z(
            hanging(swing + elbow * 1.05 + 0.1, 0.2 * out), thorax_turn
        )
        spheres[f"elbow_{side}"] = (upper, 0.0205 * p.arm_width * bulk + loose)
        spheres[f"wrist_{side}"] = (lower, 0.0150 * p.arm_width * bulk + 0.7 * loose)
        spheres[f"palm_{side}"] = (lower + 0.5 * (fingers - lower), 0.0165)
        spheres[f"fingers_{side}"] = (fingers, 0.0115)
