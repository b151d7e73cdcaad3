"""The silhouette anonymiser (APSIPA 2019): examples, its alternation, and its output."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import small

from stgan_jax.data.walkers import labelled, procedural
from stgan_jax.evaluation import naturalness
from stgan_jax.methods import catalog
from stgan_jax.methods.silhouette import losses
from stgan_jax.methods.silhouette.examples import SilhouetteBatch, examples
from stgan_jax.shapes import fields, identity
from stgan_jax.shapes.walker import Walker
from stgan_jax.training import checkpoint, run_log
from stgan_jax.training.loop import train


def test_examples_keep_fields_and_people():
    batch, people = examples(2, 3, first=7, workers=1)
    assert all(x.dtype == np.int8 for x in batch)
    own, wanted, person = batch.floats()
    for i in range(2):
        walk = labelled.walker(7 + i, 3)
        other = identity.sample_identity(labelled.FIRST_PERSON + 2 * (7 + i) + 1)
        for stored, drawn in ((own, walk), (wanted, Walker(other, walk.gait))):
            encoded = fields.encode(drawn.silhouettes())
            np.testing.assert_allclose(stored[i] * 127, encoded, atol=1e-3)
        numbers = (identity.vector(other) - people["mean"]) / people["scale"]
        np.testing.assert_allclose(person[i], np.clip(numbers, -4, 4), atol=0.02)
    for name, value in identity.statistics().items():
        np.testing.assert_array_equal(people[name], value)


def test_shipped_silhouette_anonymiser_mends_what_is_broken_and_draws_somebody_else():
    walk = procedural.silhouettes(90, 90.0, frames=6)
    rows = np.flatnonzero(walk[0].any(1))
    walk[:, rows[0] + 90 : rows[0] + 105] = 0  # cut in two at the hip
    assert not naturalness.one_piece(walk).any()
    model = catalog.load("silhouette")
    one, other = (model(walk, jax.random.key(i)) for i in (0, 1))
    assert naturalness.one_piece(one).all()
    assert np.mean(one != other) > 0.01
    drawn = model.draw(walk, jax.random.key(0)) > 0  # before the largest part is taken
    assert all(cv2.connectedComponents(f.astype(np.uint8))[0] == 2 for f in drawn)


def test_silhouette_training_learns_and_its_model_anonymises(tmp_path):
    assert train(small.SILHOUETTE, catalog.prepare, tmp_path)
    lines = run_log.read(tmp_path / "metrics.jsonl")
    assert lines[-1]["loss/gen_field"] < lines[0]["loss/gen_field"]
    assert "loss/spatial_disc" in lines[-1]
    assert 0 < lines[-1]["validation/iou"] < 1
    assert checkpoint.latest_step(tmp_path, checkpoint.BEST) == small.SILHOUETTE.steps
    model = catalog.load(tmp_path)
    walk = procedural.silhouettes(3, 54.0, frames=3)
    walk[1] = 0
    one, again = model.many([walk, walk], [jax.random.key(0), jax.random.key(0)])
    np.testing.assert_array_equal(one, again)
    assert not one[1].any()


def test_discriminator_loses_by_what_the_generator_gains():
    frames = small.SILHOUETTE.data.frames  # as above: compiled once
    batch, people = examples(2, frames, workers=1)
    own, wanted, noise = map(jnp.asarray, SilhouetteBatch(*batch).floats())
    nets = small.SILHOUETTE.nets()
    params = jax.jit(nets.init, static_argnums=2)(jax.random.key(0), people, frames)
    gen, disc = params["gen"], params["spatial_disc"]

    @jax.jit
    @jax.value_and_grad
    def disc_loss(disc, gen):
        return losses.discriminator(disc, gen, own, wanted, noise, nets)[0]

    @jax.jit
    @jax.grad
    def gen_slope(gen, disc):
        metrics = losses.generator(gen, disc, own, wanted, noise, nets, 1.0)[1]
        return metrics["loss/gen_spatial"]

    first, slope = disc_loss(disc, gen)
    for _ in range(20):
        disc = jax.tree.map(lambda x, g: x - 1e-2 * g, disc, slope)
        last, slope = disc_loss(disc, gen)
    assert last < first
    later = jax.tree.map(lambda x, g: x - 1e-1 * g, gen, gen_slope(gen, disc))
    assert disc_loss(disc, later)[0] > last


def test_without_weight_the_discriminator_is_not_trained():
    settings = dataclasses.replace(small.SILHOUETTE, adversarial_weight=0.0, steps=1)
    experiment = catalog.prepare(settings)
    state = experiment.start(0)
    batch = jax.tree.map(jnp.asarray, next(experiment.source.batches(2, 0, 0, 0, 1)))
    new, _ = jax.jit(lambda s, b: experiment.step(s, b, 0.0, None))(state, batch)
    same = jax.tree.map(np.array_equal, state.params, new.params)
    assert all(jax.tree.leaves(same["spatial_disc"]))
    assert not all(jax.tree.leaves(same["gen"]))
