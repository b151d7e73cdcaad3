"""Distance fields: silhouettes survive them, and they hold distances."""

import numpy as np

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import fields


def test_field_round_trip_keeps_the_silhouette():
    walk = procedural.silhouettes(3, 54.0, frames=6)
    walk[2] = 0
    back = fields.decode(fields.encode(walk).astype(np.float32))
    assert not back[2].any()
    a, b = (np.delete(masks, 2, 0) for masks in (walk, back))
    assert np.mean((a & b).sum((1, 2)) / (a | b).sum((1, 2))) > 0.97


def test_a_cell_holds_the_mean_distance_of_its_pixels_to_the_other_side():
    walk = procedural.silhouettes(3, 54.0, frames=1)
    field = fields.encode(walk)[0].astype(float) / fields.STEPS * fields.REACH
    row, column = np.argwhere((np.abs(field) > 2) & (np.abs(field) < 8))[40]
    cells = 3 * np.array([row, column]) + np.argwhere(np.ones((3, 3)))
    side = walk[0][tuple(cells.T)][0]
    other = np.argwhere(walk[0] != side)
    away = [np.sqrt(((other - cell) ** 2).sum(1)).min() - 0.5 for cell in cells]
    assert abs(abs(field[row, column]) - np.mean(away)) < 0.4
