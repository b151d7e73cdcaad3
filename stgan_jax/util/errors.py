"""Errors that are the input's or the machine's fault and that a user can act on."""

import contextlib
import errno
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

from absl import flags, logging


class InputError(Exception):
    """Input that cannot be used: one sentence that says what is wrong and what to do."""


_SYSTEM = {
    errno.ENOSPC: "the disk is full: free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
    errno.EFBIG: "larger than files may be there: choose another output",
    errno.EACCES: "permission denied: check the rights of the file and its folder",
    errno.EEXIST: "a file is where a folder is needed: choose another name",
    errno.ENOTDIR: "a file is where a folder is needed: choose another name",
    errno.ENOENT: "no such file or folder, and it cannot be created: check the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EISDIR: "a folder is where a file is needed: choose another name",
    errno.EROFS: "the file system is read-only: choose another output",
}


flags.DEFINE_bool("debug", False, "Show where an error comes from.")


@contextlib.contextmanager
def one_sentence(debug: bool | None = None) -> Iterator[None]:
    """Turns whatever is raised into one line and exit code 2.

    Ctrl-C ends with exit code 130, as the shell has it. The process ends at once: on a full
    disk, libraries that write in the background would each fail once more as they are closed.

    Args:
      debug: shows the traceback, too; by default as the flag --debug says.
    """
    if debug is None:
        debug = flags.FLAGS.is_parsed() and flags.FLAGS.debug
    logging.set_verbosity(logging.FATAL)  # what goes wrong is said once, below
    if not debug:  # threads' errors are raised where their results are used
        sys.unraisablehook, threading.excepthook = _silent, _silent
    try:
        yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # as by | head
        _end(2)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _end(_say(_sentence(error)))


def _sentence(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("stgan_jax"):
        return (
            f"{error.name} is not installed: "
            "pip install 'stgan-jax[train,evaluate,study,archive]' brings it"
        )
    if isinstance(error, MemoryError | BrokenExecutor):
        return "memory ran out, or a process was killed: try fewer --jobs, or smaller inputs"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return where + _SYSTEM.get(error.errno or 0, error.strerror)
    return f"{unexpected(error)} (--debug shows where)"


def unexpected(error: BaseException) -> str:
    """An error that nobody foresaw, in a line."""
    first = (str(error).strip() or "no reason given").splitlines()[0][:200]
    return f"{type(error).__name__}: {first}"


def _silent(failure: Any) -> None:
    """Instead of Python's hooks, which print tracebacks."""


def _end(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local_words(words: Sequence[str]) -> list[str]:
    """Words of a command line, with ~ expanded in --flag=~/folder and in lists.

    Raises:
      InputError: a path on another machine.
    """
    for word in words:
        for part in re.split("[=,]", word):
            if _REMOTE.match(part):
                raise InputError(
                    f"{part}: only local folders are read and written: copy it here, or mount it "
                    "(gcsfuse, s3fs, rclone mount) and name the folder where it is mounted"
                )
    home = os.path.expanduser("~")
    return [re.sub(r"(?:(?<=^)|(?<=[=,]))~(?=/|$)", lambda _: home, word) for word in words]


def numbers(flag: str, texts: Sequence[str], kind: Callable[[str], Any] = int) -> list[Any]:
    """Numbers of a list on the command line.

    Raises:
      InputError: something that is no such number.
    """
    try:
        return [kind(text) for text in texts]
    except ValueError as error:
        example = "0,54,90" if kind is int else "0.1,0.2"
        raise InputError(f"{flag} needs numbers, as {example}") from error


def parse_flags(argv: Sequence[str], arguments: int = 0) -> list[str]:
    """For `app.run(main, flags_parser=...)`: says in a line, with exit code 2, what it rejects.

    Args:
      argv: the command line.
      arguments: number of arguments, besides flags, that it may hold.

    Returns:
      argv without the flags: the program's name and its arguments.
    """
    try:
        rest = flags.FLAGS(local_words(argv))
    except InputError as error:
        sys.exit(_say(str(error)))
    except flags.Error as error:
        lines = str(error).strip().splitlines()
        if "Traceback" in str(error):  # of a config file that raises
            lines = lines[-1:]
        sys.exit(_say(f"{' '.join(map(str.strip, lines))} (--help lists the flags)"))
    except (AttributeError, KeyError) as error:  # config_flags', of --config.NAME=VALUE
        sys.exit(_say(f"no such setting in the config: {error.args[0]}"))
    if len(rest) > 1 + arguments:
        sys.exit(_say(f"unexpected argument {rest[1 + arguments]!r} (--help lists the flags)"))
    return rest


def _say(sentence: str) -> int:
    # A name may hold a line break.
    print(f"error: {sentence}".replace("\n", "\\n"), file=sys.stderr)
    return 2
