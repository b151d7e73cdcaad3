"""Carries out what a person decided about a clip, on what the program found in it.

A frame is a function of its `signature`: who is in it, what became of them, and what is hidden. So
only frames whose signatures changed have to be rendered again, and the others stay the same bits.
"""

import dataclasses
import functools
from collections.abc import Hashable, Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, segmentation
from stgan_jax.video import backdrop as backdrops
from stgan_jax.video.backdrop import Backdrop
from stgan_jax.video.blanks import is_fatal
from stgan_jax.video.decisions import Part, Plan, Planned
from stgan_jax.video.people import boxed, outlining
from stgan_jax.video.people.shelf import Shelf, Unions
from stgan_jax.video.people.sightings import Sightings, Subject
from stgan_jax.video.scene import fill
from stgan_jax.video.search import Basis

COVERED = "covered by decision"

_AROUND = 0.35  # of the height: so far around a track that is left as it is, the frame is shown
_RIM = 0.05  # of the height: around other people, nothing is
_OFTEN = 0.2  # share of the samples from which somebody in an added box may be in the empty scene


@dataclasses.dataclass(frozen=True)
class Mended:
    """A clip by a plan.

    Attributes:
      subjects: what is seen of each track of the plan.
      backdrop: what is behind people.
      signatures: one for each frame. A frame whose signature stays looks the same.
    """

    subjects: Mapping[Planned, Subject]
    backdrop: Backdrop
    signatures: Sequence[Hashable]


class Mending:
    """Applies plans to a clip. What was once outlined in an added box is kept."""

    def __init__(self, basis: Basis, shelf: Shelf):
        """Takes what was found, and where silhouettes are stored."""
        self._basis, self._shelf = basis, shelf
        self._shape = basis.source.shape
        self._boxed: dict[tuple, tuple[Sightings, dict[int, tuple[int, int]]]] = {}

    def mended(self, plan: Plan) -> Mended:
        """What a plan makes of the clip."""
        self._outline(plan)
        subjects = {track: self._subject(track) for track in plan.tracks}
        subjects = {track: s for track, s in subjects.items() if len(s.sightings)}
        base = self._basis.backdrop
        parts = [
            part
            for track in plan.tracks
            for part in track.parts
            if track.how != "leave" and not isinstance(part.source, int)
        ]
        hidden, around = base.hidden, base.around
        if parts and hidden is not None:
            hidden = hidden.copy()
            for part in parts:
                for number in range(part.first, part.last + 1):
                    hidden.join(number, self._cover(part, number))
        if around is not None and hidden is not None and self._basis.camera is not None:
            around = backdrops.behind_moving(self._basis.source, self._basis.camera, hidden).around
        scene, touched = self._scene(parts)
        changed = dataclasses.replace(
            base,
            hidden=hidden,
            around=around,
            scene=scene,
            measured=base.scene,
            as_is=self._as_is(subjects),
            curtains=plan.curtains,
        )
        return Mended(subjects, changed, self._signatures(plan, subjects, changed, parts, touched))

    def _subject(self, track: Planned) -> Subject:
        pieces, whys = [], []
        for part in track.parts:
            if isinstance(part.source, int):
                found = self._basis.subjects[part.source - 1]
                pieces.append(found.sightings.part(part.first, part.last))
                whys.append(found.why)
            else:
                pieces.append(self._boxed[part.source][0].part(part.first, part.last))
                whys.append(None)
        sightings = pieces[0] if len(pieces) == 1 else Sightings.joined(pieces, self._shelf)
        why = None if None in whys or track.how == "draw" else whys[0]
        why = COVERED if track.how == "cover" else why
        return Subject(sightings, why, track.number - 1, track.body)

    def _outline(self, plan: Plan) -> None:
        """Outlines who is in boxes that are new."""
        new: dict[tuple, tuple[Sightings, dict[int, tuple[int, int]]]] = {
            part.source: (Sightings(self._shelf), {})
            for track in plan.tracks
            for part in track.parts
            if not isinstance(part.source, int) and part.source not in self._boxed
        }
        last = max((keys[-1][0] for keys in new), default=-1)
        frames = self._basis.source.frames() if new else ()
        for number, frame in enumerate(frames):
            if number > last:
                break
            for keys, (sightings, covers) in new.items():
                if keys[0][0] <= number <= keys[-1][0]:
                    left, top, right, bottom = Part(keys, 0, 0).box(number)
                    box = np.array([top, left, bottom, right], float)
                    one = self._outlined(frame.image, box)
                    sightings.add(number, one.region, one.joints, one.clear)
                    covers[number] = self._shelf.put(one.hide)
        self._boxed.update(new)

    def _outlined(self, image: np.ndarray, box: np.ndarray) -> boxed.Boxed:
        if self._basis.nets is None:
            return boxed.boxed(image, box, None)
        try:
            with self._basis.nets.outliner() as outliner:
                return boxed.boxed(image, box, outliner)
        except Exception as error:
            if is_fatal(error):
                raise
            return boxed.boxed(image, box, None)

    def _cover(self, part: Part, number: int) -> UInt8[np.ndarray, "H W"]:
        """1 where an added box hides somebody in a frame."""
        assert not isinstance(part.source, int)
        return self._shelf.get(self._boxed[part.source][1][number], self._shape)

    def _scene(
        self, parts: Sequence[Part]
    ) -> tuple[background.EmptyScene | None, UInt8[np.ndarray, "H W"] | None]:
        """The empty scene, and 1 where it was mended, None if nowhere.

        Who was missed may be in it, if they are long at one place.
        """
        base = self._basis.backdrop.scene
        if base is None or not parts or self._basis.fixed:
            return base, None
        covers, hidden = [], []
        for number, _ in self._samples:
            cover = np.zeros(self._shape, np.uint8)
            for part in parts:
                if part.first <= number <= part.last:
                    cover |= self._cover(part, number)
            covers.append(cover)
            hidden.append(self._people(number))
        added, known = np.stack(covers), np.stack(hidden) == 0
        often = (added & known).sum(0) >= _OFTEN * known.sum(0)
        often &= added.any(0)
        if not often.any():
            return base, None
        left, top, width, height = cv2.boundingRect(often.astype(np.uint8))
        window = np.s_[top : top + height, left : left + width]
        images = np.stack([image[window] for _, image in self._samples])
        masks = np.stack([(~k | (a > 0))[window] for k, a in zip(known, added, strict=True)])
        empty = base.empty.copy()
        scene = background.masked_median(images, masks.astype(np.uint8))
        empty[window] = np.where(often[window][..., None], scene, empty[window])
        unknown = np.zeros(self._shape, np.uint8)
        unknown[window] = often[window] & masks.all(0)
        empty = fill.fill(empty, unknown)
        return dataclasses.replace(base, empty=empty), often.astype(np.uint8)

    @functools.cached_property
    def _samples(self) -> list[tuple[int, np.ndarray]]:
        return self._basis.source.numbered_samples()

    def _people(self, number: int) -> UInt8[np.ndarray, "H W"]:
        """1 where people who were found are, everywhere if that is unknown."""
        hidden = self._basis.backdrop.hidden
        if hidden is not None:
            known = hidden[number]
            return np.ones(self._shape, np.uint8) if known is None else known
        mask = np.zeros(self._shape, np.uint8)
        for subject in self._basis.subjects:
            for sighting in subject.sightings.part(number, number):
                grown = outlining.grown(sighting.on(self._shape), _RIM * np.ptp(sighting.box[::2]))
                mask |= grown
        return mask

    def _as_is(self, subjects: Mapping[Planned, Subject]) -> Unions | None:
        """Where frames are shown as they are: around tracks that are left, away from others."""
        zones: dict[int, np.ndarray] = {}
        for track, subject in subjects.items():
            if track.how == "leave":
                for sighting in subject.sightings:
                    zone = zones.setdefault(sighting.frame, np.zeros(self._shape, np.uint8))
                    zone[_around(sighting.box)] = 1
        if not zones:
            return None
        for track, subject in subjects.items():
            if track.how != "leave":
                for number in zones.keys() & set(subject.sightings.table()[:, 0].tolist()):
                    for sighting in subject.sightings.part(number, number):
                        zones[number][_around(sighting.box)] = 0
        as_is = Unions(self._shelf, self._shape)
        for number in range(len(self._basis.times)):
            as_is.add(zones.get(number))
        return as_is

    def _signatures(
        self,
        plan: Plan,
        subjects: Mapping[Planned, Subject],
        changed: Backdrop,
        parts: Sequence[Part],
        touched: UInt8[np.ndarray, "H W"] | None,
    ) -> list[Hashable]:
        rows: list[list[Hashable]] = [[] for _ in range(len(self._basis.times))]
        for track, subject in subjects.items():
            for number in subject.sightings.table()[:, 0]:
                rows[number].append(track)
        for curtain in plan.curtains:
            for number in range(curtain.first, curtain.last + 1):
                rows[number].append(curtain)
        everywhere = tuple(sorted(parts, key=repr))
        if changed.around is not None and parts:  # the scene comes from what is hidden nowhere
            for row in rows:
                row.append(everywhere)
        elif touched is not None:
            for number, row in enumerate(rows):
                hide = None if changed.hidden is None else changed.hidden[number]
                if hide is None or (hide & touched).any():
                    row.append(everywhere)
        return [tuple(row) for row in rows]


def _around(box: np.ndarray) -> tuple[slice, slice]:
    """The surroundings of somebody in which nothing but they may be hidden."""
    return segmentation.around(box, max(4, round(_AROUND * float(box[2] - box[0]))))
