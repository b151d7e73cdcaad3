"""The noise GAN: its basis, its step, and the noise that is drawn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import NOISE, assert_trees_close, descended, sgd

from stgan_jax.methods.stgan import losses, noise_networks, noise_step
from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.state import TrainState

pytestmark = pytest.mark.usefixtures("strict_dtypes")
KEY = jax.random.key(0)
rng = np.random.default_rng(1)


def test_basis_gives_back_what_it_spans_and_codes_of_set_variance():
    sample = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 4000)) + 0.5
    basis = noise_networks.ContourBasis.fit(sample.astype(np.float32), 6, whitening=1.0)
    codes = basis.code(jnp.asarray(sample, jnp.float32))
    assert codes.shape == (200, 6)
    np.testing.assert_allclose(np.std(codes, axis=0), 1.0, rtol=1e-3)
    np.testing.assert_allclose(basis.contour(codes), sample, atol=1e-3)
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(6), atol=1e-5)


def test_identity_basis_is_the_contour_itself():
    basis = noise_networks.ContourBasis.identity()
    contours = jnp.asarray(rng.uniform(size=(3, 4000)), jnp.float32)
    assert basis.size == 4000
    np.testing.assert_allclose(basis.contour(basis.code(contours)), contours, atol=1e-6)


def test_basis_needs_more_contours_than_components():
    with pytest.raises(ValueError, match="more than 5"):
        noise_networks.ContourBasis.fit(np.zeros((5, 4000), np.float32), 5)


def test_noise_contours_are_in_range_and_vary_with_the_seed():
    model = noise_networks.NoiseGenerator(4000)
    variables = model.init(KEY, jnp.zeros((1, 8)))
    seeds = noise_networks.sample_seeds(jax.random.key(1), 3, 8)
    identity = noise_networks.ContourBasis.identity()
    drawn = noise_networks.noise_contour(model, variables, identity, seeds)
    assert drawn.shape == (3, 4000)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert not np.allclose(drawn[0], drawn[1], atol=1e-3)


def test_noise_step_is_plain_alternation(fixed, noise_params):
    rate, r1 = 0.01, 0.7
    optimizers = sgd(rate, ("noise_gen", "noise_disc"))
    state = TrainState.create(0, noise_params, optimizers)
    frames = fixed.reshape(-1, 4000)
    new, _ = noise_step.noise_step(
        state, frames, nets=NOISE, optimizers=optimizers, options=StepOptions(r1=r1, ema=0.9)
    )
    p, basis = noise_params, noise_params["noise_basis"]
    real = basis.code(jnp.asarray(frames, jnp.float32) / (256 * 240))
    seeds = jax.random.normal(state.key(), (len(frames), 5))

    def disc_loss(q):
        slopes = jax.vmap(jax.grad(lambda x: NOISE.disc.apply(q, x)))(real)
        value = losses.discriminator_value(
            NOISE.disc.apply(q, real), NOISE.disc.apply(q, NOISE.gen.apply(p["noise_gen"], seeds))
        )
        return r1 / 2 * jnp.mean(jnp.sum(slopes**2, -1)) - value

    disc = descended(p["noise_disc"], jax.grad(disc_loss)(p["noise_disc"]), rate)
    assert_trees_close(new.params["noise_disc"], disc, rtol=1e-4, atol=1e-6)

    def gen_loss(q):
        logits = NOISE.disc.apply(disc, NOISE.gen.apply(q, seeds))
        return losses.adversarial(logits, saturating=False)

    gen = descended(p["noise_gen"], jax.grad(gen_loss)(p["noise_gen"]), rate)
    assert_trees_close(new.params["noise_gen"], gen, rtol=1e-4, atol=1e-6)
    average = jax.tree.map(lambda old, x: 0.9 * old + 0.1 * x, p["noise_gen_ema"], gen)
    assert_trees_close(new.params["noise_gen_ema"], average, rtol=1e-4, atol=1e-6)


def test_truncation_scales_the_seeds(noise_params):
    key = jax.random.key(2)
    seeds = noise_networks.sample_seeds(key, 6, 5)
    expected = noise_networks.noise_contour(
        NOISE.gen, noise_params["noise_gen_ema"], noise_params["noise_basis"], 0.5 * seeds
    )
    near = dataclasses.replace(NOISE, truncation=0.5).sample(noise_params, key, 6)
    np.testing.assert_array_equal(near, expected)
    assert np.abs(np.asarray(near - NOISE.sample(noise_params, key, 6))).max() > 0


def test_gaussian_noise_is_around_the_middle_and_shows_no_person():
    drawn = np.asarray(noise_step.GaussianNoise().sample({}, jax.random.key(0), 50))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    neighbours = np.corrcoef(drawn[:, :-2].ravel(), drawn[:, 2:].ravel())[0, 1]
    assert abs(neighbours) < 0.02
