"""Walks to learn from: silhouettes as they are recorded, with the gait and the person known."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from stgan_jax.data.walkers import habits, recording
from stgan_jax.shapes import identity
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.walker import Walker
from stgan_jax.util import children

# Nobody in a dataset, whose subjects are numbered from 1.
FIRST_PERSON = 1_000_000
_MANNER = 1.3  # people's ways of walking are more various than those of `sample_identity`
_SPREAD = 1.6  # and so are their walks


def walker(seed: int, frames: int) -> Walker:
    """Somebody's walk, a pure function of its arguments.

    Views are drawn from all around, some of a person who turns; tempo as videos of 10 to 30
    frames a second show it. One in eight takes small steps, down to none, and as many start or
    stop.

    Args:
      seed: decides everything.
      frames: T.
    """
    rng = np.random.default_rng([seed, 0x9A])
    person = identity.sample_identity(FIRST_PERSON + 2 * seed, _MANNER)
    condition = str(rng.choice(identity.CONDITIONS, p=[0.6, 0.2, 0.2]))
    motion = identity.sample_motion(FIRST_PERSON + 2 * seed, condition, 1, _SPREAD)
    view = rng.uniform(-180.0, 180.0)
    rate = -8.0 * np.sin(np.radians(view)) * rng.uniform(0.7, 1.3)  # degrees a second
    if rng.random() < 0.1:
        rate = rng.uniform(-60.0, 60.0)
    pitch = rng.normal(6.0, 0.7) if rng.random() < 0.5 else rng.uniform(0.0, 25.0)
    fps = recording.FPS if rng.random() < 0.5 else np.exp(rng.uniform(np.log(10), np.log(32)))
    time = np.arange(frames) / fps
    swing, tempo = np.ones(frames), np.ones(frames)
    kind = rng.random()
    if kind < 0.125:
        swing[:] = rng.uniform(0.0, 1.0)
        tempo[:] = rng.choice([0.0, rng.uniform(0.3, 1.0)])
    elif kind < 0.25:
        since = rng.choice([-1.0, 1.0]) * (time - rng.uniform(0.0, time[-1]))
        swing = tempo = np.clip(0.5 + since / rng.uniform(0.4, 1.2), 0.0, 1.0)
    phase = rng.uniform() + person.cadence * np.cumsum(tempo) / fps
    return Walker(person, Gait(phase, view + rate * time, swing, condition, float(pitch)), motion)


def recorded(seed: int, walk: Walker) -> UInt8[np.ndarray, "T 240 240"]:
    """A walk's silhouettes with the faults of a segmentation; every fifth walk's without.

    The faults are those of `recording.silhouettes`, some smaller, some with a shadow or a bite.

    Args:
      seed: decides the faults.
      walk: whose.
    """
    if seed % 5 == 4:
        return walk.silhouettes()
    rng = np.random.default_rng([seed, 0xFA])
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
    blends = habits.sample_blends(rng)
    lasting = recording.smooth_field(rng, (canvas, canvas))
    shadow, outlined = rng.random() < 0.12, rng.random() < 0.5
    slant, length = rng.uniform(-1.0, 1.0), rng.uniform(0.05, 0.2)
    out = []
    for contrast in recording.pictures(walk, height, canvas, 1.2, blends):
        if shadow:  # a flat one on the floor, as from a lamp above
            columns = np.flatnonzero(contrast.any(0))
            rows = np.flatnonzero(contrast.any(1))
            width = (columns[-1] - columns[0]) / 2
            centre = (columns[0] + columns[-1]) / 2 + slant * width
            axes = (round(width + length * height), max(1, round(0.02 * height)))
            cv2.ellipse(contrast, (round(centre), int(rows[-1])), axes, 0, 0, 360, 255, cv2.FILLED)
        mask = recording.segmented(contrast, camera, lasting, rng)
        if rng.random() < 0.03:  # a bite out of the body
            rows, columns = np.nonzero(mask)
            i = rng.integers(len(rows))
            radius = round(rng.uniform(0.02, 0.08) * height)
            bitten = mask.copy()
            cv2.circle(bitten, (int(columns[i]), int(rows[i])), radius, 0, cv2.FILLED)
            mask = bitten if bitten.any() else mask
        if outlined:  # as contours have it: one part, without holes
            edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            mask = np.zeros_like(mask)
            cv2.drawContours(mask, [max(edges, key=cv2.contourArea)], -1, 1, cv2.FILLED)
        out.append(mask)
    return recording.cropped(out)


def rendered(
    render: Callable[[tuple[int, int]], Any],
    count: int,
    frames: int,
    first: int = 0,
    workers: int | None = None,
) -> Iterator[Any]:
    """Renders examples on all cores, with a progress bar.

    Args:
      render: (seed, frames) -> an example; a function of a module, as processes are sent it.
      count: number of examples.
      frames: T of each.
      first: seed of the first.
      workers: processes, 1 for none; by default all cores if it is worth it.
    """
    if workers is None:  # a few are rendered sooner than processes are started
        workers = (os.cpu_count() or 1) if count * frames > 2000 else 1
    jobs = [(seed, frames) for seed in range(first, first + count)]
    results = children.mapped(render, jobs, workers, 8, __name__)
    yield from tqdm(results, "rendering walks", count, unit="walk")
