"""Frame score and video score: does a network see a person, and does it see walking?

ST-GAN 4.3 takes YOLOv3's probability of "person" in each frame and the probability of
"walking" that a 3D ResNeXt-101 gives the clip. Neither network comes with this project. Any
that OpenCV reads will do, from files that hold numbers and layer names and run no code:

* images, ONNX: input (1, 3, H, W), RGB, one output of one of `LAYOUTS`;
* images, Darknet: a .cfg and its .weights with YOLO layers, such as the paper's YOLOv3;
* clips, ONNX: input (1, 3, T, H, W), RGB, one output (1, classes). Averages must be AveragePool:
  OpenCV 4 refuses a GlobalAveragePool over clips, and its ReduceMean over them is wrong.

Without a network the frame score is that of OpenCV's own people detector and the video score
is None; a score names what gave it. Frames show one person who fills most of the height, as in
crops of 240x240 pixels. Note: the papers score coloured results; for silhouettes see `draw`.
"""

import dataclasses
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.media import pictures
from stgan_jax.util.errors import InputError

Frames = UInt8[np.ndarray, "T H W 3"]

HOG = "opencv-hog people detector"
_HOG_HEIGHT = 112  # pixels to which it gets frames scaled
NO_VIDEO_NETWORK = "no action network was given: name an ONNX file to have a video score"

# Output of a network with N boxes and C classes: its shape, its numbers; the score of a box.
LAYOUTS = {
    "yolov5": "(1, N, 5 + C): x, y, width, height, object, classes; object times class",
    "yolov8": "(1, 4 + C, N): x, y, width, height, classes; the class",
    "classes": "(1, C): a classifier's, probabilities that sum to 1, or logits",
}


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Scores frames or clips.

    Attributes:
      name: what reports call it.
      score: RGB frames -> scores from 0 to 1, one per frame or per clip.
    """

    name: str
    score: Callable[[Frames], Float[np.ndarray, " N"]]


@dataclasses.dataclass(frozen=True)
class Score:
    """A frame or video score.

    Attributes:
      scorer: name of what gave it, None if nothing did.
      value: mean over the frames or clips, 0 to 1; None if there is none.
      each: the scores of which it is the mean.
      reason: why there is none.
    """

    scorer: str | None
    value: float | None
    each: tuple[float, ...] = ()
    reason: str | None = None


def frame_score(frames: Frames, scorer: Scorer | None = None) -> Score:
    """Mean over the frames of how surely each shows a person (ST-GAN 4.3, frame score).

    Args:
      frames: RGB.
      scorer: from `image_network`; None for OpenCV's people detector, see `people_detector`.
    """
    return _mean(scorer or people_detector(), frames)


def video_score(frames: Frames, scorer: Scorer | None = None) -> Score:
    """How surely the clip shows walking (ST-GAN 4.3, video score).

    Args:
      frames: RGB.
      scorer: from `video_network`; None for no score.
    """
    return _mean(scorer, frames) if scorer else Score(None, None, reason=NO_VIDEO_NETWORK)


def _mean(scorer: Scorer, frames: np.ndarray) -> Score:
    if not len(frames):
        return Score(scorer.name, None, reason="the walk has no frames")
    each = tuple(map(float, scorer.score(frames)))
    return Score(scorer.name, float(np.mean(each)), each)


def draw(silhouettes: UInt8[np.ndarray, "T H W"]) -> Frames:
    """Silhouettes as RGB frames for a detector: a dark person (60) on light ground (200)."""
    grey = np.where(silhouettes, np.uint8(60), np.uint8(200))
    return np.repeat(grey[..., None], 3, axis=-1)


def people_detector() -> Scorer:
    """OpenCV's pedestrian detector: Dalal and Triggs 2005, a linear SVM on HOG features.

    Its score is no probability but 1 / (1 + exp(-margin)) of the best window's margin to the
    SVM's plane: above 0.5 the detector itself says person; 0 if no window comes within 2 of the
    plane. Not comparable with YOLO's. Frames are scaled to 112 pixels in height: the person in a
    crop then fills the detector's window as in its training examples.
    """
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    height, border = _HOG_HEIGHT, _HOG_HEIGHT // 4

    def score(frames: Frames) -> Float[np.ndarray, " N"]:
        out = np.zeros(len(frames))
        for t, frame in enumerate(frames):
            width = max(1, round(frame.shape[1] * height / frame.shape[0]))
            small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            small = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
            _, margins = hog.detectMultiScale(
                small, hitThreshold=-2.0, winStride=(4, 4), padding=(8, 8), groupThreshold=0
            )
            if len(margins):
                out[t] = 1.0 / (1.0 + np.exp(-np.max(margins)))
        return out

    return Scorer(HOG, score)


def image_network(
    model: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    person: int = 0,
    size: tuple[int, int] = (640, 640),
    layout: str | None = None,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Scorer:
    """A detector or classifier of images; a frame's score is the highest of any box for a person.

    Frames are scaled to fit `size`, with bars of grey 114, and enter the network as RGB
    (x / 255 - mean) / std.

    Args:
      model: an ONNX file, or a Darknet .cfg.
      weights: Darknet's .weights; None for ONNX.
      person: index of the class "person"; 0 in COCO.
      size: height and width of the network's input.
      layout: one of `LAYOUTS`; None to infer it from the shape (there are more boxes than
        numbers per box). Darknet has its own.
      mean: subtracted from each channel, in [0, 1].
      std: divides each channel, in [0, 1].

    Raises:
      InputError: a file is missing, damaged or of another kind, or the network does not take such
        an input or give such an output, which is tried on a grey image at once.
    """
    if layout not in (None, *LAYOUTS):
        raise InputError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    net = _onnx(Path(model)) if weights is None else _darknet(Path(model), Path(weights))
    name = Path(model).name

    def one(frame: np.ndarray) -> float:
        outputs = _forward(
            net, _standardized(pictures.letterbox(frame, size, 114), mean, std)[None], name
        )
        if weights is not None:
            # OpenCV's YOLO layers give object times class, and 0 below the cfg's threshold.
            return max(_highest(output, 5, person, name) for output in outputs)
        return _class_score(_only(outputs, name), layout, person, name)

    one(np.full((*size, 3), 114, np.uint8))
    return Scorer(name, lambda frames: np.array([one(frame) for frame in frames]))


def video_network(
    model: str | os.PathLike,
    walking: int,
    frames: int = 16,
    size: tuple[int, int] = (112, 112),
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Scorer:
    """A classifier of clips; a clip's score is the probability of walking.

    A walk is cut into consecutive clips, whose scores are averaged; what is left at its end is
    dropped, and a walk shorter than one clip starts over. Frames enter as in `image_network`.

    Args:
      model: an ONNX file.
      walking: index of the class "walking" or the nearest to it.
      frames: T, the length of a clip.
      size: height and width of the network's input.
      mean: subtracted from each channel, in [0, 1].
      std: divides each channel, in [0, 1].

    Raises:
      InputError: as `image_network`.
    """
    net, name = _onnx(Path(model)), Path(model).name
    if b"ReduceMean" in Path(model).read_bytes():
        raise InputError(
            f"{model}: averages with ReduceMean, which OpenCV gets wrong in clips; export it "
            "with AveragePool"
        )

    def one(clip: Sequence[np.ndarray]) -> float:
        images = [_standardized(pictures.letterbox(frame, size, 114), mean, std) for frame in clip]
        output = _only(_forward(net, np.stack(images, axis=1)[None], name), name)
        return _class_score(output, "classes", walking, name)

    def score(walk: Frames) -> Float[np.ndarray, " N"]:
        starts = range(0, max(len(walk) - frames, 0) + 1, frames)
        clips = [[walk[(start + i) % len(walk)] for i in range(frames)] for start in starts]
        return np.array([one(clip) for clip in clips])

    one([np.full((*size, 3), 114, np.uint8)] * frames)
    return Scorer(name, score)


def from_flags(
    detector: Sequence[str],
    detector_input: Sequence[int],
    action: str | None,
    action_input: Sequence[int],
) -> tuple[Scorer | None, Scorer | None]:
    """What gives the frame and the video score, from the values of a command line's flags.

    Args:
      detector: an ONNX file, or Darknet's cfg and weights; empty for OpenCV's people detector.
      detector_input: index of the class "person", and the side of the network's square input.
      action: an ONNX file, or None.
      action_input: index of the class "walking", frames per clip, side of the square input.

    Raises:
      InputError: the files or numbers cannot be used.
    """
    if len(detector) > 2 or len(detector_input) != 2 or len(action_input) != 3:
        raise InputError(
            "--detector takes one ONNX file or a Darknet cfg and weights, --detector_input two "
            "numbers and --action_input three"
        )
    frame_scorer = video_scorer = None
    if detector:
        person, side = detector_input
        weights = detector[1] if len(detector) == 2 else None
        frame_scorer = image_network(detector[0], weights, person, (side, side))
    if action:
        walking, frames, side = action_input
        video_scorer = video_network(action, walking, frames, (side, side))
    return frame_scorer, video_scorer


def _standardized(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    values = (image / 255.0 - np.asarray(mean)) / np.asarray(std)
    return values.transpose(2, 0, 1).astype(np.float32)


def _onnx(path: Path) -> cv2.dnn.Net:
    _check(path)
    with pictures.opencv_errors_as(
        f"{path}: not an ONNX network that OpenCV can read; export it once more"
    ):
        return cv2.dnn.readNetFromONNX(str(path))


def _darknet(cfg: Path, weights: Path) -> cv2.dnn.Net:
    _check(cfg)
    _check(weights)
    with pictures.opencv_errors_as(f"{cfg} and {weights}: not a Darknet network and its weights"):
        net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    # OpenCV reads on past the end of a file that is too short.
    layers = [net.getLayer(net.getLayerId(name)) for name in net.getLayerNames()]
    floats = sum(b.size for layer in layers if layer.type != "Region" for b in layer.blobs)
    with weights.open("rb") as file:
        major, minor, _ = struct.unpack("<iii", file.read(12))
    wanted = 4 * floats + (20 if 10 * major + minor >= 2 else 16)
    if weights.stat().st_size != wanted:
        raise InputError(
            f"{weights}: not the weights of {cfg}, whose Darknet network has {wanted} bytes "
            f"and not {weights.stat().st_size}"
        )
    return net


def _check(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; name the network's own file")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty; copy it once more")


def _forward(net: cv2.dnn.Net, blob: np.ndarray, name: str) -> Sequence[np.ndarray]:
    shape = "x".join(map(str, blob.shape))
    with pictures.opencv_errors_as(
        f"{name}: does not take an input of {shape}; give the size it was exported for"
    ):
        net.setInput(blob)
        return net.forward(net.getUnconnectedOutLayersNames())


def _only(outputs: Sequence[np.ndarray], name: str) -> np.ndarray:
    if len(outputs) != 1:
        raise InputError(f"{name}: has {len(outputs)} outputs; export it with a single one")
    return outputs[0]


def _class_score(output: np.ndarray, layout: str | None, index: int, name: str) -> float:
    """The highest score of a class in an output of one of `LAYOUTS`."""
    shape = output.shape
    if layout in (None, "classes") and output.ndim >= 2 and output.size == shape[0] * shape[1]:
        return _probability(output.reshape(shape[:2]), index, name)
    if output.ndim != 3 or shape[0] != 1 or layout == "classes":
        wanted = LAYOUTS[layout].split(":")[0] if layout else "(1, N, 5 + C), (1, 4 + C, N), (1, C)"
        raise InputError(f"{name}: gives an output of shape {shape}, which is not {wanted}")
    layout = layout or ("yolov5" if shape[1] > shape[2] else "yolov8")
    if layout == "yolov8":
        return _highest(output[0].T, 4, index, name)
    boxes = output[0]
    if boxes.shape[1] > 5:
        boxes = np.concatenate([boxes[:, :5], boxes[:, 4:5] * boxes[:, 5:]], axis=1)
    return _highest(boxes, 5, index, name)


def _highest(boxes: np.ndarray, skipped: int, index: int, name: str) -> float:
    """The highest score of a class among boxes, whose first `skipped` numbers are no classes."""
    if boxes.ndim != 2:
        raise InputError(
            f"{name}: gives an output of shape {boxes.shape}, which is no YOLO layer's"
        )
    _check_class(index, boxes.shape[1] - skipped, name)
    scores = boxes[:, skipped + index]
    if not (scores >= 0).all() or not (scores <= 1 + 1e-4).all():
        raise InputError(
            f"{name}: its class scores are not between 0 and 1; name its layout, or export it "
            "with probabilities"
        )
    return float(min(scores.max(), 1.0)) if len(scores) else 0.0


def _probability(output: np.ndarray, index: int, name: str) -> float:
    if len(output) != 1:
        raise InputError(f"{name}: gives an output of shape {output.shape}, which is not (1, C)")
    values = output[0].astype(np.float64)
    _check_class(index, len(values), name)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: gives numbers that are not finite; export it once more")
    if (values >= 0).all() and abs(values.sum() - 1) < 1e-3:
        return float(values[index])
    values = np.exp(values - values.max())
    return float(values[index] / values.sum())


def _check_class(index: int, classes: int, name: str) -> None:
    if not 0 <= index < classes:
        has = f"{classes} classes" if classes > 0 else "no classes"
        raise InputError(f"{name}: has {has}, and the class asked for is number {index}, from 0")
