"""PSNR and SSIM against closed forms and sums by hand."""

import numpy as np
import pytest

from stgan_jax.evaluation.image_quality import image_quality


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    return rng.integers(20, 230, (2, 40, 30, 3), dtype=np.uint8)


def person():
    mask = np.zeros((2, 40, 30), np.uint8)
    mask[:, 10:30, 8:20] = 1
    return mask


def test_a_constant_error_has_the_psnr_of_its_square(frames):
    figures = image_quality(frames, frames + np.uint8(5), person())
    expected = 20 * np.log10(255 / 5)
    assert figures["psnr"] == pytest.approx(expected)
    assert figures["psnr_person"] == pytest.approx(expected)


def test_an_error_on_the_person_weighs_by_the_person_s_share_of_the_frame(frames):
    changed = frames.copy()
    changed[person() > 0] += 10
    figures = image_quality(frames, changed, person())
    assert figures["psnr_person"] == pytest.approx(20 * np.log10(255 / 10))
    share = 20 * 12 / (40 * 30)
    assert figures["psnr"] == pytest.approx(20 * np.log10(255 / 10) - 10 * np.log10(share))
    assert figures["ssim_person"] < figures["ssim"] < 1


def test_an_error_beside_the_person_does_not_count_for_the_person(frames):
    changed = frames.copy()
    changed[:, :, 28:] = 0
    figures = image_quality(frames, changed, person())
    assert figures["psnr_person"] == np.inf
    assert figures["ssim_person"] == pytest.approx(1.0)
    assert figures["psnr"] < 30
    assert figures["ssim"] < 1


def test_ssim_of_flat_images_is_that_of_their_means():
    a, b = (np.full((1, 24, 24, 3), level, np.uint8) for level in (100, 150))
    figures = image_quality(a, b, np.ones((1, 24, 24), np.uint8))
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert figures["ssim"] == pytest.approx(expected)
    assert figures["ssim_person"] == pytest.approx(expected)


def test_ssim_is_that_of_gaussian_windows_by_hand(frames):
    noisy = np.clip(frames + np.random.default_rng(1).normal(0, 30, frames.shape), 0, 255)
    noisy = noisy.astype(np.uint8)
    row, col = 20, 15  # a single pixel's window, far from the border
    mask = np.zeros((2, 40, 30), np.uint8)
    mask[:, row, col] = 1
    offsets = np.arange(-5, 6)
    weight = np.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2) / 1.5**2)
    weight = (weight / weight.sum())[..., None]
    values = []

    def mean(z):
        return (weight * z).sum((0, 1))

    for x, y in zip(frames / 1.0, noisy / 1.0, strict=True):
        x, y = (z[row - 5 : row + 6, col - 5 : col + 6] for z in (x, y))
        mx, my = mean(x), mean(y)
        covariance = mean((x - mx) * (y - my))
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        scale = (mx**2 + my**2 + c1) * (mean((x - mx) ** 2) + mean((y - my) ** 2) + c2)
        values.append((2 * mx * my + c1) * (2 * covariance + c2) / scale)
    found = image_quality(frames, noisy, mask)["ssim_person"]
    assert found == pytest.approx(np.mean(values), rel=1e-6)


def test_nothing_changed_is_perfect_and_no_person_is_no_figure(frames):
    figures = image_quality(frames, frames, np.zeros((2, 40, 30), bool))
    assert figures["psnr"] == np.inf
    assert figures["ssim"] == pytest.approx(1.0)
    assert np.isnan(figures["psnr_person"])
    assert np.isnan(figures["ssim_person"])
    assert np.isnan(image_quality(frames[:0], frames[:0], person()[:0])["psnr"])
