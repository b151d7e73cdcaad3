"""Walks of toy people for the yardstick's tests: one body for all, or numbers without a body."""

import dataclasses
import functools

import numpy as np

from stgan_jax.data import feed
from stgan_jax.data.batches import Gaits
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import detectors, gaits, numbers, run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import peers
from stgan_jax.shapes import contour, gait, identity

PHASES = 64


@functools.cache
def cycle():
    """One gait cycle of one person from the side, 64 silhouettes of 240x240."""
    fps = PHASES * identity.sample_identity(3).cadence * identity.sample_motion(3, "nm", 1).tempo
    return procedural.silhouettes(3, 90.0, frames=PHASES, fps=fps)


class CycleReader:
    """Knows `cycle` and says which of its frames each one is: a reader that never errs."""

    digest = "cycle"

    def read_gait(self, silhouettes):
        # Every sixth row and column tell the 64 apart.
        known, flat = (
            walk[:, ::6, ::6].reshape(len(walk), -1).astype(np.float32)
            for walk in (cycle(), silhouettes)
        )
        area = known.sum(1)
        nearest = (area - 2 * flat @ known.T).argmin(1)
        return gait.pose_vector(nearest / PHASES, np.full(len(flat), 90.0), 1.0, "nm", 6.0)


def _darkness(frames):
    """Scores frames by how much of them is dark: the detector's own score takes long."""
    return (frames < 100).mean((1, 2, 3))


INSTRUMENTS = run.Instruments(CycleReader(), detectors.Scorer("darkness", _darkness))


def rendered(subjects, views=(0, 90), walks=("nm-01", "nm-05", "cl-01")):
    """Walks of 50 frames by name, rendered once and in both codecs."""
    names = [
        WalkName(subject, *procedural.walk_name(walk), view, 50)
        for subject in subjects
        for view in views
        for walk in walks
    ]
    every = [
        procedural.silhouettes(name.subject, name.view, name.condition, name.repetition)
        for name in names
    ]
    sources = {}
    for codec in contour.CODECS:
        fixed = [contour.to_fixed(contour.encode(masks, codec), codec) for masks in every]
        sources[codec] = feed.array_source(Gaits(np.stack(fixed)))
    return Walks(names, sources)


def in_cadence(people, walks=6, spread=0.0, first=1):
    """Walks that differ by cadence alone: one body, starts drawn for each walk."""
    reader = CycleReader()

    def each():
        for i, cadence in enumerate(people):
            for repetition in range(1, walks + 1):
                rng = np.random.default_rng([first + i, repetition])
                pace = cadence * (1 + spread * rng.normal())
                phase = rng.uniform() + pace * np.arange(50) / 25
                name = WalkName(first + i, "nm", repetition, 90, 50)
                yield name, cycle()[(phase * PHASES).astype(int) % PHASES]

    return gaits.collect(each(), reader)


def numbered(subjects, seed=0, spread=0.3, views=(54, 90), walks=6):
    """Walks without a frame, whose numbers are a person's and a view's, and a little noise."""
    rng = np.random.default_rng(seed)
    rows = [(s, r, v) for s in subjects for r in range(1, walks + 1) for v in views]
    subject, repetition, view = np.array(rows).T
    means = {
        (s, v): np.random.default_rng([s, v]).normal(size=numbers.COUNT)
        for s in subjects
        for v in views
    }
    read = np.stack([means[s, v] for s, _, v in rows])
    read = read + spread * rng.normal(size=read.shape)
    count = len(rows)
    return gaits.AlignedGaits(
        [np.zeros((0, 352), np.uint8)] * count,
        np.zeros((count, 126, 126), np.uint8),
        subject,
        np.repeat("nm", count),
        repetition,
        view,
        read.astype(np.float32),
    )


def permuted(walks, seed=0):
    """The same with numbers given to anybody's walk."""
    order = np.random.default_rng(seed).permutation(len(walks))
    return dataclasses.replace(walks, numbers=walks.numbers[order])


def compared():
    """A peer among four rendered people: what an evaluation loads."""
    return peers.named(["mean"]), rendered(range(1, 5), views=(90,)), INSTRUMENTS
