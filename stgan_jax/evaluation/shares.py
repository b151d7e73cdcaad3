"""An evaluation shared by several processes, which leave what they find in its cache."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from stgan_jax.util.errors import InputError


def in_shares(jobs: int, share: str = "") -> slice:
    """Which methods are left to this process.

    With `jobs` above 1 and no `share`, first runs this process's own command `jobs` times at once,
    each with another --share and cores of its own, since threads of one process mostly wait for
    each other here. After that all methods' figures are in the cache of `run.evaluate`. The first
    process's progress is shown.

    Args:
      jobs: number of processes.
      share: "2/3" for the second of three; "" for all.

    Raises:
      InputError: there is no such share, or a process failed, whose last words it repeats.
    """
    number, _, total = share.partition("/")
    if share and not (number.isdigit() and total.isdigit() and 1 <= int(number) <= int(total)):
        raise InputError(f"--share={share}: say 1/3, 2/3 or 3/3 for one of three")
    if share:
        return slice(int(number) - 1, None, int(total))
    if jobs > 1:
        with _processes(jobs) as running:
            for process, log in running:
                if process.wait():
                    words = _last_line(log).removeprefix("error: ") if log else ""
                    raise InputError(f"a process of --jobs={jobs} failed: {words or 'see above'}")
    return slice(None)


@contextlib.contextmanager
def _processes(jobs: int) -> Iterator[list[tuple[subprocess.Popen, IO | None]]]:
    """Processes and where they say what is wrong; stopped when the block ends or by SIGTERM."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with contextlib.ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        running: list[tuple[subprocess.Popen, IO | None]] = []
        for i in range(jobs):
            log = stack.enter_context(tempfile.TemporaryFile("w+")) if i else None
            command = [sys.executable, *sys.argv, f"--share={i + 1}/{jobs}"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            stack.callback(process.terminate)
            if cores[i::jobs]:
                os.sched_setaffinity(process.pid, cores[i::jobs])
            running.append((process, log))
        yield running


def _last_line(log: IO) -> str:
    log.seek(0)
    return log.read().strip().split("\n")[-1]
