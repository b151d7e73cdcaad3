"""RGB scenes: what the truth says is what the picture shows."""

import numpy as np
import pytest
from scipy import ndimage

from stgan_jax.data.walkers import color_walks, recording
from stgan_jax.data.walkers.scenes import Scene


@pytest.fixture(scope="module", params=[True, False], ids=["textured", "plain"])
def scene(request):
    return Scene(3, people=3, frames=40, size=(240, 320), textured=request.param)


def test_outside_the_masks_is_the_background_and_inside_is_not(scene):
    for frame in list(scene)[::10]:
        away = np.abs(frame.image.astype(int) - scene.background).max(-1)
        empty = frame.people == 0
        shifts = [(1, 0), (-1, 0), (1, 1), (-1, 1)]
        rim = empty & np.any([np.roll(~empty, *shift) for shift in shifts], axis=0)
        assert away[empty & ~rim].max() < 2 * 6  # six standard deviations of the noise
        assert np.median(away[~empty]) > 15


def test_everybody_crosses_the_picture(scene):
    present = [np.unique(frame.people) for frame in scene]
    assert set(np.concatenate(present)) == {0, 1, 2, 3}


def test_the_same_seed_renders_the_same_scene():
    first, again, other = (list(Scene(seed, frames=2, size=(120, 160))) for seed in (1, 1, 2))
    assert np.array_equal(first[1].image, again[1].image)
    assert not np.array_equal(first[1].image, other[1].image)


def test_textured_clothes_vary_more_than_plain_ones():
    def variation(textured):
        total = []
        for seed in range(4):
            frame = list(Scene(seed, 2, 20, (240, 320), textured=textured, noise=0.0))[10]
            grey = frame.image.mean(-1)
            inside = (frame.people[1:] > 0) & (frame.people[:-1] > 0)
            total.append(np.abs(np.diff(grey, axis=0))[inside])
        return np.concatenate(total).mean()

    assert variation(True) > 1.5 * variation(False)


VIEWS = (0, 54, 90, 144)


def test_a_walk_in_colour_shows_the_person_where_the_true_mask_says():
    for seed, view in enumerate(VIEWS, 51):
        walk = color_walks.render(seed, view, "nm", 1, textural=False, complete=True, frames=12)
        assert walk.frames.shape == (12, 240, 320, 3)
        away = np.abs(walk.frames.astype(int) - walk.background).max(-1)
        assert np.mean(away[walk.masks == 1] > 15) > 0.75
        grown = np.array([ndimage.binary_dilation(m, iterations=2) for m in walk.masks])
        assert away[~grown].max() < 14
        assert not walk.occluder.any()


def test_complete_silhouettes_are_the_person_and_incomplete_ones_miss_parts():
    covered = {True: [], False: []}
    for complete, shares in covered.items():
        for seed, view in enumerate(VIEWS, 51):
            walk = color_walks.render(seed, view, "nm", 3, False, complete, frames=20)
            inside = walk.masks == 1
            assert (walk.silhouettes & ~inside & 1).sum() < 0.25 * inside.sum()
            shares += [s[m == 1].mean() for s, m in zip(walk.silhouettes, walk.masks, strict=True)]
            if complete:
                assert all(ndimage.label(s, np.ones((3, 3)))[1] == 1 for s in walk.silhouettes)
    assert np.mean(covered[True]) > 0.9
    assert np.min(covered[True]) > 0.75
    assert np.mean(np.array(covered[False]) < 0.85) > 0.2


def test_something_stands_before_half_of_the_incomplete_walks():
    walks = [color_walks.render(s, 90, "nm", 3, False, False, frames=30) for s in range(51, 67)]
    hidden = [w for w in walks if w.occluder.any()]
    assert 4 <= len(hidden) <= 12
    assert sum((w.masks & w.occluder).any() for w in hidden) > 0.6 * len(hidden)
    for walk in hidden:
        front = walk.occluder == 1
        assert not walk.silhouettes[:, front].any()
        assert np.abs(walk.frames[:, front].astype(int) - walk.background[front]).max() < 14


def test_the_same_clothes_are_worn_in_every_view_and_others_on_another_walk():
    def worn(seed, view, repetition):
        walk = color_walks.render(seed, view, "nm", repetition, False, True, frames=2)
        return walk.frames[walk.masks == 1].mean(0)

    people = range(51, 57)
    views = [np.abs(worn(s, 90, 1) - worn(s, 126, 1)).mean() for s in people]
    walks = [np.abs(worn(s, 90, 1) - worn(s, 90, 2)).mean() for s in people]
    assert np.mean(views) < 0.4 * np.mean(walks)


def test_a_colour_walk_is_the_recorded_one_and_repeats():
    first, again = (color_walks.render(60, 90, "nm", 2, True, True, frames=3) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    ideal = recording.silhouettes(60, 90, "nm", 2, frames=3)[0]
    rows, cols = np.nonzero(first.masks[0])
    tall = np.nonzero(ideal.any(1))[0]
    wide = np.nonzero(ideal.any(0))[0]
    assert abs(np.ptp(cols) / np.ptp(rows) - np.ptp(wide) / np.ptp(tall)) < 0.08
