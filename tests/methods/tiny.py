"""Tiny networks, update rules and comparisons that tests of several methods share."""

import jax
import numpy as np
import optax

from stgan_jax.methods.stgan.noise_networks import NoiseDiscriminator, NoiseGenerator
from stgan_jax.methods.stgan.noise_step import NoiseNets

NOISE = NoiseNets(NoiseGenerator(12, (16,)), NoiseDiscriminator((16,)), 5)


def sgd(rate, names=("gen", "spatial_disc", "temporal_disc")):
    return {name: optax.sgd(rate) for name in names}


def descended(params, grads, rate):
    """Parameters after a step of gradient descent."""
    return jax.tree.map(lambda x, g: x - rate * g, params, grads)


def assert_trees_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


def bodies(rng, size=64):
    """Two examples of colour transfer: silhouettes before and after, boxes, and two pictures."""
    own, new = np.zeros((2, 2, size, size), np.float32)
    for i in range(2):
        top, left = rng.integers(2, 10), rng.integers(18, 26)
        own[i, top : top + 48, left : left + 14] = 1
        new[i, top - 2 : top + 50, left - 5 : left + 12] = 1
    pictures = rng.random((2, 2, size, size, 3), np.float32)
    return own, new, pictures[0], pictures[1]
