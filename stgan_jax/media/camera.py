"""How a camera moves, measured on the scene and not on what walks before it or is laid over it.

Samples are compared by their local contrast, which light, fades and exposure leave as it is.
For each sample two explanations compete, cell by cell: the picture stays where it is, or it
follows one similarity. Text and logos stay though the camera moves; people, cars and screens
move though it stands. What is spread over the picture is the scene.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import fft

from stgan_jax.media import path

_SIDE = 360  # pixels of the shorter side in which motion is measured
_CELL = 24  # pixels of a cell's side there
_NOISE = 2.0  # grey levels by which local contrast is damped
_WINDOW = 25  # pixels over which contrast is local
_ALIKE = 0.5  # correlation above which a cell shows the same as in the reference
_BETTER = 0.1  # by which one explanation of a cell must exceed the other's correlation
_OFTEN = 0.25  # share of samples in which less than what stays must move to be the scene
_LOST = 0.25  # share of samples that show another scene: more is a cut


@dataclasses.dataclass(frozen=True)
class CameraMotion:
    """The motion of a camera over samples of a clip.

    Attributes:
      reference: index of the sample to which the others are compared: the middle one, or one
        near it that shows more.
      poses: similarity that takes the reference's pixels (x, y) to each sample's; the identity
        where it is not known.
      known: False for samples that show nothing (black, a flash) or another scene.
      displacement: largest displacement of a corner of the frame, in frame diagonals; 0.0 if
        nothing can be measured, infinity if more than a quarter shows another scene (a cut).
    """

    reference: int
    poses: Float[np.ndarray, "N 3 3"]
    known: Bool[np.ndarray, " N"]
    displacement: float


class _View(NamedTuple):
    """A sample, small: pattern of local contrast (128: none), deviation, spectrum of half of it."""

    pattern: np.ndarray
    deviation: np.ndarray
    spectrum: np.ndarray


class _Candidate(NamedTuple):
    """A similarity, its correlation in each cell, and the cells that it brings into view."""

    pose: np.ndarray
    alike: np.ndarray
    inside: np.ndarray


def motion(samples: UInt8[np.ndarray, "N H W 3"]) -> CameraMotion:
    """Measures how the camera moves over RGB samples of a clip, in order.

    Each sample is compared to the reference itself, so that errors do not add up. People in the
    picture are outvoted by the scene.
    """
    cv2.setRNGSeed(0)  # RANSAC's
    scale = min(1.0, _SIDE / min(samples.shape[1:3]))
    views = [_view(image, scale) for image in samples]
    rich = np.array([float(np.mean(v.deviation > 1.5)) for v in views])
    still = np.tile(np.eye(3), (len(views), 1, 1))
    if rich.max() < 0.01:
        return CameraMotion(len(views) // 2, still, np.zeros(len(views), bool), 0.0)
    usual = float(np.median(rich[rich >= 0.01]))
    usable = rich >= max(0.01, 0.3 * usual)
    full = np.flatnonzero(rich >= 0.7 * usual)
    best, placed = still, np.zeros(len(views), bool)
    reference = 0
    for share in (0.5, 0.25, 0.75):  # something may cover the middle sample's scene
        tried = int(full[np.argmin(np.abs(full - len(views) * share))])
        poses, known = _poses(views, usable, tried)
        if known.sum() > placed.sum():
            best, placed, reference = poses, known, tried
        if known.sum() >= (1 - _LOST) * usable.sum():
            break
    shape = views[0].pattern.shape
    largest = max(_apart(pose, np.eye(3), shape) for pose in best[placed]) / np.hypot(*shape)
    if placed.sum() < (1 - _LOST) * usable.sum():
        largest = float("inf")
    return CameraMotion(reference, path.full(best, scale), placed, float(largest))


def _view(image: np.ndarray, scale: float) -> _View:
    small = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        small = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    pattern, deviation = _contrast(small)
    # Half the size: local contrast reaches farther there, and large motions are found.
    half = (max(small.shape[1] // 2, 2), max(small.shape[0] // 2, 2))
    coarse, _ = _contrast(cv2.resize(small, half, interpolation=cv2.INTER_AREA))
    window = cv2.createHanningWindow(half, cv2.CV_32F)
    spectrum = fft.rfft2((coarse.astype(np.float32) - 128) * window)
    return _View(pattern, deviation, spectrum)


def _contrast(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviation from the local mean in (damped) local standard deviations, and the latter."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    mean = cv2.blur(smooth, (_WINDOW, _WINDOW))
    variance = np.maximum(cv2.blur(smooth * smooth, (_WINDOW, _WINDOW)) - mean * mean, 0)
    pattern = np.clip((smooth - mean) / np.sqrt(variance + _NOISE**2), -3, 3)
    return np.rint(128 + 40 * pattern).astype(np.uint8), np.sqrt(variance)


def _poses(views: list[_View], usable: np.ndarray, reference: int) -> tuple[np.ndarray, np.ndarray]:
    """Each sample's pose, and whether it is known; of samples that are `usable`."""
    poses = np.tile(np.eye(3), (len(views), 1, 1))
    known, outvoted = np.zeros((2, len(views)), bool)
    known[reference] = True
    scene = _Reference(views[reference])
    for order in (range(reference + 1, len(views)), range(reference - 1, -1, -1)):
        last = np.eye(3)
        for number in order:
            found = scene.pose(views[number], last) if usable[number] else None
            if found is not None:
                last = poses[number] = found[0]
                known[number], outvoted[number] = True, found[1]
    # People who come nearer seem to be the scene now and then, a scene behind text is it often.
    if outvoted.sum() < _OFTEN * usable.sum():
        known &= ~outvoted
        poses[outvoted] = np.eye(3)
    return poses, known


class _Reference:
    """The sample to which others are compared, and the corners that are followed from it."""

    def __init__(self, view: _View):
        self._view = view
        height, width = view.pattern.shape
        self._grid = (max(4, round(height / _CELL)), max(4, round(width / _CELL)))
        textured = (view.deviation > 1.0).astype(np.float32)
        self._textured = self._cells(textured) > 0.25
        self._corners = self._best_corners()

    def pose(self, view: _View, last: np.ndarray) -> tuple[np.ndarray, bool] | None:
        """The similarity that takes the reference to a view, None if that shows another scene.

        The second value is whether what moves was taken for the scene, though more stays.

        Args:
          view: the sample.
          last: the neighbouring sample's pose.
        """
        staying = self._candidate(view, np.eye(3))
        moving, tracks = self._best_candidate(view, staying, last)
        use, base = staying.inside & (staying.alike > _ALIKE), staying.pose
        outvoted = False
        if moving is not None:
            moved, stayed = _votes(moving, staying), _votes(staying, moving)
            if _is_scene(moved, stayed, moving.inside):
                use = moving.inside & (moving.alike > _ALIKE) & ~stayed
                base, outvoted = moving.pose, bool(moved.sum() < stayed.sum())
        if use.sum() < max(4, 0.12 * staying.inside.sum()):
            return None
        here, there = tracks
        size = np.array(self._view.pattern.shape[::-1])
        column, row = np.minimum(here * self._grid[::-1] / size, np.array(self._grid)[::-1] - 1).T
        near = np.linalg.norm(_apply(base, here) - there, axis=1) < 2
        near &= use[row.astype(int), column.astype(int)]
        fit = _similarity(here[near], there[near], 0.7) if _hull(use) > 0.25 else None
        if fit is None and near.any():
            # Of a small part of the picture rotation and zoom would be guessed.
            fit = _shift(np.median(there[near] - here[near], axis=0))
        return (base if fit is None else fit), outvoted

    def _best_candidate(self, view, staying, last):
        """The similarity that most of what does not stay agrees on, and all tracks."""
        shape = self._view.pattern.shape
        best, most, tracks, poses = None, 0.0, [], [np.eye(3)]
        explained = np.sum(staying.inside & (staying.alike > _ALIKE))
        for number, start in enumerate(self._starts(view, last)):
            if number > 0 and explained >= 0.8 * staying.inside.sum():
                break
            here, there = self._follow(view, start)
            tracks.append((here, there))
            left = np.ones(len(here), bool)
            for _ in range(2):  # the second fit is to what the first one leaves
                pose = _similarity(here[left], there[left], 1.0)
                if pose is None:
                    break
                if all(_apart(pose, other, shape) > 1.0 for other in poses):
                    poses.append(pose)
                    found = self._candidate(view, pose)
                    votes = _votes(found, staying)
                    # Things are compact: the camera moves everything everywhere.
                    if (score := votes.sum() * _hull(votes)) > most:
                        best, most = found, score
                        explained = max(explained, np.sum(found.inside & (found.alike > _ALIKE)))
                left &= np.linalg.norm(_apply(pose, here) - there, axis=1) > 2
        here, there = (np.concatenate(part) for part in zip(*tracks, strict=True))
        return best, (here, there)

    def _starts(self, view: _View, last: np.ndarray) -> Iterator[np.ndarray]:
        """Poses from which corners are followed: as is, as the neighbour, then by correlation."""
        yield np.eye(3)
        yield last
        height, width = (side // 2 for side in self._view.pattern.shape)
        cross = np.conj(self._view.spectrum) * view.spectrum
        cross /= np.abs(cross) + 1e-3 * np.abs(cross).max() + 1e-9
        peaks = fft.fftshift(fft.irfft2(cross, (height, width))).astype(np.float32)
        peaks = cv2.GaussianBlur(peaks, (0, 0), 1.0)
        for _ in range(3):
            row, column = np.unravel_index(np.argmax(peaks), peaks.shape)
            peaks[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = -1
            way = 2.0 * np.array([column - width // 2, row - height // 2])
            if np.hypot(*way) > 3:
                yield _shift(way)

    def _candidate(self, view: _View, pose: np.ndarray) -> _Candidate:
        size = self._view.pattern.shape[::-1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(view.pattern, pose[:2], size, flags=flags, borderValue=128)
        whole = np.ones(view.pattern.shape, np.uint8)
        visible = cv2.warpAffine(whole, pose[:2], size, flags=flags)
        one, other = ((p.astype(np.float32) - 128) * visible for p in (self._view.pattern, there))
        energy = self._cells(one * one) * self._cells(other * other)
        inside = self._cells(visible.astype(np.float32)) > 0.5
        return _Candidate(
            pose, self._cells(one * other) / np.sqrt(energy + 16.0), inside & self._textured
        )

    def _cells(self, values: np.ndarray) -> np.ndarray:
        return cv2.resize(values, self._grid[::-1], interpolation=cv2.INTER_AREA)

    def _best_corners(self) -> np.ndarray:
        """The best corner (x, y) of each cell, so that no thing takes them all."""
        view = self._view
        quality = cv2.cornerMinEigenVal(view.pattern, 11) * (view.deviation > 1.0)
        quality = cv2.copyMakeBorder(quality[8:-8, 8:-8], 8, 8, 8, 8, cv2.BORDER_CONSTANT)
        rows, columns = (
            np.linspace(0, side, count + 1).astype(int)
            for side, count in zip(quality.shape, self._grid, strict=True)
        )
        found = []
        for top, bottom in itertools.pairwise(rows):
            for left, right in itertools.pairwise(columns):
                _, best, _, (x, y) = cv2.minMaxLoc(quality[top:bottom, left:right])
                if best > 0:
                    found.append((left + x, top + y))
        return np.array(found, np.float32).reshape(-1, 2)

    def _follow(self, view: _View, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners and where they are in a view (pyramidal Lucas-Kanade)."""
        here = self._corners
        if not len(here):
            return here, here
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            self._view.pattern,
            view.pattern,
            here[:, None],
            np.ascontiguousarray(_apply(start, here)[:, None], np.float32),
            winSize=(21, 21),
            maxLevel=2,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        good = found[:, 0] == 1
        return here[good], there[good, 0]


def _votes(one: _Candidate, other: _Candidate) -> np.ndarray:
    """Cells that one explains and the other does not."""
    # Below zero counts as zero: the other explains nothing there either way.
    return one.inside & (one.alike > _ALIKE) & (one.alike > np.maximum(other.alike, 0) + _BETTER)


def _is_scene(moved: np.ndarray, stayed: np.ndarray, inside: np.ndarray) -> bool:
    """Whether cells that move are the scene, and those that stay (if any) are laid over it.

    The scene is a fair share of all that is explained and seen, and is spread over the picture
    as widely as what stays. A person or a car who fills half of the picture is compact.
    """
    rows, columns = (side // 2 for side in moved.shape)
    quadrants = [
        part.sum() >= max(2, moved.sum() / 16)
        for half in (moved[:rows], moved[rows:])
        for part in (half[:, :columns], half[:, columns:])
    ]
    if sum(quadrants) < 3 or moved.sum() < 0.15 * inside.sum():
        return False
    widest = max(0.6 * _hull(inside), 0.8 * _hull(stayed))
    return moved.sum() >= 0.25 * (moved | stayed).sum() and _hull(moved) >= widest


def _hull(cells: np.ndarray) -> float:
    """Area of the convex hull of cells, as share of the picture."""
    places = np.argwhere(cells).astype(np.int32)
    if len(places) < 3:
        return 0.0
    area = cv2.contourArea(cv2.convexHull(places))
    return area / ((cells.shape[0] - 1) * (cells.shape[1] - 1))


def _similarity(here: np.ndarray, there: np.ndarray, tolerance: float) -> np.ndarray | None:
    if len(here) < 6:
        return None
    fit, inliers = cv2.estimateAffinePartial2D(
        here, there, ransacReprojThreshold=tolerance, maxIters=300
    )
    if fit is None or inliers.sum() < 6 or not 0.7 < np.hypot(fit[0, 0], fit[1, 0]) < 1.4:
        return None
    return np.vstack([fit, [0, 0, 1]])


def _shift(way: np.ndarray) -> np.ndarray:
    pose = np.eye(3)
    pose[:2, 2] = way
    return pose


def _apply(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ pose[:2, :2].T + pose[:2, 2]


def _apart(one: np.ndarray, other: np.ndarray, shape: tuple[int, int]) -> float:
    """Largest distance, in pixels, between two poses of a corner of the frame."""
    corners = path.corners_of(shape)
    away = _apply(one, corners) - _apply(other, corners)
    return float(np.linalg.norm(away, axis=1).max())
