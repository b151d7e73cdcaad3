"""A training, ready to run: the form in which every method hands it to the loop."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import UInt8

from stgan_jax.training import parallel
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import Optimizers, TrainState


@runtime_checkable
class Source(Protocol):
    """Examples that batches are drawn from; `data.feed.ExampleSource` is one."""

    def everything(self) -> Any:
        """All examples, as a pytree of arrays with a leading axis of them."""

    def indices(self) -> "Source":
        """A source of the examples' indices instead of them, for steps that hold the examples."""

    def batches(
        self, batch_size: int, seed: int, start_step: int, process: int, processes: int
    ) -> Iterator[Any]:
        """This process's share of each batch, endlessly, from batch number `start_step` on."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training, ready to run.

    Attributes:
      settings: all that defines it, completed.
      source: the examples that its batches are drawn from.
      start: seed -> the initial state.
      step: (state, batch, alpha, axis) -> (state, metrics), pure.
      validate: (params, alpha) -> `validation/...` figures, `validation/loss` among them; None
        if nothing is kept back for validation.
      pictures: params -> pictures by name.
      one_device: the setting, as "convolution=pallas", for which the compiler cannot share the
        step over several devices; "" if it can.
      fastest: number of lanes -> the step in which all that settings leave to `auto` is chosen by
        measuring; None if there is no choice.
    """

    settings: RunSettings
    source: Source
    start: Callable[[int], TrainState]
    step: parallel.Step
    validate: Callable[[Mapping[str, Any], float], dict[str, float]] | None
    pictures: Callable[[Mapping[str, Any]], dict[str, UInt8[np.ndarray, "H W *channels"]]]
    one_device: str = ""
    fastest: Callable[[int], parallel.Step] | None = None

    def chosen_step(self, lanes: int = 1) -> parallel.Step:
        """The step that is compiled: on an accelerator the fastest, see `tuning`."""
        if self.fastest is None or jax.default_backend() == "cpu":
            return self.step
        return self.fastest(lanes)

    @property
    def alpha(self) -> float:
        """The weight of the noise or style term; 0 if there is none."""
        return getattr(self.settings, "alpha", 0.0)


def step_of(
    update: Callable,
    settings: RunSettings,
    optimizers: Optimizers,
    **parts: Callable[[Any], Any],
) -> parallel.Step:
    """A method's training step with a run's update rules and options.

    In place of alpha the step of a sweep gets all values that its lanes differ in, by name, of
    `RunSettings.TRACED`.

    Args:
      update: (state, batch, alpha, *, optimizers, options, ...) -> (state, metrics).
      settings: the run's settings.
      optimizers: its update rules.
      **parts: further arguments of `update`, each a function of the settings.
    """

    def step(state, batch, alpha, axis):
        own, rules = settings, optimizers
        if isinstance(alpha, Mapping):
            own = settings.traced(alpha)
            rules, alpha = own.optimizers(), getattr(own, "alpha", 0.0)
        options = dataclasses.replace(own.options(), axis=axis)
        more = {name: part(own) for name, part in parts.items()}
        return update(state, batch, alpha, optimizers=rules, options=options, **more)

    return step
