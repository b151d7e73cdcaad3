"""Masks stored on disk, so that memory does not grow with a video's length."""

import errno
import os
import tempfile
import threading
import zlib

import numpy as np
from jaxtyping import UInt8

Slip = tuple[int, int]  # a stored mask's offset in the file and its length, bytes


class Shelf:
    """Masks (0/1) in a nameless temporary file, compressed, a bit a pixel.

    The file disappears with the process, however that ends. Several threads may read it.
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        """Opens the file in a folder, by default the system's for temporary files."""
        self._file = tempfile.TemporaryFile(dir=None if folder is None else os.fspath(folder))  # noqa: SIM115
        self._end = 0
        self._lock = threading.Lock()

    def put(self, mask: UInt8[np.ndarray, "H W"]) -> Slip:
        """Stores a mask. Raises `OSError` if the disk is full."""
        data = zlib.compress(np.packbits(mask).tobytes(), 1)
        with self._lock:
            at, self._end = self._end, self._end + len(data)
        if os.pwrite(self._file.fileno(), data, at) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return at, len(data)

    def get(self, slip: Slip, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """The mask of a slip that `put` returned; `shape` is the mask's (height, width)."""
        at, length = slip
        bits = zlib.decompress(os.pread(self._file.fileno(), length, at))
        size = shape[0] * shape[1]
        return np.unpackbits(np.frombuffer(bits, np.uint8), count=size).reshape(shape)

    def close(self) -> None:
        """Deletes the file."""
        self._file.close()
