"""An LSTM over sequences, its input products computed at once, or by cuDNN."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops.layers import cast, weights
from stgan_jax.util.errors import InputError

RECURRENCES = ("auto", "scan", "unrolled", "cudnn")
_UNROLLED = 10  # steps that the compiler sees as one


class LstmWeights(NamedTuple):
    """An LSTM's weights, gates in the order i, f, g, o."""

    projections: list[Float[Array, "D units"]]
    recurrent: list[Float[Array, "units units"]]
    biases: list[Float[Array, " units"]]


class Lstm(nn.Module):
    """flax's OptimizedLSTMCell over a sequence, its weights under the same names.

    The products of all frames with the input weights, which no step waits for, come before the
    recurrence. Several batches give the outputs of the joined one.

    Attributes:
      units: size of the hidden state.
      dtype: dtype of the computation; None as the inputs are.
      recurrence: how it is computed, one of `RECURRENCES`: the same function. scan: a loop over
        frames, as by auto; unrolled: ten frames a turn of it; cudnn: NVIDIA's library, in float32,
        without second derivatives.
    """

    units: int
    dtype: Any
    recurrence: str = "auto"

    @nn.compact
    def __call__(self, *inputs: Float[Array, "_ T D"]) -> Float[Array, "B T units"]:
        size = inputs[0].shape[-1]
        batches = [cast(x, self.dtype) for x in inputs]
        start, orthogonal = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
        every = LstmWeights([], [], [])
        for gate in "ifgo":
            every.projections.extend(
                weights(f"i{gate}", (size, self.units), start, self.dtype, bias=None)
            )
            kernel, bias = weights(f"h{gate}", (self.units, self.units), orthogonal, self.dtype)
            every.recurrent.append(kernel)
            every.biases.append(bias)
        if self.recurrence == "cudnn" and has_cudnn():
            return _by_cudnn(every, jnp.concatenate(batches))
        return _scanned(every, batches, _UNROLLED if self.recurrence == "unrolled" else 1)


def has_cudnn() -> bool:
    """Whether this process computes on a device that cuDNN is made for."""
    return jax.default_backend() in ("gpu", "cuda")


def refuse_cudnn_elsewhere(name: str) -> None:
    """Raises `InputError` if cuDNN is to be trained with where there is none."""
    if name == "cudnn" and not has_cudnn():
        raise InputError("recurrence=cudnn is for NVIDIA's GPUs: leave it out here")


def _scanned(every: LstmWeights, batches: Sequence[Array], unroll: int):
    frames, size = batches[0].shape[1:]
    wide = jnp.concatenate([_projected(every.projections, x.reshape(-1, size)) for x in batches])
    wide = wide.reshape(-1, frames, wide.shape[-1]) + jnp.concatenate(every.biases)[None, None]
    kernel = jnp.concatenate(every.recurrent, 1)

    def step(carry, of_input):
        cell, hidden = carry
        i, f, g, o = jnp.split(of_input + hidden @ kernel, 4, -1)
        cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
        hidden = nn.sigmoid(o) * jnp.tanh(cell)
        return (cell, hidden), hidden

    zeros = jnp.zeros((len(wide), kernel.shape[0]), wide.dtype)
    _, hidden = jax.lax.scan(step, (zeros, zeros), wide.swapaxes(0, 1), unroll=unroll)
    return hidden.swapaxes(0, 1)


@jax.custom_vjp
def _projected(kernels: list[Float[Array, "D units"]], x: Float[Array, "N D"]):
    """The products of x with each kernel, side by side: (N, 4 units); no kernel is copied."""
    return jnp.concatenate([x @ kernel for kernel in kernels], 1)


def _projected_backwards(kept, change):
    kernels, x = kept
    # One product each: x is read once, and a sum of four would write each of them, as large as x.
    return jnp.split(x.T @ change, len(kernels), 1), change @ jnp.concatenate(kernels, 1).T


_projected.defvjp(lambda *inputs: (_projected(*inputs), inputs), _projected_backwards)


def _by_cudnn(every: LstmWeights, x: Float[Array, "B T D"]) -> Float[Array, "B T units"]:
    from jax.experimental import rnn  # slow to load, and for few

    units, size = every.recurrent[0].shape[0], x.shape[-1]
    biases = jnp.concatenate(every.biases)
    # One vector: input kernels, recurrent kernels, and two biases, of which flax has one.
    parts = [*every.projections, *every.recurrent]
    packed = jnp.concatenate([*(k.T.ravel() for k in parts), jnp.zeros_like(biases), biases])
    start = jnp.zeros((1, len(x), units), x.dtype)
    lengths = jnp.full(len(x), x.shape[1], jnp.int32)
    out, *_ = rnn.lstm(x, start, start, packed, lengths, size, units, 1, 0.0, False)
    return out
