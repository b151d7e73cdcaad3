"""Boxes become tracks: through crossings, gaps and weak detections, told apart by clothes."""

import numpy as np
import pytest

from stgan_jax.video.people import linking

RED, BLUE = (np.eye(288, dtype=np.float32)[n] for n in (0, 100))
FPS = 10.0


def box(column, row=100.0, height=60.0):
    return np.array([row, column, row + height, column + height / 3])


def look_of(found):
    """`linking.looks` in a frame: the look of the nearest of the people who were found."""

    def looks(boxes):
        middles = np.array([b[[1, 3]].mean() for b, _, _ in found])
        nearest = [np.abs(middles - b[[1, 3]].mean()).argmin() for b in boxes]
        return np.array([found[n][2] for n in nearest], np.float32).reshape(-1, 288)

    return looks


def link(frames, dressed=None):
    """Tracks of {frame: [(box, score, look)]}; `dressed` if others are there than are found."""
    linker = linking.Linker(FPS)
    for number in sorted(frames):
        found = frames[number]
        boxes = np.array([b for b, _, _ in found]).reshape(-1, 4)
        scores = np.array([score for _, score, _ in found])
        linker.update(number, boxes, scores, look_of((dressed or frames)[number]))
    return linker.tracks


def columns(track):
    return np.array([b[1] for b in track.boxes])


def crossing(hidden=range(0)):
    """Two people who pass each other in frame 20; one of them is not found in `hidden`."""
    frames = {}
    for n in range(0, 41, 2):
        frames[n] = [(box(100 + 5 * n), 0.8, RED)]
        if n not in hidden:
            frames[n].append((box(300 - 5 * n), 0.8, BLUE))
    return frames


@pytest.mark.parametrize("hidden", [range(0), range(14, 27)])
def test_who_crosses_keeps_the_track(hidden):
    tracks = link(crossing(hidden))
    assert len(tracks) == 2
    assert np.allclose(columns(tracks[0]), 100 + 5 * np.array(tracks[0].frames))
    assert np.allclose(columns(tracks[1]), 300 - 5 * np.array(tracks[1].frames))


def test_people_who_turn_round_while_they_are_hidden_are_told_apart_by_clothes():
    """By motion alone, each would go on as the other."""
    frames = {
        n: [(box(100 + 5 * n), 0.8, RED), (box(300 - 5 * n), 0.8, BLUE)] for n in range(0, 19)
    }
    frames |= {n: [] for n in range(19, 26)}
    for n in range(26, 46):
        frames[n] = [(box(190 - 5 * (n - 19)), 0.8, RED), (box(210 + 5 * (n - 19)), 0.8, BLUE)]
    tracks = link(frames)
    for track, look in ((tracks[0], RED), (tracks[1], BLUE)):
        assert track.look @ look > 0.9


def side_by_side(passing):
    """Two who walk as one and are found in one box for a while; one passes the other in it."""
    apart = {}
    for n in range(0, 30):
        second = 100 + 4 * n + (20 if not passing else 30 - 2 * n)
        apart[n] = [(box(100 + 4 * n), 0.8, RED), (box(second), 0.8, BLUE)]
    found = {}
    for n, people in apart.items():
        boxes = np.stack([b for b, _, _ in people])
        hull = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        found[n] = [(hull, 0.8, RED)] if 8 <= n < 24 else people
    return apart, found


@pytest.mark.parametrize("passing", [False, True])
def test_a_box_around_two_goes_on_with_both_as_their_clothes_say(passing):
    apart, found = side_by_side(passing)
    tracks = link(found, apart)
    assert len(tracks) == 2
    for track, person in zip(tracks, (0, 1), strict=True):
        away = columns(track) - [apart[n][person][0][1] for n in track.frames]
        assert np.abs(away).max() < 20
        assert np.abs(away[-6:]).max() < 1
        assert passing or len(track.frames) == 30


def test_parts_of_somebody_and_somebody_with_a_mirror_image_begin_no_track():
    whole, upper = box(100), np.array([100.0, 100, 130, 118])
    mirrored = np.array([100.0, 98, 215, 122])
    for other in (upper, mirrored):
        frames = {n: [(whole, 0.8, RED), (other, 0.6, RED)] for n in range(3)}
        assert len(link(frames)) == 1
    beside = {n: [(whole, 0.8, RED), (box(112), 0.6, BLUE)] for n in range(3)}
    assert len(link(beside)) == 2


def test_a_weak_box_goes_on_with_a_track_and_begins_none_unless_asked():
    linker = linking.Linker(FPS)
    one = look_of([(box(50), 0.25, RED)])
    weak = linker.update(0, box(50)[None], np.array([0.25]), one)
    assert (weak, linker.tracks) == ([0], [])
    linker.begin(0, box(50), 0.25, RED)
    assert linker.update(1, box(51)[None], np.array([0.25]), one) == []
    assert [track.frames for track in linker.tracks] == [[0, 1]]
    frames = {n: [(box(50 + n), 0.8 if n < 5 else 0.25, RED)] for n in range(12)}
    assert [len(track.frames) for track in link(frames)] == [12]
    assert link({n: [(box(50 + n), 0.25, RED)] for n in range(12)}) == []


def test_who_is_away_for_long_or_far_off_is_somebody_else():
    long = {0: [(box(50), 0.8, RED)], 100: [(box(50), 0.8, RED)]}
    far = {0: [(box(50), 0.8, RED)], 1: [(box(250), 0.8, RED)]}
    lower = {0: [(box(50), 0.8, RED)], 1: [(box(50, height=20.0), 0.8, RED)]}
    assert [len(link(frames)) for frames in (long, far, lower)] == [2, 2, 2]


def test_boxes_between_and_beyond_are_on_the_line():
    track = linking.BoxTrack(10, box(50), 0.8, RED)
    track.add(12, box(60), 0.8, RED)
    track.add(20, box(100), 0.8, RED)
    numbers = np.arange(6, 25)
    assert np.allclose(track.at(numbers), [box(50 + 5 * (n - 10)) for n in numbers])
    assert track.reach(4, (300, 400)) == range(6, 25)
    assert track.reach(4, (300, 128)) == range(6, 20 + 3 * 4 + 1)  # the last box is at the edge


def test_looks_compare_clothes_and_not_what_is_beside_them():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (200, 300, 3)).astype(np.uint8)
    boxes = np.array([box(c, row=40.0, height=120.0) for c in (20, 120, 220)])
    for column, trousers in ((20, 30), (120, 30), (220, 200)):
        picture[40:100, column + 8 : column + 32] = (180, 40, 40)
        picture[100:160, column + 8 : column + 32] = (30, 30, trousers)
    looks = linking.looks(picture, boxes)
    same, other = looks[0] @ looks[1], looks[0] @ looks[2]
    assert np.allclose((looks**2).sum(1), 1, atol=1e-5)
    assert same > 0.95
    assert 0.3 < other < 0.7  # half of the body is alike
    assert linking.looks(picture, np.zeros((0, 4))).shape == (0, 288)
    assert np.isfinite(linking.looks(picture, np.array([[300.0, 400.0, 320.0, 420.0]]))).all()
    green = np.full_like(picture, (0, 255, 0))
    assert np.isfinite(linking.looks(green, boxes)).all()


def test_overlap_is_intersection_over_union():
    one, other = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10], [20, 20, 30, 30]])
    assert np.allclose(linking.overlap(one, other), [[50 / 150, 0]])
