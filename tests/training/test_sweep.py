"""Sweeps: each lane is the run it would be alone, and all of them are compiled once."""

import csv
import dataclasses
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
from stgan_jax.training import checkpoint, run_log
from stgan_jax.training.loop import train
from stgan_jax.training.sweep import sweep
from stgan_jax.util.errors import InputError

# SGD: Adam turns rounding errors of gradients around zero into whole steps.
CONFIG = StganSettings(
    data=WalkerData(61, 62, (0, 90), ("nm-01", "bg-01"), frames=4),
    validation_subjects=(77, 77),
    noise="gaussian",
    balance="printed",
    steps=20,
    batch_size=2,
    features=2,
    lstm_units=4,
    optimizer="sgd",
    gen_learning_rate=1e-5,
    disc_learning_rate=1e-3,
    log_every=5,
    save_every=10,
    evaluate_every=10,
)
ALPHAS, SEEDS = (0.1, 0.2, 0.4, 0.8), (0, 3)


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
        assert sweep(CONFIG, prepare, ALPHAS, SEEDS, folder)
    return folder, len(traces)


def state_of(folder):
    return checkpoint.load(folder).state


def assert_close(a, b, tolerance=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_eight_lanes_are_traced_once(swept):
    assert swept[1] == 1


@pytest.mark.parametrize(("alpha", "seed"), [(0.1, 0), (0.8, 3)])
def test_a_lane_is_the_run_it_would_be_alone(swept, tmp_path, alpha, seed):
    config = dataclasses.replace(CONFIG, alpha=alpha, seed=seed)
    train(config, prepare, tmp_path)
    lane = swept[0] / f"alpha={alpha:g},seed={seed}"
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
    model = catalog.load(swept[0] / "alpha=0.4,seed=3")
    assert model.alpha == 0.4
    masks = procedural.silhouettes(85, 90, frames=4)
    anonymized = model(masks, jax.random.key(0))
    assert anonymized.shape == masks.shape
    assert not np.array_equal(anonymized, masks)


def test_a_sweep_is_all_its_lanes_where_checkpoints_are_named(swept):
    lane = swept[0] / "alpha=0.4,seed=3"
    named = f"{lane},retarget,{swept[0]}".split(",")  # as absl cuts lists
    one, weights, *lanes = catalog.load_all(named)
    assert (one.name, one.alpha, weights.kind) == (lane.name, 0.4, "retarget")
    sweep_name = swept[0].name
    assert [method.name for method in lanes] == [
        f"{sweep_name} alpha={alpha:g},seed={seed}" for alpha in ALPHAS for seed in SEEDS
    ]
    assert len({method.digest for method in lanes}) == len(lanes)
    assert catalog.load_all([]) == []


def test_lanes_that_follow_each_other_are_those_side_by_side(swept, tmp_path):
    # Three cannot be shared by the two devices, and on one CPU lanes are not vmapped.
    assert sweep(CONFIG, prepare, ALPHAS[:3], SEEDS[:1], tmp_path)
    for alpha in ALPHAS[:3]:
        name = f"alpha={alpha:g},seed=0"
        assert_close(state_of(tmp_path / name), state_of(swept[0] / name))


def test_lanes_differ(swept):
    states = [
        state_of(swept[0] / f"alpha={alpha:g},seed={seed}") for alpha in ALPHAS for seed in SEEDS
    ]
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
        sweep(dataclasses.replace(CONFIG, steps=10), prepare, ALPHAS, SEEDS, tmp_path)
    step = f"checkpoints/{10 * number}"
    ahead = tmp_path / "alpha=0.1,seed=0"  # one lane had saved once more than the others
    shutil.copytree(swept[0] / ahead.name / step, ahead / step, dirs_exist_ok=True)
    assert sweep(CONFIG, prepare, ALPHAS, SEEDS, tmp_path)
    for lane in swept[0].glob("alpha*"):
        both = (jax.tree.leaves(state_of(f)) for f in (lane, tmp_path / lane.name))
        for x, y in zip(*both, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.soak  # what holding changes, test_loop compares, too
def test_lanes_that_hold_their_examples_are_those_that_are_fed(swept, tmp_path):
    config = dataclasses.replace(CONFIG, hold=True, steps_per_call=5)
    assert sweep(config, prepare, ALPHAS[::3], SEEDS, tmp_path)
    for lane in tmp_path.glob("alpha*"):
        assert_close(state_of(lane), state_of(swept[0] / lane.name), 1e-6)
        held, fed = (run_log.read(f / lane.name / "metrics.jsonl") for f in (tmp_path, swept[0]))
        assert [line["step"] for line in held] == [line["step"] for line in fed]
        assert held[-1]["loss/gen"] == pytest.approx(fed[-1]["loss/gen"], rel=1e-6)


def test_table_and_plot_hold_every_lane(swept, capsys):
    sweep(CONFIG, prepare, ALPHAS, SEEDS, swept[0])
    assert "already" in capsys.readouterr().out
    with open(swept[0] / "sweep.csv") as file:
        rows = list(csv.DictReader(file))
    assert sorted((float(r["alpha"]), int(r["seed"])) for r in rows) == sorted(
        (a, s) for a in ALPHAS for s in SEEDS
    )
    for row in rows:
        lane = swept[0] / f"alpha={float(row['alpha']):g},seed={row['seed']}"
        last = run_log.read(lane / "metrics.jsonl")[-1]
        assert float(row["loss G"]) == pytest.approx(last["loss/gen"])
    assert (swept[0] / "sweep.png").stat().st_size > 10_000


def test_a_lane_that_diverges_does_not_take_the_others_along(tmp_path):
    config = dataclasses.replace(CONFIG, steps=4, save_every=2, log_every=1)
    with pytest.raises(InputError, match=r"alpha=1e\+30,seed=0"):
        sweep(config, prepare, (0.3, 1e30), (0,), tmp_path)
    lost = json.loads((tmp_path / "alpha=1e+30,seed=0/diverged.json").read_text())
    assert lost["step"] in (1, 2)
    assert checkpoint.latest_step(tmp_path / "alpha=0.3,seed=0") == 4
    assert checkpoint.latest_step(tmp_path / "alpha=1e+30,seed=0") in (None, 2)
    with pytest.raises(InputError, match=r"alpha=1e\+30,seed=0"):  # and is not forgotten
        sweep(config, prepare, (0.3, 1e30), (0,), tmp_path)


def test_lanes_of_the_wifs_network_share_one_noise_gait(tmp_path):
    data = dataclasses.replace(small.WIFS.data, frames=3)
    config = dataclasses.replace(small.WIFS, steps=2, data=data)
    assert sweep(config, prepare, (0.1, 0.5), (4, 5), tmp_path)
    lane = tmp_path / "alpha=0.5,seed=5"
    saved = settings_of(checkpoint.load(lane).settings)
    assert saved.noise_subject == dataclasses.replace(config, seed=4).drawn_subject()
    train(saved, prepare, tmp_path / "alone")
    assert_close(state_of(tmp_path / "alone"), state_of(lane))


def test_a_sweep_may_have_a_single_lane(tmp_path):
    assert sweep(dataclasses.replace(CONFIG, steps=2), prepare, (0.3,), (1,), tmp_path)
    assert checkpoint.latest_step(tmp_path / "alpha=0.3,seed=1") == 2


@pytest.mark.parametrize(
    ("config", "alphas", "seeds", "word"),
    [
        (small.NOISE, (0.1,), (0,), "no alpha"),
        (CONFIG, (0.1, 0.1), (0,), "--alphas"),
        (CONFIG, (0.1,), (), "--seeds"),
        (CONFIG, (-0.1,), (0,), "alpha"),
        (dataclasses.replace(CONFIG, convolution="pallas"), (0.1,), (0,), "pallas is for GPUs"),
    ],
)
def test_sweeps_that_cannot_be_are_named(tmp_path, config, alphas, seeds, word):
    with pytest.raises(InputError, match=word):
        sweep(config, prepare, alphas, seeds, tmp_path)
