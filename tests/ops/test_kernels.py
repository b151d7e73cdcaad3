"""Pallas kernels, interpreted: the functions and derivatives of plain convolutions; they lower."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.ops import stencil
from stgan_jax.ops.kernels import convolution, tiles
from stgan_jax.ops.stencil import Conv, GeneratorWeights, SpatialWeights


def normal(number, *shape):
    return jax.random.normal(jax.random.key(number), shape)


def mixer(taps, features):
    def conv(i):
        return Conv(normal(i, taps, features), normal(i + 1, features))

    return GeneratorWeights(conv(0), conv(2), Conv(normal(4, taps, features), normal(5)))


def judge(taps, features, size):
    conv = Conv(normal(0, taps, features), normal(1, features))
    return SpatialWeights(conv, normal(2, features, size), normal(3))


def assert_equal(result, expected):
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        tolerance = 1e-5 if a.dtype == jnp.float32 else 1e-2
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def in_float32(plain):
    """The function of the same numbers in full width, with a result as its last input."""

    def function(weights, *inputs):
        wide = [x.astype(jnp.float32) for x in inputs]
        return plain(weights, *wide).astype(inputs[-1].dtype)

    return function


def assert_equal_with_gradients(ours, plain, *inputs):
    plain = in_float32(plain)
    change = normal(9, *jax.eval_shape(plain, *inputs).shape)
    change = change.astype(jnp.bfloat16).astype(jnp.float32)  # not to be rounded

    def weighted(function):
        def total(*args):
            out = function(*args)
            return jnp.vdot(change, out.astype(jnp.float32)), out

        return jax.jit(jax.grad(total, tuple(range(len(inputs))), has_aux=True))

    assert_equal(weighted(ours)(*inputs), weighted(plain)(*inputs))


@pytest.fixture
def tiled_as(monkeypatch):
    """Interprets with the tiles of a backend."""

    def choose(backend):
        call = tiles.pl.pallas_call

        def interpreted(*args, **options):
            return call(*args, **{**options, "interpret": True})

        monkeypatch.setattr(tiles.pl, "pallas_call", interpreted)
        monkeypatch.setattr(jax, "default_backend", lambda: backend)

    return choose


# A GPU's tiles are 32 to 128 wide, a TPU's 256; programs have 64 or 8 frames at most.
@pytest.mark.parametrize(
    ("backend", "shape", "noises", "features", "taps", "dtype"),
    [
        ("gpu", (2, 3, 300), 1, 16, 3, jnp.float32),
        ("gpu", (1, 66, 65), 66, 3, 5, jnp.bfloat16),
        ("tpu", (1, 11, 300), 1, 5, 3, jnp.float32),
    ],
)
class TestEqualPlainConvolutionsWithAllGradients:
    """Of weights and inputs; those of weights are added up in float32."""

    def test_mixed(self, tiled_as, backend, shape, noises, features, taps, dtype):
        tiled_as(backend)
        own, noise = normal(6, *shape), normal(7, shape[0], noises, shape[2])
        inputs = mixer(taps, features), own.astype(dtype), noise.astype(dtype)
        assert_equal_with_gradients(convolution.generate, stencil.plain_generate, *inputs)

    def test_judged(self, tiled_as, backend, shape, noises, features, taps, dtype):
        tiled_as(backend)
        inputs = judge(taps, features, shape[2]), normal(6, *shape).astype(dtype)
        assert_equal_with_gradients(
            convolution.spatial_logits, stencil.plain_spatial_logits, *inputs
        )


def slope_of(function, *weights_and_inputs):
    """Gradients of the first input's squared gradient, as R1 takes them."""

    def penalty(*args):
        def sines(*args):
            return jnp.sum(jnp.sin(function(*args)))

        return jnp.sum(jnp.square(jax.grad(sines, 1)(*args)))

    return jax.grad(penalty, tuple(range(len(weights_and_inputs))))(*weights_and_inputs)


def test_judged_has_second_derivatives_in_lanes_of_weights():
    contours, lanes = 0.1 * normal(6, 2, 3, 70), judge(3, 5, 70)
    lanes = jax.tree.map(lambda x: jnp.stack([0.3 * x, -0.2 * x]), lanes)
    result, expected = (
        jax.jit(jax.vmap(lambda w: slope_of(f, w, contours)))(lanes)  # noqa: B023
        for f in (convolution.spatial_logits, stencil.plain_spatial_logits)
    )
    assert_equal(result, expected)


@pytest.mark.soak  # no training takes those of G
def test_mixed_has_second_derivatives():
    inputs = mixer(3, 5), normal(6, 1, 2, 40), normal(7, 1, 1, 40)
    inputs = jax.tree.map(lambda x: 0.3 * x, inputs)
    result, expected = (
        jax.jit(lambda *a: slope_of(f, *a))(*inputs)  # noqa: B023
        for f in (convolution.generate, stencil.plain_generate)
    )
    assert_equal(result, expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ("backend", "platform", "call"),
    [("gpu", "cuda", "__gpu$xla.gpu.triton"), ("tpu", "tpu", "tpu_custom_call")],
)
def test_all_kernels_lower_for_accelerators(monkeypatch, backend, platform, call, dtype):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    own, noise = normal(6, 2, 50, 4000).astype(dtype), normal(7, 2, 1, 4000).astype(dtype)

    def mixed_loss(*args):
        return jnp.sum(jnp.square(convolution.generate(*args)))

    def judged_loss(*args):
        return jnp.sum(jnp.square(convolution.spatial_logits(*args)))

    lanes = jax.tree.map(lambda x: x[None], mixer(3, 16))
    for function, inputs, count in (
        (jax.grad(mixed_loss, (0, 1, 2)), (mixer(3, 16), own, noise), 6),
        (jax.grad(judged_loss, (0, 1)), (judge(3, 16, 4000), own), 3),
        (functools.partial(slope_of, convolution.spatial_logits), (judge(5, 6, 4000), own), 7),
        (jax.vmap(convolution.generate, (0, None, None)), (lanes, own, noise), 2),
    ):
        lowered = jax.jit(function).trace(*inputs).lower(lowering_platforms=(platform,))
        assert lowered.as_text().count(f"@{call}") == count
