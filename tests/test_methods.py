"""Anonymisers of walks: the same walk, the same noise, and what is no anonymiser is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax import anonymizer, checkpoint, contour, experiments, methods, weights
from stgan_jax.errors import InputError
from stgan_jax.evaluation import naturalness
from stgan_jax.retarget import Retargeter
from stgan_jax.train import train


@pytest.fixture(scope="module")
def walks():
    data = dataclasses.replace(small.WALKERS, first_subject=85, last_subject=86)
    source = experiments.source_of(data)
    own = contour.fixed_to_unit(source.fetch(np.arange(source.count), np.arange(source.count)))
    return np.asarray(own), source.walks


def test_linear_mix_is_the_mean_with_one_constant_contour(walks, trained):
    own, named = walks
    mix = methods.linear_mix(trained / "noise", 0.3)
    made = np.asarray(mix.apply(own, named, 0))
    noise = (made - 0.7 * own) / 0.3
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-4)
    # Contours that G_N makes, another for every walk.
    masks = contour.decode(contour.to_pixels(noise[:, 0]), mix.codec)
    assert (masks.mean((1, 2)) > 0.02).all()
    assert np.abs(noise[0, 0] - noise[1, 0]).max() > 0.01


@pytest.mark.parametrize("name", ["linear_mix", "stgan"])
def test_noise_is_a_function_of_seed_and_walk_alone(walks, trained, name):
    own, named = walks
    method = (
        methods.linear_mix(trained / "noise", 0.3)
        if name == "linear_mix"
        else methods.trained(trained / "stgan")
    )
    together = method.contours(own, named, 5)
    backwards = method.contours(own[::-1], named[::-1], 5)[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-3)
    alone = method.contours(own[1:2], named[1:2], 5)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-3)
    assert np.abs(together - method.contours(own, named, 6)).max() > 0.5


def test_stgan_is_its_generator_on_its_noise(walks, trained):
    own, named = walks
    saved = checkpoint.load(trained / "stgan", "stgan")
    made = np.asarray(methods.trained(trained / "stgan").apply(own, named, 0))
    config = dataclasses.replace(small.STGAN, noise_checkpoint=str(trained / "noise"))
    nets = experiments.with_noise(config).nets()
    noise = nets.noise.sample(saved.params(), jax.random.key(3), 1)
    expected = nets.gen.apply(saved.params()["gen"], jnp.asarray(own[:1]), noise)
    # With other noise, the same but for what the noise adds, and that is constant in time.
    difference = made[:1] - np.asarray(expected)
    assert 1e-3 < np.abs(difference).max() < 0.5
    assert np.abs(np.diff(difference, axis=1)).max() < np.abs(np.diff(own[:1], axis=1)).max()


@pytest.fixture(scope="module")
def in_step(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gait")
    train(small.GAIT, folder)
    return folder


@pytest.fixture(scope="module")
def other(walks):
    """The package's other walkers in step, as noise gaits are, in [0, 1]."""
    model = Retargeter.load("retarget")
    model.in_step, model.turn = True, 0.0
    return methods.retargeted("in step", model, 1.0).contours(*walks, 0) / contour.SIZE


def test_noise_in_step_leads_to_another_walker_and_keeps_the_walk(walks, in_step, other):
    own, named = walks
    method = methods.trained(in_step)
    made = method.contours(own, named, 0) / contour.SIZE
    toward = other - own
    share = np.sum((made - own) * toward) / np.sum(toward**2)
    assert 0.4 < share < 1.0
    # A constant contour would still them.
    moved = np.abs(np.diff(made[1::2], axis=1)).mean() / np.abs(np.diff(own[1::2], axis=1)).mean()
    assert moved > 0.7
    alone = method.contours(own[1:2], named[1:2], 0) / contour.SIZE
    np.testing.assert_allclose(alone, made[1:2], atol=1e-4)


def test_lanes_share_noise_gaits_that_are_the_model_s(walks, monkeypatch):
    own, named = walks
    keys = methods._keys(named, 3)
    model = Retargeter.load("retarget")
    expected = [model.noise_gait(*each) for each in zip(own, keys, strict=True)]
    for _ in range(2):
        np.testing.assert_array_equal(methods._noise_gaits("retarget")(own, keys), expected)
    monkeypatch.setattr(Retargeter, "noise_silhouettes", lambda *_: pytest.fail("drawn again"))
    np.testing.assert_array_equal(methods._noise_gaits("retarget")(own, keys), expected)
    with pytest.raises(pytest.fail.Exception):
        methods._noise_gaits("retarget")(own * 0.9, keys)


def test_in_use_noise_in_step_is_the_keys_alone(walks, in_step):
    own = contour.decode(contour.to_pixels(walks[0][1]), "resampled")
    model = anonymizer.load_model(in_step)
    assert model.context == anonymizer.load_model().context == 7
    keys = [jax.random.key(i) for i in (0, 1)]
    both = anonymizer.anonymize_walks(model, [own, own[:9]], keys)
    again = anonymizer.anonymize_silhouettes(model, own, keys[0])
    assert np.mean(both[0] != again) < 1e-3
    other = anonymizer.anonymize_silhouettes(model, own, keys[1])
    assert np.mean(other != again) > 0.005
    gone = own.copy()
    gone[4] = 0
    assert not anonymizer.anonymize_silhouettes(model, gone, keys[0])[4].any()


def test_wifs_takes_a_noise_gait_of_the_same_view(walks, tmp_path):
    own, named = walks
    train(small.WIFS, tmp_path / "wifs")
    method = methods.trained(tmp_path / "wifs")
    assert (method.kind, method.codec) == ("wifs", small.WIFS.data.codec)
    made = method.contours(own, named, 0)
    assert made.shape == own.shape
    assert np.isfinite(made).all()
    elsewhere = [dataclasses.replace(walk, view=54) for walk in named]
    with pytest.raises(InputError, match="not known from 54 degrees"):
        method.contours(own, elsewhere, 0)


def test_shipped_retargeting_is_a_method_by_name(walks):
    own, named = walks
    method = methods.trained("retarget")
    assert (method.kind, method.alpha) == ("retarget", 1.0)
    made = method.contours(own[:2], named[:2], 0)
    np.testing.assert_array_equal(made[1:], method.contours(own[1:2], named[1:2], 0))
    masks = contour.decode(made, method.codec)
    before = contour.decode(contour.to_pixels(own[:2]), method.codec)
    area = masks.mean((2, 3)) / before.mean((2, 3))
    assert (area > 0.6).all()
    assert (area < 1.6).all()
    assert np.abs(made - method.contours(own[:2], named[:2], 1)).max() > 3


def test_shipped_stgan_goes_as_far_as_its_alpha_says(walks, other):
    own, named = walks[0][:2], walks[1][:2]
    toward = other[:2] - own
    for name in ("stgan_mild", "stgan", "stgan_strong"):
        method = methods.trained(name)
        made = method.apply(own, named, 0) - own
        share = np.sum(made * toward) / np.sum(toward**2)
        assert share == pytest.approx(method.alpha, abs=0.08), name


def test_shipped_noise_gan_draws_people_each_another(walks):
    own, named = walks[0][:2, :1], walks[1][:2]
    drawn = methods.linear_mix("noise", 1.0).contours(own, named, 0)[:, 0]
    masks = contour.decode(drawn, "resampled")
    assert naturalness.one_piece(masks).all()
    for mask in masks:  # upright, and as much of the crop as people have
        tall, wide = np.ptp(np.argwhere(mask), axis=0)
        assert tall > 180 > wide
        assert 0.08 < mask.mean() < 0.35
    assert np.abs(drawn[0] - drawn[1]).max() > 3


def test_an_empty_contour_stays_empty(walks, trained):
    own, named = walks
    gone = own.copy()
    gone[0, 3] = 0.0
    made = methods.linear_mix(trained / "noise", 0.3).contours(gone, named, 0)
    assert not made[0, 3].any()
    assert made[0, 4].any()


def test_what_anonymises_nothing_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="anonymises nothing by itself"):
        methods.trained(trained / "noise")
    with pytest.raises(InputError, match="no such checkpoint folder"):
        methods.trained(tmp_path / "nothing")
    with pytest.raises(InputError, match="'stgan' model where a 'noise' model"):
        methods.linear_mix(trained / "stgan", 0.3)


def test_digest_tells_settings_and_whose_noise_gaits_are_drawn(monkeypatch):
    def digests():
        return {name: methods.trained(name).digest for name in ("retarget", "stgan", "silhouette")}

    def other_manner(name, load=weights.load):
        settings, params = load(name)
        return dataclasses.replace(settings, manner=0.7) if name == "retarget" else settings, params

    before = digests()
    assert digests() == before
    monkeypatch.setattr(weights, "load", other_manner)
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"retarget", "stgan"}
