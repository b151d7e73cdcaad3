"""Saved settings of the version before (commit a4819ee): what loads, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
import small

from stgan_jax.data.selection import ColorData
from stgan_jax.methods import catalog, weights
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.methods.stgan.losses import LOSSES
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.util.errors import InputError

COLOR = ColorSettings(data=ColorData(51, 52))
ALL = (small.NOISE, small.STGAN, small.WIFS, small.SILHOUETTE, COLOR)
SMALL = {settings.kind: settings for settings in ALL}
# What that version saved and this one has not, if it was off.
OFF_IN_ALL = {"disc_steps": 1, "real_label": 1.0, "remat": False}
OFF = {
    "noise": {},
    "stgan": {},
    "wifs": {},
    "color": {},
    "silhouette": {"temporal": False},
}
# Settings that it saved for a kind though they changed nothing of its training.
IDLE = {
    "noise": {"convolution": "plain"},
    "stgan": {},
    "wifs": {"validation_subjects": [77, 84], "evaluate_every": 200, "r1": 0.5},
    "color": {"r1": 0.5, "convolution": "plain"},
    "silhouette": {"validation_subjects": [77, 84], "r1": 0.5, "convolution": "plain"},
}
ON = [(kind, *each) for kind in SMALL for each in (("disc_steps", 3), ("real_label", 0.9))]
ON += [
    ("stgan", "remat", True),
    ("silhouette", "temporal", True),
]


def former(kind, **changes):
    """The settings in `SMALL` as that version saved them, read from JSON."""
    values = SMALL[kind].to_dict()
    if kind == "stgan":
        values |= SMALL[kind].loss_parts()._asdict()
        del values["loss"]
    return json.loads(json.dumps(values | OFF_IN_ALL | OFF[kind] | IDLE[kind] | changes))


@pytest.mark.parametrize("kind", SMALL)
def test_a_former_run_loads_if_what_was_deleted_was_off(kind):
    settings = type(SMALL[kind])
    assert settings.from_saved(former(kind)) == SMALL[kind]
    assert SMALL[kind].differing(settings.from_saved(former(kind))) is None


@pytest.mark.parametrize(("kind", "name", "value"), ON)
def test_a_former_run_is_refused_if_something_deleted_was_on(kind, name, value):
    with pytest.raises(InputError, match=rf"a saved run has {name}=.*commit a4819ee"):
        type(SMALL[kind]).from_saved(former(kind, **{name: value}))


def test_a_noise_run_inside_a_former_run_is_looked_at_too():
    inner = former("noise")
    saved = former("stgan", noise_run=inner)
    expected = dataclasses.replace(small.STGAN, noise_run=small.NOISE)
    assert StganSettings.from_saved(saved) == expected
    with pytest.raises(InputError, match=r"real_label=0\.9"):
        StganSettings.from_saved({**saved, "noise_run": {**inner, "real_label": 0.9}})


def test_the_file_of_a_refused_run_is_named(tmp_path):
    path = tmp_path / "mine.npz"
    saved = {"kind": "retarget", "data": {"walks": 12}, "components": 256}
    np.savez(path, settings=json.dumps(saved), basis=np.zeros(3))
    with pytest.raises(InputError, match=r"mine\.npz: a retargeting model of an earlier version"):
        catalog.load(path)


def test_names_that_no_version_had_are_refused():
    with pytest.raises(InputError, match="no such setting"):
        StganSettings.from_saved(former("stgan", magic=1))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("l1", True, 1.0, "printed"), {"loss": "printed"}),
        (("l2", False, 0.1, "convex"), {"loss": "steered"}),
        (("l2", False, 0.1, "printed"), {"loss": "steered", "balance": "printed"}),
        (("l2", True, 0.1, "convex"), {"loss": "steered", "saturating": True}),
        (
            ("l1", False, 0.5, "convex"),
            {"loss": "steered", "distance": "l1", "adversarial_weight": 0.5},
        ),
    ],
)
def test_the_four_parts_of_a_former_loss_become_one_choice(parts, expected):
    names = ("distance", "saturating", "adversarial_weight", "balance")
    saved = former("stgan", **dict(zip(names, parts, strict=True)))
    settings = StganSettings.from_saved(saved)
    now = dataclasses.replace(small.STGAN, **dict.fromkeys(names) | expected)
    assert settings == now
    assert now.differing(settings) is None
    assert tuple(settings.loss_parts()) == parts


def test_a_former_run_without_a_balance_had_the_printed_one():
    saved = former("stgan")
    del saved["balance"]
    assert StganSettings.from_saved(saved).loss_parts().balance == "printed"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_part_that_the_loss_has_anyway_is_no_override(loss):
    parts = LOSSES[loss]._asdict()
    assert dataclasses.replace(small.STGAN, loss=loss, **parts) == dataclasses.replace(
        small.STGAN, loss=loss, **dict.fromkeys(parts)
    )


@pytest.mark.parametrize("name", weights.names())
def test_shipped_weights_are_of_settings_that_this_version_has(name):
    saved = weights.read(name)
    settings, _ = weights.restored(saved, catalog.method_of(saved.kind).settings)
    for setting, value in json.loads(json.dumps(settings.published())).items():
        if setting in saved.settings and setting not in LOSSES["printed"]._fields:
            assert saved.settings[setting] == value


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("noise", "convolution", "plain"),
        ("color", "r1", 0.1),
        ("wifs", "evaluate_every", 200),
        ("wifs", "validation_subjects", [77, 84]),
        ("silhouette", "validation_subjects", [77, 84]),
        ("silhouette", "convolution", "plain"),
        ("stgan", "disc_steps", 1),
    ],
)
def test_a_config_with_a_setting_that_its_kind_has_not_is_refused(kind, name, value):
    values = SMALL[kind].to_dict()
    assert catalog.settings_of(values) == SMALL[kind]
    with pytest.raises(InputError, match=f"config.{name}: no such setting; there are "):
        catalog.settings_of({**values, name: value})
