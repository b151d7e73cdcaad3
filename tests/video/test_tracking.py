"""Tracks of people, against scenes whose truth is known and drawn figures."""

import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, segmentation
from stgan_jax.video.people import tracking


@pytest.fixture(scope="module")
def scene():
    return Scene(3, people=3, frames=80, size=(360, 480))


@pytest.fixture(scope="module")
def frames(scene):
    return list(scene)


def follow(scene, frames):
    samples = np.stack([frame.image for frame in frames])
    empty, restlessness = background.median_background(samples)
    thresholds = background.thresholds(restlessness)
    tracker = tracking.Tracker(scene.size)
    masks = [segmentation.foreground(f.image, empty, thresholds) for f in frames]
    for number, mask in enumerate(masks):
        tracker.update(number, mask)
    return masks, tracker.tracks


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
    shape, tracker = (200, 400), tracking.Tracker((200, 400))
    for t in range(60):
        mask = disc(shape, 100, 60 + 4 * t, 50, 14) | disc(shape, 104, 340 - 4 * t, 50, 14)
        tracker.update(t, mask.astype(np.uint8))
    assert len(tracker.tracks) == 2
    for track, sign in zip(tracker.tracks, (1, -1), strict=True):
        cols = [(s.box[1] + s.box[3]) / 2 for s in track.sightings]
        assert sign * (cols[-1] - cols[0]) > 200
        assert len(track.sightings) > 50


@pytest.mark.parametrize("turn", [False, True])
def test_people_who_meet_are_distinguished_by_their_clothes(turn):
    """They stand together, and then go on or turn back, whatever their direction was before."""
    shape, tracker = (200, 400), tracking.Tracker((200, 400))
    path = [*range(27), *[27] * 8, *range(28, 60)]
    back = [*range(27), *[27] * 8, *range(26, -1, -1)]
    for frame, t in enumerate(back if turn else path):
        red = disc(shape, 100, 80 + 4 * t, 50, 14)
        blue = disc(shape, 104, 320 - 4 * t, 50, 14)
        image = np.full((*shape, 3), 120, np.uint8)
        image[blue], image[red] = (40, 40, 200), (200, 40, 40)
        tracker.update(frame, (red | blue).astype(np.uint8), image)
    long = [track for track in tracker.tracks if len(track.sightings) > 50]
    assert len(long) == 2
    for track, start, step in zip(long, (80, 320), (4, -4), strict=True):
        table = track.sightings.table()
        assert np.all(np.diff(table[:, 0]) > 0)
        cols = table[:, [2, 4]].mean(1)[table[:, 0] >= 44]  # from where they are apart again
        own = start + step * np.array(back if turn else path)[table[table[:, 0] >= 44, 0]]
        assert np.abs(cols - own).max() < 12


def test_a_group_is_divided_by_its_heads():
    shape, tracker = (200, 300), tracking.Tracker((200, 300))
    for t in range(12):
        mask = disc(shape, 100, 100 + 2 * t, 60, 16) | disc(shape, 100, 140 + 2 * t, 60, 16)
        mask |= disc(shape, 110, 120 + 2 * t, 8, 20)  # they hold hands
        tracker.update(t, mask.astype(np.uint8))
    lengths = [len(track.sightings) for track in tracker.tracks]
    assert lengths == [12, 12]


def test_no_pixel_belongs_to_two_people(scene, frames):
    masks, tracks = follow(scene, frames)
    for number in range(0, len(frames), 7):
        total = np.zeros(scene.size, int)
        for track in tracks:
            total += sum(s.on(scene.size) for s in track.sightings if s.frame == number)
        assert total.max() <= 1
        assert not np.any(total & ~masks[number])


def test_memory_of_a_track_is_96_bytes_a_sighting():
    tracker = tracking.Tracker((240, 320))
    mask = np.zeros((240, 320), np.uint8)
    mask[50:200, 100:160] = 1
    for number in range(50):
        tracker.update(number, mask)
    [track] = tracker.tracks
    assert len(track.sightings._rows) * track.sightings._rows.itemsize == 96 * 50
    assert np.array_equal(track.sightings[17].on((240, 320)), mask)
