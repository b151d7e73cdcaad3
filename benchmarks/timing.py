"""How things are timed here: compilation apart, medians, and what it ran on."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from absl import logging

logging.set_verbosity(logging.WARNING)  # JAX tells at INFO which devices there are not


def compile_and_run(step: Callable, *arguments, runs: int = 10, **fixed) -> dict[str, Any]:
    """Times a pure function that is not compiled yet: its compilation, then its calls.

    A step that gives (state, ...) gets the new state in the next call, as in training.

    Returns:
      seconds: `compile`, and `median`, `least` and `most` of the runs after one warm-up;
      `temporary_bytes`, what the compiled step needs beyond its arguments and results.
    """
    started = time.perf_counter()
    compiled = jax.jit(step, **fixed).lower(*arguments).compile()
    seconds = {"compile": time.perf_counter() - started}
    state, *rest = arguments
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        state, *_ = jax.block_until_ready(compiled(state, *rest))
        times.append(time.perf_counter() - started)
    memory = compiled.memory_analysis()  # None where the backend cannot tell
    needed = {"temporary_bytes": memory.temp_size_in_bytes} if memory else {}
    return seconds | spread(times[1:]) | needed


def call(function: Callable[[], Any], runs: int = 10) -> dict[str, float]:
    """Times a plain call: `median`, `least`, `most` seconds after one warm-up."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return spread(times[1:])


def spread(times: list[float]) -> dict[str, float]:
    """Median, least and most of some seconds."""
    return {"median": statistics.median(times), "least": min(times), "most": max(times)}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def report(results: dict[str, Any], out: str | None) -> None:
    """Prints results as JSON, and writes them to a file if one is named."""
    text = json.dumps({"machine": machine(), **results}, indent=2)
    print(text)
    if out:
        Path(out).write_text(text + "\n")
