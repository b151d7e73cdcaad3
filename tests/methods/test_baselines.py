"""Baselines: nothing, and a fixed share of noise."""

import numpy as np
import pytest

from stgan_jax.evaluation import naturalness
from stgan_jax.methods.baselines import LinearMix, Unprotected
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError


def test_linear_mix_is_the_mean_with_one_constant_contour(walks, trained):
    own, names = walks
    mix = LinearMix(trained / "noise", 0.3)
    mixed = mix.unit_contours(own, names, 0)
    noise = (mixed - 0.7 * own) / 0.3
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-4)
    # Contours that G_N draws, another for every walk.
    masks = contour.decode(contour.to_pixels(noise[:, 0]), mix.codec)
    assert (masks.mean((1, 2)) > 0.02).all()
    assert np.abs(noise[0, 0] - noise[1, 0]).max() > 0.01


def test_an_empty_contour_stays_empty(walks, trained):
    own, names = walks
    gone = own.copy()
    gone[0, 3] = 0.0
    mixed = LinearMix(trained / "noise", 0.3).contours(gone, names, 0)
    assert not mixed[0, 3].any()
    assert mixed[0, 4].any()


def test_shipped_noise_gan_draws_people_each_another(walks):
    own, names = walks[0][:2, :1], walks[1][:2]
    drawn = LinearMix("noise", 1.0).contours(own, names, 0)[:, 0]
    masks = contour.decode(drawn, "resampled")
    assert naturalness.one_piece(masks).all()
    for mask in masks:  # upright, and as much of the crop as people have
        tall, wide = np.ptp(np.argwhere(mask), axis=0)
        assert tall > 180 > wide
        assert 0.08 < mask.mean() < 0.35
    assert np.abs(drawn[0] - drawn[1]).max() > 3


def test_linear_mix_takes_a_noise_gan_only(trained):
    with pytest.raises(InputError, match="'stgan' model where a 'noise' model"):
        LinearMix(trained / "stgan", 0.3)


def test_unprotected_changes_nothing(walks):
    own, names = walks
    np.testing.assert_array_equal(Unprotected().contours(own, names, 0), contour.to_pixels(own))
