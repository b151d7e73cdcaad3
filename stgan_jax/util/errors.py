"""Errors that are the input's or the machine's fault and that a user can act on."""

import contextlib
import errno
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
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
    errno.EROFS: "the file system is read-only: choose another output",
}


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns an `InputError`, or a full disk and its like, into one line and exit code 2.

    Ctrl-C ends with exit code 130, as the shell has it. The process ends at once: on a full
    disk, libraries that write in the background would each fail once more as they are closed.
    """
    logging.set_verbosity(logging.FATAL)  # what goes wrong is said once, below
    sys.unraisablehook, threading.excepthook = _unraisable, _in_thread
    try:
        yield
    except InputError as error:
        _leave(str(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("stgan_jax"):
            raise
        _leave(
            f"{error.name} is not installed: "
            "pip install 'stgan-jax[train,evaluate,study]' brings it"
        )
    except OSError as error:
        if error.errno not in _SYSTEM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _leave(where + _SYSTEM[error.errno])


def _leave(sentence: str) -> None:
    code = _say(sentence)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _unraisable(failure: Any) -> None:
    """Silences orbax's threads, each of which reports a failed save: the sentence says it once."""
    if str(failure.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(failure)


def _in_thread(failure: Any) -> None:
    frames = traceback.extract_tb(failure.exc_traceback)
    if not any("orbax" in frame.filename for frame in frames):
        threading.__excepthook__(failure)


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
        rest = flags.FLAGS(argv)
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
    print(f"error: {sentence}", file=sys.stderr)
    return 2
