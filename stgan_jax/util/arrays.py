"""Pickles of NumPy arrays, as OpenGait keeps silhouettes, read without running what they hold."""

import io
import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from stgan_jax.util.errors import InputError

_LEAST = 16  # rows and columns of a silhouette
_SILHOUETTES = re.compile("sil|mask")
_OTHER_KIND = re.compile("pose|ratio|heat|skelet|key|joint|pcd|depth|flow|pars|lidar|rgb|2d|3d")


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
    if not isinstance(frames, np.ndarray) or frames.dtype.hasobject:
        raise InputError(f"{name}: not an array of silhouettes (n, height, width): refused")
    shape = ", ".join(map(str, frames.shape))
    if frames.dtype.kind not in "biu":
        raise InputError(
            f"{name}: holds {frames.dtype} numbers ({shape}), as poses or ratios do; silhouettes "
            "are whole numbers (n, height, width): refused"
        )
    if frames.ndim != 3 or min(frames.shape[1:]) < _LEAST:
        raise InputError(
            f"{name}: an array ({shape}) is no silhouettes (n, height, width) but joints or the "
            "like: refused"
        )
    if frames.size and (frames.min() < 0 or frames.max() > 255):
        raise InputError(f"{name}: holds numbers beyond 0 to 255, no silhouettes: refused")
    return as_levels(frames)


def as_levels(frames: Shaped[np.ndarray, "N H W"]) -> UInt8[np.ndarray, "N H W"]:
    """Silhouettes from 0 to 255, also of those that are stored as 0 and 1."""
    if frames.dtype == bool or (frames.size and frames.max() <= 1):
        return frames.astype(np.uint8) * np.uint8(255)
    return frames.astype(np.uint8)


def by_kind(names: Sequence[str]) -> list[str]:
    """Pickles of one walk, silhouettes first: as they were cut out, then aligned ones, then others.

    OpenGait's datasets have several kinds beside each other: `0-sils.pkl`, `1-aligned-sils.pkl`,
    `2-ratios.pkl`, `3-pose.pkl`.
    """

    def rank(name: str) -> tuple[int, str]:
        stem = name.lower()
        if _OTHER_KIND.search(stem):
            return 3, name
        return (2 if "align" in stem else 0 if _SILHOUETTES.search(stem) else 1), name

    return sorted(names, key=rank)


def are_kinds(names: Sequence[str]) -> bool:
    """Whether pickles of one folder are one walk in several forms, by their names."""
    others = [name for name in names if _OTHER_KIND.search(name.lower()) or "align" in name.lower()]
    return len(names) > 1 and bool(others)
