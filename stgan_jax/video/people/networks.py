"""The networks that find people: a detector of boxes, and outline and joints of who is in a box.

`Detector` is NanoDet-g (https://github.com/RangiLyu/nanodet), run by OpenCV. `Outliner` is
BlazePose GHUM full (Bazarevsky et al. 2020, BlazePose: On-device Real-time Body Pose Tracking;
MediaPipe's pose_landmark_full), run by LiteRT where it is installed, else by OpenCV: the same
network, logits differ by 0.1 at most, and LiteRT takes less than half of the time. Batches would
not be faster than one picture after another on a CPU, so there are none.

The files come from `models.fetched`. Neither object may be used by two threads at once.
"""

import contextlib
import dataclasses
import os
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from stgan_jax.media import threads
from stgan_jax.util.errors import InputError
from stgan_jax.video.people import graphs, models

Item = TypeVar("Item")
Result = TypeVar("Result")
Image = UInt8[np.ndarray, "H W 3"]
Boxes = Float[np.ndarray, "N 4"]  # top, left, bottom, right, in pixels

WEAK = 0.2  # least score of a box that is used
WORKERS = 2  # threads that compute
SIDE = 416  # of the detector's input in training
SIDES = (256, 416, 640, 960, 1440, 1920)  # from which sides are chosen
JOINTS = 33

_HEADS = {8: "PartitionedCall/Add_29", 16: "PartitionedCall/Add_33", 32: "PartitionedCall/Add_37"}
_CLASSES = 80  # of COCO; the first is people
# Cars, aeroplanes, buses, trains, lorries, boats; birds to giraffes. People are on bicycles.
_THINGS = [2, 4, 5, 6, 7, 8, *range(14, 24)]
_THING = 0.25  # least score of their boxes
_OVERLAP = 0.5  # intersection over union of two boxes of one person
_BINS = 11  # of the distance to each edge of a box
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, RGB
_CROP = 256  # side of the outliner's input
_MARGIN = 1.3  # side of its crop, of the longer side of a box


class Detections(NamedTuple):
    """What is in a frame.

    Attributes:
      boxes: around people, in pixels, inside the frame, best first.
      scores: theirs, from the threshold to 1.
      things: boxes around vehicles and animals.
    """

    boxes: Float32[np.ndarray, "N 4"]
    scores: Float32[np.ndarray, "N"]
    things: Float32[np.ndarray, "M 4"]


class Detector:
    """Boxes around people. Calls are independent of each other."""

    def __init__(self, folder: Path, threshold: float = 0.35):
        """Reads the network.

        Args:
          folder: holds the files, see `models.fetched`.
          threshold: least score of a person's box, 0 to 1.
        """
        graph = graphs.to_onnx(
            folder / models.NANODET_GRAPH, folder / models.NANODET_WEIGHTS, list(_HEADS.values())
        )
        self._net = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))
        self._threshold = threshold

    def __call__(self, frame: Image, sides: Sequence[int] = (SIDE,)) -> Detections:
        """Finds people, vehicles and animals in a frame.

        Args:
          frame: RGB.
          sides: longer sides of the network's input, in pixels: the frame is resized to each. Time
            grows with their squares; who is 30 to 400 pixels high in an input is found by it.
        """
        height, width = frame.shape[:2]
        limits = np.array([height, width, height, width], np.float32)
        kept = []
        for found in zip(*(self._once(frame, side) for side in sides), strict=True):
            boxes = np.concatenate([boxes for boxes, _ in found])
            scores = np.concatenate([scores for _, scores in found])
            stay = best(boxes, scores)
            kept.append((np.clip(boxes[stay], 0, limits), scores[stay]))
        (people, scores), (things, _) = kept
        return Detections(people, scores, things)

    def _once(self, image: Image, side: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Boxes, in pixels of the image, and scores: people's, things'. Overlapping ones, too."""
        scale = side / max(image.shape[:2])
        self._net.setInput(_input(image, scale))
        people, things = [], []
        for stride, head in zip(_HEADS, self._net.forward(list(_HEADS.values())), strict=True):
            score = _sigmoid(head[0, 0])
            people.append(_boxes(head[0], score, self._threshold, stride, scale))
            other = _sigmoid(head[0, _THINGS].max(0)) * (score < _THING)
            things.append(_boxes(head[0], other, _THING, stride, scale))
        return tuple(
            (np.concatenate([boxes for boxes, _ in found]), np.concatenate([s for _, s in found]))
            for found in (people, things)
        )


def _boxes(
    head: Float32[np.ndarray, "C h w"],
    score: Float32[np.ndarray, "h w"],
    threshold: float,
    stride: int,
    scale: float,
) -> tuple[Float32[np.ndarray, "N 4"], Float32[np.ndarray, "N"]]:
    """The boxes and scores of a head's places that reach a threshold."""
    rows, columns = np.nonzero(score >= threshold)
    # Each distance is the mean of a distribution over 0, 1, ..., 10 strides.
    logits = head[_CLASSES:, rows, columns].T.reshape(-1, 4, _BINS)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    left, up, right, down = (weights @ np.arange(_BINS, dtype=np.float32)).T
    y, x = rows + 0.5, columns + 0.5
    boxes = np.stack([y - up, x - left, y + down, x + right], 1) * stride / scale
    return boxes.astype(np.float32), score[rows, columns]


def best(boxes: Boxes, scores: Float[np.ndarray, "N"]) -> Shaped[np.ndarray, "K"]:
    """Non-maximum suppression: indices of the boxes that stay, best first.

    Of two boxes whose intersection over union is above 0.5 the better one stays.

    Args:
      boxes: in pixels.
      scores: one a box.
    """
    corners = [(left, top, right - left, bottom - top) for top, left, bottom, right in boxes]
    kept = cv2.dnn.NMSBoxes(np.array(corners).tolist(), scores.tolist(), 0.0, _OVERLAP)
    return np.array(kept, int).reshape(-1)


def _input(image: Image, scale: float) -> Float32[np.ndarray, "1 3 h w"]:
    """NanoDet's input: at the top left, zeros below and to the right up to multiples of 32.

    Note: it was trained on squares; the border at the end of a picture is cut off here, as it
    costs time and changes no box.
    """
    size = [max(1, round(length * scale)) for length in image.shape[:2]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    padded = np.zeros((*(-(-length // 32) * 32 for length in size), 3), np.float32)
    padded[: size[0], : size[1]] = cv2.resize(image, size[::-1], interpolation=how)
    normal = (padded - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
    return np.ascontiguousarray(normal[..., ::-1].transpose(2, 0, 1)[None])  # it reads BGR


@dataclasses.dataclass(frozen=True)
class Outline:
    """Who is in a box.

    Attributes:
      top, left: corner of the region that `probability` covers, in pixels of the frame.
      probability: that a pixel of the region is the person's, 0 to 1.
      presence: that there is a person, 0 to 1; below 0.5 the rest means little.
      joints: row and column in pixels of the frame, and visibility, 0 to 1, of BlazePose's joints.
    """

    top: int
    left: int
    probability: Float32[np.ndarray, "h w"]
    presence: float
    joints: Float32[np.ndarray, "33 3"]

    def placed(self, size: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
        """The probability in a frame of (height, width), 0 outside the region."""
        frame = np.zeros(size, np.float32)
        height, width = self.probability.shape
        frame[self.top : self.top + height, self.left : self.left + width] = self.probability
        return frame


class Outliner:
    """Outlines and joints of people in boxes. Calls are independent of each other."""

    def __init__(self, folder: Path, backend: str | None = None):
        """Reads the network.

        Args:
          folder: holds the file, see `models.fetched`.
          backend: "litert" (one thread) or "opencv" (as many as it is set to); by default the
            first that is installed.

        Raises:
          ModuleNotFoundError: "litert" is asked for and is not installed.
        """
        path = folder / models.POSE_LANDMARK
        self.backend = backend or ("litert" if _litert() else "opencv")
        run = _with_litert(path) if self.backend == "litert" else _with_opencv(path)
        self._run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]] = run

    def __call__(self, frame: Image, boxes: Boxes) -> list[Outline]:
        """An outline for each box, in their order.

        Args:
          frame: RGB.
          boxes: in pixels, around one person each.
        """
        return [self._one(frame, box) for box in boxes]

    def _one(self, frame: Image, box: np.ndarray) -> Outline:
        height, width = (box[2:] - box[:2]).tolist()
        side = max(8, round(_MARGIN * max(height, width)))
        top, left = np.round((box[:2] + box[2:] - side) / 2).astype(int).tolist()
        crop, first, last = _cut(frame, top, left, side)
        how = cv2.INTER_AREA if side > _CROP else cv2.INTER_LINEAR
        image = cv2.resize(crop, (_CROP, _CROP), interpolation=how)
        points, presence, logits = self._run(image.astype(np.float32) / 255)

        how = cv2.INTER_LINEAR if side > _CROP else cv2.INTER_AREA
        mask = _sigmoid(cv2.resize(logits.reshape(_CROP, _CROP), (side, side), interpolation=how))
        points = points.reshape(-1, 5)
        places = points[:, 1::-1] * np.float32(side / _CROP) + np.array([top, left], np.float32)
        visibility = _sigmoid(points[:JOINTS, 3:4])
        return Outline(
            top=top + first[0],
            left=left + first[1],
            probability=mask[first[0] : last[0], first[1] : last[1]],
            presence=float(presence.reshape(())),
            joints=np.concatenate([places[:JOINTS], visibility], 1),
        )


def _cut(
    frame: Image, top: int, left: int, side: int
) -> tuple[UInt8[np.ndarray, "S S 3"], list[int], list[int]]:
    """A square of a frame, zeros beyond it; the first (row, column) of it that is inside the
    frame, and the one after the last.
    """
    crop = np.zeros((side, side, 3), np.uint8)
    corner, size = np.array([top, left]), np.array(frame.shape[:2])
    first, last = np.clip([-corner, size - corner], 0, side)
    (a, b), (c, d) = first + corner, last + corner
    crop[first[0] : last[0], first[1] : last[1]] = frame[a:c, b:d]
    return crop, first.tolist(), last.tolist()


def _litert() -> Any:
    """LiteRT's interpreter; None where it is not installed, or not for this platform."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return None
    return Interpreter


def _with_litert(path: Path) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(path), num_threads=1)
    network.allocate_tensors()
    source = network.get_input_details()[0]["index"]
    outputs = {detail["name"]: detail["index"] for detail in network.get_output_details()}

    def run(image: np.ndarray) -> tuple[np.ndarray, ...]:
        network.set_tensor(source, image[None])
        network.invoke()
        return tuple(network.get_tensor(outputs[name]) for name in _OUTPUTS)

    return run


def _with_opencv(path: Path) -> Callable:
    network = cv2.dnn.readNetFromTFLite(str(path))

    def run(image: np.ndarray) -> tuple[np.ndarray, ...]:
        network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        return tuple(network.forward(list(_OUTPUTS)))

    return run


_OUTPUTS = ("Identity", "Identity_1", "Identity_2")  # points, presence, logits of the outline


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


class Networks:
    """Detectors and outliners, one for each thread that asks."""

    def __init__(self, folder: Path, workers: int = WORKERS):
        """Reads the networks from a folder, see `models.fetched`."""
        self._detectors: queue.Queue[Detector] = queue.Queue()
        self._outliners: queue.Queue[Outliner] = queue.Queue()
        for _ in range(workers):
            self._detectors.put(Detector(folder, WEAK))
            self._outliners.put(Outliner(folder))

    def detector(self) -> contextlib.AbstractContextManager[Detector]:
        """A detector for as long as the context lasts."""
        return _borrowed(self._detectors)

    def outliner(self) -> contextlib.AbstractContextManager[Outliner]:
        """An outliner for as long as the context lasts."""
        return _borrowed(self._outliners)


@contextlib.contextmanager
def _borrowed(pool: queue.Queue) -> Iterator[Any]:
    item = pool.get()
    try:
        yield item
    finally:
        pool.put(item)


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Applies a function that asks networks to all items, by as many threads as there are."""
    cores = cv2.getNumThreads()
    cv2.setNumThreads(1)  # each of our threads computes with one
    try:
        return list(threads.mapped(function, items, WORKERS))
    finally:
        cv2.setNumThreads(cores)


_refused: set[str] = set()  # sentences that this process has printed


def load(folder: str | os.PathLike | None = None) -> Networks | None:
    """The networks; None where they cannot be fetched, with a sentence to stderr, once.

    Args:
      folder: see `models.fetched`.

    Raises:
      InputError: a folder is named, and lacks a network or holds a damaged one.
    """
    if folder is None and _refused:
        return None
    try:
        return Networks(models.fetched(folder))
    except InputError as error:
        if folder is not None:
            raise
        _refused.add(str(error))
        print(
            f"people are found by difference from the empty scene, without networks: {error}",
            file=sys.stderr,
        )
        return None
