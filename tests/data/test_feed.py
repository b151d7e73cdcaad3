"""The feed: every example once an epoch, and the same from any step on."""

import dataclasses
import itertools

import numpy as np
import pytest

from stgan_jax.data import feed
from stgan_jax.data.batches import GaitPairs, Gaits
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.util.errors import InputError

EXAMPLES = np.arange(23, dtype=np.uint16)[:, None] * np.ones((1, 4), np.uint16)
SOURCE = feed.array_source(EXAMPLES)


def walks_source(count, walks=()):
    """Gaits of 2 frames, all of whose coordinates are the number of the example."""
    gaits = np.tile(np.arange(count, dtype=np.uint16)[:, None, None], (1, 2, 4000))
    return dataclasses.replace(feed.array_source(Gaits(gaits)), walks=walks)


def stream(count, **options):
    return [batch[:, 0].tolist() for batch in itertools.islice(SOURCE.batches(**options), count)]


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
    batch = next(feed.array_source(examples).batches(2, seed=0))
    assert batch.shape == (2, 3, 8)
    assert batch.dtype == np.uint16
    assert all(any(np.array_equal(b, e) for e in examples) for b in batch)


def test_the_arrays_of_an_example_stay_together_under_their_names():
    numbers = np.arange(7, dtype=np.uint16)
    source = feed.array_source({"a": numbers[:, None], "b": {"c": numbers.astype(np.float32) / 2}})
    for batch in itertools.islice(source.batches(3, seed=2), 5):
        assert batch["a"].shape == (3, 1)
        assert batch["b"]["c"].dtype == np.float32
        np.testing.assert_array_equal(batch["a"][:, 0] / 2, batch["b"]["c"])


def test_batches_of_indices_name_the_examples_of_the_same_batches():
    indices = SOURCE.indices().batches(4, seed=5, start_step=3)
    for index, batch in itertools.islice(zip(indices, SOURCE.batches(4, 5, 3), strict=True), 9):
        assert index.dtype == np.int32
        np.testing.assert_array_equal(EXAMPLES[index], batch)


def test_everything_is_all_examples_in_order():
    many = np.arange(150, dtype=np.uint16)[:, None]  # more than are fetched at a time
    np.testing.assert_array_equal(feed.array_source(many).everything(), many)


def test_a_batch_may_be_larger_than_the_data():
    drawn = np.concatenate(stream(1, batch_size=46, seed=0))
    assert sorted(drawn.tolist()) == sorted([*range(23), *range(23)])


@pytest.mark.parametrize("keep", [True, False])
def test_noise_gaits_come_beside_their_own_gaits_and_are_made_once_if_kept(keep):
    asked = []

    def make(i, own):
        asked.append(i)
        return own + i

    source = feed.noise_gait_source(walks_source(23), make, keep)
    index = np.array([3, 22, 3])
    for _ in range(2):
        pairs = source.fetch(index, index).contours
        np.testing.assert_array_equal(pairs[:, 0, 0, 0], index)
        np.testing.assert_array_equal(pairs[:, 1, 0, 0], index * 2)
    assert (source.count, source.example.contours.shape) == (23, (2, 2, 4000))
    assert asked == ([3, 22] if keep else [3, 22, 3] * 2)


def test_batches_give_own_and_noise_gaits_in_the_unit_that_networks_take():
    fixed = np.random.default_rng(1).integers(0, 61440, (2, 2, 3, 4000)).astype(np.uint16)
    own, noise = GaitPairs(fixed).unit()
    np.testing.assert_allclose(own, fixed[:, 0] / (256 * 240), rtol=1e-6)  # 1/256 pixel of 240
    np.testing.assert_allclose(noise, fixed[:, 1] / (256 * 240), rtol=1e-6)
    alone, nothing = Gaits(fixed[:, 0]).unit()
    np.testing.assert_array_equal(alone, own)
    assert nothing is None


def test_noise_gaits_are_another_subjects_in_the_same_view():
    walks = [
        WalkName(subject, condition, 1, view, 50)
        for subject in (1, 2, 3)
        for view in (0, 90)
        for condition in ("nm", "cl")
        # Subject 2 has no coat at 0 degrees and nothing at all at 180.
        if (subject, view, condition) != (2, 0, "cl")
    ]
    walks.append(WalkName(3, "nm", 1, 180, 50))
    source = walks_source(len(walks), walks)
    paired = feed.paired_source(source, 2)
    every = np.arange(paired.count)
    pairs = paired.fetch(every, every).contours[..., 0, 0]
    assert paired.count == 8  # of 1 and 3, without the view that 2 lacks
    for own, other in pairs:
        assert walks[own].subject in (1, 3)
        assert walks[other].subject == 2
        assert walks[own].view == walks[other].view
        same = walks[own].name == walks[other].name
        assert same or (walks[own].view, walks[own].condition) == (0, "cl")
    assert [w.subject for w in paired.walks] == [walks[own].subject for own, _ in pairs]
    with pytest.raises(InputError, match="noise_subject"):
        feed.paired_source(source, 9)
