"""Linking: boxes that a detector finds in single frames become tracks.

A track goes on by motion, overlap and clothes, also through crossings and after people were hidden
for a while. In the spirit of ByteTrack (Zhang et al. 2022, ByteTrack: Multi-Object Tracking by
Associating Every Detection Box): boxes of low score continue tracks and begin none.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.optimize import linear_sum_assignment

from stgan_jax.media.segmentation import middle
from stgan_jax.video.people import apart, steady

Box = Float[np.ndarray, "4"]  # top, left, bottom, right, in pixels
Boxes = Float[np.ndarray, "N 4"]
Look = Callable[[Boxes], Float32[np.ndarray, "N L"]]  # boxes -> the clothes' colours, see `looks`

CERTAIN = 0.4  # score from which a box begins a track
SURE = 0.5  # score from which a box is somebody's whatever else speaks against it
_PATIENCE = 2.5  # seconds after which a track that nobody was found for has ended
_FRESH = 0.5  # seconds within which motion alone says who it is
_REACH = (0.3, 0.6)  # how far from where they are expected, in statures: at once, more a second
_RATIO = 2.0  # largest change of height
_OTHER = 0.45  # distance of looks from which two are different people
_NEVER = 1e6
_LINGERS, _EDGE = 3, 0.15  # at the frame's edge people stay in sight for longer; of the height
_PART = 0.9  # share of a box inside better ones from which it is nobody of their own
_AS_WIDE = 0.7  # of a box: width of a better one inside from which the rest is a mirror image
_GRID = 16  # points to a side, by which that share is measured
# Two in one box: both are inside it as far as that, as tall, fill it together, and are not one.
_WITHIN, _AS_TALL, _FILLS, _ONE = 0.75, 0.8, 0.65, 0.7
_PASSES = 0.2  # by how much clothes must tell that two have passed each other in it
_BESIDE = 0.1  # overlap with others from which a box shows their clothes, too
_OWN = 0.5  # overlap from which a box is somebody's own
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
      clothes: what they wear, learnt when the empty scene is known.
    """

    def __init__(
        self,
        frame: int,
        box: Box,
        score: float,
        look: Float32[np.ndarray, "L"],
        view: steady.Steady | None = None,
    ):
        """Begins with a box. With a `view`, boxes are as if its camera stood."""
        self.frames, self.boxes, self.scores = [frame], [box], [score]
        self._view = view
        self.look = look
        self.clothes = apart.Clothes()
        self._speed = np.zeros(2)  # of the middle, pixels a frame

    def add(self, frame: int, box: Box, score: float, look: Float32[np.ndarray, "L"]) -> None:
        """Appends a box of a later frame."""
        elapsed = frame - self.frames[-1]
        speed = (middle(box) - middle(self.boxes[-1])) / elapsed
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
        """Boxes in any frames, in their pixels, interpolated linearly.

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
        return inside if self._view is None else steady.back(self._view.at(numbers), inside)

    def reach(self, beyond: int, size: tuple[int, int]) -> range:
        """Frames in which the person may be: `beyond` before and after being found, too.

        Three times as long where they come in or leave: a foot or a back is in the frame, then.

        Args:
          beyond: frames.
          size: (height, width) of the frames.
        """
        ends = self.at(np.array([self.frames[0], self.frames[-1]]))
        before, after = (beyond * (_LINGERS if _is_at_edge(box, size) else 1) for box in ends)
        return range(self.frames[0] - before, self.frames[-1] + after + 1)


class Linker:
    """Links the boxes of frames in order.

    Attributes:
      tracks: everybody's, in the order of their appearance; also of what was found only once.
    """

    def __init__(self, fps: float, view: steady.Steady | None = None):
        """Takes the frames a second and, if the camera moves, how boxes are freed of that."""
        self.tracks: list[BoxTrack] = []
        self._alive: list[BoxTrack] = []
        self._fps, self._view = fps, view

    def update(
        self,
        frame: int,
        boxes: Boxes,
        scores: Float[np.ndarray, "N"],
        look_of: Look,
    ) -> list[int]:
        """Takes what was found in a later frame than before.

        Args:
          frame: its number.
          boxes: in pixels.
          scores: the detector's, one a box.
          look_of: `looks` of boxes in the frame.

        Returns:
          Which boxes go on with no track and score too low to begin one, see `begin`.
        """
        late = [(frame - track.frames[-1]) / self._fps for track in self._alive]
        self._alive = [t for t, gap in zip(self._alive, late, strict=True) if gap <= _PATIENCE]
        fresh = [t for t in self._alive if (frame - t.frames[-1]) / self._fps <= _FRESH]
        parts = _are_parts(boxes, scores)
        free = np.flatnonzero(~parts | (scores >= CERTAIN)).tolist()
        looks, found = look_of(boxes), (boxes, scores, look_of)
        free = [n for n in free if not self._divides(frame, n, free, fresh, found)]
        crowded = overlap(boxes, boxes).sum(1) > 1 + _BESIDE
        others = [t for t in self._alive if t not in fresh]
        whole = [n for n in free if scores[n] >= CERTAIN and not parts[n]]
        for group, chosen in ((fresh, whole), (fresh, free), (others, whole), (others, free)):
            group = [t for t in group if t.frames[-1] < frame]
            chosen = [n for n in chosen if n in free]
            costs = np.array(
                [[self._cost(t, frame, boxes[n], looks[n]) for n in chosen] for t in group]
            ).reshape(len(group), len(chosen))
            for i, j in zip(*linear_sum_assignment(costs), strict=True):
                if costs[i, j] < _NEVER:
                    n = chosen[j]
                    look = group[i].look if crowded[n] else looks[n]
                    group[i].add(frame, boxes[n], float(scores[n]), look)
                    free.remove(n)
        free = [n for n in free if not parts[n]]
        for n in free:
            if scores[n] >= CERTAIN:
                self.begin(frame, boxes[n], float(scores[n]), looks[n])
        return [n for n in free if scores[n] < CERTAIN]

    def begin(self, frame: int, box: Box, score: float, look: Float32[np.ndarray, "L"]) -> None:
        """Begins a track."""
        self._alive.append(BoxTrack(frame, box, score, look, self._view))
        self.tracks.append(self._alive[-1])

    def _divides(
        self,
        frame: int,
        n: int,
        free: list[int],
        fresh: list[BoxTrack],
        found: tuple[Boxes, np.ndarray, Look],
    ) -> bool:
        """Whether box `n` is around two tracks' people, neither of whom has a box of their own."""
        boxes, scores, look_of = found
        box, others = boxes[n], boxes[[m for m in free if m != n]]
        fresh = [t for t in fresh if len(t.frames) > 1 and t.frames[-1] < frame]
        expected = np.array([track.expected(frame) for track in fresh]).reshape(-1, 4)
        pair = _pair(expected, box)
        if pair is None or (overlap(expected[list(pair)], others) > _OWN).any():
            return False
        halves = [_halves(box, expected[list(who)]) for who in (pair, pair[::-1])]
        costs = [self._strange([fresh[i] for i in pair], halves[0], look_of)]
        costs.append(self._strange([fresh[i] for i in pair[::-1]], halves[1], look_of) + _PASSES)
        swapped = int(np.argmin(costs))
        for i, half in zip((pair, pair[::-1])[swapped], halves[swapped], strict=True):
            fresh[i].add(frame, half, float(scores[n]), fresh[i].look)
        return True

    def _strange(self, tracks: list[BoxTrack], halves: Boxes, look_of: Look) -> float:
        """How little the clothes in two boxes are those of two tracks."""
        pairs = zip(look_of(halves), tracks, strict=True)
        return float(sum(1 - look @ t.look / np.linalg.norm(t.look) for look, t in pairs))

    def _cost(self, track: BoxTrack, frame: int, box: Box, look: np.ndarray) -> float:
        """How badly a box continues a track; `_NEVER` if it does not."""
        gap = (frame - track.frames[-1]) / self._fps
        expected = track.expected(frame)
        height, other = expected[2] - expected[0], box[2] - box[0]
        if not 1 / _RATIO < other / height < _RATIO:
            return _NEVER
        # Who is hidden below keeps the head where it was.
        body = np.linalg.norm(middle(box) - middle(expected))
        head = np.linalg.norm(_head(box) - _head(expected))
        far = min(body, head) / max(height, other)
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
    rows = [[_histogram(frame, box, part) for part in _PARTS] for box in boxes]
    shares = np.array(rows, np.float32).reshape(len(boxes), len(_PARTS) * math.prod(_BINS))
    return np.sqrt(shares / len(_PARTS))


def _histogram(frame: UInt8[np.ndarray, "H W 3"], box: Box, part: np.ndarray) -> np.ndarray:
    height, width = box[2:] - box[:2]
    corners = np.round(np.tile(box[:2], 2) + part * np.array([height, width, height, width]))
    top, left, bottom, right = np.maximum(corners.astype(int), 0)
    pixels = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    count = math.prod(_BINS)
    if not pixels.size:
        return np.full(count, 1 / count)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    pixels[..., 1:] = np.clip(pixels[..., 1:], *_COLOURS)
    ranges = [0, 256, *2 * (_COLOURS[0], _COLOURS[1] + 1)]
    counts = cv2.calcHist([pixels], [0, 1, 2], None, list(_BINS), ranges).ravel()
    return counts / counts.sum()


def _pair(expected: Boxes, box: Box) -> tuple[int, int] | None:
    """Which two expected boxes, the left one first, one box is around; None if there are none."""
    inside = np.flatnonzero(common(expected, box) > _WITHIN * areas(expected))
    heights = expected[:, 2] - expected[:, 0]
    inside = inside[heights[inside] > _AS_TALL * (box[2] - box[0])]
    best, pair = _FILLS, None
    for k, i in enumerate(inside.tolist()):
        for j in inside[:k].tolist():
            one, other = expected[i], expected[j]
            hull = np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])
            fills = overlap(hull[None], box[None])[0, 0]
            if fills > best and overlap(one[None], other[None])[0, 0] < _ONE:
                best, pair = fills, (i, j) if one[1] + one[3] < other[1] + other[3] else (j, i)
    return pair


def _halves(box: Box, expected: Boxes) -> Boxes:
    """The parts of a box, as wide as two expected ones: from the left and from the right."""
    widths = np.minimum(expected[:, 3] - expected[:, 1], box[3] - box[1])
    halves = np.tile(box, (2, 1))
    halves[0, 3], halves[1, 1] = box[1] + widths[0], box[3] - widths[1]
    return halves


def overlap(one: Boxes, other: Float[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """Intersection over union of each box with each other one."""
    shared = common(one[:, None], other[None])
    return shared / np.maximum(areas(one)[:, None] + areas(other)[None] - shared, 1e-9)


def common(one: Float[np.ndarray, "*N 4"], other: Float[np.ndarray, "*M 4"]) -> np.ndarray:
    """Areas of intersections."""
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return np.prod(np.maximum(sides, 0), -1)


def areas(boxes: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N"]:
    """Areas of boxes."""
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), -1)


def _are_parts(boxes: Boxes, scores: Float[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Which boxes hold parts of those who have better boxes, or one of these and a mirror image."""
    out = np.zeros(len(boxes), bool)
    for n in range(len(boxes)):
        rows, columns = (
            np.linspace(boxes[n, side], boxes[n, side + 2], 2 * _GRID + 1)[1::2, None]
            for side in (0, 1)
        )
        better = boxes[scores > scores[n]]
        wide = better[:, 3] - better[:, 1] > _AS_WIDE * (boxes[n, 3] - boxes[n, 1])
        if (wide & (common(better, boxes[n]) > _PART * areas(better))).any():
            out[n] = True
            continue
        inside = [
            ((points >= better[:, side]) & (points <= better[:, side + 2])).astype(int)
            for side, points in ((0, rows), (1, columns))
        ]
        out[n] = (inside[0] @ inside[1].T > 0).mean() > _PART
    return out


def _is_at_edge(box: Box, size: tuple[int, int]) -> bool:
    near = _EDGE * (box[2] - box[0])
    return bool((box[:2] < near).any() or (box[2:] > np.array(size) - near).any())


def _slope(numbers: np.ndarray, boxes: np.ndarray) -> Float[np.ndarray, "2"]:
    """Mean speed of the middle over a few boxes, pixels a frame."""
    middles = middle(boxes)
    return (middles[-1] - middles[0]) / (numbers[-1] - numbers[0])


def _head(box: Box) -> Float[np.ndarray, "2"]:
    return np.array([box[0], (box[1] + box[3]) / 2])
