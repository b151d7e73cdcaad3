"""Cadence and gait: periods of pose codes, factors, what is kept. Oracles are closed forms."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from stgan_jax import gait, tempo


def codes(time, period, drift=0.0):
    """A gait: a cycle and its double in several phases, and a view that changes evenly."""
    turn = 2 * np.pi * np.asarray(time)[:, None] / period
    waves = [np.cos(turn + np.arange(3)), 0.3 * np.cos(2 * turn + np.arange(2))]
    return np.concatenate([*waves, drift * np.asarray(time)[:, None]], 1)


@pytest.mark.parametrize("period", [13.4, 26.3, 33.0])
def test_period_is_found_between_frames_in_noise_and_drift(period):
    noise = 0.2 * np.random.default_rng(0).normal(size=(50, 6))
    shown = codes(np.arange(50), period, drift=0.05) + noise
    assert tempo.period(shown) == pytest.approx(period, rel=0.025)


def test_a_long_walk_shows_a_period_that_a_short_one_hides_in_noise():
    noise = 0.68 * np.random.default_rng(2).normal(size=(350, 6))
    shown = codes(np.arange(350), 9.3) + noise
    assert tempo.period(shown) == pytest.approx(9.3, rel=0.025)
    assert tempo.period(shown[:25]) == 0


def test_without_a_gait_none_is_found():
    rng = np.random.default_rng(1)
    jitter = rng.normal(size=(60, 20))
    smooth = scipy.ndimage.gaussian_filter1d(rng.normal(size=(400, 20)), 2.5, axis=0)
    glide = np.cumsum(rng.normal(size=(60, 20)), 0)
    for still in (np.zeros((50, 20)), jitter, smooth, glide, codes(np.arange(12), 26.0)):
        with tempo.watched() as found:
            assert not tempo.found(still)
        assert found == [False]


def test_factors_are_the_keys_and_fill_their_range():
    drawn = [tempo.factor(key, 0.12) for key in jax.random.split(jax.random.key(0), 16)]
    assert drawn[0] == tempo.factor(jax.random.split(jax.random.key(0), 16)[0], 0.12)
    logs = np.sort(np.log(drawn)) / np.log(1.12)
    assert -1 <= logs[0] < -0.7 < 0.7 < logs[-1] <= 1
    assert np.diff(logs).min() > 0
    assert np.abs(logs).min() < 0.3  # around 1, not away from it
    assert tempo.factor(jax.random.key(3), 0.0) == 1.0
    starts = [tempo.start(key) for key in jax.random.split(jax.random.key(0), 16)]
    assert -0.5 <= min(starts) < -0.3 < 0.3 < max(starts) <= 0.5
    assert abs(np.corrcoef(starts, np.log(drawn))[0, 1]) < 0.6  # one does not tell the other


def read(phase, view=30.0, swing=1.0, condition="nm", pitch=6.0, noise=0.0, frames=60):
    shown = gait.pose_vector(phase, np.broadcast_to(view, frames), swing, condition, pitch)
    return gait.read(shown + noise * np.random.default_rng(0).normal(size=shown.shape))


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_gait_is_read_evenly(noise):
    phase = 0.3 + 0.041 * np.arange(60)
    told = read(phase, np.linspace(170, 200, 60), 0.95, "cl", 14.0, noise)
    # Also to the ends; whole turns do not count.
    off = told.phase - phase
    assert np.abs(off - round(off[30])).max() < 0.002 + 0.06 * noise
    assert np.abs(np.diff(told.phase) - 0.041).max() < 0.001 + 0.03 * noise
    assert np.abs((told.view - np.linspace(170, 200, 60) + 180) % 360 - 180).max() < 13
    np.testing.assert_array_equal(told.swing, 1.0)  # a step is a whole one
    assert (told.condition, told.pitch) == ("cl", 16.0)
    assert told.vector().shape == (60, 12)


def test_another_cadence_and_a_stop_are_followed():
    pace = np.repeat([0.03, 0.05, 0.0], 60)
    swing = np.repeat([1.0, 1.0, 0.05], 60)
    phase = np.cumsum(pace)
    told = read(phase, 0.0, swing, frames=180)
    rate = np.diff(told.phase)
    assert rate[:42] == pytest.approx(0.03, abs=0.002)
    assert rate[75:105] == pytest.approx(0.05, abs=0.004)
    assert rate[140:] == pytest.approx(0.0, abs=0.002)
    assert told.swing[:80].min() > 0.95
    assert told.swing[150:].max() < 0.15
    assert (np.diff(told.swing[100:160]) <= 0).all()  # nobody stops at once


def test_what_of_a_misreading_is_not_kept():
    # Half a bag, legs that swing a little less, a camera read a little too high.
    phase = 0.04 * np.arange(60)
    clean = gait.pose_vector(phase, np.full(60, 90.0), 1.0, "nm", 6.0)
    off = clean + np.array([0, 0, 0, 0, 0, 0, 0, 0, -0.12, 0.5, 0.3, 0.15], np.float32)
    np.testing.assert_array_equal(gait.read(off).vector(), gait.read(clean).vector())


@pytest.mark.parametrize(("factor", "start"), [(0.85, 0.0), (1.12, 0.3), (1.0, -0.5)])
def test_a_gait_is_moved(factor, start):
    one = read(0.1 + 0.04 * np.arange(61), frames=61)
    made = one.moved(factor, start, 8.0)
    wanted = one.phase[30] + start + factor * 0.04 * (np.arange(61) - 30)
    np.testing.assert_allclose(made.phase, wanted, atol=0.002)
    np.testing.assert_allclose(made.view, one.view + 8.0)
    np.testing.assert_array_equal(made.swing, one.swing)
    assert made.moved(1.0, 0.0, 0.0).vector() == pytest.approx(made.vector())


def test_what_looks_alike_is_told_by_doubles():
    # Front or back, left foot or right foot: the reader's mean is near neither.
    phase = 0.04 * np.arange(60)
    shown = gait.pose_vector(phase, np.full(60, 8.0), 1.0, "nm", 6.0)
    shown[:, [0, 1, 4, 5]] *= 0.05
    shown[:, 5] += 0.03
    told = gait.read(shown)
    assert told.view == pytest.approx(8.0, abs=3.0)
    assert np.diff(told.phase) == pytest.approx(0.04, abs=0.001)
    assert np.abs(told.phase - phase).max() < 0.01
