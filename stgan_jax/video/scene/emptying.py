"""The empty scene of a clip in which networks found people, and who of these is somebody."""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, path, segmentation, threads
from stgan_jax.video.people import linking, masks, networks, outlining, steady
from stgan_jax.video.people.shelf import Shelf, Slip
from stgan_jax.video.scene import around, fill, moving, stirring
from stgan_jax.video.source import ClipSource

_ALONG = 0.8  # share of the clip in which somebody is who is there all along
_GOES = 0.5  # of the height: who goes farther moves
_OUTLINED = 0.3  # share of samples with a clear outline that makes somebody certain
_OUTLINED_WELL = 0.8  # presence, in two crops, of somebody who is found in the scene alone
_SAME = 0.3  # overlap from which who is found in the scene is a picture that is known
_ALIKE, _FITTING = 0.7, 0.6  # overlap of two outlines, and of one and a box, that are one person's
_MOSTLY = 0.6  # share of somebody's outlines that are another's, from which they are the other
_TURNS = 5  # how often a restless place changes between differing from the scene and not,
_RESTLESS = 0.2  # and that as a share of the samples; it must exceed both
_LONG = 6  # times the frames for which people are looked for beyond, that a clip lasts at least
_STIRS = 0.002  # share of somebody's pixels that change at least; 0.02 to 0.25 in people
_SEEN = 60  # height in pixels from which that can be seen
_OFF = 0.5  # pixels of the picture in which a camera is followed: so far places may be off
_OFTEN = 80  # times as far as that: height from which it can be seen all the same
_RIM = 3  # pixels hidden around what moves
_BORDER = 15  # pixels of an outline's border that may show the scene


class _Sample(NamedTuple):
    """A frame from which the empty scene is computed, and who may be where in it, by index."""

    number: int
    image: UInt8[np.ndarray, "H W 3"]
    slips: dict[int, Slip]
    presences: dict[int, float]

    def has(self, n: int) -> bool:
        """Whether somebody is outlined in it."""
        return self.presences.get(n, 0.0) >= outlining.PRESENT


class Emptied(NamedTuple):
    """The scene without people.

    Attributes:
      scene: the scene.
      unknown: 1 where it is not known, since somebody is always there; filled from around.
      restless: 1 where something moves all along, as leaves do.
      tracks: those that are somebody's. Who is recognised in the scene itself, since they stand
        there and are found in few of the frames, is among them, throughout.
    """

    scene: background.EmptyScene
    unknown: UInt8[np.ndarray, "H W"]
    restless: UInt8[np.ndarray, "H W"]
    tracks: list[linking.BoxTrack]

    @property
    def judges(self) -> bool:
        """Whether it is known what moves besides people."""
        return True

    @property
    def camera(self) -> steady.Steady | None:
        """How the camera moves; it does not."""
        return None

    def views(self, source: ClipSource) -> Iterator[tuple[int, np.ndarray, around.Look]]:
        """Number and picture of each frame of the clip, and what computes its empty scene."""
        light = background.Light(self.scene.empty, float(source.info.fps))
        for number, frame in enumerate(source.frames()):
            scene = dataclasses.replace(self.scene, empty=light.update(frame.image))
            view = functools.partial(moving.View, scene, self.unknown, self.unknown)
            yield number, frame.image, view


def empty(
    samples: list[tuple[int, np.ndarray]],
    tracks: list[linking.BoxTrack],
    nets: networks.Networks,
    shelf: Shelf,
    frames: int,
    beyond: int,
) -> Emptied:
    """The scene without people.

    Args:
      samples: frames from all over the clip, with their numbers.
      tracks: people's boxes.
      nets: the networks.
      shelf: where masks are stored.
      frames: number of frames of the clip.
      beyond: number of frames for which people are looked for before and after being detected.
    """
    return _Emptying(tracks, nets, shelf, frames, beyond).run(samples)


def somebody(
    samples: list[tuple[int, np.ndarray]],
    tracks: list[linking.BoxTrack],
    nets: networks.Networks,
    shelf: Shelf,
    camera: steady.Steady,
    beyond: int,
) -> list[linking.BoxTrack]:
    """The tracks that are somebody's, where there is no one empty scene, as the camera moves.

    Arguments as in `empty`, and the camera, after the last frame.
    """
    return _Emptying(tracks, nets, shelf, len(camera.way.shots), beyond, camera).somebody(samples)


class _Emptying:
    def __init__(
        self,
        tracks: list[linking.BoxTrack],
        nets: networks.Networks,
        shelf: Shelf,
        frames: int,
        beyond: int,
        camera: steady.Steady | None = None,
    ):
        self.tracks, self._camera = tracks, camera
        self._nets, self._shelf, self._frames, self._beyond = nets, shelf, frames, beyond

    def run(self, samples: list[tuple[int, np.ndarray]]) -> Emptied:
        images = np.stack([image for _, image in samples])
        self._shape = images.shape[1:3]
        self._samples = [_Sample(number, image, {}, {}) for number, image in samples]
        rough = background.scene_behind(images.copy())
        for last in (False, True):
            list(threads.mapped(self._outline, self._samples, networks.WORKERS))
            pictures = {n for n in range(len(self.tracks)) if self._is_picture(n)}
            certain = self._certain() - pictures
            still = {n: self._everywhere(n) for n in certain if self._stays(self.tracks[n])}
            hidden = np.stack(
                [self._mask(s, certain, pictures, still, rough) for s in self._samples]
            )
            scene, unknown = background.scene_without(images.copy(), hidden)
            more = [] if last else self._standing(masks.fill(scene.empty, unknown), pictures)
            if not more:
                break
            self.tracks += more
        tracks = self._alive(certain)
        moves = [
            segmentation.difference(image, scene.empty, scene.threshold) & ~mask & 1
            for image, mask in zip(images, hidden, strict=True)
        ]
        turns = np.count_nonzero(np.diff(moves, axis=0), axis=0)  # who passes comes and goes once
        restless = (turns > max(_TURNS, _RESTLESS * len(images))).astype(np.uint8)
        scene = dataclasses.replace(scene, empty=fill.fill(scene.empty, unknown))
        for track in tracks:
            self._learn_clothes(self.tracks.index(track), scene)
        return Emptied(scene, unknown, outlining.grown(restless, _RIM), tracks)

    def somebody(self, samples: list[tuple[int, np.ndarray]]) -> list[linking.BoxTrack]:
        """The tracks that are somebody's, by outlines alone."""
        self._shape = samples[0][1].shape[:2]
        self._samples = [_Sample(number, image, {}, {}) for number, image in samples]
        list(threads.mapped(self._outline, self._samples, networks.WORKERS))
        pictures = {n for n in range(len(self.tracks)) if self._is_picture(n)}
        tracks = self._alive(self._certain() - pictures)
        for track in tracks:
            self._learn_clothes(self.tracks.index(track), None)
        return tracks

    def _alive(self, certain: set[int]) -> list[linking.BoxTrack]:
        """Whoever is certain or moves, once."""
        alive = [n for n, t in enumerate(self.tracks) if n in certain or _moves(t)]
        return [self.tracks[n] for n in alive if not self._is_double(n, alive)]

    def _learn_clothes(self, n: int, scene: background.EmptyScene | None) -> None:
        """Learns what somebody wears from the samples, where nobody else may be."""
        for sample in self._samples:
            if sample.has(n):
                mask = self._shelf.get(sample.slips[n], self._shape)
                if scene is None:  # without the margin
                    mask = cv2.erode(mask, np.ones((_BORDER, _BORDER), np.uint8))
                else:
                    mask &= segmentation.difference(sample.image, scene.empty, scene.threshold)
                for m in sample.slips:
                    box = self.tracks[m].at(np.array([sample.number]))[0]
                    if m != n:
                        top, left, bottom, right = np.maximum(box.round().astype(int), 0)
                        mask[top:bottom, left:right] = 0
                    else:
                        own = box
                self.tracks[n].clothes.learn(sample.image, mask, own)

    def _outline(self, sample: _Sample) -> None:
        """Outlines those in a sample who are not outlined yet."""
        for n, track in enumerate(self.tracks):
            if n not in sample.slips and sample.number in track.reach(self._beyond, self._shape):
                box = track.at(np.array([sample.number]))[0]
                with self._nets.outliner() as outliner:
                    mask, sample.presences[n] = outlining.possible(
                        sample.image, box, outliner, both=not _moves(track)
                    )
                sample.slips[n] = self._shelf.put(mask)

    def _certain(self) -> set[int]:
        """Who is a person beyond doubt: of a high score, or outlined in many samples."""
        presences: dict[int, list[float]] = {n: [] for n in range(len(self.tracks))}
        for sample in self._samples:
            for n, presence in sample.presences.items():
                presences[n].append(presence)
        return {
            n
            for n, track in enumerate(self.tracks)
            if np.median(track.scores) >= linking.SURE
            or np.mean([p >= outlining.PRESENT for p in presences[n]] or [False]) >= _OUTLINED
        }

    def _is_picture(self, n: int) -> bool:
        """Whether nothing of somebody changes by more than noise, while nobody is near.

        Even who stands still stirs. If it is small or short, that cannot be seen. Before a camera
        that turns or shakes, a little cannot be seen either: nobody of whom the detector was ever
        certain is a picture, then, nor who is found whenever the place is free.
        """
        track, least, slack = self.tracks[n], _SEEN, 0
        if self._camera is not None:
            if self._camera.way.travels or max(track.scores) >= linking.CERTAIN:
                return False
            slack = math.ceil(_OFF / path.scale_of(self._shape))
            least = max(least, slack * _OFTEN)
        if _moves(track) or self._frames < _LONG * self._beyond:
            return False
        if np.median([box[2] - box[0] for box in track.boxes]) < least:
            return False
        stirs = stirring.share(self._moments(n), slack)
        return stirs is not None and stirs < _STIRS

    def _moments(self, n: int) -> list[stirring.Glimpse]:
        """All samples, where somebody is in them, and where others may be."""
        out, track = [], self.tracks[n]
        for sample in self._samples:
            own = None
            if sample.has(n):
                own = self._shelf.get(sample.slips[n], self._shape)
            found = min(abs(sample.number - frame) for frame in track.frames) <= self._beyond
            out.append(stirring.Glimpse(sample.image, own, self._others(sample, n), found))
        if self._camera is None:
            return out
        way = self._camera.way
        here = track.frames[len(track.frames) // 2]
        box = track.at(np.array([here]))[0]
        margin = outlining.MARGIN * (box[2] - box[0])
        top, left, bottom, right = np.rint(box + margin * np.array([-1, -1, 1, 1])).astype(int)
        size, to = (right - left, bottom - top), np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
        return [
            one.moved(to @ way.between(sample.number, here), size)
            for one, sample in zip(out, self._samples, strict=True)
            if way.shots[sample.number] == way.shots[here]
        ]

    def _is_double(self, n: int, alive: list[int]) -> bool:
        """Whether somebody's outlines are another's, and fit the other's boxes better."""
        samples = [s for s in self._samples if s.has(n)]
        doubles = Counter(m for s in samples for m in s.slips if m in alive and self._fits(s, n, m))
        return max(doubles.values(), default=0) > _MOSTLY * len(samples)

    def _fits(self, sample: _Sample, n: int, m: int) -> bool:
        """Whether n's outline in a sample is m's, and fits m's box better than n's."""
        if n == m or not sample.has(m):
            return False
        masks = [self._shelf.get(sample.slips[k], self._shape) > 0 for k in (n, m)]
        union = (masks[0] | masks[1]).sum()
        if not union or (masks[0] & masks[1]).sum() < _ALIKE * union:
            return False
        left, top, width, height = cv2.boundingRect((masks[0] | masks[1]).astype(np.uint8))
        around = np.array([[top, left, top + height, left + width]], np.float64)
        boxes = [self.tracks[k].at(np.array([sample.number])) for k in (n, m)]
        own, other = (linking.overlap(around, box)[0, 0] for box in boxes)
        return bool(other > max(own, _FITTING))

    def _others(self, sample: _Sample, n: int) -> UInt8[np.ndarray, "H W"]:
        """1 where others than n may be in a sample."""
        mask = np.zeros(self._shape, np.uint8)
        for slip in (slip for m, slip in sample.slips.items() if m != n):
            mask |= self._shelf.get(slip, self._shape)
        return mask

    def _stays(self, track: linking.BoxTrack) -> bool:
        """Whether somebody is at one place for a while; who walks goes too little in a moment.

        Who is there all along and hidden below only seems to move: the head stays.
        """
        lasts = track.frames[-1] - track.frames[0]
        if not _moves(track):
            return lasts > 2 * self._beyond
        return lasts > _ALONG * self._frames and not _moves(track, 0.0)

    def _everywhere(self, n: int) -> UInt8[np.ndarray, "H W"]:
        """Where somebody who stays is in any sample: an arm that one outline lacks, another has."""
        mask = np.zeros(self._shape, np.uint8)
        for sample in self._samples:
            if sample.has(n):
                mask |= self._shelf.get(sample.slips[n], self._shape)
        return mask

    def _mask(
        self,
        sample: _Sample,
        certain: set[int],
        pictures: set[int],
        still: dict[int, UInt8[np.ndarray, "H W"]],
        rough: background.EmptyScene,
    ) -> UInt8[np.ndarray, "H W"]:
        """1 where somebody may be in a sample; of uncertain people what moves alone."""
        mask, doubtful = np.zeros(self._shape, np.uint8), np.zeros(self._shape, np.uint8)
        for n, slip in sample.slips.items():
            if n in pictures:  # they belong to the scene
                continue
            there = self._shelf.get(slip, self._shape)
            if n in still:
                mask |= still[n]
            if n in certain or sample.has(n):
                mask |= there
            else:
                doubtful |= there
        if doubtful.any():
            moving = segmentation.difference(sample.image, rough.empty, rough.threshold)
            mask |= doubtful & outlining.grown(moving, _RIM)
        return mask

    def _standing(
        self, empty: UInt8[np.ndarray, "H W 3"], pictures: set[int]
    ) -> list[linking.BoxTrack]:
        """Tracks of those who are recognised in the scene, and are no pictures."""
        with self._nets.detector() as detector:
            boxes, scores, _ = detector(empty, networks.SIDES[:4])
        with self._nets.outliner() as outliner:
            presences = [outlining.possible(empty, box, outliner, both=True)[1] for box in boxes]
        looks = linking.looks(empty, boxes)
        known = np.array([np.median(self.tracks[n].boxes, axis=0) for n in pictures])
        new = linking.overlap(boxes, known.reshape(-1, 4)).max(1, initial=0) < _SAME
        tracks = []
        for n, box in enumerate(boxes):
            if scores[n] >= linking.CERTAIN and presences[n] >= _OUTLINED_WELL and new[n]:
                tracks.append(linking.BoxTrack(0, box, float(scores[n]), looks[n]))
                tracks[-1].add(max(self._frames - 1, 1), box, float(scores[n]), looks[n])
        return tracks


def _moves(track: linking.BoxTrack, part: float = 0.5) -> bool:
    """Whether somebody goes on, by the place of a part of the box: 0 its top, 0.5 its middle."""
    boxes = np.stack(track.boxes)
    rows = boxes[:, 0] + part * (boxes[:, 2] - boxes[:, 0])
    goes = np.linalg.norm(np.ptp(np.stack([rows, (boxes[:, 1] + boxes[:, 3]) / 2], 1), axis=0))
    return bool(goes >= _GOES * np.median(boxes[:, 2] - boxes[:, 0]))
