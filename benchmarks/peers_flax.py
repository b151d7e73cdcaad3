"""ST-GAN's networks by flax's own layers: what one writes who does not think of memory traffic.

The parameters have the package's names and shapes, and `steps.stgan_step` runs them.
"""

import dataclasses
from typing import Any

from flax import linen as nn

from stgan_jax import steps


class Generator(nn.Module):
    """G: (B, T, 4000) and (B, 4000) -> (B, T, 4000)."""

    features: int
    kernel: int
    dtype: Any = None

    @nn.compact
    def __call__(self, contours, noise):
        wide = lambda name: nn.Conv(self.features, (self.kernel,), dtype=self.dtype, name=name)  # noqa: E731
        hidden = nn.relu(wide("encoder")(2.0 * contours[..., None] - 1.0))
        other = nn.relu(wide("noise_encoder")(2.0 * noise[:, None, :, None] - 1.0))
        out = nn.Conv(1, (self.kernel,), dtype=self.dtype, name="decoder")(hidden + other)
        return nn.relu(out)[..., 0].astype(contours.dtype)


class SpatialDiscriminator(nn.Module):
    """D_S: (B, T, 4000) -> logits (B, T)."""

    features: int
    kernel: int
    dtype: Any = None

    @nn.compact
    def __call__(self, contours):
        x = 4.0 * contours[..., None] - 2.0
        x = nn.leaky_relu(nn.Conv(self.features, (self.kernel,), dtype=self.dtype)(x), 0.2)
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(*x.shape[:-2], -1))
        return x[..., 0].astype(contours.dtype)


class TemporalDiscriminator(nn.Module):
    """D_T: (B, T, 4000) -> logits (B,)."""

    units: int
    dtype: Any = None

    @nn.compact
    def __call__(self, contours):
        cell = nn.OptimizedLSTMCell(self.units, dtype=self.dtype)
        x = nn.RNN(cell)(4.0 * contours - 2.0)
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return x[..., 0].astype(contours.dtype)


def nets(ours: steps.StganNets) -> steps.StganNets:
    """Networks of the same sizes."""
    gen, judge = ours.gen, ours.spatial_disc
    plain: dict[str, Any] = {
        "gen": Generator(gen.features, gen.kernel, gen.dtype),
        "spatial_disc": SpatialDiscriminator(judge.features, judge.kernel, judge.dtype),
        "temporal_disc": TemporalDiscriminator(ours.temporal_disc.units, ours.temporal_disc.dtype),
    }
    return dataclasses.replace(ours, **plain)
