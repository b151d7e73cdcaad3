"""Every equation against NumPy, and what the optimum of the generator's loss is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.methods.stgan import losses

pytestmark = pytest.mark.usefixtures("strict_dtypes")
rng = np.random.default_rng(0)
REAL, FAKE = (jnp.asarray(rng.normal(size=(3, 5)), jnp.float32) for _ in range(2))
Y, G = (jnp.asarray(rng.uniform(size=(3, 5, 8)), jnp.float32) for _ in range(2))
Z = jnp.asarray(rng.uniform(size=(3, 8)), jnp.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_discriminator_value_is_equation_2():
    expected = np.mean(np.log(sigmoid(REAL))) + np.mean(np.log(1 - sigmoid(FAKE)))
    np.testing.assert_allclose(losses.discriminator_value(REAL, FAKE), expected, rtol=1e-5)


def test_adversarial_is_equation_4_and_its_non_saturating_form():
    expected = np.mean(np.log(1 - sigmoid(FAKE)))
    np.testing.assert_allclose(losses.adversarial(FAKE), expected, rtol=1e-5)
    expected = -np.mean(np.log(sigmoid(FAKE)))
    np.testing.assert_allclose(losses.adversarial(FAKE, saturating=False), expected, rtol=1e-5)


def test_reconstruction_is_equation_6():
    expected = np.mean(np.sum(np.abs(np.asarray(Y - G)), -1))
    np.testing.assert_allclose(losses.reconstruction(Y, G), expected, rtol=1e-5)
    expected = np.mean(np.sum(np.asarray(Y - G) ** 2, -1))
    np.testing.assert_allclose(losses.reconstruction(Y, G, "l2"), expected, rtol=1e-5)


def test_perturbation_is_equation_7_with_one_noise_contour_for_all_frames():
    expected = np.mean([np.sum(np.abs(Z[b] - G[b, t])) for b in range(3) for t in range(5)])
    np.testing.assert_allclose(losses.perturbation(Z, G), expected, rtol=1e-5)
    moving = jnp.broadcast_to(Z[:, None], G.shape)
    np.testing.assert_allclose(losses.perturbation(moving, G), expected, rtol=1e-5)


def test_generator_is_equation_8():
    terms = [jnp.asarray(x) for x in (0.5, 0.25, 3.0, 10.0)]
    assert float(losses.generator(*terms, 0.3)) == pytest.approx(0.5 + 0.25 + 3.0 + 3.0)
    convex = losses.generator(*terms, 0.3, "convex")
    assert float(convex) == pytest.approx(0.5 + 0.25 + 0.7 * 3.0 + 0.3 * 10.0)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
def test_a_convex_balance_has_its_optimum_at_a_share_alpha_of_noise(alpha):
    def total(generated):
        rec = losses.reconstruction(Y, generated, "l2")
        per = losses.perturbation(Z, generated, "l2")
        return losses.generator(0 * rec, 0 * rec, rec, per, alpha, "convex")

    at = Y + jnp.asarray(alpha, jnp.float32) * (Z[:, None] - Y)
    np.testing.assert_allclose(jax.grad(total)(at), 0.0, atol=1e-6)
    assert total(at) <= total(at + 0.01)
    assert total(at) <= total(at - 0.01)


def test_extreme_logits_give_finite_values_and_gradients():
    logits = jnp.array([200.0, -200.0])
    for loss in (
        lambda x: losses.discriminator_value(x, x),
        losses.adversarial,
        lambda x: losses.adversarial(x, saturating=False),
    ):
        value, slope = jax.value_and_grad(loss)(logits)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.8])
def test_alpha_steers_the_squared_form_and_not_the_printed_one(alpha):
    """L1 + alpha L1 is least at Y; squares at Y + alpha / (1 + alpha) (Z - Y)."""

    def total(share, distance):
        generated = Y + share * (Z[:, None] - Y)
        rec = losses.reconstruction(Y, generated, distance)
        return rec + alpha * losses.perturbation(Z, generated, distance)

    shares = np.linspace(0, 1, 1001, dtype=np.float32)
    best = {d: shares[np.argmin([total(s, d) for s in shares])] for d in ("l1", "l2")}
    assert best["l1"] == 0
    assert best["l2"] == pytest.approx(alpha / (1 + alpha), abs=2e-3)


def test_another_distance_is_refused():
    with pytest.raises(ValueError, match="l3"):
        losses.reconstruction(Y, G, "l3")
