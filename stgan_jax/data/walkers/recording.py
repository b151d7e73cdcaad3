"""Walkers as a laboratory records them: an imperfect camera position and imperfect silhouettes.

`procedural.silhouettes` draws ideal ones. CASIA-B's come from eleven cameras past which people
walk, one after the other, and from background difference at some 100 pixels a person: the
view drifts as they pass, feet melt into their shadow, clothes into the wall. How strong all
this is has been set by `benchmarks/calibration.py`.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import body, cropping, drawing, identity

FPS = 25.0
# Repetitions differ by so many times what `identity.sample_motion` gives ideal walkers.
MOTION_SPREAD = 1.6


@dataclasses.dataclass(frozen=True)
class Camera:
    """Camera and segmentation of one sequence, drawn for each walk and view."""

    yaw: float  # degrees off the nominal view, in mid-sequence
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
    return Camera(
        yaw=rng.normal(0.0, 1.5),
        # Passing sideways turns the person to the camera fastest.
        drift=-8.0 * np.sin(np.radians(view)) * rng.uniform(0.7, 1.3),
        pitch=rng.normal(6.0, 0.7),
        height=rng.uniform(95.0, 150.0),
        bias=rng.normal(0.0, 0.045),
        patchy=abs(rng.normal(0.0, 0.075)),
        grain=rng.uniform(0.05, 0.15),
        floor=rng.beta(0.6, 2.4),
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
    person = identity.sample_identity(seed)
    motion = identity.sample_motion(seed, condition, repetition, MOTION_SPREAD)
    count = length(seed, view, condition, repetition) if frames is None else frames
    phase = procedural.gait_phase(person, motion, count, FPS)
    spheres, _ = body.body_spheres(person, motion, condition, phase)
    time = (np.arange(count) - (count - 1) / 2) / FPS
    projected = drawing.project(spheres, view + camera.yaw + camera.drift * time, camera.pitch)
    parts = [drawing.hulls(projected, part.spheres) for part in body.body_parts(condition)]
    canvas = round(1.3 * camera.height)  # square, the body's ground point below its middle
    corner = np.array([-1.12 * camera.height, -canvas / 2], np.float32)
    lasting = smooth_field(rng, (canvas, canvas))
    faulty = []
    for t in range(count):
        ideal = np.zeros((canvas, canvas), np.uint8)
        for part in parts:
            drawing.fill(ideal, camera.height * part[t] - corner, 1)
        faulty.append(segmented(ideal, camera, lasting, rng))
    boxes = np.array([box(mask) for mask in faulty])
    squares = cropping.track_squares(boxes)
    return np.stack(
        [cropping.crop_mask(mask, square) for mask, square in zip(faulty, squares, strict=True)]
    )


def length(seed: int, view: float, condition: str, repetition: int) -> int:
    """Frames of a recording: 55 to 90, and 20 to 49 in one of twenty, as people are lost."""
    rng = generator(seed, view, condition, repetition, 0x1E)
    return int(rng.integers(20, 50) if rng.random() < 0.05 else rng.integers(55, 91))


def generator(seed: int, view: float, condition: str, repetition: int, use: int):
    """Random numbers of one sequence, for one use of them."""
    number = identity.CONDITIONS.index(condition)
    return np.random.default_rng([seed, round(view * 10) % 3600, number, repetition, use])


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], cell: int = 9
) -> Float[np.ndarray, "H W"]:
    """Smooth noise of about unit variance whose bumps are `cell` pixels wide."""
    height, width = shape
    coarse = rng.standard_normal((height // cell + 2, width // cell + 2), np.float32)
    fine = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return fine[:height, :width]


def segmented(
    ideal: UInt8[np.ndarray, "H W"],
    camera: Camera,
    lasting: Float[np.ndarray, "H W"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "H W"]:
    """What background difference makes of a person: eaten and swollen outlines, holes, no feet.

    Args:
      ideal: the person's true pixels.
      camera: strength of each fault.
      lasting: noise by `smooth_field`: where clothes resemble the background in all frames.
      rng: draws the faults that differ from frame to frame.
    """
    evidence = cv2.GaussianBlur(ideal.astype(np.float32), (0, 0), 1.5)
    grain = smooth_field(rng, ideal.shape, 4)
    found = evidence + camera.patchy * lasting * evidence + camera.grain * grain > 0.5 + camera.bias
    found &= evidence > 0.02  # noise elsewhere is cleaned away
    if rng.random() < camera.floor:
        rows = np.flatnonzero(ideal.any(1))
        lost = round(rng.uniform(0.01, 0.05) * (rows[-1] - rows[0]))
        found[rows[-1] - lost :] = False
    # A person whom the segmentation misses altogether would not be in a dataset.
    return found.view(np.uint8) if found.any() else ideal


def box(mask: UInt8[np.ndarray, "H W"]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what is set, bottom and right exclusive."""
    left, top, width, height = cv2.boundingRect(mask)
    return top, left, top + height, left + width
