"""The empty scene and its light, against scenes whose truth is known."""

import cv2
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


def moved(image, matrix):
    matrix = np.array(matrix, np.float32)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("seed", range(4))
def test_a_moving_camera_moves_more_than_a_static_one(seed):
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
