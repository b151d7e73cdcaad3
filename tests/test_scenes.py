"""RGB scenes: what the truth says is what the picture shows."""

import numpy as np
import pytest

from stgan_jax.data.scenes import Scene


@pytest.fixture(scope="module", params=[True, False], ids=["textured", "plain"])
def scene(request):
    return Scene(3, people=3, frames=40, size=(240, 320), textured=request.param)


def test_outside_the_masks_is_the_background_and_inside_is_not(scene):
    for frame in list(scene)[::10]:
        away = np.abs(frame.image.astype(int) - scene.background).max(-1)
        empty = frame.people == 0
        rim = empty & (np.roll(~empty, 1, 0) | np.roll(~empty, -1, 0) | np.roll(~empty, 1, 1)
                       | np.roll(~empty, -1, 1))  # fmt: skip
        assert away[empty & ~rim].max() < 2 * 6  # six standard deviations of the noise
        assert np.median(away[~empty]) > 15


def test_everybody_crosses_the_picture(scene):
    seen = [np.unique(frame.people) for frame in scene]
    assert set(np.concatenate(seen)) == {0, 1, 2, 3}


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
