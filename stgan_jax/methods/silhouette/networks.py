"""Silhouette-to-silhouette anonymisation: DCGAN's networks with an encoder before them.

In the manner of APSIPA 2019, whose pages are not at hand: Colour 2020 says of it that its
anonymiser works on silhouettes, is based on DCGAN and is trained on complete ones, so that its
output is unbroken whatever the input is. Sizes are our choice.

Note: a silhouette is a coarse signed distance field in [-1, 1] (`shapes.fields`), which is what
DCGAN's tanh writes. Note: the noise is not a free Gaussian, which such a network learns to ignore,
but the numbers of somebody who does not exist (`shapes.identity`), standardised.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops.folding import folded, unfolded
from stgan_jax.shapes.fields import SIDE

_LEAST = SIDE // 16  # cells a side of the smallest maps


class Encoder(nn.Module):
    """Fields (N, 80, 80) -> codes (N, C)."""

    size: int
    widths: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, field: Float[Array, "N S S"]) -> Float[Array, "N C"]:
        return nn.Dense(self.size, dtype=self.dtype)(_narrowed(field, self.widths, self.dtype))


class Decoder(nn.Module):
    """Codes (N, C) and noise (N, Z) -> fields (N, 80, 80) in [-1, 1]."""

    widths: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(
        self, code: Float[Array, "N C"], noise: Float[Array, "N Z"]
    ) -> Float[Array, "N S S"]:
        x = jnp.concatenate([code, noise], -1)
        x = nn.relu(nn.Dense(256, dtype=self.dtype)(x))
        x = nn.relu(nn.Dense(_LEAST * _LEAST * self.widths[-1], dtype=self.dtype)(x))
        x = x.reshape(-1, _LEAST, _LEAST, self.widths[-1])
        for width in reversed(self.widths[:-1]):
            x = nn.relu(unfolded(nn.Dense(4 * width, dtype=self.dtype)(x)))
            x = nn.relu(nn.Conv(width, (3, 3), dtype=self.dtype)(x))
        x = unfolded(nn.Conv(4, (3, 3), dtype=self.dtype)(x))[..., 0]
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """D_S: fields (B, T, 80, 80) -> logits (B, T) of being a walker's."""

    widths: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, field: Float[Array, "B T S S"]) -> Float[Array, "B T"]:
        batch, frames = field.shape[:2]
        x = _narrowed(field.reshape(-1, *field.shape[2:]), self.widths, self.dtype)
        return nn.Dense(1, dtype=self.dtype)(x).reshape(batch, frames).astype(jnp.float32)


def _narrowed(field: Array, widths: Sequence[int], dtype: Any) -> Array:
    """DCGAN's strided convolutions and leaky ReLU, inside a compact module."""
    x = field[..., None]
    for number, width in enumerate(widths):
        x = folded(x)
        if number:
            x = nn.leaky_relu(nn.Dense(width, dtype=dtype)(x), 0.2)
        x = nn.leaky_relu(nn.Conv(width, (3, 3), dtype=dtype)(x), 0.2)
    return x.reshape(len(x), -1)


@dataclasses.dataclass(frozen=True)
class SilhouetteNets:
    """The generator's encoder and decoder, and D_S."""

    encoder: Encoder
    decoder: Decoder
    spatial: Discriminator

    def init(self, key: jax.Array, people: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name.

        Args:
          key: random.
          people: "mean" and "scale" of identities' numbers.
          frames: length of a walk.
        """
        keys = jax.random.split(key, 4)
        field = jnp.zeros((1, frames, SIDE, SIDE))
        noise = jnp.zeros((1, len(people["mean"])))
        gen = {
            "encoder": self.encoder.init(keys[0], field[0]),
            "decoder": self.decoder.init(keys[1], jnp.zeros((1, self.encoder.size)), noise),
        }
        return {
            "gen": gen,
            "people": jax.tree.map(jnp.asarray, people),
            "spatial_disc": self.spatial.init(keys[2], field),
        }

    def generate(
        self, gen: Any, field: Float[Array, "B T S S"], noise: Float[Array, "B Z"]
    ) -> Float[Array, "B T S S"]:
        """Other people's fields in the poses of `field`, one noise a walk."""
        frames = field.shape[1]
        code = self.encoder.apply(gen["encoder"], field.reshape(-1, *field.shape[2:]))
        every = jnp.repeat(noise, frames, 0)
        return self.decoder.apply(gen["decoder"], code, every).reshape(field.shape)
