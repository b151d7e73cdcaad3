"""What people keep from recording to recording shows in their recordings."""

import dataclasses

import numpy as np
import pytest

from stgan_jax.data.walkers import habits, recording
from stgan_jax.shapes import identity


def spread_of_tempo(seed):
    return np.std([habits.motion(seed, "nm", n, 1.0).tempo for n in range(300)])


def test_people_differ_in_how_steady_their_cadence_is():
    steady, unsteady = sorted(range(1, 40), key=lambda seed: habits.sample_habits(seed).tempo)[::38]
    assert spread_of_tempo(unsteady) > 2.5 * spread_of_tempo(steady)
    motion = habits.motion(unsteady, "cl", 2, 1.6)
    drawn = identity.sample_motion(unsteady, "cl", 2, 1.6)
    assert dataclasses.replace(motion, tempo=drawn.tempo) == drawn


def test_phases_are_as_uneven_as_the_person_about_even_steps():
    frames, fps = 4000, 25.0
    for seed in (1, 2, 3):
        motion = identity.MEAN_MOTION
        phase = habits.phase(seed, motion, "nm", 1, frames, fps)
        even = identity.sample_identity(seed).cadence * np.arange(frames) / fps
        assert np.std(phase - even) == pytest.approx(habits.sample_habits(seed).uneven, rel=0.1)
        assert np.diff(phase).min() > 0
        assert not np.array_equal(phase, habits.phase(seed, motion, "nm", 2, frames, fps))


def test_a_person_walks_off_the_line_by_the_same_in_all_views():
    walks = [(v, c, n) for v in (0, 54, 90) for c in identity.CONDITIONS for n in range(1, 9)]
    yaws = [[recording.sample_camera(seed, *walk).yaw for walk in walks] for seed in range(1, 20)]
    paths = [habits.sample_habits(seed).path for seed in range(1, 20)]
    np.testing.assert_allclose(np.mean(yaws, 1), paths, atol=1.2)
    assert np.std(yaws, 1).mean() == pytest.approx(1.5, abs=0.2)


def test_bags_are_carried_in_all_normal_walks_or_none():
    people = range(1, 125)
    always = [seed for seed in people if habits.sample_habits(seed).bag]
    assert 6 <= len(always) <= 24
    for seed in people:
        at = np.zeros(2)
        parts = {
            condition: {p.garment for p in recording.walker(seed, at, 6.0, condition, 1).parts}
            for condition in identity.CONDITIONS
        }
        assert ("bag" in parts["nm"]) == (seed in always)
        assert "bag" in parts["bg"]
        assert "bag" not in parts["cl"]


def test_who_has_hair_like_the_wall_loses_it_in_every_walk():
    whole = recording.walker(4, np.full(8, 90.0), 6.0, "nm", 1)
    camera = dataclasses.replace(recording.sample_camera(4, 90, "nm", 1), patchy=0.0, floor=0.0)
    lasting = np.zeros((156, 156), np.float32)

    def heights(blends):
        pictures = recording.pictures(whole, 120.0, 156, 1.12, blends)
        rng = np.random.default_rng(0)
        masks = [recording.segmented(seen, camera, lasting, rng) for seen in pictures]
        return np.array([np.ptp(np.flatnonzero(mask.any(1))) for mask in masks])

    plain, blond, barefoot = heights({}), heights({"hair": 0.6}), heights({"shoe": 0.6})
    assert (plain - blond).mean() > 1.0  # of some 120 rows
    assert (plain - barefoot).mean() > 1.0


def test_clothes_melt_into_the_wall_at_the_same_places_in_every_walk():
    def lost(seed, repetition, condition="nm"):
        canvas = 156
        own = recording._in_a_row(seed, 90, condition, 0xF0)
        return recording._lasting(own, np.random.default_rng(repetition), canvas).ravel()

    people = [lost(seed, 1) for seed in range(1, 9)]
    again = [lost(seed, 2) for seed in range(1, 9)]
    alike = np.corrcoef(people, again)[:8, 8:]
    assert np.diag(alike).min() > 0.8
    assert np.abs(alike[~np.eye(8, dtype=bool)]).max() < 0.4
    for condition in ("bg", "cl"):  # filmed at another time, or in other clothes
        assert abs(np.corrcoef(lost(3, 1, condition), people[2])[0, 1]) < 0.4
    for of in ("bias", "patchy", "floor"):
        strength = [
            [getattr(recording.sample_camera(seed, 90, "nm", n), of) for n in range(1, 7)]
            for seed in range(1, 30)
        ]
        assert np.std(np.mean(strength, 1)) > 2 * np.std(strength, 1).mean()
