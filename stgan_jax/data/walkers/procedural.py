"""Procedural walkers: silhouette sequences of people who do not exist, from seeds.

The names follow CASIA-B: a subject walks in condition nm-01.., bg-01.. (bag) or
cl-01.. (coat), before cameras in 11 views, 000 (towards the camera) to 180 (away) by 18.
"""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8, UInt16
from tqdm import tqdm

from stgan_jax.shapes import body, contour, cropping, drawing, identity
from stgan_jax.shapes.walker import SCALE
from stgan_jax.util import children
from stgan_jax.util.errors import InputError

VIEWS = tuple(range(0, 181, 18))


def gait_phase(
    person: identity.Identity, motion: identity.Motion, frames: int, fps: float
) -> np.ndarray:
    """Gait phase (T,) in cycles of consecutive frames."""
    return motion.start + person.cadence * motion.tempo * np.arange(frames) / fps


def silhouettes(
    seed: int,
    view: float,
    condition: str = "nm",
    repetition: int = 1,
    frames: int = 50,
    fps: float = 25.0,
    pitch: float = 6.0,
    body_of: identity.Identity | None = None,
) -> UInt8[np.ndarray, "T 240 240"]:
    """Renders one walking sequence as silhouettes, cropped as a tracked person would be.

    Many arguments because each is a free choice about the walk or the camera.

    Args:
      seed: decides the person and the motion.
      view: degrees, see `drawing.project`; CASIA-B's views are `VIEWS`, mirrored ones are negative.
      condition: "nm", "bg" (bag) or "cl" (coat).
      repetition: which of the person's walks; each varies a little.
      frames: length T.
      fps: frames a second.
      pitch: degrees by which the camera looks down.
      body_of: another person, whose body and manner replace those of the seed's.

    Returns:
      1 where the person is, 0 elsewhere; a pure function of the arguments.
    """
    person = identity.sample_identity(seed)
    motion = identity.sample_motion(seed, condition, repetition)
    phase = gait_phase(person, motion, frames, fps)
    if body_of is not None:
        person = body_of
    spheres, _ = body.body_spheres(person, motion, condition, phase)
    projected = drawing.project(spheres, view, pitch)
    parts = [drawing.hulls(projected, part.spheres) for part in body.body_parts(person, condition)]
    polygons = [[SCALE * part[t] for part in parts] for t in range(frames)]
    extents = [np.concatenate(frame) for frame in polygons]
    boxes = np.array([[*points.min(0), *points.max(0)] for points in extents])
    out = np.zeros((frames, contour.SIZE, contour.SIZE), np.uint8)
    for t, (top, left, side) in enumerate(cropping.track_squares(boxes)):
        for polygon in polygons[t]:
            drawing.fill(out[t], (polygon - [top, left]) * (contour.SIZE / side), 1)
    return out


def contours(
    subjects: Sequence[int],
    views: Sequence[float],
    walks: Sequence[str],
    frames: int,
    codec: str,
    workers: int | None = None,
) -> UInt16[np.ndarray, "N T 4000"]:
    """Renders and encodes walks of many people, on all cores, with a progress bar.

    Args:
      subjects: seeds of the people.
      views: degrees.
      walks: CASIA-B's names, "nm-01", "bg-02", "cl-01" and so on.
      frames: T, the frames of each sequence.
      codec: one of `contour.CODECS`.
      workers: processes, 1 for none; by default all cores where it is worth it.

    Returns:
      fixed-point contours, ordered by subject, then view, then walk.

    Raises:
      InputError: a walk whose name is not of that form.
    """
    jobs = [
        (seed, view, *walk_name(walk), frames, codec)
        for seed in subjects
        for view in views
        for walk in walks
    ]
    out = np.empty((len(jobs), frames, contour.DIM), np.uint16)
    if workers is None:  # a few are rendered sooner than processes are started
        workers = (os.cpu_count() or 1) if len(jobs) * frames > 1000 else 1
    workers = min(workers, len(jobs))
    chunk = max(1, min(16, len(jobs) // workers))
    results = children.mapped(_encoded, jobs, workers, chunk, __name__)
    for i, encoded in enumerate(tqdm(results, "rendering walkers", len(jobs), unit="seq")):
        out[i] = encoded
    return out


def walk_name(name: str) -> tuple[str, int]:
    """Condition and repetition of a walk's name: ("cl", 2) of "cl-02"."""
    condition, _, number = name.partition("-")
    if condition not in identity.CONDITIONS or not number.isdigit():
        known = ", ".join(identity.CONDITIONS)
        raise InputError(f"walk {name!r}: write a condition ({known}) and a number, as in nm-01")
    return condition, int(number)


def _encoded(job: tuple) -> np.ndarray:
    seed, view, condition, repetition, frames, codec = job
    masks = silhouettes(seed, view, condition, repetition, frames)
    return contour.to_fixed(contour.encode(masks, codec))
