"""Gaits: what is kept of a walk, and how a key changes it. Oracles are closed forms."""

import jax
import numpy as np
import pytest

from stgan_jax.shapes import gait


def test_starts_are_the_keys_and_fill_their_range():
    starts = [gait.start(key) for key in jax.random.split(jax.random.key(0), 16)]
    assert starts[0] == gait.start(jax.random.split(jax.random.key(0), 16)[0])
    assert -0.5 <= min(starts) < -0.3 < 0.3 < max(starts) <= 0.5


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


def test_a_walk_past_a_camera_is_even_and_has_no_stops():
    walk = gait.past(54.0, 60)
    np.testing.assert_array_equal(walk.view, 54.0)
    np.testing.assert_array_equal(walk.swing, 1.0)
    rates = np.diff(walk.phase)
    np.testing.assert_allclose(rates, rates[0], atol=1e-12)
    assert 0.03 < rates[0] < 0.045
    np.testing.assert_array_equal(walk.pace(), 1.0)


def test_joints_tell_front_from_back():
    walk = read(np.linspace(0, 3, 120), 160.0, frames=120)
    unknown = np.full(120, np.nan)
    for facing, view in ((0.8, 20.0), (-0.8, 160.0), (0.1, 160.0)):
        known = unknown.copy()
        known[::2] = facing
        np.testing.assert_allclose(walk.faced(known).view, view, atol=1.0)
    np.testing.assert_array_equal(walk.faced(unknown).view, walk.view)
    from_the_left = walk._replace(view=np.full(120, -160.0)).faced(np.full(120, 0.8))
    np.testing.assert_allclose(from_the_left.view, 360.0 - 20.0, atol=1.0)
    rare = unknown.copy()
    rare[:3] = 0.8  # of six seconds: two seconds later it is not known
    np.testing.assert_allclose(walk.faced(rare).view[60:], 160.0, atol=1.0)


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


@pytest.mark.parametrize("own", [0.032, 0.04, 0.05])
def test_nothing_of_a_cadence_is_left_but_where_somebody_stands(own):
    even = read(0.3 + own * np.arange(60)).in_cadence(0.038, -0.2)
    assert even.phase[0] == -0.2
    np.testing.assert_allclose(np.diff(even.phase), 0.038, atol=1e-12)
    np.testing.assert_allclose(even.turned(8.0).view, even.view + 8.0)
    pace = np.repeat([own, 0.5 * own, 0.0], 80)
    swing = np.repeat([1.0, 1.0, 0.05], 80)
    stops = read(np.cumsum(pace), 0.0, swing, frames=240).in_cadence(0.038, 0.0)
    rates = np.diff(stops.phase)
    np.testing.assert_allclose(rates[:50], 0.038, atol=1e-12)
    assert 0.4 * 0.038 < rates[110] < 0.95 * 0.038
    np.testing.assert_allclose(rates[200:], 0.0, atol=0.002)


def test_a_cadence_of_each_frame_is_taken_as_it_is():
    rates = np.linspace(0.0, 0.05, 60)
    moved = read(0.04 * np.arange(60)).in_cadence(rates, 0.1)
    np.testing.assert_allclose(moved.phase, 0.1 + np.cumsum(rates))


def test_each_moment_as_it_is_read_is_kept_if_asked():
    phase = 0.04 * np.arange(60) + 0.02 * np.random.default_rng(1).normal(size=60)
    pose = pose_of(phase)
    np.testing.assert_allclose(gait.read(pose, smooth=False).phase % 1, phase % 1, atol=1e-4)
    assert np.abs(gait.read(pose).phase - phase).max() > 0.01


def test_what_is_certain_decides_on_bag_coat_and_pitch():
    pose = gait.pose_vector(0.04 * np.arange(60), np.full(60, 90.0), 1.0, "bg", 16.0)
    variances = np.full(pose.shape, 0.1)
    pose[:40, 9:12] = 0.0, 1.0, 1.2
    variances[:40, 9:12] = 10.0
    for known, expected in ((variances, ("bg", 16.0)), (None, ("nm", 26.0))):
        result = gait.read(pose, known)
        assert (result.condition, result.pitch) == expected


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
