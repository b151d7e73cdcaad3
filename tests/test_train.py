"""Training runs: resumed bit for bit, refused where they do not belong, stopped at NaN."""

import dataclasses
import json
import os
import runpy
import shutil
import signal
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small

from stgan_jax import checkpoint, contour, experiments, settings, train
from stgan_jax.errors import InputError
from stgan_jax.state import TrainState

ROOT = Path(__file__).parents[1]


def state_of(workdir, kind):
    return checkpoint.load(workdir, kind).state


def assert_identical(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_resume_is_bit_exact(tmp_path, trained):
    config = dataclasses.replace(
        small.STGAN, noise_checkpoint=str(trained / "noise"), steps=6, save_every=3
    )
    train.train(config, tmp_path / "whole")
    train.train(dataclasses.replace(config, steps=3), tmp_path / "parts")
    assert checkpoint.latest_step(tmp_path / "parts") == 3
    train.train(config, tmp_path / "parts")
    assert_identical(state_of(tmp_path / "parts", "stgan"), state_of(tmp_path / "whole", "stgan"))


def test_examples_held_on_the_device_give_the_training_of_fed_ones(tmp_path):
    fed = dataclasses.replace(
        small.STGAN, noise="gaussian", optimizer="sgd", steps=6, save_every=6, log_every=2,
        evaluate_every=6, features=4, lstm_units=8,
    )  # fmt: skip
    train.train(fed, tmp_path / "fed")
    held = dataclasses.replace(fed, hold=True, steps_per_call=2)
    train.train(held, tmp_path / "held")
    a, b = (state_of(tmp_path / name, "stgan") for name in ("fed", "held"))
    assert int(b["step"]) == 6
    for x, y in zip(*(jax.tree.leaves(x["params"]) for x in (a, b)), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-6)
    told = [train.metrics.read(tmp_path / name / "metrics.jsonl") for name in ("fed", "held")]
    assert [line["step"] for line in told[1]] == [2, 4, 6]
    for one, other in zip(*told, strict=True):
        assert one.keys() == other.keys()
        assert one["loss/gen"] == pytest.approx(other["loss/gen"], rel=1e-5)
    train.train(dataclasses.replace(held, steps=4, save_every=4), tmp_path / "parts")
    train.train(held, tmp_path / "parts")
    assert_identical(state_of(tmp_path / "parts", "stgan"), b)
    with pytest.raises(InputError, match="no multiple"):
        train.train(dataclasses.replace(held, steps=8, save_every=4, evaluate_every=4, log_every=4,
                                        steps_per_call=4), tmp_path / "parts")  # fmt: skip
    with pytest.raises(InputError, match="jit"):
        train.train(held, tmp_path / "pmap", mode="pmap")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kernel": 4}, "odd"),
        ({"steps_per_call": 2}, "hold"),
        ({"hold": True, "steps_per_call": 4, "steps": 6}, "multiple"),
        ({"hold": True, "steps_per_call": 0}, "positive"),
        ({"hold": True, "data": dataclasses.replace(small.NOISE.data, mirror=True)}, "mirroring"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(small.STGAN, **changes)


def test_a_finished_run_is_left_alone(trained, capsys):
    before = state_of(trained / "noise", "noise")
    train.train(small.NOISE, trained / "noise")
    assert "already" in capsys.readouterr().out
    assert_identical(state_of(trained / "noise", "noise"), before)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_the_same_call_goes_on(tmp_path, monkeypatch, capsys, sent):
    config = dataclasses.replace(small.NOISE, steps=8, save_every=100, log_every=1)
    line, calls = train.metrics.line, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), sent)
        return line(*arguments)

    monkeypatch.setattr(train.metrics, "line", interrupted)
    handler = signal.getsignal(sent)
    assert not train.train(config, tmp_path)
    assert signal.getsignal(sent) == handler
    assert "same command" in capsys.readouterr().out
    assert checkpoint.latest_step(tmp_path) == 5
    assert train.train(config, tmp_path)
    assert checkpoint.latest_step(tmp_path) == 8


def test_other_settings_in_a_used_folder_are_refused(trained):
    config = dataclasses.replace(small.NOISE, seed=5)
    with pytest.raises(InputError, match="seed=0"):
        train.train(config, trained / "noise")


def test_data_may_be_moved_between_two_stretches_of_a_run(trained):
    data = dataclasses.replace(small.WALKERS, data_dir="/elsewhere")
    assert train.train(dataclasses.replace(small.NOISE, data=data), trained / "noise")


def test_a_noise_gan_of_another_codec_is_refused(trained, tmp_path):
    data = dataclasses.replace(small.STGAN.data, codec="padded")
    config = dataclasses.replace(small.STGAN, data=data, noise_checkpoint=str(trained / "noise"))
    with pytest.raises(InputError, match="codec"):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    data = dataclasses.replace(small.WIFS.data, frames=3)
    config = dataclasses.replace(
        small.WIFS, data=data, steps=60, save_every=2, log_every=30, learning_rate=1e25
    )
    told = r"gen.* is (nan|inf) at step \d+, nothing is saved"
    with pytest.raises(InputError, match=told):
        train.train(config, tmp_path)
    assert checkpoint.latest_step(tmp_path) is None


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    step = experiments.steps.noise_step

    def poisoned(*arguments, **options):
        state, metrics = step(*arguments, **options)
        poison = jnp.where(state.step > 5, jnp.nan, 1.0)
        return state.replace(params=jax.tree.map(lambda x: x * poison, state.params)), metrics

    monkeypatch.setattr(experiments.steps, "noise_step", poisoned)
    config = dataclasses.replace(small.NOISE, steps=9, save_every=1, log_every=9)
    with pytest.raises(InputError, match="at step 6, the checkpoint of step 5 is good"):
        train.train(config, tmp_path)
    assert checkpoint.latest_step(tmp_path) == 5


def test_literal_losses_padded_codec_and_plain_gan_train_too(tmp_path):
    data = dataclasses.replace(small.WALKERS, codec="padded")
    noise = dataclasses.replace(small.NOISE, data=data, basis_size=0, r1=0.0, ema=0.0, steps=3)
    train.train(noise, tmp_path / "noise")
    config = dataclasses.replace(
        small.STGAN, data=data, noise_checkpoint=str(tmp_path / "noise"), steps=2,
        distance="l1", saturating=True, share_encoder=True,
    )  # fmt: skip
    train.train(config, tmp_path / "stgan")
    params = checkpoint.load(tmp_path / "stgan", "stgan").params()
    assert sum(x.size for x in jax.tree.leaves(params["gen"])) == 113
    assert params["noise_basis"].size == contour.DIM


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"alhpa": 0.3}, "alhpa"),
        ({"alpha": -0.1}, "alpha"),
        ({"distance": "l3"}, "distance"),
        ({"steps": 0}, "steps"),
        ({"kind": "wgan"}, "wgan"),
        ({"data": {"first_subject": 1}}, "last_subject"),
    ],
)
def test_settings_that_cannot_be_are_named(change, word):
    with pytest.raises(InputError, match=word):
        settings.from_dict({**settings.to_dict(small.STGAN), **change})


def test_settings_survive_json():
    config = dataclasses.replace(small.STGAN, noise_run=small.NOISE)
    assert settings.from_dict(json.loads(json.dumps(settings.to_dict(config)))) == config


@pytest.mark.parametrize("pattern", ["*", "d/*", "_METADATA", "metadata"])
def test_a_cut_checkpoint_is_named(trained, tmp_path, pattern):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    files = [p for p in (tmp_path / "noise/checkpoints/400").rglob(pattern) if p.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "noise", "noise")


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_a_flipped_bit_in_the_weights_is_noticed(trained, tmp_path, where):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    files = (p for p in (tmp_path / "noise/checkpoints/400/state").rglob("*") if p.is_file())
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[int(where * len(content))] ^= 1
    largest.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "noise", "noise")
    with pytest.raises(InputError, match="damaged"):
        train.train(dataclasses.replace(small.NOISE, steps=401), tmp_path / "noise")


def test_checkpoints_that_are_not_what_is_needed_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="'noise' model where a 'stgan'"):
        checkpoint.load(trained / "noise", "stgan")
    with pytest.raises(InputError, match="no such"):
        checkpoint.load(tmp_path / "nowhere", "noise")
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load(tmp_path, "noise")


def test_a_checkpoint_of_another_format_is_refused(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    with pytest.raises(InputError, match="version"):
        checkpoint.load(tmp_path / "noise", "noise")


def test_a_run_leaves_its_figures_pictures_best_state_and_a_trace(tmp_path):
    config = dataclasses.replace(
        small.NOISE, steps=60, save_every=20, evaluate_every=20, log_every=10, picture_every=30
    )
    assert train.train(config, tmp_path, profile=True)
    lines = train.metrics.read(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    for name in (
        "loss/noise_gen", "accuracy/noise_real", "accuracy/noise_fake",
        "gradient_norm/noise_disc", "update_norm/noise_gen",
    ):  # fmt: skip
        assert all(np.isfinite(line[name]) for line in lines)
    assert all(line["sequences_per_second"] > 0 for line in lines)
    assert all(0 <= line["share_waiting"] <= 1 for line in lines)
    losses = {x["step"]: x["validation/loss"] for x in lines if "validation/loss" in x}
    assert sorted(losses) == [20, 40, 60]
    best = min(losses, key=losses.get)
    assert checkpoint.saved_steps(tmp_path, checkpoint.BEST) == [best]
    assert checkpoint.load(tmp_path, "noise", checkpoint.BEST).step == best
    assert checkpoint.load(tmp_path, "noise").step == 60
    assert settings.from_dict(json.loads((tmp_path / "config.json").read_text())) == config
    shown = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in tmp_path.glob("pictures/*.png")]
    assert len(shown) == 2
    assert all(picture.shape == (480, 960) for picture in shown)
    assert all(0.02 < np.mean(picture < 128) < 0.5 for picture in shown)
    assert sum(p.stat().st_size for p in tmp_path.glob("events*")) > 10_000
    assert any(p.stat().st_size > 1000 for p in (tmp_path / "profile").rglob("*.pb"))


def test_the_best_state_is_not_replaced_by_worse_ones(tmp_path):
    writer = checkpoint.Writer(tmp_path, settings.to_dict(small.WIFS))
    state = TrainState.create(0, {"gen": np.ones(3, np.float32)}, {"gen": optax.adam(1.0)})
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, None)):
        writer.save(state.replace(step=np.int32(step)), loss)
    writer.close()
    assert checkpoint.saved_steps(tmp_path, checkpoint.BEST) == [2]
    assert checkpoint.saved_steps(tmp_path) == [2, 3, 4]
    assert checkpoint.Writer(tmp_path, settings.to_dict(small.WIFS)).best == 1.0


def test_networks_of_other_shapes_are_refused(tmp_path):
    writer = checkpoint.Writer(tmp_path, settings.to_dict(small.WIFS))
    state = TrainState.create(0, {"gen": np.ones(3, np.float32)}, {"gen": optax.adam(1.0)})
    writer.save(state.replace(step=np.int32(1)))
    writer.close()
    assert writer.restore(state).step == 1
    for params in ({"gen": np.ones(4, np.float32)}, {"other": np.ones(3, np.float32)}):
        with pytest.raises(InputError, match="other shapes"):
            writer.restore(TrainState.create(0, params, {name: optax.adam(1.0) for name in params}))


def test_figures_told_beyond_the_last_checkpoint_are_forgotten(tmp_path):
    log = train.metrics.Log(tmp_path, 0)
    for step in (1, 2, 3):
        log.figures(step, {"loss/x": float(step)})
    log.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')  # killed in mid-line
    train.metrics.Log(tmp_path, 2).close()
    assert train.metrics.read(tmp_path / "metrics.jsonl") == [
        {"step": 1, "loss/x": 1.0}, {"step": 2, "loss/x": 2.0},
    ]  # fmt: skip


def test_wifs_learns_to_lie_between_a_gait_and_its_noise_gait(tmp_path):
    """Eq. 5 has its least value at (own + alpha noise) / (1 + alpha)."""
    alpha = 0.8
    config = dataclasses.replace(
        small.WIFS, steps=40, save_every=40, learning_rate=0.05, alpha=alpha
    )
    train.train(config, tmp_path)
    saved = checkpoint.load(tmp_path, "wifs")
    assert saved.settings["noise_subject"] == 0
    experiment = experiments.prepare(config)
    everything = np.arange(experiment.source.count)
    rows = jnp.asarray(experiment.source.fetch(everything, everything))
    own, noise = (contour.fixed_to_unit(rows[:, i]) for i in (0, 1))
    best = (own + alpha * noise) / (1 + alpha)
    before, after = (
        config.net().apply(params["gen"], own, noise)
        for params in (experiment.start(0).params, saved.params())
    )
    off, off_before, far = (np.mean(np.square(made - best)) for made in (after, before, own))
    assert off < 0.1 * min(off_before, far)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rates_follow_their_schedule(schedule):
    rule = dataclasses.replace(
        small.WIFS, steps=30, warmup_steps=10, schedule=schedule
    ).update_rule(2.0)
    state, weight, taken = rule.init(jnp.zeros(())), jnp.zeros(()), []
    for _ in range(30):
        update, state = rule.update(jnp.ones(()), state, weight)
        taken.append(-float(update))
    share = np.arange(20) / 20
    after = {
        "constant": np.ones(20), "linear": 1 - share, "cosine": (1 + np.cos(np.pi * share)) / 2
    }[schedule]  # fmt: skip
    np.testing.assert_allclose(taken, [*(2.0 * np.arange(10) / 10), *(2.0 * after)], atol=1e-5)


def test_gradients_are_clipped_to_their_norm():
    rule = dataclasses.replace(small.WIFS, clip_norm=1.0).update_rule(1.0)
    update, _ = rule.update(jnp.array([3.0, 4.0]), rule.init(jnp.zeros(2)), jnp.zeros(2))
    np.testing.assert_allclose(update, [-0.6, -0.8], rtol=1e-6)


def test_bfloat16_computes_about_the_same_with_float32_weights():
    rng = np.random.default_rng(0)
    own, noise = (
        jnp.asarray(rng.uniform(0.2, 0.8, size), jnp.float32) for size in ((2, 3, 4000), (2, 4000))
    )
    exact = dataclasses.replace(small.STGAN, noise="gaussian").nets()
    short = dataclasses.replace(small.STGAN, noise="gaussian", compute_dtype="bfloat16").nets()
    params = exact.init(jax.random.key(0), {}, 3)
    for tree in (params, short.init(jax.random.key(0), {}, 3)):
        assert {x.dtype for x in jax.tree.leaves(tree)} == {np.dtype(np.float32)}
    made = [nets.gen.apply(params["gen"], own, noise) for nets in (exact, short)]
    assert made[1].dtype == jnp.float32
    assert 0 < float(jnp.abs(made[0] - made[1]).max()) < 0.02
    for name in ("spatial_disc", "temporal_disc"):
        a, b = (getattr(nets, name).apply(params[name], own) for nets in (exact, short))
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=0.1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"optimizer": "lion"}, "optimizer"),
        ({"batch_size": 6, "accumulate": 4}, "slices"),
        ({"ema": 1.0}, "ema"),
        ({"steps": "many"}, "whole number"),
        ({"remat": 1}, "true or false"),
        ({"alpha": float("nan")}, "alpha"),
        ({"data": 3}, "group of settings"),
        ({"noise": "loud"}, "noise"),
    ],
)
def test_options_that_cannot_be_are_named(change, word):
    with pytest.raises(InputError, match=word):
        settings.from_dict({**settings.to_dict(small.STGAN), **change})


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda p: p.stem)
def test_every_config_describes_a_run(path):
    config = settings.from_config(runpy.run_path(str(path))["get_config"]())
    text = path.read_text()
    assert f"--config=configs/{path.name}" in text
    assert config.optimizers()
    assert (config.kind == "wifs") == (path.stem == "wifs")
