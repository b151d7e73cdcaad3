"""Sound, carried over from one file to another: copied where the container can hold it."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from stgan_jax.util.errors import InputError

# Codecs that a container holds for sure, and the one that other sound is encoded with.
_COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"},
    "avi": {"mp3", "ac3", "pcm_s16le", "pcm_u8", "aac", "mp2"},
    "webm": {"opus", "vorbis"},
}  # Matroska holds all
_ENCODED = {"mp4": "aac", "mov": "aac", "avi": "pcm_s16le", "webm": "libopus", "matroska": "flac"}


class Audio:
    """All sound streams of a file, written into another file beside its frames.

    Packets are copied unchanged, without any metadata. Sound that the container cannot hold,
    or that is cut, is encoded anew.
    """

    def __init__(self, path: str | os.PathLike, start: float = 0.0, end: float | None = None):
        """Takes the part to copy, in seconds from the start of the file's first stream."""
        self._path, self._start, self._end = path, Fraction(start), end
        self._next: tuple[Fraction, Any, Any] | None = None

    def begin(self, container: Any) -> None:
        """Adds the streams to a container open for writing."""
        source = self._source = av.open(os.fspath(self._path), metadata_errors="ignore")
        kind = container.format.name.split(",")[0]
        self._tracks: dict[int, Any] = {}
        try:
            for stream in source.streams.audio:
                if stream.codec_context is None:
                    raise InputError(f"{self._path}: its sound is of a kind unknown to FFmpeg")
                copied = stream.codec_context.name in _COPIED.get(kind, {stream.codec_context.name})
                if copied and not self._start and self._end is None:
                    out = container.add_stream_from_template(stream)
                    self._tracks[stream.index] = _Copied(out)
                else:
                    name = _ENCODED.get(kind, "aac")
                    rate = 48_000 if name == "libopus" else stream.codec_context.sample_rate
                    out = container.add_stream(name, rate=rate)
                    # Some files say how many channels there are, but not which.
                    layout = stream.codec_context.layout
                    out.codec_context.layout = {1: "mono", 2: "stereo"}.get(
                        layout.nb_channels, layout
                    )
                    self._tracks[stream.index] = _Encoded(out, self._start, self._end)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{self._path}: its sound does not go into a {kind} file ({error}): write to "
                ".mkv, or leave it out with --no_keep_audio"
            ) from error
        for track in self._tracks.values():
            track.out.metadata.clear()
        self._origin = Fraction(source.start_time or 0, 1_000_000)
        if self._start and self._tracks:
            source.seek(int((self._origin + self._start) * 1_000_000))
        self._packets = self._demux()

    def _demux(self) -> Iterator[tuple[Fraction, Any, Any]]:
        streams = [s for s in self._source.streams.audio if s.index in self._tracks]
        if not streams:
            return
        for packet in self._source.demux(streams):
            if packet.size == 0:
                continue
            ticks = packet.dts if packet.dts is not None else packet.pts
            when = (ticks or 0) * packet.time_base - self._origin - self._start
            yield when, packet, self._tracks[packet.stream.index]

    def write(self, container: Any, until: Fraction | None) -> None:
        """Writes the sound up to a time in seconds; None writes the rest and finishes."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                break
            when, packet, track = self._next
            if until is not None and when > until:
                return
            if self._end is not None and when > self._end - self._start:
                self._next, self._packets = None, iter(())
                break
            self._next = None
            track.write(container, packet, self._origin)
        if until is None:
            for track in self._tracks.values():
                track.finish(container)
            self._source.close()

    def close(self) -> None:
        """Closes the input; may be called at any time."""
        with contextlib.suppress(AttributeError):
            self._source.close()


class _Copied:
    def __init__(self, out: Any):
        self.out = out

    def write(self, container, packet, origin: Fraction) -> None:
        shift = round(origin / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self.out
        container.mux(packet)

    def finish(self, container) -> None:
        pass


class _Encoded:
    """Decodes and encodes; leaves out what lies before the start or after the end."""

    def __init__(self, out: Any, start: Fraction, end: float | None):
        self.out, self._start, self._end = out, start, end
        self._resampler: Any = None
        self._written = 0

    def write(self, container, packet, origin: Fraction) -> None:
        for frame in packet.decode():
            when = Fraction(frame.pts or 0) * frame.time_base - origin
            length = Fraction(frame.samples, frame.sample_rate)
            if when + length <= self._start or (self._end is not None and when >= self._end):
                continue
            self._resampled(container, frame)

    def _resampled(self, container, frame) -> None:
        context = self.out.codec_context
        if self._resampler is None:
            if not context.is_open:
                context.open()  # only then the number of samples a frame is known
            self._resampler = av.AudioResampler(
                context.format, context.layout, context.sample_rate, context.frame_size or None
            )
        for part in self._resampler.resample(frame):
            part.pts, part.time_base = self._written, Fraction(1, context.sample_rate)
            self._written += part.samples
            container.mux(self.out.encode(part))

    def finish(self, container) -> None:
        if self._resampler is not None:
            self._resampled(container, None)
            container.mux(self.out.encode(None))
