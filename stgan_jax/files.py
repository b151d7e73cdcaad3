"""Files that appear complete under their names, or not at all."""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stgan_jax.errors import InputError


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


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path beside `path` to write to, renamed over it on success and removed on failure."""
    path = check_output(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def sweep(path: str | os.PathLike) -> None:
    """Removes what killed processes left beside a path, see `replacing`."""
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.part*"):
        pid = left.name.removeprefix(f".{path.stem}.").split(".part")[0]
        if not pid.isdigit() or os.path.exists(f"/proc/{pid}") or not os.path.exists("/proc/self"):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
