"""Writes videos of the kinds that people have, with PyAV, and reads them; tests use it, too."""

from collections.abc import Sequence
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
                as_type = np.float32 if "flt" in format else np.int16
                scaled = samples / 32768 if "flt" in format else samples
                noise = av.AudioFrame.from_ndarray(scaled.astype(as_type), format, "mono")
                noise.sample_rate, noise.pts = 48_000, number * samples.shape[1]
                container.mux(track.encode(noise))
            container.mux(track.encode(None))
        container.mux(stream.encode())
    return path


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
