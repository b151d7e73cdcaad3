"""Options and flags: those that are refused, and what those of a model do."""

import dataclasses

import jax
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import naturalness
from stgan_jax.methods import catalog, weights
from stgan_jax.methods.stgan.settings import NoiseSettings, StganSettings
from stgan_jax.shapes.likeness import best_iou
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch, cli
from stgan_jax.video.source import ClipOptions


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"start": 3, "end": 2}, "--end must be later"),
        ({"crf": 99}, "--crf"),
        ({"alpha": 1.1}, "--alpha"),
        ({"alpha": -0.1}, "--alpha"),
        ({"masks": "a", "start": 1}, "leave --start out"),
        ({"masks": "a", "segmenter": "b"}, "exclude each other"),
        ({"preview": "a.jpg"}, "name a .png"),
        ({"max_resolution": 1}, "--max_resolution"),
        ({"seed": 1 << 64}, "--seed"),
    ],
)
def test_options_that_cannot_be_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        ClipOptions(**options)


@pytest.mark.parametrize(
    "flag", ["--build=1.6", "--strength=mild", "--silhouette=dcgan", "--tempo=0.2"]
)
def test_flags_of_earlier_versions_are_refused_in_a_sentence(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["in.mp4", flag])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert flag in line


def test_every_option_of_a_clip_has_a_flag(monkeypatch):
    """By its name and default, but for the seed that is drawn; and what is chosen arrives."""
    chosen = []

    def anonymize(*_, options, **__):
        chosen.append(options)
        return {"exit_code": 0, "files": []}

    monkeypatch.setattr(batch, "anonymize", anonymize)
    flags = ["--alpha=0.7", "--in_step", "--segmenter-input=8,9,1", "--no-keep-audio"]
    for arguments in ([], flags):
        with pytest.raises(SystemExit):
            cli.main(["in.mp4", *arguments])
    assert chosen[0] == ClipOptions()
    assert chosen[1] == ClipOptions(
        alpha=0.7, in_step=True, segmenter_input=(8, 9, 1), keep_audio=False
    )
    known = {action.dest for action in cli._parser()._actions}
    assert {field.name for field in dataclasses.fields(ClipOptions)} <= known


def test_options_that_a_model_lacks_are_refused(model):
    assert model.with_options(alpha=None, in_step=None) is model
    for options in ({"in_step": True}, {"alpha": 0.5}):
        with pytest.raises(InputError, match=f"has no --{next(iter(options))}: leave it out"):
            model.with_options(**options)


def test_without_a_checkpoint_the_package_brings_weights():
    model = catalog.load()
    walks = [procedural.silhouettes(85, view, frames=20) for view in (0, 90)]
    results = model.many(walks, [jax.random.key(n) for n in (1, 2)])
    for own, new in zip(walks, results, strict=True):
        assert naturalness.one_piece(new).all()
        assert 0.5 < best_iou(new, own).mean() < 0.97


def test_strength_is_a_name_of_weights_or_a_share_of_the_other_walker(
    trained, tmp_path, monkeypatch
):
    retarget = catalog.load()
    assert retarget.alpha == 1.0
    assert retarget.with_options(alpha=0.7).alpha == 0.7
    weights.export(trained / "stgan", tmp_path / "stgan_strong.npz", StganSettings)
    weights.export(trained / "noise", tmp_path / "noise.npz", NoiseSettings)
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    loaded, before = catalog.load("stgan_strong"), catalog.load(trained / "stgan")
    walk, key = procedural.silhouettes(90, 90, frames=4), jax.random.key(0)
    assert best_iou(loaded(walk, key), before(walk, key)).mean() > 0.98
    for name, word in (("stgan_mild", "stgan_mild"), ("noise", "anonymises nothing by itself")):
        with pytest.raises(InputError, match=word):
            catalog.load(name)
