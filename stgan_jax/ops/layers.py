"""Weights under the names that flax's own layers give them, for layers computed in other ways."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array


class _Weights(nn.Module):
    shape: tuple[int, ...]
    start: nn.initializers.Initializer
    bias: float | None

    @nn.compact
    def __call__(self) -> tuple[Array, ...]:
        kernel = self.param("kernel", self.start, self.shape)
        if self.bias is None:
            return (kernel,)
        constant = nn.initializers.constant(self.bias)
        return kernel, self.param("bias", constant, self.shape[-1:])


def weights(
    name: str,
    shape: tuple[int, ...],
    start: nn.initializers.Initializer,
    dtype: Any,
    bias: float | None = 0.0,
) -> tuple[Array, ...]:
    """A layer's kernel and bias (if any), inside a compact module.

    Args:
      name: the layer's.
      shape: the kernel's, outputs last.
      start: initialiser of the kernel.
      dtype: dtype to cast to; None leaves float32.
      bias: initial value of the bias; None for no bias.
    """
    return tuple(cast(x, dtype) for x in _Weights(shape, start, bias, name=name)())


def cast(x: Array, dtype: Any) -> Array:
    """An array in a dtype; None leaves it."""
    return x if dtype is None else x.astype(dtype)
