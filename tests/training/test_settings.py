"""Settings: what cannot be is refused by name, what is saved comes back, rates follow schedules."""

import dataclasses
import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.methods.catalog import settings_of, settings_of_config
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.util.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"
VARIANTS = {
    "color": ["transfer", "baseline"],
    "noise": ["full", "demo", "paper"],
    "retarget": ["full", "demo"],
    "silhouette": [],
    "stgan": ["full", "static", "gaussian", "paper", "demo"],
    "wifs": ["padded", "resampled"],
}


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


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"alhpa": 0.3}, "alhpa"),
        ({"alpha": -0.1}, "alpha"),
        ({"distance": "l3"}, "distance"),
        ({"loss": "printd"}, "printed, steered"),
        ({"steps": 0}, "steps"),
        ({"kind": "wgan"}, "wgan"),
        ({"data": {"first_subject": 1}}, "last_subject"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"batch_size": 6, "accumulate": 4}, "slices"),
        ({"ema": 1.0}, "ema"),
        ({"steps": "many"}, "whole number"),
        ({"share_encoder": 1}, "true or false"),
        ({"alpha": float("nan")}, "alpha"),
        ({"data": 3}, "group of settings"),
        ({"noise": "loud"}, "noise"),
    ],
)
def test_values_that_cannot_be_are_named(change, word):
    with pytest.raises(InputError, match=word):
        settings_of({**small.STGAN.to_dict(), **change})


def test_settings_survive_json():
    config = dataclasses.replace(small.STGAN, noise_run=small.NOISE)
    assert settings_of(json.loads(json.dumps(config.to_dict()))) == config


FORMER = {"disc_steps": 1, "real_label": 1.0, "remat": False}


def test_a_former_run_comes_back_where_deleted_settings_were_off():
    saved = {**small.STGAN.to_dict(), **FORMER, "noise_run": {**small.NOISE.to_dict(), **FORMER}}
    expected = dataclasses.replace(small.STGAN, noise_run=small.NOISE)
    assert StganSettings.from_saved(saved) == expected


@pytest.mark.parametrize(("name", "value"), [("disc_steps", 2), ("real_label", 0.9), ("remat", 1)])
def test_a_former_run_is_refused_where_a_deleted_setting_was_on(name, value):
    with pytest.raises(InputError, match=rf"{name}={value}.*a4819ee"):
        StganSettings.from_saved({**small.STGAN.to_dict(), **FORMER, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 1), ("alpha", 0.5), ("batch_size", 4), ("loss", "printed"), ("ema", 0.5)],
)
def test_what_changes_a_training_makes_it_another_run(name, value):
    other = dataclasses.replace(small.STGAN, **{name: value})
    assert small.STGAN.differing(other) == name


def test_the_same_run_may_take_longer_and_save_more_often_unless_a_schedule_counts_its_steps():
    other = dataclasses.replace(small.STGAN, steps=48, save_every=3, log_every=2, hold=True)
    assert small.STGAN.differing(other) is None
    cosine = dataclasses.replace(small.STGAN, schedule="cosine")
    assert cosine.differing(dataclasses.replace(cosine, steps=48)) == "steps"


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rates_follow_their_schedule(schedule):
    config = dataclasses.replace(small.WIFS, steps=30, warmup_steps=10, schedule=schedule)
    rule = config.update_rule(2.0)
    state, weight, rates = rule.init(jnp.zeros(())), jnp.zeros(()), []
    for _ in range(30):
        update, state = rule.update(jnp.ones(()), state, weight)
        rates.append(-float(update))
    share = np.arange(20) / 20
    after = {
        "constant": np.ones(20),
        "linear": 1 - share,
        "cosine": (1 + np.cos(np.pi * share)) / 2,
    }[schedule]
    np.testing.assert_allclose(rates, [*(2.0 * np.arange(10) / 10), *(2.0 * after)], atol=1e-5)


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
    mixed = [nets.gen.apply(params["gen"], own, noise) for nets in (exact, short)]
    assert mixed[1].dtype == jnp.float32
    assert 0 < float(jnp.abs(mixed[0] - mixed[1]).max()) < 0.02
    for name in ("spatial_disc", "temporal_disc"):
        a, b = (getattr(nets, name).apply(params[name], own) for nets in (exact, short))
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=0.1)


def test_every_config_is_among_those_that_are_tried():
    assert {path.stem for path in CONFIGS.glob("*.py")} == set(VARIANTS)


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, variant) for name, variants in VARIANTS.items() for variant in ["", *variants]],
)
def test_every_config_describes_a_run(name, variant):
    path = CONFIGS / f"{name}.py"
    get_config = runpy.run_path(str(path))["get_config"]
    config = settings_of_config(get_config(variant) if variant else get_config())
    assert f"--config=configs/{path.name}" in path.read_text()
    assert config.kind == name
    assert config.steps > 0
    if name != "stgan" or config.noise != "gan":  # which G_N completes
        assert config.optimizers()
        assert settings_of(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("name", [name for name, variants in VARIANTS.items() if variants])
def test_a_variant_that_no_config_has_is_refused(name):
    get_config = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]
    with pytest.raises((ValueError, InputError), match=r"choose|one of"):
        get_config("huge")


def test_rates_grow_with_the_batch_where_they_are_given_for_another():
    def moved(optimizer, **values):
        settings = dataclasses.replace(small.STGAN, optimizer=optimizer, batch_size=32, **values)
        rule = settings.update_rule(0.1)
        updates, _ = rule.update(jnp.ones(()), rule.init(jnp.ones(())))
        return float(-updates)

    assert moved("sgd") == pytest.approx(0.1)
    assert moved("sgd", rates_for_batch=8) == pytest.approx(0.4)
    assert moved("adam", rates_for_batch=8) == pytest.approx(0.2, rel=1e-4)
