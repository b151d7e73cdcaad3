"""Detectors of people in a frame: by the background, by masks from files, by a network."""

import contextlib
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from stgan_jax.media import pictures, segmentation
from stgan_jax.util.errors import InputError

Mask = UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]


class ByBackground:
    """Foreground by difference from the empty scene, see `segmentation.foreground`."""

    has_ids = False
    workers = 2

    def __init__(self, threshold: UInt8[np.ndarray, "H W"]):
        self._threshold = threshold

    def __call__(self, number: int, image: np.ndarray, empty: np.ndarray | None) -> Mask:
        """1 where somebody is."""
        assert empty is not None
        return segmentation.foreground(image, empty, self._threshold)


class FromFiles:
    """A PNG for each frame, in the order of the numbers in their names; 0 is nobody.

    Attributes:
      has_ids: whether the values are people's ids. If a sample of the files has only one value
        but 0, or white with grey edges, they are not, and people are tracked.
      workers: how many threads may run the detector.
    """

    workers = 2

    def __init__(self, folder: str | os.PathLike):
        """Lists the files. Raises `InputError` if there are none."""
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder; --masks names one with a PNG a frame")
        self._paths = [p for p in pictures.listing(folder) if p.suffix.lower() == ".png"]
        self._folder = folder
        if not self._paths:
            raise InputError(f"{folder}: holds no PNG files")
        counts: Counter = Counter()
        for path in self._paths[:: max(1, len(self._paths) // 50)]:
            with contextlib.suppress(InputError):  # reported for its frame, later
                values, times = np.unique(self._read(path), return_counts=True)
                counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        del counts[0]
        # Grey values along the edges of white people are not ids.
        white = counts[255] > 0.8 * sum(counts.values())
        self.has_ids = len(+counts) > 1 and not white

    def _read(self, path: Path) -> Mask:
        mask = pictures.read(path, cv2.IMREAD_UNCHANGED)
        return mask if mask.ndim == 2 else mask[..., :3].max(-1)

    def check(self, frames: int) -> None:
        """Raises `InputError` unless there are as many masks as frames."""
        if frames != len(self._paths):
            raise InputError(
                f"{self._folder}: holds {len(self._paths)} masks for {frames} frames; one a "
                "frame is needed"
            )

    def __call__(self, number: int, image: np.ndarray, empty: np.ndarray | None) -> Mask:
        """People's ids at their pixels. Raises if the mask is missing or damaged."""
        mask = self._read(self._paths[number])
        if mask.shape != image.shape[:2]:
            size = image.shape[1::-1]
            if abs(mask.shape[1] * size[1] - mask.shape[0] * size[0]) > 0.02 * mask.size:
                raise InputError(f"{self._paths[number]}: is not of the frames' shape")
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        return mask if self.has_ids else (mask > 0).astype(np.uint8)


class Segmenter:
    """A segmentation network in an ONNX file that OpenCV reads.

    Input (1, 3, H, W), RGB from 0 to 1. Output (1, H, W) or (1, C, H, W) of any size: one channel
    holds a person's probabilities or logits; of several, the largest is the pixel's class.
    """

    has_ids = False
    workers = 1  # OpenCV's networks serve one thread at a time

    def __init__(self, path: str | os.PathLike, size: tuple[int, int, int]):
        """Loads and tries the network. `size`: input height, width, and the class of people."""
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; name the network's own file")
        *self._size, self._person = size
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._net = cv2.dnn.readNetFromONNX(os.fspath(path))
            output = self._forward(np.full((*self._size, 3), 114, np.uint8))
        except (cv2.error, SystemError) as error:
            raise InputError(
                f"{path}: not an ONNX network that OpenCV can read, or it does not take "
                f"{self._size[0]}x{self._size[1]} pixels (--segmenter_input=HEIGHT,WIDTH,CLASS)"
            ) from error
        finally:
            cv2.utils.logging.setLogLevel(level)
        if output.ndim != 3 or not 0 <= self._person < len(output):
            raise InputError(
                f"{path}: its output has the shape {output.shape}, where (classes, height, width) "
                f"with a class {self._person} is needed"
            )

    def _forward(self, image: np.ndarray) -> np.ndarray:
        self._net.setInput(
            cv2.dnn.blobFromImage(image, 1 / 255, tuple(self._size[::-1]), swapRB=False)
        )
        output = self._net.forward()
        if not np.isfinite(output).all():
            raise InputError("the segmenter's output holds numbers that are not finite")
        return output[0] if output.ndim == 4 else output

    def __call__(self, number: int, image: np.ndarray, empty: np.ndarray | None) -> Mask:
        """1 where somebody is."""
        output = self._forward(image)
        if len(output) == 1:
            least = 0.5 if output.min() >= 0 and output.max() <= 1 else 0.0
            score = cv2.resize(output[0], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            return (score > least).astype(np.uint8)
        rest = np.delete(output, self._person, axis=0).max(0)
        margin = cv2.resize(output[self._person] - rest, image.shape[1::-1])
        return (margin > 0).astype(np.uint8)


Detector = ByBackground | FromFiles | Segmenter


def fill(image: np.ndarray, mask: UInt8[np.ndarray, "H W"]) -> np.ndarray:
    """The image with a mask's pixels, and a margin around them, filled from their surroundings.

    Smooth colours only: for a camera that moves, where the background is unknown.
    """
    if not mask.any():
        return image
    height, width = mask.shape
    margin = max(3, height // 60 | 1)
    wide = cv2.dilate(mask, np.ones((margin, margin), np.uint8))
    scale = min(1.0, 160 / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    coverage = cv2.resize(wide * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    hidden = (coverage > 0).astype(np.uint8)
    if hidden.all():
        return np.zeros_like(image)
    visible = np.where(wide[..., None] > 0, np.uint8(0), image)
    small = cv2.resize(visible, size, interpolation=cv2.INTER_AREA)
    small = cv2.inpaint(small, hidden, 3, cv2.INPAINT_TELEA)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(wide[..., None] > 0, smooth, image)
