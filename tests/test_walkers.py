"""Procedural walkers: the same from the same seed, and walking as people do."""

import numpy as np
import pytest
from scipy import ndimage

from stgan_jax.data import body, identity, walkers
from stgan_jax.errors import InputError


def test_same_arguments_same_silhouettes_and_other_people_other_ones():
    first = walkers.silhouettes(3, 54, "bg", 2, frames=6)
    assert first.shape == (6, 240, 240)
    assert set(np.unique(first)) == {0, 1}
    assert np.array_equal(first, walkers.silhouettes(3, 54, "bg", 2, frames=6))
    assert not np.array_equal(first, walkers.silhouettes(4, 54, "bg", 2, frames=6))
    assert not np.array_equal(first, walkers.silhouettes(3, 54, "bg", 1, frames=6))


@pytest.mark.parametrize("view", walkers.VIEWS)
def test_a_walker_is_one_piece_that_fills_the_crop(view):
    for seed in range(6):
        for mask in walkers.silhouettes(seed, view, identity.CONDITIONS[seed % 3], frames=4, fps=5):
            assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
            rows, cols = np.nonzero(mask)
            assert 170 < np.ptp(rows) < 239
            assert rows.min() > 0
            assert cols.min() > 0
            assert rows.max() < 239
            assert cols.max() < 239


def test_legs_open_and_close_twice_a_gait_cycle():
    seed, fps, frames = 11, 25.0, 150
    masks = walkers.silhouettes(seed, 90, frames=frames, fps=fps)
    spread = [np.ptp(np.nonzero(m[180:].any(0))[0]) for m in masks]
    spectrum = np.abs(np.fft.rfft(spread - np.mean(spread), 16 * frames))
    steps_a_second = np.fft.rfftfreq(16 * frames, 1 / fps)[spectrum.argmax()]
    person = identity.sample_identity(seed)
    tempo = identity.sample_motion(seed, "nm", 1).tempo
    assert abs(steps_a_second - 2 * person.cadence * tempo) < 0.05


def test_feet_stay_on_the_ground_and_hardly_slide():
    phase = np.arange(100) / 100
    stance = slice(4, 56)  # a foot bears the body
    slides = []
    for seed in range(40):
        person, motion = identity.sample_identity(seed), identity.sample_motion(seed, "nm", 1)
        spheres, stride = body.body_spheres(person, motion, "nm", phase)
        soles = [c[:, 2] - r for name, (c, r) in spheres.items() if name[:-2] in ("heel", "toe")]
        assert np.abs(np.min(soles, axis=0)).max() < 0.02  # of a body's height
        assert 0.5 < stride < 1.1  # people walk about 0.8 statures a gait cycle
        for side, ahead in (("R", 0.0), ("L", 0.5 + person.asymmetry[2])):
            spheres, _ = body.body_spheres(person, motion, "nm", phase - ahead)
            slides.append(np.ptp(spheres[f"ball_{side}"][0][stance, 0] / stride + phase[stance]))
    assert max(slides) < 0.03


def test_the_body_is_as_tall_as_it_says():
    heights = []
    for seed in range(30):
        person, motion = identity.sample_identity(seed), identity.sample_motion(seed, "nm", 1)
        spheres, _ = body.body_spheres(person, motion, "nm", np.arange(20) / 20)
        heights.append(max((c[:, 2] + r).max() for c, r in spheres.values()))
    assert abs(np.mean(heights) - 1.0) < 0.05


def test_bag_and_coat_add_to_the_silhouette():
    areas = {
        condition: np.mean([
            walkers.silhouettes(seed, 54, condition, frames=8, fps=8).sum((1, 2)).mean()
            for seed in range(8)
        ])
        for condition in identity.CONDITIONS
    }  # fmt: skip
    assert areas["bg"] > 1.02 * areas["nm"]
    assert areas["cl"] > 1.05 * areas["nm"]


def test_opposite_views_of_a_level_camera_are_mirror_images():
    here = walkers.silhouettes(5, 36, frames=4, pitch=0.0)
    there = walkers.silhouettes(5, 216, frames=4, pitch=0.0)
    differing = np.mean(here != there[..., ::-1], axis=(1, 2))
    assert differing.max() < 0.015  # the camera's squares are rounded


def test_contours_come_in_the_order_asked_for_whatever_the_workers():
    arguments = ([7, 8], [0, 90], ["nm-01", "cl-02"], 3, "resampled")
    alone = walkers.contours(*arguments, workers=1)
    together = walkers.contours(*arguments, workers=2)
    assert alone.shape == (8, 3, 4000)
    assert alone.dtype == np.uint16
    assert np.array_equal(alone, together)
    single = walkers.contours([8], [90], ["nm-01"], 3, "resampled", workers=1)
    assert np.array_equal(alone[6], single[0])


@pytest.mark.parametrize("name", ["nm", "xx-01", "nm-one", ""])
def test_a_walk_of_another_name_is_refused(name):
    with pytest.raises(InputError, match="nm-01"):
        walkers.walk_name(name)
