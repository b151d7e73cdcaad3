"""Archives: thousands of clips by the processes of one machine, or of many, with Apache Beam."""

import contextlib
import functools
import io
import itertools
import json
import secrets
import sys
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from stgan_jax.methods import catalog
from stgan_jax.util import engine, files
from stgan_jax.util.engine import Runner
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch, keys, walks
from stgan_jax.video.archive import page, summary, tasks
from stgan_jax.video.archive.tasks import Task
from stgan_jax.video.archive.worker import Order, Worker, store
from stgan_jax.video.source import ClipOptions


def anonymize(
    source: str,
    output: str,
    options: ClipOptions | None = None,
    *,
    checkpoint: str | None = None,
    runner: Runner | None = None,
    retries: int = 2,
) -> dict[str, Any]:
    """Anonymises all clips and datasets of an archive, each as `stgan_jax.anonymize` does.

    What is complete is left as it is, so the same call goes on with what was interrupted; several
    calls at once share the work. A clip that fails is listed, and stops nothing.

    Args:
      source: a folder, a file or a pattern, here or on a file system that Beam knows.
      output: the folder of outputs and of the summary, `archive.json` and `archive.html`.
      options: how clips are anonymised.
      checkpoint: argument of `catalog.load`.
      runner: where; by default a process for each core, or for each GPU.
      retries: how often a clip is tried again whose failure may be the machine's.

    Returns:
      the summary, see `summary.build`.

    Raises:
      InputError: there is nothing to do, or nothing can be done.
      BrokenExecutor: a process was killed, and no clip is to blame.
    """
    started = time.monotonic()
    options = options or ClipOptions()
    runner = runner or Runner(jobs=walks.processes(None))
    engine.check(runner.flags)
    batch.refuse_of_one_input(options)
    if options.decisions is not None:
        raise InputError("archives take no decisions: give the clip to stgan-anonymize")
    # What fails for every clip fails here.
    catalog.load(checkpoint).with_options(**options.of_model).require_video()
    todo, left = tasks.plan(source, output)
    if not tasks.is_remote(output):
        Path(output).mkdir(parents=True, exist_ok=True)
        files.check_output(Path(output, "archive.json"))
    # Other machines compute where they can, unless it is said.
    here = runner.name == engine.LOCAL or walks.chosen_device() is not None
    order = Order(
        checkpoint,
        options,
        keys.random_seed() if options.seed is None else options.seed,
        retries,
        secrets.token_hex(8),
        tasks.locks(output),
        walks.platform_name() if here else None,
    )
    print(f"{len(todo)} clips and walks", file=sys.stderr)
    rows = _rows(order, todo, runner, tasks.join(output, f".rows-{order.run}"))
    with contextlib.suppress(OSError):  # another run has a lock there
        order.locks.rmdir()
    seconds = time.monotonic() - started
    result = summary.build((source, output), rows, left, runner, seconds)
    text = json.dumps(result, indent=2) + "\n"
    for name, content in (("archive.json", text), ("archive.html", page.page(result))):
        store(io.BytesIO(content.encode()), tasks.join(output, name))
    return result


def _rows(order: Order, todo: Sequence[Task], runner: Runner, folder: str) -> list[dict[str, Any]]:
    """A row for each task. When a process is killed, those it may have died of are done alone."""
    make = functools.partial(Worker, order)
    rows: list[dict[str, Any]] = []
    suspects: list[Task] = []
    while True:
        try:
            if suspects:
                alone = [[(task,) for task in suspects]]
                rows += itertools.chain(*engine.run(make, alone, runner._replace(jobs=1), folder))
                todo = [task for task in todo if task not in suspects]
            if todo:
                parts = tasks.bundles(todo)
                several = runner._replace(jobs=min(runner.jobs, len(parts)), share=True)
                rows += itertools.chain(*engine.run(make, [parts], several, folder))
            return rows
        except BrokenExecutor:
            suspects = [task for task in todo if order.run in _content(task.lock(order.locks))]
            if not suspects:
                raise
            names = ", ".join(task.paths["input"] for task in suspects)
            print(f"a process was killed; done again, alone: {names}", file=sys.stderr)


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
