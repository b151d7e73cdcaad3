"""The backdrop of a clip: what is shown behind the anonymised people."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from stgan_jax.media import background, camera, containers, pictures
from stgan_jax.util.errors import InputError
from stgan_jax.video import decisions
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import masks, steady
from stgan_jax.video.people.shelf import Shelf, Unions
from stgan_jax.video.scene import fill, moving
from stgan_jax.video.source import ClipOptions, ClipSource

_STILL = 0.012  # of the diagonal: a camera that moves less stands still, as on a bent tripod
_RING = 4  # pixels around a region that is never shown, which give it its colour
_SOFT = 5  # pixels over which the scene passes into the frame


class Entry(NamedTuple):
    """A frame, its number, and the empty scene in its light; None if that is unknown."""

    number: int
    frame: containers.Stamped
    empty: np.ndarray | None


@dataclasses.dataclass
class Backdrop:
    """What is behind the people of a clip.

    The empty scene is a picture in changing light, or another clip's frames. It is shown where
    people are hidden, or everywhere if nobody knows where that is. If the camera moves, each frame
    has its own, from those around it.

    Attributes:
      scene: the picture and its thresholds, if any.
      fps: frames a second of the clip.
      clip: the clip that shows the empty scene, if any.
      hidden: where people are hidden in each frame; None for everywhere.
      around: the empty scenes of a camera that moves, if any.
      measured: the scene by which light is measured, if it is not `scene`.
      as_is: where each frame is shown as it is, by a person's decision, if anywhere.
      curtains: regions that are never shown, by a person's decision.
    """

    scene: background.EmptyScene | None
    fps: float
    clip: ClipSource | None = None
    hidden: Unions | None = None
    around: moving.Surroundings | None = None
    measured: background.EmptyScene | None = None
    as_is: Unions | None = None
    curtains: Sequence[decisions.Curtain] = ()

    def entries(self, frames: Iterator[containers.Stamped], blanks: Blanks) -> Iterator[Entry]:
        """Numbers the frames and adds the empty scene to each."""
        if self.around is not None:
            for number, frame, view in self.around.views(frames):
                if view is None:
                    blanks.add(number, "background", ValueError())
                yield Entry(number, frame, None if view is None else view.scene.empty)
            return
        light = None
        if self.scene is not None:
            measured = (self.measured or self.scene).empty
            light = background.Light(measured, self.fps, self.scene.empty)
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
        """The frame without its people; black if nobody knows how it looks."""
        hide = None if self.hidden is None else self.hidden[entry.number]
        image = entry.frame.image
        if entry.empty is None:
            out = np.zeros_like(image) if hide is None else masks.fill(image, hide)
        else:
            out = entry.empty.copy() if hide is None else blended(image, entry.empty, hide)
        as_is = None if self.as_is is None else self.as_is[entry.number]
        if as_is is not None and as_is.any():
            out = np.where(as_is[..., None] > 0, image, out)
        return out

    def curtained(self, number: int, image: np.ndarray) -> np.ndarray:
        """A finished frame whose regions that are never shown have one colour: what is around."""
        curtains = [one for one in self.curtains if one.first <= number <= one.last]
        if not curtains:
            return image
        image = image.copy()
        for curtain in curtains:
            left, top, right, bottom = curtain.box
            rows = slice(max(top - _RING, 0), bottom + _RING)
            around = image[rows, max(left - _RING, 0) : right + _RING].astype(np.float64)
            inside = image[top:bottom, left:right]
            pixels = max(around.size // 3 - inside.size // 3, 1)
            ring = around.sum((0, 1)) - inside.astype(np.float64).sum((0, 1))
            inside[:] = np.rint(ring / pixels).astype(np.uint8)
        return image


def blended(frame: np.ndarray, empty: np.ndarray, hide: np.ndarray) -> np.ndarray:
    """The frame, with the empty scene where somebody is hidden (1) and a soft seam around that."""
    out = frame.copy()
    left, top, width, height = cv2.boundingRect(hide)
    if not width:
        return out
    bottom, right = top + height + _SOFT, left + width + _SOFT
    window = np.s_[max(top - _SOFT, 0) : bottom, max(left - _SOFT, 0) : right]
    wide = cv2.dilate(hide[window], np.ones((_SOFT, _SOFT), np.uint8))
    share = np.maximum(cv2.blur(wide.astype(np.float32), (_SOFT, _SOFT)), hide[window])[..., None]
    part = frame[window].astype(np.float32)
    out[window] = np.rint(part + share * (empty[window] - part)).astype(np.uint8)
    return out


def moves(samples: np.ndarray) -> bool:
    """Whether the camera moves."""
    return camera.motion(samples).displacement > _STILL


def check_moving(source: ClipSource, options: ClipOptions) -> None:
    """Raises `InputError` for what needs a camera that stands."""
    if options.background:
        raise InputError(f"{source.path}: the camera moves, so no --background fits all frames")
    if options.things == "remove":
        raise InputError(
            f"{source.path}: the camera moves, so what is behind things is not known everywhere: "
            "leave --things=remove out"
        )


def behind_moving(source: ClipSource, view: steady.Steady, hidden: Unions) -> Backdrop:
    """The backdrop of a clip whose camera moves, in which people are hidden."""
    fps = float(source.info.fps)

    def known(number: int, image: np.ndarray | None) -> np.ndarray | None:
        return hidden[number]

    keys = functools.partial(view.kept.read, frames=source.frames)
    around = moving.Surroundings(keys, fps, view.way, source.most, known, hidden)
    return Backdrop(None, fps, hidden=hidden, around=around)


def without_networks(source: ClipSource, options: ClipOptions) -> Backdrop:
    """The backdrop from samples of a clip from a static camera.

    Raises:
      InputError: the camera moves, or a background that cannot be used.
    """
    samples = source.samples()
    if moves(samples):
        raise InputError(
            f"{source.path}: the camera moves, and people are found before it by networks alone, "
            "or by --masks or a --segmenter"
        )
    scene = given_scene(source, options, samples) or background.scene_behind(samples)
    return Backdrop(scene, float(source.info.fps))


def given_scene(
    source: ClipSource, options: ClipOptions, samples: np.ndarray
) -> background.EmptyScene | None:
    """The picture of --background with the noise of the samples; None if there is none.

    Raises:
      InputError: it cannot be used.
    """
    if not options.background:
        return None
    picture = _from_path(options.background, source).scene
    if picture is None:
        raise InputError("--background takes a picture unless there are masks")
    noise = background.median_background(samples)[1]
    return background.EmptyScene(picture.empty, background.thresholds(noise))


def behind_masks(
    source: ClipSource, options: ClipOptions, detector: masks.Detector, shelf: Shelf
) -> Backdrop:
    """The backdrop where masks show who has to be removed from it.

    Raises:
      InputError: a background that cannot be used.
    """
    if options.background:
        return _from_path(options.background, source)
    fps = float(source.info.fps)
    samples = source.numbered_samples()
    images = np.stack([image for _, image in samples])
    if moves(images):  # see `behind_moving`, once it is known how
        source.moves = True
        return Backdrop(None, fps, hidden=Unions(shelf, source.shape))
    hidden = np.stack([_people(detector, number, image) for number, image in samples])
    unknown = np.asarray(hidden.all(0)).astype(np.uint8)
    empty = fill.fill(background.masked_median(images, hidden), unknown)
    return Backdrop(background.EmptyScene(empty, np.zeros(source.shape, np.uint8)), fps)


def _people(detector: masks.Detector, number: int, image: np.ndarray) -> np.ndarray:
    """1 where people are in a sample, with a margin; everywhere if the detector fails."""
    try:
        return masks.widened(detector(number, image, None))
    except Exception:
        return np.ones(image.shape[:2], np.uint8)


def _from_path(path: str | os.PathLike, source: ClipSource) -> Backdrop:
    """The backdrop from a picture, or from a video or folder with a picture for each frame."""
    fps, shape = float(source.info.fps), source.shape
    if os.path.isfile(path) and os.fspath(path).lower().endswith(pictures.SUFFIXES):
        empty = np.ascontiguousarray(np.rot90(pictures.read(path)[..., ::-1], source.turns))
        if empty.shape[:2] != shape:
            empty = cv2.resize(empty, shape[::-1], interpolation=cv2.INTER_AREA)
        return Backdrop(background.EmptyScene(empty, np.zeros(shape, np.uint8)), fps)
    clip = ClipSource(path, source.cut)
    if clip.shape != shape:
        raise InputError(f"{path}: the background's frames are of another size")
    return Backdrop(None, fps, clip=clip)
