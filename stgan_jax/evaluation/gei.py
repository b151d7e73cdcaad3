"""Gait energy images and the plainest recogniser on them: the nearest neighbour."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

HEIGHT, WIDTH = 64, 44


def normalize(
    silhouettes: UInt8[np.ndarray, "T H W"], height: int = HEIGHT, width: int = WIDTH
) -> UInt8[np.ndarray, "N height width"]:
    """Silhouettes scaled to one height and centred on the median of their mass, as the field does.

    Frames with hardly any foreground (fewer than 100 pixels) are left out: N <= T.
    """
    out = []
    for mask in silhouettes:
        if cv2.countNonZero(mask) < 100:
            continue
        _, top, _, rows = cv2.boundingRect(mask)
        scaled = max(1, round(mask.shape[1] * height / rows))
        body = mask[top : top + rows] * np.uint8(255)
        small = cv2.resize(body, (scaled, height), interpolation=cv2.INTER_AREA)
        mass = np.cumsum(cv2.reduce(small, 0, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[0])
        start = int(np.searchsorted(mass, mass[-1] / 2)) - width // 2
        left = max(start, 0)
        seen = small[:, left : start + width]
        out.append(np.zeros((height, width), np.uint8))
        out[-1][:, left - start : left - start + seen.shape[1]] = seen
    return (np.array(out, np.uint8).reshape(-1, height, width) > 127).astype(np.uint8)


def energy_image(
    silhouettes: UInt8[np.ndarray, "T H W"], height: int = HEIGHT, width: int = WIDTH
) -> Float[np.ndarray, "height width"]:
    """g(x, y) = 1/T sum_t I_t(x, y) of normalised silhouettes (WIFS Eq. 1); zeros of none."""
    frames = normalize(silhouettes, height, width)
    if not len(frames):
        return np.zeros((height, width), np.float32)
    return frames.mean(0, dtype=np.float32)


def rank1(
    gallery: Float[np.ndarray, "G *shape"],
    gallery_subjects: Sequence[int] | Int[np.ndarray, " G"],
    probes: Float[np.ndarray, "P *shape"],
    probe_subjects: Sequence[int] | Int[np.ndarray, " P"],
) -> Float[np.ndarray, " P"]:
    """Whether each probe's nearest gallery image (Euclidean) is of the same subject: 1.0 or 0.0."""
    flat = lambda images: np.reshape(images, (len(images), -1)).astype(np.float64)  # noqa: E731
    g, p = flat(gallery), flat(probes)
    distances = (p**2).sum(1)[:, None] - 2 * p @ g.T + (g**2).sum(1)
    nearest: Int[np.ndarray, " P"] = distances.argmin(1)
    return (np.asarray(gallery_subjects)[nearest] == np.asarray(probe_subjects)).astype(np.float64)


_PROBED = ("nm", "bg", "cl")


def gallery_and_probes(
    condition: np.ndarray, repetition: Int[np.ndarray, " N"]
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Which walks are the gallery and which the probes (OpenGait's protocol for CASIA-B).

    The gallery are nm-01 to nm-04, the probes nm-05..06, bg-01..02 and cl-01..02.
    """
    gallery = (condition == "nm") & (repetition <= 4)
    return gallery, ~gallery & (repetition <= np.where(condition == "nm", 6, 2))


def calibration(
    images: Float[np.ndarray, "N 64 44"], names: Sequence[tuple[int, str, int, int]]
) -> dict[str, Any]:
    """How hard a dataset is: plain nearest-neighbour matching of energy images.

    By `gallery_and_probes`. Real CASIA-B, same view, mean over views: nm 0.92-0.99,
    bg 0.30-0.75, cl 0.10-0.35.

    Args:
      images: energy images.
      names: of each (subject, condition, repetition, view in degrees).

    Returns:
      `subjects`, how many; and by condition of the probe rank-1 accuracies: `by_view`, view ->
      same view; `same_view`, their mean; `other_views`, the mean over all pairs of different
      views, None where there is one view alone. Conditions without a probe or a gallery are
      left out.
    """
    subject, condition, number, view = (np.array(column) for column in zip(*names, strict=True))
    in_gallery, in_probes = gallery_and_probes(condition, number)
    views = sorted(set(view.tolist()))
    out: dict[str, Any] = {"subjects": len(set(subject.tolist()))}
    for probed in _PROBED:
        is_probe = in_probes & (condition == probed)
        same, other = {}, []
        for seen in views:
            for stored in views:
                gallery, probe = in_gallery & (view == stored), is_probe & (view == seen)
                if not gallery.any() or not probe.any():
                    continue
                found = rank1(images[gallery], subject[gallery], images[probe], subject[probe])
                if seen == stored:
                    same[str(seen)] = float(found.mean())
                else:
                    other.append(float(found.mean()))
        if same:
            out[probed] = {
                "same_view": float(np.mean([*same.values()])),
                "other_views": float(np.mean(other)) if other else None,
                "by_view": same,
            }
    return out


def table(matching: Mapping[str, Any]) -> str:
    """`calibration`'s figures as lines of text, beside those of the real CASIA-B."""
    real = {"nm": "0.92-0.99", "bg": "0.30-0.75", "cl": "0.10-0.35"}
    lines = [
        f"rank-1 of plain gait-energy-image matching among {matching['subjects']} subjects, "
        f"gallery nm-01..04, chance {1 / matching['subjects']:.2f}",
        f"{'probes':8}{'same view':>11}{'CASIA-B (124)':>15}{'other views':>13}   by view",
    ]
    for condition, row in matching.items():
        if condition in real:
            other = "-" if row["other_views"] is None else f"{row['other_views']:.2f}"
            by_view = " ".join(f"{view}:{value:.2f}" for view, value in row["by_view"].items())
            lines.append(
                f"{condition:8}{row['same_view']:11.2f}{real[condition]:>15}{other:>13}   {by_view}"
            )
    return "\n".join(lines)
