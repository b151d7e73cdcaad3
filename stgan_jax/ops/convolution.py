"""The one place that chooses how G's and D_S's convolutions are computed."""

from types import ModuleType
from typing import Any

import jax

from stgan_jax.ops import stencil
from stgan_jax.util.errors import InputError

CONVOLUTIONS = ("auto", "stencil", "pallas", "plain")


class _Plain:
    generate = staticmethod(stencil.plain_generate)
    spatial_logits = staticmethod(stencil.plain_spatial_logits)


def convolution(name: str) -> ModuleType | type[Any]:
    """The functions `generate` and `spatial_logits` as one of `CONVOLUTIONS` computes them.

    stencil: expressions of few taps (`ops.stencil`); pallas: kernels for GPUs and TPUs
    (`ops.kernels`); plain: general convolutions. auto takes what is known to do well: stencils
    on a CPU, where they were measured, and plain ones elsewhere, where nothing was. Kernels are
    not for CPUs: a model that was trained with them is used there with stencils.
    """
    on_cpu = jax.default_backend() == "cpu"
    if name == "pallas" and not on_cpu:
        from stgan_jax.ops.kernels import convolution  # slow to load, and for few

        return convolution
    if name == "plain" or (name == "auto" and not on_cpu):
        return _Plain
    return stencil


def refuse_kernels_on_cpu(name: str) -> None:
    """Raises `InputError` if kernels are to be trained with on a CPU."""
    if name == "pallas" and jax.default_backend() == "cpu":
        raise InputError("convolution=pallas is for GPUs and TPUs: leave it out on a CPU")
