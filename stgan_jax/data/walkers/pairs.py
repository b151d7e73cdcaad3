"""Pairs to learn retargeting from: the same walk by two people.

Phase, tempo, view and condition are the same, all else differs. The first person's silhouettes have
the faults of a segmentation (`recording.segmented`, and worse), the second's are ideal.
"""

import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int8, UInt8
from tqdm import tqdm

from stgan_jax.data.walkers import recording
from stgan_jax.shapes import body, contour, cropping, drawing, fields, gait, identity

FIRST_UNSEEN = identity.FIRST_UNSEEN  # seed of the first pair that is never trained on
# Nobody in a dataset, whose subjects are numbered from 1.
FIRST_PERSON = 1_000_000


class Pair(NamedTuple):
    """One walk of two people.

    Attributes:
      own: silhouettes of the one, badly segmented, or their fields.
      other: silhouettes of the other, ideal, or their fields.
      own_person, other_person: see `identity.vector`.
      pose: moment, view and swing of each frame, see `gait.pose_vector`.
      angles: hips and knees of the other, see `body.leg_angles`.
    """

    own: UInt8[np.ndarray, "T 240 240"] | Int8[np.ndarray, "T 80 80"]
    other: UInt8[np.ndarray, "T 240 240"] | Int8[np.ndarray, "T 80 80"]
    own_person: Float[np.ndarray, " I"]
    other_person: Float[np.ndarray, " I"]
    pose: Float[np.ndarray, "T 12"]
    angles: Float[np.ndarray, "T 4"]


def pair(seed: int, frames: int, complete: bool = False) -> Pair:
    """Renders a pair, a pure function of its arguments.

    Views are drawn from all around, some of a person who turns; tempo as videos of 10 to 30
    frames a second show it; one in eight takes small steps, down to none. The second person walks
    in her mean manner: how her walks differ does not show in what the networks read.

    Args:
      seed: decides everything.
      frames: T.
      complete: whether the first person's silhouettes are ideal, too; without it every fifth
        pair's are, as some segmentations are good.
    """
    rng = np.random.default_rng([seed, 0x9A])
    people = [identity.sample_identity(FIRST_PERSON + 2 * seed + i) for i in (0, 1)]
    condition = str(rng.choice(identity.CONDITIONS, p=[0.6, 0.2, 0.2]))
    view = rng.uniform(-180.0, 180.0)
    rate = -8.0 * np.sin(np.radians(view)) * rng.uniform(0.7, 1.3)  # degrees a second
    if rng.random() < 0.1:
        rate = rng.uniform(-60.0, 60.0)
    pitch = rng.normal(6.0, 0.7) if rng.random() < 0.5 else rng.uniform(0.0, 25.0)
    fps = recording.FPS if rng.random() < 0.5 else np.exp(rng.uniform(np.log(10), np.log(32)))
    swing, tempo = 1.0, 1.0
    if rng.random() < 0.125:
        swing = rng.uniform(0.0, 1.0)
        tempo = rng.choice([0.0, rng.uniform(0.3, 1.0)])
    start, cadence = rng.uniform(), people[0].cadence
    time = np.arange(frames) / fps
    phase = start + cadence * tempo * time
    course = view + rate * time
    walks = []
    for number, person in enumerate(people):
        spread = 0.0 if number else recording.MOTION_SPREAD
        own = identity.sample_motion(FIRST_PERSON + 2 * seed + number, condition, 1, spread)
        still = {"swing": own.swing * swing, "arm": own.arm * swing}
        if swing < 1.0:  # knees, ankles and the pelvis go along
            factor = max(swing, 0.02)
            person = dataclasses.replace(
                person,
                knee_swing=person.knee_swing * factor,
                ankle_swing=person.ankle_swing * factor,
                pelvis_turn=person.pelvis_turn * factor,
                thorax_turn=person.thorax_turn * factor,
            )
        motion = dataclasses.replace(own, start=start, **still)
        spheres, _ = body.body_spheres(person, motion, condition, phase)
        projected = drawing.project(spheres, course, pitch)
        walks.append([drawing.hulls(projected, p.spheres) for p in body.body_parts(condition)])
    vectors = [identity.vector(person) for person in people]
    ragged = not complete and seed % 5 < 4
    return Pair(
        _recorded(walks[0], frames, condition, rng) if ragged else _ideal(walks[0], frames),
        _ideal(walks[1], frames),
        vectors[0],
        vectors[1],
        gait.pose_vector(phase, course, swing, condition, pitch),
        body.leg_angles(person, motion, phase).astype(np.float32),  # the other's, who came last
    )


def _ideal(parts: list, frames: int) -> UInt8[np.ndarray, "T 240 240"]:
    scale = 1000.0
    points = [np.concatenate([part[t] for part in parts]) * scale for t in range(frames)]
    boxes = np.array([[*frame.min(0), *frame.max(0)] for frame in points])
    out = np.zeros((frames, contour.SIZE, contour.SIZE), np.uint8)
    for t, (top, left, side) in enumerate(cropping.track_squares(boxes)):
        for part in parts:
            drawing.fill(out[t], (part[t] * scale - [top, left]) * (contour.SIZE / side), 1)
    return out


def _recorded(
    parts: list, frames: int, condition: str, rng: np.random.Generator
) -> UInt8[np.ndarray, "T 240 240"]:
    """With the faults of `recording.silhouettes`; some smaller, some with a shadow or a bite."""
    camera = recording.Camera(
        yaw=0.0,
        drift=0.0,
        pitch=0.0,
        height=float(np.exp(rng.uniform(np.log(45.0), np.log(180.0)))),
        bias=rng.normal(0.0, 0.06),
        patchy=abs(rng.normal(0.0, 0.1)),
        grain=rng.uniform(0.02, 0.18),
        floor=rng.beta(0.6, 2.4),
    )
    height = camera.height
    canvas = round(1.5 * height)
    corner = np.array([-1.2 * height, -canvas / 2], np.float32)
    lasting = recording.smooth_field(rng, (canvas, canvas))
    shadow, largest = rng.random() < 0.12, rng.random() < 0.5
    slant, length = rng.uniform(-1.0, 1.0), rng.uniform(0.05, 0.2)
    out = []
    for t in range(frames):
        ideal = np.zeros((canvas, canvas), np.uint8)
        for part in parts:
            drawing.fill(ideal, height * part[t] - corner, 1)
        if shadow:  # a flat one on the floor, as from a lamp above
            columns = np.flatnonzero(ideal.any(0))
            rows = np.flatnonzero(ideal.any(1))
            width = (columns[-1] - columns[0]) / 2
            centre = (columns[0] + columns[-1]) / 2 + slant * width
            axes = (round(width + length * height), max(1, round(0.02 * height)))
            cv2.ellipse(ideal, (round(centre), int(rows[-1])), axes, 0, 0, 360, 1, cv2.FILLED)
        mask = recording.segmented(ideal, camera, lasting, rng)
        if rng.random() < 0.03:  # a bite out of the body
            rows, columns = np.nonzero(mask)
            i = rng.integers(len(rows))
            radius = round(rng.uniform(0.02, 0.08) * height)
            bitten = mask.copy()
            cv2.circle(bitten, (int(columns[i]), int(rows[i])), radius, 0, cv2.FILLED)
            mask = bitten if bitten.any() else mask
        if largest:  # as contours have it
            _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
            mask = (labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)
        out.append(mask)
    boxes = np.array([recording.box(mask) for mask in out])
    squares = cropping.track_squares(boxes)
    return np.stack(
        [cropping.crop_mask(mask, square) for mask, square in zip(out, squares, strict=True)]
    )


def rendered(
    count: int, frames: int, first: int = 0, workers: int | None = None, complete: bool = False
) -> Iterator[Pair]:
    """Renders pairs on all cores, with a progress bar, their silhouettes as fields (T, 80, 80).

    Args:
      count: number of pairs.
      frames: T of each.
      first: seed of the first pair.
      workers: processes, 1 for none; by default all cores if it is worth it.
      complete: whether both silhouettes are ideal.
    """
    if workers is None:  # a few are rendered sooner than processes are started
        workers = (os.cpu_count() or 1) if count * frames > 2000 else 1
    jobs = [(seed, frames, complete) for seed in range(first, first + count)]
    with contextlib.ExitStack() as stack:
        results: Iterable = map(_encoded, jobs)
        if workers > 1:
            # Forked children of a process that runs JAX can hang: spawn.
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, context))
            results = pool.map(_encoded, jobs, chunksize=8)
        yield from tqdm(results, "rendering pairs", count, unit="walk")


def _encoded(job: tuple[int, int, bool]) -> Pair:
    rendered = pair(*job)
    return rendered._replace(own=fields.encode(rendered.own), other=fields.encode(rendered.other))
