"""Training examples of reading: walks as they are recorded, and whose and which they are."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float16, Int8

from stgan_jax.data.batches import Arrays
from stgan_jax.data.walkers import labelled
from stgan_jax.methods.retarget import networks
from stgan_jax.shapes import gait, identity


class ReadingBatch(NamedTuple):
    """Walks with labels; P = 12, I = 43.

    Attributes:
      cells: silhouettes as they are recorded, see `networks.to_cells`.
      pose: see `gait.pose_vector`.
      person: standardised numbers of the walker, see `identity.vector`.
    """

    cells: Int8[Arrays, "B T 40 40"]
    pose: Float[Arrays, "B T P"] | Float16[Arrays, "B T P"]
    person: Float[Arrays, "B I"] | Float16[Arrays, "B I"]

    def mirrored(self, which: Bool[Arrays, " B"]) -> "ReadingBatch":
        """Some of the walks from the other side: left and right, and their steps, exchanged.

        Note: who carries a hand bag, carries it on the right also then.
        """
        sides = jnp.where(which[:, None], -1.0, 1.0)
        cells = jnp.where(which[:, None, None, None], self.cells[..., ::-1], self.cells)
        pose = jnp.where(gait.SIDED, sides[..., None], 1.0) * self.pose
        return ReadingBatch(cells, pose, jnp.where(identity.SIDED, sides, 1.0) * self.person)

    def floats(self) -> "ReadingBatch":
        """With numbers as float32."""
        return ReadingBatch(self.cells, *(x.astype(np.float32) for x in (self.pose, self.person)))


def examples(
    count: int, frames: int, first: int = 0, workers: int | None = None
) -> tuple[ReadingBatch, dict[str, Any]]:
    """Renders walks, on all cores, with a progress bar.

    Args:
      count: how many walks.
      frames: T of each.
      first: seed of the first.
      workers: as in `labelled.rendered`.

    Returns:
      the examples as stored, and "mean" and "scale" of identities' numbers.
    """
    people = identity.statistics()
    out = ReadingBatch(
        np.empty((count, frames, networks.SIDE, networks.SIDE), np.int8),
        np.empty((count, frames, gait.SIZE), np.float16),
        np.empty((count, identity.SIZE), np.float16),
    )
    for i, (cells, pose, person) in enumerate(
        labelled.rendered(_example, count, frames, first, workers)
    ):
        out.cells[i], out.pose[i] = cells, pose
        out.person[i] = (person - people["mean"]) / people["scale"]
    return out, people


def _example(job: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    seed, frames = job
    walk = labelled.walker(seed, frames)
    cells = networks.to_cells(labelled.recorded(seed, walk))
    return cells, walk.gait.vector(), identity.vector(walk.person)
