"""Errors that are the input's or the machine's fault and that a user can act on."""

import contextlib
import errno
import sys
from collections.abc import Iterator

from absl import logging


class InputError(Exception):
    """Something given to us cannot be used: one sentence saying what is wrong and what to do."""


_SYSTEM = {
    errno.ENOSPC: "the disk is full: free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
    errno.EACCES: "permission denied: check the rights of the file and its folder",
    errno.EROFS: "the file system is read-only: choose another output",
}


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns an `InputError`, or a full disk and its like, into one line and exit code 2."""
    logging.set_verbosity(logging.WARNING)  # libraries tell how they start at INFO
    try:
        yield
    except InputError as error:
        sys.exit(_say(str(error)))
    except OSError as error:
        if error.errno not in _SYSTEM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_say(where + _SYSTEM[error.errno]))


def _say(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2
