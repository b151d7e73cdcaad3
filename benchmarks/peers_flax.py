"""ST-GAN's networks by flax's own layers: what one writes who does not think of memory traffic.

The parameters have the package's names and shapes, and `stgan_step` runs them.
"""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn

from stgan_jax.methods.stgan import networks
from stgan_jax.methods.stgan.step import StganNets


class Generator(networks.Generator):
    """G with two encoders: (B, T, 4000) and (B, 4000) -> (B, T, 4000)."""

    @nn.compact
    def __call__(self, contours, noise):
        def conv(features, name):
            return nn.Conv(features, (self.kernel,), dtype=self.dtype, name=name)

        hidden = nn.relu(conv(self.features, "encoder")(2.0 * contours[..., None] - 1.0))
        noise = 2.0 * noise[:, None, :, None] - 1.0
        hidden = hidden + nn.relu(conv(self.features, "noise_encoder")(noise))
        return nn.relu(conv(1, "decoder")(hidden))[..., 0].astype(contours.dtype)


class SpatialDiscriminator(networks.SpatialDiscriminator):
    """D_S: (B, T, 4000) -> logits (B, T)."""

    @nn.compact
    def __call__(self, *batches):
        contours = jnp.concatenate(batches)
        x = 4.0 * contours[..., None] - 2.0
        x = nn.leaky_relu(nn.Conv(self.features, (self.kernel,), dtype=self.dtype)(x), 0.2)
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(*x.shape[:-2], -1))
        return x[..., 0].astype(contours.dtype)


class TemporalDiscriminator(networks.TemporalDiscriminator):
    """D_T: (B, T, 4000) -> logits (B,)."""

    @nn.compact
    def __call__(self, *batches):
        contours = jnp.concatenate(batches)
        cell = nn.OptimizedLSTMCell(self.units, dtype=self.dtype)
        x = nn.RNN(cell)(4.0 * contours - 2.0)
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return x[..., 0].astype(contours.dtype)


def nets(ours: StganNets) -> StganNets:
    """Networks of the same sizes."""
    gen, judge, temporal = ours.gen, ours.spatial_disc, ours.temporal_disc
    return dataclasses.replace(
        ours,
        gen=Generator(gen.features, gen.kernel, dtype=gen.dtype),
        spatial_disc=SpatialDiscriminator(judge.features, judge.kernel, judge.dtype),
        temporal_disc=TemporalDiscriminator(temporal.units, temporal.dtype),
    )
