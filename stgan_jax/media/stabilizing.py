"""Steadies a camera that shakes: frames are moved to the mean view of the frames around them.

By Matsushita and others (2006), "Full-frame video stabilization with motion inpainting", without
the inpainting: what a frame lacks at its edges is cut off, by enlarging all frames alike.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import path

_NEAR = 0.5  # seconds, the deviation of the weights of the frames around one
_MOST = 1.2  # largest enlargement; frames that need more are steadied less


class Stabilizer:
    """Steadies the frames of a clip.

    Attributes:
      zoom: how much they are enlarged, 1 to 1.2.
    """

    def __init__(self, way: path.CameraPath, fps: float):
        """Takes the camera's way and the clip's frames a second."""
        self._shape = way.shape
        steady = [_mean_view(way, number, _NEAR * fps) for number in range(len(way.shots))]
        shares = np.array([_share(move, way.shape) for move in steady])
        reach = round(_NEAR * fps)
        least = [shares[max(t - reach, 0) : t + reach + 1].min() for t in range(len(shares))]
        weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / max(reach / 2, 1)))
        padded = np.pad(least, reach, mode="edge")
        smooth = np.convolve(padded, weights / weights.sum(), "valid")
        self._moves = [_part(move, s) for move, s in zip(steady, smooth, strict=True)]
        self.zoom = max(_needed(move, way.shape) for move in self._moves)

    def __call__(
        self, number: int, image: UInt8[np.ndarray, "H W 3"]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """A frame from a steadier camera."""
        move = _enlarged(self._shape, self.zoom) @ self._moves[number]
        return np.asarray(
            cv2.warpPerspective(
                image,
                move,
                self._shape[::-1],
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )


def _mean_view(way: path.CameraPath, number: int, deviation: float) -> path.Homography:
    """The homography from a frame to the mean of the frames of its shot around it.

    As many before as after, so that a camera that turns evenly turns as before.
    """
    same = np.flatnonzero(way.shots == way.shots[number])
    reach = min(int(3 * deviation), number - same[0], same[-1] - number)
    total = np.zeros((3, 3))
    for other in range(number - reach, number + reach + 1):
        move = way.between(number, other)
        total += np.exp(-0.5 * ((other - number) / deviation) ** 2) * move / move[2, 2]
    return total / total[2, 2]


def _enlarged(shape: tuple[int, int], zoom: float) -> path.Homography:
    x, y = shape[1] / 2, shape[0] / 2
    return np.array([[zoom, 0, x * (1 - zoom)], [0, zoom, y * (1 - zoom)], [0, 0, 1]])


def _part(move: path.Homography, share: float) -> path.Homography:
    return share * move + (1 - share) * np.eye(3)


def _needed(move: path.Homography, shape: tuple[int, int]) -> float:
    """The enlargement at which a moved frame fills the picture, 1 to `_MOST` and a little more."""
    corners = path.corners_of(shape)
    middle = np.array(shape[::-1]) / 2
    low, high = 1.0, 1.001 * _MOST
    for _ in range(12):
        zoom = (low + high) / 2
        source = path.moved(np.linalg.inv(move), middle + (corners - middle) / zoom)
        if np.all((source >= 0) & (source <= shape[::-1])):
            high = zoom
        else:
            low = zoom
    return high


def _share(move: path.Homography, shape: tuple[int, int]) -> float:
    """How much of a motion an enlargement of `_MOST` allows for, 0 to 1."""
    low, high = 0.0, 1.0
    if _needed(move, shape) <= _MOST:
        return 1.0
    for _ in range(12):
        share = (low + high) / 2
        low, high = (share, high) if _needed(_part(move, share), shape) <= _MOST else (low, share)
    return low
