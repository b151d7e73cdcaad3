"""Sound, carried over from one file to another: copied where the container can hold it."""

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from stgan_jax.media import streams
from stgan_jax.util.errors import InputError

# Codecs that a container holds for sure, and the one that other sound is encoded with.
_COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {
        "aac", "mp3", "ac3", "eac3", "alac", "adpcm_ima_qt", "pcm_s16le", "pcm_s16be", "pcm_s24le",
        "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_alaw", "pcm_mulaw",
    },
    "avi": {"mp3", "ac3", "pcm_s16le", "pcm_s24le", "pcm_u8", "aac", "mp2"},
    "webm": {"opus", "vorbis"},
}  # fmt: skip
_EDITED = ("mp4", "mov")  # have edit lists, which say from where sound is heard
_EQUAL_STAMPS = av.format.Flags.ts_nonstrict.value
# Matroska holds nearly all.
_ENCODED = {"mp4": "aac", "mov": "aac", "avi": "pcm_s16le", "webm": "libopus", "matroska": "flac"}
_GAP = Fraction(1, 20)  # seconds that sound may be late or early before it is set right
_SILENCE = 3600  # seconds: more than that is no gap but a wrong stamp
_PRIMING = Fraction(1, 5)  # seconds before the start from which decoders may need packets


class Audio:
    """All sound streams of a file, written into another file beside its frames.

    Packets are copied unchanged, without any metadata. Sound that the container cannot hold,
    or that is cut, is encoded anew. Time stamps that go back are repaired as those of frames are.
    """

    def __init__(self, path: str | os.PathLike, start: float = 0.0, end: float | None = None):
        """Takes the part to copy, in seconds from the start of the file's first stream."""
        self._path, self._start, self._end = path, Fraction(start), end
        self._next: tuple[Fraction, Any, Any] | None = None

    def check(self, output: str | os.PathLike) -> None:
        """Raises `InputError` if the sound cannot go into a file of the output's kind."""
        kind = streams.format_of(output)
        with contextlib.closing(self):
            self.begin(av.open(io.BytesIO(), "w", format=kind))

    def begin(self, container: Any) -> None:
        """Adds the streams to a container open for writing."""
        source = self._source = streams.open_file(self._path, metadata_errors="ignore")
        kind = container.format.name.split(",")[0]
        self._tracks: dict[int, _Copied | _Encoded] = {}
        try:
            for stream in source.streams.audio:
                if stream.codec_context is None:
                    raise InputError(
                        f"{self._path}: its sound is of a kind unknown to FFmpeg: leave it out "
                        "with --no_keep_audio"
                    )
                if not self._start and self._end is None and _can_copy(stream, kind):
                    self._tracks[stream.index] = _Copied(
                        container.add_stream_from_template(stream),
                        _Stamps(self._path, kind in _EDITED),
                    )
                else:
                    out = _encoder(container, stream, _ENCODED.get(kind, "aac"))
                    self._tracks[stream.index] = _Encoded(
                        out, _Stamps(self._path), self._start, self._end
                    )
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{self._path}: its sound does not go into a {kind} file ({error}): write to "
                ".mkv, or leave it out with --no_keep_audio"
            ) from error
        for track in self._tracks.values():
            track.out.metadata.clear()
        self._origin = Fraction(source.start_time or 0, 1_000_000)
        if self._start and self._tracks:
            with contextlib.suppress(av.FFmpegError):  # without an index: from the beginning
                source.seek(int((self._origin + self._start) * 1_000_000))
        self._packets = self._demux()

    def _demux(self) -> Iterator[tuple[Fraction, Any, Any]]:
        audio = [s for s in self._source.streams.audio if s.index in self._tracks]
        if not audio:
            return
        with contextlib.suppress(av.FFmpegError):  # frames were read up to here, too
            for packet in self._source.demux(audio):
                track = self._tracks[packet.stream.index]
                if packet.size and track.stamps.repair(packet, self._origin):
                    yield packet.dts * packet.time_base - self._start, packet, track

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
            track.write(container, packet)
        if until is None:
            for track in self._tracks.values():
                track.finish(container)
            self._source.close()

    def close(self) -> None:
        """Closes the input; may be called at any time."""
        with contextlib.suppress(AttributeError):
            self._source.close()


def _can_copy(stream: Any, kind: str) -> bool:
    """Whether a container holds a stream as it is, and players expect it there."""
    name = stream.codec_context.codec.canonical_name
    if kind == "avi" != stream.container.format.name:
        return False  # it has no stamps: gaps must become silence
    if name not in _COPIED.get(kind, {name}):
        return False
    trial = av.open(io.BytesIO(), "w", format=kind)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with contextlib.suppress(av.FFmpegError, ValueError):
            trial.close()
    return True


def _encoder(container: Any, stream: Any, name: str) -> Any:
    """Adds an encoder's stream; a rate or channels that it lacks become the nearest it has."""
    context = stream.codec_context
    rates = sorted(av.codec.Codec(name, "w").audio_rates or [context.sample_rate])
    rate = next((rate for rate in rates if rate >= context.sample_rate), rates[-1])
    rate = 48_000 if name == "libopus" else rate
    # Some files say how many channels there are, but not which.
    count = context.layout.nb_channels
    named = {1: "mono", 2: "stereo"}.get(count, context.layout.name)
    for layout in (named, "7.1", "5.1", "stereo", "mono"):
        try:
            trial = av.AudioCodecContext.create(name, "w")
            trial.sample_rate, trial.layout, trial.format = rate, layout, _sample_format(name)
            trial.time_base = Fraction(1, rate)
            fits = trial.layout.nb_channels <= count
            trial.open()
        except (av.FFmpegError, ValueError):
            continue
        if fits:
            break
    out = container.add_stream(name, rate=rate)
    out.codec_context.layout = layout
    return out


def _sample_format(name: str) -> str:
    return av.codec.Codec(name, "w").audio_formats[0].name


class _Stamps:
    """Time stamps of one stream's packets, made to begin at 0 and not to go back."""

    def __init__(self, path: str | os.PathLike, priming: bool = True):
        """`priming`: whether packets before the start are wanted, which a decoder may need."""
        self._joined = streams.Joined(path)
        self._last: int | None = None
        self._gap, self._priming = 1, priming

    def repair(self, packet: Any, origin: Fraction) -> bool:
        """Sets a packet's stamps; returns whether it is wanted."""
        if packet.is_discard and not self._priming:  # an edit list leaves it out
            return False
        shift = round(origin / packet.time_base)
        dts = packet.pts if packet.dts is None else packet.dts
        late = 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts
        if dts is not None:
            shift -= round(self._joined.shift(dts * packet.time_base) / packet.time_base)
            dts -= shift
        if self._last is None:
            dts = 0 if dts is None else dts
        elif dts is None or dts < self._last:
            dts = self._last + self._gap
        packet.dts, packet.pts = dts, dts + late
        if packet.is_discard:
            return dts * packet.time_base > -_PRIMING
        self._gap = packet.duration or (self._gap if self._last is None else dts - self._last)
        self._last, self._priming = dts, False
        return True


class _Copied:
    def __init__(self, out: Any, stamps: _Stamps):
        self.out, self.stamps = out, stamps
        self._last: int | None = None

    def write(self, container, packet) -> None:
        container.start_encoding()  # which decides the unit of time
        late, base = packet.pts - packet.dts, self.out.time_base
        dts = round(packet.dts * packet.time_base / base)
        if self._last is not None:
            dts = max(dts, self._last + (not container.format.flags & _EQUAL_STAMPS))
        self._last = packet.dts = dts
        packet.pts = dts + round(late * packet.time_base / base)
        packet.duration = round(packet.duration * packet.time_base / base)
        packet.time_base, packet.stream = base, self.out
        container.mux(packet)

    def finish(self, container) -> None:
        pass


class _Encoded:
    """Decodes and encodes; leaves out what lies before the start or after the end.

    Gaps become silence, so that sound stays with the frames in containers without stamps, too.
    """

    def __init__(self, out: Any, stamps: _Stamps, start: Fraction, end: float | None):
        self.out, self.stamps, self._start, self._end = out, stamps, start, end
        self._resampler: Any = None
        self._form: tuple = ()
        self._written = 0
        self._taken = Fraction(0)  # seconds that went into the resampler

    def write(self, container, packet) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError:  # the gap becomes silence
            return
        for frame in frames:
            length = Fraction(frame.samples, frame.sample_rate)
            when = self._start + self._taken
            if frame.pts is not None:
                when = Fraction(frame.pts) * frame.time_base
            if when + length <= self._start or (self._end is not None and when >= self._end):
                continue
            late = when - self._start - self._taken
            if late < -_GAP and self._taken:
                continue
            if late > (_GAP if self._taken else 0) and late < _SILENCE:
                self._silence(container, frame, late)
            self._resampled(container, frame)

    def _silence(self, container, like, seconds: Fraction) -> None:
        left = round(seconds * like.sample_rate)
        while left > 0:
            # Packed: PyAV counts nine planes where eight channels have one each.
            silent = np.zeros((1, min(left, 4096) * like.layout.nb_channels), np.int16)
            frame = av.AudioFrame.from_ndarray(silent, "s16", like.layout.name)
            frame.sample_rate = like.sample_rate
            self._resampled(container, frame)
            left -= frame.samples

    def _resampled(self, container, frame) -> None:
        context = self.out.codec_context
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._form:
            self._flush(container)
            if not context.is_open:
                context.open()  # only then the number of samples a frame is known
            self._resampler = av.AudioResampler(
                context.format, context.layout, context.sample_rate, context.frame_size or None
            )
            self._form = form
        self._taken += Fraction(frame.samples, frame.sample_rate)
        frame.pts = None
        self._encode(container, self._resampler.resample(frame))

    def _flush(self, container) -> None:
        if self._resampler is not None:
            self._encode(container, self._resampler.resample(None))

    def _encode(self, container, parts) -> None:
        for part in parts:
            part.pts = self._written
            part.time_base = Fraction(1, self.out.codec_context.sample_rate)
            self._written += part.samples
            container.mux(self.out.encode(part))

    def finish(self, container) -> None:
        self._flush(container)
        if self._resampler is not None:
            container.mux(self.out.encode(None))
