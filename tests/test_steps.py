"""The steps: the right gradients to the right networks, compiled once, and a learned outcome."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stgan_jax import contour, losses, steps
from stgan_jax.data import walkers
from stgan_jax.models import noise, stgan
from stgan_jax.state import TrainState

pytestmark = pytest.mark.usefixtures("strict_dtypes")
NOISE = steps.NoiseNets(noise.NoiseGenerator(12, (16,)), noise.NoiseDiscriminator((16,)), 5)
NETS = steps.StganNets(
    stgan.Generator(), stgan.SpatialDiscriminator(4), stgan.TemporalDiscriminator(8), NOISE
)
LITERAL = steps.StganLoss("l1", saturating=True)


@pytest.fixture(scope="module")
def fixed():
    """Contours of four people, (4, 6, 4000)."""
    return jnp.asarray(walkers.contours(range(4), [54], ["nm-01"], 6, "resampled", workers=1))


@pytest.fixture(scope="module")
def noise_params(fixed):
    basis = noise.ContourBasis.fit(contour.fixed_to_unit(np.asarray(fixed).reshape(-1, 4000)), 12)
    return NOISE.init(jax.random.key(0), basis)


def stgan_state(noise_params, optimizers, seed=0):
    params = NETS.init(jax.random.key(seed), noise_params, 6)
    return TrainState.create(seed, params, optimizers)


def sgd(rate):
    return {name: optax.sgd(rate) for name in ("gen", "spatial_disc", "temporal_disc")}


def assert_trees_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


def test_stgan_step_is_plain_alternation(fixed, noise_params):
    """Against Eqs. 2-8 differentiated naively: discriminators, then G against the new ones."""
    rate, alpha = 0.01, 0.3
    state = stgan_state(noise_params, sgd(rate))
    new, metrics = steps.stgan_step(
        state, fixed, alpha, nets=NETS, optimizers=sgd(rate), loss=LITERAL
    )
    y = jnp.asarray(fixed, jnp.float32) / (256 * 240)
    z = NOISE.sample(noise_params, state.key(), 4)
    p = state.params
    fake = NETS.gen.apply(p["gen"], y, z)

    def ascend(disc, params):
        value = lambda q: losses.discriminator_value(disc.apply(q, y), disc.apply(q, fake))  # noqa: E731
        return jax.tree.map(lambda x, g: x + rate * g, params, jax.grad(value)(params))

    spatial = ascend(NETS.spatial_disc, p["spatial_disc"])
    temporal = ascend(NETS.temporal_disc, p["temporal_disc"])
    assert_trees_close(new.params["spatial_disc"], spatial, rtol=1e-4, atol=1e-6)
    assert_trees_close(new.params["temporal_disc"], temporal, rtol=1e-4, atol=1e-6)

    def equation_8(q):
        made = NETS.gen.apply(q, y, z)
        return (
            losses.adversarial(NETS.spatial_disc.apply(spatial, made))
            + losses.adversarial(NETS.temporal_disc.apply(temporal, made))
            + losses.reconstruction(y, made)
            + alpha * losses.perturbation(z, made)
        )

    loss, slope = jax.value_and_grad(equation_8)(p["gen"])
    gen = jax.tree.map(lambda x, g: x - rate * g, p["gen"], slope)
    assert_trees_close(new.params["gen"], gen, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(metrics["loss/gen"], loss, rtol=1e-4)
    assert int(new.step) == 1


def test_disc_update_leaves_generator_unchanged_and_the_other_way_round(fixed, noise_params):
    for frozen, moving in (("gen", "disc"), ("disc", "gen")):
        optimizers = {name: optax.sgd(0.0 if frozen in name else 0.01) for name in sgd(0.0)}
        state = stgan_state(noise_params, optimizers)
        new, _ = steps.stgan_step(state, fixed, 0.3, nets=NETS, optimizers=optimizers, loss=LITERAL)
        for name in optimizers:
            same = jax.tree.map(np.array_equal, state.params[name], new.params[name])
            assert all(jax.tree.leaves(same)) == (frozen in name)
            assert (moving in name) != (frozen in name)


def test_noise_gan_stays_frozen_in_stgan(fixed, noise_params):
    state = stgan_state(noise_params, sgd(0.01))
    new, _ = steps.stgan_step(state, fixed, 0.3, nets=NETS, optimizers=sgd(0.01), loss=LITERAL)
    for name in ("noise_gen_ema", "noise_basis"):
        assert_trees_close(state.params[name], new.params[name], rtol=0, atol=0)


def test_noise_step_is_plain_alternation(fixed, noise_params):
    rate, r1 = 0.01, 0.7
    optimizers = {name: optax.sgd(rate) for name in ("noise_gen", "noise_disc")}
    state = TrainState.create(0, noise_params, optimizers)
    frames = fixed.reshape(-1, 4000)
    new, _ = steps.noise_step(
        state, frames, nets=NOISE, optimizers=optimizers, options=steps.Options(r1=r1, ema=0.9)
    )
    p, basis = noise_params, noise_params["noise_basis"]
    real = basis.code(jnp.asarray(frames, jnp.float32) / (256 * 240))
    seeds = jax.random.normal(state.key(), (len(frames), 5))

    def cost(q):
        slopes = jax.vmap(jax.grad(lambda x: NOISE.disc.apply(q, x)))(real)
        value = losses.discriminator_value(
            NOISE.disc.apply(q, real), NOISE.disc.apply(q, NOISE.gen.apply(p["noise_gen"], seeds))
        )
        return r1 / 2 * jnp.mean(jnp.sum(slopes**2, -1)) - value

    disc = jax.tree.map(lambda x, g: x - rate * g, p["noise_disc"], jax.grad(cost)(p["noise_disc"]))
    assert_trees_close(new.params["noise_disc"], disc, rtol=1e-4, atol=1e-6)

    def deceive(q):
        logits = NOISE.disc.apply(disc, NOISE.gen.apply(q, seeds))
        return losses.adversarial(logits, saturating=False)

    gen = jax.tree.map(lambda x, g: x - rate * g, p["noise_gen"], jax.grad(deceive)(p["noise_gen"]))
    assert_trees_close(new.params["noise_gen"], gen, rtol=1e-4, atol=1e-6)
    average = jax.tree.map(lambda old, x: 0.9 * old + 0.1 * x, p["noise_gen_ema"], gen)
    assert_trees_close(new.params["noise_gen_ema"], average, rtol=1e-4, atol=1e-6)


def test_step_compiles_once_for_all_alphas(fixed, noise_params):
    traces = []

    def counted(state, batch, alpha):
        traces.append(1)
        return steps.stgan_step(
            state, batch, alpha, nets=NETS, optimizers=sgd(0.01), loss=steps.StganLoss("l2")
        )

    step, state = jax.jit(counted), stgan_state(noise_params, sgd(0.01))
    for alpha in (0.1, 0.3, 0.8):
        state, _ = step(state, fixed, alpha)
    assert len(traces) == 1
    assert int(state.step) == 3


def test_noise_differs_between_steps_and_seeds_and_repeats_with_them(noise_params):
    def drawn(seed, step):
        state = stgan_state(noise_params, sgd(0.0), seed).replace(step=jnp.asarray(step))
        return np.asarray(NOISE.sample(noise_params, state.key(), 2))

    assert np.array_equal(drawn(0, 1), drawn(0, 1))
    assert not np.array_equal(drawn(0, 1), drawn(0, 2))
    assert not np.array_equal(drawn(0, 1), drawn(1, 1))


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_training_learns_the_share_of_noise_that_alpha_asks_for(fixed, noise_params, alpha):
    """The squared losses are least at Y + alpha / (1 + alpha) (Z - Y): G must find it."""
    optimizers = {
        "gen": optax.adam(5e-3),
        "spatial_disc": optax.adam(2e-4, b1=0.5),
        "temporal_disc": optax.adam(2e-4, b1=0.5),
    }
    step = jax.jit(
        functools.partial(
            steps.stgan_step,
            nets=NETS,
            optimizers=optimizers,
            loss=steps.StganLoss("l2", False, 0.2),
        )
    )
    # Noise that is other people: what a trained G_N gives, without training one here.
    people = contour.fixed_to_unit(walkers.contours(
        range(20, 32), [0, 54, 90], ["nm-01"], 2, "resampled", workers=1
    ).reshape(-1, 4000))  # fmt: skip
    basis = noise.ContourBasis.fit(people, 12, whitening=1.0)
    spread = {
        "params": {
            "Dense_0": {"kernel": jnp.eye(5, 16), "bias": jnp.zeros(16)},
            "Dense_1": {"kernel": jnp.eye(16, 12), "bias": jnp.zeros(12)},
        }
    }
    state = stgan_state({"noise_gen_ema": spread, "noise_basis": basis}, optimizers)

    def share(state):
        y = contour.fixed_to_unit(fixed)
        z = NOISE.sample(state.params, jax.random.key(99), 4)
        made, toward = NETS.gen.apply(state.params["gen"], y, z) - y, z[:, None] - y
        return float(jnp.sum(made * toward) / jnp.sum(toward**2))

    start = share(state)
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam
        for _ in range(150):
            state, metrics = step(state, fixed, alpha)
    goal = alpha / (1 + alpha)
    assert abs(start - goal) > 0.04
    assert share(state) == pytest.approx(goal, abs=0.03)
    assert float(metrics["loss/gen_rec"]) < 30


def one_step(state, batch, optimizers, **options):
    return steps.stgan_step(
        state, batch, 0.3, nets=NETS, optimizers=optimizers, loss=LITERAL,
        options=steps.Options(**options),
    )  # fmt: skip


def test_truncated_seeds_are_nearer_to_the_middle(noise_params):
    near = dataclasses.replace(NOISE, truncation=0.5)
    key = jax.random.key(2)
    seeds = noise.sample_seeds(key, 6, 5)
    wanted = noise.noise_contour(
        NOISE.gen, noise_params["noise_gen_ema"], noise_params["noise_basis"], 0.5 * seeds
    )
    np.testing.assert_array_equal(near.sample(noise_params, key, 6), wanted)
    assert (
        np.abs(
            np.asarray(near.sample(noise_params, key, 6) - NOISE.sample(noise_params, key, 6))
        ).max()
        > 0
    )


def test_slices_of_a_batch_and_recomputation_give_the_gradients_of_the_whole(fixed, noise_params):
    rules = sgd(0.01)
    state = stgan_state(noise_params, rules)
    whole, seen = one_step(state, fixed, rules, r1=0.5)
    for options in ({"accumulate": 2}, {"accumulate": 4, "remat": True}):
        sliced, told = one_step(state, fixed, rules, r1=0.5, **options)
        assert_trees_close(whole.params, sliced.params, rtol=1e-4, atol=1e-5)
        assert_trees_close(seen, told, rtol=1e-3, atol=1e-4)


def test_r1_is_the_mean_squared_slope_at_real_gaits(fixed, noise_params):
    rules, weight, rate = sgd(0.01), 3.0, 0.01
    state = stgan_state(noise_params, rules)
    plain, with_r1 = (one_step(state, fixed, rules, r1=r)[0] for r in (0.0, weight))
    real = contour.fixed_to_unit(fixed)

    def penalty(params):  # each sequence's own slope, by hand
        slope = jax.vmap(jax.grad(lambda x: NETS.temporal_disc.apply(params, x[None])[0]))(real)
        return weight / 2 * jnp.mean(jnp.sum(slope**2, -1))

    expected = jax.tree.map(
        lambda x, g: x - rate * g,
        plain.params["temporal_disc"],
        jax.grad(penalty)(state.params["temporal_disc"]),
    )
    assert_trees_close(with_r1.params["temporal_disc"], expected, rtol=1e-4, atol=1e-6)


def test_discriminators_may_take_more_steps_with_other_noise(fixed, noise_params):
    rules = sgd(0.01)
    state = stgan_state(noise_params, rules)
    once, thrice = (one_step(state, fixed, rules, disc_steps=n)[0] for n in (1, 3))
    by_hand, real = state, contour.fixed_to_unit(fixed)
    discs = {"spatial_disc": NETS.spatial_disc, "temporal_disc": NETS.temporal_disc}
    for number in (2, 1):
        noise = NOISE.sample(noise_params, jax.random.fold_in(state.key(), number), len(fixed))
        fake = NETS.gen.apply(state.params["gen"], real, noise)
        cost = lambda q, disc, fake=fake: (  # noqa: E731
            -losses.discriminator_value(disc.apply(q, real), disc.apply(q, fake))
        )
        grads = {n: jax.grad(cost)(by_hand.params[n], disc) for n, disc in discs.items()}
        by_hand, _ = by_hand.updated(grads, rules)
    expected, _ = one_step(by_hand, fixed, rules)
    assert_trees_close(thrice.params, expected.params, rtol=1e-4, atol=1e-5)
    moved = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()),
        once.params["spatial_disc"],
        thrice.params["spatial_disc"],
    )
    assert max(jax.tree.leaves(moved)) > 1e-4


def test_the_average_of_g_follows_and_is_what_is_used(fixed, noise_params):
    rules = sgd(0.01)
    state = stgan_state(noise_params, rules)
    assert steps.used(state.params) is state.params["gen"]
    before = jax.tree.map(lambda x: x + 1.0, state.params["gen"])
    state = state.replace(params={**state.params, "gen_ema": before})
    new, _ = one_step(state, fixed, rules, ema=0.75)
    expected = jax.tree.map(lambda a, g: 0.75 * a + 0.25 * g, before, new.params["gen"])
    assert_trees_close(new.params["gen_ema"], expected, rtol=1e-6, atol=1e-7)
    assert steps.used(new.params) is new.params["gen_ema"]


def test_norms_are_those_of_gradients_and_updates(fixed, noise_params):
    state = stgan_state(noise_params, sgd(0.01))
    new, told = one_step(state, fixed, sgd(0.01))
    for name in sgd(0.01):
        moved = jax.tree.map(lambda a, b: a - b, new.params[name], state.params[name])
        size = np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(moved)))
        assert float(told[f"update_norm/{name}"]) == pytest.approx(size, rel=1e-3)
        assert float(told[f"gradient_norm/{name}"]) == pytest.approx(100 * size, rel=1e-3)


def test_wifs_step_is_gradient_descent_on_equation_5(fixed):
    net, rate, alpha = stgan.Generator(share_encoder=True), 0.1, 0.3
    pairs = jnp.stack([fixed, fixed[::-1]], 1)
    own, noise = contour.fixed_to_unit(fixed), contour.fixed_to_unit(fixed[::-1])
    params = net.init(jax.random.key(0), own[:1], noise[:1])
    assert sum(x.size for x in jax.tree.leaves(params)) == 113  # WIFS Fig. 5
    rules = {"gen": optax.sgd(rate)}
    state = TrainState.create(0, {"gen": params}, rules)
    new, told = steps.wifs_step(state, pairs, alpha, net=net, optimizers=rules)

    def cost(q):  # frame by frame, each with its own noise frame
        total = 0.0
        for t in range(own.shape[1]):
            made = net.apply(q, own[:, t : t + 1], noise[:, t])[:, 0]
            total += jnp.mean(jnp.sum((made - own[:, t]) ** 2, -1)) / 4000
            total += alpha * jnp.mean(jnp.sum((made - noise[:, t]) ** 2, -1)) / 4000
        return total / own.shape[1]

    value, slope = jax.value_and_grad(cost)(params)
    expected = jax.tree.map(lambda x, g: x - rate * g, params, slope)
    assert float(told["loss/gen"]) == pytest.approx(float(value), rel=1e-4)
    assert_trees_close(new.params["gen"], expected, rtol=1e-3, atol=1e-6)


def test_raw_noise_is_around_the_middle_and_has_no_person_in_it():
    noise = steps.RawNoise()
    drawn = np.asarray(noise.sample({}, jax.random.key(0), 50))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    neighbours = np.corrcoef(drawn[:, :-2].ravel(), drawn[:, 2:].ravel())[0, 1]
    assert abs(neighbours) < 0.02
