"""Clips of a study: from folders or from anonymisation methods, all brought into one form."""

import collections
import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import containers, pictures
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from stgan_jax.evaluation.walks import Walks
    from stgan_jax.methods.api import Anonymizer

FPS = Fraction(25)  # as CASIA-B

_VIEW_FOLDER = re.compile(r"(?:view-?)?(\d{1,3})(?:deg)?", re.IGNORECASE)
_CASIA_B = re.compile(r"\d{3}-(?:nm|bg|cl)-\d\d-(\d{3})", re.IGNORECASE)
_NAME_END = re.compile(r".*[-_](\d{1,3})(?:deg)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class SourceClip:
    """A clip before it is brought into the common form.

    Attributes:
      method: name of what is rated.
      view: degrees.
      name: name of the walk, the same for every method that shows it.
      fps: frames per second.
      frames: number of frames.
      read: iterates over the frames.
    """

    method: str
    view: int
    name: str
    fps: Fraction
    frames: int
    read: Callable[[], Iterator[containers.Frame]]


def in_folder(method: str, folder: str | os.PathLike) -> list[SourceClip]:
    """The videos in a folder and in all folders below it.

    The view is taken from a name as in CASIA-B, `001-nm-01-090.avi`; else from the innermost
    folder whose name is a number of degrees, as `090/walk.mp4` or `view-090/walk.mp4`; else from
    the end of the file's name, as `walk-090.mp4`.

    Raises:
      InputError: no such folder, no videos in it, or one that has no view or is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, where clips of {method} should be")
    suffixes = containers.SUFFIXES
    paths = sorted(
        path for path in folder.rglob("[!.]*") if path.suffix.lower() in suffixes and path.is_file()
    )
    if not paths:
        raise InputError(f"{folder}: holds no video ({', '.join(suffixes)})")
    out = []
    for path in paths:
        inside = path.relative_to(folder)
        info = containers.probe(path)
        # Some headers do not hold the length.
        frames = info.frames or sum(1 for _ in containers.read_frames(path))
        name = inside.with_suffix("").as_posix()
        read = functools.partial(containers.read_frames, path)
        out.append(SourceClip(method, _view(inside), name, info.fps, frames, read))
    return out


def _view(path: Path) -> int:
    folders = [_VIEW_FOLDER.fullmatch(part) for part in reversed(path.parts[:-1])]
    for match in (_CASIA_B.fullmatch(path.stem), *folders, _NAME_END.fullmatch(path.stem)):
        if match and int(match[1]) <= 360:
            return int(match[1])
    raise InputError(
        f"{path}: has no view: put it into a folder named by the degrees, as 090, or "
        "name it as walk-090.mp4"
    )


def of_methods(
    methods: Sequence["Anonymizer"], walks: "Walks", per_view: int, seed: int = 0
) -> list[SourceClip]:
    """Silhouettes, white on black, of probe walks of people on whom nothing was trained.

    Args:
      methods: anonymise the walks, each of them the same ones.
      walks: everybody's, see `Walks.roles` and `gei.gallery_and_probes`.
      per_view: number of walks in each view, normal ones, spread over people.
      seed: for the methods' noise.

    Raises:
      InputError: too few normal probes in a view, or too few people.
    """
    from stgan_jax.evaluation.walks import FRAMES
    from stgan_jax.shapes import gei

    _, test = walks.roles()
    _, is_probe = gei.gallery_and_probes(walks.condition, walks.repetition)
    probes = walks.of(test) & is_probe & (walks.condition == "nm")
    out = []
    for view in walks.views():
        in_view = np.flatnonzero(probes & (walks.view == view))
        if len(in_view) < per_view:
            raise InputError(
                f"{per_view} walks a view: there are {len(in_view)} seen from {view} degrees"
            )
        index = in_view[np.linspace(0, len(in_view) - 1, per_view).astype(int)]
        for method in methods:
            for i, _, silhouettes in walks.silhouettes(method, index, seed):
                walk = walks.names[i]
                name = f"{walk.subject:03d}-{walk.name}-{view:03d}"
                packed = np.packbits(silhouettes, axis=-1)  # hundreds of walks are in memory
                read = functools.partial(_drawn, packed)
                out.append(SourceClip(method.name, view, name, FPS, FRAMES, read))
    return out


def _drawn(packed: UInt8[np.ndarray, "T H bytes"]) -> Iterator[containers.Frame]:
    """White on black frames of packed silhouettes."""
    for frame in np.unpackbits(packed, axis=-1):
        yield np.repeat(np.where(frame, np.uint8(255), np.uint8(0))[..., None], 3, axis=-1)


def common_length(sources: Sequence[SourceClip], longest: float) -> int:
    """Frames to which all clips are cut: the shortest one's length, at most `longest` seconds.

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


def write(source: SourceClip, path: str | os.PathLike, size: tuple[int, int], frames: int) -> None:
    """Writes the middle of a clip in the common form: without sound, scaled, black borders.

    Args:
      source: the clip; its frame rate is taken as constant, and frames are dropped or doubled to
        get `FPS`.
      path: .mp4 (H.264) or .webm (VP9).
      size: (height, width) of the result, even numbers of pixels.
      frames: length of the result, at `FPS`.

    Raises:
      InputError: the source is damaged, or the path cannot be written to.
    """
    first = max(0, (source.frames - frames / FPS * source.fps) // 2)
    needed = collections.Counter(int(first + i * source.fps / FPS) for i in range(frames))
    written, drawn = 0, None
    with containers.video_writer(path, size, FPS) as append:
        for number, frame in enumerate(source.read()):
            if number in needed:
                drawn = pictures.letterbox(frame, size, 0)
                for _ in range(needed[number]):
                    append(drawn)
                    written += 1
            if written == frames:
                break
        if drawn is None:
            raise InputError(f"{source.method}, {source.name}: no frame of it can be read")
        for _ in itertools.repeat(None, frames - written):  # headers are off by a frame or two
            append(drawn)
