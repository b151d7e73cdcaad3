"""Walkers as a laboratory records them: an imperfect camera position and imperfect silhouettes.

`procedural.silhouettes` draws ideal ones. CASIA-B's come from eleven cameras past which people
walk, one after the other, and from background difference at some 100 pixels a person: the
view drifts as they pass, feet melt into their shadow, clothes into the wall. How strong all
this is has been set by `benchmarks/calibration.py`. What a person keeps is in `habits`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.data.walkers import habits
from stgan_jax.shapes import cropping, drawing, identity
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.walker import Walker

FPS = 25.0
# Repetitions differ by so many times what `identity.sample_motion` gives ideal walkers.
MOTION_SPREAD = 0.8
_YAW = 1.5  # degrees, the deviation of the view from walk to walk
_SAME = 0.9  # share of the segmentation's faults that are alike in all walks of one condition


@dataclasses.dataclass(frozen=True)
class Camera:
    """Camera and segmentation of one sequence, drawn for each walk and view."""

    yaw: float  # degrees off the nominal view in mid-sequence, the person's path included
    drift: float  # degrees a second by which the view changes as the person passes
    pitch: float  # degrees by which the camera looks down
    height: float  # pixels a stature
    bias: float  # threshold of the segmentation: positive eats the body, negative the background
    patchy: float  # how much clothes resemble the background, in places
    grain: float  # noise of the outline from frame to frame
    floor: float  # share of the frames in which feet melt into the floor


def sample_camera(seed: int, view: float, condition: str, repetition: int) -> Camera:
    """A pure function of its arguments."""
    rng = generator(seed, view, condition, repetition, 0xCA)
    own = _in_a_row(seed, view, condition, 0xCA)
    return Camera(
        yaw=habits.sample_habits(seed).path + rng.normal(0.0, _YAW),
        # Passing sideways turns the person to the camera fastest.
        drift=-8.0 * np.sin(np.radians(view)) * rng.uniform(0.7, 1.3),
        pitch=rng.normal(6.0, 0.7),
        height=rng.uniform(95.0, 150.0),
        bias=rng.normal(0.0, 0.055 * np.sqrt(1 - _SAME)) + own.normal(0.0, 0.055 * np.sqrt(_SAME)),
        patchy=abs(own.normal(0.0, 0.2)),
        grain=rng.uniform(0.03, 0.09),
        floor=(1 - _SAME) * rng.beta(0.6, 2.4) + _SAME * own.beta(0.6, 2.4),
    )


def silhouettes(
    seed: int,
    view: float,
    condition: str = "nm",
    repetition: int = 1,
    frames: int | None = None,
) -> UInt8[np.ndarray, "T 240 240"]:
    """One walk as recorded and segmented, cropped as a tracked person would be.

    Args:
      seed: decides the person and the motion.
      view: nominal, degrees.
      condition: "nm", "bg" (bag) or "cl" (coat).
      repetition: which of the person's walks. Its motion is the same in all views.
      frames: length T; the recording's own by default, see `length`.

    Returns:
      1 where the segmentation finds the person, 0 elsewhere; a pure function of the arguments.
    """
    camera = sample_camera(seed, view, condition, repetition)
    rng = generator(seed, view, condition, repetition, 0xF0)
    count = length(seed, view, condition, repetition) if frames is None else frames
    walk = walker(seed, turned(view, camera, count), camera.pitch, condition, repetition)
    canvas = round(1.3 * camera.height)  # square, the body's ground point below its middle
    lasting = _lasting(_in_a_row(seed, view, condition, 0xF0), rng, canvas)
    blends = habits.sample_habits(seed).blends
    faulty = [
        segmented(contrast, camera, lasting, rng)
        for contrast in pictures(walk, camera.height, canvas, 1.12, blends)
    ]
    return cropped(faulty)


def cropped(masks: Sequence[UInt8[np.ndarray, "H W"]]) -> UInt8[np.ndarray, "T 240 240"]:
    """A walk's masks, 0 or 1, none empty, cropped as a tracked person would be."""
    boxes = np.array([cropping.box(mask) for mask in masks])
    return cropping.crop_masks(masks, cropping.track_squares(boxes))


def turned(view: float, camera: Camera, frames: int) -> Float[np.ndarray, " T"]:
    """Degrees from which a camera at a nominal view sees the walker in each frame."""
    time = (np.arange(frames) - (frames - 1) / 2) / FPS
    return view + camera.yaw + camera.drift * time


def walker(
    seed: int, view: Float[np.ndarray, " T"], pitch: float, condition: str, repetition: int
) -> Walker:
    """Who walks in a recording, with whatever they carry out of habit.

    Args:
      seed: decides the person.
      view: degrees, of each frame.
      pitch: degrees by which the camera looks down.
      condition: one of `identity.CONDITIONS`.
      repetition: which of the person's walks.
    """
    motion = habits.motion(seed, condition, repetition, MOTION_SPREAD)
    phase = habits.phase(seed, motion, condition, repetition, len(view), FPS)
    gait = Gait(phase, view, np.ones(len(view)), habits.carried(seed, condition), pitch)
    return Walker(identity.sample_identity(seed), gait, motion)


def pictures(
    walk: Walker, height: float, canvas: int, above: float, blends: Mapping[str, float]
) -> Iterator[UInt8[np.ndarray, "H W"]]:
    """How much each pixel of a square differs from the background: 255 at most, 0 beside the body.

    Args:
      walk: whose.
      height: pixels a stature.
      canvas: the square's side.
      above: statures from the ground point below the pelvis to its upper edge.
      blends: garment -> share by which it differs less.
    """
    parts = [drawing.hulls(walk.projected, part.spheres) for part in walk.parts]
    values = [round(255 * (1.0 - blends.get(part.garment, 0.0))) for part in walk.parts]
    corner = np.array([-above * height, -canvas / 2], np.float32)
    for t, order in enumerate(np.argsort(walk.depth, axis=0).T):
        image = np.zeros((canvas, canvas), np.uint8)
        for i in order:
            drawing.fill(image, height * parts[i][t] - corner, values[i])
        yield image


def length(seed: int, view: float, condition: str, repetition: int) -> int:
    """Frames of a recording: 55 to 90, and 20 to 49 in one of twenty, as people are lost."""
    rng = generator(seed, view, condition, repetition, 0x1E)
    return int(rng.integers(20, 50) if rng.random() < 0.05 else rng.integers(55, 91))


def generator(seed: int, view: float, condition: str, repetition: int, use: int):
    """Random numbers of one sequence, for one use of them."""
    number = identity.CONDITIONS.index(condition)
    return np.random.default_rng([seed, round(view * 10) % 3600, number, repetition, use])


def _in_a_row(seed: int, view: float, condition: str, use: int):
    """Random numbers of all walks of one person in one condition, which are filmed in a row."""
    return generator(seed, view, condition, 0, use)


def _lasting(
    own: np.random.Generator, rng: np.random.Generator, canvas: int
) -> Float[np.ndarray, "H H"]:
    """Where clothes resemble the background: nearly the same places of the body in each walk."""
    places = smooth_field(own, (160, 160), 11)  # of the same size on a body of any height
    places = cv2.resize(places, (canvas, canvas), interpolation=cv2.INTER_CUBIC)
    return np.sqrt(_SAME) * places + np.sqrt(1 - _SAME) * smooth_field(rng, (canvas, canvas))


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], cell: int = 9
) -> Float[np.ndarray, "H W"]:
    """Smooth noise of about unit variance whose bumps are `cell` pixels wide."""
    height, width = shape
    coarse = rng.standard_normal((height // cell + 2, width // cell + 2), np.float32)
    fine = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return fine[:height, :width]


def segmented(
    contrast: UInt8[np.ndarray, "H W"],
    camera: Camera,
    lasting: Float[np.ndarray, "H W"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "H W"]:
    """What background difference makes of a person: eaten and swollen outlines, holes, no feet.

    Args:
      contrast: how much the person's pixels differ from the background, see `pictures`.
      camera: strength of each fault.
      lasting: noise by `smooth_field`: where clothes resemble the background in all frames.
      rng: draws the faults that differ from frame to frame.
    """
    evidence = cv2.GaussianBlur(contrast.astype(np.float32) / 255, (0, 0), 1.5)
    grain = smooth_field(rng, contrast.shape, 4)
    found = evidence + camera.patchy * lasting * evidence + camera.grain * grain > 0.5 + camera.bias
    found &= evidence > 0.02  # noise elsewhere is cleaned away
    if rng.random() < camera.floor:
        rows = np.flatnonzero(contrast.any(1))
        lost = round(rng.uniform(0.01, 0.05) * (rows[-1] - rows[0]))
        found[rows[-1] - lost :] = False
    # A person whom the segmentation misses altogether would not be in a dataset.
    return (found if found.any() else contrast > 0).view(np.uint8)
