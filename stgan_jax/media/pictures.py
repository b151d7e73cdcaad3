"""Folders of numbered pictures, read and written like videos; pictures as networks take them."""

import contextlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media.containers import WHOLE, Cut, Frame, Stamped, VideoInfo, scaled
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def listing(folder: str | os.PathLike) -> list[Path]:
    """The pictures of a folder, but for hidden ones, in the order of the numbers in their names.

    Raises:
      InputError: the folder cannot be read.
    """

    def order(path: Path) -> list[Any]:
        return [
            (0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", path.name)
        ]

    try:
        with os.scandir(os.fspath(folder)) as entries:
            found = [Path(entry.path) for entry in entries if is_picture(entry)]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read it") from error
    return sorted(found, key=order)


def is_picture(entry: os.DirEntry[str]) -> bool:
    """Whether something in a folder is a picture by its name."""
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in SUFFIXES and not files.is_hidden(entry.name) and os.path.isfile(entry.path)


def png_names(folder: str | os.PathLike) -> list[str]:
    """Names under which a folder's pictures are written: as PNGs, whose colours are exact.

    Raises:
      InputError: two of them would get the same name.
    """
    names = [f"{path.stem}.png" for path in listing(folder)]
    if twins := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(f"{folder}: two pictures would become {twins[0]}, rename one of them")
    return names


def read(path: str | os.PathLike, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """One picture as OpenCV decodes it. Raises `InputError` if it is none."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise InputError(f"{path}: not a picture, or a damaged one")
    return image


def letterbox(image: Frame, size: tuple[int, int], fill: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture scaled into `size` (height, width), its aspect kept; `fill` is the grey around."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled_image = cv2.resize(image, (width, height), interpolation=interpolation)
    out = np.full((*size, 3), fill, np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    out[top : top + height, left : left + width] = scaled_image
    return out


@contextlib.contextmanager
def opencv_errors_as(sentence: str) -> Iterator[None]:
    """Raises `InputError` with the sentence where OpenCV raises; its own lines are not printed."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    except (cv2.error, SystemError) as error:
        raise InputError(sentence) from error
    finally:
        cv2.utils.logging.setLogLevel(level)


def probe(folder: str | os.PathLike, cut: Cut = WHOLE) -> VideoInfo:
    """Like `containers.probe`, at 25 frames a second."""
    paths = listing(folder)
    if not paths:
        raise InputError(f"{folder}: holds no pictures")
    tall, wide = read(paths[0]).shape[:2]
    height, width = scaled(tall, wide, cut)
    return VideoInfo(width, height, Fraction(25), len(paths), Fraction(1, 25))


def read_stamped(folder: str | os.PathLike, cut: Cut = WHOLE) -> Iterator[Stamped]:
    """Like `containers.read_stamped`; raises `InputError` if a picture cannot be read."""
    size = None
    for number, path in enumerate(listing(folder)):
        if number < cut.start * 25 or (cut.end is not None and number >= cut.end * 25):
            continue
        image = read(path)[..., ::-1]
        if size not in (None, image.shape):
            raise InputError(f"{path}: is not of the size of those before")
        size = image.shape
        height, width = scaled(image.shape[0], image.shape[1], cut)
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        yield Stamped(np.ascontiguousarray(image), number, 1)


@contextlib.contextmanager
def writer(folder: str | os.PathLike, names: list[str]) -> Iterator[Callable]:
    """Opens a folder for writing; yields a function that appends one RGB frame.

    The folder appears under its name when the block ends without an error.

    Args:
      folder: replaced if it exists.
      names: the pictures' file names, see `png_names`.
    """
    with replacing(folder) as beside:
        remaining = iter(names)

        def append(frame: Frame | Stamped) -> None:
            image = frame.image if isinstance(frame, Stamped) else frame
            write(beside / next(remaining), image[..., ::-1])

        yield append


def write(path: Path, image: np.ndarray) -> None:
    """Writes a picture in OpenCV's channel order as a PNG. Raises `OSError` if the disk is full."""
    _, data = cv2.imencode(".png", image)
    path.write_bytes(data.tobytes())


def check_folder(folder: str | os.PathLike) -> None:
    """Raises `InputError` if the folder exists and `replacing` would not replace it."""
    if not os.path.exists(folder):
        return
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: is a file; name a folder for pictures")
    others = [p for p in Path(folder).iterdir() if p.is_dir() or p.suffix.lower() not in SUFFIXES]
    if others:
        raise InputError(
            f"{folder}: holds {others[0].name}, which is no picture and would be lost: name "
            "another folder"
        )


@contextlib.contextmanager
def filling(folder: str | os.PathLike) -> Iterator[Path]:
    """Yields a new folder whose pictures replace those of `folder` on success.

    `folder` keeps its subfolders. The old pictures are removed first, and the new ones moved
    one after the other, so that an interrupted folder has too few.
    """
    folder = Path(os.path.abspath(folder))
    folder.mkdir(parents=True, exist_ok=True)
    beside = files.beside(folder / "filling")
    try:
        beside.mkdir()
        yield beside
        for path in listing(folder):
            path.unlink()
        for path in listing(beside):
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def replacing(folder: str | os.PathLike) -> Iterator[Path]:
    """`files.replacing` for a folder of pictures: yields a new one, renamed on success.

    Raises:
      InputError: the folder exists and holds anything else, which would be lost.
    """
    folder = Path(os.path.abspath(folder))
    beside = files.beside(folder)
    check_folder(folder)
    before = beside.with_suffix(".before")
    try:
        beside.mkdir()
        yield beside
        if folder.exists():
            folder.rename(before)
        beside.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
