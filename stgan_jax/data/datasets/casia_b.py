"""`casia_b`: the CASIA-B silhouettes from a user's own copy, in the layouts that users have.

* the raw tree, `001/nm-01/090/001-nm-01-090-001.png`;
* the tree of height-normalised pictures (44x64, 64x64) that GaitSet's preparation writes;
* the distributor's archives of it, `001.tar.gz` and so on;
* OpenGait's pickles, `001/nm-01/090/090.pkl`, arrays (n, 64, 64), also with aligned silhouettes,
  ratios or poses beside them: one kind is taken, silhouettes as they were cut out first.

`casia_b/rgb` are the videos in colour, see `casia_b_video`.

Folders around them (often a doubled root) are looked through. The dataset itself is never
downloaded or passed on.
"""

import dataclasses
import functools
import itertools
import operator
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from stgan_jax.data.datasets import building, casia_b_video, records
from stgan_jax.shapes import contour, cropping, gei
from stgan_jax.util import arrays, files
from stgan_jax.util.errors import InputError

_SUBJECT = re.compile(r"(\d{3})(\.tar\.gz|\.tgz)?")
_WALK = re.compile(r"(nm|bg|cl)-(\d{2})")
_VIEW = re.compile(r"\d{3}")
_FOREGROUND = 64  # pixels below which a frame shows nobody
_CROP = (contour.SIZE, contour.SIZE)
_PNG_END = b"IEND\xaeB`\x82"
Frames = list[UInt8[np.ndarray, "H W"]]


class CasiaB(building.SequenceBuilder):
    """CASIA-B (Yu, Tan and Tan, ICPR 2006) from a user's copy; see `casia_b` and `records`."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 (TFDS' interface; the first is the default)
        tfds.core.BuilderConfig(name="silhouettes", description="Silhouettes, as distributed."),
        tfds.core.BuilderConfig(name="rgb", description="Videos, segmented by their backgrounds."),
    ]

    def __init__(self, *, source: str | None = None, **options: Any):
        """A `source` is needed to build, and to read no more."""
        self.origin = os.path.abspath(source) if source else ""
        super().__init__(**options)

    @property
    def kind(self) -> records.Kind:
        """See `SequenceBuilder.kind`."""
        return records.COLOR if self.builder_config.name == "rgb" else records.SILHOUETTES

    def subjects(self) -> list[int]:
        """Numbers of the subjects found in the source, ascending."""
        if self.kind == records.COLOR:
            return casia_b_video.subjects(self.origin)
        return sorted(_subject_paths(self.origin))

    def reader(self) -> Callable[[int], building.Subject]:
        """See `SequenceBuilder.reader`."""
        read = casia_b_video.read_subject if self.kind == records.COLOR else read_subject
        return functools.partial(read, self.origin)


def read_subject(source: str | os.PathLike, subject: int) -> building.Subject:
    """Reads one subject's sequences in any of the layouts.

    Args:
      source: folder with the dataset, at any depth up to four.
      subject: number.

    Returns:
      silhouettes by name, cropped as `cropping.crop_mask` does, and what was dropped: single
      frames without a person or with the head cut off by the frame's upper border, and
      sequences in which no frame is left.

    Raises:
      InputError: a file that is damaged, or a pickle that holds anything but arrays.
    """
    sequences: dict[str, np.ndarray] = {}
    dropped: Counter = Counter()
    for key, walk in _sequences(_subject_paths(source)[subject]):
        masks = _read(walk, dropped)
        if len(masks):
            sequences[records.name(subject, *key)] = masks
        else:
            dropped["sequences without a usable frame"] += 1
    return sequences, +dropped


def walks(source: str | os.PathLike) -> dict[tuple[int, str, int, int], "Files"]:
    """The files of each walk in any of the layouts, by (subject, condition, repetition, view).

    Raises:
      InputError: there are none, or a damaged archive.
    """
    return {
        (subject, *key): walk
        for subject, path in _subject_paths(source).items()
        for key, walk in _sequences(path)
    }


def read_walk(walk: "Files") -> UInt8[np.ndarray, "T 240 240"]:
    """Silhouettes of one of `walks`, as `read_subject` gives them; T = 0 if none is usable."""
    return _read(walk, Counter())


def _read(walk: "Files", dropped: Counter) -> UInt8[np.ndarray, "T 240 240"]:
    """Usable silhouettes; the rest is counted."""
    images = [file for file in walk if file.name.endswith(".png")]
    pickles = [file for file in walk if file.name.endswith(".pkl")]
    dropped["files that are neither .png nor .pkl"] += len(walk) - len(images) - len(pickles)
    if not images and not pickles:
        return np.zeros((0, *_CROP), np.uint8)
    if images:
        dropped["pickles beside pictures"] += len(pickles)
        frames = [_png(file(), file.name) for file in images]
        whole = frames[-1].shape == _CROP or _are_normalized(frames)  # nothing can be cut off
    else:
        frames, whole = _of_one_pickle(pickles, dropped), True
    kept = []
    for frame in frames:
        if np.count_nonzero(frame > 127) < _FOREGROUND:
            dropped["frames without a person"] += 1
        elif not whole and (frame[0] > 127).any():
            dropped["frames with the head cut off"] += 1
        else:
            kept.append(frame)
    if not kept:
        return np.zeros((0, *_CROP), np.uint8)
    masks = _cropped(kept)
    filled = masks.any((1, 2))
    dropped["frames without a person"] += int((~filled).sum())
    return masks[filled]


def _cropped(frames: Frames) -> UInt8[np.ndarray, "T 240 240"]:
    if frames[0].shape == _CROP:  # as this package crops and writes them
        return (np.stack(frames) > 127).astype(np.uint8)
    squares = cropping.track_squares(cropping.boxes(frames))
    # Grey values are scaled as they are: OpenGait's 64 pixels keep their soft outlines.
    crops = [cropping.crop(f, square) > 127 for f, square in zip(frames, squares, strict=True)]
    return np.stack(crops).astype(np.uint8)


def _subject_paths(source: str | os.PathLike) -> dict[int, Path]:
    """Folder or archive of each subject."""
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{source}: no such folder: give the folder that holds your CASIA-B copy")
    for depth in range(5):
        found = {
            int(match[1]): path
            for path in sorted(root.glob("/".join("*" * (depth + 1))))
            if (match := _SUBJECT.fullmatch(path.name)) and (match[2] or path.is_dir())
        }
        if found:
            return found
    raise InputError(
        f"{source}: no subjects found (folders 001 to 124, or 001.tar.gz): give the folder that "
        "holds your CASIA-B copy"
    )


Key = tuple[str, int, int]  # condition, repetition, view


def _sequences(path: Path) -> Iterator[tuple[Key, "Files"]]:
    """The files of each of a subject's sequences, in the keys' order."""
    found = _in_archive(path) if path.is_file() else _in_folder(path)
    found = [one for one in found if not files.is_hidden(PurePosixPath(one[1].name).name)]
    found.sort(key=lambda each: (each[0], each[1].name))
    for key, group in itertools.groupby(found, operator.itemgetter(0)):
        yield key, [file for _, file in group]


def _of_one_pickle(walk: "Files", dropped: Counter) -> Frames:
    """The silhouettes of one of a walk's pickles; raises `InputError` if none has any."""
    refused = None
    contents = {file.name: file for file in walk}
    for name in arrays.by_kind(list(contents)):
        try:
            frames = arrays.silhouettes(contents[name](), name)
        except InputError as error:
            refused = refused or error
            continue
        dropped["pickles of another kind beside the silhouettes"] += len(contents) - 1
        return list(frames)
    assert refused is not None
    raise refused


def _are_normalized(frames: Frames) -> bool:
    if len({frame.shape for frame in frames}) > 1:
        return False
    return gei.is_normalized(np.stack(frames))


@dataclasses.dataclass(frozen=True)
class WalkFile:
    """A picture or a pickle, whose bytes are read when it is called.

    Attributes:
      name: its path.
      source: its path on disk, or its bytes.
    """

    name: str
    source: Path | bytes

    def __call__(self) -> bytes:
        """The bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def state(self) -> tuple[str, int, int]:
        """Differs once the file has changed: name, size and time of the last change."""
        if isinstance(self.source, bytes):
            return self.name, len(self.source), zlib.crc32(self.source)
        found = self.source.stat()
        return self.name, found.st_size, found.st_mtime_ns


Files = Sequence[WalkFile]


def _in_folder(path: Path) -> list[tuple[Key, WalkFile]]:
    return [
        (key, WalkFile(str(file), file))
        for file in path.glob("*/*/*")
        if (key := _key(file.parts[-3], file.parts[-2])) and file.is_file()
    ]


def _in_archive(path: Path) -> list[tuple[Key, WalkFile]]:
    found = []
    try:
        with tarfile.open(path) as archive:  # members are read, never unpacked to disk
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if member.isfile() and len(parts) >= 3:
                    key = _key(parts[-3], parts[-2])
                    data = archive.extractfile(member)
                    if key and data:
                        found.append((key, WalkFile(f"{path}:{member.name}", data.read())))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path}: damaged archive ({error}): get it again") from error
    return found


def _key(walk: str, view: str) -> Key | None:
    match = _WALK.fullmatch(walk)
    if not match or not _VIEW.fullmatch(view):
        return None
    return match[1], int(match[2]), int(view)


def _png(data: bytes, name: str) -> UInt8[np.ndarray, "H W"]:
    image = None
    if data.rstrip(b"\0").endswith(_PNG_END):  # OpenCV gives what there is of a cut one
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{name}: damaged picture: get it again, or delete it to do without")
    return arrays.as_levels(image[None])[0]
