"""Reading and writing of video files, through PyAV (FFmpeg's libraries)."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import streams
from stgan_jax.media.sound import Audio
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

Frame = UInt8[np.ndarray, "H W 3"]
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")


@dataclasses.dataclass(frozen=True)
class Cut:
    """Which part of a video is read, and at which size.

    Attributes:
      start, end: seconds from the first frame; the frame at `end` is left out.
      max_resolution: larger frames are scaled down to this many pixels on the shorter side.
    """

    start: float = 0.0
    end: float | None = None
    max_resolution: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all frames are read."""
        return self.start <= 0 and self.end is None


WHOLE = Cut()


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """A video's properties by its container, or defaults for those that it does not state.

    Attributes:
      width, height: pixels as displayed, after rotation and scaling.
      fps: mean number of frames a second.
      frames: their number by the header, 0 if it does not state one.
      time_base: seconds a tick of the time stamps.
      aspect: width of a pixel over its height.
      color: FFmpeg's numbers of (primaries, transfer, matrix, range); 2 (range: 0) is unknown.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    time_base: Fraction = Fraction(1, 90_000)
    aspect: Fraction = Fraction(1)
    color: tuple[int, int, int, int] = (2, 2, 2, 0)


@dataclasses.dataclass(frozen=True)
class Stamped:
    """A frame that is displayed `pts` ticks after the cut's start, for `duration` ticks."""

    image: Frame
    pts: int
    duration: int


def probe(path: str | os.PathLike, cut: Cut = WHOLE) -> VideoInfo:
    """Reads a video's header and first frame. Raises `InputError` if it is no video."""
    with streams.opened(path) as (container, stream):
        context = stream.codec_context
        height, width, turned = context.height, context.width, False
        with contextlib.suppress(av.FFmpegError, StopIteration):
            frame = next(container.decode(stream))
            height, width = frame.height, frame.width
            turned = streams.is_transposed(frame)
        if min(height, width) < 1:
            raise InputError(f"{path}: says nothing of its frames' size: repair or re-encode it")
        height, width = scaled(*((width, height) if turned else (height, width)), cut)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        aspect = Fraction(1 / aspect if turned else aspect)
        primaries, transfer = int(context.color_primaries), int(context.color_trc)
        color = primaries, transfer, int(context.colorspace), int(context.color_range)
        base = Fraction(stream.time_base)
        _, frames = streams.promised(container, stream)
    fps = streams.frame_rate(path)
    return VideoInfo(width, height, fps, frames, base, aspect, color)


def scaled(height: int, width: int, cut: Cut) -> tuple[int, int]:
    """The (height, width) at which frames of height x width are read."""
    if cut.max_resolution is None or min(height, width) <= cut.max_resolution:
        return height, width
    scale = cut.max_resolution / min(height, width)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """`read_stamped` without the time stamps."""
    for stamped in read_stamped(path):
        yield stamped.image


def read_stamped(
    path: str | os.PathLike, cut: Cut = WHOLE, keys_only: bool = False
) -> Iterator[Stamped]:
    """Decodes a video's frames one after the other, upright, as RGB of 8 bits.

    An interlaced frame's second field is interpolated from the lines of the first. A time
    stamp that is missing or goes back becomes that of the frame before plus a frame's length.

    Args:
      path: the video.
      cut: the part of it that is read.
      keys_only: decodes key frames only, which takes little time; some a minute, or all.

    Raises:
      InputError: the file is missing, no video, damaged in the middle, cut short, changes
        size, or has nothing between start and end.
    """
    count, last, joined = 0, -1, streams.Joined(path)
    with streams.opened(path) as (container, stream):
        try:
            base = Fraction(stream.time_base)
            origin = _origin(container, base)
            rate = Fraction(stream.average_rate or 0)
            has_rate = streams.plausible(rate)  # else durations say nothing, either
            step = max(1, round(1 / ((rate if has_rate else 25) * base)))
            first = origin + round(Fraction(cut.start) / base)
            end = None if cut.end is None else origin + round(Fraction(cut.end) / base)
            if keys_only:
                stream.codec_context.skip_frame = "NONKEY"
            if cut.start > 0:
                with contextlib.suppress(av.FFmpegError):  # without an index: from the beginning
                    container.seek(first, stream=stream)
            for frame in _decoded(path, container, stream, cut.whole and not keys_only):
                if frame.is_corrupt and not keys_only:
                    raise InputError(f"{path}: damaged at frame {count}: repair or re-encode it")
                pts = first + last + step
                if frame.pts is not None:
                    pts = frame.pts + round(joined.shift(frame.pts * base) / base)
                if pts < first:
                    if cut.start > 0:
                        continue
                    pts = first
                if end is not None and pts >= end:
                    break
                pts = pts - first if pts - first > last else last + step
                step = pts - last if last >= 0 else step
                count, last = count + 1, pts
                duration = frame.duration if has_rate else 0
                yield Stamped(_image(frame, cut), pts, duration or step)
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: damaged after frame {count} ({streams.reason(error)}): repair or "
                "re-encode it"
            ) from error
        if not count and not cut.whole and not keys_only:
            raise InputError(f"{path}: has no frames between --start and --end")


def _decoded(path: str | os.PathLike, container, stream, to_the_end: bool) -> Iterator[Any]:
    """The frames of a stream; raises `InputError` if some are missing, or sizes change."""
    size, packets, number = None, 0, 0
    for packet in container.demux(stream):
        packets += packet.dts is not None or packet.size > 0
        for frame in packet.decode():
            if size not in (None, (frame.width, frame.height)):
                raise InputError(f"{path}: the frame size changes at frame {number}")
            size, number = (frame.width, frame.height), number + 1
            yield frame
    least, _ = streams.promised(container, stream)
    # Headers are off by a frame or two, and some state no number of frames.
    if to_the_end and packets < 0.98 * least - 2:
        raise InputError(
            f"{path}: is cut short, its header promises {least} frames and {packets} are there: "
            "get the whole file, or re-encode what there is"
        )


def _origin(container, base: Fraction) -> int:
    """Ticks at which the first of a file's streams begins: all times are relative to it."""
    return round(Fraction(container.start_time or 0, 1_000_000) / base)


def _image(frame, cut: Cut) -> Frame:
    height, width = scaled(frame.height, frame.width, cut)
    image = frame.to_ndarray(format="rgb24", height=height, width=width)
    if frame.interlaced_frame and height == frame.height and height > 2:
        image = image.copy()
        above, below = image[:-1:2][: len(image[1::2])], image[2::2]
        image[1 : 1 + 2 * len(below) : 2] = cv2.addWeighted(
            above[: len(below)], 0.5, below, 0.5, 0.0
        )
        if height % 2 == 0:
            image[-1] = image[-2]
    return streams.upright(frame, image)


# --- writing -------------------------------------------------------------------------------

# Name on the command line: (FFmpeg's name, options, whether it needs even sizes).
CODECS: dict[str, tuple[str, dict[str, str], bool]] = {
    "h264": ("libx264", {"preset": "veryfast"}, True),
    "h265": ("libx265", {"preset": "fast", "x265-params": "log-level=error"}, True),
    "vp9": ("libvpx-vp9", {"b:v": "0", "cpu-used": "5", "row-mt": "1", "deadline": "good"}, False),
    # For .avi, which has no time stamps, while H.264 needs them.
    "mpeg4": ("mpeg4", {"bf": "0"}, False),
    "av1": ("libsvtav1", {"preset": "8", "svtav1-params": "avif=0"}, True),
}
_HOLDS = {".webm": ("vp9", "av1"), ".avi": ("mpeg4",)}  # other containers hold all


def codec_of(path: str | os.PathLike, codec: str | None = None) -> str:
    """The codec (of `CODECS`) to write a video with: `codec`, or else the suffix' default.

    Raises:
      InputError: no video's suffix, an unknown codec, or a container that cannot hold it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: write to {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if codec is not None and codec not in CODECS:
        raise InputError(f"unknown codec {codec!r}: choose one of {', '.join(CODECS)}")
    held = _HOLDS.get(suffix, tuple(CODECS))
    if codec is not None and codec not in held:
        raise InputError(f"{path}: {suffix} holds {' or '.join(held)}, not {codec}")
    return codec or held[0]


@contextlib.contextmanager
def video_writer(
    path: str | os.PathLike,
    size: tuple[int, int],
    fps: Fraction,
    crf: int = 18,
    *,
    codec: str | None = None,
    like: VideoInfo | None = None,
    sound: Audio | None = None,
) -> Iterator[Callable]:
    """Opens a video for writing; yields a function that appends one RGB frame.

    It takes a frame or a `Stamped` one. The file appears under its name when the block ends
    without an error, complete (its frames are counted) or not at all. 8 bits, 4:2:0, which plays
    everywhere, without metadata; if the codec needs even sizes the last row or column is repeated.

    Args:
      path: the suffix, of `SUFFIXES`, decides the container.
      size: (height, width) of the frames.
      fps: frames a second, on average if frames are stamped.
      crf: constant rate factor, lower is better and larger; 18 looks lossless.
      codec: name in `CODECS`; None for the suffix' own, H.264, or VP9 in .webm.
      like: video whose time base (of the stamps), pixel aspect and colours are kept.
      sound: sound streams to write beside the frames.

    Raises:
      InputError: the folder is missing or read-only, the suffix or codec is no video's, or
        time stamps that the container cannot hold.
      OSError: a full disk and the like.
    """
    codec = codec_of(path, codec)
    if not _has_stamps(path):
        fps = fps.limit_denominator(1001)
    with files.replacing(path) as beside:
        try:
            with streams.open_file(beside, "w") as container:
                stream = _video_stream(container, codec, size, fps, crf)
                encoder = _Encoder(Path(path), stream, fps, like, sound)
                yield encoder.append
                encoder.finish()
            if _count(beside) != encoder.count:
                raise OSError(5, "the file written is not whole", os.fspath(path))
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _has_stamps(path: str | os.PathLike) -> bool:
    """Whether a container stores when each frame is shown; .avi has a constant rate."""
    return Path(path).suffix.lower() != ".avi"


def _video_stream(container, codec: str, size: tuple[int, int], fps: Fraction, crf: int) -> Any:
    """Adds a video stream to a container open for writing."""
    name, options, even = CODECS[codec]
    stream = container.add_stream(name, rate=fps)
    stream.height, stream.width = (side + side % 2 if even else side for side in size)
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": str(crf), **options}
    if name == "mpeg4":  # has quantisers only
        stream.codec_context.flags |= av.codec.context.Flags.qscale
        stream.codec_context.global_quality = 118 * max(1, min(31, crf // 6))
    return stream


class _Encoder:
    """Encodes frames into a container, with the sound beside them.

    Attributes:
      count: number of frames appended.
    """

    def __init__(
        self, path: Path, stream, fps: Fraction, like: VideoInfo | None, sound: Audio | None
    ):
        self._path, self._stream, self._sound = path, stream, sound
        self._stamps = _has_stamps(path)
        self._base = like.time_base if like else 1 / fps  # of the frames' time stamps, seconds
        self._ticks = max(self._base, Fraction(1, 1_000_000)) if self._stamps else 1 / fps
        self._durations: dict[int, int] = {}
        self._last, self.count = -1, 0
        stream.codec_context.time_base = self._ticks
        self._matrix = _describe(stream.codec_context, like)
        if sound is not None:
            sound.begin(stream.container)

    def append(self, frame: Frame | Stamped) -> None:
        """Encodes the next frame and writes the sound up to it."""
        stamped = frame if isinstance(frame, Stamped) else None
        image = frame.image if isinstance(frame, Stamped) else frame
        pts = round(stamped.pts * self._base / self._ticks) if stamped else self.count
        if pts <= self._last:
            raise InputError(
                f"{self._path}: {self._path.suffix} cannot hold frames at uneven times: "
                "write to .mp4 or .mkv"
            )
        self._last, self.count = pts, self.count + 1
        below, right = self._stream.height - image.shape[0], self._stream.width - image.shape[1]
        if below or right:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        levels = self._stream.codec_context.color_range
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=self._matrix, dst_color_range=levels
        )
        picture.pts, picture.time_base = pts, self._ticks
        if stamped and self._stamps:
            picture.duration = max(1, round(stamped.duration * self._base / self._ticks))
            self._durations[pts] = picture.duration
        if self._sound is not None:
            self._sound.write(self._stream.container, until=pts * self._ticks)
        self._mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Writes what is left in the encoder, and the rest of the sound."""
        self._mux(self._stream.encode())
        if self._sound is not None:
            self._sound.write(self._stream.container, until=None)

    def _mux(self, packets) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            self._stream.container.mux(packet)


def _describe(context, like: VideoInfo | None) -> str:
    """Sets an encoder's colour space to the input's; returns the matrix for the conversion."""
    if like is None:
        context.color_range = 1
        return "ITU601"
    context.sample_aspect_ratio = like.aspect
    primaries, transfer, matrix, _ = like.color
    context.color_primaries, context.color_trc = primaries, transfer
    # RGB (0) and matrices that the conversion does not know are written as players expect.
    known = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M"}
    context.colorspace = matrix if matrix in known or matrix == 2 else 1
    context.color_range = 1
    return known.get(matrix, "ITU601" if matrix == 2 else "ITU709")


def _count(path: Path) -> int:
    """Number of video packets in a file."""
    with streams.open_file(path) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)
