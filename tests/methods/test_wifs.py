"""WIFS 2017: Eq. 5, its step, and the noise gait of the same view."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from tiny import assert_trees_close, descended, sgd

from stgan_jax.data.batches import GaitPairs
from stgan_jax.methods import catalog
from stgan_jax.methods.wifs import losses
from stgan_jax.methods.wifs.networks import Generator
from stgan_jax.methods.wifs.step import wifs_step
from stgan_jax.shapes import contour
from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.loop import train
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError

rng = np.random.default_rng(0)


def test_modification_is_wifs_equation_5():
    own, noise, out = (jnp.asarray(rng.uniform(size=(3, 5, 8)), jnp.float32) for _ in range(3))
    terms = [
        (np.sum((out[b, t] - own[b, t]) ** 2) + 0.3 * np.sum((out[b, t] - noise[b, t]) ** 2)) / 8
        for b, t in np.ndindex(3, 5)
    ]
    np.testing.assert_allclose(losses.modification(own, noise, out, 0.3), np.mean(terms), rtol=1e-5)


@pytest.mark.usefixtures("strict_dtypes")
def test_wifs_step_is_gradient_descent_on_equation_5(fixed):
    net, rate, alpha = Generator(share_encoder=True), 0.1, 0.3
    pairs = GaitPairs(jnp.stack([fixed, fixed[::-1]], 1))
    own, noise = contour.fixed_to_unit(fixed), contour.fixed_to_unit(fixed[::-1])
    params = net.init(jax.random.key(0), own[:1], noise[:1])
    assert sum(x.size for x in jax.tree.leaves(params)) == 113  # WIFS Fig. 5
    rules = sgd(rate, ("gen",))
    state = TrainState.create(0, {"gen": params}, rules)
    new, metrics = wifs_step(state, pairs, alpha, net=net, optimizers=rules, options=StepOptions())

    def loss(q):  # frame by frame, each with its own noise frame
        total = 0.0
        for t in range(own.shape[1]):
            out = net.apply(q, own[:, t : t + 1], noise[:, t])[:, 0]
            total += jnp.mean(jnp.sum((out - own[:, t]) ** 2, -1)) / 4000
            total += alpha * jnp.mean(jnp.sum((out - noise[:, t]) ** 2, -1)) / 4000
        return total / own.shape[1]

    value, slope = jax.value_and_grad(loss)(params)
    assert float(metrics["loss/gen"]) == pytest.approx(float(value), rel=1e-4)
    assert_trees_close(new.params["gen"], descended(params, slope, rate), rtol=1e-3, atol=1e-6)


def test_wifs_takes_a_noise_gait_of_the_same_view(walks, tmp_path):
    own, names = walks
    train(small.WIFS, catalog.prepare, tmp_path / "wifs")
    method = catalog.load(tmp_path / "wifs")
    assert (method.kind, method.codec) == ("wifs", small.WIFS.data.codec)
    out = method.contours(own, names, 0)
    assert out.shape == own.shape
    assert np.isfinite(out).all()
    elsewhere = [dataclasses.replace(walk, view=54) for walk in names]
    with pytest.raises(InputError, match="not known from 54 degrees"):
        method.contours(own, elsewhere, 0)
    with pytest.raises(InputError, match="wifs: holds a 'wifs' model, which needs to know"):
        method.require_video()
