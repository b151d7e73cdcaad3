"""Gradients of a whole batch, over slices and devices, and what a step adds to the papers'."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Metrics = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What a practitioner may add to the papers' training steps; by default nothing.

    Attributes:
      r1: weight of a gradient penalty r1/2 E||grad D||^2 at real gaits (Mescheder 2018).
      ema: decay of an exponential moving average of the generator's weights; 0 for none.
      accumulate: number of slices that a batch is split into, processed one after the other: less
        memory, the same gradients.
      axis: name of the device axis under pmap; None elsewhere.
    """

    r1: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    axis: str | None = None

    def own_share(self, draw: Callable[[int], Array], count: int) -> Array:
        """This device's `count` rows of what is drawn for all devices together."""
        if self.axis is None:
            return draw(count)
        everything = draw(count * jax.lax.psum(1, self.axis))
        return jax.lax.dynamic_slice_in_dim(
            everything, jax.lax.axis_index(self.axis) * count, count
        )

    def gradients(
        self, loss: Callable, params: Any, *batch: Any, unrolled: bool = False
    ) -> tuple[Any, Metrics]:
        """Gradients and metrics of the whole batch: means over its slices and over devices.

        Args:
          loss: (params, *batch) -> (mean over the batch, metrics).
          params: what to differentiate by.
          batch: pytrees of arrays (B, ...).
          unrolled: compiles each slice as code of its own, two at a time, instead of a loop, in
            which XLA's convolutions are slow on CPUs (6 times in `color_step`). It compiles for
            longer.
        """
        compute = jax.grad(loss, has_aux=True)
        if self.accumulate == 1:
            result = compute(params, *batch)
        else:
            sliced = jax.tree.map(
                lambda x: x.reshape(self.accumulate, x.shape[0] // self.accumulate, *x.shape[1:]),
                batch,
            )
            total = (_unrolled if unrolled else _looped)(functools.partial(compute, params), sliced)
            result = jax.tree.map(lambda x: x / self.accumulate, total)
        return result if self.axis is None else jax.lax.pmean(result, self.axis)

    def penalty(self, disc: Callable, params: Any, real: Array) -> Float[Array, ""] | float:
        """r1/2 E||grad D||^2 at real inputs (B, ..., D)."""
        if not self.r1:
            return 0.0
        slope = jax.grad(lambda x: jnp.sum(disc(params, x)))(real)
        return 0.5 * self.r1 * jnp.mean(jnp.sum(jnp.square(slope), -1))


def _looped(compute: Callable, sliced: tuple) -> Any:
    """The sum of `compute(*slice)` over slices (pytrees of (slices, b, ...)), in a loop."""
    first = jax.eval_shape(compute, *jax.tree.map(lambda x: x[0], sliced))
    total, _ = jax.lax.scan(
        lambda total, part: (jax.tree.map(jnp.add, total, compute(*part)), None),
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first),
        sliced,
    )
    return total


def _unrolled(compute: Callable, sliced: tuple) -> Any:
    """The same sum, each slice begun when the one before the last is done: two at a time.

    Otherwise all slices' activations exist at once, and getting so much memory from the system
    takes a third of the time. XLA drops an `optimization_barrier` on CPUs before it orders the
    work. A sum that is zero, unless a result is NaN, it cannot drop. Slices must be floats.
    """
    results: list[Any] = []
    for i in range(len(jax.tree.leaves(sliced)[0])):
        part = jax.tree.map(lambda x, i=i: x[i], sliced)
        if len(results) >= 2:
            end = 0.0 * sum(leaf.ravel()[0] for leaf in jax.tree.leaves(results[-2]))
            part = jax.tree.map(lambda x, end=end: x + end, part)
        results.append(compute(*part))
    return jax.tree.map(lambda *parts: sum(parts), *results)
