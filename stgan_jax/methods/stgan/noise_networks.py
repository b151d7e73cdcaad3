"""The noise GAN: G_N makes a contour in the gait distribution from a Gaussian seed, D_N judges it.

ST-GAN 3.3 asks for a plain GAN whose output is one contour. Note: a fully connected
G_N that writes 4000 coordinates draws crumpled polygons, so by default both networks
work on a short code, the contour's coordinates in a fixed linear basis that is fitted
to training contours once (principal components). `ContourBasis.identity` keeps the
papers' literal form, where the code is the contour itself.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float

from stgan_jax.shapes.contour import DIM


class ContourBasis(struct.PyTreeNode):
    """Affine map between contours in [0, 1] and codes of about unit variance; never trained.

    Attributes:
      mean: (4000,) the contour of code 0.
      components: (K, 4000) orthonormal rows, or None for the identity basis.
      scale: (K,) contour units per code unit, or a scalar for the identity basis.

    (The fields are arrays, or whatever tree functions put in their place.)
    """

    mean: Any
    components: Any
    scale: Any

    @classmethod
    def fit(
        cls, contours: Float[np.ndarray, "N 4000"], size: int, whitening: float = 0.5
    ) -> "ContourBasis":
        """Principal components of contours in [0, 1].

        Args:
          contours: the sample to fit, N > size.
          size: K, how many components to keep.
          whitening: 1 gives every code element unit variance, 0 leaves their ratios;
            in between, faint components neither drown nor shout.
        """
        if len(contours) <= size:
            raise ValueError(f"{size} components need more than {len(contours)} contours")
        mean = contours.mean(0)
        _, singular, rows = np.linalg.svd(contours - mean, full_matrices=False)
        deviation = singular[:size] / np.sqrt(len(contours))
        scale = deviation[0] ** (1 - whitening) * deviation**whitening
        return cls(*(jnp.asarray(x, jnp.float32) for x in (mean, rows[:size], scale)))

    @classmethod
    def identity(cls) -> "ContourBasis":
        """Codes are contours, centred and scaled to about [-1, 1] (the papers' plain GAN)."""
        return cls(jnp.full((DIM,), 0.5), None, jnp.asarray(0.5))

    @property
    def size(self) -> int:
        """K, the length of a code."""
        return DIM if self.components is None else self.components.shape[0]

    def code(self, contours: Float[Array, "*batch 4000"]) -> Float[Array, "*batch K"]:
        """Codes of contours in [0, 1]; what the basis does not span is dropped."""
        centred = contours - _as_batch(self.mean, contours)
        if self.components is not None:
            centred = centred @ self.components.T
        return centred / _as_batch(self.scale, centred)

    def contour(self, codes: Float[Array, "*batch K"]) -> Float[Array, "*batch 4000"]:
        """Contours in [0, 1] of codes."""
        offsets = codes * _as_batch(self.scale, codes)
        if self.components is not None:
            offsets = offsets @ self.components
        return _as_batch(self.mean, offsets) + offsets


def _as_batch(vector: Array, batch: Array) -> Array:
    """A vector (K,) or scalar in the rank of a batch (..., K)."""
    return vector.reshape((1,) * (batch.ndim - 1) + (-1,))


class NoiseGenerator(nn.Module):
    """G_N: Gaussian seed z (..., Z) -> code (..., K). Sizes are our choice; the paper has none."""

    code_size: int
    hidden: Sequence[int] = (256, 256, 256)
    dtype: Any = None

    @nn.compact
    def __call__(self, seed: Float[Array, "*batch Z"]) -> Float[Array, "*batch K"]:
        return _perceptron(seed, self.hidden, self.code_size, self.dtype)


class NoiseDiscriminator(nn.Module):
    """D_N: code (..., K) -> logit (...) of being a real walker's contour."""

    hidden: Sequence[int] = (256, 256, 256)
    dtype: Any = None

    @nn.compact
    def __call__(self, code: Float[Array, "*batch K"]) -> Float[Array, "*batch"]:
        return _perceptron(code, self.hidden, 1, self.dtype)[..., 0]


def _perceptron(x: Array, hidden: Sequence[int], outputs: int, dtype: Any) -> Array:
    """Fully connected layers with leaky ReLU, inside a compact module."""
    dtype_in = x.dtype
    for width in hidden:
        dense = nn.Dense(width, kernel_init=nn.initializers.he_normal(), dtype=dtype)
        x = nn.leaky_relu(dense(x), 0.2)
    return nn.Dense(outputs, dtype=dtype)(x).astype(dtype_in)


def noise_contour(
    model: NoiseGenerator, params, basis: ContourBasis, seed: Float[Array, "*batch Z"]
) -> Float[Array, "*batch 4000"]:
    """Random noise Z-hat of ST-GAN: contours in [0, 1], (..., 4000), from Gaussian seeds."""
    return jnp.clip(basis.contour(model.apply(params, seed)), 0.0, 1.0)


def sample_seeds(key: jax.Array, count: int, size: int) -> Float[Array, "count size"]:
    """Gaussian random seeds z (ST-GAN Definition 5)."""
    return jax.random.normal(key, (count, size))
