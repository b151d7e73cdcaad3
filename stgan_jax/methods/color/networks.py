"""Colour networks: an RGB gait and a binary anonymised gait in, the anonymised gait in colour out.

Colour 2020 names the inputs and the product of the output with the binary gait, and draws the rest
without sizes. Note: so these are our choice: the same widths for both networks, small enough for
two cores.

* `transfer` (Colour 2020) is a U-Net, whose skip connections carry detail, and which says for each
  pixel how much of the original's colour to keep. What is kept stays as sharp as the original, in
  any resolution.
* `plain` (in the manner of APSIPA 2019, whose pages are not at hand) has neither: all colours pass
  the narrow middle, as in DCGAN's encoders and decoders.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops.folding import folded

FORMS = ("transfer", "plain")
SIZE = 128  # pixels a side of what the networks see


class ColorNet(nn.Module):
    """x_rgb, x_bi -> Phi(x_bi, x_rgb), before the product with x_bi.

    Attributes:
      form: one of `FORMS`.
      widths: channels from half the side down, each level half as large.
    """

    form: str = "transfer"
    widths: Sequence[int] = (24, 40, 64, 96)
    dtype: Any = None

    @nn.compact
    def __call__(
        self, colors: Float[Array, "B H W 3"], anonymized: Float[Array, "B H W"]
    ) -> tuple[Float[Array, "B H W 3"], Float[Array, "B H W"]]:
        """Colours of its own, and the share of the original's that is kept; see `blended`.

        Args:
          colors: RGB in [0, 1]; height and width are multiples of 16.
          anonymized: 0 or 1.
        """
        both = jnp.concatenate([2.0 * colors - 1.0, anonymized[..., None]], -1)

        def dense(x, width):
            return nn.Dense(width, dtype=self.dtype)(x)

        def evened(x, width):
            return nn.Dense(width, dtype=self.dtype, dot_general=even_dot)(x)

        def conv(x):
            return nn.Conv(x.shape[-1], (3, 3), dtype=self.dtype)(x)

        def active(x):
            return nn.leaky_relu(x, 0.1)

        x = active(dense(folded(both), self.widths[0]))
        skips = []
        for width in self.widths[1:]:
            skips.append(x)
            x = active(conv(active(dense(folded(x), width))))
        for level, skip in reversed(list(enumerate(skips))):
            x = grown(evened(x, skip.shape[-1]))
            x = active(x + skip if self.form == "transfer" else x)
            # None at the widest level, where they cost most.
            x = active(conv(x) if level else dense(x, self.widths[0]))
        x = grown(evened(x, 4).astype(jnp.float32))
        drawn = jax.nn.sigmoid(x[..., :3])
        if self.form == "plain":
            return drawn, jnp.zeros(drawn.shape[:-1])
        return drawn, jax.nn.sigmoid(x[..., 3])


def blended(
    colors: Float[Array, "B H W 3"],
    anonymized: Float[Array, "B H W"],
    drawn: Float[Array, "B H W 3"],
    kept: Float[Array, "B H W"],
) -> Float[Array, "B H W 3"]:
    """The output: the network's colours and the kept ones, times the binary gait."""
    mixed = drawn + kept[..., None] * (colors - drawn)
    return mixed * anonymized[..., None]


def even_dot(x: Float[Array, "*batch C"], *arguments: Any, **options: Any) -> Array:
    """A product with features of mean square 1, as `jax.lax.dot_general` takes its arguments.

    So no share is driven so near to 0 or 1 that it stays there. It is the few numbers after the
    product that are scaled, not the many before it.
    """
    scale = jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + 1e-6)
    return jax.lax.dot_general(x, *arguments, **options) * scale


def grown(x: Float[Array, "B h w C"]) -> Float[Array, "B H W C"]:
    """Twice the size, bilinear: unlike transposed convolutions it leaves no grid in plain cloth."""
    for axis in (1, 2):
        size = x.shape[axis]
        first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
        but_last, but_first = (
            jax.lax.slice_in_dim(x, start, start + size - 1, axis=axis) for start in (0, 1)
        )
        before = jnp.concatenate([first, but_last], axis)
        after = jnp.concatenate([but_first, last], axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        shape = list(x.shape)
        shape[axis] *= 2
        x = pair.reshape(shape)
    return x
