"""Gait energy images, nearest neighbours among them, and CASIA-B's gallery and probes."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from stgan_jax.shapes import likeness

HEIGHT, WIDTH = 64, 44  # pixels
CONDITIONS = ("nm", "bg", "cl")  # normal, with a bag, in a coat


def normalize(
    silhouettes: UInt8[np.ndarray, "T H W"], height: int = HEIGHT, width: int = WIDTH
) -> UInt8[np.ndarray, "N height width"]:
    """Aligns silhouettes as is usual: scaled to one height, centred on the median of their mass.

    Args:
      silhouettes: non-zero where the person is.
      height: rows of the result, all of which the person fills.
      width: columns of the result; what lies beyond them is cut off.

    Returns:
      0 or 1. Frames with fewer than 100 pixels of foreground are left out: N <= T.
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
        visible = small[:, left : start + width]
        out.append(np.zeros((height, width), np.uint8))
        out[-1][:, left - start : left - start + visible.shape[1]] = visible
    return (np.array(out, np.uint8).reshape(-1, height, width) > 127).astype(np.uint8)


def is_normalized(frames: UInt8[np.ndarray, "T H W"]) -> bool:
    """Whether silhouettes (0 to 255) are scaled to one height and centred, as `normalize` does.

    By nine of ten frames that show somebody: they fill its height, around its middle column.
    """
    height, width = frames.shape[1:]
    fits = []
    for frame in frames:
        _, _, _, rows = cv2.boundingRect((frame > 32).astype(np.uint8))
        if rows:
            mass = np.cumsum(frame.sum(0, dtype=np.int64))
            middle = int(np.searchsorted(mass, mass[-1] / 2))
            centred = abs(middle - width / 2) <= max(1.5, 0.08 * width)
            fits.append(rows >= 0.95 * height and centred)
    return bool(fits) and float(np.mean(fits)) >= 0.9


def energy_image(
    silhouettes: UInt8[np.ndarray, "T H W"], height: int = HEIGHT, width: int = WIDTH
) -> Float[np.ndarray, "height width"]:
    """g(x, y) = 1/T sum_t I_t(x, y) of `normalize`d silhouettes (WIFS Eq. 1).

    Returns:
      float32 from 0 to 1; 0 everywhere if no frame shows a person.
    """
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
    g, p = (np.reshape(x, (len(x), -1)).astype(np.float64) for x in (gallery, probes))
    nearest: Int[np.ndarray, " P"] = likeness.squared_distances(p, g).argmin(1)
    return (np.asarray(gallery_subjects)[nearest] == np.asarray(probe_subjects)).astype(np.float64)


def gallery_and_probes(
    condition: np.ndarray, repetition: Int[np.ndarray, " N"]
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Masks of the gallery and of the probes, by OpenGait's protocol for CASIA-B.

    Gallery: nm-01 to nm-04. Probes: nm-05, nm-06, bg-01, bg-02, cl-01 and cl-02.

    Args:
      condition: one of `CONDITIONS` for each walk.
      repetition: number of the walk in its condition, from 1.
    """
    gallery = (condition == "nm") & (repetition <= 4)
    return gallery, ~gallery & (repetition <= np.where(condition == "nm", 6, 2))


def calibration(
    images: Float[np.ndarray, "N 64 44"], names: Sequence[tuple[int, str, int, int]]
) -> dict[str, Any]:
    """Measures how hard a dataset is, by plain nearest-neighbour matching of energy images.

    Gallery and probes as `gallery_and_probes` splits them. Real CASIA-B, same view, mean over
    views: nm 0.92-0.99, bg 0.30-0.75, cl 0.10-0.35.

    Args:
      images: energy images.
      names: (subject, condition, repetition, view in degrees) of each image.

    Returns:
      `subjects`, their number; and for each condition of the probes rank-1 accuracies:
      `by_view`, view -> accuracy in the gallery of the same view; `same_view`, their mean;
      `other_views`, the mean over all pairs of different views, None if there is only one view.
      Conditions without a probe or a gallery are left out.
    """
    subject, condition, repetition, view = (np.array(x) for x in zip(*names, strict=True))
    in_gallery, in_probes = gallery_and_probes(condition, repetition)
    views = sorted(set(view.tolist()))
    out: dict[str, Any] = {"subjects": len(set(subject.tolist()))}
    for name in CONDITIONS:
        of_condition = in_probes & (condition == name)
        same, other = {}, []
        for probe_view in views:
            for gallery_view in views:
                gallery = in_gallery & (view == gallery_view)
                probe = of_condition & (view == probe_view)
                if not gallery.any() or not probe.any():
                    continue
                found = rank1(images[gallery], subject[gallery], images[probe], subject[probe])
                if probe_view == gallery_view:
                    same[str(probe_view)] = float(found.mean())
                else:
                    other.append(float(found.mean()))
        if same:
            out[name] = {
                "same_view": float(np.mean([*same.values()])),
                "other_views": float(np.mean(other)) if other else None,
                "by_view": same,
            }
    return out


def table(matching: Mapping[str, Any]) -> str:
    """`calibration`'s figures as lines of text, with those of the real CASIA-B beside them."""
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
