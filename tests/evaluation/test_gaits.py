"""Aligned gaits hold what recognisers need of walks."""

import numpy as np
import pytest

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import gaits


def test_gaits_keep_frames_names_and_energy_images():
    rng = np.random.default_rng(8)
    masks = np.zeros((5, 240, 240), np.uint8)
    for i, mask in enumerate(masks[:4]):
        mask[20 + i : 200, 60:180] = rng.random((180 - i, 120)) < 0.95
    name = WalkName(subject=7, condition="bg", repetition=2, view=54, frames=5)
    walks = gaits.collect([(name, masks), (name, masks[:1])])
    assert (len(walks), len(walks.frames(0)), len(walks.frames(1))) == (2, 4, 1)
    expected = walks.frames(0).mean(0)
    np.testing.assert_allclose(walks.energy()[0] / 255, expected, atol=0.002)
    assert walks.large.shape == (2, 126, 126)
    # Scaled to full height and centred: 126 rows, 120 of 180 as wide.
    assert walks.large[0, :, 63].min() > 127
    assert (walks.large[0] > 127).any(0).sum() == pytest.approx(126 * 120 / 180, abs=3)
    one = walks[np.array([False, True])]
    np.testing.assert_array_equal(one.frames(0), walks.frames(1))
    assert (one.subject[0], one.condition[0], one.repetition[0], one.view[0]) == (7, "bg", 2, 54)
