"""A function for each of many items, by the processes or machines of Apache Beam."""

import contextlib
import functools
import itertools
import json
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.transforms.environments import Environment
from apache_beam.utils.shared import Shared
from google.protobuf import json_format, text_format
from tqdm import tqdm

from stgan_jax.util import children, errors
from stgan_jax.util.errors import InputError

LOCAL = "DirectRunner"
_FORKED = "stgan_jax:env:forked:v1"


class Runner(NamedTuple):
    """Where work is done.

    Attributes:
      name: a runner of Beam. The default one has processes of its own on this machine.
      jobs: number of these processes.
      flags: Beam's own, see `check`.
      share: whether each of these processes has its `share` of the cores and no other. As many
        threads as cores in each of them wait for each other; but what is summed by fewer threads
        may be rounded otherwise.
    """

    name: str = LOCAL
    jobs: int = 1
    flags: Sequence[str] = ()
    share: bool = False

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
      runner: where the processes are.
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
            flags = [f"--direct_num_workers={runner.jobs}", *flags]
            # What comes with Beam. Its DirectRunner prefers Prism, a program that it fetches.
            where = FnApiRunner(_Forked(runner.jobs if runner.share else 1))
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
            parts, work = list(items), _Work(make, kept)
            if where is not None:
                parts = [parts] * runner.jobs
                work = _InTurn(make, kept, os.path.join(folder, str(number)))
            todo = pipeline | f"items {number}" >> beam.Create(parts)
            if every:
                todo |= f"after {number - 1}" >> beam.WaitOn(every[-1])
            todo |= f"spread {number}" >> beam.Reshuffle()
            every.append(todo | f"work {number}" >> beam.ParDo(work))
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


@Environment.register_urn(_FORKED, bytes)
class _Forked(Environment):
    """Processes on this machine, as `children` starts them, each with one of some `shares`."""

    def __init__(self, shares: int, **about):
        super().__init__(**about)
        self._shares = shares

    def to_runner_api_parameter(self, context):
        return _FORKED, str(self._shares).encode()

    @staticmethod
    def from_runner_api_parameter(payload, capabilities, artifacts, resource_hints, context):
        about = {"capabilities": capabilities, "artifacts": artifacts}
        return _Forked(int(payload), resource_hints=resource_hints, **about)


@WorkerHandler.register_environment(_FORKED, bytes)
class _Handler(GrpcWorkerHandler):
    """One of these processes, as its runner has it."""

    _started = itertools.count()

    def __init__(self, payload: bytes, state, provision_info, grpc_server):
        super().__init__(state, provision_info, grpc_server)
        self._shares, self._closed = int(payload), threading.Event()

    def start_worker(self) -> None:
        options = json_format.MessageToJson(self.provision_info.provision_info.pipeline_options)
        control = text_format.MessageToString(self.control_api_service_descriptor())
        variables = {
            "CONTROL_API_SERVICE_DESCRIPTOR": control,
            "PIPELINE_OPTIONS": options,
            "WORKER_ID": self.worker_id,
        }
        cores = share(next(self._started), self._shares)
        self._process = children.context().Process(target=_serve, args=(variables, cores))
        self._process.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_worker(self) -> None:
        self._closed.set()
        self._process.join()

    def _watch(self) -> None:
        """Gives up what a process was asked for that ended by itself: Beam would wait for it."""
        self._process.join()
        lost = f"a process ended with exit code {self._process.exitcode}"
        while self._process.exitcode and not self._closed.wait(0.2):
            for asked in list(self.control_conn._futures_by_id.values()):
                name = asked.instruction_id
                asked.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=lost))


def share(number: int, jobs: int) -> list[int]:
    """The cores of one of several processes: those of this one in equal parts, one at least."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux has it
        return []
    cores, number = sorted(os.sched_getaffinity(0)), number % jobs
    if jobs >= len(cores):
        return [cores[number % len(cores)]]
    return cores[number * len(cores) // jobs : (number + 1) * len(cores) // jobs]


def _serve(variables: Mapping[str, str], cores: Sequence[int]) -> None:
    """What a process on this machine does; it ends when the first one does, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process stops them
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if cores:  # before any library looks how many there are
        os.sched_setaffinity(0, cores)
    logging.disable()  # Beam logs much, and the bars of several processes are none
    tqdm.__init__ = functools.partialmethod(tqdm.__init__, disable=True)
    tqdm.set_lock(threading.RLock())  # its own, shared by processes, would be left behind
    os.environ.update(variables)
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


class _InTurn(_Work):
    """Calls it for whatever item none of this machine's processes has taken, one after the other.

    Their runner would give each an equal number of items before any begins.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], kept: Shared, taken: str):
        super().__init__(make, kept)
        self._taken = taken  # the beginning of a file's name for each item that is taken

    def process(self, item: Sequence[Any]) -> Iterator[str]:
        """Lines of JSON for those of all items that this process takes."""
        for number, one in enumerate(item):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(f"{self._taken}-{number}", os.O_CREAT | os.O_EXCL))
                yield from super().process(one)


def check(flags: Sequence[str]) -> None:
    """Raises `InputError` for a flag that no part of Beam knows."""
    options = PipelineOptions(list(flags))
    known, every = (options.get_all_options(retain_unknown_options=keep) for keep in (False, True))
    if unknown := sorted(every.keys() - known.keys()):
        raise InputError(f"--{unknown[0]}: neither a flag of this command nor one of Beam's")


def _remove(folder: str) -> None:
    if FileSystems.exists(folder):
        FileSystems.delete([folder])
