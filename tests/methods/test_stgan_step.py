"""The steps: the right gradients to the right networks, compiled once, and a learned outcome."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import NOISE, assert_trees_close, descended, sgd

from stgan_jax.data.batches import Gaits
from stgan_jax.data.walkers import procedural
from stgan_jax.methods.stgan import losses, networks, noise_networks
from stgan_jax.methods.stgan.step import StganNets, stgan_step
from stgan_jax.shapes import contour
from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.state import TrainState, inference_params

pytestmark = pytest.mark.usefixtures("strict_dtypes")
NETS = StganNets(
    networks.Generator(4, convolution="plain"),  # compiled in a quarter of the time
    networks.SpatialDiscriminator(4, convolution="plain"),
    networks.TemporalDiscriminator(8),
    NOISE,
)
INIT = jax.jit(NETS.init, static_argnums=2)
PRINTED = losses.LOSSES["printed"]


def stgan_state(noise_params, optimizers, seed=0, frames=6):
    params = INIT(jax.random.key(seed), noise_params, frames)
    return TrainState.create(seed, params, optimizers)


def one_step(state, fixed, optimizers, **options):
    added = StepOptions(**options)
    parts = {"nets": NETS, "optimizers": optimizers, "loss": PRINTED, "options": added}
    return jax.jit(functools.partial(stgan_step, **parts))(state, Gaits(fixed), 0.3)


def test_stgan_step_is_plain_alternation(fixed, noise_params):
    """Against Eqs. 2-8 differentiated naively: discriminators, then G against the new ones."""
    rate, alpha = 0.01, 0.3
    state = stgan_state(noise_params, sgd(rate))
    new, metrics = one_step(state, fixed, sgd(rate))
    y = jnp.asarray(fixed, jnp.float32) / (256 * 240)
    z = NOISE.sample(noise_params, state.key(), 4)

    @jax.jit
    def by_the_equations(p):
        fake = NETS.gen.apply(p["gen"], y, z)

        def ascend(disc, params):
            def value(q):
                return losses.discriminator_value(disc.apply(q, y), disc.apply(q, fake))

            return descended(params, jax.grad(value)(params), -rate)

        spatial = ascend(NETS.spatial_disc, p["spatial_disc"])
        temporal = ascend(NETS.temporal_disc, p["temporal_disc"])

        def equation_8(q):
            fake = NETS.gen.apply(q, y, z)
            return (
                losses.adversarial(NETS.spatial_disc.apply(spatial, fake))
                + losses.adversarial(NETS.temporal_disc.apply(temporal, fake))
                + losses.reconstruction(y, fake)
                + alpha * losses.perturbation(z, fake)
            )

        loss, slope = jax.value_and_grad(equation_8)(p["gen"])
        return loss, spatial, temporal, descended(p["gen"], slope, rate)

    loss, spatial, temporal, gen = by_the_equations(state.params)
    assert_trees_close(new.params["spatial_disc"], spatial, rtol=1e-4, atol=1e-6)
    assert_trees_close(new.params["temporal_disc"], temporal, rtol=1e-4, atol=1e-6)
    assert_trees_close(new.params["gen"], gen, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(metrics["loss/gen"], loss, rtol=1e-4)
    assert int(new.step) == 1


def test_disc_update_leaves_generator_unchanged_and_the_other_way_round(fixed, noise_params):
    for frozen, moving in (("gen", "disc"), ("disc", "gen")):
        optimizers = {name: optax.sgd(0.0 if frozen in name else 0.01) for name in sgd(0.0)}
        state = stgan_state(noise_params, optimizers)
        new, _ = one_step(state, fixed, optimizers)
        for name in optimizers:
            same = jax.tree.map(np.array_equal, state.params[name], new.params[name])
            assert all(jax.tree.leaves(same)) == (frozen in name)
            assert (moving in name) != (frozen in name)


def test_noise_gan_stays_frozen_in_stgan(fixed, noise_params):
    state = stgan_state(noise_params, sgd(0.01))
    new, _ = one_step(state, fixed, sgd(0.01))
    for name in ("noise_gen_ema", "noise_basis"):
        assert_trees_close(state.params[name], new.params[name], rtol=0, atol=0)


def test_step_compiles_once_for_all_alphas(fixed, noise_params):
    traces = []

    def counted(state, batch, alpha):
        traces.append(1)
        fixed = {"optimizers": sgd(0.01), "loss": PRINTED, "options": StepOptions()}
        return stgan_step(state, batch, alpha, nets=NETS, **fixed)

    step, state = jax.jit(counted), stgan_state(noise_params, sgd(0.01))
    for alpha in (0.1, 0.3, 0.8):
        state, _ = step(state, Gaits(fixed), alpha)
    assert len(traces) == 1
    assert int(state.step) == 3


def test_noise_differs_between_steps_and_seeds_and_repeats_with_them(noise_params):
    def drawn(seed, step):
        state = stgan_state(noise_params, sgd(0.0), seed).replace(step=jnp.asarray(step))
        return np.asarray(NOISE.sample(noise_params, state.key(), 2))

    assert np.array_equal(drawn(0, 1), drawn(0, 1))
    assert not np.array_equal(drawn(0, 1), drawn(0, 2))
    assert not np.array_equal(drawn(0, 1), drawn(1, 1))


def test_training_learns_the_share_of_noise_that_alpha_asks_for(fixed):
    """The squared losses are least at Y + alpha / (1 + alpha) (Z - Y): G must find it."""
    own = fixed[:2, :2]
    optimizers = {
        "gen": optax.adam(1e-2),
        "spatial_disc": optax.adam(2e-4, b1=0.5),
        "temporal_disc": optax.adam(2e-4, b1=0.5),
    }
    step = jax.jit(
        functools.partial(
            stgan_step,
            nets=NETS,
            optimizers=optimizers,
            loss=losses.StganLoss("l2", False, 0.2, "printed"),
            options=StepOptions(),
        )
    )
    # Noise that is other people: what a trained G_N gives, without training one here.
    people = procedural.contours(range(20, 32), [0, 54, 90], ["nm-01"], 2, "resampled", workers=1)
    unit = contour.fixed_to_unit(people.reshape(-1, 4000))
    basis = noise_networks.ContourBasis.fit(unit, 12, whitening=1.0)
    spread = {
        "params": {
            "Dense_0": {"kernel": jnp.eye(5, 16), "bias": jnp.zeros(16)},
            "Dense_1": {"kernel": jnp.eye(16, 12), "bias": jnp.zeros(12)},
        }
    }
    state = stgan_state({"noise_gen_ema": spread, "noise_basis": basis}, optimizers, frames=2)

    @jax.jit
    def share(params):
        y = contour.fixed_to_unit(own)
        z = NOISE.sample(params, jax.random.key(99), 2)
        change, toward = NETS.gen.apply(params["gen"], y, z) - y, z[:, None] - y
        return jnp.sum(change * toward) / jnp.sum(toward**2)

    for alpha, steps in ((0.2, 130), (0.8, 70)):
        trained = state
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam
            for _ in range(steps):
                trained, metrics = step(trained, Gaits(own), alpha)
        goal = alpha / (1 + alpha)
        assert abs(float(share(state.params)) - goal) > 0.04
        assert float(share(trained.params)) == pytest.approx(goal, abs=0.03)
        assert float(metrics["loss/gen_rec"]) < 30


def test_slices_of_a_batch_give_the_gradients_of_the_whole(fixed, noise_params):
    rules = sgd(0.01)
    state = stgan_state(noise_params, rules)
    whole, expected = one_step(state, fixed, rules, r1=0.5)
    sliced, metrics = one_step(state, fixed, rules, r1=0.5, accumulate=2)
    assert_trees_close(whole.params, sliced.params, rtol=1e-4, atol=1e-5)
    assert_trees_close(expected, metrics, rtol=1e-3, atol=1e-4)


def test_r1_is_the_mean_squared_slope_at_real_gaits(fixed, noise_params):
    rules, weight, rate = sgd(0.01), 3.0, 0.01
    state = stgan_state(noise_params, rules)
    plain, with_r1 = (one_step(state, fixed, rules, r1=r)[0] for r in (0.0, weight))
    real = contour.fixed_to_unit(fixed)

    def penalty(params):  # each sequence's own slope, by hand
        slope = jax.vmap(jax.grad(lambda x: NETS.temporal_disc.apply(params, x[None])[0]))(real)
        return weight / 2 * jnp.mean(jnp.sum(slope**2, -1))

    slope = jax.grad(penalty)(state.params["temporal_disc"])
    expected = descended(plain.params["temporal_disc"], slope, rate)
    assert_trees_close(with_r1.params["temporal_disc"], expected, rtol=1e-4, atol=1e-6)


def test_the_average_of_g_follows_and_is_what_is_used(fixed, noise_params):
    rules = sgd(0.01)
    state = stgan_state(noise_params, rules)
    assert inference_params(state.params) is state.params["gen"]
    before = jax.tree.map(lambda x: x + 1.0, state.params["gen"])
    state = state.replace(params={**state.params, "gen_ema": before})
    new, _ = one_step(state, fixed, rules, ema=0.75)
    expected = jax.tree.map(lambda a, g: 0.75 * a + 0.25 * g, before, new.params["gen"])
    assert_trees_close(new.params["gen_ema"], expected, rtol=1e-6, atol=1e-7)
    assert inference_params(new.params) is new.params["gen_ema"]


def test_norms_are_those_of_gradients_and_updates(fixed, noise_params):
    state = stgan_state(noise_params, sgd(0.01))
    new, metrics = one_step(state, fixed, sgd(0.01))
    for name in sgd(0.01):
        moved = jax.tree.map(lambda a, b: a - b, new.params[name], state.params[name])
        size = np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(moved)))
        assert float(metrics[f"update_norm/{name}"]) == pytest.approx(size, rel=1e-3)
        assert float(metrics[f"gradient_norm/{name}"]) == pytest.approx(100 * size, rel=1e-3)
