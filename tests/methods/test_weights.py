"""Weights: what is exported is what was trained, and damage is said."""

import shutil

import jax
import numpy as np
import pytest
import small

from stgan_jax.methods import catalog, weights
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.training import checkpoint
from stgan_jax.util.errors import InputError


@pytest.fixture
def folder(retarget_run, tmp_path, monkeypatch):
    """Stands for the package's folder of weights, with the small training's as "tiny"."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(weights, "_FOLDER", folder)
    weights.export(retarget_run, folder / "tiny.npz", RetargetSettings)
    return folder


def test_weights_are_what_was_trained(retarget_run, folder):
    assert weights.names() == ("tiny",)
    settings, params = weights.load_as("tiny", RetargetSettings)
    assert settings == small.RETARGET
    trained = checkpoint.load(retarget_run).params()
    same = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=2e-3, atol=1e-5), trained, params)
    assert all(jax.tree.leaves(same))


def test_a_copied_file_is_the_same_model_by_the_file_s_name(folder, tmp_path):
    elsewhere = str(shutil.copy(folder / "tiny.npz", tmp_path / "mine.npz"))
    assert weights.is_name(elsewhere)
    one, other = (weights.load_as(name, RetargetSettings) for name in ("tiny", elsewhere))
    assert one[0] == other[0]
    assert jax.tree.all(jax.tree.map(np.array_equal, one[1], other[1]))
    model = catalog.load(elsewhere)
    assert isinstance(model, RetargetAnonymizer)
    assert model.name == "mine"
    assert model.digest == catalog.load("tiny").digest


def test_missing_and_damaged_weights_are_said(folder, tmp_path):
    with pytest.raises(InputError, match="huge: no such checkpoint folder"):
        weights.read("huge")
    with pytest.raises(InputError, match=r"huge.npz: missing or damaged, export it again"):
        weights.read(str(tmp_path / "huge.npz"))
    content = (folder / "tiny.npz").read_bytes()
    (folder / "tiny.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged, install the package again"):
        weights.read("tiny")


def test_discriminators_and_what_an_average_replaces_are_not_exported(trained, tmp_path):
    weights.export(trained / "noise", tmp_path / "noise.npz", type(small.NOISE))
    _, params = weights.load_as(tmp_path / "noise.npz", type(small.NOISE))
    assert set(params) == {"noise_gen_ema", "noise_basis"}
