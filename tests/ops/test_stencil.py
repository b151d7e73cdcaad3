"""The networks as they are computed equal the same networks of flax's own layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from stgan_jax.methods.stgan import networks
from stgan_jax.ops import stencil
from stgan_jax.ops.kernels import convolution as kernels


class Straightforward(nn.Module):
    """G of flax's own layers."""

    share_encoder: bool = False
    kernel: int = 3
    features: int = 16

    @nn.compact
    def __call__(self, contours, noise):
        def conv(features, name):
            return nn.Conv(features, (self.kernel,), name=name)

        own = conv(self.features, "encoder")
        other = own if self.share_encoder else conv(self.features, "noise_encoder")
        noise = noise[:, None] if noise.ndim == 2 else noise
        hidden = nn.relu(own(2.0 * contours[..., None] - 1.0))
        hidden = hidden + nn.relu(other(2.0 * noise[..., None] - 1.0))
        return nn.relu(conv(1, "decoder")(hidden))[..., 0]


class StraightforwardSpatial(nn.Module):
    """D_S of flax's own layers."""

    features: int = 16

    @nn.compact
    def __call__(self, contours):
        x = nn.leaky_relu(nn.Conv(self.features, (3,))(4.0 * contours[..., None] - 2.0), 0.2)
        return nn.Dense(1)(x.reshape(*x.shape[:-2], -1))[..., 0]


class StraightforwardTemporal(nn.Module):
    """D_T of flax's own layers."""

    @nn.compact
    def __call__(self, contours):
        x = nn.RNN(nn.OptimizedLSTMCell(32))(4.0 * contours - 2.0)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[..., 0]


def uniform(number, shape):
    return jax.random.uniform(jax.random.key(number), shape)


def started(net, *inputs):
    return jax.jit(net.init)(jax.random.key(2), *inputs)


def assert_equal_structure(params, net, *inputs):
    other = jax.eval_shape(net.init, jax.random.key(2), *inputs)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, other)


def assert_equal_gradients(plain, ours, params, *inputs):
    weights = uniform(9, jax.eval_shape(plain, params, *inputs).shape) - 0.5
    every = tuple(range(len(inputs) + 1))

    def computed(function):
        def loss(*args):
            out = function(*args)
            return jnp.sum(weights * out), out

        (_, out), grads = jax.jit(jax.value_and_grad(loss, every, has_aux=True))(params, *inputs)
        return out, grads

    (out, expected), (our_out, result) = computed(plain), computed(ours)
    np.testing.assert_allclose(our_out, out, atol=1e-5)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(expected))
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(result), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize(
    ("noise", "shape", "features", "taps"),
    [
        ("constant", (3, 12, 4000), 6, 3),  # three passes over frames, the last half full
        ("constant", (1, 1, 4000), 3, 3),
        ("moving", (2, 7, 4000), 4, 5),
        ("shared", (2, 9, 4000), 5, 3),
    ],
)
def test_generator_equals_convolutions_with_all_gradients(noise, shape, features, taps):
    batch, _, size = shape
    own = uniform(0, shape)
    other = uniform(1, (batch, size) if noise == "constant" else shape)
    plain = Straightforward(noise == "shared", taps, features)
    ours = networks.Generator(features, taps, noise == "shared")
    params = started(ours, own, other)
    assert_equal_structure(params, plain, own, other)
    assert_equal_gradients(plain.apply, ours.apply, params, own, other)


@pytest.mark.parametrize(("shape", "features"), [((3, 12, 4000), 6), ((1, 1, 4000), 3)])
def test_spatial_discriminator_equals_convolutions_with_all_gradients(shape, features):
    plain, ours = StraightforwardSpatial(features), networks.SpatialDiscriminator(features)
    contours = uniform(0, shape)
    params = started(ours, contours)
    assert_equal_structure(params, plain, contours)
    assert_equal_gradients(plain.apply, ours.apply, params, contours)


def test_temporal_discriminator_equals_flax_with_all_gradients():
    plain, ours = StraightforwardTemporal(), networks.TemporalDiscriminator(units=32)
    contours = uniform(0, (3, 12, 4000))
    params, others = (started(net, contours) for net in (ours, plain))
    jax.tree.map(np.testing.assert_array_equal, params, others)
    assert_equal_gradients(plain.apply, ours.apply, params, contours)


def test_gradient_penalty_goes_through_the_pieces():
    plain, ours = StraightforwardSpatial(4), networks.SpatialDiscriminator(4)
    contours = uniform(0, (2, 12, 4000))
    params = started(ours, contours)

    def penalty(net):
        def squared_slope(params):
            slope = jax.grad(lambda x: jnp.sum(net.apply(params, x)))(contours)
            return jnp.sum(jnp.square(slope))

        return jax.jit(jax.grad(squared_slope))(params)

    expected, result = jax.tree.leaves(penalty(plain)), jax.tree.leaves(penalty(ours))
    assert max(np.abs(leaf).max() for leaf in expected) > 1e-3
    for a, b in zip(expected, result, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(a).max()))


def test_general_convolutions_are_taken_off_the_cpu(monkeypatch):
    own, noise = uniform(0, (2, 12, 4000)), uniform(1, (2, 4000))
    gen, disc = networks.Generator(4), networks.SpatialDiscriminator(4)
    params, disc_params = started(gen, own, noise), started(disc, own)
    here = gen.apply(params, own, noise), disc.apply(disc_params, own)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(stencil, "generate", pytest.fail)
    monkeypatch.setattr(stencil, "spatial_logits", pytest.fail)
    np.testing.assert_allclose(gen.apply(params, own, noise), here[0], atol=1e-6)
    np.testing.assert_allclose(disc.apply(disc_params, own), here[1], atol=1e-5)


@pytest.mark.parametrize(("backend", "module"), [("gpu", kernels), ("cpu", stencil)])
def test_kernels_are_taken_where_asked_for_and_never_on_a_cpu(monkeypatch, backend, module):
    contours = uniform(0, (1, 2, 4000))
    monkeypatch.setattr(module, "generate", lambda weights, own, noise: 3.0 * own)
    monkeypatch.setattr(module, "spatial_logits", lambda weights, own: own[..., 0])
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    gen = networks.Generator(convolution="pallas")
    output, _ = gen.init_with_output(jax.random.key(2), contours, contours)
    np.testing.assert_allclose(output, 3.0 * (2.0 * contours - 1.0))
    disc = networks.SpatialDiscriminator(convolution="pallas")
    logits, _ = disc.init_with_output(jax.random.key(2), contours)
    np.testing.assert_allclose(logits, 4.0 * contours[..., 0] - 2.0)


def test_lanes_of_weights_are_mapped_over():
    own, noise = uniform(0, (2, 12, 4000)), uniform(1, (2, 4000))
    gen, disc = networks.Generator(features=4), networks.SpatialDiscriminator(features=4)
    keys = jax.random.split(jax.random.key(4), 3)
    params = jax.vmap(lambda key: (gen.init(key, own, noise), disc.init(key, own)))(keys)

    def loss(params):
        out, logits = gen.apply(params[0], own, noise), disc.apply(params[1], own)
        return jnp.sum(jnp.square(out)) + jnp.sum(jnp.square(logits))

    grad = jax.jit(jax.grad(loss))
    together = jax.jit(jax.vmap(jax.grad(loss)))(params)
    for lane in range(3):
        alone = grad(jax.tree.map(lambda x: x[lane], params))  # noqa: B023
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(b[lane], a, rtol=1e-5, atol=1e-5)


def test_gradients_in_bfloat16_are_added_up_in_float32():
    own, noise = uniform(0, (2, 12, 4000)), uniform(1, (2, 4000))
    exact, rough = networks.Generator(4), networks.Generator(4, dtype=jnp.bfloat16)
    params = started(exact, own, noise)

    def slopes(net):
        return jax.jit(jax.grad(lambda p: jnp.mean(jnp.square(net.apply(p, own, noise) - own))))

    grads = [slopes(net)(params) for net in (exact, rough)]
    for a, b in zip(*map(jax.tree.leaves, grads), strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(b, a, atol=0.03 * np.abs(a).max())
