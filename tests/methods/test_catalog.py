"""The catalogue: what loads as an anonymiser, by which name, and what is refused."""

import dataclasses

import jax
import pytest
import small

from stgan_jax.methods import catalog, weights
from stgan_jax.training import checkpoint
from stgan_jax.util.errors import InputError

KINDS = {"noise", "stgan", "wifs", "retarget", "color", "silhouette"}


def test_every_kind_has_settings_of_its_name():
    assert {kind: catalog.method_of(kind).settings.kind for kind in KINDS} == {k: k for k in KINDS}


@pytest.mark.parametrize("kind", ["wgan", None, 3])
def test_an_unknown_kind_is_refused_with_those_that_there_are(kind):
    with pytest.raises(InputError, match=rf"unknown kind {kind!r} of model.*retarget"):
        catalog.settings_of({**small.STGAN.to_dict(), "kind": kind})


def test_what_anonymises_nothing_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="'noise' model, which anonymises nothing by itself"):
        catalog.load(trained / "noise")
    with pytest.raises(InputError, match="'color' model, which anonymises nothing by itself"):
        catalog.load("color")
    with pytest.raises(InputError, match="no such checkpoint folder"):
        catalog.load(tmp_path / "nothing")


def test_models_are_called_by_their_weights_or_folder(trained):
    assert catalog.load().name == "retarget"
    assert catalog.load("stgan_mild").name == "stgan_mild"
    assert catalog.load(trained / "stgan").name == "stgan"


def test_the_best_checkpoint_loads_on_request(trained):
    best = catalog.load(trained / "stgan", checkpoint.BEST)
    assert best.kind == "stgan"
    saved = weights.read(trained / "stgan", checkpoint.BEST)
    latest = weights.read(trained / "stgan")
    same_step = checkpoint.latest_step(trained / "stgan", checkpoint.BEST) == small.STGAN.steps
    assert (saved.digest == latest.digest) == same_step


def test_digests_are_the_settings_the_weights_and_those_of_noise_gaits(monkeypatch):
    names = ("retarget", "stgan", "silhouette")

    def digests():
        return {name: catalog.load(name).digest for name in names}

    def changed(change):
        before, read = digests(), weights.read
        with monkeypatch.context() as patch:
            patch.setattr(weights, "read", lambda source, *rest: change(read(source, *rest)))
            after = digests()
        return {name for name in names if before[name] != after[name]}

    def other_weights(saved):
        if saved.name != "retarget":
            return saved
        params = jax.tree.map(lambda x: 1.01 * x, saved.params)
        return dataclasses.replace(saved, params=params, digest=checkpoint.digest(params))

    def other_settings(saved):
        if saved.name != "silhouette":
            return saved
        return dataclasses.replace(saved, settings={**saved.settings, "steps": 7})

    assert changed(lambda saved: saved) == set()
    assert changed(other_weights) == {"retarget", "stgan"}
    assert changed(other_settings) == {"silhouette"}
