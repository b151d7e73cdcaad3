"""Timing: candidates by turns in one process, compilation apart, ratios of medians.

A machine's other work changes absolute times by the minute and ratios less. So candidates run by
turns in one process, and `--check` compares only the ratios of medians with those of a stored run.
On CPUs the processor time of all threads is measured as well: other work changes it least.
"""

import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from stgan_jax.training import parallel
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

# So that memory peaks are what is needed, and peers in this process get what they need.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


class Times(NamedTuple):
    """Seconds of each turn of each candidate, by its name."""

    clock: dict[str, list[float]]
    processor: dict[str, list[float]]


def define_flags(runs: int = 10) -> None:
    """Defines the flags that every benchmark has."""
    flags.DEFINE_integer("runs", runs, "Timed turns; their median counts.", lower_bound=1)
    flags.DEFINE_string("out", None, "JSON file to write.")
    flags.DEFINE_string("check", None, "An earlier --out, or results/speed: fail if a ratio fell.")
    flags.DEFINE_float("tolerance", 0.25, "How much of a ratio --check lets go.", 0.0, 1.0)


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark; invalid input ends it with one sentence."""

    def guarded(_):
        with one_sentence():
            # Outputs and files to compare with are checked before minutes of work.
            if flags.FLAGS.out:
                files.check_output(flags.FLAGS.out)
            if flags.FLAGS.check:
                stored(flags.FLAGS.check)
            main()

    app.run(guarded, flags_parser=parse_flags)


def compiled(function: Callable, *arguments, **fixed) -> tuple[Callable, dict[str, Any]]:
    """Compiles a pure or jitted function for its arguments, as a training compiles its step.

    Returns:
      the program, and what it took: `compile_seconds`, and `temporary_bytes`, the memory beyond
      its arguments and results, if the backend knows it.
    """
    started = time.perf_counter()
    staged = function if hasattr(function, "lower") else jax.jit(function, **fixed)
    program = staged.lower(*arguments).compile(parallel.compiler_options())
    about: dict[str, Any] = {"compile_seconds": time.perf_counter() - started}
    memory = program.memory_analysis()
    return program, about | ({"temporary_bytes": memory.temp_size_in_bytes} if memory else {})


class Step:
    """A compiled training step (state, ...) -> (state, metrics); each call goes on from the last.

    Attributes:
      about: see `compiled`.
      metrics: of the last call.
    """

    def __init__(self, step: Callable, state, *rest):
        """Compiles the step. The state is taken over."""
        self._program, self.about = compiled(step, state, *rest, donate_argnums=0)
        self._state, self._rest = state, rest
        self.metrics: Mapping[str, Any] = {}

    def __call__(self) -> None:
        """One step, to its end."""
        self._state, self.metrics = jax.block_until_ready(self._program(self._state, *self._rest))

    def losses(self) -> dict[str, float]:
        """The last call's loss terms."""
        return {k: float(v) for k, v in self.metrics.items() if k.startswith("loss/")}


def require_same_losses(candidates: Mapping[str, Any], tolerance: float) -> None:
    """Runs two steps of each candidate and compares their losses with those of "ours".

    The second step's losses are those of the updated networks, so that gradients and updates
    are compared as well.

    Raises:
      InputError: a loss term of a peer is not ours.
    """
    for number in (1, 2):
        for step in candidates.values():
            step()
        expected = candidates["ours"].losses()
        for name, step in candidates.items():
            for term, value in step.losses().items():
                if not np.isclose(value, expected[term], rtol=tolerance, atol=tolerance):
                    raise InputError(
                        f"--peer={name}: {term} is {value:.6g} in step {number} and ours "
                        f"{expected[term]:.6g}: not the same work, so it is not timed"
                    )


def piece(function: Callable, *arguments) -> Callable[[], Any]:
    """A pure function compiled for its arguments, as a call that waits for its result."""
    program, _ = compiled(function, *arguments)
    return lambda: jax.block_until_ready(program(*arguments))


def calibration() -> Callable[[], Any]:
    """A fixed piece of work, a matrix product and a copy, for ratios of what has no peer."""
    matrix, long = jnp.ones((1024, 1024)), jnp.ones(2**23)
    return piece(lambda a, b: (a @ a, b + 1), matrix, long)


def interleaved(candidates: Mapping[str, Callable[[], Any]], runs: int, before: int = 1) -> Times:
    """Times candidates by turns.

    In use a step follows one of its own. What the candidate before it did to caches and to the
    system's memory is not its own: 910 MB that one peer gives back make the next call a third
    slower, whichever comes next.

    Args:
      candidates: calls by name.
      runs: turns of each.
      before: calls that are not timed, in each turn before the timed one.
    """
    times = Times({name: [] for name in candidates}, {name: [] for name in candidates})
    for _ in range(runs):
        for name, call in candidates.items():
            for _ in range(before):
                call()
            started = time.perf_counter(), _processor_time()
            call()
            times.clock[name].append(time.perf_counter() - started[0])
            times.processor[name].append(_processor_time() - started[1])
    return times


def _processor_time() -> float:
    """Seconds of all threads, and of child processes that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spreads(times: Times) -> dict[str, dict[str, float]]:
    """Each candidate's median, least and most seconds, and median seconds of processor time."""
    return {
        name: {
            "median": statistics.median(each),
            "least": min(each),
            "most": max(each),
            "processor": statistics.median(times.processor[name]),
        }
        for name, each in times.clock.items()
    }


def ratios(times: Times, of: str, to: str) -> dict[str, float]:
    """Median seconds of `of` over those of `to`; on CPUs also of processor time."""
    kinds = {f"{of} / {to}": times.clock}
    if jax.default_backend() == "cpu":
        kinds[f"{of} / {to}, processor time"] = times.processor
    return {
        name: statistics.median(seconds[of]) / statistics.median(seconds[to])
        for name, seconds in kinds.items()
    }


def intervals(times: Times, of: str, to: str) -> dict[str, tuple[float, float]]:
    """95 % intervals of the ratio of median seconds of `of` and `to`, by bootstrap over turns."""
    clock = np.array([times.clock[of], times.clock[to]])
    drawn = np.random.default_rng(0).integers(0, clock.shape[1], (2000, clock.shape[1]))
    both = np.median(clock[:, drawn], axis=-1)
    low, high = np.quantile(both[0] / both[1], (0.025, 0.975))
    return {f"{of} / {to}": (float(low), float(high))}


def by_calibration(times: Times) -> dict[str, float]:
    """`ratios` of "calibration" to each other candidate."""
    found: dict[str, float] = {}
    for name in times.clock.keys() - {"calibration"}:
        found |= ratios(times, "calibration", name)
    return found


def machine() -> dict[str, Any]:
    """Device, cores, load and versions that figures are measured on."""
    device = jax.devices()[0]
    versions = {}
    for name in ("jax", "jaxlib", "flax", "numpy", "torch", "libtpu", "jax-cuda13-pjrt"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    stats = device.memory_stats() or {}  # None on a CPU
    peak = {"peak_bytes": stats["peak_bytes_in_use"]} if "peak_bytes_in_use" in stats else {}
    return {
        "device": device.device_kind,
        "cpu": _cpu(),
        "clocks": _clocks(),
        "devices": jax.device_count(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **versions,
        **peak,
    }


def _cpu() -> str:
    """The processor's name, where the system tells."""
    return next(iter(_of_processors("model name")), platform.processor() or platform.machine())


def _of_processors(name: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]


def _clocks() -> dict[str, Any]:
    """MHz of the cores now and, where there are NVIDIA's, of its GPUs, with watts and degrees."""
    found: dict[str, Any] = {"cores": [round(float(mhz)) for mhz in _of_processors("cpu MHz")]}
    if shutil.which("nvidia-smi"):
        asked = "clocks.sm,clocks.mem,clocks.max.sm,power.draw,temperature.gpu"
        command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True)
        found[f"gpu ({asked})"] = done.stdout.splitlines()
    return found


def report(results: Mapping[str, Any], ratios: Mapping[str, float]) -> None:
    """Prints results as JSON, writes them for --out, and compares ratios for --check.

    Args:
      results: figures, as JSON has them.
      ratios: by name, how many times as fast as something else in this run ours is.
    """
    whole = {"machine": machine(), **results, "ratios": dict(ratios)}
    text = json.dumps(whole, indent=2)
    print(text)
    values = flags.FLAGS
    if values.out:
        with files.replacing(values.out) as beside:
            beside.write_text(text + "\n")
    if values.check:
        fallen = check(whole, like(whole, stored(values.check)), values.tolerance)
        if fallen:
            sys.exit(f"error: slower than in {values.check}: {fallen}")


def kind(about: Mapping[str, Any]) -> str:
    """A `machine`'s kind of device, of CPUs the processor and how many cores, as a file's name."""
    name = about["device"]
    if name == "cpu":
        name = f"{about['cpu']} {about['cores']} cores"
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


def stored(path: str) -> dict[str, Any]:
    """Reads an --out of an earlier run, or a report of run.py; of a folder that of this `kind`.

    Raises:
      InputError: the file is none, or the folder has none of this kind of device.
    """
    file = Path(path)
    if file.is_dir():
        file /= f"{kind(machine())}.json"
        if not file.exists():
            raise InputError(f"{path}: no record of this kind of device, {file.name}")
    try:
        values = json.loads(file.read_text())
        values["machine"]["device"], values["parts" if "parts" in values else "ratios"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not what --out of a benchmark writes") from error
    return values


def like(now: Mapping[str, Any], then: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a report that measured the most of this run's ratios, and none besides.

    Raises:
      InputError: no part did.
    """
    if "parts" not in then:
        return then
    parts = [
        part
        for part in then["parts"].values()
        if part["ratios"] and part["ratios"].keys() <= now["ratios"].keys()
    ]
    if not parts:
        raise InputError("--check: no part of the report has these ratios; run with its flags")
    return max(parts, key=lambda part: len(part["ratios"]))


def check(now: Mapping[str, Any], then: Mapping[str, Any], tolerance: float) -> str:
    """Names the ratios that fell by more than `tolerance` of themselves; "" if none did.

    Raises:
      InputError: another device, or a stored ratio that was not measured now.
    """
    for name in ("device", "cpu"):  # older files do not tell the processor
        was, here = (each["machine"].get(name) for each in (then, now))
        if was and was != here:
            raise InputError(
                f"--check: stored on {was} and this is {here}: store a run of this one"
            )
    missing = [name for name in then["ratios"] if name not in now["ratios"]]
    if missing:
        raise InputError(f"--check: run with the same flags, {', '.join(missing)} was not measured")
    return ", ".join(
        f"{name} {now['ratios'][name]:.2f} in place of {before:.2f}"
        for name, before in then["ratios"].items()
        if now["ratios"][name] < before * (1 - tolerance)
    )
