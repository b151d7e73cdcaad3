"""The ST-GAN training that the benchmarks measure: settings' own networks on random contours.

What contours show does not change the work. The noise is given: a peer in another framework
cannot draw what JAX draws, and G_N's share of a step is a thousandth of its arithmetic.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax import settings, steps
from stgan_jax.contour import DIM
from stgan_jax.errors import InputError
from stgan_jax.state import TrainState


@dataclasses.dataclass(frozen=True)
class GivenNoise(steps.RawNoise):
    """Noise contours as they lie in params["noise"] (N, 4000), the same in each step."""

    def frozen(self, params: dict[str, Any]) -> dict[str, Any]:
        """All that `sample` needs."""
        return {"noise": params["noise"]}

    def sample(self, params: dict[str, Any], key: jax.Array, count: int) -> Any:
        """The first `count` of them."""
        return params["noise"][:count]


@dataclasses.dataclass(frozen=True)
class Case:
    """A training step and what goes in.

    Attributes:
      run: its settings, those of `configs/stgan.py` by default.
      nets: its networks.
      gaits: (B, T, 4000) uint16, a batch.
      noise: (B, 4000) float32, in [0, 1].
    """

    run: settings.StganSettings
    nets: steps.StganNets
    gaits: np.ndarray
    noise: np.ndarray

    def params(self) -> dict[str, Any]:
        """The same new parameters each time: a compiled step takes them over."""
        noise = {"noise": jnp.array(self.noise)}
        return self.nets.init(jax.random.key(0), noise, self.gaits.shape[1])

    def state(self) -> TrainState:
        """The state before the first step."""
        return TrainState.create(0, self.params(), self.run.optimizers())

    def step(self, nets: steps.StganNets | None = None) -> Callable:
        """(state, contours, alpha) -> (state, metrics), by other networks if they are given."""
        return functools.partial(
            steps.stgan_step,
            nets=nets or self.nets,
            optimizers=self.run.optimizers(),
            loss=self.run.loss(),
        )

    def parallel_step(self, state: TrainState, batch, alpha, axis) -> tuple[TrainState, Any]:
        """The step as `parallel` compiles it."""
        return self.step()(state, batch, alpha, options=steps.Options(axis=axis))


def convolved(nets: steps.StganNets, way: str) -> steps.StganNets:
    """The same networks with convolutions computed in one of `models.stgan.CONVOLUTIONS`.

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


def stgan(batch: int, frames: int, dtype: str = "float32", **values) -> Case:
    """The step of `batch` sequences of `frames` contours; `values` are of `StganSettings`."""
    data = settings.WalkerData(1, 1, (90,), ("nm-01",), frames=frames)
    run = settings.StganSettings(data=data, noise="gaussian", compute_dtype=dtype, **values)
    rng = np.random.default_rng(0)
    return Case(
        run,
        dataclasses.replace(run.nets(), noise=GivenNoise()),
        rng.integers(0, 61184, (batch, frames, DIM), dtype=np.uint16),
        rng.random((batch, DIM), np.float32),
    )
