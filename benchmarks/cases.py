"""The ST-GAN training that the benchmarks measure: settings' own networks on random contours.

What contours show does not change the work. The noise is fixed: a peer in another framework
cannot draw what JAX draws, and G_N's share of a step is a thousandth of its arithmetic.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.data.batches import Gaits
from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.stgan import ways
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.methods.stgan.step import StganNets, stgan_step
from stgan_jax.shapes.contour import DIM
from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class FixedNoise:
    """Noise contours as they are in params["noise"] (N, 4000), the same in each step."""

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that `sample` needs."""
        return {"noise": params["noise"]}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Any:
        """The first `count` of them."""
        del key
        return params["noise"][:count]


@dataclasses.dataclass(frozen=True)
class Case:
    """A training step and its inputs.

    Attributes:
      run: its settings.
      nets: its networks.
      batch: (B, T, 4000) uint16.
      noise: (B, 4000) float32, in [0, 1].
    """

    run: StganSettings
    nets: StganNets
    batch: Gaits
    noise: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, T, 4000)."""
        return self.batch.contours.shape

    def params(self) -> dict[str, Any]:
        """The same new parameters each time: a compiled step takes them over."""
        noise = {"noise": jnp.array(self.noise)}
        return self.nets.init(jax.random.key(0), noise, self.shape[1])

    def state(self) -> TrainState:
        """The state before the first step."""
        return TrainState.create(0, self.params(), self.run.optimizers())

    def step(self, nets: StganNets | None = None, axis: str | None = None) -> Callable:
        """(state, batch, alpha) -> (state, metrics).

        Args:
          nets: None for the case's own.
          axis: see `StepOptions`.
        """
        return functools.partial(
            stgan_step,
            nets=nets or self.nets,
            optimizers=self.run.optimizers(),
            loss=self.run.loss_parts(),
            options=StepOptions(axis=axis),
        )

    def parallel_step(self, state: TrainState, batch, alpha, axis) -> tuple[TrainState, Any]:
        """The step as `parallel` compiles it."""
        return self.step(axis=axis)(state, batch, alpha)


def convolved(nets: StganNets, way: str) -> StganNets:
    """The same networks with convolutions computed in one of `ops.convolution.CONVOLUTIONS`.

    Raises:
      InputError: Pallas kernels on a CPU, where the networks would take another way.
    """
    if way == "pallas" and jax.default_backend() == "cpu":
        raise InputError("pallas is for GPUs and TPUs: leave it out on a CPU")
    return dataclasses.replace(
        nets,
        gen=nets.gen.clone(convolution=way),
        spatial_disc=nets.spatial_disc.clone(convolution=way),
    )


def stgan(batch: int, frames: int, dtype: str = "float32", **values: Any) -> Case:
    """The step of `batch` sequences of `frames` contours, Eq. 8 as printed.

    Args:
      batch: B.
      frames: T.
      dtype: what networks compute in.
      **values: further fields of `StganSettings`, by default its own.
    """
    data = WalkerData(1, 1, (90,), ("nm-01",), frames=frames)
    run = StganSettings(
        data=data, noise="gaussian", balance="printed", compute_dtype=dtype, **values
    )
    nets, rng = dataclasses.replace(run.nets(), noise=FixedNoise()), np.random.default_rng(0)
    if jax.default_backend() != "cpu":  # as a training has them
        nets = ways.fastest_nets(run, nets)
    return Case(
        run,
        nets,
        Gaits(rng.integers(0, 61184, (batch, frames, DIM), dtype=np.uint16)),
        rng.random((batch, DIM), np.float32),
    )
