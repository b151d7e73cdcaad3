"""A network on sets of silhouettes, as a present-day attacker would use it.

In the manner of GaitSet (Chao et al., AAAI 2019: frames as a set, horizontal strips) and
GaitBase (Fan et al., CVPR 2023: triplet loss, and cross-entropy after normalisation), by default
at a size that two CPU cores train in minutes. Unlike an energy image it keeps single frames apart.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.evaluation.recognizers import strips
from stgan_jax.evaluation.recognizers.strips import StripSettings


@dataclasses.dataclass(frozen=True)
class SetNetworkSettings(StripSettings):
    """See `StripSettings`."""


SIZES = strips.sizes(SetNetworkSettings(), frames=30)
_LEVELS = (1, 2, 4, 8, 16)  # strips of the horizontal pyramid, 31 together


class SetStrips(nn.Module):
    """Silhouettes of a walk, in any order -> a vector for each horizontal strip.

    Convolutions on each frame, the maximum over the frames, mean plus maximum of each strip of a
    pyramid (the whole, halves, to sixteenths), and a separate linear map for each strip.

    Attributes:
      channels, size: see `StripSettings`.
    """

    channels: Sequence[int] = (32, 64)
    size: int = 64

    @nn.compact
    def __call__(
        self, silhouettes: Float[Array, "B T 64 44"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B 31 N"]:
        batch, count = silhouettes.shape[:2]
        x = strips.FrameMaps(self.channels)(silhouettes.reshape(batch * count, 64, 44))
        x = x.reshape(batch, count, *x.shape[1:])
        there = (jnp.arange(count)[None] < lengths[:, None])[:, :, None, None, None]
        x = jnp.where(there, x, -jnp.inf).max(1)
        return strips.PerStrip(self.size)(strips.pooled(x, _LEVELS))


class SetNetwork(strips.StripRecognizer):
    """The trained recogniser."""

    name = "set_network"


def restore(settings: SetNetworkSettings, arrays: dict[str, Any]) -> SetNetwork:
    """Rebuilds a recogniser from its `arrays`."""
    return SetNetwork(SetStrips(tuple(settings.channels), settings.size), arrays["params"])


def train(gaits: AlignedGaits, seed: int, settings: SetNetworkSettings) -> SetNetwork:
    """Trains on walks of all conditions and views, see `strips.train`."""
    network = SetStrips(tuple(settings.channels), settings.size)
    params = strips.train(SetNetwork.name, network, _any_frames, gaits, seed, settings)
    return SetNetwork(network, params)


def _any_frames(
    length: int, rng: np.random.Generator, settings: SetNetworkSettings
) -> Int[np.ndarray, " T"]:
    return strips.some(np.arange(length), rng, settings.frames)
