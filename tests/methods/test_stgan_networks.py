"""The networks: sizes as in the papers, and equal to NumPy written apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.methods.stgan import networks

pytestmark = pytest.mark.usefixtures("strict_dtypes")
KEY = jax.random.key(0)
rng = np.random.default_rng(1)


def contours(*shape):
    return jnp.asarray(rng.uniform(size=(*shape, 4000)), jnp.float32)


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_shared_generator_has_the_113_parameters_of_wifs():
    y, z = contours(1, 2), contours(1)
    assert count(networks.Generator(share_encoder=True).init(KEY, y, z)) == 113
    assert count(networks.Generator().init(KEY, y, z)) == 113 + 3 * 16 + 16


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv(x, kernel, bias):
    """1-d convolution with zero padding, (N, in) -> (N, out), by a loop."""
    padded = np.pad(x, ((len(kernel) // 2,) * 2, (0, 0)))
    taps = [padded[k : k + len(x)] @ kernel[k] for k in range(len(kernel))]
    return np.sum(taps, axis=0) + bias


@pytest.mark.parametrize("share", [False, True])
def test_generator_equals_numpy(share):
    model = networks.Generator(share_encoder=share)
    y, z = contours(2, 3), contours(2)
    variables = model.init(KEY, y, z)
    variables = jax.tree.map(
        lambda x: x + 0.2 * jax.random.normal(KEY, x.shape), variables
    )  # the start is special: move away from it
    p = jax.tree.map(np.asarray, variables["params"])
    own, other = p["encoder"], p["encoder" if share else "noise_encoder"]
    for b in range(2):
        for t in range(3):
            h = relu(conv(2 * np.asarray(y)[b, t, :, None] - 1, own["kernel"], own["bias"]))
            h = h + relu(conv(2 * np.asarray(z)[b, :, None] - 1, other["kernel"], other["bias"]))
            expected = relu(conv(h, p["decoder"]["kernel"], p["decoder"]["bias"]))[:, 0]
            got = model.apply(variables, y, z)[b, t]
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_shared_encoder_cannot_tell_gait_from_noise_and_separate_ones_can():
    y, z = contours(2, 1), contours(2)
    for share in (True, False):
        model = networks.Generator(4, share_encoder=share)
        variables = model.init(KEY, y, z)
        one = model.apply(variables, y, z)
        swapped = model.apply(variables, z[:, None], y[:, 0])
        assert np.allclose(one, swapped, atol=1e-5) == share


def test_a_closed_contour_may_begin_anywhere():
    y, z = contours(2, 3), contours(2, 3)
    open_ended, closed = (networks.Generator(2, 5, closed=x) for x in (False, True))
    variables = open_ended.init(KEY, y, z)
    output = closed.apply(variables, y, z)
    turned = closed.apply(variables, jnp.roll(y, 100, -1), jnp.roll(z, 100, -1))
    np.testing.assert_allclose(turned, jnp.roll(output, 100, -1), atol=1e-6)
    np.testing.assert_allclose(
        output[..., 4:-4], open_ended.apply(variables, y, z)[..., 4:-4], atol=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_generator_starts_near_the_mean_of_its_inputs_and_alive(seed):
    model = networks.Generator()
    y, z = 0.25 + 0.5 * contours(2, 2), 0.25 + 0.5 * contours(2)
    variables = model.init(jax.random.key(seed), y, z)
    out, slope = jax.value_and_grad(lambda v: model.apply(v, y, z).mean())(variables)
    assert 0.3 < out < 0.7
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(slope))


def test_spatial_discriminator_judges_each_frame_alone():
    model, y = networks.SpatialDiscriminator(), contours(2, 3)
    variables = model.init(KEY, y)
    assert variables["params"]["Dense_0"]["kernel"].shape == (16 * 4000, 1)
    logits = model.apply(variables, y)
    assert logits.shape == (2, 3)
    np.testing.assert_allclose(model.apply(variables, y[1:, 2:]), logits[1:, 2:], rtol=1e-4)


def test_temporal_discriminator_is_an_lstm_with_all_outputs_joined():
    model, y = networks.TemporalDiscriminator(units=4), contours(1, 3)
    variables = model.init(KEY, y)
    p = jax.tree.map(np.asarray, variables["params"])
    cell = p["OptimizedLSTMCell_0"]
    h, c, outputs = np.zeros(4), np.zeros(4), []
    for x in 4 * np.asarray(y, np.float64)[0] - 2:
        gate = {
            g: x @ cell[f"i{g}"]["kernel"] + h @ cell[f"h{g}"]["kernel"] + cell[f"h{g}"]["bias"]
            for g in "ifgo"
        }
        c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
        h = sigmoid(gate["o"]) * np.tanh(c)
        outputs.append(h)
    dense = p["Dense_0"]
    assert dense["kernel"].shape == (3 * 4, 1)
    expected = np.concatenate(outputs) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(model.apply(variables, y), expected, rtol=1e-3, atol=1e-4)
