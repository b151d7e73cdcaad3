"""Linking: boxes that a detector finds in single frames become tracks.

A track goes on by motion, overlap and clothes, also through crossings and after people were hidden
for a while. In the spirit of ByteTrack (Zhang et al. 2022, ByteTrack: Multi-Object Tracking by
Associating Every Detection Box): boxes of low score continue tracks and begin none.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.optimize import linear_sum_assignment

Box = Float[np.ndarray, "4"]  # top, left, bottom, right, in pixels
Boxes = Float[np.ndarray, "N 4"]

CERTAIN = 0.4  # score from which a box begins a track
SURE = 0.5  # score from which a box is somebody's whatever else speaks against it
_PATIENCE = 2.5  # seconds after which a track that nobody was found for has ended
_FRESH = 0.5  # seconds within which motion alone says who it is
_REACH = (0.3, 0.6)  # how far from where they are expected, in statures: at once, more a second
_RATIO = 2.0  # largest change of height
_OTHER = 0.45  # distance of looks from which two are different people
_NEVER = 1e6
_BINS = (4, 6, 6)  # of lightness and the two colours
_COLOURS = (88, 167)  # range of the latter: clothes are hardly more colourful
# Of a box: both halves of a body, without what is beside it.
_PARTS = (np.array([0.12, 0.28, 0.5, 0.72]), np.array([0.5, 0.28, 0.9, 0.72]))


class BoxTrack:
    """One person's boxes.

    Attributes:
      frames: numbers of the frames in which the person was found, increasing.
      boxes: one for each of them.
      scores: the detector's, one for each of them.
      look: moving average of the clothes' colours, see `looks`.
    """

    def __init__(self, frame: int, box: Box, score: float, look: Float32[np.ndarray, "L"]):
        self.frames, self.boxes, self.scores = [frame], [box], [score]
        self.look = look
        self._speed = np.zeros(2)  # of the middle, pixels a frame

    def add(self, frame: int, box: Box, score: float, look: Float32[np.ndarray, "L"]) -> None:
        """Appends a box of a later frame."""
        elapsed = frame - self.frames[-1]
        speed = (_middle(box) - _middle(self.boxes[-1])) / elapsed
        learn = 1.0 if len(self.frames) == 1 else 0.4
        self._speed = self._speed + learn * (speed - self._speed)
        self.look = self.look + 0.2 * (look - self.look)
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)

    def expected(self, frame: int) -> Box:
        """The box in a later frame."""
        return self.boxes[-1] + np.tile(self._speed * (frame - self.frames[-1]), 2)

    def at(self, numbers: Int[np.ndarray, "T"]) -> Float[np.ndarray, "T 4"]:
        """Boxes in any frames, interpolated linearly.

        Before the person was found, and after, they go on as they moved there.
        """
        known, boxes = np.array(self.frames), np.stack(self.boxes)
        inside = np.stack([np.interp(numbers, known, side) for side in boxes.T], 1)
        if len(known) > 1:
            few = slice(None, min(3, len(known)))
            start = _slope(known[few], boxes[few])
            end = _slope(known[::-1][few], boxes[::-1][few])
            inside += np.tile(np.minimum(numbers - known[0], 0)[:, None] * start, 2)
            inside += np.tile(np.maximum(numbers - known[-1], 0)[:, None] * end, 2)
        return inside

    def is_near(self, number: int, beyond: int) -> bool:
        """Whether a frame is among the track's, or at most `beyond` frames before or after."""
        return self.frames[0] - beyond <= number <= self.frames[-1] + beyond


class Linker:
    """Links the boxes of frames in order.

    Attributes:
      tracks: everybody's, in the order of their appearance; also of what was found only once.
    """

    def __init__(self, fps: float):
        """Takes the frames a second."""
        self.tracks: list[BoxTrack] = []
        self._alive: list[BoxTrack] = []
        self._fps = fps

    def update(
        self,
        frame: int,
        boxes: Boxes,
        scores: Float[np.ndarray, "N"],
        looks: Float32[np.ndarray, "N L"],
    ) -> list[int]:
        """Takes what was found in a later frame than before.

        Returns:
          Which boxes go on with no track and score too low to begin one, see `begin`.
        """
        late = [(frame - track.frames[-1]) / self._fps for track in self._alive]
        self._alive = [t for t, gap in zip(self._alive, late, strict=True) if gap <= _PATIENCE]
        free = list(range(len(boxes)))
        fresh = [t for t in self._alive if (frame - t.frames[-1]) / self._fps <= _FRESH]
        others = [t for t in self._alive if t not in fresh]
        for group in (fresh, others):
            costs = np.array(
                [[self._cost(t, frame, boxes[n], looks[n]) for n in free] for t in group]
            ).reshape(len(group), len(free))
            pairs = zip(*linear_sum_assignment(costs), strict=True)
            taken = [(i, j) for i, j in pairs if costs[i, j] < _NEVER]
            for i, j in taken:
                n = free[j]
                group[i].add(frame, boxes[n], float(scores[n]), looks[n])
            free = [n for j, n in enumerate(free) if j not in {j for _, j in taken}]
        for n in free:
            if scores[n] >= CERTAIN:
                self.begin(frame, boxes[n], float(scores[n]), looks[n])
        return [n for n in free if scores[n] < CERTAIN]

    def begin(self, frame: int, box: Box, score: float, look: Float32[np.ndarray, "L"]) -> None:
        """Begins a track."""
        self._alive.append(BoxTrack(frame, box, score, look))
        self.tracks.append(self._alive[-1])

    def _cost(self, track: BoxTrack, frame: int, box: Box, look: np.ndarray) -> float:
        """How badly a box continues a track; `_NEVER` if it does not."""
        gap = (frame - track.frames[-1]) / self._fps
        expected = track.expected(frame)
        height, other = expected[2] - expected[0], box[2] - box[0]
        if not 1 / _RATIO < other / height < _RATIO:
            return _NEVER
        # Who is hidden below keeps the head where it was.
        middle = np.linalg.norm(_middle(box) - _middle(expected))
        head = np.linalg.norm(_head(box) - _head(expected))
        far = min(middle, head) / max(height, other)
        clothes = float(1 - look @ track.look / np.linalg.norm(track.look))
        if far > _REACH[0] + _REACH[1] * gap or (gap > _FRESH and clothes > _OTHER):
            return _NEVER
        return far + clothes + 0.5 * (1 - overlap(expected[None], box[None])[0, 0])


def looks(frame: UInt8[np.ndarray, "H W 3"], boxes: Boxes) -> Float32[np.ndarray, "N 288"]:
    """The colours of people's clothes: histograms of the upper and lower body in CIELAB.

    Args:
      frame: RGB.
      boxes: around one person each.

    Returns:
      Square roots of the shares, of norm 1: the product of two is their Bhattacharyya coefficient.
    """
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    lab[..., 1:] = np.clip(lab[..., 1:], *_COLOURS)
    rows = [[_histogram(lab, box, part) for part in _PARTS] for box in boxes]
    shares = np.array(rows, np.float32).reshape(len(boxes), len(_PARTS) * math.prod(_BINS))
    return np.sqrt(shares / len(_PARTS))


def _histogram(lab: UInt8[np.ndarray, "H W 3"], box: Box, part: np.ndarray) -> np.ndarray:
    height, width = box[2:] - box[:2]
    corners = np.round(np.tile(box[:2], 2) + part * np.array([height, width, height, width]))
    top, left, bottom, right = np.maximum(corners.astype(int), 0)
    pixels = lab[top : max(bottom, top + 1), left : max(right, left + 1)]
    count = math.prod(_BINS)
    if not pixels.size:
        return np.full(count, 1 / count)
    ranges = [0, 256, *2 * (_COLOURS[0], _COLOURS[1] + 1)]
    counts = cv2.calcHist([pixels], [0, 1, 2], None, list(_BINS), ranges).ravel()
    return counts / counts.sum()


def overlap(one: Boxes, other: Float[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """Intersection over union of each box with each other one."""
    common = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = common - np.maximum(one[:, None, :2], other[None, :, :2])
    shared = np.prod(np.maximum(common, 0), -1)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), -1) for boxes in (one, other)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _slope(numbers: np.ndarray, boxes: np.ndarray) -> Float[np.ndarray, "2"]:
    """Mean speed of the middle over a few boxes, pixels a frame."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (middles[-1] - middles[0]) / (numbers[-1] - numbers[0])


def _middle(box: Box) -> Float[np.ndarray, "2"]:
    return (box[:2] + box[2:]) / 2


def _head(box: Box) -> Float[np.ndarray, "2"]:
    return np.array([box[0], (box[1] + box[3]) / 2])
