"""Videos of every container and property: copies have their frames, times and sound."""

import itertools
import resource
import subprocess
import sys
from fractions import Fraction

import av
import clips
import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, containers
from stgan_jax.media.sound import Audio
from stgan_jax.util.errors import InputError


def pictures(count=12, size=(48, 64)):
    """Each of its own brightness, with a white corner at the top left."""
    images = [np.full((*size, 3), 40 + 9 * number, np.uint8) for number in range(count)]
    for image in images:
        image[: size[0] // 4, : size[1] // 4] = 255
    return images


WHOLE = containers.Cut()


def copied(source, target, cut=WHOLE, **options):
    info = containers.probe(source, cut)
    sound = Audio(source, cut.start, cut.end)
    with containers.video_writer(
        target, (info.height, info.width), info.fps, like=info, sound=sound, **options
    ) as append:
        for frame in containers.read_stamped(source, cut):
            append(frame)
    return target


@pytest.mark.parametrize("name", clips.KINDS)
def test_frames_times_and_sound_are_kept(tmp_path, name):
    source = clips.write(tmp_path / name, pictures(), metadata=clips.PRIVATE, **clips.KINDS[name])
    bytes_before = source.read_bytes()
    target = copied(source, tmp_path / f"out{source.suffix}")
    before, after = clips.times(source), clips.times(target)
    assert len(after) == 12
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=1.1e-3)
    assert float(containers.probe(target).fps) == pytest.approx(
        float(containers.probe(source).fps), rel=1e-3
    )
    (_, seconds_before, _), (_, seconds_after, metadata) = clips.about(source), clips.about(target)
    assert seconds_after == pytest.approx(seconds_before, abs=0.011)
    sounds = clips.samples(source), clips.samples(target)
    assert [len(s) for s in sounds[0]] == [len(s) for s in sounds[1]]
    assert all(np.array_equal(a, b) for a, b in zip(*sounds, strict=True))
    private = {*clips.PRIVATE, "location-eng"}
    assert not private & {key.lower() for key in metadata}
    np.testing.assert_allclose(clips.levels(target), clips.levels(source), atol=5)
    assert source.read_bytes() == bytes_before


def test_sound_starts_when_it_did(tmp_path):
    """Against the frames, in a file whose time stamps start late."""
    source = clips.write(
        tmp_path / "in.mkv",
        pictures(),
        sound="flac",
        base=Fraction(1, 1000),
        pts=clips.UNEVEN,
        origin=700,
    )
    target = copied(source, tmp_path / "out.mkv")

    def lag(path):
        with av.open(str(path)) as container:
            first = {}
            for packet in container.demux():
                if packet.pts is not None:
                    first.setdefault(packet.stream.type, float(packet.pts * packet.time_base))
        return first["video"] - first["audio"]

    assert lag(source) == pytest.approx(0.7, abs=0.03)
    assert lag(target) == pytest.approx(lag(source), abs=0.002)


@pytest.mark.parametrize(
    ("turn", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))]
)
def test_rotation_is_carried_out(tmp_path, turn, corner):
    """As FFmpeg's own players do: counter-clockwise by the matrix' angle."""
    source = clips.write(tmp_path / "in.mp4", pictures(3), turn=turn)
    target = copied(source, tmp_path / "out.mp4")
    image = next(containers.read_frames(target))
    assert image.shape[:2] == ((64, 48) if turn % 180 else (48, 64))
    assert image[corner].min() > 230
    assert sum(image[r, c].min() > 230 for r in (0, -1) for c in (0, -1)) == 1
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize("size", [(1, 1), (45, 63), (2, 3)])
def test_any_size_is_written(tmp_path, size):
    images = [np.full((*size, 3), 90, np.uint8)] * 3
    pixels = {"codec": "ffv1", "pixels": "bgr0"}
    target = copied(clips.write(tmp_path / "in.mkv", images, **pixels), tmp_path / "out.mkv")
    image = next(containers.read_frames(target))
    assert image.shape[:2] == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert abs(int(image[0, 0, 1]) - 90) < 8


def test_a_wrong_extension_is_no_hindrance(tmp_path):
    """What is in the file counts."""
    source = clips.write(tmp_path / "in.mkv", pictures(), sound="flac")
    renamed = source.rename(tmp_path / "in.avi")
    target = copied(renamed, tmp_path / "out.mkv")
    assert clips.times(target) == clips.times(renamed)
    assert np.array_equal(clips.samples(target), clips.samples(renamed))


def test_8k_frames_pass(tmp_path):
    images = [np.full((4320, 7680, 3), 90, np.uint8)]
    source = clips.write(tmp_path / "in.mp4", images, options={"preset": "ultrafast"})
    assert sum(1 for _ in containers.read_stamped(copied(source, tmp_path / "out.mp4"))) == 1


def test_a_part_is_cut_out_with_its_sound(tmp_path):
    source = clips.write(tmp_path / "in.mkv", pictures(20), sound="pcm_s16le")
    cut = containers.Cut(start=0.2, end=0.6, max_resolution=24)
    target = copied(source, tmp_path / "out.mkv", cut)
    np.testing.assert_allclose(clips.times(target), np.arange(10) / 25, atol=1.1e-3)
    image = next(containers.read_frames(target))
    assert image.shape[:2] == (24, 32)
    assert abs(image[-1, -1].mean() - (40 + 9 * 5)) < 4
    [sound] = clips.samples(target)
    assert len(sound) == pytest.approx(0.4 * 48_000, abs=2100)


def test_sound_that_a_container_cannot_hold_is_encoded_anew(tmp_path):
    source = clips.write(tmp_path / "in.mkv", pictures(), sound="pcm_s16le", streams=2)
    for suffix in (".mp4", ".webm"):
        sounds = clips.samples(copied(source, tmp_path / f"out{suffix}"))
        assert len(sounds) == 2
        assert all(abs(len(s) - 48 * 1024) < 2500 for s in sounds)


def test_uneven_times_do_not_go_into_an_avi(tmp_path):
    source = clips.write(tmp_path / "in.mkv", pictures(), base=Fraction(1, 1000), pts=clips.UNEVEN)
    with pytest.raises(InputError, match="uneven times: write to"):
        copied(source, tmp_path / "out.avi")
    assert not (tmp_path / "out.avi").exists()


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "mpeg4"])
def test_each_codec_writes(tmp_path, codec):
    source = clips.write(tmp_path / "in.mp4", pictures(4))
    target = copied(source, tmp_path / "out.mkv", codec=codec)
    np.testing.assert_allclose(clips.levels(target), [40, 49, 58, 67], atol=5)


def test_colours_keep_their_matrix(tmp_path):
    """A file that says BT.709 is converted by it both ways, and says so again."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:] = (200, 30, 60)
    source = clips.write(
        tmp_path / "in.mp4", [image] * 2, options={"x264-params": "colormatrix=bt709"}
    )
    before = next(containers.read_frames(source)).astype(int)
    target = copied(source, tmp_path / "out.mp4")
    assert containers.probe(target).color[2] == 1
    assert np.abs(next(containers.read_frames(target)).astype(int) - before).max() < 5


def test_interlaced_frames_are_made_whole(tmp_path):
    """Lines of the second field, which show another moment, are gone."""
    image = np.full((48, 64, 3), 60, np.uint8)
    image[1::2] = 200
    source = clips.write(tmp_path / "in.mkv", [image] * 2, codec="ffv1", pixels="bgr0")
    with av.open(str(source)) as container:
        frame = next(container.decode(video=0))
    assert np.ptp(containers._image(frame, containers.Cut())) > 100

    class Laced:
        interlaced_frame = True

        def __getattr__(self, name):
            return getattr(frame, name)

    assert np.ptp(containers._image(Laced(), containers.Cut())) < 5


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path):
    """Files may have 40 kB here: the writer fails in the middle, or as it ends."""
    code = (
        "import resource, sys, numpy as np\n"
        "from fractions import Fraction\n"
        "from stgan_jax.media import containers\n"
        "from stgan_jax.util.errors import one_sentence\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, {resource.RLIM_INFINITY}))\n"
        "rng = np.random.default_rng(0)\n"
        "writer = containers.video_writer(sys.argv[1], (240, 320), Fraction(25))\n"
        "with one_sentence(), writer as append:\n"
        "    for _ in range(30):\n"
        "        append(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out.mp4"], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def write(path, frames, fps=25):
    with containers.video_writer(path, frames[0].shape[:2], Fraction(fps)) as append:
        for frame in frames:
            append(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_frames_survive_writing_and_reading(tmp_path, suffix):
    path = tmp_path / f"scene{suffix}"
    scene = Scene(3, people=3, frames=80, size=(360, 480))
    images = [frame.image for frame in itertools.islice(scene, 12)]
    write(path, images, Fraction(30000, 1001))
    back = list(containers.read_frames(path))
    assert len(back) == 12
    error = np.abs(np.stack(back).astype(int) - np.stack(images))
    assert error.mean() < 6
    info = containers.probe(path)
    assert (info.width, info.height) == (480, 360)
    assert abs(float(info.fps) - 29.97) < 0.01
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_are_written_whole_in_what_every_player_plays(tmp_path):
    """H.264 at 4:2:0 has even sizes: the last row and column come twice."""
    images = [np.full((45, 63, 3), 90, np.uint8)] * 3
    write(tmp_path / "odd.mp4", images)
    back = next(containers.read_frames(tmp_path / "odd.mp4"))
    assert back.shape == (46, 64, 3)
    assert np.abs(back.astype(int) - 90).max() < 6
    with av.open(tmp_path / "odd.mp4") as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_failure_in_the_middle_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")

    def fail():
        with containers.video_writer(path, (48, 64), Fraction(25)) as append:
            append(np.zeros((48, 64, 3), np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_video_are_named(tmp_path):
    (tmp_path / "text.mp4").write_text("This is not a video.")
    (tmp_path / "empty.avi").touch()
    with av.open(tmp_path / "sound.wav", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    for name, word in (
        ("missing.mp4", "no such file"),
        ("text.mp4", "not a video"),
        ("empty.avi", "not a video"),
        ("sound.wav", "no video stream"),
        (".", "not a file"),
    ):
        with pytest.raises(InputError, match=word):
            next(containers.read_frames(tmp_path / name))


def test_outputs_that_cannot_be_written_are_named(tmp_path):
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    for path, word in (
        (tmp_path / "no" / "out.mp4", "create it"),
        (folder, "is a folder"),
        (tmp_path / "out.txt", "write to .mp4"),
    ):
        with (
            pytest.raises(InputError, match=word),
            containers.video_writer(path, (4, 4), Fraction(1)),
        ):
            pass


def test_samples_are_spread_over_the_whole_video(tmp_path):
    images = [np.full((32, 32, 3), 2 * i, np.uint8) for i in range(100)]
    write(tmp_path / "ramp.mp4", images)
    samples = background.spread(containers.read_frames(tmp_path / "ramp.mp4"), most=20)
    assert 7 <= len(samples) <= 20
    levels = np.mean(samples, axis=(1, 2, 3)) / 2
    assert levels.min() < 3
    assert levels.max() > 90
    assert np.ptp(np.diff(levels)) < 2
