"""What a stored gait sequence consists of: one spec for silhouettes and one for colour.

Every dataset here, rendered or recorded, has the one or the other.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from stgan_jax.shapes import contour

_NAMED = {
    "subject": np.int32,
    "condition": tfds.features.ClassLabel(names=["nm", "bg", "cl"]),
    "repetition": np.int32,
    "view": np.int32,
}

CLOTHES = ("unknown", "plain", "textural")
COMPLETENESS = ("unknown", "complete", "incomplete")


@dataclasses.dataclass(frozen=True)
class ColorWalk:
    """One person's walk in colour, before a static camera.

    Attributes:
      frames: RGB.
      background: RGB, the scene without the person.
      silhouettes: the person as a segmentation finds it, 0 or 1.
      masks: the person's true pixels, 0 or 1, also where something stands in front; None
        where nobody knows them.
      occluder: 1 where something stands in front of whoever passes there.
      clothes: one of `CLOTHES`: of one colour each, or patterned.
      completeness: one of `COMPLETENESS`: whether silhouettes are seamless or lack parts.
    """

    frames: UInt8[np.ndarray, "T H W 3"]
    background: UInt8[np.ndarray, "H W 3"]
    silhouettes: UInt8[np.ndarray, "T H W"]
    masks: UInt8[np.ndarray, "T H W"] | None
    occluder: UInt8[np.ndarray, "H W"]
    clothes: str = "unknown"
    completeness: str = "unknown"


@dataclasses.dataclass(frozen=True)
class Kind:
    """How sequences of a kind are stored.

    Attributes:
      features: the spec.
      example: (key, sequence) -> a dict in the form of the spec.
      summary: sequence -> its entry in the dataset's metadata.
    """

    features: Callable[[], tfds.features.FeaturesDict]
    example: Callable[[str, Any], dict[str, Any]]
    summary: Callable[[Any], list]


def features() -> tfds.features.FeaturesDict:
    """The feature spec.

    `silhouettes` are PNGs of 240x240, 0 or 255, cropped as `cropping.crop_mask` does.
    `outline_points` are the outline pixels (row, col) of all frames, one after the other,
    and `outline_lengths` how many of them are each frame's: what training reads, so that it
    need not open pictures.
    """
    return tfds.features.FeaturesDict(
        {
            **_NAMED,
            "silhouettes": tfds.features.Sequence(
                tfds.features.Image(shape=(contour.SIZE, contour.SIZE, 1), encoding_format="png")
            ),
            "outline_points": tfds.features.Tensor(
                shape=(None, 2), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB
            ),
            "outline_lengths": tfds.features.Tensor(shape=(None,), dtype=np.int32),
        }
    )


def color_features() -> tfds.features.FeaturesDict:
    """The spec of colour walks: the attributes of `ColorWalk`, `masks` empty where unknown.

    Frames are JPEGs, everything else is PNGs. All are whole frames, of any size.
    """
    mask = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    return tfds.features.FeaturesDict(
        {
            **_NAMED,
            "frames": tfds.features.Sequence(
                tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
            ),
            "background": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "silhouettes": tfds.features.Sequence(mask),
            "masks": tfds.features.Sequence(mask),
            "occluder": mask,
            "clothes": tfds.features.ClassLabel(names=CLOTHES),
            "completeness": tfds.features.ClassLabel(names=COMPLETENESS),
        }
    )


def name(subject: int, condition: str, repetition: int, view: int) -> str:
    """CASIA-B's name of a sequence, as in 001-nm-01-090."""
    return f"{subject:03d}-{condition}-{repetition:02d}-{view:03d}"


def example(key: str, silhouettes: UInt8[np.ndarray, "T 240 240"]) -> dict[str, Any]:
    """One sequence in the form of `features`, pictures encoded.

    Args:
      key: the sequence's name, see `name`.
      silhouettes: 0 or 1; each must have an outline.
    """
    outlines = [contour.outline(mask) for mask in silhouettes]
    return {
        **_named(key),
        "silhouettes": [_png(mask) for mask in silhouettes],
        "outline_points": np.concatenate(outlines).astype(np.uint8),
        "outline_lengths": np.array([len(points) for points in outlines], np.int32),
    }


def color_example(key: str, walk: ColorWalk) -> dict[str, Any]:
    """One walk in the form of `color_features`, pictures encoded."""
    masks = [] if walk.masks is None else list(walk.masks)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    return {
        **_named(key),
        "frames": [_encoded(".jpg", _bgr(frame), quality) for frame in walk.frames],
        "background": _encoded(".png", _bgr(walk.background), []),
        "silhouettes": [_png(mask) for mask in walk.silhouettes],
        "masks": [_png(mask) for mask in masks],
        "occluder": _png(walk.occluder),
        "clothes": walk.clothes,
        "completeness": walk.completeness,
    }


def color_walk(record: Mapping[str, Any]) -> ColorWalk:
    """A stored walk."""
    return ColorWalk(
        frames=_stacked(record, "frames"),
        background=record["background"],
        silhouettes=_binary(_stacked(record, "silhouettes")),
        masks=_binary(_stacked(record, "masks")) if len(record["masks"]) else None,
        occluder=_binary(record["occluder"]),
        clothes=CLOTHES[record["clothes"]],
        completeness=COMPLETENESS[record["completeness"]],
    )


def silhouettes(record: Mapping[str, Any]) -> UInt8[np.ndarray, "T H W"]:
    """The silhouettes of a stored sequence, 0 or 1."""
    return _binary(_stacked(record, "silhouettes"))


def _stacked(record: Mapping[str, Any], name: str) -> np.ndarray:
    return np.stack(list(record[name]))


def _bgr(image: np.ndarray) -> np.ndarray:
    """RGB as OpenCV wants it."""
    return np.ascontiguousarray(image[..., ::-1])


def _binary(images: np.ndarray) -> np.ndarray:
    return (images[..., 0] > 127).astype(np.uint8)


def parsed(key: str) -> tuple[int, str, int, int]:
    """(subject, condition, repetition, view) of a sequence's name."""
    subject, condition, repetition, view = key.split("-")
    return int(subject), condition, int(repetition), int(view)


def outlines(record: Mapping[str, Any]) -> Sequence[UInt8[np.ndarray, "N 2"]]:
    """The outline of each frame of a stored sequence."""
    ends = np.cumsum(record["outline_lengths"])
    return np.split(record["outline_points"], ends[:-1])


def _named(key: str) -> dict[str, Any]:
    return dict(zip(_NAMED, parsed(key), strict=True))


def _png(mask: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 6]
    return _encoded(".png", np.where(mask, np.uint8(255), np.uint8(0)), options)


def _encoded(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, image, options)
    if not done:
        raise RuntimeError(f"OpenCV could not write {kind}")
    return data.tobytes()


def _summary(silhouettes: np.ndarray) -> list:
    return [len(silhouettes)]


def _color_summary(walk: ColorWalk) -> list:
    return [len(walk.frames), walk.clothes, walk.completeness]


SILHOUETTES = Kind(features, example, _summary)
COLOR = Kind(color_features, color_example, _color_summary)
