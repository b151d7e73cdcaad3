"""Overlaps and distances of sets against plain NumPy."""

import numpy as np
import pytest

from stgan_jax.shapes import likeness


def test_overlaps_by_hand():
    masks = np.zeros((3, 4, 4), np.uint8)
    masks[0, :2] = 1  # 8 pixels
    masks[1, :, :2] = 1  # 8 pixels, 4 of them shared
    np.testing.assert_allclose(likeness.best_iou(masks[:1], masks[1:]), [4 / 12])
    assert likeness.best_iou(masks[2:], masks[:2]).tolist() == [0.0]
    np.testing.assert_allclose(likeness.pairwise_iou(masks[:2]), 4 / 12)


def test_energy_distance_is_that_of_the_definition_and_sees_both_faults():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(40, 3)) + 0.5
    between = np.mean([[np.linalg.norm(a - b) for b in y] for a in x])
    within = [
        np.mean([np.linalg.norm(a - b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
        for z in (x, y)
    ]
    assert likeness.energy_distance(x, y) == pytest.approx(2 * between - sum(within), rel=1e-9)
    people = rng.normal(size=(400, 3))
    same = likeness.energy_distance(rng.normal(size=(400, 3)), people)
    collapsed = likeness.energy_distance(0.1 * rng.normal(size=(400, 3)), people)
    elsewhere = likeness.energy_distance(rng.normal(size=(400, 3)) + 1.0, people)
    assert abs(same) < 0.05
    assert min(collapsed, elsewhere) > 0.3
