"""Video in and out, background, people, colour: against scenes whose truth is known."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan_jax.data.scenes import Scene
from stgan_jax.errors import InputError
from stgan_jax.video import background, color, io, segmentation, tracking


def write(path, frames, fps=25):
    with io.video_writer(path, frames[0].shape[:2], Fraction(fps)) as append:
        for frame in frames:
            append(frame)


@pytest.fixture(scope="module")
def scene():
    return Scene(3, people=3, frames=80, size=(360, 480))


@pytest.fixture(scope="module")
def frames(scene):
    return list(scene)


# --- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_frames_survive_writing_and_reading(tmp_path, frames, suffix):
    path = tmp_path / f"scene{suffix}"
    images = [frame.image for frame in frames[:12]]
    write(path, images, Fraction(30000, 1001))
    back = list(io.read_frames(path))
    assert len(back) == 12
    error = np.abs(np.stack(back).astype(int) - np.stack(images))
    assert error.mean() < 6
    info = io.probe(path)
    assert (info.width, info.height) == (480, 360)
    assert abs(float(info.fps) - 29.97) < 0.01
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_are_written_whole_in_what_every_player_plays(tmp_path):
    """H.264 at 4:2:0 has even sizes: the last row and column come twice."""
    images = [np.full((45, 63, 3), 90, np.uint8)] * 3
    write(tmp_path / "odd.mp4", images)
    back = next(io.read_frames(tmp_path / "odd.mp4"))
    assert back.shape == (46, 64, 3)
    assert np.abs(back.astype(int) - 90).max() < 6
    with av.open(tmp_path / "odd.mp4") as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_failure_in_the_middle_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")

    def fail():
        with io.video_writer(path, (48, 64), Fraction(25)) as append:
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
            next(io.read_frames(tmp_path / name))


def test_outputs_that_cannot_be_written_are_named(tmp_path):
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    for path, word in (
        (tmp_path / "no" / "out.mp4", "create it"),
        (folder, "is a folder"),
        (tmp_path / "out.txt", "write to .mp4"),
    ):
        with pytest.raises(InputError, match=word), io.video_writer(path, (4, 4), Fraction(1)):
            pass


# --- background --------------------------------------------------------------------------


def test_median_background_is_the_empty_scene(scene, frames):
    samples = np.stack([frame.image for frame in frames])
    empty, restlessness = background.median_background(samples)
    seen_mostly = np.mean([frame.people > 0 for frame in frames], axis=0) < 0.4
    away = np.abs(empty.astype(int) - scene.background).max(-1)
    assert away[seen_mostly].max() <= 3
    assert restlessness[seen_mostly].max() < 10


def test_samples_are_spread_over_the_whole_video(tmp_path):
    images = [np.full((32, 32, 3), 2 * i, np.uint8) for i in range(100)]
    write(tmp_path / "ramp.mp4", images)
    samples = background.spread(io.read_frames(tmp_path / "ramp.mp4"), most=20)
    assert 7 <= len(samples) <= 20
    levels = np.mean(samples, axis=(1, 2, 3)) / 2
    assert levels.min() < 3
    assert levels.max() > 90
    assert np.ptp(np.diff(levels)) < 2


def moved(image, matrix):
    matrix = np.array(matrix, np.float32)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("seed", range(4))
def test_a_static_camera_is_told_from_a_moving_one(seed):
    shot = Scene(seed, frames=30, size=(360, 480), fps=12.5, textured=seed % 2 == 0)
    still = [frame.image for frame in shot]
    rng = np.random.default_rng(seed)
    motions = {
        "pan": [[[1, 0, 0.3 * i], [0, 1, 0]] for i in range(30)],
        "shake": [[[1, 0, x], [0, 1, y]] for x, y in rng.normal(0, 3, (30, 2))],
        "zoom": [[[1 + 0.002 * i, 0, 0], [0, 1 + 0.002 * i, 0]] for i in range(30)],
    }
    limit = 0.004
    assert background.camera_motion(np.stack(still)) < limit / 3
    for name, matrices in motions.items():
        shot = np.stack([moved(f, m) for f, m in zip(still, matrices, strict=True)])
        assert background.camera_motion(shot) > 1.5 * limit, name


def test_a_cut_is_motion_and_a_blank_wall_is_none():
    blank = np.full((10, 120, 160, 3), 128, np.uint8)
    assert background.camera_motion(blank) == 0.0
    noise = np.random.default_rng(0).integers(0, 255, (2, 120, 160, 3), dtype=np.uint8)
    cut = np.repeat([cv2.blur(image, (5, 5)) for image in noise], 5, axis=0)
    assert background.camera_motion(cut) > 0.004


# --- people ------------------------------------------------------------------------------


def follow(scene, frames):
    samples = np.stack([frame.image for frame in frames])
    empty, restlessness = background.median_background(samples)
    thresholds = background.thresholds(restlessness)
    follower = tracking.Follower(scene.size)
    masks = [segmentation.foreground(f.image, empty, thresholds) for f in frames]
    for number, mask in enumerate(masks):
        follower.see(number, mask)
    return masks, follower.tracks


def test_foreground_finds_the_people(scene, frames):
    masks, _ = follow(scene, frames)
    truth = np.stack([frame.people > 0 for frame in frames])
    found = np.stack(masks).astype(bool)
    assert (found & truth).sum() > 0.93 * truth.sum()  # whom it misses is covered
    assert (found & ~truth).sum() < 0.12 * truth.sum()


def seen_and_shaded(scene, dark=None):
    """Of a scene's frames: how much of the people, and of shadows beside them, is foreground.

    With `dark`, named garments are what the shadow makes of the ground, plain.
    """
    ground = scene.background[-60:].reshape(-1, 3).mean(0) * 0.55
    for garment in dark or ():
        scene._walks[0]._clothes[garment] = np.broadcast_to(np.float32(ground), (32, 32, 3))
    threshold = np.full(scene.size, 16, np.uint8)
    shares = []
    for t, frame in enumerate(scene):
        mask = segmentation.foreground(frame.image, scene.background, threshold) > 0
        person, shade = frame.people > 0, (scene.shadows(t) > 0.5) & (frame.people == 0)
        if person.sum() > 500:
            shares.append((mask[person].mean(), mask[shade].mean()))
    return np.mean(shares, axis=0)


def test_shadows_are_not_taken_for_people_nor_dark_clothes_for_shadows():
    everything = ["bottom", "shoe", "top", "coat", "bag", "skin", "hair"]
    for dark in ([], ["bottom"], ["bottom", "shoe"], everything):
        scene = Scene(5, people=1, frames=10, size=(240, 320), shadow=0.55)
        seen, shaded = seen_and_shaded(scene, dark)
        assert seen > 0.9
        assert shaded < (1.01 if dark else 0.25)


def test_every_person_has_one_track_while_they_are_apart():
    scene = Scene(8, people=2, frames=60, size=(360, 480))
    frames = list(scene)
    _, tracks = follow(scene, frames)
    for track in tracks:
        if len(track.sightings) < 15:
            continue
        owners = []
        for s in track.sightings:
            top, left, bottom, right = s.box
            inside = frames[s.frame].people[top:bottom, left:right][s.mask > 0]
            owners.append(np.bincount(inside, minlength=4)[1:].argmax())
        most = np.bincount(owners).max()
        assert most > 0.8 * len(owners)


def disc(shape, row, col, height, width):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return ((rows - row) / height) ** 2 + ((cols - col) / width) ** 2 < 1


def test_two_people_who_cross_keep_their_tracks():
    shape, follower = (200, 400), tracking.Follower((200, 400))
    for t in range(60):
        mask = disc(shape, 100, 60 + 4 * t, 50, 14) | disc(shape, 104, 340 - 4 * t, 50, 14)
        follower.see(t, mask.astype(np.uint8))
    assert len(follower.tracks) == 2
    for track, sign in zip(follower.tracks, (1, -1), strict=True):
        cols = [(s.box[1] + s.box[3]) / 2 for s in track.sightings]
        assert sign * (cols[-1] - cols[0]) > 200
        assert len(track.sightings) > 50


@pytest.mark.parametrize("turn", [False, True])
def test_people_who_meet_are_told_apart_by_their_clothes(turn):
    """They stand together, and then go on or turn back: where they were going tells nothing."""
    shape, follower = (200, 400), tracking.Follower((200, 400))
    path = [*range(27), *[27] * 8, *range(28, 60)]
    back = [*range(27), *[27] * 8, *range(26, -1, -1)]
    for frame, t in enumerate(back if turn else path):
        red = disc(shape, 100, 80 + 4 * t, 50, 14)
        blue = disc(shape, 104, 320 - 4 * t, 50, 14)
        image = np.full((*shape, 3), 120, np.uint8)
        image[blue], image[red] = (40, 40, 200), (200, 40, 40)
        follower.see(frame, (red | blue).astype(np.uint8), image)
    long = [track for track in follower.tracks if len(track.sightings) > 50]
    assert len(long) == 2
    for track, start, step in zip(long, (80, 320), (4, -4), strict=True):
        table = track.sightings.table()
        assert np.all(np.diff(table[:, 0]) > 0)
        cols = table[:, [2, 4]].mean(1)[table[:, 0] >= 44]  # from where they are apart again
        own = start + step * np.array(back if turn else path)[table[table[:, 0] >= 44, 0]]
        assert np.abs(cols - own).max() < 12


def test_a_group_is_told_apart_by_its_heads():
    shape, follower = (200, 300), tracking.Follower((200, 300))
    for t in range(12):
        mask = disc(shape, 100, 100 + 2 * t, 60, 16) | disc(shape, 100, 140 + 2 * t, 60, 16)
        mask |= disc(shape, 110, 120 + 2 * t, 8, 20)  # they hold hands
        follower.see(t, mask.astype(np.uint8))
    lengths = [len(track.sightings) for track in follower.tracks]
    assert lengths == [12, 12]


def test_no_pixel_belongs_to_two_people(scene, frames):
    masks, tracks = follow(scene, frames)
    for number in range(0, len(frames), 7):
        total = np.zeros(scene.size, int)
        for track in tracks:
            total += sum(s.on(scene.size) for s in track.sightings if s.frame == number)
        assert total.max() <= 1
        assert not np.any(total & ~masks[number])


# --- colour ------------------------------------------------------------------------------


def nearest_by_search(frame, source):
    rows, cols = np.nonzero(source)
    out, distance = np.zeros_like(frame), np.zeros(source.shape)
    for r in range(source.shape[0]):
        for c in range(source.shape[1]):
            squares = (rows - r) ** 2 + (cols - c) ** 2
            out[r, c] = frame[rows[squares.argmin()], cols[squares.argmin()]]
            distance[r, c] = np.sqrt(squares.min())
    return out, distance


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_nearest_colors_come_from_a_nearest_pixel(seed):
    rng = np.random.default_rng(seed)
    source = (rng.random((17, 23)) < rng.choice([0.02, 0.3])).astype(np.uint8)
    source[rng.integers(17), rng.integers(23)] = 1
    positions = np.stack([*np.mgrid[:17, :23], np.zeros((17, 23), int)], -1).astype(np.uint8)
    got = color.nearest_colors(positions, source).astype(int)  # colours that tell where from
    _, least = nearest_by_search(positions, source)
    rows, cols = np.mgrid[:17, :23]
    taken = np.hypot(got[..., 0] - rows, got[..., 1] - cols)
    assert source[got[..., 0], got[..., 1]].all()
    assert np.all(taken <= 1.05 * least + 0.1)


def test_paint_is_equation_9_to_the_letter():
    rng = np.random.default_rng(0)
    frame, empty = rng.integers(0, 255, (2, 40, 30, 3), dtype=np.uint8)
    own, new = disc((40, 30), 18, 12, 11, 6), disc((40, 30), 20, 16, 12, 7)
    canvas = empty.copy()
    color.paint(canvas, frame, own.astype(np.uint8), new.astype(np.uint8), literal=True)
    assert np.array_equal(canvas[~own & ~new], empty[~own & ~new])  # region 1
    assert np.array_equal(canvas[own & new], frame[own & new])  # region 2
    assert np.array_equal(canvas[own & ~new], empty[own & ~new])  # region 3
    fourth = new & ~own
    known = {tuple(p) for p in frame[own]}
    assert all(tuple(p) in known for p in canvas[fourth])


def test_paint_leaves_nothing_of_the_original_outside_the_new_silhouette():
    frame, empty = np.full((60, 60, 3), 250, np.uint8), np.zeros((60, 60, 3), np.uint8)
    own, new = disc((60, 60), 30, 30, 25, 12), disc((60, 60), 30, 34, 20, 8)
    canvas = empty.copy()
    color.paint(canvas, frame, own.astype(np.uint8), new.astype(np.uint8))
    far = ~cv2.dilate(new.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert not canvas[far].any()
    assert (canvas[cv2.erode(new.astype(np.uint8), np.ones((3, 3))) > 0] == 250).all()


def test_painting_nobody_changes_nothing():
    canvas = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    before, nobody = canvas.copy(), np.zeros((20, 20), np.uint8)
    somebody = nobody.copy()
    somebody[5:9, 5:9] = 1
    color.paint(canvas, before[::-1], nobody, somebody)
    color.paint(canvas, before[::-1], somebody, nobody)
    assert np.array_equal(canvas, before)
