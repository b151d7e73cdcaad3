"""Where people walk in the picture. Oracles are a pinhole camera's own arithmetic."""

import numpy as np
import pytest

from stgan_jax.data.walkers import scenes
from stgan_jax.media.segmentation import Region
from stgan_jax.video.people import course
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings

SHAPE = (480, 640)


def places(right, away, sway=0.0):
    """Of somebody whose middle sways with the steps, before a camera of 1.5 m."""
    scale, foot = scenes.standpoint(np.array(right, float), np.array(away, float), SHAPE)
    middle = foot[:, 1] + sway * scale * np.sin(2 * np.pi * np.arange(len(foot)) / 26)
    return np.stack([foot[:, 0], middle, scale], 1)


def walking(middles, shelf, bottom=400, height=200, width=80, size=SHAPE):
    """Sightings of somebody whose outline is a box that the frame may cut."""
    sightings = Sightings(shelf)
    for frame, middle in enumerate(middles):
        box = np.array([bottom - height, middle - width // 2, bottom, middle + width // 2])
        box = np.clip(box, 0, [*size, *size])
        mask = np.ones(box[2:] - box[:2], np.uint8)
        sightings.add(frame, Region(box, mask))
    return sightings


def test_the_camera_s_height_is_found_from_people_near_and_far():
    rng, steps = np.random.default_rng(0), np.arange(50)
    people = [places(0.05 * steps - 1, np.full(50, away)) for away in (4.0, 6.0, 9.0)]
    noisy = [place + rng.normal(0, 1, place.shape) for place in people]
    assert course.eye(noisy) == pytest.approx(1.5 / scenes.METRES, rel=0.05)
    noisy[0][::7, [0, 2]] -= 60  # whose feet are hidden at times
    assert course.eye(noisy) == pytest.approx(1.5 / scenes.METRES, rel=0.1)


@pytest.mark.parametrize(
    "people", [[], [places([0.0, 0.1], [5.0, 5.0])], [places([0] * 9, [5] * 9)]]
)
def test_places_of_one_size_tell_no_camera(people):
    assert course.eye(people) is None


@pytest.mark.parametrize("fps", [12.5, 25.0])
def test_steps_are_the_ground_s_and_not_the_sway_of_a_body(fps):
    """Across the picture at 1.4 m a second; in statures a frame."""
    right = 1.4 * np.arange(round(3 * fps)) / fps - 2
    known = course.track(places(right, np.full(len(right), 5.0), 0.02), fps, SHAPE, 0.88)
    expected = 1.4 / scenes.METRES / fps
    assert known.steps[:, 1] == pytest.approx(expected, rel=0.08)
    assert known.steps[:, 0] == pytest.approx(0.0, abs=1e-9)
    assert known.fps == fps


def test_who_comes_nearer_is_seen_more_from_above():
    pitches = []
    for away in (4.0, 6.0, 12.0):
        known = course.track(places(np.linspace(0, 1, 30), np.full(30, away)), 25.0, SHAPE, 2.0)
        pitches.append(known.pitch)
        # The body's middle, half a stature above the ground, from 2 statures; another lens.
        expected = np.degrees(np.arctan(1.5 * scenes.METRES / away * 1.25 * 480 / 640))
        assert known.pitch == pytest.approx(expected, rel=0.02)
        assert known.near == pytest.approx(scenes.METRES / away * 1.25 * 480 / 640, rel=0.01)
    assert pitches[0] > pitches[1] > pitches[2]
    assert (
        course.track(places(np.linspace(0, 1, 30), np.full(30, 6.0)), 25, SHAPE, None).pitch is None
    )


def test_a_glimpse_tells_nothing():
    assert course.track(places([0.0, 0.1], [5.0, 5.0]), 25.0, SHAPE, 0.9).steps is None


def test_who_comes_in_has_their_place_though_the_frame_cuts_them():
    middles = np.arange(10, 200, 5)
    [way] = course.ways([walking(middles, Shelf())], [], SHAPE, None)
    whole = middles > 40
    np.testing.assert_array_equal(way.whole, whole)
    np.testing.assert_allclose(way.places[:, 1], middles, atol=1.0)
    np.testing.assert_allclose(way.places[:, [0, 2]], [[400, 200]] * len(middles))


def test_who_comes_nearer_is_as_tall_as_at_that_moment_though_frames_are_missing():
    sightings = Sightings(Shelf())
    frames = np.array([*range(10), *range(10, 14), *range(30, 40)])
    for t in frames.tolist():
        left = -20 if 10 <= t < 14 else 100
        box = np.array([200 - t, max(left, 0), 400 + t, left + 80])
        sightings.add(t, Region(box, np.ones(box[2:] - box[:2], np.uint8)))
    [way] = course.ways([sightings], [], SHAPE, None)
    assert way.whole.sum() == 20
    np.testing.assert_allclose(way.places[:, 0], 400 + frames)
    np.testing.assert_allclose(way.places[:, 2], 200 + 2 * frames)


def test_whose_feet_are_below_the_frame_is_as_tall_as_before():
    shelf = Shelf()
    sightings = walking(np.full(20, 300), shelf, bottom=470, height=300)
    sightings.exchange(walking(np.full(20, 300), shelf, bottom=520, height=300), 10)
    [way] = course.ways([sightings], [], SHAPE, None)
    assert not way.whole[10:].any()
    np.testing.assert_allclose(way.places[:, 0], [470] * 10 + [520] * 10)
    np.testing.assert_allclose(way.places[:, 2], 300)


def test_whose_feet_are_below_the_frame_grows_as_what_is_above_the_hips():
    """And who turns their back has the right shoulder to the right."""
    sightings = Sightings(Shelf())
    frames = np.arange(40)
    height, top = 200 + 4.0 * frames, 200 - 2.0 * frames  # from frame 40 / 3 on feet are outside
    for t in frames:
        box = np.array([top[t], 260, min(top[t] + height[t], 440), 340]).astype(int)
        joints = np.zeros((33, 3), np.float32)
        for pair, below in (((7, 8), 0.07), ((11, 12), 0.2), ((23, 24), 0.5)):
            joints[pair, 0] = top[t] + below * height[t]
            joints[pair, 1] = 300 - 0.05 * height[t], 300 + 0.05 * height[t]
            joints[pair, 2] = 1.0
        mask = np.ones(box[2:] - box[:2], np.uint8)
        sightings.add(int(t), Region(box, mask), joints if t % 3 else None)
    [way] = course.ways([sightings], [], (440, 640), None)
    assert not way.whole[25:].any()
    np.testing.assert_allclose(way.places[:-6, 2], height[:-6], rtol=0.02)
    np.testing.assert_allclose(way.places[:-6, 0], (top + height)[:-6], rtol=0.02)
    np.testing.assert_array_equal(np.isnan(way.facing), frames % 3 == 0)
    np.testing.assert_allclose(way.facing[frames % 3 > 0], -0.1 / 0.3 / 0.5, rtol=0.01)


@pytest.mark.parametrize(("ankles", "tall"), [(0.95, 200), (0.5, 150)])
def test_a_raised_arm_does_not_count_and_soles_below_the_frame_do_not(ankles, tall):
    """Somebody of 200 pixels, who lifts an arm by 60, with ankles above the frame's lower side."""
    sightings = Sightings(Shelf())
    for t in range(30):
        up = 60 * (10 <= t < 20)
        top, bottom = 245 - up, 440 if t < 25 else 390
        joints = np.zeros((33, 3), np.float32)
        for pair, row in (((7, 8), 259), ((11, 12), 285), ((23, 24), 345), ((27, 28), 432)):
            joints[pair, 0] = row
            joints[pair, 1] = 290, 310
            joints[pair, 2] = ankles if row == 432 else 1.0
        mask = np.ones((bottom - top, 80), np.uint8)
        sightings.add(t, Region(np.array([top, 260, bottom, 340]), mask), joints)
    [way] = course.ways([sightings], [], (440, 640), None)
    assert way.whole[:25].all() == (tall == 200)
    np.testing.assert_allclose(way.places[:25, 2], tall, atol=8)


def test_who_is_passed_before_goes_on_behind():
    """Half of the farther person's outline is hidden while the other one goes by."""
    far, near = np.arange(100, 400, 5), np.full(60, 250)
    shelf = Shelf()
    sightings = Sightings(shelf)
    for frame, middle in enumerate(far):
        left, right = middle - 40, middle + 40
        right = 210 if left < 210 < right else right
        box = np.array([200, left, 400, right])
        sightings.add(frame, Region(box, np.ones(box[2:] - box[:2], np.uint8)))
    both = [sightings, walking(near, shelf, bottom=440)]
    ways = course.ways(both, both, SHAPE, None)
    hidden = (far + 40 > 210) & (far - 40 < 290)
    assert not ways[0].whole[hidden].any()
    assert ways[1].whole.all()
    np.testing.assert_allclose(ways[0].places[hidden, 1], far[hidden], atol=4.5)
