"""A training, ready to be run: what every kind of training is brought to."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from stgan_jax import parallel
from stgan_jax.settings import Settings
from stgan_jax.state import Optimizers, TrainState

if TYPE_CHECKING:
    from stgan_jax.data import pipeline


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training, ready to be run.

    Attributes:
      config: its settings, with everything filled in.
      source: what it draws its batches from.
      start: the first state, a function of the seed.
      step: (state, batch, alpha, axis) -> (state, metrics), pure; see `steps`.
      validate: params, alpha -> `validation/...` figures, `validation/loss` among them; None
        where there are no validation subjects.
      pictures: params -> pictures by name.
    """

    config: Settings
    source: "pipeline.Source"
    start: Callable[[int], TrainState]
    step: parallel.Step
    validate: Callable[[Mapping[str, Any], float], dict[str, float]] | None
    pictures: Callable[[Mapping[str, Any]], dict[str, UInt8[np.ndarray, "H W *channels"]]]

    @property
    def alpha(self) -> float:
        """The weight of the noise; 0 where there is none."""
        return getattr(self.config, "alpha", 0.0)


def step_of(update: Callable, config: Settings, optimizers: Optimizers) -> parallel.Step:
    """An update of `steps` with a run's rules and options."""
    options = config.options()

    def step(state, batch, alpha, axis):
        own = dataclasses.replace(options, axis=axis)
        return update(state, batch, alpha, optimizers=optimizers, options=own)

    return step


def with_average(params: dict[str, Any], config: Settings) -> dict[str, Any]:
    average = {"gen_ema": jax.tree.map(jnp.copy, params["gen"])} if config.ema else {}
    return {**params, **average}
