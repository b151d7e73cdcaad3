"""Finding: who is where in a clip from a static camera, by networks, and the scene without them.

Two passes over the clip, in little memory. The first detects people in some frames and links them;
from a few frames in which these are outlined comes the empty scene. The second outlines everybody
in every frame, and follows what else moves: what moves like a person and is claimed by no network
is covered.
"""

import array
import contextlib
import dataclasses
import os
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.media import background, containers, segmentation, threads
from stgan_jax.util.errors import InputError
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import linking, masks, models, networks, outlining, tracking
from stgan_jax.video.people.shelf import Shelf, Slip, Unions
from stgan_jax.video.people.sightings import Sightings, Subject
from stgan_jax.video.source import ClipSource

UNCLAIMED = "moves like a person, but is not recognised as one"

_WORKERS = 2
# Sides of the detector's input: for large people, and for small ones if these find somebody more.
_SIDES, _MORE = (256, 416), (640, 960)
_ENLARGED, _TRIED = 2, 8  # a frame is not enlarged by more; frames in which that is found out
_RATE = 5.0  # detections a second
_WEAK = 0.2  # least score of a box that continues a track
_BEYOND = 0.8  # seconds for which somebody is looked for before and after being detected
_SURE = 0.5  # score from which one detection is enough to look for an outline
_SAMPLES = 40  # frames from which the empty scene is computed
# What moves like a person: for how many seconds, how far (in heights), how slender.
_LOWEST = 24  # pixels
_LASTS, _GOES, _SLENDER = 0.4, 0.5, (1.2, 6.0)

Progress = Callable[[str], Any]  # what is done -> a context with `update()`, see tqdm


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in a clip.

    Attributes:
      subjects: everybody.
      hidden: for each frame, where people are hidden.
      scene: the scene without them.
      stamps: when each frame is shown, in ticks.
    """

    subjects: list[Subject]
    hidden: Unions
    scene: background.EmptyScene
    stamps: Sequence[int]


class Networks:
    """Detectors and outliners, one for each thread that asks."""

    def __init__(self, folder, workers: int = _WORKERS):
        """Reads the networks from a folder, see `models.fetched`."""
        self._detectors: queue.Queue[networks.Detector] = queue.Queue()
        self._outliners: queue.Queue[networks.Outliner] = queue.Queue()
        for _ in range(workers):
            self._detectors.put(networks.Detector(folder, _WEAK))
            self._outliners.put(networks.Outliner(folder))

    def detector(self) -> contextlib.AbstractContextManager[networks.Detector]:
        """A detector for as long as the context lasts."""
        return _borrowed(self._detectors)

    def outliner(self) -> contextlib.AbstractContextManager[networks.Outliner]:
        """An outliner for as long as the context lasts."""
        return _borrowed(self._outliners)


@contextlib.contextmanager
def _borrowed(pool: queue.Queue) -> Iterator[Any]:
    item = pool.get()
    try:
        yield item
    finally:
        pool.put(item)


_refused: set[str] = set()  # sentences that this process has printed


def load(folder: str | os.PathLike | None = None) -> Networks | None:
    """The networks; None where they cannot be fetched, with a sentence to stderr, once.

    Args:
      folder: see `models.fetched`.

    Raises:
      InputError: a folder is named, and lacks a network or holds a damaged one.
    """
    if folder is None and _refused:
        return None
    try:
        return Networks(models.fetched(folder))
    except InputError as error:
        if folder is not None:
            raise
        _refused.add(str(error))
        print(
            f"people are found by difference from the empty scene, without networks: {error}",
            file=sys.stderr,
        )
        return None


def find(
    source: ClipSource,
    nets: Networks,
    shelf: Shelf,
    blanks: Blanks,
    progress: Progress,
    scene: background.EmptyScene | None = None,
) -> Found:
    """Finds everybody in a clip, and the scene without them.

    Args:
      source: the clip; its camera stands still.
      nets: the networks.
      shelf: where silhouettes are stored.
      blanks: receives the frames at which something fails.
      progress: reports what is done.
      scene: the empty scene, if it is known.
    """
    cores = cv2.getNumThreads()
    cv2.setNumThreads(1)  # each of our threads computes with one
    try:
        first = _Detecting(source, nets, blanks)
        with progress("finding people") as bar:
            samples = background.spread(first.run(bar.update), min(source.most, _SAMPLES))
        tracks = [track for track in first.linker.tracks if _is_likely(track)]
        beyond = max(1, round(_BEYOND * float(source.info.fps)))
        unknown = np.zeros(source.shape, np.uint8)
        if scene is None:
            emptying = _Emptying(tracks, nets, shelf, len(first.stamps), beyond)
            scene, unknown = emptying.run(samples)
            tracks = emptying.tracks
        second = _Outlining(source, nets, blanks, shelf, tracks, beyond, scene, unknown)
        with progress("outlining people") as bar:
            subjects = second.run(bar.update)
        return Found(subjects, second.hidden, scene, first.stamps)
    finally:
        cv2.setNumThreads(cores)


class _Detecting:
    """The first pass."""

    def __init__(self, source: ClipSource, nets: Networks, blanks: Blanks):
        self._source, self._nets, self._blanks = source, nets, blanks
        fps = float(source.info.fps)
        self._every = max(1, round(fps / _RATE))
        self._sides = _sides(source, nets)
        self.linker = linking.Linker(fps)
        self.stamps = array.array("q")

    def run(self, update: Callable[[], Any]) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers and pictures of all frames, while their people are linked."""
        frames = threads.ahead(enumerate(self._source.frames()), self._source.depth)
        for number, frame, found in threads.mapped(self._detect, frames, _WORKERS):
            update()
            self.stamps.append(frame.pts)
            if found is not None:
                self.linker.update(number, *found)
            yield number, frame.image

    def _detect(self, item: tuple[int, containers.Stamped]) -> tuple:
        number, frame = item
        if number % self._every:
            return number, frame, None
        try:
            with self._nets.detector() as detector:
                boxes, scores = detector(frame.image, self._sides)
            boxes = boxes.astype(np.float64)
            return number, frame, (boxes, scores, linking.looks(frame.image, boxes))
        except Exception as error:
            self._blanks.add(number, "detection", error)
            return number, frame, None


def _sides(source: ClipSource, nets: Networks) -> list[int]:
    """Which sides of the input find people in a few frames of the clip."""
    sides = list(_SIDES)
    frames = source.samples()
    frames = frames[np.linspace(0, len(frames) - 1, min(_TRIED, len(frames))).round().astype(int)]
    with nets.detector() as detector:
        known = [detector(frame, sides)[0] for frame in frames]
        for side in _MORE:
            if side > _ENLARGED * max(source.shape):
                break
            more = [detector(frame, (side,)) for frame in frames]
            new = sum(
                int((scores[linking.overlap(boxes, old).max(1, initial=0) < 0.3] >= _SURE).sum())
                for (boxes, scores), old in zip(more, known, strict=True)
            )
            if new:
                sides.append(side)
    return sides


def _is_likely(track: linking.BoxTrack) -> bool:
    """Whether a track is more than a single false alarm."""
    return len(track.frames) > 1 or track.scores[0] >= _SURE


class _Emptying:
    """The scene without people, from samples.

    Attributes:
      tracks: the tracks that are somebody's. Who is recognised in the scene itself, since they
        stand there and are found in few of the frames, is among them, throughout.
    """

    def __init__(
        self,
        tracks: list[linking.BoxTrack],
        nets: Networks,
        shelf: Shelf,
        frames: int,
        beyond: int,
    ):
        self.tracks = tracks
        self._nets, self._shelf, self._frames, self._beyond = nets, shelf, frames, beyond

    def run(
        self, samples: list[tuple[int, np.ndarray]]
    ) -> tuple[background.EmptyScene, UInt8[np.ndarray, "H W"]]:
        """The scene, and 1 where it is not known, since somebody is always there."""
        images = np.stack([image for _, image in samples])
        self._shape = images.shape[1:3]
        for last in (False, True):
            outlined = list(threads.mapped(self._outline, samples, _WORKERS))
            real = self._real([presences for presences, _ in outlined])
            hidden = np.stack([self._union(slips, real) for _, slips in outlined])
            scene, unknown = background.scene_without(images.copy(), hidden)
            scene = dataclasses.replace(scene, empty=masks.fill(scene.empty, unknown))
            more = [] if last else self._standing(scene.empty)
            self.tracks = [track for n, track in enumerate(self.tracks) if n in real] + more
            if not more:
                break
        return scene, unknown

    def _outline(self, item: tuple[int, np.ndarray]) -> tuple[dict[int, float], dict[int, Slip]]:
        number, image = item
        presences, slips = {}, {}
        for n, track in enumerate(self.tracks):
            if _near(track, number, self._beyond):
                box = track.at(np.array([number]))[0]
                with self._nets.outliner() as outliner:
                    mask, presences[n] = outlining.possible(image, box, outliner)
                slips[n] = self._shelf.put(mask)
        return presences, slips

    def _real(self, presences: list[dict[int, float]]) -> set[int]:
        """Who is no false alarm: outlined in some sample, or moving, or of a high score."""
        present = {
            n for sample in presences for n, value in sample.items() if value >= outlining.PRESENT
        }
        for n, track in enumerate(self.tracks):
            boxes = np.stack(track.boxes)
            goes = np.linalg.norm(np.ptp((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0))
            moves = goes >= _GOES * np.median(boxes[:, 2] - boxes[:, 0])
            if moves or np.median(track.scores) >= _SURE:
                present.add(n)
        return present

    def _union(self, slips: dict[int, Slip], real: set[int]) -> UInt8[np.ndarray, "H W"]:
        mask = np.zeros(self._shape, np.uint8)
        for n, slip in slips.items():
            if n in real:
                mask |= self._shelf.get(slip, self._shape)
        return mask

    def _standing(self, empty: UInt8[np.ndarray, "H W 3"]) -> list[linking.BoxTrack]:
        """Tracks of those who are recognised in the scene."""
        with self._nets.detector() as detector:
            boxes, scores = detector(empty, (*_SIDES, *_MORE))
        with self._nets.outliner() as outliner:
            outlines = outliner(empty, boxes)
        looks = linking.looks(empty, boxes.astype(np.float64))
        tracks = []
        for n, box in enumerate(boxes.astype(np.float64)):
            if scores[n] >= linking.CERTAIN and outlines[n].presence >= outlining.PRESENT:
                tracks.append(linking.BoxTrack(0, box, float(scores[n]), looks[n]))
                tracks[-1].add(max(self._frames - 1, 1), box, float(scores[n]), looks[n])
        return tracks


def _near(track: linking.BoxTrack, number: int, beyond: int) -> bool:
    return track.frames[0] - beyond <= number <= track.frames[-1] + beyond


class _Outlining:
    """The second pass."""

    def __init__(
        self,
        source: ClipSource,
        nets: Networks,
        blanks: Blanks,
        shelf: Shelf,
        tracks: list[linking.BoxTrack],
        beyond: int,
        scene: background.EmptyScene,
        unknown: UInt8[np.ndarray, "H W"],
    ):
        self._source, self._nets, self._blanks, self._scene = source, nets, blanks, scene
        self._tracks, self._shelf, self._beyond, self._unknown = tracks, shelf, beyond, unknown
        self._fps = float(source.info.fps)
        self._paths = [
            track.at(np.arange(track.frames[0] - self._beyond, track.frames[-1] + self._beyond + 1))
            for track in tracks
        ]
        self.hidden = Unions(shelf, source.shape)

    def run(self, update: Callable[[], Any]) -> list[Subject]:
        """Outlines everybody in every frame."""
        light = background.Light(self._scene.empty, self._fps)
        everybody = [Sightings(self._shelf) for _ in self._tracks]
        others = tracking.Tracker(self._source.shape, shelf=self._shelf)

        def lit() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            for number, frame in enumerate(self._source.frames()):
                yield number, frame.image, light.update(frame.image)

        frames = threads.ahead(lit(), self._source.depth)
        for number, who, people, hide, rest in threads.mapped(self._outline, frames, _WORKERS):
            update()
            self.hidden.add(hide)
            for n, person in zip(who, people, strict=True):
                if person is not None:
                    everybody[n].add(number, person.region, person.joints, person.clear)
            if rest is not None:
                others.update(number, rest)
        subjects = [Subject(sightings) for sightings in everybody if len(sightings)]
        strangers = [track.sightings for track in others.tracks]
        return subjects + [Subject(s, UNCLAIMED) for s in strangers if _walks(s, self._fps)]

    def _outline(self, item: tuple[int, np.ndarray, np.ndarray]) -> tuple:
        number, image, empty = item
        try:
            moving = segmentation.foreground(image, empty, self._scene.threshold)
            who, boxes = self._boxes(number)
            with self._nets.outliner() as outliner:
                people = outlining.outlined(image, boxes, outliner, moving | self._unknown)
            changed = segmentation.difference(image, empty, self._scene.threshold)
            hide = outlining.hidden(people, changed) | self._unknown
            return number, who, people, hide, moving & ~hide & 1
        except Exception as error:
            self._blanks.add(number, "outlining", error)
            return number, [], [], None, None

    def _boxes(self, number: int) -> tuple[list[int], Float[np.ndarray, "N 4"]]:
        """Whose tracks are in a frame, and their boxes."""
        size = np.array(self._source.shape)
        who, boxes = [], []
        for n, track in enumerate(self._tracks):
            if _near(track, number, self._beyond):
                box = self._paths[n][number - track.frames[0] + self._beyond]
                inside = np.minimum(box[2:], size) - np.maximum(box[:2], 0)
                if inside.min() > 0:
                    who.append(n)
                    boxes.append(box)
        return who, np.array(boxes).reshape(-1, 4)


def _walks(sightings: Sightings, fps: float) -> bool:
    """Whether something moves like a person: upright, for a while, from place to place."""
    table = sightings.table()
    boxes = table[:, 1:5].astype(np.float64)
    heights, widths = (boxes[:, 2:] - boxes[:, :2]).T
    height = float(np.median(heights))
    slender = _SLENDER[0] <= float(np.median(heights / widths)) <= _SLENDER[1]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    goes = float(np.linalg.norm(np.ptp(middles, axis=0)))
    lasts = table[-1, 0] - table[0, 0] + 1 >= _LASTS * fps
    return height >= _LOWEST and slender and lasts and goes >= _GOES * height
