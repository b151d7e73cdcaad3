"""Walks to learn from: recorded as they might be, with the gait and the person known."""

import numpy as np
import pytest

from stgan_jax.data.datasets import splits
from stgan_jax.data.walkers import labelled
from stgan_jax.shapes import identity


def test_a_walk_is_a_function_of_its_seed_and_of_nobody_in_a_dataset():
    one, again, other = (labelled.walker(seed, 6) for seed in (5, 5, 6))
    assert one.person == again.person
    np.testing.assert_array_equal(one.gait.vector(), again.gait.vector())
    seen = labelled.recorded(5, one)
    np.testing.assert_array_equal(seen, labelled.recorded(5, again))
    assert one.person != other.person
    known = [identity.sample_identity(n) for n in range(1, splits.SUBJECTS + 1)]
    assert one.person.legs not in {person.legs for person in known}


def test_every_fifth_walk_is_segmented_well():
    walks = [labelled.walker(seed, 2) for seed in range(5)]
    same = [
        np.array_equal(labelled.recorded(seed, walk), walk.silhouettes())
        for seed, walk in enumerate(walks)
    ]
    assert same == [False] * 4 + [True]


def test_walks_come_from_all_sides_and_some_start_or_stop():
    gaits = [labelled.walker(seed, 24).gait for seed in range(200)]
    views = np.array([gait.view[0] for gait in gaits]) % 360
    assert np.histogram(views, 6, (0, 360))[0].min() > 15
    changing = [np.ptp(gait.swing) > 0.1 for gait in gaits]
    assert 0.05 < np.mean(changing) < 0.25
    # Whoever does not swing the legs does not get ahead.
    for gait in np.array(gaits, object)[changing][:5]:
        phase, swing = gait[0], gait[2]
        steps = np.diff(phase)
        assert steps == pytest.approx(steps.max() * swing[1:] / swing[1:].max(), abs=1e-6)
