"""Writes videos of the kinds that people have, with PyAV, and reads them; tests use it, too."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

UNEVEN = [  # milliseconds
    450 * group + time
    for group in range(4)
    for time in (0, 33, 70, 101, 134, 169, 240, 260, 300, 333, 390, 420)
]
KINDS: dict[str, dict[str, Any]] = {  # arguments of `write`, for up to 48 images
    "phone.mp4": {"sound": "aac", "base": Fraction(1, 1000), "pts": UNEVEN},
    "camera.mov": {"sound": "aac", "streams": 2, "fps": Fraction(30000, 1001)},
    "screen.mkv": {"sound": "libopus", "base": Fraction(1, 1000), "pts": UNEVEN, "streams": 3},
    "old.avi": {"codec": "mpeg4", "sound": "pcm_s16le"},
    "web.webm": {"codec": "libvpx-vp9", "sound": "libopus"},
    "late.mkv": {"sound": "flac", "base": Fraction(1, 1000), "pts": UNEVEN, "origin": 5000},
    "h265.mp4": {"codec": "libx265", "sound": "aac", "options": {"x265-params": "log-level=none"}},
    "ten.mp4": {"pixels": "yuv420p10le"},
    "grey.mkv": {"pixels": "gray"},
    "lace.mp4": {"options": {"x264-params": "tff=1"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
}
_SAMPLES: dict[str, tuple[float, Any]] = {  # of 16 bits to those of a format
    "flt": (1 / 32768, np.float32), "s16": (1, np.int16), "s32": (65536, np.int32),
    "u8": (1 / 256, np.uint8),
}  # fmt: skip
PRIVATE = {
    "location": "+48.1+011.5/",
    "creation_time": "2020-01-01T00:00:00Z",
    "title": "private",
    "com.apple.quicktime.model": "phone",
}


def write(
    path: str | Path,
    images: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    fps: float | Fraction = 25,
    base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    pixels: str = "yuv420p",
    sound: str | None = None,
    streams: int = 1,
    turn: int = 0,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    origin: int = 0,
) -> Any:
    """Writes a video of RGB images and returns its path.

    Every argument is a property in which people's files differ, hence their number.

    Args:
      path: of the file; its suffix decides the container.
      images: the frames.
      codec: of the frames.
      fps: frames a second.
      base: unit of time, seconds; 1 / `fps` by default.
      pts: when each frame is shown, in units of `base`; evenly by default.
      pixels: FFmpeg's pixel format.
      sound: codec of noise, a second of it; None for no sound.
      streams: number of sound streams.
      turn: degrees by which a player turns the frames.
      metadata: tags of the file.
      options: of the codec.
      origin: added to `pts`.
    """
    base = base or Fraction(1) / Fraction(fps)
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=Fraction(fps), options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = base
        if turn:
            stream.set_display_rotation(turn)
        sounds = [container.add_stream(sound, rate=48_000) for _ in range(streams if sound else 0)]
        for track in sounds:
            track.codec_context.layout = "mono"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = (pts[number] if pts else number) + origin, base
            container.mux(stream.encode(frame))
        rng = np.random.default_rng(0)
        for track in sounds:
            format = track.codec_context.format.name
            for number in range(48):
                samples = rng.normal(0, 3000, (1, 1024))
                kind = track.codec_context.format.name.removesuffix("p")
                scale, as_type = _SAMPLES[kind]
                scaled = (samples * scale + (128 if kind == "u8" else 0)).astype(as_type)
                noise = av.AudioFrame.from_ndarray(scaled, format, "mono")
                noise.sample_rate, noise.pts = 48_000, number * samples.shape[1]
                container.mux(track.encode(noise))
            container.mux(track.encode(None))
        container.mux(stream.encode())
    return path


def shifted(source: Any, target: Any, seconds: float, kinds: Sequence[str] = ("video", "audio")):
    """Copies a file's packets, shown so many seconds later, as lossless cutting does: in .mp4 and
    .mov by an edit list. Returns the target's path.
    """
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        tracks = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type in kinds:
                ticks = round(Fraction(seconds) / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = tracks[packet.stream.index]
            new.mux(packet)
    return target


def without_rate(path: Any) -> Any:
    """Makes a Matroska or WebM file of 1000 frames a second one that states neither rate nor
    duration, as browsers record them. Returns its path.
    """
    data = Path(path).read_bytes()
    for element in (b"\x23\xe3\x83\x84", b"\x44\x89\x88"):  # DefaultDuration, Duration
        at = data.find(element)
        if at >= 0:
            size = len(element) + (element[-1] & 15)
            void = b"\xec" + bytes([0x80 | (size - 2)]) + bytes(size - 2)
            data = data[:at] + void + data[at + size :]
    Path(path).write_bytes(data)
    return path


def with_matrix(path: Any, matrix: tuple[int, int, int, int]) -> Any:
    """Sets the display matrix (a, b, c, d) of an .mp4's video track. Returns its path."""
    data = bytearray(Path(path).read_bytes())
    at = data.find(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    Path(path).write_bytes(data)
    return path


def with_edits(path: Any, edits: Sequence[tuple[float, float]]) -> Any:
    """Gives every track of an .mp4 or .mov, whose index is at its end, an edit list of several
    parts: (first second, seconds) of each. Returns its path.
    """
    data = Path(path).read_bytes()
    index = data.rfind(b"moov") - 4
    moov = b"".join(_edited(*box, edits) for box in _boxes(data[index + 8 :]))
    Path(path).write_bytes(data[:index] + _box(b"moov", moov))
    return path


def _edited(kind: bytes, body: bytes, edits: Sequence[tuple[float, float]]) -> bytes:
    if kind != b"trak":
        return _box(kind, body)
    at = body.find(b"mdhd") + 16
    [ticks] = struct.unpack(">I", body[at : at + 4])
    rows = [
        struct.pack(">IiI", round(1000 * length), round(first * ticks), 1 << 16)
        for first, length in edits
    ]
    entries = _box(b"elst", struct.pack(">II", 0, len(rows)) + b"".join(rows))
    kept = [_box(*box) for box in _boxes(body) if box[0] != b"edts"]
    return _box(kind, b"".join([kept[0], _box(b"edts", entries), *kept[1:]]))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        [size] = struct.unpack(">I", data[:4])
        yield data[4:8], data[8:size]
        data = data[size:]


def damaged(data: bytes, seed: int) -> bytes:
    """Bytes with a fault, another one for each seed."""
    rng = np.random.default_rng(seed)
    out = np.frombuffer(data, np.uint8).copy()
    how, size = seed % 5, len(out)
    if how == 0:  # flips
        where = rng.integers(0, size, rng.integers(1, 200))
        out[where] ^= np.left_shift(1, rng.integers(0, 8, len(where))).astype(np.uint8)
    elif how == 1:  # cut short
        out = out[: rng.integers(1, size)]
    else:
        length = int(rng.integers(1, max(2, size // 4)))
        first, second = rng.integers(0, size - length, 2)
        if how == 2:  # exchanged
            one = out[first : first + length].copy()
            out[first : first + length] = out[second : second + length]
            out[second : second + length] = one
        elif how == 3:  # emptied
            out[first : first + length] = 0
        else:  # doubled
            out = np.insert(out, first, out[second : second + length])
    return out.tobytes()


def broken(folder: Path, source: Path) -> list[Path]:
    """Writes ten files that no video can be made of, each for another reason; `source` is good."""
    data = source.read_bytes()
    noise = np.random.default_rng(0).bytes(len(data))
    grey = np.full((64, 64, 3), 128, np.uint8)
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"no video\n" * 99,
        "noise.avi": noise,
        "start.mp4": data[: len(data) // 2],  # without what an .mp4 has at its end
        "zeros.mov": bytes(len(data)),
        "archive.mkv": b"PK\x03\x04" + noise,
        "overwritten.mp4": noise[:2048] + data[2048:],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in contents]
    paths += [write(folder / "nobody.mp4", [grey] * 12), write(folder / "picture.mp4", [grey])]
    with av.open(str(folder / "sound.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48_000)
        track.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return [*paths, folder / "sound.mp4"]


def times(path):
    """Seconds at which the frames of a video are shown."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def levels(path):
    """Brightness of each frame's lower right part."""
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [image[len(image) * 5 // 8 :, image.shape[1] // 2 :].mean() for image in images]


def samples(path):
    """Samples of each sound stream, decoded."""
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    out = []
    for number in range(count):
        with av.open(str(path)) as container:
            frames = container.decode(audio=number)
            out.append(np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]))
    return out


def about(path):
    """Frames a second, length in seconds, and tags of the file and of its streams."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        tags = dict(container.metadata)
        for stream in container.streams:
            tags.update(stream.metadata)
        return video.average_rate, container.duration / 1e6, tags
