"""Work in parallel: a reader that runs ahead, and a map by several threads, in order.

FFmpeg and OpenCV release Python's lock while they work, so threads are enough.
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """The items of an iterable, read by a thread of its own up to `depth` items ahead.

    An exception of the iterable is raised here. Closing this generator ends the thread.
    """
    filled: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                filled.put(entry, timeout=0.1)
                return True
        return False

    def fill() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put((item, None, False)):
                    break
            else:
                put((None, None, True))
        except BaseException as error:  # all are passed on to the consumer
            put((None, error, True))
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            item, error, ended = filled.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item
    finally:
        stopped.set()
        if threading.current_thread() is not thread:  # that one may collect this generator
            thread.join()


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 2
) -> Iterator[Result]:
    """`map` by several threads: results in the items' order, a few items in flight."""
    pending: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, name := f"mapped-{id(pending)}")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        # One of the threads may collect this generator: it cannot wait for itself.
        pool.shutdown(wait=not threading.current_thread().name.startswith(name))
        if hasattr(items, "close"):
            items.close()
