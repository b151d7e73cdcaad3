"""Where people walk in the picture. Oracles are a pinhole camera's own arithmetic."""

import numpy as np
import pytest

from stgan_jax.data.walkers import scenes
from stgan_jax.video.people import course

SHAPE = (480, 640)


def boxes(right, away, sway=0.0):
    """Of somebody 0.3 statures wide whose box sways with the steps, before a camera of 1.5 m."""
    scale, foot = scenes.standpoint(np.array(right, float), np.array(away, float), SHAPE)
    middle = foot[:, 1] + sway * scale * np.sin(2 * np.pi * np.arange(len(foot)) / 26)
    wide = 0.15 * scale
    return np.stack([foot[:, 0] - scale, middle - wide, foot[:, 0], middle + wide], 1)


def test_the_camera_s_height_is_found_from_people_near_and_far():
    rng, steps = np.random.default_rng(0), np.arange(50)
    people = [boxes(0.05 * steps - 1, np.full(50, away)) for away in (4.0, 6.0, 9.0)]
    noisy = [box + rng.normal(0, 1, box.shape) for box in people]
    assert course.eye(noisy) == pytest.approx(1.5 / scenes.METRES, rel=0.05)
    noisy[0][::7, 2] -= 60  # whose feet are hidden at times
    assert course.eye(noisy) == pytest.approx(1.5 / scenes.METRES, rel=0.1)


@pytest.mark.parametrize("people", [[], [boxes([0.0, 0.1], [5.0, 5.0])], [boxes([0] * 9, [5] * 9)]])
def test_boxes_of_one_size_tell_no_camera(people):
    assert course.eye(people) is None


@pytest.mark.parametrize("fps", [12.5, 25.0])
def test_steps_are_the_ground_s_and_not_the_sway_of_a_box(fps):
    """Across the picture at 1.4 m a second; in statures a frame."""
    right = 1.4 * np.arange(round(3 * fps)) / fps - 2
    known = course.track(boxes(right, np.full(len(right), 5.0), 0.02), fps, SHAPE, 0.88)
    expected = 1.4 / scenes.METRES / fps
    assert known.steps[:, 1] == pytest.approx(expected, rel=0.08)
    assert known.steps[:, 0] == pytest.approx(0.0, abs=1e-9)
    assert known.fps == fps


def test_who_comes_nearer_is_seen_more_from_above():
    pitches = []
    for away in (4.0, 6.0, 12.0):
        known = course.track(boxes(np.linspace(0, 1, 30), np.full(30, away)), 25.0, SHAPE, 2.0)
        pitches.append(known.pitch)
        # The body's middle, half a stature above the ground, from 2 statures; another lens.
        expected = np.degrees(np.arctan(1.5 * scenes.METRES / away * 1.25 * 480 / 640))
        assert known.pitch == pytest.approx(expected, rel=0.02)
    assert pitches[0] > pitches[1] > pitches[2]
    assert (
        course.track(boxes(np.linspace(0, 1, 30), np.full(30, 6.0)), 25, SHAPE, None).pitch is None
    )


def test_a_glimpse_tells_nothing():
    assert course.track(boxes([0.0, 0.1], [5.0, 5.0]), 25.0, SHAPE, 0.9).steps is None
