"""Retargeting: a walk is read as few numbers, and those are drawn as somebody else's walk.

Not in the papers. They mix a contour with noise, so that part of the person stays in; here all
that passes is a gait (`shapes.gait`), and bodies are drawn by a body model (`shapes.walker`).
"""

from collections.abc import Sequence

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from stgan_jax.shapes import gait, identity

POSE = gait.SIZE
NUMBERS = gait.SIZE + identity.SIZE  # N, of a pose and of an identity
SIDE = 60  # cells a side that silhouettes are read at. Distance fields of 40 learn no sooner.


def to_cells(silhouettes: UInt8[np.ndarray, "T 240 240"]) -> UInt8[np.ndarray, "T 60 60"]:
    """Silhouettes as they are read: 255 times the share of each cell that is inside."""
    out = np.empty((len(silhouettes), SIDE, SIDE), np.uint8)
    for cells, silhouette in zip(out, silhouettes, strict=True):
        inside = np.where(silhouette, np.uint8(255), np.uint8(0))
        cv2.resize(inside, (SIDE, SIDE), cells, interpolation=cv2.INTER_AREA)
    return out


def windows(walks: Float[Array, "B T D"], size: int) -> Float[Array, "B T W"]:
    """Each frame with those around it; at both ends the first and last frame stand in."""
    frames, half = walks.shape[1], size // 2
    padded = jnp.pad(walks, ((0, 0), (half, half), (0, 0)), "edge")
    return jnp.concatenate([padded[:, i : i + frames] for i in range(size)], -1)


class WalkReader(nn.Module):
    """A walk's silhouettes -> pose and build in each frame, and how uncertain they are.

    Attributes:
      window: frames that a frame is read from, odd.
      width: units that a frame is reduced to by itself.
      hidden: units of the layers that look at a window.
    """

    window: int = 15
    width: int = 96
    hidden: Sequence[int] = (384, 256)

    @nn.compact
    def __call__(
        self, cells: Float[Array, "B T 60 60"] | UInt8[Array, "B T 60 60"]
    ) -> tuple[Float[Array, "B T N"], Float[Array, "B T N"]]:
        """Reads a walk.

        Args:
          cells: see `to_cells`, 0 to 255.

        Returns:
          `gait.pose_vector` and then a standardised `identity.vector`, 12 + 43 numbers, and the
          logarithm of each one's variance.
        """
        x = cells.reshape(*cells.shape[:2], -1).astype(jnp.float32) / 255
        x = nn.gelu(nn.Dense(self.width)(x))
        x = windows(x, self.window)
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width)(x))
        # Variances are read off what the means need, and change nothing of it.
        log_variance = nn.Dense(NUMBERS)(jax.lax.stop_gradient(x))
        return nn.Dense(NUMBERS)(x), jnp.clip(log_variance, -6.0, 2.0)
