"""A network on silhouettes in their order: it sees what a set of frames does not, as cadence.

Features of each frame's strips, then convolutions over time within each strip, in the manner of
GaitPart (Fan et al., CVPR 2020), with the losses of `set_network`. By default every second frame
is looked at: at 25 frames a second a step lasts six or seven of them, enough to see its cadence.
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
class SequenceNetworkSettings(StripSettings):
    """See `StripSettings`.

    Attributes:
      walks, channels: see `StripSettings`.
      frames: length of the stretch of a walk of which every `stride`-th frame is looked at.
      temporal: channels of the layers over time.
      stride: frames from one that is looked at to the next.
    """

    walks: int = 4
    frames: int = 48
    channels: tuple[int, ...] = (16, 32)
    temporal: int = 64
    stride: int = 2


SIZES = strips.sizes(SequenceNetworkSettings(), frames=50, temporal=512, stride=1)
_STRIPS = 16
_TAPS, _DILATIONS = 5, (1, 2)  # together 13 frames that are looked at: a gait cycle


class SequenceStrips(nn.Module):
    """Consecutive silhouettes of a walk -> a vector for each of 16 horizontal strips.

    At a walk's ends its first and last frame stand in for what is not there.

    Attributes:
      channels, size: see `StripSettings`.
      temporal, stride: see `SequenceNetworkSettings`.
    """

    channels: Sequence[int] = (16, 32)
    size: int = 64
    temporal: int = 64
    stride: int = 2

    @nn.compact
    def __call__(
        self, silhouettes: Float[Array, "B T 64 44"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B 16 N"]:
        silhouettes = silhouettes[:, :: self.stride]
        lengths = -(-lengths // self.stride)
        batch, count = silhouettes.shape[:2]
        x = strips.FrameMaps(self.channels)(silhouettes.reshape(batch * count, 64, 44))
        x = strips.pooled(x, (_STRIPS,)).reshape(batch, count, _STRIPS, x.shape[-1])
        around = sum(_DILATIONS) * (_TAPS // 2)
        at = jnp.arange(-around, count + around)[None]
        at = jnp.clip(at, 0, lengths[:, None] - 1)[:, :, None, None]
        x = jnp.take_along_axis(x, at, 1)
        for dilation in _DILATIONS:
            conv = nn.Conv(
                self.temporal, (_TAPS, 1), padding="VALID", kernel_dilation=(dilation, 1)
            )
            x = nn.leaky_relu(conv(x))
        there = (jnp.arange(count)[None] < lengths[:, None])[:, :, None, None]
        mean = jnp.where(there, x, 0.0).sum(1) / lengths[:, None, None].astype(x.dtype)
        x = jnp.concatenate([mean, jnp.where(there, x, -jnp.inf).max(1)], -1)
        return strips.PerStrip(self.size)(x)


class SequenceNetwork(strips.StripRecognizer):
    """The trained recogniser."""

    name = "sequence_network"


def restore(settings: SequenceNetworkSettings, arrays: dict[str, Any]) -> SequenceNetwork:
    """Rebuilds a recogniser from its `arrays`."""
    return SequenceNetwork(_network(settings), arrays["params"])


def train(gaits: AlignedGaits, seed: int, settings: SequenceNetworkSettings) -> SequenceNetwork:
    """Trains on walks of all conditions and views, see `strips.train`."""
    network = _network(settings)
    params = strips.train(SequenceNetwork.name, network, _in_a_row, gaits, seed, settings)
    return SequenceNetwork(network, params)


def _network(settings: SequenceNetworkSettings) -> SequenceStrips:
    chosen = settings.size, settings.temporal, settings.stride
    return SequenceStrips(tuple(settings.channels), *chosen)


def _in_a_row(
    length: int, rng: np.random.Generator, settings: SequenceNetworkSettings
) -> Int[np.ndarray, " T"]:
    """From a random frame on; the last one again and again where a walk is too short."""
    first = int(rng.integers(max(0, length - settings.frames) + 1))
    return np.minimum(first + np.arange(settings.frames), length - 1)
