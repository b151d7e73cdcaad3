"""What an archive consists of: clips and walks, here or on any file system that Beam knows."""

import dataclasses
import glob
import hashlib
import heapq
import json
import os
import posixpath
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from apache_beam.io.filesystems import FileSystems

from stgan_jax.util.errors import InputError
from stgan_jax.video import inputs, walks

_BUNDLE = 2**26  # bytes of input that one process takes at a time, if there is enough for all
_LEAST_BUNDLES = 64


@dataclasses.dataclass(frozen=True)
class Task:
    """A clip, or a walk of a dataset.

    Attributes:
      source, output: paths of a clip, or of a walk's dataset, on any file system.
      walk: a walk's path in its dataset; empty for a clip.
      size: bytes of input, which say how long it takes.
    """

    source: str
    output: str
    walk: str = ""
    size: int = 0

    @property
    def paths(self) -> dict[str, str]:
        """Its `input` and `output` as people name them."""
        if not self.walk:
            return {"input": self.source, "output": self.output}
        return {"input": join(self.source, self.walk), "output": join(self.output, self.walk)}

    @property
    def report(self) -> str:
        """Where a clip's report is written; it comes last, so that it says that all is done."""
        folder, name = os.path.split(self.output)
        return join(folder, inputs.report_beside(Path(name)).name)

    def done(self) -> dict[str, Any] | None:
        """The report of a clip that is complete; an empty one for a walk. None if it is not."""
        if self.walk:
            source, output = Path(self.source, self.walk), Path(self.output, self.walk)
            return {} if walks.is_done(source, output) else None
        if not (FileSystems.exists(self.output) and FileSystems.exists(self.report)):
            return None
        try:
            with FileSystems.open(self.report, "text/plain") as file:
                return json.loads(file.read())
        except (OSError, ValueError):
            return None

    def lock(self, folder: Path) -> Path:
        """The file in `folder` that is locked while it is worked on."""
        name = os.fsencode(join(self.output, self.walk))
        return folder / hashlib.sha256(name).hexdigest()[:16]


def is_remote(path: str) -> bool:
    """Whether a path names a file system of Beam's, as gs://bucket/folder does."""
    return FileSystems.get_scheme(path) is not None


def join(folder: str, *names: str) -> str:
    """A path in a folder on any file system."""
    return posixpath.join(folder, *names) if is_remote(folder) else os.path.join(folder, *names)


def locks(output: str) -> Path:
    """The folder of an archive's locks: in the output, or of this machine for remote ones."""
    if not is_remote(output):
        return Path(output, ".locks")
    name = hashlib.sha256(output.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"stgan_jax-locks-{name}")


def plan(source: str, output: str) -> tuple[list[Task], list[dict[str, str]]]:
    """The clips and walks of an archive, and what of it is none of them: `path` and `why`.

    Args:
      source: a folder, a file or a pattern, see `inputs.plan`; on a remote file system its videos
        are taken, and nothing else.
      output: the folder of outputs, in which the tree of folders is kept.

    Raises:
      InputError: there is nothing, the output is the input, or two inputs have one output.
    """
    if is_remote(source):
        return _remote(source, output)
    if not (os.path.exists(source) or glob.has_magic(source)):
        raise InputError(f"{source}: no such file or folder")
    if os.path.isdir(source) and os.path.exists(output) and os.path.samefile(source, output):
        raise InputError(f"{output}: is the input, name another folder")
    jobs, others = inputs.plan([source], None if is_remote(output) else output, many=True)
    left = [{"path": os.fspath(one.path), "why": one.why} for one in others]
    tasks = []
    for job in jobs:
        target = os.fspath(job.output)
        if is_remote(output):
            if job.source.is_dir():
                why = "a folder of pictures or walks: those are written to local folders alone"
                left.append({"path": os.fspath(job.source), "why": why})
                continue
            base = Path(source) if os.path.isdir(source) else inputs.literal(Path(source))[0]
            target = join(output, *job.output.relative_to(base).parts)
        if job.kind == "clip":
            tasks.append(Task(os.fspath(job.source), target, size=_size(job.source)))
            continue
        for name in walks.find(job.source, job.output, left):
            size = _size(job.source / name)
            tasks.append(Task(os.fspath(job.source), target, name, size))
    return tasks, left


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    with os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _remote(source: str, output: str) -> tuple[list[Task], list[dict[str, str]]]:
    """The videos that a pattern on a remote file system finds, or in and below a folder, or one."""
    for pattern in (source,) if glob.has_magic(source) else (join(source, "**"), source):
        [found] = FileSystems.match([pattern])
        base = re.split(r"[*?[]", pattern)[0].rpartition("/")[0]
        if found.metadata_list:
            break
    tasks: dict[str, Task] = {}
    left = []
    for one in sorted(found.metadata_list, key=lambda entry: entry.path):
        name = PurePosixPath(one.path[len(base) :].lstrip("/"))
        if one.path.endswith("/") or not inputs.is_input(Path(name)):
            continue
        if name.suffix.lower() not in inputs.VIDEOS:
            why = "no video by its name: only those are taken from there"
            left.append({"path": one.path, "why": why})
            continue
        target = join(output, *name.parent.parts, inputs.beside(Path(name)).name)
        if target in tasks:
            raise InputError(f"{one.path} and {tasks[target].source} would both become {target}")
        tasks[target] = Task(one.path, target, size=one.size_in_bytes)
    if not tasks:
        raise InputError(f"{source}: holds no videos")
    return list(tasks.values()), left


def bundles(tasks: Sequence[Task]) -> list[list[Task]]:
    """Tasks in parts of about one size in bytes; in each the largest come first."""
    total = sum(task.size for task in tasks)
    count = max(1, min(len(tasks), max(_LEAST_BUNDLES, total // _BUNDLE)))
    parts: list[list[Task]] = [[] for _ in range(count)]
    filled = [(0, i) for i in range(count)]
    for task in sorted(tasks, key=lambda one: one.size, reverse=True):
        size, i = filled[0]
        parts[i].append(task)
        heapq.heapreplace(filled, (size + max(1, task.size), i))
    return parts
