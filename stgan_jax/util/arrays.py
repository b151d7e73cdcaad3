"""Pickles of NumPy arrays, as OpenGait keeps silhouettes, read without running what they hold."""

import io
import pickle
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stgan_jax.util.errors import InputError


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays: whatever else a pickle names is refused, and nothing runs."""

    _NEEDED = frozenset({
        ("numpy", "ndarray"), ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
    })  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how Python 2's protocol writes bytes
            return _latin1
        if (module, name) not in self._NEEDED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it names the encoding {encoding!r}")
    return text.encode("latin1")


def silhouettes(data: bytes, name: str) -> UInt8[np.ndarray, "N H W"]:
    """The silhouettes (0 to 255) that a pickle's bytes hold.

    Raises:
      InputError: anything else than an array of three axes, or a damaged pickle; names `name`.
    """
    try:
        frames = _ArraysOnly(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{name}: not a pickle of arrays alone ({error}): refused") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.hasobject or frames.ndim != 3:
        raise InputError(f"{name}: not an array of silhouettes (n, height, width): refused")
    if frames.dtype == bool or (frames.size and frames.max() <= 1):
        frames = frames.astype(np.uint8) * np.uint8(255)
    return frames.astype(np.uint8)
