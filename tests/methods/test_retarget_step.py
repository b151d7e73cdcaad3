"""The training of retargeting's reader: what it learns from, and what variances leave alone."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.data.walkers import labelled
from stgan_jax.methods.catalog import prepare
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.examples import ReadingBatch, examples
from stgan_jax.methods.retarget.losses import objective
from stgan_jax.shapes import fields, gait, identity
from stgan_jax.training import checkpoint
from stgan_jax.util.errors import InputError

READER = small.RETARGET.nets()


@pytest.fixture(scope="module")
def batch():
    rows, _ = examples(3, 8, workers=1)
    return jax.tree.map(jnp.asarray, rows).floats()


def test_training_learns_and_keeps_its_best(retarget_run):
    lines = [json.loads(line) for line in (retarget_run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss/gen"] < lines[0]["loss/gen"]
    assert 0 < lines[-1]["validation/view_error"] < 180
    assert checkpoint.latest_step(retarget_run, checkpoint.BEST) == small.RETARGET.steps


def test_examples_are_labelled_walks_and_people_standardised(batch):
    walk = labelled.walker(1, 8)
    np.testing.assert_allclose(batch.pose[1], walk.gait.vector(), atol=1e-3)
    known = identity.statistics()
    numbers = (identity.vector(walk.person) - known["mean"]) / known["scale"]
    np.testing.assert_allclose(batch.person[1], numbers, atol=5e-3)
    seen = labelled.recorded(1, walk)
    blocks = fields.encode(seen).reshape(8, 40, 2, 40, 2).mean((2, 4))
    np.testing.assert_allclose(batch.cells[1], blocks, atol=0.51)


def test_a_mirrored_walk_is_the_mirror_s_walker_s(batch):
    mirror = batch.mirrored(jnp.array([False, True, False]))
    np.testing.assert_array_equal(mirror.cells[1], batch.cells[1][..., ::-1])
    for i in (0, 2):
        np.testing.assert_array_equal(mirror.cells[i], batch.cells[i])
        np.testing.assert_array_equal(mirror.pose[i], batch.pose[i])
    own = labelled.walker(1, 8).gait
    other = own._replace(phase=own.phase + 0.5, view=-own.view)
    np.testing.assert_allclose(mirror.pose[1], other.vector(), atol=2e-3)
    changed = np.flatnonzero(np.asarray(mirror.person[1] != batch.person[1]))
    twisted = identity.from_vector(np.arange(43.0)).asymmetry
    np.testing.assert_array_equal(changed, twisted)


def test_variances_are_taught_and_change_no_mean(batch, monkeypatch):
    params = jax.jit(READER.init)(jax.random.key(0), batch.cells)

    @jax.jit
    @jax.grad
    def slope(params):
        return objective(params, batch, READER)[1]["loss/surprise"]

    learning = [jnp.any(layer["kernel"] != 0) for layer in slope(params)["params"].values()]
    assert int(sum(learning)) == 1
    # A reader is surprised least if its variance is that of its errors, here 0.25.
    nothing = ReadingBatch(
        jnp.zeros((1, 8, 40, 40), jnp.int8), jnp.zeros((1, 8, gait.SIZE)), jnp.zeros((1, 43))
    )
    error, surprise = jnp.full((1, 8, networks.NUMBERS), 0.5), []
    for variance in (0.1, 0.25, 0.6):
        told = error, jnp.full_like(error, jnp.log(variance))
        monkeypatch.setattr(networks.WalkReader, "apply", lambda *_, told=told: told)
        surprise.append(float(objective({}, nothing, READER)[1]["loss/surprise"]))
    assert surprise[1] < min(surprise[0], surprise[2])
    assert surprise[1] == pytest.approx(0.5 * (1 + np.log(0.25)), rel=1e-5)


def test_a_training_starts_from_weights_of_the_same_size_alone(shipped):
    data = dataclasses.replace(small.RETARGET.data, walks=1, validation_walks=0, frames=3)
    own = dataclasses.replace(shipped.settings, data=data, initial="retarget")
    started = prepare(own).start(0).params["gen"]
    jax.tree.map(np.testing.assert_array_equal, started, shipped.params["gen"])
    with pytest.raises(InputError, match="window or width"):
        prepare(dataclasses.replace(small.RETARGET, initial="retarget"))
