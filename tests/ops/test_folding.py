"""Folding: 2x2 pixels as channels, and back."""

import jax.numpy as jnp
import numpy as np

from stgan_jax.ops.folding import folded, unfolded


def test_unfolding_undoes_folding_which_keeps_neighbours_together():
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    y = folded(x)
    np.testing.assert_array_equal(unfolded(y), x)
    np.testing.assert_array_equal(y[1, 1, 2], x[1, 2:4, 4:6].ravel())
