"""An LSTM over sequences, its input products computed at once."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops.layers import cast, weights


class Lstm(nn.Module):
    """flax's OptimizedLSTMCell over a sequence, its weights under the same names.

    The products of all frames with the input weights, which no step waits for, come before the
    recurrence. Several batches give the outputs of the joined one.

    Attributes:
      units: size of the hidden state.
      dtype: dtype of the computation; None as the inputs are.
    """

    units: int
    dtype: Any

    @nn.compact
    def __call__(self, *inputs: Float[Array, "_ T D"]) -> Float[Array, "B T units"]:
        frames, size = inputs[0].shape[1:]
        batches = [cast(x, self.dtype) for x in inputs]
        start, orthogonal = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
        projections: list[Array] = []
        recurrent, biases = [], []
        for gate in "ifgo":
            projections += weights(f"i{gate}", (size, self.units), start, self.dtype, bias=None)
            kernel, bias = weights(f"h{gate}", (self.units, self.units), orthogonal, self.dtype)
            recurrent.append(kernel)
            biases.append(bias)
        wide = jnp.concatenate([_projected(projections, x.reshape(-1, size)) for x in batches])
        wide = wide.reshape(-1, frames, wide.shape[-1]) + jnp.concatenate(biases)[None, None]
        kernel = jnp.concatenate(recurrent, 1)

        def step(carry, of_input):
            cell, hidden = carry
            i, f, g, o = jnp.split(of_input + hidden @ kernel, 4, -1)
            cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
            hidden = nn.sigmoid(o) * jnp.tanh(cell)
            return (cell, hidden), hidden

        zeros = jnp.zeros((len(wide), self.units), wide.dtype)
        _, hidden = jax.lax.scan(step, (zeros, zeros), wide.swapaxes(0, 1))
        return hidden.swapaxes(0, 1)


@jax.custom_vjp
def _projected(kernels: list[Float[Array, "D units"]], x: Float[Array, "N D"]):
    """The products of x with each kernel, side by side: (N, 4 units); no kernel is copied."""
    return jnp.concatenate([x @ kernel for kernel in kernels], 1)


def _projected_backwards(kept, change):
    kernels, x = kept
    each = jnp.split(change, len(kernels), 1)
    # Here one product: a sum of four would write each of them, as large as x.
    return [x.T @ part for part in each], change @ jnp.concatenate(kernels, 1).T


_projected.defvjp(lambda *inputs: (_projected(*inputs), inputs), _projected_backwards)
