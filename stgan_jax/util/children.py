"""How this package starts processes of its own."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def context(*modules: str) -> ForkServerContext | SpawnContext:
    """Processes that start in a tenth of a second, and without this one's threads.

    JAX and TensorFlow have threads, which do not survive a fork. So children are forked off a
    server that has imported what they need and has run nothing; spawned where there are no forks.

    Args:
      modules: what the children need. The first call in a process decides.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    if modules:
        server.set_forkserver_preload(list(modules))
    return server


def prepare(*modules: str) -> None:
    """Begins to import, in the server, what children need, while this process does other work."""
    if isinstance(context(*modules), ForkServerContext):
        forkserver.ensure_running()


def mapped(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    chunk: int,
    *modules: str,
) -> Iterator[Result]:
    """The function's results for items, in order, computed by several processes.

    Args:
      function: of a module, as processes are sent it.
      items: picklable.
      workers: number of processes; 1 for none but this one.
      chunk: items that a process is sent at a time.
      modules: see `context`.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, context(*modules)) as pool:
        yield from pool.map(function, items, chunksize=chunk)
