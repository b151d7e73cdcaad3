"""The empty scene and its light, against scenes whose truth is known."""

import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, segmentation


@pytest.fixture(scope="module")
def scene():
    return Scene(3, people=3, frames=80, size=(360, 480))


@pytest.fixture(scope="module")
def frames(scene):
    return list(scene)


def test_median_background_is_the_empty_scene(scene, frames):
    samples = np.stack([frame.image for frame in frames])
    empty, restlessness = background.median_background(samples)
    mostly_visible = np.mean([frame.people > 0 for frame in frames], axis=0) < 0.4
    away = np.abs(empty.astype(int) - scene.background).max(-1)
    assert away[mostly_visible].max() <= 3
    assert restlessness[mostly_visible].max() < 10


def test_background_follows_light_and_not_a_person_who_stands_still():
    """Light falls by 40 % while somebody stands there for the later two thirds."""
    scene = Scene(4, people=1, frames=60, size=(240, 320))
    rendered = list(scene)
    middle = int(np.argmax([f.people.sum() for f in rendered]))
    order = [min(n, middle) if n > 20 else n for n in range(60)]
    light = np.linspace(1.0, 0.6, 60)
    images = [
        np.clip(rendered[t].image * light[n], 0, 255).astype(np.uint8) for n, t in enumerate(order)
    ]
    behind = background.scene_behind(np.stack(images[::2]).copy())
    lamp = background.Light(behind.empty, 5.0)
    for number, image in enumerate(images):
        empty = lamp.update(image)
        truth = scene.background * light[number]
        if number > 30:
            away = np.abs(empty.astype(int) - truth).max(-1)
            assert np.mean(away < 20) > 0.97
            person = rendered[order[number]].people > 0
            mask = segmentation.foreground(image, empty, behind.threshold)
            assert mask[person].mean() > 0.85
            assert mask[~person].mean() < 0.05


def test_a_lamp_that_is_switched_is_followed_within_a_fifth_of_a_second():
    empty = Scene(4, people=0, frames=1, size=(240, 320)).background
    lamp = background.Light(empty, 25.0)
    dark = (empty * 0.6).astype(np.uint8)
    lit = [lamp.update(image) for image in [empty, *[dark] * 5]]
    assert np.array_equal(lit[0], empty)
    assert np.abs(lit[-1].astype(int) - dark).max() < 12


@pytest.mark.parametrize("count", [1, 2, 5, 8, 15, 40, 61])
def test_a_median_is_the_middle_of_what_is_ordered(count):
    rng = np.random.default_rng(count)
    values = rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    assert np.array_equal(background.median(values), np.sort(values, axis=0)[count // 2])


def test_a_median_is_of_what_is_not_hidden():
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (9, 40, 30, 3), dtype=np.uint8)
    for share in (0.01, 0.3, 0.9):
        masks = (rng.random((9, 40, 30)) < share).astype(np.uint8)
        empty, _, unknown = background.median_without(samples, masks, 0.0)
        assert np.array_equal(unknown, masks.all(0))
        for row, col in rng.integers(0, (40, 30), (50, 2)):
            seen = np.sort(samples[masks[:, row, col] == 0, row, col], axis=0)
            if len(seen) % 2:
                assert np.array_equal(empty[row, col], seen[len(seen) // 2])
