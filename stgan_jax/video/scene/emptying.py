"""The empty scene of a clip from a static camera in which networks found people."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, threads
from stgan_jax.video.people import linking, masks, networks, outlining
from stgan_jax.video.people.shelf import Shelf, Slip

_GOES = 0.5  # of the height: who goes farther moves


class _Sample(NamedTuple):
    """A frame from which the empty scene is computed, and who may be where in it, by index."""

    number: int
    image: UInt8[np.ndarray, "H W 3"]
    slips: dict[int, Slip]
    presences: dict[int, float]


def empty(
    samples: list[tuple[int, np.ndarray]],
    tracks: list[linking.BoxTrack],
    nets: networks.Networks,
    shelf: Shelf,
    frames: int,
    beyond: int,
) -> tuple[background.EmptyScene, UInt8[np.ndarray, "H W"], list[linking.BoxTrack]]:
    """The scene without people.

    Args:
      samples: frames from all over the clip, with their numbers.
      tracks: people's boxes.
      nets: the networks.
      shelf: where masks are stored.
      frames: number of frames of the clip.
      beyond: for how many frames people are looked for before and after being detected.

    Returns:
      The scene; 1 where it is not known, since somebody is always there, and filled from around;
      and the tracks that are somebody's. Who is recognised in the scene itself, since they stand
      there and are found in few of the frames, is among them, throughout.
    """
    emptying = _Emptying(tracks, nets, shelf, frames, beyond)
    scene, unknown = emptying.run(samples)
    return scene, unknown, emptying.tracks


class _Emptying:
    def __init__(
        self,
        tracks: list[linking.BoxTrack],
        nets: networks.Networks,
        shelf: Shelf,
        frames: int,
        beyond: int,
    ):
        self.tracks = tracks
        self._nets, self._shelf, self._frames, self._beyond = nets, shelf, frames, beyond

    def run(
        self, samples: list[tuple[int, np.ndarray]]
    ) -> tuple[background.EmptyScene, UInt8[np.ndarray, "H W"]]:
        images = np.stack([image for _, image in samples])
        self._shape = images.shape[1:3]
        self._samples = [_Sample(number, image, {}, {}) for number, image in samples]
        for last in (False, True):
            list(threads.mapped(self._outline, self._samples, networks.WORKERS))
            real = self._real()
            hidden = np.stack([self._union(sample, real) for sample in self._samples])
            scene, unknown = background.scene_without(images.copy(), hidden)
            scene = dataclasses.replace(scene, empty=masks.fill(scene.empty, unknown))
            more = [] if last else self._standing(scene.empty)
            if not more:
                break
            self.tracks += more
        self.tracks = [track for n, track in enumerate(self.tracks) if n in real]
        return scene, unknown

    def _outline(self, sample: _Sample) -> None:
        """Outlines those in a sample who are not outlined yet."""
        for n, track in enumerate(self.tracks):
            if n not in sample.slips and track.is_near(sample.number, self._beyond):
                box = track.at(np.array([sample.number]))[0]
                with self._nets.outliner() as outliner:
                    mask, sample.presences[n] = outlining.possible(sample.image, box, outliner)
                sample.slips[n] = self._shelf.put(mask)

    def _real(self) -> set[int]:
        """Who is no false alarm: outlined in some sample, or moving, or of a high score."""
        present = {
            n
            for sample in self._samples
            for n, presence in sample.presences.items()
            if presence >= outlining.PRESENT
        }
        for n, track in enumerate(self.tracks):
            boxes = np.stack(track.boxes)
            goes = np.linalg.norm(np.ptp((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0))
            moves = goes >= _GOES * np.median(boxes[:, 2] - boxes[:, 0])
            if moves or np.median(track.scores) >= linking.SURE:
                present.add(n)
        return present

    def _union(self, sample: _Sample, real: set[int]) -> UInt8[np.ndarray, "H W"]:
        mask = np.zeros(self._shape, np.uint8)
        for n, slip in sample.slips.items():
            if n in real:
                mask |= self._shelf.get(slip, self._shape)
        return mask

    def _standing(self, empty: UInt8[np.ndarray, "H W 3"]) -> list[linking.BoxTrack]:
        """Tracks of those who are recognised in the scene."""
        with self._nets.detector() as detector:
            boxes, scores, _ = detector(empty, networks.SIDES)
        with self._nets.outliner() as outliner:
            outlines = outliner(empty, boxes)
        looks = linking.looks(empty, boxes)
        tracks = []
        for n, box in enumerate(boxes):
            if scores[n] >= linking.CERTAIN and outlines[n].presence >= outlining.PRESENT:
                tracks.append(linking.BoxTrack(0, box, float(scores[n]), looks[n]))
                tracks[-1].add(max(self._frames - 1, 1), box, float(scores[n]), looks[n])
        return tracks
