"""Finding people in whole clips, by the real networks, in rendered scenes whose truth is known."""

import errno
import types
from unittest import mock

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Frame, Scene
from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.video import clip, report
from stgan_jax.video.backdrop import Backdrop
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import finding, networks, outlining
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.source import ClipOptions, ClipSource

SIZE = (240, 320)


@pytest.fixture(scope="module")
def nets(networks_folder):
    return networks.Networks(networks_folder)


def write(folder, images):
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:03d}.png"), image[..., ::-1])
    return folder


def read(folder):
    return [pictures.read(path)[..., ::-1] for path in sorted(folder.iterdir())]


def find(images, nets, folder):
    """Everybody in a clip; the frames that failed; each frame as it is shown without people."""
    source, blanks = ClipSource(write(folder / "in", images), ClipOptions().cut), Blanks()
    sides = finding.sides(source.samples(), nets)
    found = finding.find(source, sides, nets, Shelf(folder), blanks, lambda _: mock.MagicMock())
    backdrop = Backdrop(found.scene, 25.0, hidden=found.hidden)
    canvases = [backdrop.canvas(e) for e in backdrop.entries(source.frames(), blanks)]
    return types.SimpleNamespace(found=found, blanks=blanks.reasons, canvases=canvases)


def anonymize(source, output, **options):
    options = ClipOptions(seed=1, **options)
    return clip.anonymize_video(source, output, catalog.load(), options=options)


def away(one, other):
    """Grey levels between pictures: of the largest channel."""
    return np.abs(one.astype(int) - other).max(-1)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def masks_of(subject, shape=SIZE):
    return {s.frame: s.on(shape) > 0 for s in subject.sightings}


def near(people, share):
    """Where people are, and around them up to a share of their heights."""
    out = np.zeros(people.shape, bool)
    for number in set(np.unique(people)) - {0}:
        mask = people == number
        apart = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        out |= apart <= share * (np.ptp(np.flatnonzero(mask.any(1))) + 1)
    return out


# --- people who walk -------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[0, 4])
def walking(request, nets, tmp_path_factory):
    """Two people who cross each other."""
    scene = Scene(request.param, people=2, frames=36, size=SIZE)
    frames = list(scene)
    result = find([f.image for f in frames], nets, tmp_path_factory.mktemp("walking"))
    return scene, frames, result


def whole(frames):
    """Frame and number of everybody who is mostly visible."""
    for number in (1, 2):
        areas = np.array([(frame.people == number).sum() for frame in frames])
        for t in np.flatnonzero(areas > 0.7 * np.median(areas)):
            yield t, number


def test_everybody_is_found_and_nobody_else(walking):
    _, frames, result = walking
    tracks = [masks_of(subject) for subject in result.found.subjects]
    best = [
        max((iou(track[t], frames[t].people == n) for track in tracks if t in track), default=0.0)
        for t, n in whole(frames)
    ]
    assert len(best) > 50
    assert np.mean(np.array(best) >= 0.5) >= 0.95
    assert np.mean([b for b in best if b >= 0.5]) >= 0.85
    assert len(tracks) == 2
    assert [subject.why for subject in result.found.subjects] == [None, None]
    for track in tracks:
        for t, mask in track.items():
            assert (mask & (frames[t].people > 0)).sum() > 0.7 * mask.sum()
    assert result.blanks == {}


def test_no_pixel_of_a_person_is_shown_and_the_scene_stays(walking):
    scene, frames, result = walking
    for t, (frame, canvas) in enumerate(zip(frames, result.canvases, strict=True)):
        hide = result.found.hidden[t] > 0
        assert hide[frame.people > 0].all()
        telling = (frame.people > 0) & (away(frame.image, scene.background) > 30)
        assert (away(canvas, frame.image)[telling] > 4).all()
        assert (hide & ~near(frame.people, 0.12)).mean() <= 0.002
        changed = (canvas != frame.image).any(-1)
        assert (changed & ~near(frame.people, 0.2)).mean() <= 0.002


def test_the_empty_scene_is_the_true_one(walking):
    scene, frames, result = walking
    ever = np.any([result.found.hidden[t] for t in range(len(frames))], axis=0)
    differs = away(result.found.scene.empty, scene.background)
    assert differs[ever].mean() <= 3
    assert np.percentile(differs[ever], 99) <= 20


def test_two_who_cross_keep_their_tracks(walking):
    _, frames, result = walking
    centres = [
        [np.nonzero(f.people == n)[1].mean() for n in (1, 2)] for f in (frames[0], frames[-1])
    ]
    assert np.diff(centres[0]) * np.diff(centres[1]) < 0
    pairs = []
    for subject in result.found.subjects:
        track = masks_of(subject)
        who = [
            n
            for t, n in sorted(whole(frames))
            if t in track and iou(track[t], frames[t].people == n) > 0.5
        ]
        assert len(who) > 15
        assert len(set(who[:5])) == len(set(who[-5:])) == 1
        pairs.append((who[0], who[-1]))
    assert sorted(pairs) == [(1, 1), (2, 2)]


def test_joints_come_with_each_clear_outline(walking):
    _, frames, result = walking
    count = 0
    for subject in result.found.subjects:
        for sighting in subject.sightings:
            joints = sighting.joints
            if not sighting.clear:
                assert joints is None
                continue
            assert joints.shape == (33, 3)
            assert 0 <= joints[:, 2].min() <= joints[:, 2].max() <= 1
            size = np.tile(sighting.box[2:] - sighting.box[:2], 2)
            assert (joints[:, 2] > 0.5).sum() > 10
            # A hand that the body hides is guessed, and may be a little farther away.
            hands = np.isin(np.arange(33), range(15, 23))
            for chosen, margin in ((~hands, 0.3), (hands, 0.5)):
                low, high = np.split(sighting.box + margin * size * [-1, -1, 1, 1], 2)
                places = joints[chosen & (joints[:, 2] > 0.5), :2]
                assert ((places >= low) & (places <= high)).all()
            rows = (joints[:, 0] - sighting.box[0]) / size[0]
            assert rows[0] < 0.25 < rows[[23, 24]].mean() < 0.7 < rows[[27, 28]].mean()
            count += 1
    assert count > 0.6 * 2 * len(frames)


# --- who stands ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standing(nets, tmp_path_factory):
    """Somebody who stands and sways by a pixel; another one, of other colours, walks past."""
    scene = Scene(6, people=1, frames=30, size=SIZE)
    walk = list(scene)
    still = max(walk, key=lambda frame: frame.people.sum())
    frames = []
    for t, frame in enumerate(walk):
        sway = round(np.sin(t / 4))
        there = np.roll(still.people, sway, 1) > 0
        passing = np.where(frame.people[..., None] > 0, 255 - frame.image, frame.image)
        image = np.where(there[..., None], np.roll(still.image, sway, 1), passing)
        frames.append(Frame(image, np.where(there, 2, frame.people).astype(np.uint8)))
    result = find([f.image for f in frames], nets, tmp_path_factory.mktemp("standing"))
    return scene, frames, result


def test_who_stands_all_the_while_is_somebody_throughout(standing):
    _, frames, result = standing
    tracks = [masks_of(subject) for subject in result.found.subjects]
    best = [
        np.mean([iou(track[t], frames[t].people == 2) for t in track if track[t].any()])
        for track in tracks
    ]
    track = tracks[np.argmax(best)]
    assert len(track) >= 0.95 * len(frames)
    assert max(best) > 0.8


def test_who_stands_is_not_in_the_scene_and_the_rest_is(standing):
    scene, frames, result = standing
    everybody = np.zeros(SIZE, bool)
    for t, (frame, canvas) in enumerate(zip(frames, result.canvases, strict=True)):
        people = frame.people > 0
        assert result.found.hidden[t][people].all()
        telling = people & (away(frame.image, scene.background) > 30)
        same = away(canvas, frame.image) <= 4
        assert not cv2.erode((telling & same).astype(np.uint8), np.ones((2, 2))).any()
        everybody |= near(frame.people, 0.2)
    there = frames[0].people == 2
    telling = there & (away(frames[0].image, scene.background) > 60)
    empty = result.found.scene.empty
    assert (away(empty, frames[0].image)[telling] > 25).mean() > 0.95
    assert away(empty, scene.background)[~everybody].max() <= 12
    for t, canvas in enumerate(result.canvases):
        changed = (canvas != frames[t].image).any(-1)
        assert (changed & ~everybody).mean() <= 0.002


# --- what moves and is nobody ----------------------------------------------------------------


@pytest.fixture(scope="module")
def blocks():
    """An upright block of noise that walks through, and one that lies; their places."""
    rng = np.random.default_rng(5)
    upright, lying = (rng.integers(0, 256, (*size, 3), np.uint8) for size in ((60, 24), (24, 90)))
    scene = Scene(3, people=0, frames=30, size=SIZE)
    images, places = [], []
    for t, frame in enumerate(scene):
        image = frame.image.copy()
        here = np.s_[110:170, 20 + 6 * t : 44 + 6 * t], np.s_[200:224, 200 - 5 * t : 290 - 5 * t]
        image[here[0]], image[here[1]] = upright, lying
        images.append(image)
        places.append(here)
    return scene, images, places


def test_what_walks_and_is_not_recognised_is_covered_and_what_lies_is_left(blocks, nets, tmp_path):
    scene, images, places = blocks
    result = find(images, nets, tmp_path)
    [subject] = result.found.subjects
    assert subject.why == finding.UNCLAIMED
    track = masks_of(subject)
    assert len(track) > 0.9 * len(images)
    for t, (image, canvas) in enumerate(zip(images, result.canvases, strict=True)):
        upright, lying = places[t]
        if t in track:
            block = np.zeros(SIZE, bool)
            block[upright] = True
            assert iou(track[t], block) > 0.8
        telling = away(image, scene.background)[upright] > 30
        assert (away(canvas, image)[upright][telling] > 4).all()
        assert np.array_equal(canvas[lying], image[lying])


def test_things_are_removed_if_that_is_wanted(blocks, tmp_path):
    scene, images, places = blocks
    source = write(tmp_path / "in", images)
    result = anonymize(source, tmp_path / "out", things="remove")
    [person] = result["people"]
    assert person["covered_because"] == {finding.UNCLAIMED: person["frames_seen"]}
    assert result["exit_code"] == 3
    for output, place in zip(read(tmp_path / "out"), places, strict=True):
        differs = away(output, scene.background)
        assert differs.mean() < 3
        assert differs[place[0]].mean() < 10
        assert differs[place[1]].mean() < 10


# --- whole clips -----------------------------------------------------------------------------


def test_a_clip_that_lies_is_noticed_and_stays_as_it_is_stored(nets, tmp_path, capsys):
    """So short that people are covered alone: all that differs is where they were."""
    scene = Scene(0, people=2, frames=8, size=SIZE)
    frames = list(scene)
    upright = np.stack([frame.image for frame in frames])
    assert finding.quarter_turns(upright[:4], nets) == 0
    for turns in (1, 2, 3):
        stored = np.rot90(upright[:4], turns, (1, 2))
        assert finding.quarter_turns(stored, nets) == 4 - turns
    source = write(tmp_path / "in", np.rot90(upright, 1, (1, 2)))
    result = anonymize(source, tmp_path / "out")
    assert "people lie in it" in capsys.readouterr().err
    assert (result["width"], result["height"]) == (240, 320)
    assert [row["why"] for row in result["covered"]] == 2 * ["seen too briefly"]
    for frame, output in zip(frames, read(tmp_path / "out"), strict=True):
        assert output.shape == (320, 240, 3)
        output = np.rot90(output, -1)
        elsewhere = ~near(frame.people, 0.3)
        assert np.array_equal(output[elsewhere], frame.image[elsewhere])
        telling = (frame.people > 0) & (away(frame.image, scene.background) > 30)
        assert telling.sum() > 500
        assert (away(output, frame.image)[telling] > 4).all()


def test_a_clip_of_nobody_is_written_as_it_is_and_says_so(tmp_path):
    images = [frame.image for frame in Scene(7, people=0, frames=12, size=SIZE)]
    result = anonymize(write(tmp_path / "in", images), tmp_path / "out")
    assert result["exit_code"] == 3
    assert result["people"] == result["covered"] == result["blanked_frames"] == []
    assert "nobody was found" in report.summary(result)
    assert result["people_found_by"] == "networks"
    for image, output in zip(images, read(tmp_path / "out"), strict=True):
        assert np.array_equal(image, output)


def test_a_frame_that_cannot_be_outlined_shows_nobody_and_the_rest_goes_on(
    nets, tmp_path, monkeypatch
):
    scene = Scene(4, people=2, frames=16, size=SIZE)
    frames, outlined = list(scene), outlining.outlined

    def fails(image, *others):
        if np.array_equal(image, frames[7].image):
            raise RuntimeError("injected")
        return outlined(image, *others)

    monkeypatch.setattr(outlining, "outlined", fails)
    result = find([frame.image for frame in frames], nets, tmp_path)
    assert result.blanks == {7: "outlining failed (RuntimeError)"}
    assert [t for t in range(16) if result.found.hidden[t] is None] == [7]
    people = frames[7].people > 0
    telling = people & (away(frames[7].image, scene.background) > 30)
    assert (away(result.canvases[7], frames[7].image)[telling] > 4).all()
    for subject in result.found.subjects:
        seen = {s.frame for s in subject.sightings}
        assert 7 not in seen
        assert len(seen) > 10


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Shelf, "put"), (Shelf, "put_numbers"), (outlining, "outlined")],
)
def test_a_full_disk_ends_the_work(nets, tmp_path, monkeypatch, owner, name):
    """Also where other failures leave a frame blank."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    images = [frame.image for frame in Scene(4, people=2, frames=6, size=SIZE)]
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match="No space left"):
        find(images, nets, tmp_path)
