"""Gait energy images and nearest neighbours against plain NumPy."""

import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import gei


def test_energy_image_is_the_mean_of_normalised_silhouettes():
    masks = procedural.silhouettes(2, 90, frames=10)
    image = gei.energy_image(masks)
    assert image.shape == (64, 44)
    np.testing.assert_allclose(image, np.mean(gei.normalize(masks), axis=0), atol=1e-6)


def test_normalised_silhouettes_fill_the_height_and_are_centred_wherever_they_were():
    mask = np.zeros((2, 240, 240), np.uint8)
    mask[0, 100:228, 20:60] = 1
    mask[1, 10:74, 200:220] = 1
    out = gei.normalize(mask)
    for frame in out:
        rows, cols = np.nonzero(frame)
        assert (rows.min(), rows.max()) == (0, 63)
        assert abs((cols.min() + cols.max()) / 2 - 22) <= 1
        assert np.ptp(cols) in (18, 19, 20)


def test_frames_without_a_person_are_left_out():
    masks = np.concatenate(
        [np.zeros((3, 240, 240), np.uint8), procedural.silhouettes(1, 0, frames=2)]
    )
    assert len(gei.normalize(masks)) == 2
    assert not gei.energy_image(masks[:3]).any()


def test_rank1_takes_the_nearest_by_brute_force():
    rng = np.random.default_rng(0)
    gallery, probes = rng.random((12, 4, 5)), rng.random((30, 4, 5))
    subjects, of = rng.integers(0, 4, 12), rng.integers(0, 4, 30)
    expected = []
    for probe, subject in zip(probes, of, strict=True):
        distances = [np.sqrt(np.sum((probe - g) ** 2)) for g in gallery]
        expected.append(float(subjects[np.argmin(distances)] == subject))
    assert gei.rank1(gallery, subjects, probes, of).tolist() == expected


def test_walkers_are_recognised_by_their_gait():
    people = range(200, 212)
    images = {
        walk: np.stack(
            [gei.energy_image(procedural.silhouettes(p, 90, "nm", walk)) for p in people]
        )
        for walk in (1, 2)
    }
    assert gei.rank1(images[1], list(people), images[2], list(people)).mean() > 0.9


def test_calibration_counts_who_is_found_by_view():
    rng = np.random.default_rng(0)
    people = {(s, v): rng.uniform(size=(64, 44)) for s in (1, 2, 3) for v in (0, 90)}
    names, images = [], []
    for (subject, view), image in people.items():
        for number in range(1, 7):
            names.append((subject, "nm", number, view))
            # The last subject's probes look like the first's, at 90 degrees.
            swapped = number > 4 and subject == 3 and view == 90
            images.append(people[1, view] if swapped else image)
    found = gei.calibration(np.stack(images).astype(np.float32), names)
    assert found["nm"]["by_view"] == {"0": 1.0, "90": pytest.approx(2 / 3)}
    assert found["nm"]["same_view"] == pytest.approx(5 / 6)
    assert found["subjects"] == 3
    assert "bg" not in found
    text = gei.table(found)
    assert "0.83" in text
    assert "90:0.67" in text
