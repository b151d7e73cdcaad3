"""Training examples of the silhouette anonymiser: rendered pairs of complete silhouettes."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from stgan_jax.data.batches import Arrays
from stgan_jax.data.walkers import labelled
from stgan_jax.shapes import fields, identity
from stgan_jax.shapes.walker import Walker


class SilhouetteBatch(NamedTuple):
    """Walks of two people in the same poses.

    Attributes:
      own: fields of the source, in 1/127.
      wanted: fields of the other person, in 1/127.
      person: the other's standardised numbers, in 4/127 and cut off at 4, see `identity.vector`.
    """

    own: Int8[Arrays, "B T 80 80"]
    wanted: Int8[Arrays, "B T 80 80"]
    person: Int8[Arrays, "B 43"]

    def floats(
        self,
    ) -> tuple[Float[Arrays, "B T 80 80"], Float[Arrays, "B T 80 80"], Float[Arrays, "B 43"]]:
        """The fields in [-1, 1] and the numbers."""
        own, wanted, person = (x.astype(np.float32) / fields.STEPS for x in self)
        return own, wanted, 4.0 * person


def examples(
    count: int, frames: int, first: int = 0, workers: int | None = None
) -> tuple[SilhouetteBatch, dict[str, Any]]:
    """Renders pairs of complete silhouettes, with a progress bar.

    Args:
      count: how many walks.
      frames: T of each.
      first: seed of the first pair.
      workers: as in `labelled.rendered`.

    Returns:
      the examples, and "mean" and "scale" of identities' numbers.
    """
    people = identity.statistics()
    rows = [
        (own, wanted, _quantized((person - people["mean"]) / people["scale"]))
        for own, wanted, person in labelled.rendered(_pair, count, frames, first, workers)
    ]
    return SilhouetteBatch(*(np.stack(column) for column in zip(*rows, strict=True))), people


def _pair(job: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Somebody's fields, those of somebody else in the same gait, and who that is."""
    seed, frames = job
    own = labelled.walker(seed, frames)
    other = identity.sample_identity(labelled.FIRST_PERSON + 2 * seed + 1)
    wanted = Walker(other, own.gait)
    return (
        fields.encode(own.silhouettes()),
        fields.encode(wanted.silhouettes()),
        identity.vector(other),
    )


def _quantized(person: Float[np.ndarray, " I"]) -> Int8[np.ndarray, " I"]:
    return np.rint(np.clip(person, -4.0, 4.0) * (fields.STEPS / 4.0)).astype(np.int8)
