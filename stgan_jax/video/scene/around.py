"""What is behind people before a camera that moves, while only their boxes are known."""

import functools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.video.people import linking, networks, outlining, steady
from stgan_jax.video.scene import moving
from stgan_jax.video.source import ClipSource

Look = Callable[[], moving.View | None]  # computes what is behind a frame's people

_SIDE = 360  # pixels of the shorter side, at least, in which frames are told from the scene
_ABOUT = 0.15  # of the height: a margin around boxes that are all that is known


class Around:
    """What is behind people as far as their boxes tell who is where.

    Attributes:
      tracks: everybody's.
      camera: how it moves.
      restless: 1 where something moves all along; not known.
      scene: the one empty scene; there is none.
      judges: see `emptying.Emptied`; not if the camera travels: things that it passes at several
        depths only seem to move.
    """

    scene = None

    def __init__(
        self,
        source: ClipSource,
        camera: steady.Steady,
        tracks: list[linking.BoxTrack],
        nets: networks.Networks,
        beyond: int,
    ):
        """Takes the clip, its camera, people, networks, and `beyond` as in `emptying.empty`."""
        self.camera, self.tracks, self._nets = camera, tracks, nets
        self.restless = np.zeros(source.shape, np.uint8)
        self.judges = not camera.way.travels
        self._reaches = [track.reach(beyond, source.shape) for track in tracks]
        less = max(1, min(source.shape) // _SIDE)
        self._shape = round(source.shape[0] / less), round(source.shape[1] / less)

    def views(self, source: ClipSource) -> Iterator[tuple[int, np.ndarray, Look]]:
        """As `emptying.Emptied.views`, in fewer pixels; the scene is None where that fails."""
        around = moving.Surroundings(
            functools.partial(self.camera.kept.read, frames=source.frames),
            float(source.info.fps),
            self.camera.way,
            source.most,
            self._hidden,
            shape=self._shape,
        )
        for number, frame, look in around.looks(source.frames()):
            yield number, frame.image, functools.partial(self._look, number, look)

    def _look(self, number: int, look: Look) -> moving.View | None:
        view = look()
        if view is None:  # the frame itself shows whether somebody is there
            return None
        return view._replace(unknown=view.unknown & self._hidden(number, None))

    def _hidden(self, number: int, image: np.ndarray | None) -> UInt8[np.ndarray, "H W"]:
        """1 where anybody may be in a frame; about where, in fewer pixels, without its picture."""
        shape = self._shape if image is None else self.restless.shape
        mask, less = np.zeros(shape, np.uint8), shape[0] / self.restless.shape[0]
        for track, reach in zip(self.tracks, self._reaches, strict=True):
            if number in reach:
                box = track.at(np.array([number]))[0]
                if image is None:
                    margin = _ABOUT * (box[2] - box[0]) * np.array([-1, -1, 1, 1])
                    top, left, bottom, right = np.maximum(
                        np.round(less * (box + margin)), 0
                    ).astype(int)
                    mask[top:bottom, left:right] = 1
                else:
                    with self._nets.outliner() as outliner:
                        mask |= _hull(outlining.possible(image, box, outliner, both=False)[0])
        return mask


def _hull(mask: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """A mask (0/1) without notches: an outline may lack a bag, which would be in the scene then."""
    points = cv2.findNonZero(mask)
    return mask if points is None else cv2.fillConvexPoly(mask, cv2.convexHull(points), 1)
