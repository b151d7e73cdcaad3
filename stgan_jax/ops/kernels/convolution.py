"""G's and D_S's convolutions for GPUs and TPUs: Pallas kernels that keep channels on the chip.

The functions of `stencil`, `generate` and `spatial_logits`. A program (see `tiles`) computes
channels by coordinates of one frame after the other and writes what is asked for alone: a result,
a gradient by coordinates, or its share of gradients by weights, which are added up outside.
Backward passes compute the channels again.

Triton compiles them for GPUs and Mosaic for TPUs; on a CPU they are interpreted, for tests alone.
Sums and products are float32 whatever the inputs are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops import stencil
from stgan_jax.ops.kernels.tiles import Tiles, filled, frame_of, write_frame
from stgan_jax.ops.stencil import (
    LEAK,
    Conv,
    GeneratorWeights,
    SpatialWeights,
    added,
    float32,
    offsets_of,
)


def generate(
    weights: GeneratorWeights, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    """`stencil.generate`, N = T or 1."""
    return _mixed(float32(weights), own, noise)


def spatial_logits(weights: SpatialWeights, contours: Float[Array, "B T D"]) -> Float[Array, "B T"]:
    """`stencil.spatial_logits`."""
    wide = float32(weights)
    return (_judged(wide.conv, wide.kernel, contours) + wide.bias).astype(contours.dtype)


def _with_derivatives_of(plain: Callable) -> Callable[[Callable], Callable]:
    """Gives a function of kernels the derivatives, of all orders, of the same in plain JAX."""

    def with_derivatives(function):
        fused = jax.custom_vjp(function)
        fused.defvjp(
            lambda *inputs: (function(*inputs), inputs),
            lambda inputs, change: jax.vjp(plain, *inputs)[1](change),
        )
        return fused

    return with_derivatives


def _each(ref: Any) -> list[Array]:
    """A reference's taps, one after the other."""
    return [ref[number] for number in range(ref.shape[0])]


def _weighted(weights: Sequence[Array], values: Sequence[Array]) -> Array:
    return added(weight * x for weight, x in zip(weights, values, strict=True))


# G.


@jax.custom_vjp
def _mixed(
    weights: GeneratorWeights, own: Float[Array, "B T D"], noise: Float[Array, "B N D"]
) -> Float[Array, "B T D"]:
    kernel, bias = weights.decoder
    other = _passed(weights.noise_encoder, kernel, noise) + bias
    return _passed(weights.encoder, kernel, own, other)


def _mixed_forwards(weights: GeneratorWeights, own, noise):
    out = _mixed(weights, own, noise)
    return out, (weights, own, noise, out)


_mixed.defvjp(_mixed_forwards, lambda kept, change: _mixed_gradients(*kept, change))


def _plain_mixed_gradients(weights: GeneratorWeights, own, noise, out, change):
    del out

    def plain(weights, own, noise):
        return stencil.plain_generate(weights, *float32((own, noise))).astype(own.dtype)

    return jax.vjp(plain, weights, own, noise)[1](change)


@_with_derivatives_of(_plain_mixed_gradients)
def _mixed_gradients(weights: GeneratorWeights, own, noise, out, change):
    encoder, noise_encoder, (kernel, _) = weights
    change = jnp.where(out > 0, change, 0)
    of_noise = change
    if noise.shape != own.shape:
        of_noise = change.sum(1, keepdims=True, dtype=jnp.float32)
    of_encoder, of_kernel = _passed_weights(encoder, kernel, own, change)
    of_noise_encoder, more = _passed_weights(noise_encoder, kernel, noise, of_noise)
    of_decoder = Conv(of_kernel + more, change.sum(dtype=jnp.float32))
    return (
        GeneratorWeights(of_encoder, of_noise_encoder, of_decoder),
        _passed_inputs(encoder, kernel, own, change),
        _passed_inputs(noise_encoder, kernel, noise, of_noise),
    )


def _passed(
    conv: Conv,
    kernel: Float[Array, "taps C"],
    x: Float[Array, "B N D"],
    other: Float[Array, "B M D"] | None = None,
) -> Float[Array, "B N D"]:
    """decoder(relu(conv(x))), kernel being the decoder's; with another, relu(that + other)."""
    tiles, offsets = Tiles.of(x.shape, kernel), offsets_of(len(kernel))

    def mix(conv_ref, bias_ref, kernel_ref, x_ref, *refs):
        weights, bias, decoder = _each(conv_ref), bias_ref[...], _each(kernel_ref)
        within = [tiles.within(k) for k in offsets]

        def body(frame, _):
            near = {k: tiles.at(x_ref, frame, k) for k in range(-tiles.reach, tiles.reach + 1)}
            hidden = (
                nn.relu(_weighted(weights, [near[k + n] for n in offsets]) + bias) for k in offsets
            )
            parts = (
                inside * (weight * h)
                for inside, weight, h in zip(within, decoder, hidden, strict=True)
            )
            out = added(parts).sum(0, keepdims=True)
            if other is not None:
                out = nn.relu(out + frame_of(refs[0], frame if other.shape[1] > 1 else 0))
            write_frame(refs[-1], frame, out)

        tiles.each_frame(body)

    dtype, inputs = jnp.float32, [*tiles.columns(*conv, kernel), tiles.near(x)]
    if other is not None:
        dtype, inputs = x.dtype, [*inputs, tiles.tiled(other)]
    (out,) = tiles.run(mix, inputs, [tiles.result(dtype)])
    return out[:, : x.shape[1], : x.shape[2]].astype(dtype)


def _passed_weights(
    conv: Conv, kernel: Float[Array, "taps C"], x: Float[Array, "B N D"], change
) -> tuple[Conv, Float[Array, "taps C"]]:
    """Gradients of `_passed` by conv and kernel from that by its result."""
    taps, channels = kernel.shape
    tiles, offsets = Tiles.of(x.shape, kernel, sums=True), offsets_of(taps)

    def mix_weights(conv_ref, bias_ref, kernel_ref, x_ref, change_ref, out_ref):
        weights, bias, decoder = _each(conv_ref), bias_ref[...], _each(kernel_ref)
        within = tiles.within(0)

        def body(frame, sums):
            near = [tiles.at(x_ref, frame, k) for k in offsets]
            of_parts = [within * tiles.at(change_ref, frame, -k) for k in offsets]
            hidden = nn.relu(_weighted(weights, near) + bias)
            of_before = jnp.where(hidden > 0, _weighted(decoder, of_parts), 0.0)
            terms = [*(of_before * v for v in near), of_before, *(hidden * g for g in of_parts)]
            return [total + term for total, term in zip(sums, terms, strict=True)]

        zeros = jnp.zeros((filled(channels), tiles.width), jnp.float32)
        for number, total in enumerate(tiles.each_frame(body, [zeros] * (2 * taps + 1))):
            out_ref[number] = total.sum(1, keepdims=True)

    inputs = [*tiles.columns(*conv, kernel), tiles.near(x), tiles.near(change)]
    (parts,) = tiles.run(mix_weights, inputs, [tiles.parts(2 * taps + 1, filled(channels), 1)])
    sums = parts.sum((0, 1, 2))[:, :channels, 0]
    return Conv(sums[:taps], sums[taps]), sums[taps + 1 :]


def _passed_inputs(
    conv: Conv, kernel: Float[Array, "taps C"], x: Float[Array, "B N D"], change
) -> Float[Array, "B N D"]:
    """Gradient of `_passed` by x from that by its result."""
    tiles, offsets = Tiles.of(x.shape, kernel), offsets_of(len(kernel))

    def mix_inputs(conv_ref, bias_ref, kernel_ref, x_ref, change_ref, out_ref):
        weights, bias, decoder = _each(conv_ref), bias_ref[...], _each(kernel_ref)
        within = [tiles.within(-k) for k in offsets]

        def body(frame, _):
            reach = range(-tiles.reach, tiles.reach + 1)
            near = {k: tiles.at(x_ref, frame, k) for k in reach}
            later = {k: tiles.at(change_ref, frame, k) for k in reach}

            def of_before(offset):
                before = _weighted(weights, [near[offset + n] for n in offsets]) + bias
                of_hidden = _weighted(decoder, [later[offset - n] for n in offsets])
                return jnp.where(before > 0, of_hidden, 0.0)

            parts = (
                inside * (weight * of_before(-k))
                for inside, weight, k in zip(within, weights, offsets, strict=True)
            )
            write_frame(out_ref, frame, added(parts).sum(0, keepdims=True))

        tiles.each_frame(body)

    inputs = [*tiles.columns(*conv, kernel), tiles.near(x), tiles.near(change)]
    (out,) = tiles.run(mix_inputs, inputs, [tiles.result(x.dtype)])
    return out[:, : x.shape[1], : x.shape[2]].astype(x.dtype)


# D_S.


@jax.custom_vjp
def _judged(
    conv: Conv, kernel: Float[Array, "C D"], x: Float[Array, "B N D"]
) -> Float[Array, "B N"]:
    """D_S without its last bias, in float32."""
    tiles, offsets = Tiles.of(x.shape, conv.kernel), offsets_of(len(conv.kernel))

    def judge(conv_ref, bias_ref, kernel_ref, x_ref, out_ref):
        weights, bias, dense = _each(conv_ref), bias_ref[...], tiles.all_at(kernel_ref, 0)

        def body(frame, _):
            before = _weighted(weights, [tiles.at(x_ref, frame, k) for k in offsets]) + bias
            parts = dense * nn.leaky_relu(before, LEAK)
            write_frame(out_ref, frame, parts.sum(0, keepdims=True).sum(1, keepdims=True))

        tiles.each_frame(body)

    inputs = [*tiles.columns(*conv), tiles.rows(kernel), tiles.near(x)]
    (parts,) = tiles.run(judge, inputs, [tiles.parts(tiles.frames, 1)])
    return parts.sum(2).reshape(len(x), -1)[:, : x.shape[1]]


def _judged_backwards(kept, change):
    conv, kernel, x = kept
    return *_judged_weights(conv, kernel, change, x), _steepness(conv, kernel, change, x)


_judged.defvjp(lambda *inputs: (_judged(*inputs), inputs), _judged_backwards)


def _plain_judged(conv: Conv, kernel, x):
    weights = SpatialWeights(conv, kernel, jnp.zeros(()))
    return stencil.plain_spatial_logits(weights, x.astype(jnp.float32))


def _plain_judged_weights(conv: Conv, kernel, each, x):
    def plain(conv, kernel):
        return _plain_judged(conv, kernel, x)

    return jax.vjp(plain, conv, kernel)[1](each)


@_with_derivatives_of(_plain_judged_weights)
def _judged_weights(conv: Conv, kernel, each: Float[Array, "B N"], x):
    """Gradients of `_judged` by conv and kernel from that by its result."""
    return _slope_sums(conv, kernel, each, x)


@jax.custom_vjp
def _steepness(
    conv: Conv, kernel: Float[Array, "C D"], each: Float[Array, "B N"], x: Float[Array, "B N D"]
) -> Float[Array, "B N D"]:
    """Gradient of `_judged` by x from that by its result."""
    tiles, offsets = Tiles.of(x.shape, conv.kernel), offsets_of(len(conv.kernel))

    def judge_inputs(conv_ref, bias_ref, kernel_ref, each_ref, x_ref, out_ref):
        weights, bias = _each(conv_ref), bias_ref[...]
        # Of the coordinate that each tap comes from; 0 beyond the ends.
        dense = [w * tiles.all_at(kernel_ref, -k) for w, k in zip(weights, offsets, strict=True)]

        def body(frame, _):
            near = {k: tiles.at(x_ref, frame, k) for k in range(-tiles.reach, tiles.reach + 1)}
            parts = (
                _sloped(_weighted(weights, [near[n - k] for n in offsets]) + bias, steep)
                for steep, k in zip(dense, offsets, strict=True)
            )
            out = added(parts).sum(0, keepdims=True)
            write_frame(out_ref, frame, out * frame_of(each_ref, frame))

        tiles.each_frame(body)

    inputs = [*tiles.columns(*conv), tiles.rows(kernel), tiles.each(each), tiles.near(x)]
    (out,) = tiles.run(judge_inputs, inputs, [tiles.result(x.dtype)])
    return out[:, : x.shape[1], : x.shape[2]].astype(x.dtype)


def _steepness_backwards(kept, change):
    conv, kernel, each, x = kept
    alone = _steepness(conv, kernel, jnp.ones_like(each), x).astype(jnp.float32)
    of_weights = _steepness_weights(conv, kernel, each, x, change)
    # By x: slopes are constant but at a point.
    return *of_weights, (change * alone).sum(-1), jnp.zeros_like(x)


_steepness.defvjp(lambda *inputs: (_steepness(*inputs), inputs), _steepness_backwards)


def _plain_steepness_weights(conv: Conv, kernel, each, x, change):
    def plain(conv, kernel):
        return jax.vjp(lambda x: _plain_judged(conv, kernel, x), x)[1](each)[0]

    return jax.vjp(plain, conv, kernel)[1](change)


@_with_derivatives_of(_plain_steepness_weights)
def _steepness_weights(conv: Conv, kernel, each, x, change):
    """Gradients of `_steepness` by conv and kernel from that by its result."""
    return _slope_sums(conv, kernel, each, x, change)


def _slope_sums(
    conv: Conv, kernel: Float[Array, "C D"], each: Float[Array, "B N"], x: Float[Array, "B N D"], *v
) -> tuple[Conv, Float[Array, "C D"]]:
    """What all gradients of D_S by its weights are, as slope(h) h = leaky(h).

    Over frames, each frame's number times the leaky ReLU's slope at conv(x) times what the
    convolution sees of v, or else of x, is summed up; without v the slope too, for the bias.

    Returns:
      by conv: the sums times kernel, over all coordinates.
      by kernel: the sums times conv, over all that it sees.
    """
    (taps, channels), count = conv.kernel.shape, len(conv.kernel) + (not v)
    tiles, offsets = Tiles.of(x.shape, conv.kernel, sums=True), offsets_of(taps)

    def judge_weights(conv_ref, bias_ref, kernel_ref, each_ref, x_ref, *refs):
        weights, bias, (of_conv_ref, of_kernel_ref) = _each(conv_ref), bias_ref[...], refs[-2:]

        def body(frame, sums):
            near = [tiles.at(x_ref, frame, k) for k in offsets]
            slope = _sloped(_weighted(weights, near) + bias, frame_of(each_ref, frame))
            values = [tiles.at(refs[0], frame, k) for k in offsets] if v else [*near, 1.0]
            return [total + slope * value for total, value in zip(sums, values, strict=True)]

        zeros = jnp.zeros((filled(channels), tiles.width), jnp.float32)
        sums, dense = tiles.each_frame(body, [zeros] * count), tiles.all_at(kernel_ref, 0)
        for number, total in enumerate(sums):
            of_conv_ref[number] = (dense * total).sum(1, keepdims=True)
        of_kernel_ref[...] = _weighted(weights if v else [*weights, bias], sums)

    inputs = [*tiles.columns(*conv), tiles.rows(kernel), tiles.each(each), tiles.near(x)]
    outputs = [tiles.parts(count, filled(channels), 1), tiles.channels(channels)]
    of_conv, of_kernel = tiles.run(judge_weights, [*inputs, *map(tiles.near, v)], outputs)
    of_conv = of_conv.sum((0, 1, 2))[:, :channels, 0]
    of_bias = jnp.zeros_like(conv.bias) if v else of_conv[taps]
    return Conv(of_conv[:taps], of_bias), of_kernel.sum((0, 1))[:channels, : x.shape[2]]


def _sloped(before: Float[Array, "C width"], value: Array) -> Float[Array, "C width"]:
    """A value times the leaky ReLU's slope."""
    return jnp.where(before >= 0, value, LEAK * value)
