"""G's and D_S's convolutions as what they are, three-tap stencils, in pieces that stay in cache.

A general convolution writes 16 channels to memory for each coordinate it reads and spends its
time on that. Here the channels live for some frames at a time, forwards and backwards, which
computes them anew. The same functions as with `nn.Conv`, several times as fast on a CPU and
in a fraction of the memory.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

_CHUNK = 2**15  # coordinates that are worked on at a time, of all sequences together


class Conv(NamedTuple):
    """A convolution over coordinates from or to one channel, zeros beyond the ends.

    Attributes:
      kernel: taps by channels; the middle tap is the coordinate itself.
      bias: of each channel; of one alone where it is the decoder's.
    """

    kernel: Float[Array, "taps C"]
    bias: Float[Array, " *C"]


class Mixer(NamedTuple):
    """The weights of G: two encoders and a decoder."""

    encoder: Conv
    noise_encoder: Conv
    decoder: Conv


def _shifted(x: Float[Array, "*shape D"], taps: int) -> list[Float[Array, "*shape D"]]:
    """x[i - taps // 2], ..., x[i + taps // 2], 0 beyond the ends."""
    half = taps // 2
    around = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)])
    return [around[..., k : k + x.shape[-1]] for k in range(taps)]


def _each(weights: Float[Array, " C"], like: Array) -> Float[Array, "C *ones"]:
    """A number a channel, before the axes of `like`."""
    return weights.reshape(-1, *[1] * like.ndim)


def _linear(conv: Conv, x: Float[Array, "*shape D"]) -> Float[Array, "C *shape D"]:
    """One channel to many."""
    total = _each(conv.bias, x)
    for weights, moved in zip(conv.kernel, _shifted(x, len(conv.kernel)), strict=True):
        total = total + _each(weights, x) * moved[None]
    return total


def _weights_gradient(
    x: Float[Array, "*shape D"], change: Float[Array, "C *shape D"], taps: int
) -> Conv:
    """Gradient by the weights of `_linear` from that by its result."""
    every = _products(jnp.stack([*_shifted(x, taps), jnp.ones_like(x)]), change)
    return Conv(every[:taps], every[taps])


def _products(a: Float[Array, "M *shape"], b: Float[Array, "N *shape"]) -> Float[Array, "M N"]:
    """Sums of products of each of a with each of b, in float32."""
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    return jnp.tensordot(a, b, ((1,), (1,)), preferred_element_type=jnp.float32)


def _zeros(weights):
    """To add up gradients of many pieces, in float32."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), weights)


def _like(grads, weights):
    return jax.tree.map(lambda g, w: g.astype(w.dtype), grads, weights)


def _decoded(conv: Conv, hidden: Float[Array, "C *shape D"]) -> Float[Array, "*shape D"]:
    """Many channels to one."""
    taps = len(conv.kernel)
    parts = jnp.tensordot(conv.kernel, hidden, 1)
    return _total([_shifted(part, taps)[k] for k, part in enumerate(parts)]) + conv.bias


def _total(parts: Sequence[Array]) -> Array:
    return functools.reduce(jnp.add, parts)


def _undecoded(change: Float[Array, "*shape D"], taps: int) -> Float[Array, "taps *shape D"]:
    """Gradient by what `_decoded` adds up from that by its result."""
    return jnp.stack(_shifted(change, taps)[::-1])


def _in_chunks(x: Float[Array, "B T D"], count: int) -> Float[Array, "n B F D"]:
    batch, frames, size = x.shape
    return x.reshape(batch, count, frames // count, size).swapaxes(0, 1)


def _whole(x: Float[Array, "n B F D"]) -> Float[Array, "B T D"]:
    count, batch, frames, size = x.shape
    return x.swapaxes(0, 1).reshape(batch, count * frames, size)


def _chunks(shape: tuple[int, ...]) -> int:
    """In how many pieces of whole frames to work: a divisor of the frames."""
    batch, frames, size = shape
    wanted = max(1, -(-batch * frames * size // _CHUNK))
    return next(n for n in range(min(wanted, frames), frames + 1) if frames % n == 0)


def plain_mixed(
    weights: Mixer, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    """`mixed` by general convolutions."""
    hidden = nn.relu(_convolved(weights.encoder, own[..., None]))
    hidden = hidden + nn.relu(_convolved(weights.noise_encoder, noise[..., None]))
    kernel, bias = weights.decoder
    return nn.relu(_general(hidden, kernel[..., None]) + bias)[..., 0]


def _convolved(conv: Conv, x: Float[Array, "B T D 1"]) -> Float[Array, "B T D C"]:
    return _general(x, conv.kernel[:, None]) + conv.bias[None, None, None]


def _general(x: Float[Array, "B T D I"], kernel: Float[Array, "taps I O"]):
    rows = x.reshape(-1, *x.shape[-2:])
    out = jax.lax.conv_general_dilated(
        rows, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )
    return out.reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def mixed(
    weights: Mixer, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    """relu(decoder(relu(encoder(own)) + relu(noise_encoder(noise)))): ST-GAN 3.4, WIFS Eqs. 2-4.

    Args:
      weights: of G.
      own: coordinates.
      noise: coordinates, N = T, or 1 for the same noise in all frames.
    """
    return _mixed_forwards(weights, own, noise)[0]


def _mixed_forwards(weights: Mixer, own, noise):
    count = _chunks(own.shape)

    def one(piece):
        x, z = piece
        hidden = nn.relu(_linear(weights.encoder, x)) + nn.relu(_linear(weights.noise_encoder, z))
        return nn.relu(_decoded(weights.decoder, hidden))

    out = _whole(jax.lax.map(one, (_in_chunks(own, count), _noise_chunks(noise, count))))
    return out, (weights, own, noise, out)


def _noise_chunks(noise: Float[Array, "B N D"], count: int) -> Float[Array, "n B F D"]:
    if noise.shape[1] == 1:
        return jnp.broadcast_to(noise[None], (count, *noise.shape))
    return _in_chunks(noise, count)


def _mixed_backwards(kept, change):
    weights, own, noise, out = kept
    count = _chunks(own.shape)
    taps = len(weights.encoder.kernel)
    change = jnp.where(out > 0, change, 0)

    def one(total: Mixer, piece):
        x, z, g = piece
        first, second = _linear(weights.encoder, x), _linear(weights.noise_encoder, z)
        hidden = nn.relu(first) + nn.relu(second)
        spread = _undecoded(g, len(weights.decoder.kernel))
        of_decoder = Conv(_products(spread, hidden), jnp.sum(g, dtype=jnp.float32))
        of_hidden = jnp.tensordot(weights.decoder.kernel.T, spread, 1)
        of_first = jnp.where(first > 0, of_hidden, 0)
        if z.shape[1] < x.shape[1]:
            of_hidden = of_hidden.sum(2, keepdims=True)
        of_second = jnp.where(second > 0, of_hidden, 0)
        grads = Mixer(
            _weights_gradient(x, of_first, taps), _weights_gradient(z, of_second, taps), of_decoder
        )
        return jax.tree.map(jnp.add, total, grads), (
            _inputs_gradient(weights.encoder, of_first),
            _inputs_gradient(weights.noise_encoder, of_second),
        )

    pieces = _in_chunks(own, count), _noise_chunks(noise, count), _in_chunks(change, count)
    grads, (of_own, of_noise) = jax.lax.scan(one, _zeros(weights), pieces)
    of_noise = of_noise.sum(0) if noise.shape[1] == 1 else _whole(of_noise)
    return _like(grads, weights), _whole(of_own), of_noise


def _inputs_gradient(conv: Conv, change: Float[Array, "C *shape D"]) -> Float[Array, "*shape D"]:
    """Gradient by the input of `_linear` from that by its result."""
    parts = jnp.tensordot(conv.kernel, change, 1)
    taps = len(parts)
    return _total([_shifted(part, taps)[taps - 1 - k] for k, part in enumerate(parts)])


mixed.defvjp(_mixed_forwards, _mixed_backwards)


class Judge(NamedTuple):
    """The weights of D_S: a convolution, then a fully connected layer to one logit."""

    conv: Conv
    kernel: Float[Array, "C D"]
    bias: Float[Array, ""]


_LEAK = 0.2


def plain_judged(weights: Judge, contours: Float[Array, "B T D"]) -> Float[Array, "B T"]:
    """`judged` by a general convolution."""
    hidden = nn.leaky_relu(_convolved(weights.conv, contours[..., None]), _LEAK)
    return jnp.einsum("btdc,cd->bt", hidden, weights.kernel) + weights.bias


@jax.custom_vjp
def judged(weights: Judge, contours: Float[Array, "B T D"]) -> Float[Array, "B T"]:
    """Each frame's logit by D_S: convolution, leaky ReLU, fully connected (ST-GAN Fig. 5a)."""
    return _judged_forwards(weights, contours)[0]


def _judged_forwards(weights: Judge, contours):
    def one(x):
        hidden = nn.leaky_relu(_linear(weights.conv, x), _LEAK)
        return jnp.einsum("cbfd,cd->cbf", hidden, weights.kernel).sum(0) + weights.bias

    pieces = jax.lax.map(one, _in_chunks(contours, _chunks(contours.shape)))
    return pieces.swapaxes(0, 1).reshape(contours.shape[:2]), (weights, contours)


def _judged_backwards(kept, change):
    weights, contours = kept
    count = _chunks(contours.shape)
    taps = len(weights.conv.kernel)

    def one(total: Judge, piece):
        x, g = piece
        before = _linear(weights.conv, x)
        hidden = nn.leaky_relu(before, _LEAK)
        of_hidden = weights.kernel[:, None, None] * g[None, ..., None]
        of_conv = jnp.where(before > 0, of_hidden, _LEAK * of_hidden)
        grads = Judge(
            _weights_gradient(x, of_conv, taps),
            jnp.sum(hidden * g[None, ..., None], (1, 2), dtype=jnp.float32),
            jnp.sum(g, dtype=jnp.float32),
        )
        return jax.tree.map(jnp.add, total, grads), _inputs_gradient(weights.conv, of_conv)

    pieces = _in_chunks(contours, count), _in_chunks(change[..., None], count)[..., 0]
    grads, of_contours = jax.lax.scan(one, _zeros(weights), pieces)
    return _like(grads, weights), _whole(of_contours)


judged.defvjp(_judged_forwards, _judged_backwards)
