"""The silhouette-to-silhouette anonymiser at work (in the manner of APSIPA 2019)."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax import fields, weights
from stgan_jax.retarget import stranger
from stgan_jax.settings import SilhouetteSettings
from stgan_jax.steps import used

_CHUNK = 64  # frames: walks are filled up to a multiple, so that few shapes are compiled


class SilhouetteAnonymizer:
    """Draws each silhouette of a walk as somebody else's.

    Attributes:
      settings: of the networks' training.
      params: of the networks.
    """

    context: ClassVar[int] = 0
    alpha: ClassVar[float] = 1.0

    def __init__(self, settings: SilhouetteSettings, params: Mapping[str, Any]):
        """Takes what `weights.load` or a checkpoint gives."""
        self.settings, self.params = settings, dict(params)
        self._nets = settings.nets()
        self._run = jax.jit(self._run_plain)

    @classmethod
    def load(cls, source: str | os.PathLike) -> "SilhouetteAnonymizer":
        """Of the weights that come with the package, by name, or of a training's folder.

        Raises:
          InputError: there is no such thing, or it is of another kind of model.
        """
        return cls(*weights.trained(source, SilhouetteSettings))

    def __call__(
        self, silhouettes: UInt8[np.ndarray, "T 240 240"], key: jax.Array
    ) -> UInt8[np.ndarray, "T 240 240"]:
        """One person's walk as another person's, frame by frame.

        Args:
          silhouettes: non-zero where the person is; whole or with parts missing.
          key: decides who the other is.

        Returns:
          1 inside, 0 outside: the largest part of each frame, without holes. A frame without
          anybody stays empty.
        """
        out = np.zeros(silhouettes.shape, np.uint8)
        seen = np.flatnonzero(silhouettes.any((1, 2)))
        if len(seen):
            out[seen] = fields.decode(self.drawn(silhouettes[seen], key))
        return out

    def drawn(
        self, silhouettes: UInt8[np.ndarray, "T 240 240"], key: jax.Array
    ) -> Float[np.ndarray, "T 80 80"]:
        """What the decoder writes: fields, positive inside, with all their parts."""
        encoded = fields.encode(silhouettes)
        out = np.empty(encoded.shape, np.float32)
        noise = jnp.asarray(stranger(self.params["people"], key), jnp.float32)[None]
        for start in range(0, len(encoded), _CHUNK):
            part = encoded[start : start + _CHUNK]
            filled = np.zeros((_CHUNK, *part.shape[1:]), np.int8)
            filled[: len(part)] = part
            made = self._run(used(self.params), filled, noise)
            out[start : start + len(part)] = np.asarray(made)[: len(part)]
        return out

    def _run_plain(self, gen, encoded, noise):
        field = encoded.astype(jnp.float32) / fields.STEPS
        return self._nets.made(gen, field[None], noise)[0]
