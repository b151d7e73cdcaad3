"""What a process of an archive does: one clip after the other, by one model that stays loaded."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from stgan_jax.media import threads
from stgan_jax.methods import catalog
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch, inputs, report, walks
from stgan_jax.video.archive.tasks import Task, is_remote, join
from stgan_jax.video.inputs import Job
from stgan_jax.video.source import ClipOptions

_AS_THEY_ARE = {"compression_type": CompressionTypes.UNCOMPRESSED}


@dataclasses.dataclass(frozen=True)
class Order:
    """How all of an archive is anonymised.

    Attributes:
      checkpoint: argument of `catalog.load`.
      options: how clips are anonymised.
      seed: decides the random numbers of datasets' walks.
      retries: how often a clip is tried again, unless it is the clip that cannot be used.
      run: a name of this call, by which it knows what its own lost processes have left.
      locks: folder of the locks.
      platform: where to compute: cpu, gpu or tpu; None for what each machine has.
    """

    checkpoint: str | None
    options: ClipOptions
    seed: int
    retries: int
    run: str
    locks: Path
    platform: str | None


class Worker:
    """Anonymises bundles of clips and walks. One a process, whatever its number of threads."""

    def __init__(self, order: Order):
        """Loads the model, onto a device that no other worker of this machine has taken."""
        self._order = order
        _keep_compiled()
        platform = order.platform or walks.platform_name()
        _take_device(platform)
        model = catalog.load(order.checkpoint).with_options(**order.options.of_model)
        model.require_video()
        self._model = model
        # What decodes and writes the one computes the other's people meanwhile. On a CPU all the
        # cores are busy as it is.
        self._at_once = 1 if platform == "cpu" else 2
        self._turn = threading.Lock()

    def __call__(self, bundle: Sequence[Task]) -> list[dict[str, Any]]:
        """A row for each clip or walk, see `summary`; what another run has at work comes last."""
        with self._turn:
            self._order.locks.mkdir(parents=True, exist_ok=True)
            rows = threads.mapped(self._row, bundle, self._at_once)
            paired = list(zip(bundle, rows, strict=True))
            return [row or self._row(task, wait=True) or {} for task, row in paired]

    def _row(self, task: Task, wait: bool = False) -> dict[str, Any] | None:
        """None if another process has it at work; with `wait`, what that made of it."""
        where = task.paths
        with files.held(task.lock(self._order.locks), wait) as lock:
            if lock is None:
                return None
            if (known := task.done()) is not None:
                return where | _figures(known) | {"skipped": True}
            if (lost := _starts(lock, self._order.run)) > self._order.retries:
                why = f"its process was killed {lost} times: memory ran out, or a decoder crashed"
                return where | {"error": why, "exit_code": 2}
            reasons: list[str] = []
            while len(reasons) <= self._order.retries:
                time.sleep(len(reasons))  # what was wrong may pass
                try:
                    row = where | _figures(self._walk(task) if task.walk else self._clip(task))
                    return row | ({"retried": reasons} if reasons else {})
                except Exception as error:
                    reasons.append(batch.reason(where["input"], error))
                    if isinstance(error, InputError) or batch.is_full(error):
                        break
        print(f"error: {reasons[-1]}", file=sys.stderr, flush=True)
        earlier = {"retried": reasons[:-1]} if len(reasons) > 1 else {}
        return where | {"error": reasons[-1], "exit_code": 2} | earlier

    def _clip(self, task: Task) -> dict[str, Any]:
        with _here(task) as job:
            result = batch.one_clip(
                job, self._model, self._order.options, overwrite=True, report_beside=True
            )
        print(report.sentence(result | {"output": task.output}), file=sys.stderr, flush=True)
        return result

    def _walk(self, task: Task) -> dict[str, Any]:
        paths = Path(task.source), Path(task.output)
        _, frames, error = walks.one(*paths, self._order.seed, False, self._model, task.walk)
        if error:
            raise InputError(error)
        return {"frames": frames}


def _keep_compiled() -> None:
    """Takes what an earlier process has compiled, unless the user keeps that elsewhere."""
    if getattr(jax.config, "jax_compilation_cache_dir") is None:  # noqa: B009 (its stub lacks it)
        jax.config.update("jax_compilation_cache_dir", os.fspath(files.cache("compiled")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def _take_device(platform: str) -> None:
    """Computes on the CPU, or on the first device that no other worker of this user has."""
    if platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return
    devices = jax.local_devices()
    for device in devices:
        path = Path(tempfile.gettempdir(), f"stgan_jax-{os.getuid()}-device-{device.id}")
        if _TAKEN.enter_context(files.held(path)) is not None:
            jax.config.update("jax_default_device", device)
            return
    jax.config.update("jax_default_device", devices[os.getpid() % len(devices)])


_TAKEN = contextlib.ExitStack()  # until the process ends


def _starts(lock: int, run: str) -> int:
    """How often this run has begun with what a lock stands for, and lost its process."""
    text = os.pread(lock, 2**20, 0).decode()
    os.pwrite(lock, f"{run}\n".encode(), len(text))
    return text.split().count(run)


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """What of a clip's report the summary has."""
    people = result.get("people")
    if people is None:
        return {"frames": result.get("frames", 0), "exit_code": 0}
    return {
        "frames": result["frames"],
        "seconds": result["seconds"],
        "people": len(people),
        "sightings": sum(row["frames_seen"] for row in people),
        "covered": sum(row["frames_covered"] for row in people),
        "blanked": len(result["blanked_frames"]),
        "exit_code": result["exit_code"],
    }


@contextlib.contextmanager
def _here(task: Task) -> Iterator[Job]:
    """A clip's job on this machine. What is remote is copied; outputs appear complete."""
    if not (is_remote(task.source) or is_remote(task.output)):
        Path(task.output).parent.mkdir(parents=True, exist_ok=True)
        yield Job(Path(task.source), Path(task.output), "clip")
        return
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in"), Path(folder, "out")
        for path in (source, output):
            path.mkdir()
        job = Job(source / Path(task.source).name, output / Path(task.output).name, "clip")
        if is_remote(task.source):
            with (
                FileSystems.open(task.source, **_AS_THEY_ARE) as far,
                open(job.source, "wb") as near,
            ):
                shutil.copyfileobj(far, near)
        else:
            job = dataclasses.replace(job, source=Path(task.source))
        yield job
        written = inputs.report_beside(job.output)
        about = json.loads(written.read_text()) | {"input": task.source, "output": task.output}
        with open(job.output, "rb") as video:
            store(video, task.output)
        store(io.BytesIO((json.dumps(about, indent=2) + "\n").encode()), task.report)


def store(data: io.BufferedIOBase, path: str) -> None:
    """Writes a file on any file system; it appears complete or not at all."""
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):  # it is there
        FileSystems.mkdirs(folder)
    unfinished = join(folder, files.beside(Path(name), Path(name).suffix).name)
    with FileSystems.create(unfinished, **_AS_THEY_ARE) as file:
        shutil.copyfileobj(data, file)
    FileSystems.rename([unfinished], [path])
