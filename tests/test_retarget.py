"""Retargeting: fields, pairs, what passes through the code, the model at work, shipped weights."""

import dataclasses
import functools
import json
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stgan_jax import (
    anonymizer,
    checkpoint,
    contour,
    fields,
    gait,
    methods,
    retarget,
    retargeting,
    settings,
    weights,
)
from stgan_jax.data import body, identity, pairs, splits, walkers
from stgan_jax.errors import InputError
from stgan_jax.evaluation import naturalness
from stgan_jax.models import retarget as models
from stgan_jax.models import silhouette
from stgan_jax.retarget import Retargeter, stranger
from stgan_jax.state import TrainState
from stgan_jax.train import train

SMALL = settings.RetargetSettings(
    data=settings.PairData(12, 2, 8),
    components=32,
    inputs=24,
    window=5,
    steps=30,
    batch_size=4,
    log_every=10,
    save_every=30,
    evaluate_every=30,
    hold=True,
    steps_per_call=10,
    read_weight=1.0,
    stride=3,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Folder of a small training, ended."""
    folder = tmp_path_factory.mktemp("retarget") / "run"
    assert train(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def shipped():
    return Retargeter.load("retarget")


def iou(a, b):
    return np.mean((a & b).sum((1, 2)) / (a | b).sum((1, 2)))


def test_field_round_trip_keeps_the_silhouette():
    walk = walkers.silhouettes(3, 54.0, frames=6)
    walk[2] = 0
    back = fields.decode(fields.encode(walk).astype(np.float32))
    assert not back[2].any()
    there = [0, 1, 3, 4, 5]
    assert iou(walk[there], back[there]) > 0.97
    # Brute force at one cell: the distance from its pixels to the nearest pixel of the other side.
    field = fields.encode(walk[:1])[0].astype(float) / fields.STEPS * fields.REACH
    row, column = np.argwhere((np.abs(field) > 2) & (np.abs(field) < 8))[40]
    cells = 3 * np.array([row, column]) + np.argwhere(np.ones((3, 3)))
    side = walk[0][tuple(cells.T)][0]
    other = np.argwhere(walk[0] != side)
    away = [np.sqrt(((other - cell) ** 2).sum(1)).min() - 0.5 for cell in cells]
    assert abs(abs(field[row, column]) - np.mean(away)) < 0.4


def test_pairs_share_the_walk_and_nothing_of_the_walker():
    one, again = pairs.pair(5, 6), pairs.pair(5, 6)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(one.own_person - one.other_person).max() > 0.05
    # Nobody whom a dataset knows.
    known = [
        identity.vector(identity.sample_identity(n)) for n in (*range(1, splits.SUBJECTS + 1),)
    ]
    for person in (one.own_person, one.other_person):
        assert (np.abs(np.array(known) - person).max(1) > 1e-3).all()
    # Phase and its double, view and its double: points on circles.
    circles = one.pose[:, :8].reshape(6, 4, 2)
    np.testing.assert_allclose(np.linalg.norm(circles, axis=-1), 1.0, atol=1e-5)
    turn = circles[:, 0, 0] + 1j * circles[:, 0, 1]
    np.testing.assert_allclose(turn**2, circles[:, 1, 0] + 1j * circles[:, 1, 1], atol=1e-5)
    # The other walks as she does in the mean, in this phase.
    person = identity.sample_identity(pairs.FIRST_PERSON + 2 * 5 + 1)
    motion = dataclasses.replace(identity.sample_motion(0, "nm", 1, 0.0), start=0.0)
    told = body.leg_angles(person, motion, np.angle(turn) / (2 * np.pi) % 1.0)
    np.testing.assert_allclose(one.angles, told, atol=1e-3)


def test_some_pairs_are_segmented_well():
    seen = [(pairs.pair(seed, 2), pairs.pair(seed, 2, complete=True)) for seed in range(5)]
    same = [np.array_equal(one.own, whole.own) for one, whole in seen]
    assert same == [False] * 4 + [True]
    assert all(np.array_equal(one.other, whole.other) for one, whole in seen)


def test_basis_is_orthonormal_and_exact_on_its_span():
    shown = fields.encode(np.concatenate([walkers.silhouettes(s, 90.0, frames=10) for s in (1, 2)]))
    basis = models.fit_basis(shown, 8)
    np.testing.assert_allclose(basis["components"] @ basis["components"].T, np.eye(8), atol=1e-4)
    code = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    back = models.coordinates(basis, models.field(basis, jnp.asarray(code)))
    np.testing.assert_allclose(back, code, atol=1e-3)
    # The first component is the singular vector of the centred fields.
    flat = shown.reshape(len(shown), -1) / fields.STEPS
    _, singular, rows = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    assert abs(rows[0] @ basis["components"][0]) > 0.999
    assert float(basis["scale"]) == pytest.approx(singular[0] / np.sqrt(len(flat)) / 2, rel=1e-3)
    with pytest.raises(ValueError, match="more than"):
        models.fit_basis(shown[:8], 8)


def test_training_learns_and_keeps_its_best(small):
    told = [json.loads(line) for line in (small / "metrics.jsonl").read_text().splitlines()]
    assert told[-1]["loss/gen"] < 0.95 * told[0]["loss/gen"]
    assert 0 < told[-1]["validation/iou"] < 1
    assert checkpoint.latest_step(small, checkpoint.BEST) == SMALL.steps


def test_identity_encoder_and_reader_change_no_pose_code(small):
    """So that they cannot teach the code to carry the person."""
    state = checkpoint.load(small, "retarget").state
    rows, _ = pairs.rows(4, 8, 32, fixed=state["params"], workers=1)
    noise = jnp.zeros((4, 8, SMALL.code_size))
    nets, rest = SMALL.nets(), state["params"]

    @functools.partial(jax.jit, static_argnums=1)
    def changed(params, name):
        def cost(params):
            told = retargeting.objective(params, rest, jnp.asarray(rows), noise, nets, SMALL.loss())
            return told[1][f"loss/gen_{name}"]

        slope = jax.grad(cost)(params)
        return {k: jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, v, v)) for k, v in slope.items()}

    gen = jax.tree.map(jnp.asarray, state["params"]["gen"])
    for name, taught in (
        ("identity", {"identity"}), ("reader", {"reader"}), ("read", {"encoder", "decoder"}),
    ):  # fmt: skip
        assert {part for part, size in changed(gen, name).items() if size > 0} == taught


def test_cells_of_a_step_are_all_in_their_turn(small):
    params = checkpoint.load(small, "retarget").state["params"]
    rows, _ = pairs.rows(2, 8, 32, fixed=params, workers=1)
    noise, nets = jnp.zeros((2, 8, SMALL.code_size)), SMALL.nets()

    @jax.jit
    def terms(cells):
        return retargeting.objective(
            params["gen"], params, jnp.asarray(rows), noise, nets, SMALL.loss(), cells
        )[1]

    each = [terms(first + 4 * jnp.arange(models.CELLS // 4)) for first in range(4)]
    whole = terms(jnp.arange(models.CELLS))
    for name in ("loss/gen_field", "loss/gen_motion"):
        assert np.mean([told[name] for told in each]) == pytest.approx(float(whole[name]), rel=1e-4)
    assert float(whole["iou"]) == pytest.approx(np.mean([x["iou"] for x in each]), abs=0.02)


def test_manner_moderates_the_walk_and_leaves_the_build():
    people = [identity.sample_identity(7, manner) for manner in (1.0, 0.5, 0.0)]
    swings = [person.hip_swing for person in people]
    assert swings[1] - 1 == pytest.approx((swings[0] - 1) / 2)
    assert swings[2] == 1.0
    assert people[0] == identity.sample_identity(7)
    assert people[2].harmonics == (0, 0, 0, 0)
    builds = [(p.legs, p.belly, p.lean, p.cadence, p.bag, p.hair, p.coat_bulk) for p in people]
    assert builds[0] == builds[1] == builds[2]
    # Networks of people draw by their settings.
    known = pairs.people(50)
    key = jax.random.key(3)
    one, calm = stranger(known, key), stranger(known, key, 0.0)
    assert 0 < np.sum(one != calm) <= 7 + 3 + 4


class Split(models.PoseEncoder):
    """Coordinates of which the first are the pose and the rest the body."""

    def __call__(self, coordinates):
        pose = coordinates[..., : self.size]
        return pose, jnp.zeros_like(pose)


class Rest(models.IdentityEncoder):
    def __call__(self, coordinates, code):
        return coordinates[..., -self.size :]


class Joined(models.BodyDecoder):
    leak: float = 0.0

    def __call__(self, code, identity):
        body = jnp.broadcast_to(identity[:, None], (*code.shape[:2], identity.shape[-1]))
        return jnp.concatenate([code + self.leak * body[..., : code.shape[-1]], body], -1)


def test_cycle_is_nothing_where_pose_and_body_are_apart():
    rng, size = np.random.default_rng(0), 5
    shown = fields.encode(np.concatenate([walkers.silhouettes(s, 90.0, frames=30) for s in (1, 2)]))
    basis = models.fit_basis(shown, size + models.IDENTITY)
    body = np.repeat(rng.normal(size=(3, 1, models.IDENTITY)), 4, 1)
    own = jnp.asarray(np.concatenate([rng.normal(size=(3, 4, size)), body], -1), jnp.float32)
    strangers = jnp.asarray(rng.normal(size=(3, models.IDENTITY)), jnp.float32)
    parts = Rest(), models.PoseHead(), models.GaitReader(), models.GaitCoder()
    none = {name: {} for name in ("encoder", "decoder", "identity")}
    told = []
    for leak in (0.0, 0.2):
        nets = retargeting.RetargetNets(Split(size), Joined(leak=leak), *parts)
        noise = jnp.zeros((3, 4, size))
        told.append(retargeting.cycle(none, basis, own, strangers, noise, nets))
    np.testing.assert_allclose(told[0], 0.0, atol=1e-5)
    # By hand: what the stranger and the own body leave in the pose.
    added = 0.2 * np.asarray(strangers + own[:, 0, size:])[:, :size] * float(basis["scale"])
    by_hand = 100 * np.abs(added @ np.asarray(basis["components"])[:size]).mean()
    assert float(told[1][1]) == pytest.approx(by_hand, rel=1e-4)


def test_adversary_learns_the_person_and_the_encoder_unlearns(small):
    state = checkpoint.load(small, "retarget").state["params"]
    rows, _ = pairs.rows(6, 8, 32, fixed=state, workers=1)
    rows, noise = jnp.asarray(rows), jnp.zeros((6, 8, SMALL.code_size))
    nets = dataclasses.replace(SMALL, adversary_weight=1.0).nets()
    own, person = (x[:, 0] for x in retargeting.unpacked(rows, 8)[:2])
    gen = jax.tree.map(jnp.asarray, state["gen"])
    adversary = nets.adversary.init(jax.random.key(0), noise)

    def error(adversary, encoder):
        guess = nets.adversary.apply(adversary, nets.encoder.apply(encoder, own)[0])
        return jnp.mean(jnp.square(guess - person))

    def term(gen, adversary):
        rest = {**state, "identity_disc": adversary}
        told = retargeting.objective(gen, rest, rows, noise, nets, SMALL.loss())
        return told[1]["loss/gen_adversary"]

    # Its own update is that of `judged`, with the networks fixed.
    slope = jax.jit(
        jax.grad(
            lambda a: retargeting.judged(
                {"identity_disc": a}, {**state, "gen": gen}, rows, noise, nets
            )[0]
        )
    )
    before = error(adversary, gen["encoder"])
    for _ in range(20):  # far fewer than six walks are known by heart in
        adversary = jax.tree.map(lambda x, g: x - 0.3 * g, adversary, slope(adversary))
    known = error(adversary, gen["encoder"])
    assert known < 0.9 * before
    grads = jax.jit(jax.grad(term))(gen, adversary)
    sizes = {k: max(float(jnp.abs(x).max()) for x in jax.tree.leaves(v)) for k, v in grads.items()}
    assert sizes.pop("encoder") > 0
    assert not any(sizes.values())
    later = jax.tree.map(lambda x, g: x - 1e-2 * g, gen["encoder"], grads["encoder"])
    assert error(adversary, later) > known


def test_step_trains_discriminators_against_the_networks(small):
    """And what pleases D_S in the one update is what it loses by in the other."""
    state = checkpoint.load(small, "retarget").state["params"]
    rows, _ = pairs.rows(4, 8, 32, fixed=state, workers=1)
    state = jax.tree.map(jnp.asarray, state)
    rows, noise = jnp.asarray(rows), jnp.zeros((4, 8, SMALL.code_size))
    disc = silhouette.Discriminator((2, 2))
    nets = dataclasses.replace(SMALL.nets(), discs={"spatial": disc})
    state["spatial_disc"] = jax.jit(disc.init)(jax.random.key(0), jnp.zeros((1, 8, 80, 80)))
    rules = {name: optax.adam(1e-3) for name in ("gait", "gen", "spatial_disc")}
    loss = dataclasses.replace(SMALL.loss(), adversarial=1.0, cycle=1.0)
    step = jax.jit(
        functools.partial(
            retargeting.retarget_step, frames=8, nets=nets, loss=loss, optimizers=rules,
            options=SMALL.options(),
        )
    )  # fmt: skip
    told, after = [], TrainState.create(0, state, rules)
    for _ in range(10):
        after, metrics = step(after, rows)
        told.append(metrics)
    for name in ("loss/spatial_disc", "loss/gen_cycle", "loss/gen_redrawn"):
        assert told[-1][name] < told[0][name]

    @jax.jit
    def pleased(gen):
        return retargeting.objective(gen, after.params, rows, noise, nets, loss)[1]

    @jax.jit
    def lost(gen):
        fixed = {**after.params, "gen": gen}
        return retargeting.judged(after.params, fixed, rows, noise, nets)[0]

    gen = after.params["gen"]
    slope = jax.jit(jax.grad(lambda gen: pleased(gen)["loss/gen_spatial"]))(gen)
    later = jax.tree.map(lambda x, g: x - 1e-3 * g, gen, slope)
    assert lost(later) > lost(gen)


def test_settings_from_before_the_added_terms_load():
    told = settings.to_dict(SMALL)
    for name in ("adversarial_weight", "adversary_weight", "cycle_weight", "disc_learning_rate",
                 "unpaired", "manner", "width"):  # fmt: skip
        del told[name]
    assert settings.from_dict(told) == SMALL
    assert not SMALL.nets().discs
    assert SMALL.nets().adversary is None


def test_cycle_learns_from_walks_without_a_pair(monkeypatch, small):
    from stgan_jax.data import datasets

    asked = {}

    class Sequences(list):
        def __init__(self, *args):
            asked["args"] = args
            super().__init__([walkers.silhouettes(s, 90.0, frames=9) for s in (1, 2)])

        def silhouettes(self, i):
            return self[i]

    monkeypatch.setattr(datasets, "Sequences", Sequences)
    data = settings.WalkerData(3, 4, frames=8, dataset="casia_b", walks=("nm-01",))
    params = checkpoint.load(small, "retarget").state["params"]
    read = pairs.unpaired(data, params["basis"])
    assert asked["args"] == ("casia_b", "data", range(3, 5), data.views, ("nm-01",), 8)
    encoded = fields.encode(walkers.silhouettes(2, 90.0, frames=9)[1:])
    by_hand = models.coordinates(params["basis"], models.to_unit(jnp.asarray(encoded)))
    np.testing.assert_allclose(read[1].reshape(8, 32), by_hand, atol=0.02)
    rows, _ = pairs.rows(3, 8, 32, fixed=params, workers=1)
    both = pairs.with_others(rows, read)
    kept, alone = retargeting.parted(jnp.asarray(both), 8, 32)
    np.testing.assert_array_equal(kept, rows)
    assert {x.tobytes() for x in np.asarray(alone, np.float16)} == {x.tobytes() for x in read}
    # They count in the cycle alone; without them the pairs' own walks do.
    noise, loss = jnp.zeros((3, 8, SMALL.code_size)), dataclasses.replace(SMALL.loss(), cycle=1.0)
    cost = jax.jit(
        lambda rows: retargeting.objective(params["gen"], params, rows, noise, SMALL.nets(), loss)[
            1
        ]
    )
    own = np.asarray(retargeting.unpacked(kept, 8)[0][:, 0], np.float16).reshape(3, -1)
    without, with_own, with_others = (
        {k: float(v) for k, v in cost(x).items()}
        for x in (rows, np.concatenate([rows, own], 1), both)
    )
    assert with_own == pytest.approx(without, rel=1e-3)
    changed = {k for k, v in with_others.items() if v != pytest.approx(without[k], rel=1e-3)}
    assert changed == {"loss/gen", "loss/gen_redrawn", "loss/gen_cycle"}
    with pytest.raises(InputError, match="cycle_weight above 0"):
        dataclasses.replace(SMALL, unpaired=data)
    with pytest.raises(InputError, match=r"must be data.frames, 8"):
        dataclasses.replace(SMALL, unpaired=dataclasses.replace(data, frames=50), cycle_weight=1.0)
    told = dataclasses.replace(SMALL, unpaired=data, cycle_weight=1.0)
    assert settings.from_dict(json.loads(json.dumps(settings.to_dict(told)))) == told


def test_alpha_one_uses_nothing_of_the_own_identity(small):
    model = Retargeter.load(small)
    blind = Retargeter.load(small)
    blind.params["gen"]["identity"] = jax.tree.map(jnp.zeros_like, model.params["gen"]["identity"])
    walk, key = walkers.silhouettes(9, 36.0, frames=11), jax.random.key(4)
    np.testing.assert_array_equal(model(walk, key, 1.0), blind(walk, key, 1.0))
    people = np.random.default_rng(0).normal(size=(2, 43)).astype(np.float32)
    model.person = lambda key: people[0]
    one = model(walk, key, 0.0)
    model.person = lambda key: people[1]
    np.testing.assert_array_equal(one, model(walk, key, 0.0))
    with pytest.raises(ValueError, match="alpha must be"):
        model(walk, key, 1.5)


def test_keys_are_people(shipped):
    walk = walkers.silhouettes(9, 90.0, frames=12)
    walk[4] = 0
    one, again, other = (shipped(walk, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not one[4].any()
    assert one[[*range(4), *range(5, 12)]].any((1, 2)).all()
    assert np.abs(shipped.person(jax.random.key(0)) - shipped.person(jax.random.key(1))).max() > 0.1
    assert 0.4 < iou(np.delete(one, 4, 0), np.delete(other, 4, 0)) < 0.97
    assert not shipped(np.zeros_like(walk), jax.random.key(0)).any()


def test_more_various_bodies_stay_within_people_and_the_walk_as_it_is(shipped):
    known, of_build = pairs.people(400), identity.of_build()
    as_people, various = (
        np.stack([stranger(known, jax.random.key(n), 1.0, build) for n in range(60)])
        for build in (1.0, 1.6)
    )
    calm = np.stack([stranger(known, jax.random.key(n), 0.0) for n in range(60)])
    assert not of_build[(as_people != calm).any(0)].any()  # what moves
    assert of_build.sum() == 23
    np.testing.assert_array_equal(as_people[:, ~of_build], various[:, ~of_build])
    wanted = np.clip(1.6 * as_people[:, of_build], -2.4, 2.4)
    np.testing.assert_allclose(various[:, of_build], wanted, rtol=1e-6)
    assert (various[:, of_build].std(0) > 1.2 * as_people[:, of_build].std(0)).all()

    walk, key = walkers.silhouettes(3, 54.0, frames=8), jax.random.key(1)
    model = Retargeter(dataclasses.replace(shipped.settings, build=1.6), shipped.params)
    drawn = stranger(shipped.params["people"], key, shipped.settings.manner, 1.6)
    np.testing.assert_array_equal(model.person(key), drawn)
    assert iou(model(walk, key), shipped(walk, key)) < 0.97
    assert naturalness.one_piece(model(walk, key)).all()
    np.testing.assert_array_equal(model(walk, key, 0.0), shipped(walk, key, 0.0))


@pytest.fixture
def in_step(shipped):
    """The same, of which nothing is moved."""
    model = Retargeter(shipped.settings, shipped.params)
    model.in_step, model.turn = True, 0.0
    return model


def test_what_is_kept_of_a_walk_is_a_gait(shipped, in_step, monkeypatch):
    walk, key = walkers.silhouettes(3, 54.0, frames=60), jax.random.key(3)
    moved, kept = shipped(walk, key), in_step(walk, key)
    np.testing.assert_array_equal(moved, shipped(walk, key))
    cycles = [naturalness.leg_cycle(w) for w in (kept, moved)]
    assert naturalness.period_ratio(*cycles) == pytest.approx(1.0, abs=0.04)
    assert naturalness.one_piece(moved).all()
    # Whoever walks so, the same is drawn: her own ways are not in it.
    other = identity.sample_identity(99)
    walks = [walk, walkers.silhouettes(3, 54.0, frames=60, body_of=other)]
    same, before = (iou(*(model(w, key) for w in walks)) for model in (shipped, in_step))
    assert same > 0.95
    assert same > before + 0.01
    # The key decides when it begins, and from where it is seen.
    monkeypatch.setattr(shipped, "turn", 0.0)
    monkeypatch.setattr(gait, "start", lambda key: 0.0)
    now = shipped(walk, key)
    assert iou(now, kept) > 0.9  # in the same poses
    monkeypatch.setattr(gait, "start", lambda key: 0.5)
    cycle = naturalness.leg_cycle(kept).rows
    half = round((20 + cycle[20:35].argmax()) / 2)
    later, inner = shipped(walk, key), np.arange(15, 40)
    assert iou(later[inner], now[inner + half]) > 0.94
    assert iou(later[inner], now[inner]) < 0.9
    monkeypatch.setattr(gait, "start", lambda key: 0.0)
    monkeypatch.setattr(jax.random, "uniform", lambda *_, **__: 1.0)
    monkeypatch.setattr(shipped, "turn", 12.0)
    seen = [walkers.silhouettes(3, view, frames=60) for view in (54.0, 66.0)]
    monkeypatch.setattr(in_step, "person", shipped.person)
    wanted = [in_step(w, key) for w in seen]
    made = shipped(walk, key)
    assert iou(made, wanted[1]) > iou(made, wanted[0])


def test_noise_is_drawn_as_read_and_whoever_stands_stands(shipped, in_step):
    walk, key = walkers.silhouettes(3, 54.0, frames=40), jax.random.key(3)
    own = contour.to_unit(contour.encode(walk, "resampled"))
    back = contour.decode(contour.to_pixels(own), "resampled")
    np.testing.assert_array_equal(shipped.noise_silhouettes(own, key), in_step(back, key))
    still = np.repeat(walk[:1], 40, 0)
    made = shipped(still, key, tempo=0.15)
    assert iou(made[1:], made[:-1]) > 0.98
    assert iou(shipped(walk, key)[1:], shipped(walk, key)[:-1]) < 0.95


def test_networks_from_before_gaits_keep_step_or_are_refused(shipped):
    before = {name: tree for name, tree in shipped.params.items() if name != "gait"}
    model = Retargeter(shipped.settings, before)
    walk, key = walkers.silhouettes(3, 54.0), jax.random.key(3)
    with pytest.raises(InputError, match="train them again, or have --in_step"):
        model(walk, key)
    with pytest.raises(InputError, match="train them again, or have --in_step"):
        anonymizer.whole_walks(model)
    model.in_step = True
    assert model(walk, key).any()
    assert anonymizer.whole_walks(model) is None


def test_gait_networks_learn_beside_others_that_stay(small, tmp_path):
    config = dataclasses.replace(
        SMALL, base=str(small), data=settings.PairData(8, 2, 8), steps=20, save_every=20
    )
    assert train(config, tmp_path / "run")
    told = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert told[-1]["loss/gait"] < told[0]["loss/gait"]
    assert 0 < told[-1]["validation/gait_iou"] < 1
    old, new = (checkpoint.load(run, "retarget").params() for run in (small, tmp_path / "run"))
    for name in ("gen", "basis", "people"):
        jax.tree.map(np.testing.assert_array_equal, old[name], new[name])
    changes = jax.tree.map(lambda a, b: abs(a - b).max(), old["gait"], new["gait"])
    assert min(jax.tree.leaves(changes)) > 0
    with pytest.raises(InputError, match="trained with window 5: set it likewise"):
        train(dataclasses.replace(config, window=7), tmp_path / "other")


def test_turned_codes_are_read_as_turned_and_change_least(shipped):
    head = shipped.params["gen"]["pose"]
    code, _ = shipped._codes(walkers.silhouettes(3, 36.0, frames=20))
    read = [
        np.asarray(models.PoseHead().apply(head, jnp.asarray(c)[None]))[0]
        for c in (code, retarget.turned(code, head, 10.0))
    ]
    for first, degrees in ((4, 10.0), (6, 20.0)):
        seen = [r[:, first] + 1j * r[:, first + 1] for r in read]
        np.testing.assert_allclose(np.degrees(np.angle(seen[1] / seen[0])), degrees, atol=0.02)
        np.testing.assert_allclose(*np.abs(seen), rtol=1e-3)
    rest = [0, 1, 2, 3, 8, 9, 10]
    np.testing.assert_allclose(read[0][:, rest], read[1][:, rest], atol=1e-3)
    change = retarget.turned(code, head, 10.0) - code
    kernel = np.asarray(head["params"]["Dense_0"]["kernel"])
    free = np.eye(len(kernel)) - kernel @ np.linalg.pinv(kernel)  # what the head does not read
    np.testing.assert_allclose(change @ free, 0.0, atol=1e-4)
    # A walker drawn so looks like one who was seen so.
    walks = [walkers.silhouettes(3, view, frames=20) for view in (36.0, 46.0)]
    person = shipped.person(jax.random.key(1))
    plain, wanted = (shipped._silhouettes(shipped._codes(w)[0], person) for w in walks)
    made = shipped._silhouettes(retarget.turned(code, head, 10.0), person)
    assert iou(made, wanted) > iou(plain, wanted)


def test_tempo_changes_the_cadence(in_step, monkeypatch):
    walk, shipped = walkers.silhouettes(3, 54.0), in_step
    walk[30] = 0
    key, factors = jax.random.key(3), []
    kept = shipped(walk, key)
    for drawn in (key, jax.random.key(2)):
        factors.append(gait.factor(drawn, 0.15))
        made = shipped(walk, drawn, tempo=0.15)
        cycles = [naturalness.leg_cycle(w) for w in (shipped(walk, drawn), made)]
        assert naturalness.period_ratio(*cycles) == pytest.approx(1 / factors[-1], rel=0.02)
        assert 0.85 < naturalness.leg_amplitude_ratio(*cycles) < 1.2
        assert not made[30].any()
        assert naturalness.one_piece(np.delete(made, 30, 0)).all()
    assert abs(factors[0] - factors[1]) > 0.05
    again = shipped(walk, key, tempo=0.15)
    np.testing.assert_array_equal(again, shipped(walk, key, tempo=0.15))
    # Its middle is as it was where it begins in time; elsewhere it is another moment.
    as_it_was = shipped(walk, key, tempo=1e-6)
    assert iou(as_it_was[:30], kept[:30]) > 0.9
    assert iou(again[24:27], as_it_was[24:27]) > 0.97 > iou(again[:4], as_it_was[:4])
    monkeypatch.setattr(shipped, "in_step", False)
    assert iou(shipped(walk, key, tempo=0.15)[24:27], as_it_was[24:27]) < 0.97
    with pytest.raises(ValueError, match="tempo must be"):
        shipped(walk, key, tempo=-0.1)


def test_shipped_weights_draw_the_other_in_the_same_pose(in_step):
    """On pairs never trained on, and better than leaving the own silhouette as it is."""
    people = in_step.params["people"]
    made, left = [], []
    for seed in range(pairs.FIRST_UNSEEN + 500, pairs.FIRST_UNSEEN + 506):
        pair = pairs.pair(seed, 20)
        person = (pair.other_person - np.asarray(people["mean"])) / np.asarray(people["scale"])
        in_step.person = lambda key, person=person: person
        out = in_step(pair.own, jax.random.key(0), 1.0)
        for mask in out:
            assert cv2.connectedComponents(mask)[0] == 2  # the body and what is around it
        made.append(iou(out, pair.other))
        left.append(iou(pair.own, pair.other))
    assert np.mean(made) > 0.8
    assert np.mean(made) > np.mean(left) + 0.08


def test_weights_are_what_was_trained(small, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(weights, "_FOLDER", folder)
    weights.export(small, folder / "tiny.npz")
    assert weights.names() == ("tiny",)
    told, params = weights.load("tiny")
    assert told == dataclasses.replace(SMALL)
    trained = checkpoint.load(small, "retarget").params()
    same = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=2e-3, atol=1e-5), trained, params)
    assert all(jax.tree.leaves(same))
    elsewhere = str(shutil.copy(folder / "tiny.npz", tmp_path / "mine.npz"))
    again, theirs = weights.load(elsewhere)
    assert again == told
    assert weights.is_name(elsewhere)
    assert jax.tree.all(jax.tree.map(np.array_equal, params, theirs))
    assert isinstance(anonymizer.load_model(elsewhere), Retargeter)
    assert methods.trained(elsewhere).name == "mine"
    with pytest.raises(InputError, match="no weights 'huge'"):
        weights.load("huge")
    with pytest.raises(InputError, match=r"huge.npz: missing or damaged, export it again"):
        weights.load(str(tmp_path / "huge.npz"))
    content = (folder / "tiny.npz").read_bytes()
    (folder / "tiny.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        weights.load("tiny")
