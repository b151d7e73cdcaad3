"""Training runs: resumed bit for bit, refused where they do not belong, stopped at NaN."""

import dataclasses
import json
import os
import signal

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.methods import weights
from stgan_jax.methods.catalog import prepare, settings_of
from stgan_jax.methods.stgan import noise_experiment
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.shapes import contour
from stgan_jax.training import checkpoint, run_log
from stgan_jax.training.loop import train
from stgan_jax.util import files
from stgan_jax.util.errors import InputError


def state_of(workdir):
    return checkpoint.load(workdir).state


def assert_identical(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_resume_is_bit_exact(tmp_path, trained):
    config = dataclasses.replace(small.STGAN, noise_checkpoint=str(trained / "noise"))
    train(dataclasses.replace(config, steps=12), prepare, tmp_path)
    assert checkpoint.latest_step(tmp_path) == 12
    train(config, prepare, tmp_path)
    assert_identical(state_of(tmp_path), state_of(trained / "stgan"))


def test_examples_held_on_the_device_give_the_training_of_fed_ones(tmp_path):
    fed = dataclasses.replace(
        small.STGAN,
        data=dataclasses.replace(small.STGAN.data, frames=4),
        noise="gaussian",
        optimizer="sgd",  # so slow that rounding is not magnified
        gen_learning_rate=1e-4,
        disc_learning_rate=1e-4,
        steps=6,
        save_every=6,
        log_every=2,
        evaluate_every=6,
    )
    train(fed, prepare, tmp_path / "fed")
    held = dataclasses.replace(fed, hold=True, steps_per_call=2)
    train(held, prepare, tmp_path / "held")
    a, b = (state_of(tmp_path / name) for name in ("fed", "held"))
    assert int(b["step"]) == 6
    for x, y in zip(*(jax.tree.leaves(x["params"]) for x in (a, b)), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-6)
    lines = [run_log.read(tmp_path / name / "metrics.jsonl") for name in ("fed", "held")]
    assert [line["step"] for line in lines[1]] == [2, 4, 6]
    for one, other in zip(*lines, strict=True):
        assert one.keys() == other.keys()
        assert one["loss/gen"] == pytest.approx(other["loss/gen"], rel=1e-5)
    train(dataclasses.replace(held, steps=4, save_every=4), prepare, tmp_path / "parts")
    train(held, prepare, tmp_path / "parts")
    assert_identical(state_of(tmp_path / "parts"), b)
    fours = {"steps": 8, "save_every": 4, "evaluate_every": 4, "log_every": 4, "steps_per_call": 4}
    with pytest.raises(InputError, match="no multiple"):
        train(dataclasses.replace(held, **fours), prepare, tmp_path / "parts")
    with pytest.raises(InputError, match="jit"):
        train(held, prepare, tmp_path / "pmap", mode="pmap")


def test_a_finished_run_is_left_alone(trained, capsys):
    before = state_of(trained / "noise")
    train(small.NOISE, prepare, trained / "noise")
    assert "already" in capsys.readouterr().out
    assert_identical(state_of(trained / "noise"), before)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_the_same_call_goes_on(tmp_path, monkeypatch, capsys, sent):
    config = dataclasses.replace(small.NOISE, steps=8, save_every=100, log_every=1)
    line, calls = run_log.line, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), sent)
        return line(*arguments)

    monkeypatch.setattr(run_log, "line", interrupted)
    handler = signal.getsignal(sent)
    assert not train(config, prepare, tmp_path)
    assert signal.getsignal(sent) == handler
    assert "same command" in capsys.readouterr().out
    assert checkpoint.latest_step(tmp_path) == 5
    assert train(config, prepare, tmp_path)
    assert checkpoint.latest_step(tmp_path) == 8


def test_other_settings_in_a_used_folder_are_refused(trained):
    config = dataclasses.replace(small.NOISE, seed=5)
    with pytest.raises(InputError, match="seed=0"):
        train(config, prepare, trained / "noise")


def test_another_kind_in_a_used_folder_is_refused(trained):
    with pytest.raises(InputError, match="kind='noise'"):
        train(small.WIFS, prepare, trained / "noise")


def test_data_may_be_moved_between_two_stretches_of_a_run(trained):
    data = dataclasses.replace(small.WALKERS, data_dir="/elsewhere")
    assert train(dataclasses.replace(small.NOISE, data=data), prepare, trained / "noise")


def test_a_noise_gan_of_another_codec_is_refused(trained, tmp_path):
    data = dataclasses.replace(small.STGAN.data, codec="padded")
    config = dataclasses.replace(small.STGAN, data=data, noise_checkpoint=str(trained / "noise"))
    with pytest.raises(InputError, match="codec"):
        train(config, prepare, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    data = dataclasses.replace(small.WIFS.data, frames=3)
    config = dataclasses.replace(
        small.WIFS,
        data=data,
        steps=60,
        save_every=2,
        log_every=30,
        learning_rate=1e25,
        convolution="plain",
    )
    sentence = r"gen.* is (nan|inf) at step \d+, nothing is saved"
    with pytest.raises(InputError, match=sentence):
        train(config, prepare, tmp_path)
    assert checkpoint.latest_step(tmp_path) is None


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    step = noise_experiment.noise_step

    def poisoned(*arguments, **options):
        state, metrics = step(*arguments, **options)
        poison = jnp.where(state.step > 5, jnp.nan, 1.0)
        return state.replace(params=jax.tree.map(lambda x: x * poison, state.params)), metrics

    monkeypatch.setattr(noise_experiment, "noise_step", poisoned)
    config = dataclasses.replace(small.NOISE, steps=9, save_every=1, log_every=9)
    with pytest.raises(InputError, match="at step 6, the checkpoint of step 5 is good"):
        train(config, prepare, tmp_path)
    assert checkpoint.latest_step(tmp_path) == 5


def test_literal_losses_padded_codec_plain_gan_and_stencils_train_too(tmp_path):
    data = dataclasses.replace(small.WALKERS, codec="padded", frames=4)
    noise = dataclasses.replace(small.NOISE, data=data, basis_size=0, r1=0.0, ema=0.0, steps=3)
    train(noise, prepare, tmp_path / "noise")
    config = dataclasses.replace(
        small.STGAN,
        data=data,
        noise_checkpoint=str(tmp_path / "noise"),
        steps=2,
        loss="printed",
        share_encoder=True,
        convolution="auto",  # and stencils
    )
    train(config, prepare, tmp_path / "stgan")
    _, params = weights.load_as(tmp_path / "stgan", StganSettings)
    assert sum(x.size for x in jax.tree.leaves(params["gen"])) == 15  # 23 of two
    assert params["noise_basis"].size == contour.DIM


def test_a_run_leaves_its_figures_pictures_best_state_and_a_trace(tmp_path):
    config = dataclasses.replace(
        small.NOISE, steps=60, save_every=20, evaluate_every=20, log_every=10, picture_every=30
    )
    assert train(config, prepare, tmp_path, profile=True)
    lines = run_log.read(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    for name in (
        "loss/noise_gen",
        "accuracy/noise_real",
        "accuracy/noise_fake",
        "gradient_norm/noise_disc",
        "update_norm/noise_gen",
    ):
        assert all(np.isfinite(line[name]) for line in lines)
    assert all(line["sequences_per_second"] > 0 for line in lines)
    assert all(0 <= line["share_waiting"] <= 1 for line in lines)
    losses = {x["step"]: x["validation/loss"] for x in lines if "validation/loss" in x}
    assert sorted(losses) == [20, 40, 60]
    best = min(losses, key=losses.get)
    assert checkpoint.saved_steps(tmp_path, checkpoint.BEST) == [best]
    assert checkpoint.load(tmp_path, checkpoint.BEST).step == best
    assert checkpoint.load(tmp_path).step == 60
    assert settings_of(json.loads((tmp_path / "config.json").read_text())) == config
    shown = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in tmp_path.glob("pictures/*.png")]
    assert len(shown) == 2
    assert all(picture.shape == (480, 960) for picture in shown)
    assert all(0.02 < np.mean(picture < 128) < 0.5 for picture in shown)
    assert sum(p.stat().st_size for p in tmp_path.glob("events*")) > 10_000
    assert any(p.stat().st_size > 1000 for p in (tmp_path / "profile").rglob("*.pb"))


def test_figures_logged_beyond_the_last_checkpoint_are_forgotten(tmp_path):
    log = run_log.Log(tmp_path, 0)
    for step in (1, 2, 3):
        log.figures(step, {"loss/x": float(step)})
    log.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')  # killed in mid-line
    run_log.Log(tmp_path, 2).close()
    kept = [{"step": 1, "loss/x": 1.0}, {"step": 2, "loss/x": 2.0}]
    assert run_log.read(tmp_path / "metrics.jsonl") == kept


def test_wifs_learns_to_lie_between_a_gait_and_its_noise_gait(tmp_path):
    """Eq. 5 has its least value at (own + alpha noise) / (1 + alpha)."""
    alpha = 0.8
    data = dataclasses.replace(small.WIFS.data, frames=3)
    config = dataclasses.replace(
        small.WIFS,
        data=data,
        steps=40,
        save_every=40,
        learning_rate=0.05,
        alpha=alpha,
        convolution="plain",
    )
    train(config, prepare, tmp_path)
    saved = checkpoint.load(tmp_path)
    assert saved.settings["noise_subject"] == 0
    experiment = prepare(config)
    everything = np.arange(experiment.source.count)
    pairs = jnp.asarray(experiment.source.fetch(everything, everything).contours)
    own, noise = (contour.fixed_to_unit(pairs[:, i]) for i in (0, 1))
    best = (own + alpha * noise) / (1 + alpha)
    before, after = (
        config.net().apply(params["gen"], own, noise)
        for params in (experiment.start(0).params, saved.params())
    )
    off, off_before, far = (np.mean(np.square(output - best)) for output in (after, before, own))
    assert off < 0.1 * min(off_before, far)


def test_two_at_once_are_one_too_many(tmp_path):
    """The second training in a folder leaves everything as it is."""
    with files.locked(tmp_path, "is trained in"):
        with pytest.raises(InputError, match="is trained in by another process"):
            train(small.NOISE, prepare, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
