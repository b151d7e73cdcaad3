"""Gaits: what is kept of a walk, and how a key changes it. Oracles are closed forms."""

import jax
import numpy as np
import pytest

from stgan_jax.shapes import gait


def test_factors_are_the_keys_and_fill_their_range():
    drawn = [gait.factor(key, 0.12) for key in jax.random.split(jax.random.key(0), 16)]
    assert drawn[0] == gait.factor(jax.random.split(jax.random.key(0), 16)[0], 0.12)
    logs = np.sort(np.log(drawn)) / np.log(1.12)
    assert -1 <= logs[0] < -0.7 < 0.7 < logs[-1] <= 1
    assert np.diff(logs).min() > 0
    assert np.abs(logs).min() < 0.3  # around 1, not away from it
    assert gait.factor(jax.random.key(3), 0.0) == 1.0
    starts = [gait.start(key) for key in jax.random.split(jax.random.key(0), 16)]
    assert -0.5 <= min(starts) < -0.3 < 0.3 < max(starts) <= 0.5
    assert abs(np.corrcoef(starts, np.log(drawn))[0, 1]) < 0.6  # one does not tell the other


def read(phase, view=30.0, swing=1.0, condition="nm", pitch=6.0, noise=0.0, frames=60):
    pose = gait.pose_vector(phase, np.broadcast_to(view, frames), swing, condition, pitch)
    return gait.read(pose + noise * np.random.default_rng(0).normal(size=pose.shape))


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_gait_is_read_evenly(noise):
    phase = 0.3 + 0.041 * np.arange(60)
    result = read(phase, np.linspace(170, 200, 60), 0.95, "cl", 14.0, noise)
    # Also to the ends; whole turns do not count.
    off = result.phase - phase
    assert np.abs(off - round(off[30])).max() < 0.002 + 0.06 * noise
    assert np.abs(np.diff(result.phase) - 0.041).max() < 0.001 + 0.03 * noise
    assert np.abs((result.view - np.linspace(170, 200, 60) + 180) % 360 - 180).max() < 13
    np.testing.assert_array_equal(result.swing, 1.0)  # a step is a whole one
    assert (result.condition, result.pitch) == ("cl", 16.0)
    assert result.vector().shape == (60, 12)


def test_another_cadence_and_a_stop_are_followed():
    pace = np.repeat([0.03, 0.05, 0.0], 60)
    swing = np.repeat([1.0, 1.0, 0.05], 60)
    phase = np.cumsum(pace)
    result = read(phase, 0.0, swing, frames=180)
    rate = np.diff(result.phase)
    assert rate[:42] == pytest.approx(0.03, abs=0.002)
    assert rate[75:105] == pytest.approx(0.05, abs=0.004)
    assert rate[140:] == pytest.approx(0.0, abs=0.002)
    assert result.swing[:80].min() > 0.95
    assert result.swing[150:].max() < 0.15
    assert (np.diff(result.swing[100:160]) <= 0).all()  # nobody stops at once


def pose_of(phase, swing=1.0):
    return gait.pose_vector(phase, np.full(len(phase), 90.0), swing, "nm", 6.0)


def test_legs_that_are_hidden_go_on_as_before_and_after():
    phase = 0.1 * np.arange(150)
    pose = pose_of(phase)
    pose[55:105, :4] = 0.3 * pose_of(np.full(50, 0.4))[:, :4]  # what is read of no legs
    result = gait.read(pose)
    assert np.diff(result.phase) == pytest.approx(0.1, abs=0.012)
    assert np.abs(result.phase - phase - np.round(result.phase[0] - phase[0])).max() < 0.2
    np.testing.assert_allclose(result.phase[:30], phase[:30], atol=0.001)
    # All of them: steps of whatever cadence shows itself a little, or a usual one.
    for hint, cadence in ((0.0, 0.04), (0.3, 0.09)):
        pose = pose_of(0.09 * np.arange(150))
        pose[:, :4] = hint * pose[:, :4] + 0.4 * pose_of(np.full(150, 0.4))[:, :4]
        assert np.diff(gait.read(pose).phase) == pytest.approx(cadence, abs=0.003)


def test_one_leg_taken_for_the_other_is_caught_up_within_some_steps():
    phase = 0.1 * np.arange(120)
    result = gait.read(pose_of(phase + 0.5 * (np.arange(120) >= 60)))
    assert np.diff(result.phase).max() < 0.2
    assert np.diff(result.phase).min() > 0.0
    assert result.phase[-10:] % 1 == pytest.approx((phase[-10:] + 0.5) % 1, abs=0.01)


def test_whoever_stands_stands():
    for swing in (1.0, 0.1):  # in mid-step or not
        pose = pose_of(np.full(60, 0.3), swing)
        pose[:, :4] *= min(1.0, 0.5 + swing)
        assert np.diff(gait.read(pose).phase) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_short_walks_have_a_gait_too(frames):
    result = gait.read(pose_of(0.1 * np.arange(frames)))
    assert np.isfinite(result.vector()).all()
    assert result.vector().shape == (frames, 12)


def test_small_misreadings_are_rounded_away():
    # Half a bag, legs that swing a little less, a camera read a little too high.
    phase = 0.04 * np.arange(60)
    clean = gait.pose_vector(phase, np.full(60, 90.0), 1.0, "nm", 6.0)
    off = clean + np.array([0, 0, 0, 0, 0, 0, 0, 0, -0.12, 0.5, 0.3, 0.15], np.float32)
    np.testing.assert_array_equal(gait.read(off).vector(), gait.read(clean).vector())


@pytest.mark.parametrize(("factor", "start"), [(0.85, 0.0), (1.12, 0.3), (1.0, -0.5)])
def test_moving_a_gait_changes_tempo_start_and_view(factor, start):
    one = read(0.1 + 0.04 * np.arange(61), frames=61)
    moved = one.moved(factor, start, 8.0)
    wanted = one.phase[30] + start + factor * 0.04 * (np.arange(61) - 30)
    np.testing.assert_allclose(moved.phase, wanted, atol=0.002)
    np.testing.assert_allclose(moved.view, one.view + 8.0)
    np.testing.assert_array_equal(moved.swing, one.swing)
    assert moved.moved(1.0, 0.0, 0.0).vector() == pytest.approx(moved.vector())


def test_doubled_angles_decide_between_poses_that_look_alike():
    # Front or back, left foot or right foot: the reader's mean is near neither.
    phase = 0.04 * np.arange(60)
    pose = gait.pose_vector(phase, np.full(60, 8.0), 1.0, "nm", 6.0)
    pose[:, [0, 1, 4, 5]] *= 0.05
    pose[:, 5] += 0.03
    result = gait.read(pose)
    assert result.view == pytest.approx(8.0, abs=3.0)
    assert np.diff(result.phase) == pytest.approx(0.04, abs=0.001)
    assert np.abs(result.phase - phase).max() < 0.01
