"""How this package starts processes of its own."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext


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
