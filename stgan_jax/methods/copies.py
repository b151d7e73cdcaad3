"""Anonymised copies of datasets: what changes a walk, in whatever process a copy is built."""

import dataclasses
import functools

import numpy as np
from jaxtyping import UInt8

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.methods import api, catalog


@dataclasses.dataclass(frozen=True)
class WalkChange:
    """Anonymises a dataset's walks one by one; for `data.datasets.built.build_copy`.

    Attributes:
      checkpoint: argument of `catalog.load`.
      seed: decides the keys, with a walk's name, as in an evaluation (`api.walk_keys`).
      digest: the model's, so that an interrupted copy does not go on with another one.
    """

    checkpoint: str
    seed: int
    digest: str

    @classmethod
    def by(cls, checkpoint: str, seed: int) -> "WalkChange":
        """Raises `InputError` if there is no such model, or it cannot anonymise single walks."""
        return cls(checkpoint, seed, _loaded(checkpoint).digest)

    def __call__(
        self, walk: WalkName, silhouettes: UInt8[np.ndarray, "T 240 240"]
    ) -> UInt8[np.ndarray, "T 240 240"]:
        """The anonymised walk, 0 or 1."""
        [key] = api.walk_keys([walk], self.seed)
        return _loaded(self.checkpoint).from_view(walk.view)(silhouettes, key)


@functools.cache
def _loaded(checkpoint: str) -> api.Anonymizer:
    model = catalog.load(checkpoint)
    model.require_video()
    return model
