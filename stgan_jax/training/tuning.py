"""What `auto` stands for on an accelerator: the fastest of several ways to compute the same.

Each way is compiled for the run's shapes, its result compared with a reference, and timed. A way
that does not compile, differs or is slow is left out, and a line says so; it never ends a run. The
choice is kept in the user's cache, by device, versions, code and shapes. On a CPU nothing is
measured.
"""

import dataclasses
import functools
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from stgan_jax import ops
from stgan_jax.training import parallel
from stgan_jax.util import errors, files

# How far a way's result may be from the reference: the Euclidean norm of the difference of each
# array over the array's. Unless told not to, GPUs multiply float32 numbers by 10 bits of their
# mantissa and TPUs by 7: with inputs so rounded the gradient of D_S's logits by coordinates, whose
# slopes jump at 0, is 0.012 and 0.034 off on a CPU, all else less. In bfloat16 it is 0.023.
TOLERANCE = {"float32": 0.04, "bfloat16": 0.06}
_LOCAL = 10  # the same, for each coordinate (last axis) alone, may be so many times as far
_TURNS = 5
_SLOW = 4.0  # times the fastest way's time: a way that takes longer has one turn

Call = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Something that can be computed in several ways.

    Attributes:
      name: the setting that chooses the way.
      ways: name -> compiles a way; what it returns runs it once, to its end, and returns its
        result, a pytree of arrays. The first is taken where nothing can be measured.
      reference: computes the expected result; None takes the first way's.
      about: sizes and types in brief, for the log.
      details: all else on which the choice depends.
      tolerance: see `TOLERANCE`.
    """

    name: str
    ways: Mapping[str, Callable[[], Call]]
    reference: Call | None
    about: str
    details: str = ""
    tolerance: float = TOLERANCE["float32"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The way that is taken, and its seconds: infinite where nothing could be measured."""

    way: str
    seconds: float = float("inf")


def compiled(function: Callable, *arguments: Any) -> Call:
    """A pure function compiled for its arguments, as a way of a `Piece` returns it."""
    program = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(program(*arguments))


def fastest(piece: Piece, folder: Path | None = None) -> Choice:
    """The fastest way whose result is the reference's, measured here or before.

    Several processes take what the first of them measures.

    Args:
      piece: what is to be computed.
      folder: where choices are kept; by default in the user's cache.
    """
    choice = Choice(next(iter(piece.ways)))
    if jax.process_index() == 0:
        choice = _Trial(piece, folder or files.cache("ways")).choice()
    if jax.process_count() > 1:
        number, seconds = list(piece.ways).index(choice.way), choice.seconds
        number, seconds = parallel.same_everywhere((np.asarray(number), np.asarray(seconds)))
        choice = Choice(list(piece.ways)[int(number)], float(seconds))
    return choice


def difference(result: Any, expected: Any) -> tuple[float, float]:
    """How far arrays are from the expected ones, the worst of all: whole, and by coordinate."""
    whole = local = 0.0
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.shape != b.shape or not np.isfinite(a).all():
            return float("inf"), float("inf")
        size = np.linalg.norm(b) or 1.0
        each = np.linalg.norm(np.atleast_1d(a - b).reshape(-1, (b.shape or (1,))[-1]), axis=0)
        whole = max(whole, float(np.linalg.norm(each) / size))
        local = max(local, float(each.max() * np.sqrt(len(each)) / size))
    return whole, local


class _Trial:
    """One piece's measurement, and the file that keeps its outcome."""

    def __init__(self, piece: Piece, folder: Path):
        self._piece, self._device = piece, jax.local_devices()[0]
        key = {
            "device": self._device.device_kind,
            "driver": getattr(self._device.client, "platform_version", ""),
            "jax": [metadata.version(name) for name in ("jax", "jaxlib")],
            "code": _code(),
            "ways": list(piece.ways),
            "about": piece.about,
            "details": piece.details,
            "tolerance": piece.tolerance,
        }
        text = json.dumps(key)
        self._path = folder / f"{piece.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        self._kept: dict[str, Any] = {**key, "begun": {}}
        self._left: dict[str, str] = {}  # way -> why it is left out

    def choice(self) -> Choice:
        known = self._known()
        if known.get("way") in self._piece.ways:
            self._say(f"{known['way']}, as measured before ({self._path})")
            return Choice(known["way"], float(known["seconds"][known["way"]]))
        for way, process in known.get("begun", {}).items():
            if not os.path.exists(f"/proc/{process}"):
                self._left[way] = f"it ended a run; remove {self._path} to try it again"
                self._kept["begun"][way] = process
        calls = self._correct()
        seconds = self._timed(calls)
        if not seconds:
            first = next(iter(self._piece.ways))
            self._say(f"{first}, as nothing could be measured{self._said()}")
            return Choice(first)
        way = min(seconds, key=seconds.__getitem__)
        self._keep(way=way, seconds=seconds, left_out=self._left)
        times = ", ".join(
            f"{n} {1e3 * s:.3g} ms" for n, s in sorted(seconds.items(), key=itemgetter(1))
        )
        self._say(f"{way}: {times}{self._said()}")
        return Choice(way, seconds[way])

    def _correct(self) -> dict[str, Call]:
        """The ways that compile, run and compute what the reference computes."""
        calls: dict[str, Call] = {}
        expected = None
        try:
            if self._piece.reference:
                expected = jax.device_get(self._piece.reference())
        except Exception as error:
            self._left["the reference"] = errors.unexpected(error)
            return calls
        describe = f"measuring {self._piece.name} on {self._device.device_kind}"
        for way, build in tqdm(self._piece.ways.items(), describe, unit="way", leave=False):
            if way in self._left:
                continue
            try:
                # A way that ends the process, as a faulty kernel can, is not tried a second time.
                self._keep(begun={**self._kept["begun"], way: os.getpid()})
                call = build()
                result = jax.device_get(call())
                expected = result if expected is None else expected
                whole, local = difference(result, expected)
                if whole > self._piece.tolerance or local > _LOCAL * self._piece.tolerance:
                    self._left[way] = (
                        f"differs by {whole:.2g}, at a coordinate by {local:.2g} (tolerance "
                        f"{self._piece.tolerance:g}, {_LOCAL * self._piece.tolerance:g})"
                    )
                else:
                    calls[way] = call
            except Exception as error:
                self._left[way] = errors.unexpected(error)
            finally:
                self._kept["begun"].pop(way, None)
                self._keep()
        return calls

    def _timed(self, calls: dict[str, Call]) -> dict[str, float]:
        """Median seconds, by turns; slow ways have one turn."""
        seconds: dict[str, list[float]] = {way: [] for way in calls}
        for turn in range(_TURNS):
            for way, call in calls.items():
                best = min((min(each) for each in seconds.values() if each), default=float("inf"))
                if way in self._left or (turn and seconds[way][0] > _SLOW * best):
                    continue
                try:
                    started = time.perf_counter()
                    call()
                    seconds[way].append(time.perf_counter() - started)
                except Exception as error:
                    self._left[way] = errors.unexpected(error)
        return {
            way: statistics.median(each) for way, each in seconds.items() if way not in self._left
        }

    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_text())
            return known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            return {}

    def _keep(self, **more: Any) -> None:
        self._kept |= more
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(self._path) as beside:
                beside.write_text(json.dumps(self._kept, indent=1) + "\n")
        except (OSError, errors.InputError):
            pass  # measured anew by the next run

    def _said(self) -> str:
        return "".join(f"; {way} is left out: {reason}" for way, reason in self._left.items())

    def _say(self, outcome: str) -> None:
        where = f"{self._piece.about} on {self._device.device_kind}"
        tqdm.write(f"{self._piece.name} for {where}: {outcome}")


@functools.cache
def _code() -> str:
    """Checksum of `ops`: what was measured with other code is measured anew."""
    paths = sorted(Path(ops.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
