"""Training runs: resumed bit for bit, refused where they do not belong, stopped at NaN."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax import checkpoint, contour, experiments, settings, train
from stgan_jax.errors import InputError


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
    config = dataclasses.replace(
        small.NOISE, steps=60, save_every=5, log_every=1, learning_rate=1e18
    )
    with pytest.raises(InputError, match="learning rate"):
        train.train(config, tmp_path)


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    step = experiments.steps.noise_step

    def poisoned(*arguments, **options):
        state, metrics = step(*arguments, **options)
        poison = jnp.where(state.step > 5, jnp.nan, 1.0)
        return state.replace(params=jax.tree.map(lambda x: x * poison, state.params)), metrics

    monkeypatch.setattr(experiments.steps, "noise_step", poisoned)
    config = dataclasses.replace(small.NOISE, steps=9, save_every=1, log_every=9)
    with pytest.raises(InputError, match="at step 6"):
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
