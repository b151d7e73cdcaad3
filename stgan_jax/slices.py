"""Sums over the slices of a batch, for batches that are too much at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def looped(compute: Callable, sliced: tuple) -> Any:
    """The sum of `compute(*slice)` over slices, one after the other in a loop.

    Args:
      compute: arrays (b, ...) -> a tree of arrays.
      sliced: arrays (slices, b, ...).

    Returns:
      a tree as `compute` gives it.
    """
    first = jax.eval_shape(compute, *(x[0] for x in sliced))
    total, _ = jax.lax.scan(
        lambda total, part: (jax.tree.map(jnp.add, total, compute(*part)), None),
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first),
        sliced,
    )
    return total


def unrolled(compute: Callable, sliced: tuple) -> Any:
    """The same, each slice begun when the one before the last is done: two lanes, for two cores.

    Without that all slices' activations are held at once, and to get so much memory from the
    system takes a third of the time. XLA drops an `optimization_barrier` on CPUs before it orders
    the work; a sum that is zero, unless a result is no number, it cannot drop.

    Args:
      compute: as for `looped`.
      sliced: likewise, of floats.
    """
    done: list[Any] = []
    for part in zip(*sliced, strict=True):
        if len(done) >= 2:
            end = 0.0 * sum(leaf.ravel()[0] for leaf in jax.tree.leaves(done[-2]))
            part = tuple(x + end for x in part)
        done.append(compute(*part))
    return jax.tree.map(lambda *parts: sum(parts), *done)
