"""The engine's processes on this machine: their cores, who takes what, and what is lost."""

import functools
import os
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from stgan_jax.util import engine


class Waiting:
    """Item 0 waits until all others are done; each item for a second process to be there."""

    def __init__(self, folder):
        self._folder = Path(folder)
        (self._folder / f"process-{os.getpid()}").touch()

    def _until(self, pattern, count):
        deadline = time.monotonic() + 100
        while len(list(self._folder.glob(pattern))) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def __call__(self, item):
        self._until("process-*", 2)
        if item == 0:
            self._until("item-*", 5)
        (self._folder / f"item-{item}").touch()
        return item, os.getpid(), sorted(os.sched_getaffinity(0))


@pytest.mark.processes
def test_processes_have_their_share_of_the_cores_and_take_what_nobody_has(tmp_path):
    done = engine.run(
        functools.partial(Waiting, tmp_path), [range(6)], engine.Runner(jobs=2, share=True)
    )
    by = {item: (process, cores) for item, process, cores in done}
    assert sorted(by) == list(range(6))
    assert len({by[n][0] for n in range(1, 6)}) == 1  # who began with the first had no time
    assert by[0][0] != by[1][0]
    every = sorted(os.sched_getaffinity(0))
    assert by[0][1] != by[1][1] or len(every) == 1
    assert sorted({*by[0][1], *by[1][1]}) == every


@pytest.mark.processes
def test_a_process_that_ends_before_it_begins_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(engine, "_serve", os._exit)  # which takes no such arguments
    with pytest.raises(BrokenExecutor, match="exit code 1"):
        engine.run(threading.Lock, [range(2)], engine.Runner(jobs=1))


def test_shares_are_all_cores_in_equal_parts_and_one_at_least(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 2, 3, 4, 5})
    assert [engine.share(n, 1) for n in (0, 1)] == [[2, 3, 4, 5, 7]] * 2
    assert [engine.share(n, 2) for n in (0, 1, 2)] == [[2, 3], [4, 5, 7], [2, 3]]
    assert [engine.share(n, 7) for n in range(7)] == [[2], [3], [4], [5], [7], [2], [3]]
    monkeypatch.delattr(os, "sched_getaffinity")
    assert engine.share(0, 2) == []
