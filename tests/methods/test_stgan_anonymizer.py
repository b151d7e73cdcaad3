"""ST-GAN in use: noise of the key alone, and noise gaits in step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.methods import catalog, weights
from stgan_jax.methods.api import walk_keys
from stgan_jax.methods.baselines import LinearMix
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.stgan.anonymizer import _kept_noise_gait
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.shapes import contour
from stgan_jax.training.loop import train


@pytest.mark.parametrize("name", ["linear_mix", "stgan"])
def test_noise_is_a_function_of_seed_and_walk_alone(walks, trained, name):
    own, names = walks
    mixed = name == "linear_mix"
    method = LinearMix(trained / "noise", 0.3) if mixed else catalog.load(trained / "stgan")
    together = method.contours(own, names, 5)
    backwards = method.contours(own[::-1], names[::-1], 5)[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-3)
    alone = method.contours(own[1:2], names[1:2], 5)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-3)
    assert np.abs(together - method.contours(own, names, 6)).max() > 0.5


def test_stgan_is_its_generator_on_its_noise(walks, trained):
    own, names = walks
    settings, params = weights.load_as(trained / "stgan", StganSettings)
    out = catalog.load(trained / "stgan").unit_contours(own, names, 0)
    nets = settings.nets()
    noise = nets.noise.sample(params, jax.random.key(3), 1)
    expected = nets.gen.apply(params["gen"], jnp.asarray(own[:1]), noise)
    # With other noise, the same but for what the noise adds, and that is constant in time.
    difference = out[:1] - np.asarray(expected)
    assert 1e-3 < np.abs(difference).max() < 0.5
    assert np.abs(np.diff(difference, axis=1)).max() < np.abs(np.diff(own[:1], axis=1)).max()


@pytest.fixture(scope="module")
def gait_run(tmp_path_factory):
    """Folder of a small training with noise gaits, ended."""
    folder = tmp_path_factory.mktemp("gait")
    train(small.GAIT, catalog.prepare, folder)
    return folder


@pytest.fixture(scope="module")
def other(walks, in_step):
    """Contours in [0, 1] of the package's other walkers in step, as noise gaits are."""
    return in_step.contours(*walks, 0) / contour.SIZE


def test_noise_in_step_leads_to_another_walker_and_keeps_the_walk(walks, gait_run, other):
    own, names = walks
    method = catalog.load(gait_run)
    out = method.contours(own, names, 0) / contour.SIZE
    toward = other - own
    share = np.sum((out - own) * toward) / np.sum(toward**2)
    assert 0.4 < share < 1.0
    # A constant contour would still them.
    changes = [np.abs(np.diff(gaits[1::2], axis=1)).mean() for gaits in (out, own)]
    assert changes[0] / changes[1] > 0.7
    alone = method.contours(own[1:2], names[1:2], 0) / contour.SIZE
    np.testing.assert_allclose(alone, out[1:2], atol=1e-4)


def test_lanes_share_noise_gaits_that_are_the_model_s(walks, shipped, monkeypatch):
    own, names = walks
    pairs = list(zip(own, walk_keys(names, 3), strict=True))
    expected = [shipped.noise_gait(*pair) for pair in pairs]
    for pair, noise in zip(pairs * 2, expected * 2, strict=True):
        np.testing.assert_array_equal(_kept_noise_gait(shipped, *pair), noise)
    monkeypatch.setattr(
        RetargetAnonymizer, "noise_silhouettes", lambda *_: pytest.fail("drawn again")
    )
    for pair, noise in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(_kept_noise_gait(shipped, *pair), noise)
    with pytest.raises(pytest.fail.Exception):
        _kept_noise_gait(shipped, pairs[0][0] * 0.9, pairs[0][1])


def test_in_use_noise_in_step_is_of_the_key_alone(walks, gait_run):
    own = contour.decode(contour.to_pixels(walks[0][1]), "resampled")
    model = catalog.load(gait_run)
    assert model.whole
    keys = [jax.random.key(i) for i in (0, 1)]
    both = model.many([own, own[:9]], keys)
    again = model(own, keys[0])
    assert np.mean(both[0] != again) < 1e-3
    other = model(own, keys[1])
    assert np.mean(other != again) > 0.005
    pieces = model.in_pieces(lambda frames: own[frames.start : frames.stop], len(own), keys[0])
    assert np.mean(np.concatenate([out for _, out in pieces]) != again) < 1e-3
    gone = own.copy()
    gone[4] = 0
    assert not model(gone, keys[0])[4].any()


def test_shipped_stgan_goes_as_far_as_its_alpha_says(walks, other):
    own, names = walks[0][:2], walks[1][:2]
    toward = other[:2] - own
    for name in ("stgan_mild", "stgan", "stgan_strong"):
        method = catalog.load(name)
        change = method.unit_contours(own, names, 0) - own
        share = np.sum(change * toward) / np.sum(toward**2)
        assert share == pytest.approx(method.alpha, abs=0.08), name
