"""Detectors of people in a frame: by the background, by masks from files, by a network."""

import contextlib
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8, UInt16
from PIL import Image

from stgan_jax.media import pictures, segmentation
from stgan_jax.util.errors import InputError

Mask = UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]

_SAMPLED = 50  # masks from which it is told what their values are
_COLOURS = 256  # more different ones are a picture's, or soft edges'
_FAINT = 0.1  # of the brightest value: less on an edge, or of an alpha, is nobody
_EDGE = 16  # pixels of soft edges that go to who is beside them


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
    """A PNG for each frame, in the order of the numbers in their names; 0, or black, is nobody.

    Ids are grey values of 8 or 16 bits, a palette's indices, or colours. If alpha varies, it says
    where people are. Values along soft edges are nobody's id.

    Attributes:
      has_ids: whether the values are people's ids. If a sample of the files has only one value
        but 0 and edges, they are not, and people are tracked.
      workers: how many threads may run the detector.
    """

    workers = 2

    def __init__(self, folder: str | os.PathLike):
        """Lists the files and looks into some.

        Raises:
          InputError: there are none, or they are pictures of something.
        """
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder; --masks names one with a PNG a frame")
        self._paths = [p for p in pictures.listing(folder) if p.suffix.lower() == ".png"]
        self._folder, self._ids = folder, np.zeros(0, np.int32)
        if not self._paths:
            raise InputError(f"{folder}: holds no PNG files")
        sampled = []
        for path in self._paths[:: max(1, len(self._paths) // _SAMPLED)]:
            with contextlib.suppress(InputError):  # reported for its frame, later
                sampled.append(_picture(path))
        self._by_alpha = any(alpha is not None and alpha.min() < 250 for _, alpha in sampled)
        counts, flats = Counter[int](), Counter[int]()
        covered, self._brightest = [], 1
        for picture in sampled:
            values, levels = self._values(*picture)
            counts.update(_counted(values))
            flats.update(_counted(values[_is_flat(values)]))
            covered.append(np.mean((values > 0) & (levels > _FAINT * levels.max())))
            self._brightest = max(self._brightest, int(levels.max()))
        most = max(flats.values(), default=0)
        self._ids = np.array(
            [v for v, n in flats.items() if n > max(4, 0.005 * most, 0.1 * counts[v])], np.int32
        )
        if len(counts) > _COLOURS and sum(flats[int(v)] for v in self._ids) < 0.5 * counts.total():
            raise InputError(
                f"{folder}: holds pictures, no masks: where nobody is must be black, and everybody "
                "of one number or colour"
            )
        if np.mean(covered or 0) > 0.5:
            raise InputError(
                f"{folder}: more than half of the masks is people: where nobody is must be 0, "
                "black or transparent"
            )
        self.has_ids = len(self._ids) > 1

    def _values(
        self, colours: np.ndarray, alpha: np.ndarray | None
    ) -> tuple[Int32[np.ndarray, "H W"], np.ndarray]:
        """A number for each value or colour, 0 for nobody; and how much of somebody there is."""
        if colours.ndim == 2:
            values, levels = colours.astype(np.int32), colours
        else:
            red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
            is_grey = np.array_equal(red, green) and np.array_equal(red, blue)
            values = red if is_grey else red << 16 | green << 8 | blue
            levels = colours.max(-1)
        if alpha is not None and self._by_alpha:
            values[values == 0] = 1 << 24  # black people
            if len(np.unique(values[alpha > 250])) > _COLOURS:  # a picture of them
                values[:] = 1
            values[alpha < _FAINT * 255] = 0
            levels = alpha
        return values, levels

    def check(self, frames: int) -> None:
        """Raises `InputError` unless there are as many masks as frames."""
        if frames != len(self._paths):
            raise InputError(
                f"{self._folder}: holds {len(self._paths)} masks for {frames} frames; one a "
                "frame is needed"
            )

    def __call__(self, number: int, image: np.ndarray, empty: np.ndarray | None) -> Mask:
        """People's ids at their pixels. Raises if the mask is missing or damaged."""
        values, levels = self._values(*_picture(self._paths[number]))
        somebody = (values > 0) & (levels > _FAINT * self._brightest)
        mask = somebody.astype(np.uint8)
        if self.has_ids:
            # Who is not in the sample counts where they are more than an edge.
            ids = np.union1d(self._ids, np.unique(values[_is_flat(values)]))
            mask = _joined(np.where(np.isin(values, ids), _as_ids(values), np.uint16(0)), somebody)
        if mask.shape != image.shape[:2]:
            size = image.shape[1::-1]
            if abs(mask.shape[1] * size[1] - mask.shape[0] * size[0]) > 0.02 * mask.size:
                raise InputError(f"{self._paths[number]}: is not of the frames' shape")
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        return mask


def _picture(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A PNG's grey values, palette's indices or colours, and its alpha if it has one."""
    try:
        with Image.open(path) as image:
            if image.mode == "P":
                return _indices(image), None
            if image.mode in ("1", "L", "I", "I;16", "I;16B"):
                return np.asarray(image).astype(np.uint8 if image.mode == "1" else np.int32), None
            colour = {"LA": "L", "RGBA": "RGB"}.get(image.mode, "RGB")
            colours = np.asarray(image.convert(colour))
            alpha = image.getchannel("A") if "A" in image.getbands() else None
            return colours, None if alpha is None else np.asarray(alpha)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture, or a damaged one") from error


def _indices(image: Image.Image) -> np.ndarray:
    """A palette's indices; if another one than 0 is black or transparent, it is nobody's."""
    indices = np.asarray(image).astype(np.int32)
    palette = np.array(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
    clear = image.info.get("transparency", b"")
    alphas = [255] * clear + [0] if isinstance(clear, int) else list(clear)
    nobody = [n for n, alpha in enumerate(alphas) if alpha == 0]
    if not nobody and palette[0].any():
        nobody = np.flatnonzero(~palette.any(-1)).tolist()[:1]
    if nobody and 0 not in nobody:
        indices[indices == 0] = 256
    return np.where(np.isin(indices, nobody), 0, indices) if nobody else indices


def _counted(values: np.ndarray) -> dict[int, int]:
    """How often each value but 0 is there."""
    found, times = np.unique(values, return_counts=True)
    return {v: n for v, n in zip(found.tolist(), times.tolist(), strict=True) if v}


def _is_flat(values: Int32[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Where all neighbours have the same value: inside of people, not on soft edges."""
    exact = values.astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    return cv2.erode(exact, around) == cv2.dilate(exact, around)


def _as_ids(values: Int32[np.ndarray, "H W"]) -> UInt16[np.ndarray, "H W"]:
    """Values of 16 bits as they are; colours spread over as many numbers."""
    spread = (values.astype(np.int64) * 2654435761 >> 8) % 65_535 + 1
    return np.where(values > 65_535, spread, values).astype(np.uint16)


def _joined(
    ids: UInt16[np.ndarray, "H W"], somebody: Bool[np.ndarray, "H W"]
) -> UInt16[np.ndarray, "H W"]:
    """Gives soft edges to the people whose edges they are."""
    around = np.ones((3, 3), np.uint8)
    for _ in range(_EDGE):
        open_ = somebody & (ids == 0)
        if not open_.any():
            break
        ids = np.where(open_, cv2.dilate(ids, around), ids)
    return ids


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
        with pictures.opencv_errors_as(
            f"{path}: not an ONNX network that OpenCV can read, or it does not take "
            f"{self._size[0]}x{self._size[1]} pixels (--segmenter_input=HEIGHT,WIDTH,CLASS)"
        ):
            self._net = cv2.dnn.readNetFromONNX(os.fspath(path))
            output = self._forward(np.full((*self._size, 3), 114, np.uint8))
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


def boxes(mask: UInt8[np.ndarray, "H W"] | None) -> Float[np.ndarray, "N 4"]:
    """(top, left, bottom, right) of each piece of a mask; none if it is unknown."""
    if mask is None:
        return np.zeros((0, 4))
    left, top, width, height = cv2.connectedComponentsWithStats(mask)[2][1:, :4].T
    return np.stack([top, left, top + height, left + width], 1).astype(np.float64)


def widened(mask: Mask) -> UInt8[np.ndarray, "H W"]:
    """1 where a mask is not 0, and in a margin of a sixtieth of the height around that."""
    margin = max(3, mask.shape[0] // 60 | 1)
    return cv2.dilate((mask > 0).astype(np.uint8), np.ones((margin, margin), np.uint8))


def fill(image: np.ndarray, mask: UInt8[np.ndarray, "H W"]) -> np.ndarray:
    """The image with a mask's pixels, and a margin around them, filled from their surroundings.

    Smooth colours only: for a camera that moves, where the background is unknown.
    """
    if not mask.any():
        return image
    height, width = mask.shape
    wide = widened(mask)
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
