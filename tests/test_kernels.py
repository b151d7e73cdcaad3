"""Pallas kernels, interpreted: the functions and derivatives of plain convolutions; they lower."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.models import kernels, stencil, tiles
from stgan_jax.models.stencil import Conv, Judge, Mixer


def normal(number, *shape):
    return jax.random.normal(jax.random.key(number), shape)


def mixer(taps, features):
    conv = lambda i: Conv(normal(i, taps, features), normal(i + 1, features))  # noqa: E731
    return Mixer(conv(0), conv(2), Conv(normal(4, taps, features), normal(5)))


def judge(taps, features, size):
    conv = Conv(normal(0, taps, features), normal(1, features))
    return Judge(conv, normal(2, features, size), normal(3))


def assert_equal(told, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(told), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def assert_equal_with_gradients(ours, plain, *inputs, tolerance=1e-5):
    change = normal(9, *plain(*inputs).shape)
    by = tuple(range(len(inputs)))
    weighted = lambda f: lambda *a: jnp.vdot(change, f(*a).astype(jnp.float32))  # noqa: E731
    told, expected = (jax.jit(jax.value_and_grad(weighted(f), by))(*inputs) for f in (ours, plain))
    assert_equal(told, expected, tolerance)


# Tiles are 32 to 128 wide, and programs that add up frames have 64 at most.
SHAPES = [
    ((2, 3, 300), 1, 16, 3),
    ((1, 66, 65), 66, 5, 3),
    ((2, 2, 33), 1, 3, 5),
    ((1, 1, 64), 1, 9, 1),
]


@pytest.mark.parametrize(("shape", "noises", "features", "taps"), SHAPES)
def test_mixed_is_that_of_plain_convolutions_with_all_gradients(shape, noises, features, taps):
    own, noise = normal(6, *shape), normal(7, shape[0], noises, shape[2])
    inputs = mixer(taps, features), own, noise
    assert_equal_with_gradients(kernels.mixed, stencil.plain_mixed, *inputs)


@pytest.mark.parametrize(("shape", "noises", "features", "taps"), SHAPES)
def test_judged_is_that_of_plain_convolutions_with_all_gradients(shape, noises, features, taps):
    inputs = judge(taps, features, shape[2]), normal(6, *shape)
    assert_equal_with_gradients(kernels.judged, stencil.plain_judged, *inputs)


def test_as_tpus_take_tiles_too(monkeypatch):
    call = tiles.pl.pallas_call
    interpreted = lambda *a, **k: call(*a, **{**k, "interpret": True})  # noqa: E731
    monkeypatch.setattr(tiles.pl, "pallas_call", interpreted)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    own, noise = normal(6, 1, 11, 300), normal(7, 1, 1, 300)
    assert_equal_with_gradients(kernels.mixed, stencil.plain_mixed, mixer(3, 5), own, noise)
    assert_equal_with_gradients(kernels.judged, stencil.plain_judged, judge(3, 5, 300), own)


def slope_of(function, *weights_and_x, by=1):
    """Gradients of what the gradient by `by` is squared to, as R1 takes them."""

    def penalty(*inputs):
        weighted = lambda *a: jnp.sum(jnp.sin(function(*a)))  # noqa: E731
        return jnp.sum(jnp.square(jax.grad(weighted, by)(*inputs)))

    return jax.jit(jax.grad(penalty, tuple(range(len(weights_and_x)))))(*weights_and_x)


def test_judged_has_second_derivatives():
    inputs = judge(3, 5, 70), 0.1 * normal(6, 2, 3, 70)
    inputs = jax.tree.map(lambda x: 0.3 * x, inputs)
    assert_equal(slope_of(kernels.judged, *inputs), slope_of(stencil.plain_judged, *inputs))


def test_mixed_has_second_derivatives():
    inputs = jax.tree.map(
        lambda x: 0.3 * x, (mixer(3, 5), normal(6, 2, 3, 70), normal(7, 2, 1, 70))
    )
    assert_equal(slope_of(kernels.mixed, *inputs), slope_of(stencil.plain_mixed, *inputs))


def test_bfloat16_is_added_up_in_float32():
    own, noise = (normal(i, 2, 5, 70).astype(jnp.bfloat16) for i in (6, 7))
    wide = lambda x: x.astype(jnp.float32)  # noqa: E731

    def plain(weights, own, noise):
        return stencil.plain_mixed(weights, wide(own), wide(noise)).astype(own.dtype)

    assert_equal_with_gradients(kernels.mixed, plain, mixer(3, 5), own, noise, tolerance=1e-2)
    weights = judge(3, 5, 70)
    told = jax.grad(lambda w: jnp.sum(wide(kernels.judged(w, own))))(weights)
    assert_equal(told, jax.grad(lambda w: jnp.sum(stencil.plain_judged(w, wide(own))))(weights))


def test_lanes_are_mapped_over():
    own, noise = normal(6, 2, 3, 40), normal(7, 2, 1, 40)
    lanes = jax.tree.map(lambda x: jnp.stack([x, -x, 2 * x]), mixer(3, 4))
    grads = [
        jax.jit(jax.vmap(jax.grad(lambda *a: jnp.sum(jnp.square(f(*a)))), (0, None, None)))(  # noqa: B023
            lanes, own, noise
        )
        for f in (kernels.mixed, stencil.plain_mixed)
    ]
    assert_equal(*grads)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ("backend", "platform", "call"),
    [("gpu", "cuda", "__gpu$xla.gpu.triton"), ("tpu", "tpu", "tpu_custom_call")],
)
def test_all_kernels_lower_for_accelerators(monkeypatch, backend, platform, call, dtype):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    own, noise = normal(6, 2, 50, 4000).astype(dtype), normal(7, 2, 1, 4000).astype(dtype)
    total = lambda f: lambda *a: jnp.sum(jnp.square(f(*a)))  # noqa: E731
    for function, inputs, count in (
        (jax.grad(total(kernels.mixed), (0, 1, 2)), (mixer(3, 16), own, noise), 6),
        (jax.grad(total(kernels.judged), (0, 1)), (judge(3, 16, 4000), own), 3),
        (lambda *a: slope_of(kernels.judged, *a), (judge(5, 6, 4000), own), 7),
        (jax.vmap(kernels.mixed, (0, None, None)), (
            jax.tree.map(lambda x: x[None], mixer(3, 16)), own, noise
        ), 2),
    ):  # fmt: skip
        lowered = jax.jit(function).trace(*inputs).lower(lowering_platforms=(platform,))
        assert lowered.as_text().count(f"@{call}") == count
