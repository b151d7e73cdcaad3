"""Files as people have them: cut without loss, written live, mirrored, joined, oddly named."""

import itertools
import os
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from stgan_jax.media import containers, streams
from stgan_jax.media.sound import Audio
from stgan_jax.util.errors import InputError


def pictures(count=100, size=(48, 64)):
    """Each of its own brightness, with a white corner at the top left."""
    images = [np.full((*size, 3), 40 + number, np.uint8) for number in range(count)]
    for image in images:
        image[: size[0] // 4, : size[1] // 4] = 255
    return images


def copied(source, target):
    info = containers.probe(source)
    sound = Audio(source)
    sound.check(target)
    size = info.height, info.width
    with containers.video_writer(target, size, info.fps, like=info, sound=sound) as append:
        for frame in containers.read_stamped(source):
            append(frame)
    return target


def lag(path):
    """Seconds by which the first noise comes after the first frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            data = np.abs(frame.to_ndarray()).reshape(-1)
            if (loud := data > (0.02 if data.dtype == np.float32 else 600)).any():
                heard = float(frame.pts * frame.time_base) + loud.argmax() / frame.sample_rate
                return heard - clips.times(path)[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """100 frames with B-frames between them, and a second of noise from the half of the first."""
    path = tmp_path_factory.mktemp("plain") / "in.mov"
    clips.write(path, pictures(), sound="pcm_s16le", options={"crf": "3"})
    return clips.shifted(path, path.with_name("late.mov"), 0.5, ["audio"])


@pytest.mark.parametrize(
    ("seconds", "kinds", "count"),
    [
        (-1, ("video", "audio"), 75), (-0.2, ("video", "audio"), 95), (-0.28, ("video",), 93),
        (0.4, ("video",), 100), (-0.7, ("audio",), 100), (2, ("video", "audio"), 100),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_edit_lists_are_obeyed(plain, tmp_path, seconds, kinds, count, suffix):
    """The frames that a player shows, at their times, with the sound that it plays then."""
    source = clips.shifted(plain, tmp_path / "in.mov", seconds, kinds)
    target = copied(source, tmp_path / f"out{suffix}")
    shown = clips.levels(target)
    assert len(shown) == count
    first = 100 - count
    np.testing.assert_allclose(shown, 40.0 + np.arange(first, 100), atol=4)
    assert lag(target) == pytest.approx(lag(source), abs=0.03)
    assert containers.probe(source).frames == count
    [wanted], [got] = clips.samples(source), clips.samples(target)
    if suffix == ".mov":
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".avi"])
def test_edit_lists_of_several_parts_are_obeyed(tmp_path, suffix):
    """0.4 to 0.8 s, then 1.2 to 1.8 s: the tone is silent between, and never heard so."""
    source = write_sound(tmp_path / "in.mov", 48_000, "mono", [(0, 0.8), (1.2, 2)], "aac")
    clips.with_edits(source, [(0.4, 0.4), (1.2, 0.6)])
    target = copied(source, tmp_path / f"out{suffix}")
    shown = 40.0 + np.array([*range(10, 20), *range(30, 45)])
    np.testing.assert_allclose(clips.levels(target), shown, atol=4)
    [wanted], [got] = clips.samples(source), clips.samples(target)
    assert len(wanted) == pytest.approx(48_000, abs=1024)
    assert len(got) == pytest.approx(len(wanted), abs=1024)
    loud = np.abs(got) > (0.01 if got.dtype == np.float32 else 300)
    assert loud.mean() > 0.9


def test_a_file_cut_short_is_still_refused(plain, tmp_path):
    with (
        av.open(str(plain)) as old,
        av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "faststart"}) as new,
    ):
        track = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                new.mux(packet)
    data = (tmp_path / "front.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match=r"cut short|damaged"):
        list(containers.read_stamped(tmp_path / "cut.mp4"))


LIVE = {"codec": "libvpx", "base": Fraction(1, 1000), "fps": 1000}


@pytest.mark.parametrize(
    ("name", "stamps", "rate"),
    [
        ("browser.webm", [33 * n + n // 3 for n in range(90)], 30),
        ("ntsc.mkv", [round(1001 / 30 * n) for n in range(90)], 29.97),
        ("slow.mkv", [66 * n + 2 * n // 3 for n in range(60)], 15),
        ("pauses.webm", [40 * n + 60_000 * (n > 30) for n in range(60)], 25),
        ("screen.webm", [2000 * n if n < 10 else 20_000 + 40 * n for n in range(60)], 25),
        ("uneven.webm", clips.UNEVEN, 27),
    ],
)
def test_rates_that_are_not_stated_come_from_the_stamps(tmp_path, name, stamps, rate):
    codec = {} if name.endswith("webm") else {"codec": "libx264"}
    images = pictures(len(stamps))
    source = clips.write(tmp_path / name, images, **LIVE | codec, pts=stamps, sound="libopus")
    clips.without_rate(source)
    assert float(containers.probe(source).fps) == pytest.approx(rate, rel=0.02)
    target = copied(source, tmp_path / f"out{source.suffix}")
    np.testing.assert_allclose(clips.times(target), np.array(stamps) / 1000, atol=1.1e-3)


def test_joined_matroska_files_have_the_rate_of_both(tmp_path):
    """Behind the seam FFmpeg's stamps of packets go back wherever frames change places."""
    part = clips.write(tmp_path / "in.mkv", pictures(60), sound="libopus")
    joined = tmp_path / "joined.mkv"
    joined.write_bytes(2 * part.read_bytes())
    assert containers.probe(joined).fps == 25
    shown = clips.times(copied(joined, tmp_path / "out.mkv"))
    wanted = [*np.arange(60) / 25, *(2.4 + np.arange(60) / 25)]
    np.testing.assert_allclose(shown, wanted, atol=0.05)


def test_rates_of_transport_streams_and_of_stated_nonsense(tmp_path):
    ticks = {"base": Fraction(1, 90_000), "pts": [3003 * n for n in range(60)]}
    source = clips.write(tmp_path / "in.mp4", pictures(60), fps=90_000, **ticks)
    assert float(containers.probe(source).fps) == pytest.approx(29.97, abs=0.01)
    source = clips.write(tmp_path / "in.ts", pictures(60), codec="mpeg2video")
    assert containers.probe(source).fps == 25
    fast = clips.write(
        tmp_path / "fast.avi", pictures(20), codec="mjpeg", pixels="yuvj420p", fps=500
    )
    assert containers.probe(fast).fps == 500
    assert not streams.plausible(containers.probe(fast).fps)


@pytest.mark.parametrize("matrix", [
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0),
])  # fmt: skip
def test_all_eight_orientations_are_right(tmp_path, matrix):
    """Pixel (x, y) is shown at (a x + c y, b x + d y), counted from the picture's middle."""
    image = np.full((48, 64, 3), 60, np.uint8)
    image[:16, :16] = 250
    image[:16, 48:] = 160
    source = clips.with_matrix(clips.write(tmp_path / "in.mp4", [image] * 3), matrix)
    a, b, c, d = matrix
    info = containers.probe(source)
    assert (info.width, info.height) == ((64, 48) if a else (48, 64))
    shown = next(containers.read_frames(copied(source, tmp_path / "out.mp4")))
    for (x, y), level in {(-28, -20): 250, (28, -20): 160, (-28, 20): 60, (28, 20): 60}.items():
        column, row = a * x + c * y + info.width // 2, b * x + d * y + info.height // 2
        assert abs(int(shown[row, column, 1]) - level) < 12


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("sound", ["aac", "mp2", "libmp3lame", "ac3"])
def test_joined_transport_streams_have_frames_and_sound_of_both(tmp_path, codec, sound):
    """Sound of the second part begins with its frames, though that of the first ended early."""
    for name, fps in (("a.ts", 25), ("b.ts", 50)):
        clips.write(tmp_path / name, pictures(50), codec=codec, fps=fps, sound=sound)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    target = copied(joined, tmp_path / ("out.mkv" if sound == "ac3" else "out.mp4"))
    wanted = [*np.arange(50) / 25, *(2 + np.arange(50) / 50)]
    np.testing.assert_allclose(
        np.array(clips.times(target)) - clips.times(target)[0], wanted, atol=0.05
    )
    [before], [after] = clips.samples(joined), clips.samples(target)
    assert len(after) == pytest.approx(len(before), abs=5000) or sound in ("mp2",)
    with av.open(str(target)) as container:
        heard = [float(f.pts * f.time_base) for f in container.decode(audio=0)]
    second = heard[int(np.argmax(np.diff(heard))) + 1] if sound != "mp2" else 2.0
    assert second - clips.times(target)[0] == pytest.approx(2, abs=0.1)


def codec_of_sound(path):
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.codec.canonical_name


@pytest.mark.parametrize(
    ("sound", "source", "target", "codec"),
    [
        ("libmp3lame", ".mp4", ".mp4", "mp3"), ("libmp3lame", ".avi", ".avi", "mp3"),
        ("libopus", ".mp4", ".mp4", "opus"), ("pcm_s16le", ".avi", ".mp4", "aac"),
        ("pcm_s16be", ".mov", ".mkv", "pcm_s16be"), ("aac", ".ts", ".mkv", "aac"),
        ("pcm_u8", ".mkv", ".webm", "opus"),
    ],
)  # fmt: skip
def test_sound_is_copied_where_the_container_takes_it(tmp_path, sound, source, target, codec):
    video = {".webm": "libvpx", ".avi": "mpeg4"}.get(source, "libx264")
    path = clips.write(tmp_path / f"in{source}", pictures(30), codec=video, sound=sound)
    out = copied(path, tmp_path / f"out{target}")
    assert codec_of_sound(out) == codec
    [wanted], [got] = clips.samples(path), clips.samples(out)
    if codec in sound:
        assert np.array_equal(got, wanted)
    assert len(got) == pytest.approx(len(wanted), abs=4100)


def write_sound(path, rate, layout, spans, codec="pcm_s16le"):
    """A video with a tone in the spans of seconds, and nothing between them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = 48, 64
        track = container.add_stream(codec, rate=rate)
        track.codec_context.layout = layout
        for number, image in enumerate(pictures(50)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        channels = track.codec_context.layout.nb_channels
        for begin, end in spans:
            tone = 8000 * np.sin(np.arange(round((end - begin) * rate)) * 440 * 2 * np.pi / rate)
            data = np.repeat(tone.astype(np.int16), channels)[None]
            frame = av.AudioFrame.from_ndarray(data, "s16", track.codec_context.layout.name)
            frame.sample_rate, frame.pts = rate, round(begin * rate)
            frame.time_base = Fraction(1, rate)
            container.start_encoding()  # only then the number of samples a frame is known
            size = track.codec_context.frame_size or 1024
            parts = av.AudioResampler(track.format, track.layout, rate, size)
            for part in (*parts.resample(frame), *parts.resample(None)):
                container.mux(track.encode(part))
        container.mux(track.encode(None))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("rate", "layout"), [(12_345, "mono"), (96_000, "quad"), (192_000, "stereo"), (44_100, "7.1")]
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_rates_and_layouts_that_an_encoder_lacks_are_converted(tmp_path, rate, layout, suffix):
    source = write_sound(tmp_path / "in.mkv", rate, layout, [(0, 2)])
    with av.open(str(copied(source, tmp_path / f"out{suffix}"))) as container:
        track = container.streams.audio[0]
        length = sum(f.samples / f.sample_rate for f in container.decode(track))
    assert length == pytest.approx(2, abs=0.06)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_gaps_in_the_sound_stay_where_they_are(tmp_path, suffix):
    """Sound that is encoded anew: 0.4 s late, and silent from 0.8 to 1.5 s."""
    source = write_sound(tmp_path / "in.mkv", 48_000, "mono", [(0.4, 0.8), (1.5, 2.0)])
    info = containers.probe(source)
    target = tmp_path / f"out{suffix}"
    with containers.video_writer(
        target, (48, 64), info.fps, like=info, sound=Audio(source, end=1.9)
    ) as append:
        for frame in containers.read_stamped(source):
            append(frame)
    with av.open(str(target)) as container:
        loud = []
        for frame in container.decode(audio=0):
            data = frame.to_ndarray().reshape(-1).astype(float)
            at = float(frame.pts * frame.time_base) + np.arange(len(data)) / 48_000
            loud.append(np.stack([at, np.abs(data) > 0.02 * (1 if data.max() < 2 else 32768)]))
    at, is_loud = np.concatenate(loud, 1)
    heard = [
        np.mean(is_loud[(at > a) & (at < b)])
        for a, b in itertools.pairwise((0.05, 0.35, 0.45, 0.75, 0.85, 1.45, 1.55, 1.85))
    ][::2]
    np.testing.assert_allclose(np.array(heard) > 0.5, [False, True, False, True])


@pytest.mark.parametrize(("codec", "layout", "suffix"), [
    ("aac", "7.1", ".webm"), ("libmp3lame", "mono", ".avi"), ("flac", "stereo", ".mp4"),
])  # fmt: skip
def test_late_sound_stays_late(tmp_path, codec, layout, suffix):
    late = write_sound(tmp_path / "in.mkv", 48_000, layout, [(0.4, 1.4)], codec)
    target = copied(late, tmp_path / f"out{suffix}")
    with av.open(str(target)) as container:
        heard = container.streams.audio[0].codec_context.layout
    assert heard.nb_channels == av.AudioLayout(layout).nb_channels
    mono = target.with_suffix(".wav")
    with av.open(str(target)) as old, av.open(str(mono), "w") as new:
        track = new.add_stream("pcm_s16le", rate=48_000)
        track.codec_context.layout = "mono"
        resampler = av.AudioResampler("s16", "mono", 48_000)
        begin = None
        for frame in old.decode(audio=0):
            begin = frame.time if begin is None else begin
            for part in resampler.resample(frame):
                new.mux(track.encode(part))
    [samples] = clips.samples(mono)
    first = begin + np.argmax(np.abs(samples.astype(int)) > 600) / 48_000
    assert first - clips.times(target)[0] == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_packets_shorter_than_their_stamps_unit_do_not_drift(tmp_path, suffix):
    """As TrueHD's: 40 samples each, 0.83 ms, in a container that holds milliseconds."""
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = 48, 64
        track = container.add_stream("pcm_s16le", rate=48_000)
        track.codec_context.layout = "mono"
        for number, image in enumerate(pictures(50)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for begin in range(0, 96_000, 40):
            packet = av.Packet(bytes(80) if begin < 90_000 else b"\0\x40" * 40)
            packet.pts = packet.dts = begin
            packet.time_base, packet.stream, packet.duration = Fraction(1, 48_000), track, 40
            container.mux(packet)
    target = copied(source, tmp_path / f"out{suffix}")
    [samples] = clips.samples(target)
    assert len(samples) == pytest.approx(96_000, abs=1024)
    with av.open(str(target)) as container:
        for frame in container.decode(audio=0):
            data = np.abs(frame.to_ndarray()).reshape(-1)
            if (loud := data > (0.1 if data.dtype == np.float32 else 3000)).any():
                break
    heard = float(frame.time) + loud.argmax() / 48_000
    assert heard == pytest.approx(90_000 / 48_000, abs=0.03)


NAMES = [
    "2024-05-01T12:30:00", "http://x", "100%", "%03d", "-dash", "--dash", "häßlich 🙂", "a\nb",
    "#1?x=2", "[1] {2} *", "'quoted\"", " space ", "concat:a|b", "n" * 249,
    os.fsdecode(b"\xff\xfe"),
]  # fmt: skip


@pytest.mark.parametrize("name", [name.replace("/", "_") for name in NAMES])
def test_any_name_is_read_and_written(tmp_path, monkeypatch, name):
    """In and out, by its relative path, in a folder of such a name."""
    images = pictures(4)
    plain = clips.write(tmp_path / "in.mp4", images, sound="aac")
    folder = tmp_path / name[:100]
    folder.mkdir()
    monkeypatch.chdir(folder)
    os.rename(plain, f"{name}.mp4")
    for suffix in (".mp4", ".mkv"):
        target = Path(f"{name}2{suffix}")
        copied(Path(f"{name}.mp4"), target)
        assert sum(1 for _ in containers.read_frames(target)) == 4
    assert len(os.listdir(".")) == 3
