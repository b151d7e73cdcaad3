"""The people of a clip: their tracks, and an anonymised silhouette for every sighting."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from stgan_jax.media.segmentation import enclosed
from stgan_jax.methods import api
from stgan_jax.methods.color.atlas import Outfit
from stgan_jax.shapes import contour, cropping
from stgan_jax.video.blanks import Blanks, is_fatal
from stgan_jax.video.people import course, steady, tracking
from stgan_jax.video.people.bodies import Bodies
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import CLEAR, Sightings, Subject

_PIECE = 64  # frames in a piece of a walk, together with their context
_GROUP = 8  # pieces in one call of the model
_LEAST = 24  # height in pixels from which somebody can be anonymised
_BRIDGED = 1.0  # seconds without a clear silhouette after which somebody is not drawn any more
_PAIRS = ([11, 12], [23, 24], [25, 26], [27, 28])  # BlazePose's shoulders, hips, knees, ankles
_VISIBLE = 0.3  # mean visibility of ankles from which legs are shown
_FEET = 0.15  # of the height: ankles farther from a silhouette's lower end are guessed
_THIGH = 0.13  # of the height: who sits has knees hardly below the hips; 0.04 to 0.14, else 0.16
_LEGS = 0.9  # least height of the hips above the ankles, of that of the shoulders above the hips
UNCLEAR = "no clear outline"


@dataclasses.dataclass
class Person:
    """One tracked person and the anonymised silhouettes.

    Attributes:
      sightings: the person's place and silhouette in each frame.
      hidden: per sighting, why it is not shown, or None if it is anonymised.
      squares: per sighting, the crop (top, left, side).
      read: per sighting, the nearest one with a clear silhouette, which is read in its place.
      shelf: where the anonymised silhouettes are stored.
      slips: per sighting, the place on the shelf; length 0 if there is none.
      bodies: the own body and the new one, of methods that draw bodies; no silhouettes are on the
        shelf then.
      outfit: the clothes, once they are collected.
      number: the person's number in the report, from 1.
    """

    sightings: Sightings
    hidden: list[str | None]
    squares: Int[np.ndarray, "T 3"]
    read: Int[np.ndarray, " T"]
    shelf: Shelf
    slips: Int[np.ndarray, "T 2"]
    bodies: Bodies | None = None
    outfit: Outfit | None = None
    number: int = 1

    def silhouette(self, i: int) -> UInt8[np.ndarray, "240 240"]:
        """The anonymised silhouette of sighting i in its crop."""
        if self.bodies is not None:
            return self.bodies.silhouette(i)
        at, length = map(int, self.slips[i])
        return self.shelf.get((at, length), (contour.SIZE, contour.SIZE))

    def row(self) -> dict[str, Any]:
        """The person's row in the report."""
        frames = self.sightings.table()[:, 0]
        return {
            "person": self.number,
            "first_frame": int(frames[0]),
            "last_frame": int(frames[-1]),
            "frames_seen": len(frames),
            "frames_anonymized": self.hidden.count(None),
            "frames_covered": len(self.hidden) - self.hidden.count(None),
            "covered_because": dict(Counter(reason for reason in self.hidden if reason)),
        }


def track_people(
    masks: Iterable[tuple[int, np.ndarray, np.ndarray | None]],
    shape: tuple[int, int],
    shelf: Shelf,
    blanks: Blanks,
    has_ids: bool = False,
    fps: float = 25.0,
) -> list[Subject]:
    """Tracks people through the masks of all frames.

    Args:
      masks: number, picture and mask (0/1, or ids) of each frame; None if there is no mask.
      shape: (height, width) of the frames.
      shelf: where silhouettes are stored.
      blanks: receives the frames at which tracking fails.
      has_ids: whether the masks' values are people's ids. Otherwise people are tracked.
      fps: frames a second.
    """
    tracker = tracking.Tracker(shape, tracking.patience(fps), shelf)
    by_id: dict[int, tracking.RegionTrack] = {}
    for number, image, mask in masks:
        if mask is None:
            continue
        try:
            if has_ids:
                _add_by_id(by_id, number, mask, shelf)
            else:
                tracker.update(number, mask, image)
        except Exception as error:
            blanks.add(number, "tracking", error)
    tracks = list(by_id.values()) if has_ids else tracker.tracks
    return [Subject(track.sightings) for track in tracks]


def _add_by_id(
    by_id: dict[int, tracking.RegionTrack], number: int, mask: np.ndarray, shelf: Shelf
) -> None:
    for value in map(int, np.unique(mask)):
        if value:
            region = enclosed(mask == value)
            if value in by_id:
                by_id[value].add(region, number, alone=True)
            else:
                by_id[value] = tracking.RegionTrack(region, number, shelf)


class _Piece(NamedTuple):
    """Consecutive sightings of a person, to be anonymised in one call of the model."""

    person: Person
    key: jax.Array
    sightings: range


def anonymize(
    subjects: Sequence[Subject],
    shape: tuple[int, int],
    fps: float,
    root: jax.Array,
    model: api.Anonymizer,
    shelf: Shelf,
    camera: steady.Steady | None = None,
    everybody: Sequence[Subject] | None = None,
) -> Iterator[Person]:
    """Anonymises everybody, several people and many frames in one call of the model.

    Many arguments because all of them are the clip's.

    Args:
      subjects: the people.
      shape: (height, width) of the frames.
      fps: frames a second.
      root: key from which everybody's own is derived: no two people share one.
      model: the anonymiser.
      shelf: where the new silhouettes are stored.
      camera: how it moves; None if it stands.
      everybody: who may be before somebody, and by whose boxes the camera's height is told; by
        default `subjects`.

    Yields:
      a person for each subject, in their order. Who cannot be anonymised is hidden.
    """
    waiting: list[_Piece] = []
    done: list[Person] = []
    people = [s.sightings for s in (subjects if everybody is None else everybody)]
    above, ways = None, []
    if model.whole:
        above = course.eye([course.seen_whole(one, shape, camera) for one in people])
        ways = course.ways([s.sightings for s in subjects], people, shape, camera)
    for number, subject in enumerate(subjects):
        place = number if subject.place is None else subject.place
        table = subject.sightings.table()
        clear = table[:, CLEAR] > 0
        hidden = reasons(subject.sightings, shape, fps)
        views = steady.views(table, camera)
        stood = steady.to(views, table[:, 1:5])
        boxes = _interpolated(stood, table[:, 0], clear)
        squares = cropping.track_squares(boxes)
        person = Person(
            subject.sightings,
            hidden if subject.why is None else [subject.why] * len(table),
            steady.squares(views, squares),
            _nearest(clear),
            shelf,
            np.zeros((len(table), 2), np.int64),
            number=place + 1,
        )
        key = jax.random.fold_in(root, place)
        key = jax.random.fold_in(key, subject.body) if subject.body else key
        if model.whole:
            if None in person.hidden:
                way = ways[number]
                track = course.track(way.places, fps, shape, above)._replace(facing=way.facing)
                places = steady.places(views, course.smoothed(way.places, fps))
                _anonymize_whole(person, key, model, track, places)
        else:
            for piece in _pieces(person, key, _PIECE - 2 * model.context):
                waiting.append(piece)
                if len(waiting) >= _GROUP:
                    _anonymize_pieces(waiting, model)
                    waiting = []
        done.append(person)
        if not waiting:
            yield from done
            done = []
    _anonymize_pieces(waiting, model)
    yield from done


def _pieces(person: Person, key: jax.Array, length: int) -> Iterator[_Piece]:
    """Pieces of a walk in which anybody can be anonymised."""
    for start in range(0, len(person.hidden), length):
        sightings = range(start, min(start + length, len(person.hidden)))
        if any(person.hidden[i] is None for i in sightings):
            yield _Piece(person, key, sightings)


def _anonymize_pieces(pieces: list[_Piece], model: api.Anonymizer) -> None:
    """Calls the model once; if that fails, once for each piece, then once for each frame."""
    if not pieces:
        return
    try:
        crops, skipped = [], []
        for person, _, sightings in pieces:
            first = max(sightings.start - model.context, 0)
            last = min(sightings.stop + model.context, len(person.hidden))
            crops.append(np.stack([_crop(person, i) for i in range(first, last)]))
            skipped.append(sightings.start - first)
        walks = model.many(crops, [key for _, key, _ in pieces])
        for (person, _, sightings), walk, skip in zip(pieces, walks, skipped, strict=True):
            _store(person, sightings, walk[skip : skip + len(sightings)])
    except Exception as error:
        if is_fatal(error):
            raise
        person, key, sightings = pieces[0]
        if len(pieces) > 1:
            for piece in pieces:
                _anonymize_pieces([piece], model)
        elif len(sightings) > 1:
            for i in sightings:
                _anonymize_pieces([_Piece(person, key, range(i, i + 1))], model)
        else:
            person.hidden[sightings[0]] = _failure(error)


def _store(person: Person, sightings: range, silhouettes: Iterable[np.ndarray]) -> None:
    for i, silhouette in zip(sightings, silhouettes, strict=True):
        if silhouette.any():
            person.slips[i] = person.shelf.put(silhouette)
        elif person.hidden[i] is None:
            person.hidden[i] = "nothing generated"


def _anonymize_whole(
    person: Person,
    key: jax.Array,
    model: api.Anonymizer,
    track: api.Course,
    places: Float[np.ndarray, "T 3"],
) -> None:
    """Anonymises a walk from end to end; if that fails, the person is not shown."""

    def crop(i: int) -> np.ndarray:
        try:
            return _crop(person, i)
        except Exception as error:
            person.hidden[i] = _failure(error)
            return np.zeros((contour.SIZE, contour.SIZE), np.uint8)

    def crops(sightings: range) -> np.ndarray:
        return np.stack([crop(i) for i in sightings])

    try:
        if model.draws:
            drawn = model.bodies(crops, len(person.hidden), key, track)
            person.bodies = Bodies(drawn, person.squares, places, track.fps)
            return
        for sightings, silhouettes in model.in_pieces(crops, len(person.hidden), key, track):
            _store(person, sightings, silhouettes)
    except Exception as error:
        person.hidden[:] = [reason or _failure(error) for reason in person.hidden]


def _failure(error: Exception) -> str:
    """The reason for the report; raises an error that is fatal."""
    if is_fatal(error):
        raise error
    return f"anonymising failed ({type(error).__name__})"


def _crop(person: Person, i: int) -> UInt8[np.ndarray, "240 240"]:
    at = int(person.read[i])
    sighting = person.sightings[at]
    here = person.squares[at] - [*sighting.box[:2], 0]
    return _bridged(cropping.crop_mask(sighting.mask, here))


def _interpolated(
    boxes: np.ndarray, frames: Int[np.ndarray, " T"], clear: Bool[np.ndarray, " T"]
) -> Float[np.ndarray, "T 4"]:
    """The boxes, interpolated where there is no clear silhouette."""
    if not clear.any():
        return boxes.astype(np.float64)
    return np.stack([np.interp(frames, frames[clear], side[clear]) for side in boxes.T], 1)


def _nearest(chosen: Bool[np.ndarray, " T"]) -> Int[np.ndarray, " T"]:
    """For each index the nearest one that is chosen; itself if none is."""
    indices, places = np.arange(len(chosen)), np.flatnonzero(chosen)
    if not len(places):
        return indices
    after = np.searchsorted(places, indices).clip(max=len(places) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(places[before] - indices) <= np.abs(places[after] - indices)
    return places[np.where(closer, before, after)]


def _bridged(mask: UInt8[np.ndarray, "240 240"]) -> UInt8[np.ndarray, "240 240"]:
    """Bridges the gap that a pole in front of somebody leaves: a contour outlines one piece."""
    pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = sorted(cv2.contourArea(piece) for piece in pieces)
    if len(areas) < 2 or areas[-2] < 0.1 * areas[-1]:
        return mask
    bridge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, bridge)


def reasons(sightings: Sightings, shape: tuple[int, int], fps: float) -> list[str | None]:
    """Why each sighting of somebody cannot be anonymised, or None if it can.

    Args:
      sightings: one person's.
      shape: (height, width) of the frames.
      fps: frames a second.
    """
    table = sightings.table()
    boxes, areas, clear = table[:, 1:5], table[:, 5], table[:, CLEAR] > 0
    if not clear.any():
        return [UNCLEAR] * len(table)
    if clear.sum() < max(5, math.ceil(fps / 3)):
        return ["seen too briefly"] * len(table)
    cut = np.any(boxes[:, :2] <= 0, axis=1) | np.any(boxes[:, 2:] >= np.array(shape), axis=1)
    whole = clear & ~cut
    nearest = _nearest(whole)
    unclear_for = np.abs(table[_nearest(clear), 0] - table[:, 0]) / fps
    upright = _upright(sightings, fps, shape[0])
    out: list[str | None] = []
    for i, box in enumerate(boxes):
        reason = None
        if box[2] - box[0] < _LEAST:
            reason = "too small"
        elif unclear_for[i] > _BRIDGED or (
            not clear[i] and not (clear[:i].any() and clear[i:].any())
        ):
            reason = UNCLEAR
        elif cut[i] and (not whole.any() or areas[i] < 0.5 * areas[nearest[i]]):
            reason = "cut off by the frame"
        elif not upright[i]:
            reason = "sits, bends or is half hidden"
        out.append(reason)
    return out


def _upright(sightings: Sightings, fps: float, rows: int) -> Bool[np.ndarray, " T"]:
    """Who stands or walks: hips, knees and ankles are below each other, as far as they are known.

    By the median over a second, as legs swing and joints are uncertain. Of legs that the frame of
    so many rows cuts off, thighs that hang down from hips inside it are enough.
    """
    ratios = np.full(len(sightings), np.nan)
    for i, sighting in enumerate(sightings):
        joints = sighting.joints
        if joints is not None and sighting.clear:
            shoulders, hips, knees, ankles = (joints[pair].mean(0) for pair in _PAIRS)
            height, bottom = sighting.box[2] - sighting.box[0], sighting.box[2]
            visible = ankles[2] > _VISIBLE and abs(ankles[0] - bottom) < _FEET * height
            ratios[i] = 0.0
            if knees[0] - hips[0] > _THIGH * height:
                if visible:
                    ratios[i] = (ankles[0] - hips[0]) / max(hips[0] - shoulders[0], 1.0)
                elif bottom >= rows > hips[0]:
                    ratios[i] = _LEGS
    known = np.flatnonzero(~np.isnan(ratios))
    upright = np.ones(len(sightings), bool)
    frames = sightings.table()[:, 0]
    for i in range(len(ratios)):
        near = known[np.abs(frames[known] - frames[i]) <= fps / 2]
        if len(near):
            upright[i] = np.median(ratios[near]) >= _LEGS
    return upright
