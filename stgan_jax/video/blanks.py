"""Failures: which end the work, and which leave one frame without its people."""

import errno


def is_fatal(error: Exception) -> bool:
    """Whether all further work would fail, too: a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Blanks:
    """Frames that could not be processed: nobody is shown in them.

    Attributes:
      reasons: frame number -> why.
      first: the failure of the earliest frame, and its number.
    """

    def __init__(self):
        self.reasons: dict[int, str] = {}
        self.first: tuple[int, Exception] | None = None

    def copy(self) -> "Blanks":
        """The same failures, to which others can be added."""
        out = Blanks()
        out.reasons, out.first = dict(self.reasons), self.first
        return out

    def add(self, number: int, stage: str, error: Exception) -> None:
        """Notes a frame and the stage that failed; raises an error that is fatal."""
        if is_fatal(error):
            raise error
        if self.first is None or number < self.first[0]:  # threads fail in any order
            self.first = number, error
        self.reasons.setdefault(number, f"{stage} failed ({type(error).__name__})")
