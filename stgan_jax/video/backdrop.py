"""The backdrop of a clip: the empty scene that is shown behind the anonymised people."""

import dataclasses
import os
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from stgan_jax.media import background, camera, containers, pictures
from stgan_jax.util.errors import InputError
from stgan_jax.video.people import anonymizing, masks, standing
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.source import ClipOptions, ClipSource

_STILL = 0.004  # camera motion, in frame diagonals, that the noise of a static camera may cause


class Entry(NamedTuple):
    """A frame, its number, and the empty scene in its light; None if that is unknown."""

    number: int
    frame: containers.Stamped
    empty: np.ndarray | None


@dataclasses.dataclass
class Backdrop:
    """The empty scene behind the people of a clip.

    It is a picture in changing light, or another clip's frames, or, if the camera moves, each
    frame itself with the people's masks filled from their surroundings.

    Attributes:
      scene: the picture and its thresholds, if any.
      fps: frames a second of the clip.
      clip: the clip that shows the empty scene, if any.
      unions: masks of the people in each frame, if the camera moves.
      standing: 1 where people may be in the picture itself, which is filled there.
      standing_found_by: "networks" or "hog", if people were looked for in the picture.
    """

    scene: background.EmptyScene | None
    fps: float
    clip: ClipSource | None = None
    unions: anonymizing.Unions | None = None
    standing: np.ndarray | None = None
    standing_found_by: str | None = None
    _filled: tuple[np.ndarray, np.ndarray] | None = None

    def entries(
        self, frames: Iterator[containers.Stamped], blanks: anonymizing.Blanks
    ) -> Iterator[Entry]:
        """Numbers the frames and adds the empty scene to each."""
        light = background.Light(self.scene.empty, self.fps) if self.scene else None
        others = self.clip.frames() if self.clip else None
        for number, frame in enumerate(frames):
            empty = None
            try:
                if others is not None:
                    empty = next(others).image
                elif light is not None:
                    empty = light.update(frame.image)
            except Exception as error:
                blanks.add(number, "background", error)
                empty = self.scene.empty if self.scene else None
            yield Entry(number, frame, empty)

    def canvas(self, entry: Entry) -> np.ndarray:
        """The frame without its people; black if the empty scene is unknown."""
        if entry.empty is not None:
            return self.vacated(entry.empty)
        union = self.unions[entry.number] if self.unions is not None else None
        image = entry.frame.image
        return np.zeros_like(image) if union is None else masks.fill(image, union)

    def vacated(self, empty: np.ndarray) -> np.ndarray:
        """A copy of an empty scene, without those who stand in it."""
        if self.standing is None:
            return empty.copy()
        if (last := self._filled) is None or last[0] is not empty:  # light changes seldom
            self._filled = last = (empty, masks.fill(empty, self.standing))
        return last[1].copy()


def inspect(
    source: ClipSource, options: ClipOptions, shelf: Shelf
) -> tuple[masks.Detector, Backdrop]:
    """Examines samples of a clip: how to detect people, and what is behind them.

    Raises:
      InputError: the camera moves and there are no masks, or masks, a segmenter or a background
        that cannot be used.
    """
    fps = float(source.info.fps)
    if options.masks:
        from_files = masks.FromFiles(options.masks)
        return from_files, _behind_masks(source, options, from_files, shelf)
    if options.segmenter:
        segmenter = masks.Segmenter(options.segmenter, options.segmenter_input)
        return segmenter, _behind_masks(source, options, segmenter, shelf)
    samples = source.samples()
    if camera.motion(samples).displacement > _STILL:
        raise InputError(
            f"{source.path}: the camera moves, and only static cameras are supported "
            "without masks: stabilise the video, cut out a part where the camera stands "
            "still, or add --masks or a --segmenter"
        )
    if options.background:
        picture = _from_path(options.background, source).scene
        if picture is None:
            raise InputError("--background takes a picture unless there are masks")
        noise = background.median_background(samples)[1]
        scene = background.EmptyScene(picture.empty, background.thresholds(noise))
        return masks.ByBackground(scene.threshold), Backdrop(scene, fps)
    scene = background.scene_behind(samples)
    backdrop = Backdrop(scene, fps)
    if options.standing == "cover":
        nets = standing.load(options.models) if options.people == "networks" else None
        if nets is None:
            backdrop.standing = standing.people_in(scene.empty)
        else:
            backdrop.standing = standing.people_standing(scene.empty, samples, nets)
        backdrop.standing_found_by = "hog" if nets is None else "networks"
    return masks.ByBackground(scene.threshold), backdrop


def _behind_masks(
    source: ClipSource, options: ClipOptions, detector: masks.Detector, shelf: Shelf
) -> Backdrop:
    """The backdrop where masks show who has to be removed from it."""
    if options.background:
        return _from_path(options.background, source)
    fps = float(source.info.fps)
    samples = source.numbered_samples()
    images = np.stack([image for _, image in samples])
    if camera.motion(images).displacement > _STILL:
        return Backdrop(None, fps, unions=anonymizing.Unions(shelf, source.shape))
    hidden = [_people(detector, number, image) for number, image in samples]
    empty = background.masked_median(images, np.stack(hidden))
    return Backdrop(background.EmptyScene(empty, np.zeros(source.shape, np.uint8)), fps)


def _people(detector: masks.Detector, number: int, image: np.ndarray) -> np.ndarray:
    """1 where people are in a sample, with a margin; everywhere if the detector fails."""
    try:
        mask = (detector(number, image, None) > 0).astype(np.uint8)
    except Exception:
        return np.ones(image.shape[:2], np.uint8)
    margin = max(3, image.shape[0] // 60 | 1)
    return cv2.dilate(mask, np.ones((margin, margin), np.uint8))


def _from_path(path: str | os.PathLike, source: ClipSource) -> Backdrop:
    """The backdrop from a picture, or from a video or folder with a picture for each frame."""
    fps, shape = float(source.info.fps), source.shape
    if os.path.isfile(path) and os.fspath(path).lower().endswith(pictures.SUFFIXES):
        empty = np.ascontiguousarray(pictures.read(path)[..., ::-1])
        if empty.shape[:2] != shape:
            empty = cv2.resize(empty, shape[::-1], interpolation=cv2.INTER_AREA)
        return Backdrop(background.EmptyScene(empty, np.zeros(shape, np.uint8)), fps)
    clip = ClipSource(path, source.cut)
    if clip.shape != shape:
        raise InputError(f"{path}: the background's frames are of another size")
    return Backdrop(None, fps, clip=clip)
