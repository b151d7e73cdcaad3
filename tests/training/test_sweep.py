"""Sweeps: each lane is the run it would be alone, and all of them are compiled once."""

import csv
import dataclasses
import itertools
import json
import shutil

import jax
import numpy as np
import pytest
import small

from stgan_jax.data.selection import WalkerData
from stgan_jax.data.walkers import procedural
from stgan_jax.methods import catalog
from stgan_jax.methods.catalog import prepare, settings_of
from stgan_jax.methods.stgan import experiment
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.training import checkpoint, loop, plan, run_log
from stgan_jax.training.lanes import groups_of, lanes_of
from stgan_jax.training.loop import train
from stgan_jax.training.sweep import sweep
from stgan_jax.util.errors import InputError

# SGD: Adam turns rounding errors of gradients around zero into whole steps.
CONFIG = StganSettings(
    data=WalkerData(61, 62, (0, 90), ("nm-01", "bg-01"), frames=4),
    validation_subjects=(77, 77),
    noise="gaussian",
    balance="printed",
    steps=10,
    batch_size=2,
    features=2,
    lstm_units=4,
    convolution="plain",  # test_stencil maps stencils over lanes
    optimizer="sgd",
    gen_learning_rate=1e-5,
    disc_learning_rate=1e-3,
    log_every=5,
    save_every=5,
    evaluate_every=5,
)
ALPHAS, WEIGHTS, SEEDS = (0.1, 0.8), (1.0, 0.1), (0, 3)  # 0.1 is what the loss says already
GRID = {"alpha": ALPHAS, "adversarial_weight": WEIGHTS}


def name_of(alpha, weight, seed):
    return f"alpha={alpha:g},adversarial_weight={weight:g},seed={seed}"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    traces = []
    step = experiment.stgan_step

    def counted(*arguments, **options):
        traces.append(1)
        return step(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "stgan_step", counted)
        assert sweep(CONFIG, prepare, GRID, SEEDS, folder)
    return folder, len(traces)


def state_of(folder):
    return checkpoint.load(folder).state


def assert_close(a, b, tolerance=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_eight_lanes_are_traced_once(swept):
    assert swept[1] == 1


def test_a_lane_is_the_run_it_would_be_alone(swept, tmp_path):
    """The one of which each value is another than the loss has already."""
    alpha, weight, seed = 0.8, 0.1, 3
    config = dataclasses.replace(CONFIG, alpha=alpha, adversarial_weight=weight, seed=seed)
    train(config, prepare, tmp_path)
    lane = swept[0] / name_of(alpha, weight, seed)
    assert_close(state_of(tmp_path), state_of(lane))
    saved = checkpoint.load(lane).settings
    assert settings_of(saved) == config
    alone, together = (
        {k: v for line in run_log.read(f / "metrics.jsonl") for k, v in line.items()}
        for f in (tmp_path, lane)
    )
    for name in ("loss/gen", "validation/loss", "gradient_norm/gen"):
        assert together[name] == pytest.approx(alone[name], rel=1e-4)


def test_a_lane_anonymises_like_any_run(swept):
    model = catalog.load(swept[0] / name_of(0.8, 0.1, 3))
    assert model.alpha == 0.8
    masks = procedural.silhouettes(85, 90, frames=4)
    anonymized = model(masks, jax.random.key(0))
    assert anonymized.shape == masks.shape
    assert not np.array_equal(anonymized, masks)


def test_a_sweep_is_all_its_lanes_where_checkpoints_are_named(swept):
    lane = swept[0] / name_of(0.8, 1.0, 3)
    named = f"{lane},retarget,{swept[0]}".split(",")  # as absl cuts lists
    one, weights, *lanes = catalog.load_all(named)
    assert (one.name, one.alpha, weights.kind) == (lane.name, 0.8, "retarget")
    assert [method.name for method in lanes] == [
        f"{swept[0].name} {name_of(alpha, weight, seed)}"
        for alpha in ALPHAS
        for weight in sorted(WEIGHTS)
        for seed in SEEDS
    ]
    assert len({method.digest for method in lanes}) == len(lanes)
    assert catalog.load_all([]) == []


def test_rounds_go_on_where_they_stopped_and_are_what_one_round_is(
    swept, tmp_path, monkeypatch, capsys
):
    fit, rounds = loop.fit, []

    def counted(*arguments):
        rounds.append(arguments[3].lanes)
        return len(rounds) != 2 and fit(*arguments)

    monkeypatch.setattr(loop, "fit", counted)
    grid = {"alpha": (0.8,), "adversarial_weight": WEIGHTS}
    # One cannot be shared by the two devices: these follow each other in the step.
    assert not sweep(CONFIG, prepare, grid, SEEDS[:1], tmp_path, at_once=1)
    done, rest = (tmp_path / name_of(0.8, weight, 0) for weight in WEIGHTS)
    before = (done / "checkpoints").stat().st_mtime_ns
    assert checkpoint.latest_step(rest) is None
    assert sweep(CONFIG, prepare, grid, SEEDS[:1], tmp_path)
    assert rounds == [1, 1, 1]
    assert "round 2 of 2: 1 lanes" in capsys.readouterr().out
    assert (done / "checkpoints").stat().st_mtime_ns == before
    for folder in (done, rest):
        assert_close(state_of(folder), state_of(swept[0] / folder.name))


def test_lanes_of_other_networks_are_a_round_of_their_own(tmp_path):
    grid = {"features": (2, 3), "alpha": (0.1, 0.2)}
    lanes = lanes_of(CONFIG, grid, (0, 1), tmp_path)
    assert lanes[1].name == "features=2,alpha=0.2,seed=0"
    assert [(x.settings.features, x.settings.alpha) for x in lanes[:3]] == [
        (2, 0.1), (2, 0.2), (3, 0.1)
    ]  # fmt: skip
    groups = [[lane.name for lane in group] for group in groups_of(lanes)]
    assert [len(group) for group in groups] == [4, 4]
    assert all(name.startswith("features=3") for name in groups[1])


def test_as_many_lanes_as_fit_train_at_once(monkeypatch):
    asked = []

    def need(count):
        asked.append(count)
        return None if count > 40 else 100 + 10 * count

    assert plan.largest(need, 64, 300) == 20
    assert asked[:2] == [64, 32]
    assert plan.largest(need, 64, 50) == 1
    assert plan.largest(need, 8, 300) == 8
    assert plan.largest(need, 64, 300, unit=8) == 16


def test_lanes_differ(swept):
    states = [state_of(folder) for folder in swept[0].glob("alpha*")]
    assert len(states) == 8
    gens = [
        np.concatenate([x.ravel() for x in jax.tree.leaves(state["params"]["gen"])])
        for state in states
    ]
    assert all(np.abs(a - b).max() > 1e-5 for i, a in enumerate(gens) for b in gens[:i])


@pytest.mark.parametrize(
    "number", [pytest.param(1, id="first"), pytest.param(2, id="second", marks=pytest.mark.soak)]
)
def test_a_sweep_that_was_killed_between_saves_ends_the_same(swept, tmp_path, number):
    if number == 2:
        sweep(dataclasses.replace(CONFIG, steps=5), prepare, GRID, SEEDS, tmp_path)
    step = f"checkpoints/{5 * number}"
    ahead = tmp_path / name_of(0.1, 1.0, 0)  # one lane had saved once more than the others
    shutil.copytree(swept[0] / ahead.name / step, ahead / step, dirs_exist_ok=True)
    assert sweep(CONFIG, prepare, GRID, SEEDS, tmp_path)
    for lane in swept[0].glob("alpha*"):
        both = (jax.tree.leaves(state_of(f)) for f in (lane, tmp_path / lane.name))
        for x, y in zip(*both, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.soak  # what holding changes, test_loop compares, too
def test_lanes_that_hold_their_examples_are_those_that_are_fed(swept, tmp_path):
    config = dataclasses.replace(CONFIG, hold=True, steps_per_call=5)
    assert sweep(config, prepare, GRID, SEEDS, tmp_path)
    for lane in tmp_path.glob("alpha*"):
        assert_close(state_of(lane), state_of(swept[0] / lane.name), 1e-6)
        held, fed = (run_log.read(f / lane.name / "metrics.jsonl") for f in (tmp_path, swept[0]))
        assert [line["step"] for line in held] == [line["step"] for line in fed]
        assert held[-1]["loss/gen"] == pytest.approx(fed[-1]["loss/gen"], rel=1e-6)


def test_tables_and_plot_hold_every_lane(swept, capsys):
    sweep(CONFIG, prepare, GRID, SEEDS, swept[0])
    out = capsys.readouterr().out
    assert "already" in out
    with open(swept[0] / "sweep.csv") as file:
        rows = list(csv.DictReader(file))
    lanes = [(float(r["alpha"]), float(r["adversarial_weight"]), int(r["seed"])) for r in rows]
    assert sorted(lanes) == sorted(itertools.product(ALPHAS, WEIGHTS, SEEDS))
    for row, lane in zip(rows, lanes, strict=True):
        last = run_log.read(swept[0] / name_of(*lane) / "metrics.jsonl")[-1]
        assert float(row["loss G"]) == pytest.approx(last["loss/gen"])
    with open(swept[0] / "sweep_means.csv") as file:
        means = list(csv.DictReader(file))
    assert len(means) == 4
    pair = [
        float(row["loss G"])
        for row, lane in zip(rows, lanes, strict=True)
        if lane[:2] == (0.8, 1.0)
    ]
    (mean,) = [m for m in means if (m["alpha"], m["adversarial_weight"]) == ("0.8", "1.0")]
    assert float(mean["loss G"]) == pytest.approx(sum(pair) / 2)
    # Student's t with one degree of freedom, 12.706, times half of the difference.
    assert float(mean["loss G +-"]) == pytest.approx(12.7062 * abs(pair[0] - pair[1]) / 2, rel=1e-4)
    assert f"{float(mean['loss G']):.4g} +- " in out
    assert (swept[0] / "sweep.png").stat().st_size > 10_000


def test_a_lane_that_diverges_does_not_take_the_others_along(tmp_path, capsys):
    config = dataclasses.replace(CONFIG, steps=4, save_every=2, log_every=1)
    with pytest.raises(InputError, match=r"alpha=1e\+30,seed=0"):
        sweep(config, prepare, {"alpha": (0.3, 1e30)}, (0,), tmp_path)
    lost = json.loads((tmp_path / "alpha=1e+30,seed=0/diverged.json").read_text())
    assert lost["step"] in (1, 2)
    assert checkpoint.latest_step(tmp_path / "alpha=0.3,seed=0") == 4
    assert checkpoint.latest_step(tmp_path / "alpha=1e+30,seed=0") in (None, 2)
    with pytest.raises(InputError, match=r"alpha=1e\+30,seed=0"):  # and is not forgotten
        sweep(config, prepare, {"alpha": (0.3, 1e30)}, (0,), tmp_path)
    assert f"alpha 1e+30, seed 0: diverged at step {lost['step']}" in capsys.readouterr().out


def test_a_round_ends_when_its_last_lane_is_lost(tmp_path, capsys):
    config = dataclasses.replace(CONFIG, steps=10**6, save_every=10**6, log_every=1)
    with pytest.raises(InputError, match="lower learning rate"):
        sweep(config, prepare, {"alpha": (1e30, 2e30)}, (0,), tmp_path)
    assert "0 go on" in capsys.readouterr().out


def test_lanes_of_the_wifs_network_share_one_noise_gait(tmp_path):
    data = dataclasses.replace(small.WIFS.data, frames=3)
    config = dataclasses.replace(small.WIFS, steps=2, data=data, convolution="plain")
    assert sweep(config, prepare, {"alpha": (0.1, 0.5)}, (4, 5), tmp_path)
    lane = tmp_path / "alpha=0.5,seed=5"
    saved = settings_of(checkpoint.load(lane).settings)
    assert saved.noise_subject == dataclasses.replace(config, seed=4).drawn_subject()
    train(saved, prepare, tmp_path / "alone")
    assert_close(state_of(tmp_path / "alone"), state_of(lane))


def test_a_sweep_may_have_a_single_lane(tmp_path):
    assert sweep(dataclasses.replace(CONFIG, steps=2), prepare, {"alpha": (0.3,)}, (1,), tmp_path)
    assert checkpoint.latest_step(tmp_path / "alpha=0.3,seed=1") == 2


@pytest.mark.parametrize(
    ("config", "grid", "seeds", "word"),
    [
        (small.NOISE, {"alpha": (0.1,)}, (0,), "no such setting"),
        (CONFIG, {"noise": (0.1,)}, (0,), "noise: is no number"),
        (CONFIG, {"seed": (1, 2)}, (0,), "seeds have a list"),
        (CONFIG, {"features": (1.5,)}, (0,), "features must be a whole number"),
        (CONFIG, {"alpha": (0.1, 0.1)}, (0,), "alpha: name"),
        (CONFIG, {"alpha": (0.1, 0.10000001)}, (0,), "first six digits"),
        (CONFIG, {"alpha": (0.1,)}, (), "seeds"),
        (CONFIG, {"alpha": (-0.1,)}, (0,), "alpha"),
        (dataclasses.replace(CONFIG, convolution="pallas"), {}, (0,), "pallas is for GPUs"),
    ],
)
def test_sweeps_that_cannot_be_are_named(tmp_path, config, grid, seeds, word):
    with pytest.raises(InputError, match=word):
        sweep(config, prepare, grid, seeds, tmp_path)
