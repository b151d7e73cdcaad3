"""Retargeting in use: who is drawn, what of a walk is kept, and what options change."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.data.walkers import pairs, procedural
from stgan_jax.evaluation import motion, naturalness
from stgan_jax.methods import catalog
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer, stranger, turned
from stgan_jax.shapes import contour, gait, identity
from stgan_jax.util.errors import InputError


def iou(a, b):
    return np.mean((a & b).sum((1, 2)) / (a | b).sum((1, 2)))


def test_alpha_one_uses_nothing_of_the_own_identity(retarget_run):
    model, blind = (RetargetAnonymizer.load(retarget_run) for _ in range(2))
    blind.params["gen"]["identity"] = jax.tree.map(jnp.zeros_like, model.params["gen"]["identity"])
    walk, key = procedural.silhouettes(9, 36.0, frames=11), jax.random.key(4)
    np.testing.assert_array_equal(model(walk, key), blind(walk, key))
    assert (model.alpha, model.with_options(alpha=0.0).alpha) == (1.0, 0.0)


def test_alpha_zero_uses_nothing_of_the_stranger(retarget_run):
    model = RetargetAnonymizer.load(retarget_run).with_options(alpha=0.0)
    walk, key = procedural.silhouettes(9, 36.0, frames=11), jax.random.key(4)
    people = np.random.default_rng(0).normal(size=(2, 43)).astype(np.float32)
    drawn = []
    for person in people:
        model.person = lambda key, person=person: person
        drawn.append(model(walk, key))
    np.testing.assert_array_equal(*drawn)


def test_keys_are_people(shipped):
    walk = procedural.silhouettes(9, 90.0, frames=12)
    walk[4] = 0
    one, again, other = (shipped(walk, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not one[4].any()
    assert one[[*range(4), *range(5, 12)]].any((1, 2)).all()
    assert np.abs(shipped.person(jax.random.key(0)) - shipped.person(jax.random.key(1))).max() > 0.1
    assert 0.4 < iou(np.delete(one, 4, 0), np.delete(other, 4, 0)) < 0.97
    assert not shipped(np.zeros_like(walk), jax.random.key(0)).any()


def test_manner_changes_how_strangers_move_and_not_their_build(shipped):
    people, key = identity.statistics(50), jax.random.key(3)
    one, calm = stranger(people, key), stranger(people, key, 0.0)
    assert 0 < np.sum(one != calm) <= 7 + 3 + 4  # numbers of the swing of legs, arms and trunk
    drawn = shipped.with_options(manner=0.0).person(key)
    np.testing.assert_array_equal(drawn, stranger(shipped.params["people"], key, 0.0))


def test_a_walk_is_redrawn_of_its_gait_alone(shipped, in_step):
    walk, key = procedural.silhouettes(3, 54.0, frames=60), jax.random.key(3)
    moved, kept = shipped(walk, key), in_step(walk, key)
    np.testing.assert_array_equal(moved, shipped(walk, key))
    cycles = [motion.leg_cycle(w) for w in (kept, moved)]
    assert motion.period_ratio(*cycles) == pytest.approx(1.0, abs=0.04)
    assert naturalness.one_piece(moved).all()
    # Whoever walks so, the same is drawn: her own ways are not in it.
    other = identity.sample_identity(99)
    walks = [walk, procedural.silhouettes(3, 54.0, frames=60, body_of=other)]
    same, before = (iou(*(model(w, key) for w in walks)) for model in (shipped, in_step))
    assert same > 0.95
    assert same > before + 0.01


def test_the_key_decides_when_a_walk_begins(shipped, in_step, monkeypatch):
    walk, key = procedural.silhouettes(3, 54.0, frames=60), jax.random.key(3)
    model, kept = shipped.with_options(turn=0.0), in_step(walk, key)
    monkeypatch.setattr(gait, "start", lambda key: 0.0)
    now = model(walk, key)
    assert iou(now, kept) > 0.9  # in the same poses
    monkeypatch.setattr(gait, "start", lambda key: 0.5)
    cycle = motion.leg_cycle(kept).rows
    half = round((20 + cycle[20:35].argmax()) / 2)
    later, inner = model(walk, key), np.arange(15, 40)
    assert iou(later[inner], now[inner + half]) > 0.94
    assert iou(later[inner], now[inner]) < 0.9


def test_the_key_decides_from_where_a_walk_is_viewed(shipped, in_step, monkeypatch):
    key = jax.random.key(3)
    walks = [procedural.silhouettes(3, view, frames=60) for view in (54.0, 66.0)]
    wanted = [in_step(walk, key) for walk in walks]
    monkeypatch.setattr(gait, "start", lambda key: 0.0)
    monkeypatch.setattr(jax.random, "uniform", lambda *_, **__: 1.0)
    drawn = shipped.with_options(turn=12.0)(walks[0], key)
    assert iou(drawn, wanted[1]) > iou(drawn, wanted[0])


def test_noise_gaits_are_drawn_in_step(shipped, in_step):
    walk, key = procedural.silhouettes(3, 54.0, frames=40), jax.random.key(3)
    own = contour.to_unit(contour.encode(walk, "resampled"))
    back = contour.decode(contour.to_pixels(own), "resampled")
    np.testing.assert_array_equal(shipped.noise_silhouettes(own, key), in_step(back, key))


def test_whoever_stands_is_drawn_standing(shipped):
    walk, key = procedural.silhouettes(3, 54.0, frames=40), jax.random.key(3)
    standing = shipped.with_options(tempo=0.15)(np.repeat(walk[:1], 40, 0), key)
    assert iou(standing[1:], standing[:-1]) > 0.98
    assert iou(shipped(walk, key)[1:], shipped(walk, key)[:-1]) < 0.95


def test_networks_without_a_gait_reader_keep_step_or_are_refused(shipped):
    before = {name: tree for name, tree in shipped.params.items() if name != "gait"}
    model = RetargetAnonymizer(shipped.settings, before)
    walk, key = procedural.silhouettes(3, 54.0), jax.random.key(3)
    with pytest.raises(InputError, match="train them again, or use --in_step"):
        model(walk, key)
    with pytest.raises(InputError, match="train them again, or use --in_step"):
        model.require_video()
    model = model.with_options(in_step=True)
    assert model(walk, key).any()
    assert not model.whole
    model.require_video()


def test_a_long_walk_in_pieces_is_the_walk_at_once(shipped):
    walk, key = procedural.silhouettes(3, 54.0, frames=130), jax.random.key(3)
    walk[60:70] = 0
    pieces = list(shipped.in_pieces(lambda frames: walk[frames.start : frames.stop], 130, key))
    assert [i for frames, _ in pieces for i in frames] == list(range(130))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([out for _, out in pieces]), shipped(walk, key))


def test_turned_codes_are_read_as_turned_and_change_least(shipped):
    head = shipped.params["gen"]["pose"]
    code, _ = shipped._codes(procedural.silhouettes(3, 36.0, frames=20))
    after = turned(code, head, 10.0)
    read = [
        np.asarray(networks.PoseHead().apply(head, jnp.asarray(c)[None]))[0] for c in (code, after)
    ]
    for first, degrees in ((4, 10.0), (6, 20.0)):
        views = [r[:, first] + 1j * r[:, first + 1] for r in read]
        np.testing.assert_allclose(np.degrees(np.angle(views[1] / views[0])), degrees, atol=0.02)
        np.testing.assert_allclose(*np.abs(views), rtol=1e-3)
    rest = [0, 1, 2, 3, 8, 9, 10]
    np.testing.assert_allclose(read[0][:, rest], read[1][:, rest], atol=1e-3)
    kernel = np.asarray(head["params"]["Dense_0"]["kernel"])
    free = np.eye(len(kernel)) - kernel @ np.linalg.pinv(kernel)  # what the head does not read
    np.testing.assert_allclose((after - code) @ free, 0.0, atol=1e-4)
    # A walker drawn so looks like one who was recorded so.
    walks = [procedural.silhouettes(3, view, frames=20) for view in (36.0, 46.0)]
    person = shipped.person(jax.random.key(1))
    plain, wanted = (shipped._silhouettes(shipped._codes(w)[0], person) for w in walks)
    drawn = shipped._silhouettes(after, person)
    assert iou(drawn, wanted) > iou(plain, wanted)


def test_tempo_changes_the_cadence(shipped, in_step, monkeypatch):
    walk = procedural.silhouettes(3, 54.0)
    walk[30] = 0
    key, factors, start = jax.random.key(3), [], gait.start
    faster, hardly = (shipped.with_options(turn=0.0, tempo=tempo) for tempo in (0.15, 1e-6))
    monkeypatch.setattr(gait, "start", lambda key: 0.0)
    for drawn_key in (key, jax.random.key(2)):
        factors.append(gait.factor(drawn_key, 0.15))
        drawn = faster(walk, drawn_key)
        cycles = [motion.leg_cycle(w) for w in (in_step(walk, drawn_key), drawn)]
        assert motion.period_ratio(*cycles) == pytest.approx(1 / factors[-1], rel=0.02)
        assert 0.85 < motion.leg_amplitude_ratio(*cycles) < 1.2
        assert not drawn[30].any()
        assert naturalness.one_piece(np.delete(drawn, 30, 0)).all()
    assert abs(factors[0] - factors[1]) > 0.05
    again = faster(walk, key)
    np.testing.assert_array_equal(again, faster(walk, key))
    # Its middle is as it was if it begins in time; elsewhere it is another moment.
    as_it_was = hardly(walk, key)
    assert iou(as_it_was[:30], in_step(walk, key)[:30]) > 0.9
    assert iou(again[24:27], as_it_was[24:27]) > 0.97 > iou(again[:4], as_it_was[:4])
    monkeypatch.setattr(gait, "start", start)
    assert iou(faster(walk, key)[24:27], as_it_was[24:27]) < 0.97


def test_shipped_weights_draw_the_other_in_the_same_pose(in_step, monkeypatch):
    """On pairs never trained on, and better than leaving the own silhouette as it is."""
    people = in_step.params["people"]
    drawn, left = [], []
    for seed in range(pairs.FIRST_UNSEEN + 500, pairs.FIRST_UNSEEN + 506):
        pair = pairs.pair(seed, 20)
        person = (pair.other_person - np.asarray(people["mean"])) / np.asarray(people["scale"])
        monkeypatch.setattr(in_step, "person", lambda key, person=person: person)
        out = in_step(pair.own, jax.random.key(0))
        for mask in out:
            assert cv2.connectedComponents(mask)[0] == 2  # the body and what is around it
        drawn.append(iou(out, pair.other))
        left.append(iou(pair.own, pair.other))
    assert np.mean(drawn) > 0.8
    assert np.mean(drawn) > np.mean(left) + 0.08


def test_shipped_retargeting_is_a_method_by_name(walks):
    own, names = walks
    method = catalog.load("retarget")
    assert (method.kind, method.alpha) == ("retarget", 1.0)
    after = method.contours(own[:2], names[:2], 0)
    np.testing.assert_array_equal(after[1:], method.contours(own[1:2], names[1:2], 0))
    masks = contour.decode(after, method.codec)
    before = contour.decode(contour.to_pixels(own[:2]), method.codec)
    area = masks.mean((2, 3)) / before.mean((2, 3))
    assert (area > 0.6).all()
    assert (area < 1.6).all()
    assert np.abs(after - method.contours(own[:2], names[:2], 1)).max() > 3
