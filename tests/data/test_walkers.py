"""Procedural walkers: the same from the same seed, and walking as people do."""

import numpy as np
import pytest
from scipy import ndimage

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import identity
from stgan_jax.util.errors import InputError


def test_same_arguments_same_silhouettes_and_other_people_other_ones():
    first = procedural.silhouettes(3, 54, "bg", 2, frames=6)
    assert first.shape == (6, 240, 240)
    assert set(np.unique(first)) == {0, 1}
    assert np.array_equal(first, procedural.silhouettes(3, 54, "bg", 2, frames=6))
    assert not np.array_equal(first, procedural.silhouettes(4, 54, "bg", 2, frames=6))
    assert not np.array_equal(first, procedural.silhouettes(3, 54, "bg", 1, frames=6))


@pytest.mark.parametrize("view", procedural.VIEWS)
def test_a_walker_is_one_piece_that_fills_the_crop(view):
    for seed in range(6):
        condition = identity.CONDITIONS[seed % 3]
        for mask in procedural.silhouettes(seed, view, condition, frames=4, fps=5):
            assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
            rows, cols = np.nonzero(mask)
            assert 170 < np.ptp(rows) < 239
            assert rows.min() > 0
            assert cols.min() > 0
            assert rows.max() < 239
            assert cols.max() < 239


def test_legs_open_and_close_twice_a_gait_cycle():
    seed, fps, frames = 11, 25.0, 150
    masks = procedural.silhouettes(seed, 90, frames=frames, fps=fps)
    spread = [np.ptp(np.nonzero(m[180:].any(0))[0]) for m in masks]
    spectrum = np.abs(np.fft.rfft(spread - np.mean(spread), 16 * frames))
    steps_a_second = np.fft.rfftfreq(16 * frames, 1 / fps)[spectrum.argmax()]
    person = identity.sample_identity(seed)
    tempo = identity.sample_motion(seed, "nm", 1).tempo
    assert abs(steps_a_second - 2 * person.cadence * tempo) < 0.05


def test_bag_and_coat_add_to_the_silhouette():
    def area(condition):
        walks = [procedural.silhouettes(s, 54, condition, frames=8, fps=8) for s in range(8)]
        return np.mean([walk.sum((1, 2)).mean() for walk in walks])

    areas = {condition: area(condition) for condition in identity.CONDITIONS}
    assert areas["bg"] > 1.02 * areas["nm"]
    assert areas["cl"] > 1.05 * areas["nm"]


def test_opposite_views_of_a_level_camera_are_mirror_images():
    here = procedural.silhouettes(5, 36, frames=4, pitch=0.0)
    there = procedural.silhouettes(5, 216, frames=4, pitch=0.0)
    differing = np.mean(here != there[..., ::-1], axis=(1, 2))
    assert differing.max() < 0.015  # the camera's squares are rounded


def test_contours_come_in_the_order_asked_for_whatever_the_workers():
    arguments = ([7, 8], [0, 90], ["nm-01", "cl-02"], 3, "resampled")
    alone = procedural.contours(*arguments, workers=1)
    together = procedural.contours(*arguments, workers=2)
    assert alone.shape == (8, 3, 4000)
    assert alone.dtype == np.uint16
    assert np.array_equal(alone, together)
    single = procedural.contours([8], [90], ["nm-01"], 3, "resampled", workers=1)
    assert np.array_equal(alone[6], single[0])


@pytest.mark.parametrize("name", ["nm", "xx-01", "nm-one", ""])
def test_a_walk_of_another_name_is_refused(name):
    with pytest.raises(InputError, match="nm-01"):
        procedural.walk_name(name)
