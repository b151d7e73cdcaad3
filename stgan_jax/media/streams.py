"""Video files as FFmpeg opens them: any name, any frame rate, all eight orientations."""

import contextlib
import itertools
import os
import statistics
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stgan_jax.util.errors import InputError

_COVER = av.stream.Disposition.attached_pic
_MATRIX = av.sidedata.sidedata.Type.DISPLAYMATRIX
_FORMATS = {".mkv": "matroska"}  # other suffixes that are written are their format's name
_SCANNED = 3000  # packets from which a rate is taken: a minute and more
_PAUSE = 10  # times the usual time between frames: longer ones say nothing of the rate
_BACK = Fraction(1, 2)  # seconds that stamps go back where files are joined, or more
PLAUSIBLE = (1, 300)  # frames a second that cameras record


def open_file(path: str | os.PathLike, mode: str = "r", **options: Any) -> Any:
    """`av.open` for any name that the file system takes.

    FFmpeg takes what stands before a colon for a protocol, and its names are UTF-8.
    """
    name = os.fspath(path)
    if mode == "w":
        options["format"] = format_of(name)
    try:
        name.encode()
    except UnicodeEncodeError:
        return av.open(open(name, f"{mode}b", buffering=0), mode, **options)
    return av.open(f"file:{name}", mode, **options)


def format_of(path: str | os.PathLike) -> str:
    """FFmpeg's name of the container that a suffix stands for."""
    suffix = Path(path).suffix.lower()
    return _FORMATS.get(suffix, suffix[1:])


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    """Opens a video for reading; yields the container and its video stream.

    Raises:
      InputError: the file is missing or holds no video that can be decoded.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    try:
        # Metadata in another encoding than UTF-8 are ignored, not refused.
        container = open_file(path, metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        raise InputError(f"{path}: not a video that FFmpeg can open ({reason(error)})") from error
    with container:
        # A cover picture in a sound file is no video.
        streams = [s for s in container.streams.video if not s.disposition & _COVER]
        if not streams:
            raise InputError(f"{path}: holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise InputError(f"{path}: its video codec is unknown to FFmpeg")
        if not stream.time_base:
            raise InputError(f"{path}: says nothing of when its frames are shown: re-encode it")
        stream.thread_type = "AUTO"
        yield container, stream


def reason(error: Exception) -> str:
    """What FFmpeg says of an error."""
    return str(getattr(error, "strerror", None) or error)


def promised(container: Any, stream: Any) -> tuple[int, int]:
    """How many packets and how many frames a header promises; 0 if it says nothing.

    By an edit list, as lossless cutting leaves one, a player shows fewer frames than are stored.
    """
    if "mov" not in container.format.name.split(",") or not stream.frames:
        return stream.frames, stream.frames
    entries = [entry.is_discard for entry in stream.index_entries]
    return len(entries), entries.count(False)


def frame_rate(path: str | os.PathLike) -> Fraction:
    """Mean number of frames a second: by the header, or by time stamps if they differ from it.

    Files that were written live state no rate, or one that no camera has. Stamps that go back
    and pauses are left out.
    """
    with opened(path) as (container, stream):
        stated = Fraction(stream.average_rate or stream.guessed_rate or 0)
        # What has no stamps is shown at the stated rate, whatever that is.
        if container.format.name in ("avi", "gif") and stated:
            return stated
        # Runs of stamps that go forward: files that were joined have several.
        runs: list[list[int]] = [[]]
        base = Fraction(stream.time_base)
        back, last, packets = _BACK / base, None, 0
        with contextlib.suppress(av.FFmpegError):
            for packet in itertools.islice(container.demux(stream), _SCANNED):
                packets += 1
                if packet.pts is None:
                    continue
                if last is not None and packet.dts is not None and packet.dts < last - back:
                    runs.append([])
                runs[-1].append(packet.pts)
                last = packet.dts if packet.dts is not None else last
    gaps = [base * int(gap) for run in runs for gap in np.diff(sorted(set(run)))]
    usual = statistics.median(gaps or [Fraction(0)])
    gaps = [gap for gap in gaps if gap <= _PAUSE * usual]
    if not gaps:
        return stated if plausible(stated) else Fraction(25)
    measured = len(gaps) / sum(gaps, Fraction(0))
    share = measured / stated if plausible(stated) else Fraction(0)
    # A header knows the whole file, or is meant so. Fields of interlaced frames may have a packet
    # each.
    within = 0.5 if packets == _SCANNED else 0.1 if _usual(stated or measured) == stated else 0.005
    if abs(share - 1) < within or abs(share - 2) < 0.02:
        return stated
    return _usual(measured)


class Joined:
    """What to add to one stream's stamps in a file that was joined of several, byte by byte.

    The stamps of each part begin anew. In all streams a part begins when the longest stream of
    the part before has ended, so that sound stays with frames.
    """

    def __init__(self, path: str | os.PathLike):
        self._path, self._shifts = path, [Fraction(0)]
        self._part, self._last = 0, Fraction(-1)

    def shift(self, when: Fraction) -> Fraction:
        """Seconds to add to a stamp; called with all of a stream's stamps, in their order."""
        if when < self._last - _BACK:
            if len(self._shifts) == 1:
                self._shifts = _shifts(self._path)
            self._part = min(self._part + 1, len(self._shifts) - 1)
        self._last = when
        return self._shifts[self._part]


def _shifts(path: str | os.PathLike) -> list[Fraction]:
    """What to add to the stamps of each part of a file."""
    begins: dict[int, Fraction] = {}
    ends: dict[int, Fraction] = {}
    where: dict[int, tuple[int, Fraction]] = {}  # stream -> part and last stamp
    with opened(path) as (container, video), contextlib.suppress(av.FFmpegError):
        for packet in container.demux(video, *container.streams.audio):
            if packet.dts is None:
                continue
            when = packet.dts * packet.time_base
            part, last = where.get(packet.stream_index, (0, when))
            part += when < last - _BACK
            where[packet.stream_index] = part, when
            shown = when if packet.pts is None else packet.pts * packet.time_base
            begins[part] = min(shown, begins.get(part, shown))
            end = shown + (packet.duration or 0) * packet.time_base
            ends[part] = max(end, ends.get(part, end))
    shifts = [Fraction(0)]
    for part in range(1, len(begins)):
        shifts.append(shifts[-1] + ends[part - 1] - begins[part])
    return shifts


def _usual(rate: Fraction) -> Fraction:
    """A usual rate if one is as near as stamps of a millisecond can say."""
    whole = max(1, round(rate))
    usual = min(Fraction(whole), Fraction(1000 * whole, 1001), key=lambda one: abs(one - rate))
    return usual if abs(usual / rate - 1) < 0.002 else rate.limit_denominator(1001)


def plausible(rate: Fraction) -> bool:
    """Whether a camera may have recorded so many frames a second."""
    return PLAUSIBLE[0] <= rate <= PLAUSIBLE[1]


def is_transposed(frame: Any) -> bool:
    """Whether an upright frame has the height and the width exchanged."""
    (a, b), _ = _matrix(frame)
    return bool(abs(b) > abs(a))


def upright(frame: Any, image: np.ndarray) -> np.ndarray:
    """A frame's image as a player shows it: turned and mirrored by the display matrix."""
    # A pixel (x, y) is shown at (a x + c y, b x + d y).
    (a, b), (c, d) = _matrix(frame)
    if transposed := abs(b) > abs(a):
        image = image.swapaxes(0, 1)
    x, y = (c, b) if transposed else (a, d)
    image = image[:: -1 if y < 0 else 1, :: -1 if x < 0 else 1]
    return np.ascontiguousarray(image)


def _matrix(frame: Any) -> np.ndarray:
    data = frame.side_data.get(_MATRIX)
    if data is None:
        return np.eye(2)
    return np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]].reshape(2, 2).astype(float)
