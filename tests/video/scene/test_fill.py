"""Filling hidden parts of a picture with copies of its other parts."""

import cv2
import numpy as np
import pytest

from stgan_jax.video.people import masks
from stgan_jax.video.scene import fill as scene_fill
from stgan_jax.video.scene.fill import fill


def stripes(height=150, width=200):
    """Slanted stripes of two colours, with a period of 12 pixels."""
    y, x = np.mgrid[:height, :width]
    return np.where(((x + y) // 6 % 2)[..., None], np.uint8([200, 60, 40]), np.uint8([30, 90, 120]))


def checkerboard(height=150, width=200):
    y, x = np.mgrid[:height, :width]
    return ((y // 10 + x // 10) % 2 * 160 + 40).astype(np.uint8)[..., None].repeat(3, 2)


def noise(height=150, width=200):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ellipse(shape, center, axes):
    """1 in an ellipse with a center and semi-axes (x, y)."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.ellipse(mask, center, axes, 0, 0, 360, 1, cv2.FILLED)
    return mask


def error(one, other, mask):
    return np.abs(one.astype(int) - other)[mask > 0].mean()


@pytest.mark.parametrize("pattern", [stripes, checkerboard])
@pytest.mark.parametrize("center", [(100, 75), (10, 75), (199, 149)])
def test_patterns_go_on_where_a_smear_ends_them(pattern, center):
    truth = pattern()
    hidden = ellipse(truth.shape, center, (20, 35))
    image = np.where(hidden[..., None] > 0, np.uint8(255), truth)
    filled = fill(image, hidden)
    assert np.array_equal(filled[hidden == 0], truth[hidden == 0])
    assert error(filled, truth, hidden) < 0.1 * error(masks.fill(image, hidden), truth, hidden)


def test_edges_stay_sharp_where_the_light_differs():
    shade = np.linspace(0.5, 1.2, 200)[None, :, None]
    truth = np.rint(checkerboard() * shade).astype(np.uint8)
    hidden = ellipse(truth.shape, (110, 70), (25, 45))
    assert error(fill(truth, hidden), truth, hidden) < 6


def test_hidden_pixels_have_no_influence():
    image, other = stripes(), stripes()
    hidden = ellipse(image.shape, (60, 75), (20, 50)) | ellipse(image.shape, (150, 60), (12, 30))
    image[hidden > 0] = (255, 0, 255)
    other[hidden > 0] = noise()[hidden > 0]
    assert np.array_equal(fill(image, hidden), fill(other, hidden))


def test_nothing_is_copied_from_where_it_is_not_allowed():
    image = np.full((120, 160, 3), 90, np.uint8)
    image[:, :80] = noise(120, 80) // 4 + 150  # brighter than all that is allowed
    allowed = np.zeros((120, 160), np.uint8)
    allowed[:, 80:] = 1
    for center in ((80, 60), (30, 60)):  # beside what is allowed, and far from it
        hidden = ellipse(image.shape, center, (15, 30))
        assert fill(image, hidden)[hidden > 0].max() > 140
        filled = fill(image, hidden, allowed)
        assert np.abs(filled[hidden > 0].astype(int) - 90).max() <= 1
        assert np.array_equal(filled[hidden == 0], image[hidden == 0])


def test_same_input_same_picture():
    image = noise()
    hidden = ellipse(image.shape, (100, 75), (30, 60))
    assert np.array_equal(fill(image, hidden), fill(image.copy(), hidden.copy()))


def test_grey_pictures_stay_grey_and_get_the_texture():
    grey = noise()[..., :1].repeat(3, 2)
    hidden = ellipse(grey.shape, (100, 75), (20, 40))
    filled = fill(grey, hidden)[hidden > 0]
    assert (filled == filled[:, :1]).all()
    assert filled.std() > 0.8 * grey.std()


def test_nothing_everything_and_nearly_everything_hidden():
    image = noise(60, 80)
    hidden = np.zeros((60, 80), np.uint8)
    assert np.array_equal(fill(image, hidden), image)
    assert not fill(image, hidden + 1).any()
    hidden[:, 3:] = 255  # too little is known for patches
    filled = fill(image, hidden)
    assert np.array_equal(filled[:, :3], image[:, :3])
    known = image[:, :3].reshape(-1, 3)
    assert (filled >= known.min(0)).all()
    assert (filled <= known.max(0)).all()
    assert filled.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 9), (64, 64)])
def test_small_and_plain_pictures(shape):
    image = np.full((*shape, 3), 77, np.uint8)
    hidden = np.zeros(shape, np.uint8)
    hidden[0, shape[1] // 2] = 1
    expected = 0 if hidden.all() else 77
    assert np.abs(fill(image, hidden).astype(int) - expected).max() <= 1


def test_large_holes_are_filled_at_half_the_size(monkeypatch):
    truth = checkerboard(302, 401)
    hidden = ellipse(truth.shape, (200, 150), (40, 80))
    monkeypatch.setattr(scene_fill, "_MOST", 4000)
    image = np.where(hidden[..., None] > 0, noise(302, 401), truth)
    filled = fill(image, hidden)
    assert np.array_equal(filled[hidden == 0], truth[hidden == 0])
    assert error(filled, truth, hidden) < 0.5 * error(masks.fill(image, hidden), truth, hidden)
    assert np.array_equal(
        filled, fill(np.where(hidden[..., None] > 0, 9, truth).astype("u1"), hidden)
    )
