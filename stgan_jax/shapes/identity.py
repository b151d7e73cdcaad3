"""Identities and the repetitions of their walks, drawn from seeds."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

from stgan_jax.shapes.looks import PLAIN, Appearance, sample_look

CONDITIONS = ("nm", "bg", "cl")
SIZE = 43  # numbers of `vector`
_SIZES = {"hair": 2, "asymmetry": 3, "harmonics": 4, "bag": 3}  # numbers of those with several
FIRST_UNSEEN = 1_000_000_000  # seed of the first person that nothing is trained on


@dataclasses.dataclass(frozen=True)
class Identity:
    """A walker's build, posture and gait. Factors are relative to 1.

    Lengths and radii scale the mean body; angles are in radians; `cadence` is in
    gait cycles (two steps) a second; phases are in gait cycles. The look is no part of `vector`.
    """

    legs: float
    shank: float
    arms: float
    shoulders: float
    hips: float
    head: float
    foot: float
    chest_depth: float
    belly: float
    thigh_width: float
    calf_width: float
    arm_width: float
    seat: float
    hair: tuple[float, float]  # length and bulk
    lean: float
    hunch: float
    abduction: float
    toe_out: float
    step_width: float
    elbow: float
    hip_swing: float
    knee_swing: float
    ankle_swing: float
    arm_swing: float
    arm_lag: float
    pelvis_turn: float
    thorax_turn: float
    pelvis_list: float
    sway: float
    asymmetry: tuple[float, float, float]  # left minus right: hip, arm, phase
    harmonics: tuple[float, float, float, float]  # personal ripple on hip and knee curves
    cadence: float
    bag: int  # 0 backpack, 1 shoulder bag, 2 hand bag
    coat_length: float
    coat_bulk: float
    look: Appearance = PLAIN


def sample_identity(seed: int, manner: float = 1.0) -> Identity:
    """Draws a plausible person from a seed; the same seed always gives the same person.

    Args:
      seed: decides the person.
      manner: spread of sampled walking styles (swing of legs, arms and trunk): 0 the mean style,
        1 as in people. The build does not depend on it.
    """
    rng = np.random.default_rng([seed, 0x1D])
    about, moved = (functools.partial(_drawn, rng, factor) for factor in (1.0, manner))
    mass, frame = about(0.0, 1.0), about(0.0, 1.0)  # shared: heavier, broader-shouldered people
    degree = np.pi / 180
    person = Identity(
        legs=about(1.0, 0.035),
        shank=about(1.0, 0.035),
        arms=about(1.0, 0.04),
        shoulders=about(1.0 + 0.05 * frame + 0.02 * mass, 0.03),
        hips=about(1.0 - 0.04 * frame + 0.05 * mass, 0.03),
        head=about(1.0, 0.04),
        foot=about(1.0, 0.06),
        chest_depth=about(1.0 + 0.09 * mass, 0.05),
        belly=about(1.0 + 0.16 * mass, 0.07),
        thigh_width=about(1.0 + 0.10 * mass, 0.05),
        calf_width=about(1.0 + 0.06 * mass, 0.06),
        arm_width=about(1.0 + 0.09 * mass + 0.03 * frame, 0.06),
        seat=about(1.0 + 0.10 * mass - 0.05 * frame, 0.08),
        hair=(float(rng.choice([0.0, 0.2, 1.0], p=[0.5, 0.2, 0.3])), about(1.0, 0.12)),
        lean=about(4.0, 2.5) * degree,
        hunch=about(0.0, 0.011),
        abduction=about(7.0 + 1.5 * mass, 2.5) * degree,
        toe_out=about(7.0, 4.0) * degree,
        step_width=about(1.0, 0.18),
        elbow=about(14.0, 7.0) * degree,
        hip_swing=moved(1.0, 0.09),
        knee_swing=moved(1.0, 0.07),
        ankle_swing=moved(1.0, 0.15),
        arm_swing=moved(19.0, 7.0) * degree,
        arm_lag=moved(0.03, 0.025),
        pelvis_turn=moved(5.0, 1.8) * degree,
        thorax_turn=moved(6.0, 2.2) * degree,
        pelvis_list=about(3.0, 1.2) * degree,
        sway=about(0.011, 0.004),
        asymmetry=(moved(0.0, 0.03), moved(0.0, 0.12), moved(0.0, 0.008)),
        harmonics=tuple(moved(0.0, 1.3) * degree for _ in range(4)),  # type: ignore[arg-type]
        cadence=about(0.95, 0.075),
        bag=int(rng.integers(3)),
        coat_length=about(0.62, 0.22),
        coat_bulk=about(1.0, 0.12),
    )
    return dataclasses.replace(person, look=sample_look(seed, person.hair[0] > 0.5))


def _drawn(rng: np.random.Generator, factor: float, mean: float, spread: float) -> float:
    """A Gaussian number, cut off at 2.2 standard deviations of `factor` x `spread`."""
    return float(mean + factor * spread * np.clip(rng.normal(), -2.2, 2.2))


_NUMBERS = [field for field in dataclasses.fields(Identity) if field.name != "look"]


def vector(person: Identity) -> Float[np.ndarray, " 43"]:
    """An identity as numbers: the attributes in order, the bag as one of three."""
    values: list[float] = []
    for field in _NUMBERS:
        value = getattr(person, field.name)
        if field.name == "bag":
            value = tuple(float(value == kind) for kind in range(3))
        values += value if isinstance(value, tuple) else (value,)
    return np.array(values, np.float32)


def from_vector(numbers: Float[np.ndarray, " 43"]) -> Identity:
    """The inverse of `vector`, in a plain look; of numbers in between, the likeliest bag counts."""
    values, rest = {}, [float(number) for number in numbers]
    for field in _NUMBERS:
        size = _SIZES.get(field.name, 1)
        own, rest = rest[:size], rest[size:]
        many = int(np.argmax(own)) if field.name == "bag" else tuple(own)
        values[field.name] = own[0] if size == 1 else many
    return Identity(**values)  # type: ignore[arg-type]


def statistics() -> dict[str, Float[np.ndarray, " 43"]]:
    """Mean and standard deviation ("scale") of 2000 people's numbers, as `vector` orders them."""
    drawn = np.stack([vector(sample_identity(FIRST_UNSEEN + i)) for i in range(2000)])
    return {"mean": drawn.mean(0), "scale": drawn.std(0)}


# Which of an identity's numbers change their sign in a mirror.
SIDED = np.array(
    [field.name == "asymmetry" for field in _NUMBERS for _ in range(_SIZES.get(field.name, 1))]
)


@dataclasses.dataclass(frozen=True)
class Motion:
    """Deviation of one repetition from the person's mean walk."""

    start: float  # gait cycles at frame 0
    tempo: float  # factor on cadence
    swing: float  # factor on leg swing
    arm: float  # factor on arm swing
    lean: float  # radians added
    elbow: float  # radians added
    abduction: float  # radians added
    hunch: float  # statures added


MEAN_MOTION = Motion(0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)  # a person's mean walk


def sample_motion(seed: int, condition: str, repetition: int, spread: float = 1.0) -> Motion:
    """The repetition's own variation, a pure function of its arguments.

    Args:
      seed: decides the person.
      condition: one of `CONDITIONS`.
      repetition: number of the walk.
      spread: factor on how far repetitions differ; 1 is little.
    """
    rng = np.random.default_rng([seed, 0x2E, CONDITIONS.index(condition), repetition])
    start = rng.uniform()
    deviations = (0.02, 0.02, 0.06, 0.6, 1.5, 0.5, 0.002)
    drawn = (spread * deviation * rng.normal() for deviation in deviations)
    tempo, swing, arm, lean, elbow, abduction, hunch = drawn
    return Motion(
        start=start,
        tempo=1.0 + tempo,
        swing=1.0 + swing,
        arm=1.0 + arm,
        lean=np.radians(lean),
        elbow=np.radians(elbow),
        abduction=np.radians(abduction),
        hunch=hunch,
    )
