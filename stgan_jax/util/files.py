"""Files that appear complete under their names, or not at all."""

import contextlib
import csv
import fcntl
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stgan_jax.util.errors import InputError, local_words


def local(path: str | os.PathLike) -> Path:
    """A path with ~ expanded. Raises `InputError` if it names something on another machine."""
    [name] = local_words([os.fspath(path)])
    return Path(name)


def cache(name: str) -> Path:
    """A folder of the user's cache: below XDG_CACHE_HOME, by default ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "stgan_jax" / name


@contextlib.contextmanager
def held(path: str | os.PathLike, wait: bool = False) -> Iterator[int | None]:
    """Holds a lock that is a file; it ends with the process, however that ends.

    Args:
      path: the lock's file, in a folder that exists. It is removed at the end; a process that is
        killed leaves it.
      wait: whether to wait for a process that holds it.

    Yields:
      the open file, which may be read and written; None if another process holds it.

    Raises:
      OSError: it cannot be written.
    """
    path = Path(path)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(lock)):
                break  # not that of a process that has just ended
        except BlockingIOError:
            os.close(lock)
            yield None
            return
        except OSError:  # a file system without locks
            break
        os.close(lock)
    try:
        yield lock
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


@contextlib.contextmanager
def locked(folder: str | os.PathLike, doing: str) -> Iterator[None]:
    """Keeps other processes from the same work in a folder, see `held`.

    Args:
      folder: exists; the lock is a file in it.
      doing: what is done there, for the sentence, as "is trained in".

    Raises:
      InputError: another process does it.
    """
    path = Path(folder) / ".lock"
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(held(path))
        except OSError as error:
            raise InputError(f"{folder}: cannot write there ({error.strerror})") from error
        if lock is None:
            other = "another"
            with contextlib.suppress(OSError):  # it may have ended
                other = path.read_text() or other
            raise InputError(
                f"{folder}: {doing} by another process ({other}): wait for it, end it, or name "
                "another folder"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield


_OF_SYSTEMS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"})


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or an operating system's own, and so never input."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def shortened(stem: str, rest: str) -> str:
    """A stem after which `rest` fits into a name: cut, with a checksum, if it is too long."""
    name, room = os.fsencode(stem), 255 - len(os.fsencode(rest))
    if len(name) <= room:
        return stem
    return f"{name[: room - 9].decode(errors='ignore')}~{zlib.crc32(name):08x}"


def digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file; of a folder, that of its files' names and of their own digests."""
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    inside = sorted(entry for entry in Path(path).iterdir() if entry.is_file())
    lines = [os.fsencode(f"{entry.name} {digest(entry)}\n") for entry in inside]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def check_output(path: str | os.PathLike) -> Path:
    """The path of a file to be written, once its folder is known to exist and to be writable."""
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, create it first")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, name a file in it")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror})") from error
    return path


def beside(path: Path, suffix: str = "") -> Path:
    """Where this process writes a file or folder before it appears as `path`: a short name."""
    return path.with_name(f"{_prefix(path)}{os.getpid()}.part{suffix}")


def _prefix(path: Path) -> str:
    return f".{zlib.crc32(os.fsencode(path.name)):08x}."


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path beside `path` to write to, renamed over it on success and removed on failure."""
    path = check_output(path)
    unfinished = beside(path, path.suffix)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_table(
    path: str | os.PathLike, rows: Sequence[Mapping[str, Any]], digits: int | None = None
) -> None:
    """Writes rows as CSV, columns in the order in which they first come up.

    Args:
      path: the file to write.
      rows: values by column; what a row lacks is left empty.
      digits: number of decimals; all of them by default.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as beside, open(beside, "w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow(
                {
                    name: round(value, digits) if digits and isinstance(value, float) else value
                    for name, value in row.items()
                }
            )


def sweep(path: str | os.PathLike) -> None:
    """Removes what killed processes left beside a path, see `replacing`."""
    path = Path(path)
    prefix = _prefix(path)
    for left in path.parent.glob(f"{prefix}*.part*"):
        pid = left.name.removeprefix(prefix).split(".part")[0]
        if not pid.isdigit() or os.path.exists(f"/proc/{pid}") or not os.path.exists("/proc/self"):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
