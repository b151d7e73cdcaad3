"""Retargeting in use: who is drawn, what of a walk is kept, and what options change."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.data.walkers import labelled, procedural
from stgan_jax.evaluation import motion, naturalness
from stgan_jax.methods import catalog
from stgan_jax.methods.api import Course
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer, stranger
from stgan_jax.shapes import contour, gait, identity
from stgan_jax.shapes.walker import Walker


def iou(a, b):
    return np.mean((a & b).sum((1, 2)) / (a | b).sum((1, 2)))


def test_alpha_mixes_the_own_build_and_the_stranger_s(shipped):
    walk, key = procedural.silhouettes(9, 36.0, frames=30), jax.random.key(4)
    mean, scale = (np.asarray(shipped.params["people"][name]) for name in ("mean", "scale"))
    who = {
        alpha: identity.vector(shipped.with_options(alpha=alpha).drawn(walk, key).new.person)
        for alpha in (0.0, 0.5, 1.0)
    }
    own = identity.vector(shipped.drawn(walk, key).own.person)
    bags = np.flatnonzero(np.isin(own, (0.0, 1.0)) & (mean > 0.2) & (mean < 0.45))[-3:]
    numbers = np.delete(np.arange(len(own)), bags)
    stranger_s = identity.vector(stranger(key, shipped.options.manner))
    np.testing.assert_array_equal(who[1.0], stranger_s)
    np.testing.assert_allclose(who[0.0][numbers], own[numbers], rtol=1e-5)
    np.testing.assert_allclose(
        who[0.5][numbers], (own + stranger_s)[numbers] / 2, rtol=1e-4, atol=1e-6
    )
    assert np.abs((own - mean) / scale)[numbers].max() < 2.3
    assert (shipped.alpha, shipped.with_options(alpha=0.0).alpha) == (1.0, 0.0)


def test_at_alpha_one_nothing_of_the_own_build_is_drawn(shipped):
    blind = RetargetAnonymizer(shipped.settings, shipped.params)
    read = blind._read_frames
    blind._read_frames = lambda s: read(s)._replace(person=np.ones((len(s), 2, 43)))
    walk, key = procedural.silhouettes(9, 36.0, frames=11), jax.random.key(4)
    np.testing.assert_array_equal(shipped(walk, key), blind(walk, key))


def test_keys_are_people(shipped):
    walk = procedural.silhouettes(9, 90.0, frames=12)
    walk[4] = 0
    one, again, other = (shipped(walk, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not one[4].any()
    assert one[[*range(4), *range(5, 12)]].any((1, 2)).all()
    assert stranger(jax.random.key(0)) != stranger(jax.random.key(1))
    assert 0.2 < iou(np.delete(one, 4, 0), np.delete(other, 4, 0)) < 0.97
    assert not shipped(np.zeros_like(walk), jax.random.key(0)).any()


def test_manner_changes_how_strangers_move_and_not_their_build(shipped):
    key = jax.random.key(3)
    one, calm = (identity.vector(stranger(key, manner)) for manner in (1.0, 0.0))
    assert 0 < np.sum(one != calm) <= 7 + 3 + 4  # numbers of the swing of legs, arms and trunk
    walk = procedural.silhouettes(9, 36.0, frames=5)
    assert shipped.with_options(manner=0.0).drawn(walk, key).new.person == stranger(key, 0.0)


@pytest.mark.parametrize("cadence", [0.8, 1.1])
def test_steps_are_the_stranger_s_whoever_walks(shipped, cadence):
    person = dataclasses.replace(identity.sample_identity(3), cadence=cadence)
    phase = 0.2 + cadence * np.arange(70) / 25
    gaits = gait.Gait(phase, np.full(70, 54.0), np.ones(70), "nm", 6.0)
    key = jax.random.key(3)
    drawn = shipped.drawn(Walker(person, gaits).silhouettes(), key)
    rates = np.diff(drawn.new.gait.phase)
    assert rates == pytest.approx(stranger(key, 0.1).cadence / 25, rel=1e-6)
    assert drawn.new.gait.phase[0] == gait.start(key)
    own = np.diff(drawn.own.gait.phase)
    assert np.median(own) == pytest.approx(cadence / 25, rel=0.06)
    out = drawn.new.silhouettes()
    assert naturalness.one_piece(out).all()


def test_where_the_ground_speed_is_known_feet_stay_where_they_are(shipped):
    """In the picture, whoever walks: the foot that stands moves by less than 2 % of the stature."""
    person, fps, frames, near = identity.sample_identity(3), 25.0, 100, 0.3
    phase = 0.2 + person.cadence * np.arange(frames) / fps
    own = Walker(person, gait.Gait(phase, np.full(frames, 75.0), np.ones(frames), "nm", 6.0))
    speed = own.stride * person.cadence / fps  # statures a frame
    for view, key in zip((75.0, 60.0, 105.0), jax.random.split(jax.random.key(0), 3), strict=True):
        slope = np.sin(np.radians(6.0)) + 0.5 * near  # of the ground, from 0.5 statures below
        ahead = np.array([np.cos(np.radians(view)) * slope, -np.sin(np.radians(view))])
        steps = np.tile(speed * ahead, (frames, 1))
        new = shipped.drawn(own.silhouettes(), key, Course(fps, steps, 6.0, near)).new
        assert new.gait.view == pytest.approx(np.full(frames, view), abs=6.0)  # 75 is read
        for side, offset in (("R", 0.0), ("L", 0.5)):
            ball = new.projected[f"ball_{side}"][0] + np.cumsum(steps, 0)
            phase_of_foot = (new.gait.phase + offset) % 1
            # Along the picture all the while; up and down but for its landing and rolling off.
            for axis, first, last in ((1, 0.12, 0.5), (0, 0.2, 0.45)):
                stands = (phase_of_foot > first) & (phase_of_foot < last)
                for run in np.split(np.arange(frames), np.flatnonzero(np.diff(stands)) + 1):
                    if stands[run[0]] and len(run) > 5:
                        assert abs(ball[run[-1], axis] - ball[run[0], axis]) < 0.02


def test_who_stands_is_seen_from_where_it_is_read(shipped):
    walk, key = procedural.silhouettes(3, 54.0, frames=60), jax.random.key(3)
    sways = np.tile([[0.0, 0.001], [0.0, -0.001]], (30, 1))
    drawn = shipped.drawn(walk, key, Course(25.0, sways, 6.0, 0.2))
    np.testing.assert_allclose(drawn.new.gait.view, drawn.own.gait.view, atol=4.0)


def test_steps_in_the_picture_decide_over_the_usual_cadence(shipped):
    walk, key = procedural.silhouettes(3, 90.0, frames=60), jax.random.key(3)
    still = shipped.with_options(turn=0.0).drawn(walk, key, Course(25.0, np.zeros((60, 2))))
    assert np.ptp(still.new.gait.phase) < 0.05
    fast = np.tile([0.0, -0.04], (60, 1))
    new = shipped.with_options(turn=0.0).drawn(walk, key, Course(25.0, fast, 12.0)).new
    assert np.diff(new.gait.phase) == pytest.approx(0.04 / new.stride, rel=0.06)
    assert new.gait.pitch == 12.0


def test_in_step_every_pose_is_drawn_as_it_is_read(shipped, in_step):
    walk, key = procedural.silhouettes(3, 54.0, frames=50), jax.random.key(3)
    drawn, numbers = in_step.drawn(walk, key), in_step.read_gait(walk)
    read = gait.read(numbers, smooth=False)
    np.testing.assert_allclose(drawn.new.gait.phase, read.phase, atol=1e-5)
    np.testing.assert_array_equal(drawn.new.gait.view, drawn.own.gait.view)
    cycles = [motion.leg_cycle(w) for w in (walk, in_step(walk, key))]
    assert motion.period_ratio(*cycles) == pytest.approx(1.0, abs=0.06)


def test_the_key_decides_from_where_a_walk_is_viewed(shipped):
    walk = procedural.silhouettes(3, 54.0, frames=20)
    views = []
    for key in jax.random.split(jax.random.key(1), 6):
        drawn = shipped.with_options(turn=12.0).drawn(walk, key)
        views.append(np.unique((drawn.new.gait.view - drawn.own.gait.view).round(6)))
    assert all(len(view) == 1 for view in views)
    assert -12 <= min(views)[0] < -3 < 3 < max(views)[0] <= 12


def test_where_the_view_is_known_a_person_s_own_line_is_not_published(shipped, in_step):
    key, views = jax.random.key(2), []
    for own_line in (47.0, 54.0, 60.0):
        walk = procedural.silhouettes(3, own_line, frames=30)
        views.append(shipped.from_view(54.0).drawn(walk, key).new.gait.view)
        read, known = in_step.drawn(walk, key), in_step.from_view(54.0).drawn(walk, key)
        np.testing.assert_array_equal(known.new.gait.view, read.new.gait.view)
    np.testing.assert_allclose(np.radians(views), np.radians(views[0][0]), atol=1e-9)
    assert 46.0 <= views[0][0] % 360 <= 62.0


def test_of_walks_whose_view_is_known_nothing_is_published_but_the_key(shipped):
    """Whoever walks, stands, comes the other way or is seen from above, is drawn the same."""
    walk = procedural.silhouettes(3, 86.0, frames=40)
    others = {
        "another": procedural.silhouettes(8, 93.0, frames=40),
        "stands": np.repeat(walk[:1], 40, 0),
        "the other way": walk[..., ::-1],
        "from above": procedural.silhouettes(3, 90.0, frames=40, pitch=26.0),
        "a bag": procedural.silhouettes(3, 90.0, "bg", frames=40),
    }
    seen_from, key = shipped.from_view(90.0), jax.random.key(5)
    published = seen_from(walk, key)
    for name, other in others.items():
        np.testing.assert_array_equal(seen_from(other, key), published, name)
    assert (published != seen_from(walk, jax.random.key(6))).any()


def test_the_camera_s_pitch_is_not_published_of_silhouettes_alone(shipped):
    pitches = []
    for pitch in (6.0, 26.0):
        walk = procedural.silhouettes(3, 90.0, frames=40, pitch=pitch)
        pitches.append(shipped.drawn(walk, jax.random.key(5)).new.gait.pitch)
    assert pitches[0] == pitches[1]


def test_noise_gaits_are_drawn_in_step(shipped, in_step):
    walk, key = procedural.silhouettes(3, 54.0, frames=40), jax.random.key(3)
    own = contour.to_unit(contour.encode(walk, "resampled"))
    back = contour.decode(contour.to_pixels(own), "resampled")
    np.testing.assert_array_equal(shipped.noise_silhouettes(own, key), in_step(back, key))


def test_whoever_stands_is_drawn_standing(shipped):
    walk, key = procedural.silhouettes(3, 54.0, frames=40), jax.random.key(3)
    standing = shipped(np.repeat(walk[:1], 40, 0), key)
    assert iou(standing[1:], standing[:-1]) > 0.98
    assert iou(shipped(walk, key)[1:], shipped(walk, key)[:-1]) < 0.95


def test_a_long_walk_in_pieces_is_the_walk_at_once(shipped):
    walk, key = procedural.silhouettes(3, 54.0, frames=130), jax.random.key(3)
    walk[60:70] = 0
    pieces = list(shipped.in_pieces(lambda frames: walk[frames.start : frames.stop], 130, key))
    assert [i for frames, _ in pieces for i in frames] == list(range(130))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([out for _, out in pieces]), shipped(walk, key))
    # The network has seen each frame among its neighbours, as in the middle of a walk.
    middle, every = shipped.read_gait(walk[70:120]), shipped.read_gait(walk)[70:120]
    np.testing.assert_allclose(middle[14:-14], every[14:-14], atol=1e-4)


def test_shipped_weights_read_walks_never_trained_on(shipped):
    """Recorded badly, from everywhere: the own body as read overlaps what was recorded."""
    off, overlaps = [], []
    for seed in range(identity.FIRST_UNSEEN + 500, identity.FIRST_UNSEEN + 512):
        walk = labelled.walker(seed, 24)
        seen = labelled.recorded(seed, walk)
        read, true = shipped.read_gait(seen), walk.gait.vector()
        for at in (0, 4):
            waves = [x[:, at] + 1j * x[:, at + 1] for x in (read, true)]
            off.append(np.median(np.degrees(np.abs(np.angle(waves[0] / waves[1])))))
        own = shipped.drawn(seen, jax.random.key(0)).own.silhouettes()
        overlaps.append(iou(own, walk.silhouettes()))
    assert np.median(off) < 12.0
    assert np.median(overlaps) > 0.8


def test_shipped_retargeting_is_a_method_by_name(walks):
    own, names = walks
    method = catalog.load("retarget")
    assert (method.kind, method.alpha) == ("retarget", 1.0)
    after = method.contours(own[:2], names[:2], 0)
    np.testing.assert_array_equal(after[1:], method.contours(own[1:2], names[1:2], 0))
    masks = contour.decode(after, method.codec)
    before = contour.decode(contour.to_pixels(own[:2]), method.codec)
    area = masks.mean((2, 3)) / before.mean((2, 3))
    assert (area > 0.5).all()
    assert (area < 1.8).all()
    assert np.abs(after - method.contours(own[:2], names[:2], 1)).max() > 3
    assert jnp.isfinite(after).all()
