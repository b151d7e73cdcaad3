"""Video files in and out, through PyAV (FFmpeg's libraries)."""

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

from stgan_jax import files
from stgan_jax.errors import InputError
from stgan_jax.video.audio import Audio

Frame = UInt8[np.ndarray, "H W 3"]
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")


@dataclasses.dataclass(frozen=True)
class Cut:
    """Which part of a video is read, and how large.

    Attributes:
      start, end: seconds from the first frame; the frame at `end` is left out.
      max_resolution: pixels of the shorter side, to which larger frames are scaled down.
    """

    start: float = 0.0
    end: float | None = None
    max_resolution: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all frames are read."""
        return self.start <= 0 and self.end is None


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What the container says of a video, or the defaults where it is silent.

    Attributes:
      width, height: pixels as shown, after rotation and scaling.
      fps: frames a second, on average.
      frames: how many the header promises, 0 if it does not.
      time_base: seconds a tick of the time stamps.
      aspect: width of a pixel over its height.
      color: FFmpeg's numbers of (primaries, transfer, matrix, range); 2 (range: 0) is unsaid.
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
    """A frame and when it is shown: `pts` ticks from the cut's start, for `duration` ticks."""

    image: Frame
    pts: int
    duration: int


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    try:
        # Metadata in another encoding than UTF-8 are no reason to refuse.
        container = av.open(os.fspath(path), metadata_errors="ignore")
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video that FFmpeg can open ({_reason(error)})") from error
    with container:
        # A cover picture in a sound file is no video.
        shown = [s for s in container.streams.video if not s.disposition & _COVER]
        if not shown:
            raise InputError(f"{path}: holds no video stream")
        stream = shown[0]
        if stream.codec_context is None:
            raise InputError(f"{path}: its video codec is unknown to FFmpeg")
        stream.thread_type = "AUTO"
        yield container, stream


_COVER = av.stream.Disposition.attached_pic


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def probe(path: str | os.PathLike, cut: Cut = Cut()) -> VideoInfo:
    """Reads a video's header and first frame. Raises `InputError` where there is none to read."""
    with _opened(path) as (container, stream):
        context = stream.codec_context
        height, width = context.height, context.width
        with contextlib.suppress(av.FFmpegError, StopIteration):
            frame = next(container.decode(stream))
            height, width = frame.height, frame.width
            if _quarter_turns(frame) % 2:
                height, width = width, height
        height, width = scaled(height, width, cut)
        turned = (width > height) != (context.width > context.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return VideoInfo(
            width,
            height,
            Fraction(stream.average_rate or stream.guessed_rate or Fraction(25)),
            stream.frames,
            Fraction(stream.time_base),
            Fraction(1 / aspect if turned else aspect),
            (
                int(context.color_primaries),
                int(context.color_trc),
                int(context.colorspace),
                int(context.color_range),
            ),
        )


def scaled(height: int, width: int, cut: Cut) -> tuple[int, int]:
    """The (height, width) at which frames of a size are read."""
    if cut.max_resolution is None or min(height, width) <= cut.max_resolution:
        return height, width
    scale = cut.max_resolution / min(height, width)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def _quarter_turns(frame) -> int:
    """How often a frame is to be turned by 90 degrees, counter-clockwise, to be upright."""
    return round(frame.rotation / 90) % 4


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """`read_stamped` without the time stamps."""
    for stamped in read_stamped(path):
        yield stamped.image


def read_stamped(
    path: str | os.PathLike,
    cut: Cut = Cut(),
    keys_only: bool = False,
) -> Iterator[Stamped]:
    """Decodes a video's frames one after the other, upright, as RGB of 8 bits.

    Interlaced frames get their second field from the first one's lines. Time stamps that are
    missing or go back are put a frame's length after the one before.

    Args:
      path: the video.
      cut: the part of it that is read.
      keys_only: only frames that stand by themselves, some a minute or all; takes little time.

    Raises:
      InputError: the file is missing, no video, damaged in the middle, cut short, changes
        size, or has nothing between start and end.
    """
    size, count, last = None, 0, -1
    with _opened(path) as (container, stream):
        try:
            base = Fraction(stream.time_base)
            origin = _origin(container, base)
            step = max(1, round(1 / (Fraction(stream.average_rate or 25) * base)))
            first = origin + round(Fraction(cut.start) / base)
            end = None if cut.end is None else origin + round(Fraction(cut.end) / base)
            if keys_only:
                stream.codec_context.skip_frame = "NONKEY"
            if cut.start > 0:
                container.seek(first, stream=stream)
            for number, frame in enumerate(container.decode(stream)):
                if frame.is_corrupt and not keys_only:
                    raise InputError(f"{path}: damaged at frame {number}: repair or re-encode it")
                if size not in (None, (frame.width, frame.height)):
                    raise InputError(f"{path}: the frame size changes at frame {number}")
                size = (frame.width, frame.height)
                pts = frame.pts if frame.pts is not None else first + last + step
                if pts < first:
                    if cut.start > 0:
                        continue
                    pts = first
                if end is not None and pts >= end:
                    break
                pts = pts - first if pts - first > last else last + step
                count, last = count + 1, pts
                yield Stamped(_image(frame, cut), pts, frame.duration or step)
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: damaged after frame {count} ({_reason(error)}): repair or re-encode it"
            ) from error
        # Headers are off by a frame or two, and not all of them tell.
        if keys_only:
            return
        if cut.whole and count < 0.98 * stream.frames - 2:
            raise InputError(
                f"{path}: is cut short, its header promises {stream.frames} frames and "
                f"{count} are there: get the whole file, or re-encode what there is"
            )
        if not count and not cut.whole:
            raise InputError(f"{path}: has no frames between --start and --end")


def _origin(container, base: Fraction) -> int:
    """Ticks at which the first of a file's streams begins: all times are told from there."""
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
    turns = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


# --- writing -------------------------------------------------------------------------------

# name on the command line: (FFmpeg's name, options, even sizes are needed)
CODECS: dict[str, tuple[str, dict[str, str], bool]] = {
    "h264": ("libx264", {"preset": "veryfast"}, True),
    "h265": ("libx265", {"preset": "fast", "x265-params": "log-level=error"}, True),
    "vp9": ("libvpx-vp9", {"b:v": "0", "cpu-used": "5", "row-mt": "1", "deadline": "good"}, False),
    # The one that .avi is made for: it has no time stamps, and H.264 needs some.
    "mpeg4": ("mpeg4", {"bf": "0"}, False),
    "av1": ("libsvtav1", {"preset": "8", "svtav1-params": "avif=0"}, True),
}
_HOLDS = {".webm": ("vp9", "av1"), ".avi": ("mpeg4",)}  # others hold all


def codec_of(path: str | os.PathLike, codec: str | None = None) -> str:
    """The codec (of `CODECS`) for a video to be written: the one asked for, or the suffix' own.

    Raises:
      InputError: no video's suffix, or one that does not go with the codec.
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
    without an error, complete (its frames are counted) or not at all. 8 bits, 4:2:0, which
    plays everywhere; where the codec wants even sizes the last row or column is repeated. No
    metadata are written.

    Args:
      path: the container is told by the suffix, of `SUFFIXES`.
      size: (height, width) of the frames.
      fps: frames a second, on average where frames are stamped.
      crf: constant rate factor, lower is better and larger; 18 looks lossless.
      codec: of `CODECS`; None for the suffix' own, H.264, or VP9 in .webm.
      like: the video whose time base, pixel aspect and colours are kept; stamps are in its
        ticks.
      sound: put beside the frames.

    Raises:
      InputError: the folder is missing or read-only, the suffix or codec is no video's, or
        time stamps that the container cannot hold.
      OSError: a full disk and the like.
    """
    name, options, even = CODECS[codec_of(path, codec)]
    constant = Path(path).suffix.lower() == ".avi"  # which has no time stamps
    if constant:
        fps = fps.limit_denominator(1001)
    base = like.time_base if like else 1 / fps
    ticks = 1 / fps if constant else max(base, Fraction(1, 1_000_000))
    count = 0
    with files.replacing(path) as beside:
        try:
            with av.open(os.fspath(beside), "w") as container:
                stream = container.add_stream(name, rate=fps)
                context = stream.codec_context
                pad = [side % 2 if even else 0 for side in size]
                stream.height, stream.width = size[0] + pad[0], size[1] + pad[1]
                stream.pix_fmt = "yuv420p"
                context.time_base = ticks
                stream.options = {"crf": str(crf), **options}
                if name == "mpeg4":  # which knows quantisers alone
                    context.flags |= av.codec.context.Flags.qscale
                    context.global_quality = 118 * max(1, min(31, crf // 6))
                matrix = _describe(context, like)
                if sound is not None:
                    sound.begin(container)
                durations: dict[int, int] = {}
                last = -1

                def mux(packets) -> None:
                    for packet in packets:
                        packet.duration = durations.pop(packet.pts, packet.duration)
                        container.mux(packet)

                def append(frame: Frame | Stamped) -> None:
                    nonlocal count, last
                    stamped = frame if isinstance(frame, Stamped) else None
                    image = stamped.image if stamped else frame
                    pts = round(stamped.pts * base / ticks) if stamped else count
                    if pts <= last:
                        raise InputError(
                            f"{path}: {Path(path).suffix} cannot hold frames at uneven times: "
                            "write to .mp4 or .mkv"
                        )
                    last, count = pts, count + 1
                    if any(pad):
                        image = cv2.copyMakeBorder(
                            image, 0, pad[0], 0, pad[1], cv2.BORDER_REPLICATE
                        )
                    made = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                        format="yuv420p", dst_colorspace=matrix, dst_color_range=context.color_range
                    )
                    made.pts, made.time_base = pts, ticks
                    if stamped and not constant:
                        durations[pts] = max(1, round(stamped.duration * base / ticks))
                        made.duration = durations[pts]
                    if sound is not None:
                        sound.write(container, until=pts * ticks)
                    mux(stream.encode(made))

                yield append
                mux(stream.encode())
                if sound is not None:
                    sound.write(container, until=None)
            if _count(beside) != count:
                raise OSError(5, "the file written is not whole", os.fspath(path))
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _describe(context, like: VideoInfo | None) -> str:
    """Tells an encoder what the input's colours mean; returns the matrix for the conversion."""
    if like is None:
        context.color_range = 1
        return "ITU601"
    context.sample_aspect_ratio = like.aspect
    primaries, transfer, matrix, _ = like.color
    context.color_primaries, context.color_trc = primaries, transfer
    # RGB (0) and matrices that the conversion does not know are written as what players expect.
    known = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M"}
    context.colorspace = matrix if matrix in known or matrix == 2 else 1
    context.color_range = 1
    return known.get(matrix, "ITU601" if matrix == 2 else "ITU709")


def _count(path: Path) -> int:
    """Video packets of a file just written."""
    with av.open(os.fspath(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)
