"""What colour networks see: crops of a frame and of both silhouettes, and Model 1's colours."""

import dataclasses
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from stgan_jax import contour
from stgan_jax.coloring import CHANNELS
from stgan_jax.models.color import SIZE
from stgan_jax.retarget import Retargeter
from stgan_jax.training_data import ColorData
from stgan_jax.video import color

if TYPE_CHECKING:
    from stgan_jax.data.records import ColorWalk


@dataclasses.dataclass(frozen=True)
class Crops:
    """Frames of one walk in the person's crop.

    Attributes:
      colors: x_rgb, RGB.
      background: the same place without anybody.
      own: the original silhouette, 0 or 1.
      anonymized: x_bi, 0 or 1.
    """

    colors: UInt8[np.ndarray, "T S S 3"]
    background: UInt8[np.ndarray, "T S S 3"]
    own: UInt8[np.ndarray, "T S S"]
    anonymized: UInt8[np.ndarray, "T S S"]


def squares(silhouettes: UInt8[np.ndarray, "T H W"]) -> np.ndarray:
    """The person's crop in each frame (T, 3); where nobody is seen the frame before's."""
    boxes = np.zeros((len(silhouettes), 4), np.int64)
    for t, mask in enumerate(silhouettes):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            boxes[t] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        else:
            boxes[t] = boxes[t - 1] if t else (0, 0, *mask.shape)
    return contour.track_squares(boxes)


def crops(
    walk: "ColorWalk",
    anonymized: UInt8[np.ndarray, "T 240 240"],
    places: np.ndarray,
    frames: np.ndarray,
    size: int = SIZE,
) -> Crops:
    """Crops of some frames.

    Args:
      walk: the walk.
      anonymized: its new silhouettes, in the crops `places`.
      places: of `squares`.
      frames: which.
      size: pixels a side.
    """
    cut = lambda image, t: contour.crop(image, places[t], size)  # noqa: E731
    small = lambda mask: contour.crop_mask(mask, np.array([0, 0, contour.SIZE]), size)  # noqa: E731
    return Crops(
        np.stack([cut(walk.frames[t], t) for t in frames]),
        np.stack([cut(walk.background, t) for t in frames]),
        np.stack([contour.crop_mask(walk.silhouettes[t], places[t], size) for t in frames]),
        np.stack([small(anonymized[t]) for t in frames]),
    )


def nearest(crop: Crops) -> UInt8[np.ndarray, "T S S 3"]:
    """Model 1's colours (ST-GAN Eq. 9, to the letter), on black: pseudo ground truth."""
    out = np.zeros_like(crop.colors)
    for canvas, frame, own, new in zip(out, crop.colors, crop.own, crop.anonymized, strict=True):
        color.paint(canvas, frame, own, new, literal=True)
    return out


def examples(data: ColorData, seed: int = 0) -> UInt8[np.ndarray, "N S S 8"]:
    """Training examples, see `coloring.CHANNELS`; masks are 0 or 255.

    Raises:
      InputError: the dataset is not built, or has no such walks.
    """
    from stgan_jax.data import datasets  # TensorFlow: only where data is fed

    sequences = datasets.Sequences(
        data.dataset, data.data_dir, data.subjects, data.views or None, data.walks or None
    )
    model = Retargeter.load(data.anonymizer)
    model.in_step, model.turn = True, 0.0  # the frame around shows the pose
    made = []
    for i in tqdm(range(len(sequences)), "colour walks", unit="walk"):
        walk = sequences.color(i)
        places = squares(walk.silhouettes)
        cut = [
            contour.crop_mask(m, place) for m, place in zip(walk.silhouettes, places, strict=True)
        ]
        other = model(np.stack(cut), jax.random.fold_in(jax.random.key(seed), i))
        every = np.linspace(0, len(cut) - 1, data.frames + 2)[1:-1].astype(int)
        crop = crops(walk, other, places, every)
        seen = crop.own.any((1, 2)) & crop.anonymized.any((1, 2))
        masks = np.stack([crop.anonymized, crop.own], -1) * np.uint8(255)
        made.append(np.concatenate([crop.colors, nearest(crop), masks], -1)[seen])
    out = np.concatenate(made)
    assert out.shape[-1] == CHANNELS
    return out
