"""What a stored gait sequence is made of: one feature spec for every dataset here."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, UInt8

from stgan_jax import contour

Outlines = list[Int[np.ndarray, "N 2"]]


def features() -> tfds.features.FeaturesDict:
    """The feature spec.

    `silhouettes` are PNGs of 240x240, 0 or 255, cropped as `contour.crop_mask` does.
    `outline_points` are the outline pixels (row, col) of all frames, one after the other,
    and `outline_lengths` how many of them are each frame's: what training reads, so that it
    need not open pictures.
    """
    return tfds.features.FeaturesDict(
        {
            "subject": np.int32,
            "condition": tfds.features.ClassLabel(names=["nm", "bg", "cl"]),
            "repetition": np.int32,
            "view": np.int32,
            "silhouettes": tfds.features.Sequence(
                tfds.features.Image(shape=(contour.SIZE, contour.SIZE, 1), encoding_format="png")
            ),
            "outline_points": tfds.features.Tensor(
                shape=(None, 2), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB
            ),
            "outline_lengths": tfds.features.Tensor(shape=(None,), dtype=np.int32),
        }
    )


def name(subject: int, condition: str, repetition: int, view: int) -> str:
    """CASIA-B's name of a sequence, as in 001-nm-01-090."""
    return f"{subject:03d}-{condition}-{repetition:02d}-{view:03d}"


def example(
    subject: int,
    condition: str,
    repetition: int,
    view: int,
    silhouettes: UInt8[np.ndarray, "T 240 240"],
) -> dict[str, Any]:
    """One sequence in the form of `features`. Every silhouette must have an outline."""
    outlines = [contour.outline(mask) for mask in silhouettes]
    return {
        "subject": subject,
        "condition": condition,
        "repetition": repetition,
        "view": view,
        "silhouettes": [_png(mask) for mask in silhouettes],
        "outline_points": np.concatenate(outlines).astype(np.uint8),
        "outline_lengths": np.array([len(points) for points in outlines], np.int32),
    }


def outlines(record: Mapping[str, Any]) -> Sequence[UInt8[np.ndarray, "N 2"]]:
    """The outline of each frame of a stored sequence."""
    ends = np.cumsum(record["outline_lengths"])
    return np.split(record["outline_points"], ends[:-1])


def _png(mask: np.ndarray) -> io.BytesIO:
    options = [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 6]
    done, data = cv2.imencode(".png", np.where(mask, np.uint8(255), np.uint8(0)), options)
    if not done:
        raise RuntimeError("OpenCV could not write a PNG")
    return io.BytesIO(data.tobytes())
