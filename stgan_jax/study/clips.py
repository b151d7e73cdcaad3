"""Clips as a study shows them: found in folders or made by methods, all of one form."""

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.errors import InputError
from stgan_jax.video import io

if TYPE_CHECKING:
    from stgan_jax.material import Walks
    from stgan_jax.methods import Method

FPS = Fraction(25)  # as CASIA-B
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")
_VIEW_FOLDER = re.compile(r"(?:view-?)?(\d{1,3})(?:deg)?", re.IGNORECASE)
_CASIA_B = re.compile(r"\d{3}-(?:nm|bg|cl)-\d\d-(\d{3})", re.IGNORECASE)
_NAME_END = re.compile(r".*[-_](\d{1,3})(?:deg)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Source:
    """A clip before it is normalised.

    Attributes:
      method, view: what is rated; degrees.
      name: of the walk, the same for every method that shows it.
      fps, frames: frames a second and how many.
      read: gives the frames, from the first.
    """

    method: str
    view: int
    name: str
    fps: Fraction
    frames: int
    read: Callable[[], Iterator[io.Frame]]


def in_folder(method: str, folder: str | os.PathLike) -> list[Source]:
    """The videos of a folder and of all folders in it.

    The view is told by CASIA-B's names, as `001-nm-01-090.avi`; else by the innermost folder whose
    name is a number of degrees, as `090/walk.mp4` or `view-090/walk.mp4`; else by the end of the
    file's name, as `walk-090.mp4`.

    Raises:
      InputError: no such folder, no videos in it, one whose view is not told, or no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, where clips of {method} are to be")
    paths = sorted(
        path for path in folder.rglob("[!.]*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise InputError(f"{folder}: holds no video ({', '.join(SUFFIXES)})")
    out = []
    for path in paths:
        inside = path.relative_to(folder)
        info = io.probe(path)
        # Some headers do not tell the length.
        frames = info.frames or sum(1 for _ in io.read_frames(path))
        out.append(
            Source(method, _view(inside), inside.with_suffix("").as_posix(), info.fps, frames,
                   lambda path=path: io.read_frames(path))  # type: ignore[misc]
        )  # fmt: skip
    return out


def _view(path: Path) -> int:
    folders = [_VIEW_FOLDER.fullmatch(part) for part in reversed(path.parts[:-1])]
    for match in (_CASIA_B.fullmatch(path.stem), *folders, _NAME_END.fullmatch(path.stem)):
        if match and int(match[1]) <= 360:
            return int(match[1])
    raise InputError(
        f"{path}: its view is not told: put it into a folder named by the degrees, as 090, or "
        "name it as walk-090.mp4"
    )


def of_methods(
    methods: Sequence["Method"], walks: "Walks", per_view: int, seed: int = 0
) -> list[Source]:
    """Silhouettes, white on black, of probe walks of people whom nothing was trained on.

    Args:
      methods: who makes clips. All of them get the same walks.
      walks: of everybody, see `Walks.roles` and `gei.gallery_and_probes`.
      per_view: how many walks of each view, spread over people; normal ones.
      seed: of the methods' noise.

    Raises:
      InputError: a view without a normal probe, or too few people.
    """
    from stgan_jax.evaluation import gei
    from stgan_jax.material import FRAMES

    _, test = walks.roles()
    _, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    probes = walks.of(test) & is_probe & (walks.condition == "nm")
    out = []
    for view in sorted(set(walks.view.tolist())):
        there = np.flatnonzero(probes & (walks.view == view))
        if len(there) < per_view:
            raise InputError(
                f"{per_view} walks a view: there are {len(there)} seen from {view} degrees"
            )
        index = there[np.linspace(0, len(there) - 1, per_view).astype(int)]
        for method in methods:
            for number, _, silhouettes in walks.silhouettes(method, index, seed):
                walk = walks.named[number]
                packed = np.packbits(silhouettes, axis=-1)  # to keep hundreds of walks
                out.append(
                    Source(method.name, view, f"{walk.subject:03d}-{walk.name}-{view:03d}",
                           FPS, FRAMES, lambda packed=packed: _drawn(packed))  # type: ignore[misc]
                )  # fmt: skip
    return out


def _drawn(packed: np.ndarray) -> Iterator[io.Frame]:
    for frame in np.unpackbits(packed, axis=-1):
        yield np.repeat(np.where(frame, np.uint8(255), np.uint8(0))[..., None], 3, axis=-1)


def common_length(sources: Sequence[Source], longest: float) -> int:
    """How many frames all clips are cut to: the shortest one's length, `longest` s at most.

    Raises:
      InputError: a clip is shorter than a second.
    """
    short = min(sources, key=lambda source: source.frames / source.fps)
    seconds = short.frames / short.fps
    if seconds < 1:
        raise InputError(
            f"{short.method}, {short.name}: is {float(seconds):.2f} s long, and raters need a "
            "second or more to see anything"
        )
    return int(min(float(seconds), longest) * FPS)


def write(source: Source, path: str | os.PathLike, size: tuple[int, int], frames: int) -> None:
    """Writes the middle of a clip, in the common form: without sound, scaled, black borders.

    Args:
      source: what to show; its frame rate is taken as constant, and frames are dropped or
        doubled to get `FPS`.
      path: .mp4 (H.264) or .webm (VP9).
      size: (height, width) of the result, even numbers of pixels.
      frames: length of the result, at `FPS`.

    Raises:
      InputError: the source is damaged, or the place cannot be written to.
    """
    first = max(0, (source.frames - frames / FPS * source.fps) // 2)
    needed = collections.Counter(int(first + i * source.fps / FPS) for i in range(frames))
    written, drawn = 0, None
    with io.video_writer(path, size, FPS) as append:
        for number, frame in enumerate(source.read()):
            if number in needed:
                drawn = _fitted(frame, size)
                for _ in range(needed[number]):
                    append(drawn)
                    written += 1
            if written == frames:
                break
        if drawn is None:
            raise InputError(f"{source.method}, {source.name}: no frame of it can be read")
        for _ in itertools.repeat(None, frames - written):  # headers are off by a frame or two
            append(drawn)


def _fitted(frame: io.Frame, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    scale = min(size[0] / frame.shape[0], size[1] / frame.shape[1])
    height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
    scaling = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(frame, (width, height), interpolation=scaling)
    out = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    out[top : top + height, left : left + width] = scaled
    return out
