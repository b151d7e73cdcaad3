"""G's and D_S's convolutions as what they are, stencils of a few taps, in few passes over memory.

A general convolution writes 16 channels to memory for each coordinate that it reads, and spends
its time on that. Here no channel is ever written: a result's coordinate is one expression of its
neighbours, channels spelled out, which a CPU's compiler turns into one loop of vector
instructions; and gradients by weights are sums over frames, kept for each channel and coordinate,
many frames a pass. The same functions as with `nn.Conv`, many times as fast on a CPU.

Sums and products are float32 whatever the inputs are.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

_ROWS = 16  # frames a pass of a sum over frames; measured: 8 and 50 are half as fast or worse
LEAK = 0.2  # of D_S's leaky ReLU


class Conv(NamedTuple):
    """A convolution over coordinates from or to one channel, zeros beyond the ends.

    Attributes:
      kernel: taps, an odd number, by channels; the middle tap is the coordinate itself.
      bias: one for each channel; a single one in the decoder.
    """

    kernel: Float[Array, "taps C"]
    bias: Float[Array, " *C"]


class GeneratorWeights(NamedTuple):
    """The weights of G: two encoders and a decoder."""

    encoder: Conv
    noise_encoder: Conv
    decoder: Conv


class SpatialWeights(NamedTuple):
    """The weights of D_S: a convolution, then a fully connected layer to one logit."""

    conv: Conv
    kernel: Float[Array, "C D"]
    bias: Float[Array, ""]


def plain_generate(
    weights: GeneratorWeights, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    """`generate` by general convolutions."""
    hidden = nn.relu(_convolved(weights.encoder, own[..., None]))
    hidden = hidden + nn.relu(_convolved(weights.noise_encoder, noise[..., None]))
    kernel, bias = weights.decoder
    return nn.relu(_general(hidden, kernel[..., None]) + bias)[..., 0]


def plain_spatial_logits(
    weights: SpatialWeights, contours: Float[Array, "B T D"]
) -> Float[Array, "B T"]:
    """`spatial_logits` by a general convolution."""
    hidden = nn.leaky_relu(_convolved(weights.conv, contours[..., None]), LEAK)
    return jnp.einsum("btdc,cd->bt", hidden, weights.kernel) + weights.bias


def _convolved(conv: Conv, x: Float[Array, "B T D 1"]) -> Float[Array, "B T D C"]:
    return _general(x, conv.kernel[:, None]) + conv.bias[None, None, None]


def _general(x: Float[Array, "B T D I"], kernel: Float[Array, "taps I O"]):
    rows = x.reshape(-1, *x.shape[-2:])
    out = jax.lax.conv_general_dilated(
        rows, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )
    return out.reshape(*x.shape[:-1], -1)


def generate(
    weights: GeneratorWeights, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    """relu(decoder(relu(encoder(own)) + relu(noise_encoder(noise)))): ST-GAN 3.4, WIFS Eqs. 2-4.

    The decoder's sum over channels is taken of each encoder by itself, so that noise which is
    the same in all frames goes through once.

    Args:
      weights: G's.
      own: coordinates.
      noise: coordinates, N = T, or 1 for the same noise in all frames.

    Returns:
      coordinates; all of them NaN where the very first one of `own` is.
    """
    return _mixed(*float32((weights, own, noise))).astype(own.dtype)


def spatial_logits(weights: SpatialWeights, contours: Float[Array, "B T D"]) -> Float[Array, "B T"]:
    """Each frame's logit by D_S: convolution, leaky ReLU, fully connected (ST-GAN Fig. 5a)."""
    wide, x = float32(weights), contours.astype(jnp.float32)
    return (_judged(wide.conv, wide.kernel, x) + wide.bias).astype(contours.dtype)


def float32(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float32), tree)


def _rows(x: Float[Array, "*frames W"], reach: int) -> Float[Array, "rows padded"]:
    """Frames one after another, their coordinates between zeros, for `_at` and `_summed`.

    As many as make whole passes of `_summed`, and one pass more, which is taken and never used.
    Whoever asks for the same rows within a compiled step shares them.
    """
    x = x.reshape(-1, x.shape[-1])
    missing = (-(-len(x) // _ROWS) + 1) * _ROWS - len(x)
    return jnp.pad(x, [(0, missing), (reach, reach)])


def _at(rows: Float[Array, "rows padded"], offset: int, size: int) -> Float[Array, "rows D"]:
    """x[i + offset] of the `_rows` of x."""
    start = (rows.shape[-1] - size) // 2 + offset
    return rows[:, start : start + size]


def offsets_of(taps: int) -> range:
    """Where a convolution's taps look: -1, 0, 1 for three of them."""
    return range(-(taps // 2), taps - taps // 2)


def _within(offset: int, size: int) -> Float[Array, "1 D"]:
    """1 where i + offset is a coordinate, 0 beyond the ends, where no channel is."""
    place = jnp.arange(size)[None] + offset
    return ((place >= 0) & (place < size)).astype(jnp.float32)


def added(terms: Iterable[Array]) -> Array:
    return functools.reduce(jnp.add, terms)


def _channel(conv: Conv, c: int, rows: Float[Array, "rows padded"], offset: int, size: int):
    """Channel c of a convolution of x, from its `_rows`, at i + offset: (rows, D)."""
    taps = zip(conv.kernel[:, c], offsets_of(len(conv.kernel)), strict=True)
    return added(weight * _at(rows, offset + k, size) for weight, k in taps) + conv.bias[c]


def _channels(conv: Conv, neighbours: Sequence[Float[Array, "1 D"]]) -> Float[Array, "C D"]:
    """All channels of a convolution of one frame, from it shifted by each tap."""
    taps = zip(conv.kernel, neighbours, strict=True)
    return added(weight[:, None] * near for weight, near in taps) + conv.bias[:, None]


def _summed(
    terms: Callable[..., Sequence[Float[Array, "C D"]]],
    shape: tuple[int, int, int],
    *arrays: Float[Array, "rows _"],
) -> Float[Array, "n C D"]:
    """Sums over all frames of n terms (C, D); of frames that are zero they must be 0.

    Args:
      terms: (a row of each array) -> the n terms.
      shape: (n, C, D).
      arrays: `_rows` of as many frames each.
    """

    def taken(number):
        return [jax.lax.dynamic_slice_in_dim(x, number * _ROWS, _ROWS) for x in arrays]

    def one(number, carry):
        totals, now = carry
        for row in range(_ROWS):
            new = terms(*(x[row : row + 1] for x in now))
            totals = [total + term for total, term in zip(totals, new, strict=True)]
        # Each pass takes the next one's frames: its own would be looked up for each coordinate.
        return totals, taken(number + 1)

    start = [jnp.zeros(shape[1:], jnp.float32)] * shape[0], taken(0)
    return jnp.stack(jax.lax.fori_loop(0, len(arrays[0]) // _ROWS - 1, one, start)[0])


@jax.custom_vjp
@jax.jit
def _mixed(weights: GeneratorWeights, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]):
    kernel, bias = weights.decoder
    rows = [_rows(x, _reach(kernel)) for x in (own, noise)]

    def mix():
        both = [
            _passed(conv, kernel, near, x.size // x.shape[-1], x.shape[-1]).reshape(x.shape)
            for conv, near, x in zip(weights[:2], rows, (own, noise), strict=True)
        ]
        return nn.relu(both[0] + both[1] + bias)

    # Within a branch that is always taken, where numbers are: whatever is no branch XLA computes
    # anew for each use of the result, past optimization barriers, too.
    first = own[0, 0, 0]
    return jax.lax.cond(first == first, mix, lambda: jnp.full_like(own, jnp.nan))


def _reach(kernel: Float[Array, "taps C"]) -> int:
    """How far two convolutions after each other see."""
    return 2 * (len(kernel) // 2)


def _passed(
    conv: Conv, kernel: Float[Array, "taps C"], rows: Array, count: int, size: int
) -> Float[Array, "count D"]:
    """decoder(relu(encoder(x))), the decoder without its bias, of x's first frames' `_rows`."""
    near = rows[:count]
    channels = range(kernel.shape[1])
    return added(
        _within(k, size)
        * added(weight[c] * nn.relu(_channel(conv, c, near, k, size)) for c in channels)
        for weight, k in zip(kernel, offsets_of(len(kernel)), strict=True)
    )


@jax.jit
def _mixed_backwards(kept, change):
    (encoder, noise_encoder, (kernel, _)), own, noise, out = kept
    change = jnp.where(out > 0, change, 0)
    of_noise = change if noise.shape == own.shape else change.sum(1, keepdims=True)
    of_encoder, of_kernel = _passed_weights(encoder, kernel, own, change)
    of_noise_encoder, more = _passed_weights(noise_encoder, kernel, noise, of_noise)
    return (
        GeneratorWeights(of_encoder, of_noise_encoder, Conv(of_kernel + more, change.sum())),
        _passed_inputs(encoder, kernel, own, change),
        _passed_inputs(noise_encoder, kernel, noise, of_noise),
    )


def _mixed_forwards(weights: GeneratorWeights, own, noise):
    out = _mixed(weights, own, noise)
    return out, (weights, own, noise, out)


_mixed.defvjp(_mixed_forwards, _mixed_backwards)


def _passed_weights(conv: Conv, kernel, x, change) -> tuple[Conv, Float[Array, "taps C"]]:
    """Gradients of `_passed` by conv and kernel from that by its result."""
    (taps, channels), size = kernel.shape, x.shape[-1]
    offsets = offsets_of(taps)

    def terms(x, change):
        near = [_at(x, k, size) for k in offsets]
        of_parts = [_at(change, -k, size) for k in offsets]
        before = _channels(conv, near)
        of_hidden = added(w[:, None] * g for w, g in zip(kernel, of_parts, strict=True))
        of_before = jnp.where(before > 0, of_hidden, 0)
        hidden = nn.relu(before)
        return [*(of_before * v for v in near), of_before, *(hidden * g for g in of_parts)]

    rows = (_rows(v, _reach(kernel)) for v in (x, change))
    sums = _summed(terms, (2 * taps + 1, channels, size), *rows).sum(-1)
    return Conv(sums[:taps], sums[taps]), sums[taps + 1 :]


def _passed_inputs(conv: Conv, kernel, x, change):
    """Gradient of `_passed` by x from that by its result."""
    (taps, channels), size = kernel.shape, x.shape[-1]
    near, later = (_rows(v, _reach(kernel))[: x.size // size] for v in (x, change))

    def of_before(c: int, offset: int):
        weights = zip(kernel[:, c], offsets_of(taps), strict=True)
        of_hidden = added(weight * _at(later, offset - k, size) for weight, k in weights)
        return jnp.where(_channel(conv, c, near, offset, size) > 0, of_hidden, 0)

    return added(
        _within(-k, size) * added(weight[c] * of_before(c, -k) for c in range(channels))
        for weight, k in zip(conv.kernel, offsets_of(taps), strict=True)
    ).reshape(x.shape)


@jax.custom_vjp
@jax.jit
def _judged(
    conv: Conv, kernel: Float[Array, "C D"], x: Float[Array, "B N D"]
) -> Float[Array, "B N"]:
    """D_S without its last bias."""
    size = x.shape[-1]
    near = _rows(x, _reach(conv.kernel))[: x.size // size]
    each = (_channel(conv, c, near, 0, size) for c in range(len(kernel)))
    parts = added(w * nn.leaky_relu(h, LEAK) for w, h in zip(kernel[:, None], each, strict=True))
    # A product with ones: a sum becomes one loop with the rest, and that is not vectorised.
    return (parts @ jnp.ones(size)).reshape(x.shape[:-1])


@jax.jit
def _judged_backwards(kept, change):
    conv, kernel, x = kept
    each = change[..., None]
    sums, of_bias = _slope_sums(conv, each, x)
    of_kernel = jnp.einsum("tc,tcd->cd", conv.kernel, sums) + conv.bias[:, None] * of_bias
    of_conv = Conv(jnp.einsum("cd,tcd->tc", kernel, sums), jnp.einsum("cd,cd->c", kernel, of_bias))
    return of_conv, of_kernel, each * _steepness(conv, kernel, x)


def _slope_sums(
    conv: Conv, each: Float[Array, "B N 1"], x: Float[Array, "B N D"], *v: Float[Array, "B N D"]
) -> tuple[Float[Array, "taps C D"], Float[Array, "C D"]]:
    """Sums over frames of the leaky ReLU's slope at conv(x), times each frame's number.

    All gradients of D_S by its weights consist of these: slope(h) h = leaky(h).

    Returns:
      the sums with the factor v, or else x, shifted by each tap; the sums without it.
    """
    taps, channels = conv.kernel.shape
    offsets, size = offsets_of(taps), x.shape[-1]

    def terms(each, x, *v):
        before = _channels(conv, [_at(x, k, size) for k in offsets])
        slope = jnp.where(before > 0, 1.0, LEAK) * _at(each, 0, 1)
        return [*(slope * _at((*v, x)[0], k, size) for k in offsets), slope]

    rows = (_rows(every, _reach(conv.kernel)) for every in (each, x, *v))
    sums = _summed(terms, (taps + 1, channels, size), *rows)
    return sums[:taps], sums[taps]


@jax.custom_vjp
@jax.jit
def _steepness(conv: Conv, kernel, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    """Gradient of each frame's logit by its coordinates."""
    (taps, channels), size = conv.kernel.shape, x.shape[-1]
    near = _rows(x, _reach(conv.kernel))[: x.size // size]
    wide = _rows(kernel, taps // 2)

    def of_channel(c: int, offset: int):
        slope = jnp.where(_channel(conv, c, near, offset, size) > 0, 1.0, LEAK)
        return _at(wide[c : c + 1], offset, size) * slope

    return added(
        weight[c] * of_channel(c, -k)
        for weight, k in zip(conv.kernel, offsets_of(taps), strict=True)
        for c in range(channels)
    ).reshape(x.shape)


@jax.jit
def _steepness_backwards(kept, change):
    conv, kernel, x = kept
    sums, _ = _slope_sums(conv, jnp.ones_like(x[..., :1]), x, change)
    of_kernel = jnp.einsum("tc,tcd->cd", conv.kernel, sums)
    of_conv = Conv(jnp.einsum("cd,tcd->tc", kernel, sums), jnp.zeros_like(conv.bias))
    return of_conv, of_kernel, jnp.zeros_like(x)  # by x: slopes are constant but at a point


_judged.defvjp(lambda *inputs: (_judged(*inputs), inputs), _judged_backwards)
_steepness.defvjp(lambda *inputs: (_steepness(*inputs), inputs), _steepness_backwards)
