"""Where people would be in the picture if its camera stood: sizes and places without its motion.

A box (top, left, bottom, right) keeps its sides upright, so the camera's motion is a factor and a
shift here. About the middle of the picture these are the same for everybody, which is enough to
follow people. Where somebody walks, they are followed along the way from frame to frame, so that
feet that stand do not move, also at the side of a picture that turns.
"""

import functools

import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan_jax.media import path
from stgan_jax.video.scene import kept

Boxes = Float[np.ndarray, "_ 4"] | Int[np.ndarray, "_ 4"]
# Factor and shift of one frame or of each box's, from `Steady`; None: the camera stands.
Views = Float[np.ndarray, "_ 3"] | None


class Steady:
    """Factor and shift of every frame, found while the camera is followed.

    Attributes:
      kept: some of the frames.
    """

    def __init__(self, shape: tuple[int, int], fps: float, most: int):
        """Takes the frames' (height, width), frames a second, and how many are kept at most."""
        self.kept = kept.Kept(fps, most)
        self._middle = np.array(shape) / 2
        self._views: list[np.ndarray] = []  # factor, and shift of rows and columns
        self._finder = path.PathFinder()

    def add(self, image: UInt8[np.ndarray, "H W 3"], boxes: Float[np.ndarray, "N 4"]) -> None:
        """Takes the next frame, and about where people are in it."""
        self.kept.add(image)
        self._finder.add(image, boxes)
        before = self._views[-1] if self._views else np.array([1.0, 0.0, 0.0])
        self._views.append(_after(before, _near(self._finder.step(), self._middle)))

    @functools.cached_property
    def way(self) -> path.CameraPath:
        """The camera's, after the last frame."""
        return self._finder.path()

    @property
    def verdict(self) -> str:
        """What the report calls the motion: "turns" if homographies explain it, or "travels"."""
        return "travels" if self.way.travels else "turns"

    def at(self, numbers: Int[np.ndarray, "T"]) -> Float[np.ndarray, "T 3"]:
        """Factor and shift of frames; beyond the clip, of the nearest one."""
        return np.stack(self._views)[np.clip(numbers, 0, len(self._views) - 1)]

    def along(self, numbers: Int[np.ndarray, "T"], boxes: Boxes) -> Float[np.ndarray, "T 3"]:
        """Factor and shift of frames where somebody stands, who is in these boxes."""
        views, way = self.at(numbers), self.way
        for i in range(1, len(numbers)):
            one, other = int(numbers[i]), int(numbers[i - 1])
            if way.shots[one] == way.shots[other]:
                foot = np.array([boxes[i, 2], (boxes[i, 1] + boxes[i, 3]) / 2])
                near = _near(way.between(one, other), foot)
                near[1:] += (one - other) * way.off(one, foot[::-1])[::-1]
                views[i] = _after(views[i - 1], near)
        return views


def views(table: Int[np.ndarray, "T 12"], camera: Steady | None) -> Views:
    """How the camera saw each sighting of somebody, see `Steady.along`; None if it stood.

    Args:
      table: see `Sightings.table`.
      camera: how it moves.
    """
    return None if camera is None else camera.along(table[:, 0], table[:, 1:5])


def to(views: Views, boxes: Boxes) -> Boxes:
    """Boxes in frames as they would be if the camera stood. As they are if there is no view."""
    return boxes if views is None else boxes * views[:, :1] + np.tile(views[:, 1:], 2)


def back(views: Views, boxes: Boxes) -> Boxes:
    """The inverse of `to`."""
    return boxes if views is None else (boxes - np.tile(views[:, 1:], 2)) / views[:, :1]


def squares(views: Views, places: Int[np.ndarray, "T 3"]) -> Int[np.ndarray, "T 3"]:
    """`back` for squares (top, left, side) in whole pixels."""
    if views is None:
        return places
    corners = (places[:, :2] - views[:, 1:]) / views[:, :1]
    return np.rint(np.concatenate([corners, places[:, 2:] / views[:, :1]], 1)).astype(np.int64)


def places(views: Views, there: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    """`back` for places on the ground and heights (row, col, height)."""
    if views is None:
        return there
    shift = np.pad(views[:, 1:], ((0, 0), (0, 1)))
    return (there - shift) / views[:, :1]


def _near(pose: path.Homography, place: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3"]:
    """What a homography of pixels (x, y) does about a place (row, col): factor and shift."""
    around = place[::-1] + np.array([[0, 0], [1, 0], [0, 1]])
    here, right, down = path.moved(pose, around)
    factor = np.sqrt(abs(np.linalg.det(np.stack([right - here, down - here]))))
    return np.array([factor, *(here[::-1] - factor * place)])


def _after(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """`first` of what `then` gives."""
    return np.array([first[0] * then[0], *(first[0] * then[1:] + first[1:])])
