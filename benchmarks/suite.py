"""The scripts that `run.py` runs, one after the other within a time, and what they wrote."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stgan_jax.util.errors import InputError

BENCHMARKS = Path(__file__).parent
_WAYS = ("plain", "stencil", "pallas")
Part = tuple[str, list[str]]  # name and command


def parts(peers: Sequence[str], runs: int, only: Sequence[str]) -> list[Part]:
    """All parts, or those named, the most telling first; one of several is called `NAME OF`.

    Raises:
      InputError: there is no such part.
    """
    every: list[Part] = [("roofline", ["roofline.py", f"--runs={runs}"])]
    step = ["step_time.py", f"--runs={runs}"]
    if importlib.util.find_spec("torch") is None:
        every.append(("peers torch", [*step, "--peer=torch"]))  # which says what to install
        peers = [peer for peer in peers if not peer.startswith("torch")]
    if peers:
        every.append(("peers", [*step, f"--peer={','.join(peers)}"]))
    every += [(f"ways {way}", [*step, f"--peer={way}"]) for way in _WAYS]
    every += [("sweep", ["sweep.py", "--lanes=8"]), ("scaling", ["scaling.py", "--most=256"])]
    pieces = ["roofline.py", f"--runs={runs}"]
    every += [(f"ways {way}, pieces", [*pieces, f"--convolution={way}"]) for way in _WAYS]
    every += [("codec", ["codec.py"])]
    unknown = set(only) - {name.split()[0] for name, _ in every}
    if unknown:
        raise InputError(f"--only={unknown.pop()}: there is no such part")
    return [part for part in every if not only or part[0].split()[0] in only]


def measured(every: Sequence[Part], seconds: float, device: str | None = None) -> dict[str, Any]:
    """Runs parts one after the other for so long.

    Args:
      every: the parts.
      seconds: for all of them.
      device: "cpu", "gpu" or "tpu"; None for what JAX finds.

    Returns:
      `parts`: the figures of each by its name; `left_out`: the reasons of the others; `machine`.

    Raises:
      InputError: nothing could be measured.
    """
    found: dict[str, Any] = {}
    left: dict[str, str] = {}
    end = time.monotonic() + seconds
    for number, (name, command) in enumerate(every, 1):
        rest = end - time.monotonic()
        print(f"{number} of {len(every)}: {name}, {rest / 60:.1f} minutes left", flush=True)
        figures = _figures(command, rest, device) if rest > 0 else "no time was left"
        if isinstance(figures, str):
            left[name] = figures
            print(f"  left out: {figures}", flush=True)
        else:
            found[name] = figures
    if not found:
        raise InputError(f"nothing could be measured: {next(iter(left.values()))}")
    machine = next(iter(found.values()))["machine"]
    return {"machine": machine, "parts": found, "left_out": left}


def _figures(command: Sequence[str], seconds: float, device: str | None) -> dict[str, Any] | str:
    """What a script writes, or in a line why it does not."""
    environment = dict(os.environ)
    if device:
        environment["JAX_PLATFORMS"] = "cuda" if device == "gpu" else device
    root = [str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, root))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        whole = [sys.executable, str(BENCHMARKS / command[0]), *command[1:], f"--out={path}"]
        try:
            done = subprocess.run(
                whole, env=environment, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return "the time was over"
        if not path.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return lines[-1].removeprefix("error: ")[:300]
        return json.loads(path.read_text())


def stored(path: str) -> dict[str, Any]:
    """A report of an earlier run. Raises `InputError` if the file is none."""
    try:
        report = json.loads(Path(path).read_text())
        report["parts"], report["machine"]["device"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a report.json of benchmarks/run.py") from error
    return report
