"""A function for each of many items, by the processes or machines of Apache Beam."""

import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.utils.shared import Shared

from stgan_jax.util import errors
from stgan_jax.util.errors import InputError

LOCAL = "DirectRunner"
# Processes are started anew: none is forked off one that has threads. Beam logs much, from the
# moment at which it is imported, and the bars of several processes are none.
_PROCESS = (
    "import logging, os; logging.disable(); os.environ['TQDM_DISABLE'] = '1'; "
    "from stgan_jax.util import engine; engine.serve()"
)


class Runner(NamedTuple):
    """Where work is done.

    Attributes:
      name: a runner of Beam. The default one has processes of its own on this machine.
      jobs: number of these processes.
      flags: Beam's own, see `check`.
    """

    name: str = LOCAL
    jobs: int = 1
    flags: Sequence[str] = ()

    @classmethod
    def of_flags(cls, jobs: int, flags: Sequence[str]) -> "Runner":
        """The runner that --runner=NAME among the flags says."""
        named = [flag.removeprefix("--runner=") for flag in flags if flag.startswith("--runner=")]
        others = [flag for flag in flags if not flag.startswith("--runner=")]
        return cls(named[-1] if named else LOCAL, jobs, others)


def run(
    make: Callable[[], Callable[[Any], Any]],
    stages: Sequence[Sequence[Any]],
    runner: Runner,
    folder: str | None = None,
) -> list[Any]:
    """Calls `make()(item)` for all items, wherever the runner has processes.

    Args:
      make: called once in each process, which keeps what it returns. It can be pickled, and what it
        returns takes weak references: a function or an instance of a class, but no bound method.
      stages: items, which can be pickled. A stage begins when the one before has ended.
      runner: where.
      folder: where results are gathered, if other machines work; they all see it. It is removed.

    Returns:
      what the calls returned, in any order: plain values, as JSON has them.

    Raises:
      InputError: a call raised; the sentence of one of them.
      BrokenExecutor: a process on this machine was killed.
    """
    with contextlib.ExitStack() as stack:
        flags, where = list(runner.flags), None
        if runner.name == LOCAL:
            flags, where = [f"--direct_num_workers={runner.jobs}", *flags], _local()
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        elif folder is None:
            raise InputError(f"--runner={runner.name}: needs a folder that all its machines see")
        else:
            flags = [f"--runner={runner.name}", *flags]
            stack.callback(_remove, folder)
        pipeline = beam.Pipeline(where, PipelineOptions(flags))
        kept = Shared()
        every: list[beam.PCollection] = []
        for number, items in enumerate(stages):
            todo = pipeline | f"items {number}" >> beam.Create(list(items))
            if every:
                todo |= f"after {number - 1}" >> beam.WaitOn(every[-1])
            todo |= f"spread {number}" >> beam.Reshuffle()
            every.append(todo | f"work {number}" >> beam.ParDo(_Work(make, kept)))
        target = FileSystems.join(folder, "rows")
        # One shard: a row is short, and there are some ten thousand.
        write = beam.io.WriteToText(target, num_shards=1, shard_name_template="")
        _ = every | beam.Flatten() | "gather" >> write
        try:
            pipeline.run().wait_until_finish()
        except RuntimeError as error:  # no call raises
            if where is None:
                raise
            raise BrokenExecutor(str(error).strip().splitlines()[-1]) from error
        with FileSystems.open(target, "text/plain") as file:
            results = [json.loads(line) for line in file.read().splitlines()]
    if failed := [result["error"] for result in results if "error" in result]:
        raise InputError(failed[0])
    return [result["value"] for result in results]


def _local() -> FnApiRunner:
    """What comes with Beam. Its DirectRunner prefers Prism, a program that it fetches."""
    command = f"exec {shlex.join([sys.executable, '-c', _PROCESS])}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


def serve() -> None:
    """A process on this machine, as the runner starts it; ends when that does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process stops them
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sdk_worker_main.main([])
    os._exit(0)  # threads may be at work still, and could not end it


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


class _Work(beam.DoFn):
    """Calls a function that is made once a process, and is the same for all stages."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], kept: Shared):
        self._make, self._kept = make, kept

    def process(self, item: Any) -> Iterator[str]:
        """The result as a line of JSON, or the sentence of what was raised."""
        try:
            yield json.dumps({"value": self._kept.acquire(self._make)(item)})
        except Exception as error:
            known = isinstance(error, InputError | OSError)
            yield json.dumps({"error": str(error) if known else errors.unexpected(error)})


def check(flags: Sequence[str]) -> None:
    """Raises `InputError` for a flag that no part of Beam knows."""
    options = PipelineOptions(list(flags))
    known, every = (options.get_all_options(retain_unknown_options=keep) for keep in (False, True))
    if unknown := sorted(every.keys() - known.keys()):
        raise InputError(f"--{unknown[0]}: neither a flag of this command nor one of Beam's")


def _remove(folder: str) -> None:
    if FileSystems.exists(folder):
        FileSystems.delete([folder])
