"""How this package starts processes of its own."""

import multiprocessing
from multiprocessing.context import BaseContext


def context(*modules: str) -> BaseContext:
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
