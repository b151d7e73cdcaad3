"""Retargeting: a walk is read as few numbers, and those are drawn as somebody else's walk.

Not in the papers. They mix a contour with noise, so that part of the person stays in; here all
that passes is a gait (`shapes.gait`), and bodies are drawn by a body model (`shapes.walker`).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int8, UInt8

from stgan_jax.shapes import fields, gait, identity

POSE = gait.SIZE
NUMBERS = gait.SIZE + identity.SIZE  # N, of a pose and of an identity
# Scale of the inputs, 0 outside: Adam moves every weight alike, and there are many cells that go
# along with each other, so that they must be small and their weights large.
_INPUT = 0.03
SIDE = 40  # cells a side of the distance fields that are read


def to_cells(silhouettes: UInt8[np.ndarray, "T 240 240"]) -> Int8[np.ndarray, "T 40 40"]:
    """Silhouettes as they are read: `fields.encode` at half of its resolution."""
    fine = fields.encode(silhouettes)
    rows = fine[:, ::2].astype(np.float32) + fine[:, 1::2]
    return np.rint((rows[..., ::2] + rows[..., 1::2]) / 4).astype(np.int8)


def windows(walks: Float[Array, "B T D"], size: int) -> Float[Array, "B T W"]:
    """Each frame with those around it; at both ends the first and last frame stand in."""
    frames, half = walks.shape[1], size // 2
    padded = jnp.pad(walks, ((0, 0), (half, half), (0, 0)), "edge")
    return jnp.concatenate([padded[:, i : i + frames] for i in range(size)], -1)


class WalkReader(nn.Module):
    """A walk's silhouettes -> pose and build in each frame, and how uncertain they are.

    A few frames tell where legs and arms are, as a code; some more of them which way they go.

    Attributes:
      window: frames that a code, and then a pose, is read from; odd.
      width: units that a frame is reduced to by itself.
      hidden: units of the layers that look at a window of frames.
      code: numbers of a frame's code.
      later: units of the layers that look at a window of codes.
    """

    window: int = 15
    width: int = 128
    hidden: Sequence[int] = (384, 256)
    code: int = 20
    later: Sequence[int] = (384, 192)

    @nn.compact
    def __call__(
        self, cells: Int8[Array, "B T 40 40"]
    ) -> tuple[Float[Array, "B T N"], Float[Array, "B T N"]]:
        """Reads a walk.

        Args:
          cells: see `to_cells`.

        Returns:
          `gait.pose_vector` and then a standardised `identity.vector`, 12 + 43 numbers, and the
          logarithm of each one's variance.
        """
        x = _INPUT * (1.0 + cells.reshape(*cells.shape[:2], -1).astype(jnp.float32) / fields.STEPS)
        start = nn.initializers.variance_scaling(_INPUT**-2, "fan_in", "truncated_normal")
        own = nn.gelu(nn.Dense(self.width, kernel_init=start)(x))
        near = windows(own, self.window)
        for width in self.hidden:
            near = nn.gelu(nn.Dense(width)(near))
        x = windows(nn.Dense(self.code)(near), self.window)
        for width in self.later:
            x = nn.gelu(nn.Dense(width)(x))
        build = nn.gelu(nn.Dense(self.width)(jnp.concatenate([own, near], -1)))
        mean = jnp.concatenate([nn.Dense(POSE)(x), nn.Dense(NUMBERS - POSE)(build)], -1)
        # Variances are read off what the means need, and change nothing of it.
        known = jax.lax.stop_gradient(jnp.concatenate([x, build], -1))
        return mean, jnp.clip(nn.Dense(NUMBERS)(known), -6.0, 2.0)
