"""Masks and joints stored on disk, so that memory does not grow with a video's length."""

import array
import errno
import os
import tempfile
import threading
import zlib

import numpy as np
from jaxtyping import Float32, UInt8

Slip = tuple[int, int]  # offset in the file and length, bytes


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
        return self._put(zlib.compress(np.packbits(mask).tobytes(), 1))

    def put_numbers(self, numbers: Float32[np.ndarray, "*shape"]) -> Slip:
        """Stores numbers. Raises `OSError` if the disk is full."""
        return self._put(numbers.tobytes())

    def _put(self, data: bytes) -> Slip:
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

    def get_numbers(self, slip: Slip, shape: tuple[int, int]) -> Float32[np.ndarray, "N M"]:
        """The numbers of a slip that `put_numbers` returned."""
        at, length = slip
        data = os.pread(self._file.fileno(), length, at)
        return np.frombuffer(data, np.float32).reshape(shape)

    def close(self) -> None:
        """Deletes the file."""
        self._file.close()


class Unions:
    """A mask for each frame: where people are hidden in it."""

    def __init__(self, shelf: Shelf, shape: tuple[int, int]):
        self._shelf, self._shape, self._slips = shelf, shape, array.array("q")

    def add(self, mask: np.ndarray | None) -> None:
        """Stores the next frame's mask; None if it is unknown."""
        slip = (0, 0) if mask is None else self._shelf.put((mask > 0).astype(np.uint8))
        self._slips.extend(slip)

    def join(self, number: int, mask: UInt8[np.ndarray, "H W"]) -> None:
        """Adds a mask to that of a frame; a frame whose mask is unknown stays so."""
        if (known := self[number]) is not None:
            self._slips[2 * number : 2 * number + 2] = array.array(
                "q", self._shelf.put(known | mask)
            )

    def copy(self) -> "Unions":
        """The same masks, to be changed without changing these."""
        out = Unions(self._shelf, self._shape)
        out._slips = self._slips[:]
        return out

    def __getitem__(self, number: int) -> UInt8[np.ndarray, "H W"] | None:
        at, length = self._slips[2 * number : 2 * number + 2]
        return self._shelf.get((at, length), self._shape) if length else None
