"""Crops: a person's place in a frame, and back."""

import numpy as np

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import cropping


def test_crop_and_place_are_inverse_up_to_resampling():
    rng = np.random.default_rng(0)
    for seed in range(10):
        person = procedural.silhouettes(seed, procedural.VIEWS[seed], frames=1)[0]
        side = int(rng.integers(90, 500))
        square = np.array([rng.integers(-20, 40), rng.integers(-20, 200), side])
        frame = cropping.place(person, square, (600, 800))
        again = cropping.place(cropping.crop_mask(frame, square), square, (600, 800))
        assert frame.sum() > 500
        assert np.sum(frame & again) / np.sum(frame | again) > 0.97


def test_crop_keeps_the_aspect_and_pads_with_nothing():
    frame = np.zeros((100, 100), np.uint8)
    rows, cols = np.mgrid[:100, :100]
    frame[(rows - 20) ** 2 + (cols - 95) ** 2 < 15**2] = 1  # a disc, cut by the right border
    crop = cropping.crop_mask(frame, np.array([0, 70, 60]))
    assert crop[:, 121:].sum() == 0  # outside the frame
    height, width = np.ptp(np.nonzero(crop), axis=1)
    assert abs(height - 4 * 29) < 6
    assert abs(width - 4 * 19) < 6


def test_squares_hold_the_person_and_follow_steady_motion():
    time = np.arange(60)
    boxes = np.stack([100 + 0 * time, 3 * time, 200 + 0 * time, 3 * time + 40], -1)
    squares = cropping.track_squares(boxes)
    middle = squares[:, :2] + squares[:, 2:] / 2
    np.testing.assert_allclose(middle[:, 1], 3 * time + 20, atol=1)
    np.testing.assert_allclose(middle[:, 0], 150, atol=1)
    np.testing.assert_allclose(squares[:, 2], 100 / cropping.FILL, atol=1)


def test_square_of_a_single_sighting():
    assert cropping.track_squares(np.array([[10, 20, 110, 60]])).tolist() == [[1, -19, 118]]
