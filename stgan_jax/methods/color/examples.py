"""Examples of colour networks: crops of a frame and both silhouettes, and Model 1's colours."""

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from stgan_jax.data.batches import Arrays
from stgan_jax.data.selection import ColorData
from stgan_jax.methods.color import nearest
from stgan_jax.methods.color.networks import SIZE
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.shapes import contour, cropping

if TYPE_CHECKING:
    from stgan_jax.data.datasets.records import ColorWalk


class ColorBatch(NamedTuple):
    """Examples of a colour network, 0 to 255, S = 128.

    Attributes:
      colors: x_rgb, crops of frames.
      pseudo: pseudo ground truth, the nearest pixel's colours, on black.
      anonymized: x_bi, 0 or 255.
      own: the original silhouettes, 0 or 255.
    """

    colors: UInt8[Arrays, "B S S 3"]
    pseudo: UInt8[Arrays, "B S S 3"]
    anonymized: UInt8[Arrays, "B S S"]
    own: UInt8[Arrays, "B S S"]


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
    """The person's crop in each frame (T, 3); without anybody in it the frame before's."""
    boxes = np.zeros((len(silhouettes), 4), np.int64)
    for t, mask in enumerate(silhouettes):
        if mask.any():
            boxes[t] = cropping.box(mask)
        else:
            boxes[t] = boxes[t - 1] if t else (0, 0, *mask.shape)
    return cropping.track_squares(boxes)


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
      places: the crops, see `squares`.
      frames: which.
      size: pixels a side.
    """
    whole = np.array([0, 0, contour.SIZE])
    return Crops(
        np.stack([cropping.crop(walk.frames[t], places[t], size) for t in frames]),
        np.stack([cropping.crop(walk.background, places[t], size) for t in frames]),
        np.stack([cropping.crop_mask(walk.silhouettes[t], places[t], size) for t in frames]),
        np.stack([cropping.crop_mask(anonymized[t], whole, size) for t in frames]),
    )


def nearest_colors(crop: Crops) -> UInt8[np.ndarray, "T S S 3"]:
    """Model 1's colours (ST-GAN Eq. 9, to the letter), on black: pseudo ground truth."""
    out = np.zeros_like(crop.colors)
    for canvas, frame, own, new in zip(out, crop.colors, crop.own, crop.anonymized, strict=True):
        nearest.paint(canvas, frame, own, new, literal=True)
    return out


def examples(data: ColorData, seed: int = 0) -> ColorBatch:
    """Training examples, with a progress bar.

    Raises:
      InputError: the dataset is not built, or has no such walks.
    """
    from stgan_jax.data.datasets import built  # TensorFlow Datasets: only where data is fed

    sequences = built.Sequences(
        data.dataset, data.data_dir, data.subjects, data.views or None, data.walks or None
    )
    # In step, as the frame around shows the pose.
    model = RetargetAnonymizer.load(data.anonymizer).with_options(in_step=True, turn=0.0)
    parts = []
    for i in tqdm(range(len(sequences)), "colour walks", unit="walk"):
        walk = sequences.color(i)
        places = squares(walk.silhouettes)
        cut = cropping.crop_masks(walk.silhouettes, places)
        other = model(cut, jax.random.fold_in(jax.random.key(seed), i))
        frames = np.linspace(0, len(cut) - 1, data.frames + 2)[1:-1].astype(int)
        crop = crops(walk, other, places, frames)
        there = crop.own.any((1, 2)) & crop.anonymized.any((1, 2))
        white = np.uint8(255)
        masks = crop.anonymized * white, crop.own * white
        example = ColorBatch(crop.colors, nearest_colors(crop), *masks)
        parts.append(jax.tree.map(lambda x, there=there: x[there], example))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)
