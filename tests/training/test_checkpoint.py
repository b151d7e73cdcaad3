"""Checkpoints: whole or refused, the best one kept, whatever happens to their files."""

import dataclasses
import shutil

import numpy as np
import optax
import pytest
import small

from stgan_jax.methods import weights
from stgan_jax.methods.catalog import prepare
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.training import checkpoint
from stgan_jax.training.loop import train
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError


def tiny_state(**params):
    params = params or {"gen": np.ones(3, np.float32)}
    return TrainState.create(0, params, {name: optax.adam(1.0) for name in params})


@pytest.mark.parametrize("pattern", ["*", "d/*", "_METADATA", "metadata"])
def test_a_cut_checkpoint_is_named(trained, tmp_path, pattern):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    files = [
        p
        for p in (tmp_path / f"noise/checkpoints/{small.NOISE.steps}").rglob(pattern)
        if p.is_file()
    ]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "noise")


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_a_flipped_bit_in_the_weights_is_noticed(trained, tmp_path, where):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    files = (
        p
        for p in (tmp_path / f"noise/checkpoints/{small.NOISE.steps}/state").rglob("*")
        if p.is_file()
    )
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[int(where * len(content))] ^= 1
    largest.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "noise")
    with pytest.raises(InputError, match="damaged"):
        train(
            dataclasses.replace(small.NOISE, steps=small.NOISE.steps + 1),
            prepare,
            tmp_path / "noise",
        )


def test_checkpoints_that_are_not_what_is_needed_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="'noise' model where a 'stgan'"):
        weights.load_as(trained / "noise", StganSettings)
    with pytest.raises(InputError, match="no such"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_of_another_format_is_refused(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "noise", tmp_path / "noise")
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    with pytest.raises(InputError, match="version"):
        checkpoint.load(tmp_path / "noise")


def test_the_best_state_is_not_replaced_by_worse_ones(tmp_path):
    writer = checkpoint.Writer(tmp_path, small.WIFS.to_dict())
    state = tiny_state()
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, None)):
        writer.save(state.replace(step=np.int32(step)), loss)
    writer.close()
    assert checkpoint.saved_steps(tmp_path, checkpoint.BEST) == [2]
    assert checkpoint.saved_steps(tmp_path) == [2, 3, 4]
    assert checkpoint.Writer(tmp_path, small.WIFS.to_dict()).best == 1.0


def test_networks_of_other_shapes_are_refused(tmp_path):
    writer = checkpoint.Writer(tmp_path, small.WIFS.to_dict())
    state = tiny_state()
    writer.save(state.replace(step=np.int32(1)))
    writer.close()
    assert writer.restore(state).step == 1
    for params in ({"gen": np.ones(4, np.float32)}, {"other": np.ones(3, np.float32)}):
        with pytest.raises(InputError, match="other shapes"):
            writer.restore(tiny_state(**params))
