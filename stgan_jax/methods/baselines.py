"""Anonymisers without a training of their own, which trained ones are compared with."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from stgan_jax.methods import weights
from stgan_jax.methods.api import Anonymizer, Contours, Silhouettes, walk_keys
from stgan_jax.methods.stgan.settings import NoiseSettings

if TYPE_CHECKING:
    from stgan_jax.data.datasets.names import WalkName


class Unprotected(Anonymizer):
    """Leaves everybody as they are: what all others are compared with."""

    kind = name = "unprotected"
    codec = "padded"  # which is exact

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """The silhouettes as they are."""
        return silhouettes

    def unit_contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """The contours as they are."""
        return own


class LinearMix(Anonymizer):
    """(1 - share) of the own contour and `share` of one of G_N's, the same in all frames.

    What ST-GAN's losses ask of G (Eqs. 6 and 7, squared), without a network in between.
    """

    kind = "linear_mix"

    def __init__(self, source: str | os.PathLike, share: float):
        """Takes a noise GAN, as `weights.read` does, and a share from 0 to 1.

        Raises:
          InputError: there is no such noise GAN.
        """
        saved = weights.read(source)
        settings, params = weights.restored(saved, NoiseSettings)
        nets = settings.nets()
        self.name, self.codec = f"linear mix {share:g}", settings.data.codec
        self.digest = f"{saved.digest} {share:g}"

        @jax.jit
        def mix(own, keys):
            noise = jax.vmap(lambda key: nets.sample(params, key, 1)[0])(keys)
            return (1 - share) * own + share * noise[:, None]

        self._mix = mix

    def unit_contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """See `Anonymizer.unit_contours`."""
        return np.asarray(self._mix(own, walk_keys(walks, seed)))
