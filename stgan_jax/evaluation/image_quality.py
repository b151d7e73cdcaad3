"""PSNR and SSIM of colour results, over the whole frame and over the person's pixels only."""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

# Wang et al. 2004.
_SSIM: dict[str, Any] = {
    "channel_axis": -1,
    "data_range": 255,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "full": True,
}


def image_quality(
    original: UInt8[np.ndarray, "T H W 3"],
    result: UInt8[np.ndarray, "T H W 3"],
    person: UInt8[np.ndarray, "T H W"] | Bool[np.ndarray, "T H W"],
) -> dict[str, float]:
    """How close a colour result is to the original (Colour 2020, tables I and II).

    Note: the papers do not say over which pixels. Most of a frame is background that no
    method touches, so the whole frame flatters; the person's region does not.

    Args:
      original: RGB frames, 0 to 255.
      result: RGB frames of the same size.
      person: non-zero where the person is, before or after: the union of both silhouettes.

    Returns:
      means over the frames; those of the region over the frames that show a person:
      `psnr`, `psnr_person` in dB, infinite if nothing differs;
      `ssim`, `ssim_person`, at most 1 (Wang et al. 2004: Gaussian window of deviation 1.5,
      mean over channels; windows at the region's edge reach out of it).
      NaN if no frame shows a person, or there are no frames.
    """
    figures: dict[str, list[float]] = {
        name: [] for name in ("psnr", "ssim", "psnr_person", "ssim_person")
    }
    for before, after, mask in zip(original, result, np.asarray(person) > 0, strict=True):
        mean, similarity = structural_similarity(before, after, **_SSIM)
        figures["psnr"].append(_psnr(before, after))
        figures["ssim"].append(float(mean))
        if mask.any():
            figures["psnr_person"].append(_psnr(before[mask], after[mask]))
            figures["ssim_person"].append(float(similarity[mask].mean()))
    return {name: float(np.mean(v)) if v else float("nan") for name, v in figures.items()}


def _psnr(before: np.ndarray, after: np.ndarray) -> float:
    if np.array_equal(before, after):
        return float("inf")
    return float(peak_signal_noise_ratio(before, after, data_range=255))
