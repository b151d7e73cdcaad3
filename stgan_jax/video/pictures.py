"""Folders of numbered pictures as videos, in and out."""

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

from stgan_jax.errors import InputError
from stgan_jax.video.io import Cut, Frame, Stamped, VideoInfo, scaled

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def listing(folder: str | os.PathLike) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names.

    Raises `InputError` where the folder cannot be read.
    """

    def order(path: Path) -> list[Any]:
        return [
            (0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", path.name)
        ]

    try:
        found = [path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read it") from error
    return sorted(found, key=order)


def written(folder: str | os.PathLike) -> list[str]:
    """Names under which a folder's pictures are written: as PNGs, whose colours are exact.

    Raises:
      InputError: two of them would get one name.
    """
    names = [f"{path.stem}.png" for path in listing(folder)]
    if twins := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(f"{folder}: two pictures would become {twins[0]}, rename one of them")
    return names


def read(path: str | os.PathLike, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """One picture, as OpenCV gives it. Raises `InputError` where it is none."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise InputError(f"{path}: not a picture, or a damaged one")
    return image


def probe(folder: str | os.PathLike, cut: Cut = Cut()) -> VideoInfo:  # noqa: B008
    """As `io.probe`, at 25 frames a second."""
    paths = listing(folder)
    if not paths:
        raise InputError(f"{folder}: holds no pictures")
    tall, wide = read(paths[0]).shape[:2]
    height, width = scaled(tall, wide, cut)
    return VideoInfo(width, height, Fraction(25), len(paths), Fraction(1, 25))


def read_stamped(folder: str | os.PathLike, cut: Cut = Cut()) -> Iterator[Stamped]:  # noqa: B008
    """As `io.read_stamped`; a picture that cannot be read is an error there, too."""
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
      folder: replaced if it is there.
      names: of the pictures, see `written`.
    """
    with replacing(folder) as beside:
        left = iter(names)

        def append(frame: Frame | Stamped) -> None:
            image = frame.image if isinstance(frame, Stamped) else frame
            write(beside / next(left), image[..., ::-1])

        yield append


def write(path: Path, image: np.ndarray) -> None:
    """Writes a PNG of what OpenCV takes. Raises `OSError` where the disk is full."""
    _, data = cv2.imencode(".png", image)
    path.write_bytes(data.tobytes())


def check_folder(folder: str | os.PathLike) -> None:
    """Raises `InputError` where a folder is there that `replacing` would not replace."""
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
    """A folder whose pictures, on success, take the place of those in another one.

    That one keeps its subfolders. Pictures come one after the other, the old ones go first, so
    that what is interrupted has too few.
    """
    folder = Path(os.path.abspath(folder))
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{os.getpid()}.part"
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
    """`files.replacing` for a folder of pictures: a new one beside it takes its name on success.

    Raises:
      InputError: the folder is there and holds anything else, which would be lost.
    """
    folder = Path(os.path.abspath(folder))
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
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
