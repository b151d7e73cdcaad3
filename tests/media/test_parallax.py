"""How far near things go farther, against fields that are known."""

import numpy as np
import pytest

from stgan_jax.media import parallax

SHAPE = (360, 480)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_slope_is_found_though_corners_are_not_about_the_middle_of_cells(seed):
    """Ground goes the farther the lower it is; corners are in the upper part of cells."""
    rng = np.random.default_rng(seed)
    here = np.stack([rng.uniform(0, 480, 1500), rng.uniform(0, 360, 1500)], -1)
    here = here[here[:, 1] % 60 < 30]

    def truth(points):
        return np.stack([0.03 * points[:, 1] - 2, 0.002 * points[:, 0]], -1)

    cells = parallax.local(here, truth(here), SHAPE)
    inside = np.stack([rng.uniform(40, 440, 300), rng.uniform(40, 320, 300)], -1)
    assert np.abs(parallax.at(cells, inside) - truth(inside)).max() < 0.25
    wide = parallax.widened(cells, SHAPE)
    rows, cols = inside[:, 1].astype(int), inside[:, 0].astype(int)
    assert np.abs(wide[rows, cols] - truth(inside)).max() < 0.25


def test_corners_that_go_their_own_way_are_left_out():
    rng = np.random.default_rng(2)
    here = np.stack([rng.uniform(0, 480, 900), rng.uniform(0, 360, 900)], -1)
    off = np.tile([2.0, 0.0], (900, 1))
    off[rng.random(900) < 0.2] = [30.0, -20.0]
    assert np.abs(parallax.local(here, off, SHAPE) - [2, 0]).max() < 1e-3


def test_where_nothing_is_followed_nothing_is_off():
    nothing = np.zeros((0, 2))
    assert not parallax.local(nothing, nothing, SHAPE).any()
    assert parallax.at(np.zeros((6, 8, 2), np.float32), nothing).shape == (0, 2)
