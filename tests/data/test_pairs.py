"""Pairs of walkers: the same walk, two people."""

import dataclasses

import numpy as np

from stgan_jax.data.datasets import splits
from stgan_jax.data.walkers import pairs
from stgan_jax.shapes import body, identity


def test_pairs_share_the_walk_and_nothing_of_the_walker():
    one, again = pairs.pair(5, 6), pairs.pair(5, 6)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(one.own_person - one.other_person).max() > 0.05
    # Nobody of a dataset.
    subjects = range(1, splits.SUBJECTS + 1)
    known = np.array([identity.vector(identity.sample_identity(n)) for n in subjects])
    for person in (one.own_person, one.other_person):
        assert (np.abs(known - person).max(1) > 1e-3).all()
    # Phase and its double, view and its double: points on circles.
    circles = one.pose[:, :8].reshape(6, 4, 2)
    np.testing.assert_allclose(np.linalg.norm(circles, axis=-1), 1.0, atol=1e-5)
    turn = circles[:, 0, 0] + 1j * circles[:, 0, 1]
    np.testing.assert_allclose(turn**2, circles[:, 1, 0] + 1j * circles[:, 1, 1], atol=1e-5)
    # The other walks as she does in the mean, in this phase.
    person = identity.sample_identity(pairs.FIRST_PERSON + 2 * 5 + 1)
    motion = dataclasses.replace(identity.sample_motion(0, "nm", 1, 0.0), start=0.0)
    expected = body.leg_angles(person, motion, np.angle(turn) / (2 * np.pi) % 1.0)
    np.testing.assert_allclose(one.angles, expected, atol=1e-3)


def test_every_fifth_pair_is_segmented_well():
    both = [(pairs.pair(seed, 2), pairs.pair(seed, 2, complete=True)) for seed in range(5)]
    same = [np.array_equal(one.own, whole.own) for one, whole in both]
    assert same == [False] * 4 + [True]
    assert all(np.array_equal(one.other, whole.other) for one, whole in both)
