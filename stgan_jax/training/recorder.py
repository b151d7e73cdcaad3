"""What happens around the steps of a run: checks, checkpoints, validation, pictures and logs."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from stgan_jax.training import checkpoint, parallel, run_log
from stgan_jax.training.experiment import Experiment
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError

_PROFILED = 10  # steps in a trace


@runtime_checkable
class Recorder(Protocol):
    """What the training loop calls as it goes.

    Attributes:
      lanes: number of runs that a step trains.
    """

    lanes: int

    def before_step(self, number: int) -> None:
        """Called with the number of the step that comes."""

    def on_metrics(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Called with every step's metrics in order; raises `InputError` if one is not finite."""

    def after_step(self, number: int, state: TrainState, stopped: bool) -> dict[str, float]:
        """Called after every call of the step; returns further figures for the log.

        Args:
          number: number of the last step.
          state: the state after it, as the step has it.
          stopped: whether it is the last one because of a signal.
        """
        ...

    def on_means(self, number: int, means: Mapping[str, Any]) -> None:
        """Called every `log_every` steps with the means of all metrics since the last call."""


class RunRecorder:
    """The recorder of one run, in the run's folder."""

    lanes = 1

    def __init__(
        self,
        experiment: Experiment,
        program: parallel.Compiled,
        writer: checkpoint.Writer,
        log: run_log.Log | None,
        before_step: Callable[[int], None],
    ):
        """Takes a run's writer, its log (None in all processes but one) and `profiled`'s result."""
        self._experiment, self._program = experiment, program
        self._writer, self._log, self.before_step = writer, log, before_step

    def on_metrics(self, number: int, metrics: Mapping[str, Any]) -> None:
        """See `Recorder`."""
        _require_finite(number, metrics, self._writer)

    def on_means(self, number: int, means: Mapping[str, Any]) -> None:
        """See `Recorder`."""
        if self._log:
            self._log.figures(number, {name: float(value) for name, value in means.items()})

    def after_step(self, number: int, state: TrainState, stopped: bool) -> dict[str, float]:
        """Validates, saves and draws where it is due."""
        experiment, writer = self._experiment, self._writer
        settings = experiment.settings
        save = stopped or is_due(settings, number, settings.save_every)
        evaluate = is_due(settings, number, settings.evaluate_every)
        draw = is_due(settings, number, settings.picture_every)
        if not (save or evaluate or draw):
            return {}
        state = self._program.one(state)
        _require_finite(number, {"parameters' norm": weights_norm(state)}, writer)
        figures: dict[str, float] = {}
        if evaluate and experiment.validate:
            figures = experiment.validate(state.params, experiment.alpha)
        loss = figures.get("validation/loss")
        if save or (loss is not None and loss < writer.best):
            writer.save(state, loss)
        if draw:
            for name, image in experiment.pictures(state.params).items():
                if self._log:
                    self._log.picture(number, name, image)
        return figures


def is_due(settings: RunSettings, number: int, every: int) -> bool:
    """Whether what happens every so many steps (0: never), and at the last one, is due."""
    return every > 0 and (number % every == 0 or number == settings.steps)


def weights_norm(state: TrainState) -> float:
    """Euclidean norm of all networks' parameters; NaN if one of them is."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(state.params)]
    return float(np.sqrt(sum(np.vdot(x, x) for x in leaves if np.issubdtype(x.dtype, np.floating))))


def _require_finite(step: int, values: Mapping[str, Any], writer: checkpoint.Writer) -> None:
    """Raises `InputError` with the step, the term and the last good checkpoint."""
    for name, value in values.items():
        if not np.all(np.isfinite(value)):
            saved = writer.last_saved()
            good = (
                "nothing is saved" if saved is None else f"the checkpoint of step {saved} is good"
            )
            raise InputError(
                f"{name} is {value} at step {step}, {good}: train in another --workdir with a "
                "lower learning rate"
            )


@contextlib.contextmanager
def profiled(folder: Path | None) -> Iterator[Callable[[int], None]]:
    """A function to call before each step: it writes a trace of ten steps to `folder`.

    The trace begins with the third step, when all is compiled and warm.
    """
    if folder is None:
        yield lambda number: None
        return
    count = itertools.count(1)
    running = False

    def before_step(_: int) -> None:
        nonlocal running
        number = next(count)
        if number == 3:
            jax.profiler.start_trace(os.fspath(folder))
            running = True
        elif running and number == 3 + _PROFILED:
            jax.profiler.stop_trace()
            running = False

    try:
        yield before_step
    finally:
        if running:
            jax.profiler.stop_trace()
        if jax.process_index() == 0:
            print(f"{folder}: a trace of the steps, to be opened with TensorBoard or Perfetto")
