"""Batches sent ahead to the device: all of them, in order, where they are wanted."""

import itertools

import jax
import numpy as np
import pytest

from stgan_jax.training import prefetch


def batches(count):
    return (np.full((4, 3), number, np.uint16) for number in range(count))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_batches_arrive_on_the_device_in_order(depth):
    there = list(prefetch.on_device(batches(4), depth=depth))
    assert all(isinstance(batch, jax.Array) for batch in there)
    assert [batch.tolist() for batch in there] == [batch.tolist() for batch in batches(4)]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_as_many_batches_are_sent_ahead_as_the_depth_says(depth):
    sent = []

    def put(batch):
        sent.append(batch)
        return batch

    next(prefetch.on_device(batches(9), put, depth))
    assert len(sent) == depth


def test_batches_are_sharded_over_devices():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "batch")
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    (batch,) = prefetch.on_device(batches(1), lambda batch: jax.device_put(batch, sharding))
    assert len(batch.addressable_shards) == 2
    assert batch.addressable_shards[0].data.shape == (2, 3)


def test_stacked_batches_get_a_leading_axis_of_steps():
    pairs = ({"x": batch} for batch in itertools.chain(batches(6), itertools.repeat(None)))
    stacked = [each["x"] for each in itertools.islice(prefetch.stacked(pairs, 3), 2)]
    assert [each.shape for each in stacked] == [(3, 4, 3)] * 2
    assert [each[:, 0, 0].tolist() for each in stacked] == [[0, 1, 2], [3, 4, 5]]
