"""Video files in and out, through PyAV (FFmpeg's libraries)."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from stgan_jax import files
from stgan_jax.errors import InputError

Frame = UInt8[np.ndarray, "H W 3"]


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What the container says: size in pixels, frames a second, number of frames (0: unknown)."""

    width: int
    height: int
    fps: Fraction
    frames: int


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    try:
        container = av.open(os.fspath(path))
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video that FFmpeg can open ({_reason(error)})") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: holds no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise InputError(f"{path}: its video codec is unknown to FFmpeg")
        stream.thread_type = "AUTO"
        yield container, stream


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def probe(path: str | os.PathLike) -> VideoInfo:
    """Reads a video's header. Raises `InputError` where there is none to read."""
    with _opened(path) as (_, stream):
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        return VideoInfo(stream.width, stream.height, Fraction(fps), stream.frames)


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """Decodes a video's frames one after the other, as RGB.

    Raises:
      InputError: the file is missing, no video, damaged in the middle, cut short, or
        changes size.
    """
    size, count = None, 0
    with _opened(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                if size not in (None, (frame.width, frame.height)):
                    raise InputError(f"{path}: the frame size changes at frame {count}")
                size, count = (frame.width, frame.height), count + 1
                yield frame.to_ndarray(format="rgb24")
            # Headers are off by a frame or two, and not all of them tell.
            if count < 0.98 * stream.frames - 2:
                raise InputError(
                    f"{path}: is cut short, its header promises {stream.frames} frames and "
                    f"{count} are there: get the whole file, or re-encode what there is"
                )
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: damaged after frame {count} ({_reason(error)}): repair or re-encode it"
            ) from error


_FASTER = {"libx264": {"preset": "fast"}, "libvpx-vp9": {"b:v": "0", "cpu-used": "4"}}


def codec_of(path: str | os.PathLike) -> str:
    """FFmpeg's name of the codec for a video to be written, by the file's suffix."""
    suffix = Path(path).suffix.lower()
    if suffix in (".mp4", ".mov", ".mkv", ".avi"):
        return "libx264"
    if suffix == ".webm":
        return "libvpx-vp9"
    raise InputError(f"{path}: write to .mp4, .mov, .mkv, .avi or .webm")


@contextlib.contextmanager
def video_writer(
    path: str | os.PathLike, size: tuple[int, int], fps: Fraction, crf: int = 18
) -> Iterator:
    """Opens a video for writing; yields a function that appends one RGB frame.

    H.264, or VP9 for .webm. The file appears under its name when the block ends without
    an error, complete or not at all. Odd sizes are encoded at full chroma, as the
    usual 4:2:0 needs even ones.

    Args:
      path: the container is told by the suffix: .mp4, .mov, .mkv, .avi or .webm.
      size: (height, width) of the frames.
      fps: frames a second.
      crf: constant rate factor, lower is better and larger; 18 looks lossless.

    Raises:
      InputError: the folder is missing or read-only, or the suffix is no video's.
    """
    codec = codec_of(path)
    with files.replacing(path) as beside, av.open(os.fspath(beside), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.options = {"crf": str(crf), **_FASTER[codec]}

        def append(frame: Frame) -> None:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

        yield append
        container.mux(stream.encode())
