"""Silhouettes side by side in one picture."""

import numpy as np

from stgan_jax.util import grids


def test_grid_places_masks_row_by_row():
    masks = np.zeros((3, 24, 24), np.uint8)
    masks[2] = 1
    picture = grids.grid(masks, columns=2)
    assert picture.shape == (240, 240)
    assert (picture[120:, :120] == 0).all()
    assert (picture[:120] == 255).all()
    assert (picture[120:, 120:] == 255).all()
