"""Batches on their way to the device while the step before is computed."""

import collections
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np


def stacked(batches: Iterator[Any], count: int) -> Iterator[Any]:
    """`count` batches of an endless iterator at a time, with a leading axis of them."""
    while True:
        yield jax.tree.map(lambda *x: np.stack(x), *itertools.islice(batches, count))


def on_device(
    batches: Iterator[Any], put: Callable[[Any], Any] = jax.device_put, depth: int = 2
) -> Iterator[Any]:
    """Sends batches ahead to the device, so that a step need not wait for its copy.

    Args:
      batches: pytrees of arrays.
      put: sends a batch, without waiting for its arrival.
      depth: number of batches on their way.
    """
    queue: collections.deque[Any] = collections.deque()
    for batch in batches:
        queue.append(put(batch))
        if len(queue) == depth:
            yield queue.popleft()
    yield from queue
