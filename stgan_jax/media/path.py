"""The way of a camera through a clip, frame by frame, while people walk in the picture.

Corners are followed from a key frame, as long as it shows enough of the same, so that errors hardly
add up; a homography is fitted to them. It explains all that a camera shows that turns or zooms, as
on a tripod or in hands that shake. What lies at several depths, and is passed, it does not explain.
"""

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from stgan_jax.media import parallax

_SIDE = 360  # pixels of the shorter side in which corners are followed
_CORNERS, _APART = 400, 14  # corners of a key frame, at most, and pixels between them
_LEAST = 24  # corners that a homography must explain
_TOLERANCE = 1.0  # pixels by which a corner may miss its place for the homography to explain it
_SAME = 0.55  # share of a key frame's corners that must be explained for it to be followed on
_FAR = 0.15  # of the diagonal: a picture displaced by more is a key frame of its own
_TRAVELS = 0.2  # mean share of corners that are not explained, of a camera that is carried along

_CLEARLY = 0.85  # share explained from which a homography says everything
_RECENT = 12  # frames before one that is not explained in which it is looked at what is off

Homography = Float[np.ndarray, "3 3"]
# A frame's number, picture and where it is clear, those of the frame before, and the way to that.
_Step = tuple[int, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], Homography]


@dataclasses.dataclass(frozen=True)
class CameraPath:
    """A camera that moves.

    Attributes:
      poses: homography that takes the pixels (x, y) of each frame to those of its shot's first one.
      shots: number of the shot that each frame is of; between two, nothing is known.
      unexplained: mean share of what is followed that no homography explains: parallax, rolling
        shutter, and what moves.
      shape: (height, width) of the frames.
      offs: number of a frame -> how far the homography from it to the frame before is off, in
        cells, see `parallax.local`, in pixels of the frames; where it is not off, there is none.
    """

    poses: Float[np.ndarray, "T 3 3"]
    shots: Int[np.ndarray, " T"]
    unexplained: float
    shape: tuple[int, int]
    offs: Mapping[int, Float32[np.ndarray, "R C 2"]] = dataclasses.field(default_factory=dict)

    @property
    def travels(self) -> bool:
        """Whether the camera moves through the scene, so that near things pass far ones."""
        return self.unexplained > _TRAVELS

    def between(self, one: int, other: int) -> Homography:
        """The homography that takes a frame's pixels to another one's, of the same shot."""
        return np.linalg.inv(self.poses[other]) @ self.poses[one]

    def resized(self, shape: tuple[int, int]) -> "CameraPath":
        """The way in frames of another (height, width), without `offs`."""
        rows, cols = np.array(shape) / self.shape
        less = np.array([[cols, 0, (cols - 1) / 2], [0, rows, (rows - 1) / 2], [0, 0, 1]])
        poses = less @ self.poses @ np.linalg.inv(less)
        return CameraPath(poses, self.shots, self.unexplained, shape)

    def off(self, number: int, place: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """How far the homography from a frame to the one before it is off at a place (x, y)."""
        cells = self.offs.get(number)
        if cells is None:
            return np.zeros(2)
        scale = scale_of(self.shape)
        inside = np.clip(place, 0, self.shape[::-1])
        return parallax.at(cells, (scale * inside[None] + (scale - 1) / 2).astype(np.float32))[0]


class PathFinder:
    """Follows the camera through frames in order."""

    def __init__(self) -> None:
        self.poses: list[Homography] = []
        self.shots: list[int] = []
        self._unexplained: list[float] = []
        self._offs: dict[int, np.ndarray] = {}
        self._waiting: deque[_Step] = deque(maxlen=_RECENT)
        self._key: KeyFrame | None = None
        self._base = self._last = np.eye(3)  # of the key frame; from it to the latest frame
        self._before: tuple[np.ndarray, np.ndarray]

    def add(self, image: UInt8[np.ndarray, "H W 3"], boxes: Float[np.ndarray, "N 4"]) -> None:
        """Takes the next frame.

        Args:
          image: RGB.
          boxes: about where people are, (top, left, bottom, right) in pixels. Nothing is followed
            there; who has no box is outvoted.
        """
        self._shape = image.shape[0], image.shape[1]
        grey, scale = small(image)
        clear = _outside(boxes * scale, grey.shape)
        share, here = 1.0, None
        if self._key is not None:
            here, share = self._followed(grey, clear)
            if here is None or share < _SAME:  # once more from the frame before
                self._begin_at(*self._before)
                here, share = self._followed(grey, clear)
        if here is None:
            self.shots.append(self.shots[-1] + 1 if self.shots else 0)
            self._key, self._base, self._last = KeyFrame(grey, clear), np.eye(3), np.eye(3)
        else:
            self.shots.append(self.shots[-1])
            self._unexplained.append(1.0 - share)
            self._last = here
        self.poses.append(full(_unit(self._base @ np.linalg.inv(self._last)), scale))
        if here is None:
            self._waiting.clear()
        else:
            self._waiting.append((len(self.poses) - 1, grey, clear, self._before, self.step()))
            if share < _CLEARLY:
                self._add_offs(scale)
        self._before = grey, clear
        if displacement(self._last, grey.shape) > _FAR:
            self._begin_at(grey, clear)

    def _add_offs(self, scale: float) -> None:
        """How far off the latest steps are: near a key frame, all seems to be explained."""
        while self._waiting:
            number, grey, clear, before, step = self._waiting.popleft()
            start = full(step, 1 / scale)
            corners = KeyFrame(grey, clear).corners_in(*before, start)
            self._offs[number] = parallax.local(
                corners[0], corners[1] - moved(start, corners[0]), grey.shape
            ) / np.float32(scale)

    def _begin_at(self, grey: np.ndarray, clear: np.ndarray) -> None:
        self._base = _unit(self._base @ np.linalg.inv(self._last))
        self._key, self._last = KeyFrame(grey, clear), np.eye(3)

    def _followed(self, grey: np.ndarray, clear: np.ndarray) -> tuple[Homography | None, float]:
        """The homography from the key frame, None if this shows something else; see `fitted`."""
        assert self._key is not None
        best, share = None, 0.0
        for start in (self._last, _jump(self._before[0], grey) @ self._last):
            if share < _SAME:
                found, explained = self._key.to(grey, clear, start)
                if found is not None and explained > share:
                    best, share = found, explained
        return best, share

    def step(self) -> Homography:
        """The homography from the latest frame to the one before it; the identity after a cut."""
        if len(self.poses) < 2 or self.shots[-1] != self.shots[-2]:
            return np.eye(3)
        return np.linalg.inv(self.poses[-2]) @ self.poses[-1]

    def path(self) -> CameraPath:
        """The way through all frames so far."""
        unexplained = float(np.mean(self._unexplained)) if self._unexplained else 0.0
        poses, shots = np.stack(self.poses), np.array(self.shots)
        way = CameraPath(poses, shots, unexplained, self._shape)
        # Where homographies explain all in all, what single frames lack is noise.
        return dataclasses.replace(way, offs=self._offs) if way.travels else way


class KeyFrame:
    """A picture from which corners are followed."""

    def __init__(self, grey: UInt8[np.ndarray, "h w"], clear: UInt8[np.ndarray, "h w"]):
        """Takes it as `small` gives it, and 0 where people are."""
        self._grey = grey
        found = cv2.goodFeaturesToTrack(grey, _CORNERS, 0.001, _APART, mask=clear, blockSize=7)
        self._corners = np.zeros((0, 2), np.float32) if found is None else found[:, 0]

    def to(
        self, grey: UInt8[np.ndarray, "h w"], clear: UInt8[np.ndarray, "h w"], start: Homography
    ) -> tuple[Homography | None, float]:
        """The homography to another picture, see `fitted`; `start` is about what it is."""
        here, there = self.corners_in(grey, clear, start)
        return (None, 0.0) if len(here) < _LEAST else fitted(here, there)

    def corners_in(
        self,
        grey: UInt8[np.ndarray, "h w"],
        clear: UInt8[np.ndarray, "h w"],
        start: Homography,
        off: Float[np.ndarray, "h w 2"] | None = None,
    ) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
        """Corners (x, y) of this picture, and where they are in another one.

        Args:
          grey: the other one, as `small` gives it.
          clear: 0 where people are in it, else 255.
          start: a guess of the homography to it.
          off: a guess of how far that is off at each pixel of this picture.
        """
        here = self._corners
        guess = moved(start, here).astype(np.float32)
        size = np.array(grey.shape[::-1])
        inside = np.all((guess > 4) & (guess < size - 5), axis=1)
        here, guess = here[inside], guess[inside]
        if not len(here):
            return here, guess
        # Compared is what this picture would look like, so that nothing is turned or enlarged.
        moves = cv2.warpPerspective(self._grey, start, size)
        both = cv2.compare(moves, 0, cv2.CMP_GT) & clear
        light = cv2.mean(grey, both)[0] / max(cv2.mean(moves, both)[0], 1.0)
        moves = cv2.convertScaleAbs(moves, alpha=light)
        ahead = guess.copy()
        if off is not None:
            ahead += off[here[:, 1].astype(int), here[:, 0].astype(int)]
        there, good, _ = cv2.calcOpticalFlowPyrLK(
            moves, grey, guess[:, None].copy(), ahead[:, None].copy(), winSize=(21, 21), maxLevel=2,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        there, kept = there[:, 0], good[:, 0] == 1
        at = np.clip(np.rint(there), 0, size - 1).astype(int)
        kept &= clear[at[:, 1], at[:, 0]] > 0
        return here[kept], there[kept]


def small(
    image: UInt8[np.ndarray, "H W 3"], scale: float | None = None
) -> tuple[UInt8[np.ndarray, "h w"], float]:
    """The picture in which corners are followed, and its size as a share of the other's."""
    scale = scale or scale_of(image.shape)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return grey, scale


def scale_of(shape: Sequence[int]) -> float:
    """The size of the picture in which corners are followed, as a share of that of frames."""
    return min(1.0, _SIDE / min(shape[:2]))


def full(pose: Float[np.ndarray, "*N 3 3"], scale: float) -> Float[np.ndarray, "*N 3 3"]:
    """Homographies of small pictures for those they were made of."""
    shrink = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    return np.linalg.inv(shrink) @ pose @ shrink


def fitted(
    here: Float[np.ndarray, "N 2"], there: Float[np.ndarray, "N 2"]
) -> tuple[Homography | None, float]:
    """The homography from points (x, y) to points by RANSAC, None if there is none; and the share
    of them that it takes to within two pixels, twice RANSAC's tolerance.
    """
    cv2.setRNGSeed(0)  # RANSAC's
    found, use = cv2.findHomography(here, there, cv2.USAC_MAGSAC, _TOLERANCE, maxIters=2000)
    if found is None or use.sum() < _LEAST or not 0.3 < np.linalg.det(found[:2, :2]) < 3:
        return None, 0.0
    off = np.linalg.norm(moved(found, here) - there, axis=1)
    close = off < 2 * _TOLERANCE
    if close.sum() >= _LEAST:  # by least squares of all that agree
        better, _ = cv2.findHomography(here[close], there[close], 0)
        found = found if better is None else better
    return found, float(close.mean())


def moved(pose: Homography, points: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Points (x, y) where a homography takes them."""
    out = points @ pose[:, :2].T + pose[:, 2]
    return out[:, :2] / out[:, 2:]


def displacement(pose: Homography, shape: Sequence[int]) -> float:
    """The largest displacement of a corner of a picture of (height, width), in diagonals."""
    corners = corners_of(shape)
    away = np.linalg.norm(moved(pose, corners) - corners, axis=1)
    return float(away.max() / np.hypot(shape[0], shape[1]))


def corners_of(shape: Sequence[int]) -> Float[np.ndarray, "4 2"]:
    """The corners (x, y) of a picture of (height, width)."""
    height, width = shape[:2]
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def _unit(pose: Homography) -> Homography:
    return pose / np.cbrt(np.linalg.det(pose))


def _outside(boxes: np.ndarray, shape: tuple[int, ...]) -> UInt8[np.ndarray, "H W"]:
    """255 outside of boxes and a margin."""
    out = np.full(shape, 255, np.uint8)
    for top, left, bottom, right in boxes:
        margin = 0.1 * (bottom - top)
        sides = np.array([top - margin, left - margin, bottom + margin, right + margin])
        low_row, low_col, high_row, high_col = np.maximum(np.rint(sides), 0).astype(int)
        out[low_row:high_row, low_col:high_col] = 0
    return out


def _jump(before: np.ndarray, grey: np.ndarray) -> Homography:
    """The shift from one picture to the next, by phase correlation."""
    small = [
        cv2.resize(x, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32)
        for x in (before, grey)
    ]
    window = cv2.createHanningWindow(small[0].shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(small[0], small[1], window)
    return np.array([[1, 0, 4 * x], [0, 1, 4 * y], [0, 0, 1]])
