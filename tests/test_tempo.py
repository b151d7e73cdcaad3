"""Cadence: periods of pose codes, factors, warped time. Oracles are closed forms."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from stgan_jax import tempo


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


def test_without_a_gait_nothing_is_changed():
    rng = np.random.default_rng(1)
    jitter = rng.normal(size=(60, 20))
    smooth = scipy.ndimage.gaussian_filter1d(rng.normal(size=(400, 20)), 2.5, axis=0)
    glide = np.cumsum(rng.normal(size=(60, 20)), 0)
    for still in (np.zeros((50, 20)), jitter, smooth, glide, codes(np.arange(12), 26.0)):
        assert tempo.period(still) == 0
        assert tempo.retimed(still, 1.2) is still


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


@pytest.mark.parametrize(("factor", "start"), [(0.85, 0.0), (1.12, 0.0), (1.12, 0.3), (1.0, -0.5)])
@pytest.mark.parametrize("frames", [50, 400])
def test_a_gait_is_drawn_at_another_time_of_nearly_the_same_place(factor, start, frames):
    time, period, drift = np.arange(frames), 26.4, 0.01
    made = tempo.retimed(codes(time, period, drift), factor, start)
    middle = (frames - 1) / 2
    wanted = codes(middle + factor * (time - middle) + start * period, period)
    # To the ends, which go on as they would; straight lines between frames leave out 0.03 of the
    # double frequency.
    np.testing.assert_allclose(made[:, :5], wanted[:, :5], atol=0.06)
    # What drifts is never more than half a repetition and a fade away.
    assert np.abs(made[:, 5] / drift - time).max() < period / 2 + 8
    assert np.abs(np.diff(made[:, 5])).max() < 0.4 * drift * period
