"""The feed: every example once an epoch, and the same from any step on."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from stgan_jax.data import datasets, pipeline
from stgan_jax.errors import InputError

EXAMPLES = np.arange(23, dtype=np.uint16)[:, None] * np.ones((1, 4), np.uint16)
SOURCE = pipeline.array_source(EXAMPLES)


def stream(count, **kwargs):
    return [b[:, 0].tolist() for b in itertools.islice(pipeline.batches(SOURCE, **kwargs), count)]


def test_each_example_comes_once_an_epoch():
    drawn = np.concatenate(stream(23, batch_size=4, seed=1))  # four epochs
    for epoch in range(4):
        assert sorted(drawn[epoch * 23 : (epoch + 1) * 23]) == list(range(23))
    assert drawn[:23].tolist() != drawn[23:46].tolist()
    assert drawn[:23].tolist() != list(range(23))


@pytest.mark.parametrize("start", [1, 5, 6, 17])
def test_resuming_at_a_step_gives_what_would_have_come(start):
    whole = stream(20, batch_size=4, seed=3)
    assert stream(20 - start, batch_size=4, seed=3, start_step=start) == whole[start:]


def test_another_seed_gives_another_order():
    assert stream(3, batch_size=4, seed=1) != stream(3, batch_size=4, seed=2)


def test_sequences_keep_their_shape_and_type():
    examples = np.random.default_rng(0).integers(0, 60000, (5, 3, 8)).astype(np.uint16)
    batch = next(pipeline.batches(pipeline.array_source(examples), 2, seed=0))
    assert batch.shape == (2, 3, 8)
    assert batch.dtype == np.uint16
    assert all(any(np.array_equal(b, e) for e in examples) for b in batch)


def test_a_batch_may_be_larger_than_the_data():
    drawn = np.concatenate(stream(1, batch_size=46, seed=0))
    assert sorted(drawn.tolist()) == sorted([*range(23), *range(23)])


@pytest.mark.parametrize("keep", [True, False])
def test_noise_gaits_come_beside_their_own_gaits_and_are_made_once_if_kept(keep):
    asked = []

    def make(i, own):
        asked.append(i)
        return own + i

    source = pipeline.noise_gait_source(SOURCE, make, keep)
    index = np.array([3, 22, 3])
    for _ in range(2):
        pairs = source.fetch(index, index)
        np.testing.assert_array_equal(pairs[:, 0], EXAMPLES[index])
        np.testing.assert_array_equal(pairs[:, 1], EXAMPLES[index] * 2)
    assert (source.count, source.shape) == (23, (2, 4))
    assert asked == ([3, 22] if keep else [3, 22, 3] * 2)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_batches_arrive_on_the_device_in_order(depth):
    feed = itertools.islice(pipeline.batches(SOURCE, 4, seed=1), 4)
    there = list(pipeline.on_device(feed, depth=depth))
    assert all(isinstance(batch, jax.Array) for batch in there)
    assert [batch[:, 0].tolist() for batch in there] == stream(4, batch_size=4, seed=1)


def test_batches_are_sharded_over_devices():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "batch")
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    feed = itertools.islice(pipeline.batches(SOURCE, 4, seed=1), 1)
    (batch,) = pipeline.on_device(feed, lambda batch: jax.device_put(batch, sharding))
    assert len(batch.addressable_shards) == 2
    assert batch.addressable_shards[0].data.shape == (2, 4)


def test_noise_gaits_are_another_subjects_in_the_same_view():
    walks = [
        datasets.Walk(subject, condition, 1, view, 50)
        for subject in (1, 2, 3) for view in (0, 90) for condition in ("nm", "cl")
        # Subject 2 has no coat at 0 degrees and nothing at all at 180.
        if (subject, view, condition) != (2, 0, "cl")
    ] + [datasets.Walk(3, "nm", 1, 180, 50)]  # fmt: skip
    numbers = np.arange(len(walks), dtype=np.uint16)[:, None]
    source = dataclasses.replace(pipeline.array_source(numbers), walks=walks)
    paired = pipeline.paired_source(source, 2)
    every = np.arange(paired.count)
    pairs = paired.fetch(every, every)[..., 0]
    assert paired.count == 8  # of 1 and 3, without the view that 2 lacks
    for own, other in pairs:
        assert walks[own].subject in (1, 3)
        assert walks[other].subject == 2
        assert walks[own].view == walks[other].view
        same = walks[own].name == walks[other].name
        assert same or (walks[own].view, walks[own].condition) == (0, "cl")
    assert [w.subject for w in paired.walks] == [walks[own].subject for own, _ in pairs]
    with pytest.raises(InputError, match="noise_subject"):
        pipeline.paired_source(source, 9)
