"""The people of a clip: their tracks, and an anonymised silhouette for every sighting."""

import array
import dataclasses
import errno
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.media.segmentation import Region
from stgan_jax.methods import api
from stgan_jax.shapes import contour, cropping
from stgan_jax.video.people import standing, tracking
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings

_PIECE = 64  # frames in a piece of a walk, together with their context
_GROUP = 8  # pieces in one call of the model
_LEAST = 24  # height in pixels from which somebody can be anonymised


def is_fatal(error: Exception) -> bool:
    """Whether all further work would fail, too: a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Blanks:
    """Frames that could not be processed: nobody is shown in them.

    Attributes:
      reasons: frame number -> why.
    """

    def __init__(self):
        self.reasons: dict[int, str] = {}

    def add(self, number: int, stage: str, error: Exception) -> None:
        """Notes a frame and the stage that failed; raises an error that is fatal."""
        if is_fatal(error):
            raise error
        self.reasons.setdefault(number, f"{stage} failed ({type(error).__name__})")


@dataclasses.dataclass
class Person:
    """One tracked person and the anonymised silhouettes.

    Attributes:
      sightings: the person's place and silhouette in each frame.
      hidden: per sighting, why it is not shown, or None if it is anonymised.
      squares: per sighting, the crop (top, left, side).
      shelf: where the anonymised silhouettes are stored.
      slips: per sighting, the place on the shelf; length 0 if there is none.
    """

    sightings: Sightings
    hidden: list[str | None]
    squares: Int[np.ndarray, "T 3"]
    shelf: Shelf
    slips: Int[np.ndarray, "T 2"]

    def silhouette(self, i: int) -> UInt8[np.ndarray, "240 240"]:
        """The anonymised silhouette of sighting i in its crop."""
        at, length = map(int, self.slips[i])
        return self.shelf.get((at, length), (contour.SIZE, contour.SIZE))

    def row(self, number: int) -> dict[str, Any]:
        """The person's row in the report."""
        frames = self.sightings.table()[:, 0]
        return {
            "person": number,
            "first_frame": int(frames[0]),
            "last_frame": int(frames[-1]),
            "frames_seen": len(frames),
            "frames_anonymized": self.hidden.count(None),
            "frames_covered": len(self.hidden) - self.hidden.count(None),
            "covered_because": dict(Counter(reason for reason in self.hidden if reason)),
        }


class Unions:
    """The union of all people's masks in each frame, to be filled where the camera moves."""

    def __init__(self, shelf: Shelf, shape: tuple[int, int]):
        self._shelf, self._shape, self._slips = shelf, shape, array.array("q")

    def add(self, mask: np.ndarray | None) -> None:
        """Stores the next frame's mask; None if it is unknown."""
        slip = (0, 0) if mask is None else self._shelf.put((mask > 0).astype(np.uint8))
        self._slips.extend(slip)

    def __getitem__(self, number: int) -> UInt8[np.ndarray, "H W"] | None:
        at, length = self._slips[2 * number : 2 * number + 2]
        return self._shelf.get((at, length), self._shape) if length else None


def track_people(
    masks: Iterable[tuple[int, np.ndarray, np.ndarray | None]],
    shape: tuple[int, int],
    shelf: Shelf,
    blanks: Blanks,
    has_ids: bool = False,
) -> list[tracking.Track]:
    """Tracks people through the masks of all frames.

    Args:
      masks: number, picture and mask (0/1, or ids) of each frame; None if there is no mask.
      shape: (height, width) of the frames.
      shelf: where silhouettes are stored.
      blanks: receives the frames at which tracking fails.
      has_ids: whether the masks' values are people's ids. Otherwise people are tracked.
    """
    tracker = tracking.Tracker(shape, shelf=shelf)
    by_id: dict[int, tracking.Track] = {}
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
    return list(by_id.values()) if has_ids else tracker.tracks


def _add_by_id(
    by_id: dict[int, tracking.Track], number: int, mask: np.ndarray, shelf: Shelf
) -> None:
    for value in map(int, np.unique(mask)):
        if value:
            region = _region(mask == value)
            if value in by_id:
                by_id[value].add(region, number, alone=True)
            else:
                by_id[value] = tracking.Track(region, number, shelf)


def _region(mask: np.ndarray) -> Region:
    """All pixels of a mask that is not empty as one region."""
    flat = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(flat)
    box = np.array([top, left, top + height, left + width])
    return Region(box, flat[top : top + height, left : left + width])


class _Piece(NamedTuple):
    """Consecutive sightings of a person, to be anonymised in one call of the model."""

    person: Person
    key: jax.Array
    sightings: range


def anonymize(
    tracks: Sequence[tracking.Track],
    shape: tuple[int, int],
    fps: float,
    root: jax.Array,
    model: api.Anonymizer,
    shelf: Shelf,
    standing_mask: UInt8[np.ndarray, "H W"] | None = None,
) -> Iterator[Person]:
    """Anonymises everybody, several people and many frames in one call of the model.

    Args:
      tracks: the people.
      shape: (height, width) of the frames.
      fps: frames a second.
      root: key from which everybody's own is derived: no two people share one.
      model: the anonymiser.
      shelf: where the new silhouettes are stored.
      standing_mask: from `standing.people_standing`; moving parts of these people are hidden.

    Yields:
      a person for each track, in the tracks' order. Who cannot be anonymised is hidden.
    """
    waiting: list[_Piece] = []
    done: list[Person] = []
    for number, track in enumerate(tracks):
        table = track.sightings.table()
        person = Person(
            track.sightings,
            reasons(table[:, 1:5], table[:, 5], shape, least_frames=max(5, math.ceil(fps / 3))),
            cropping.track_squares(table[:, 1:5]),
            shelf,
            np.zeros((len(table), 2), np.int64),
        )
        if standing_mask is not None and standing.is_part(track.sightings, standing_mask):
            person.hidden = ["part of somebody who stands"] * len(table)
        key = jax.random.fold_in(root, number)
        if model.whole:
            if None in person.hidden:
                _anonymize_whole(person, key, model)
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


def _anonymize_whole(person: Person, key: jax.Array, model: api.Anonymizer) -> None:
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
        for sightings, silhouettes in model.in_pieces(crops, len(person.hidden), key):
            _store(person, sightings, silhouettes)
    except Exception as error:
        person.hidden[:] = [reason or _failure(error) for reason in person.hidden]


def _failure(error: Exception) -> str:
    """The reason for the report; raises an error that is fatal."""
    if is_fatal(error):
        raise error
    return f"anonymising failed ({type(error).__name__})"


def _crop(person: Person, i: int) -> UInt8[np.ndarray, "240 240"]:
    sighting = person.sightings[i]
    here = person.squares[i] - [*sighting.box[:2], 0]
    return _bridged(cropping.crop_mask(sighting.mask, here))


def _bridged(mask: UInt8[np.ndarray, "240 240"]) -> UInt8[np.ndarray, "240 240"]:
    """Bridges the gap that a pole in front of somebody leaves: a contour outlines one piece."""
    pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = sorted(cv2.contourArea(piece) for piece in pieces)
    if len(areas) < 2 or areas[-2] < 0.1 * areas[-1]:
        return mask
    bridge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, bridge)


def reasons(
    boxes: Int[np.ndarray, "T 4"],
    areas: Int[np.ndarray, " T"],
    shape: tuple[int, int],
    least_frames: int,
) -> list[str | None]:
    """Why each sighting of a track cannot be anonymised, or None if it can."""
    if len(boxes) < least_frames:
        return ["seen too briefly"] * len(boxes)
    cut = np.any(boxes[:, :2] <= 0, axis=1) | np.any(boxes[:, 2:] >= np.array(shape), axis=1)
    whole = np.flatnonzero(~cut)
    out: list[str | None] = []
    for i, box in enumerate(boxes):
        reason = None
        if box[2] - box[0] < _LEAST:
            reason = "too small"
        elif cut[i]:
            at = np.searchsorted(whole, i)
            near = whole[max(at - 1, 0) : at + 1]
            nearest = near[np.argmin(np.abs(near - i))] if len(near) else None
            if nearest is None or areas[i] < 0.5 * areas[nearest]:
                reason = "cut off by the frame"
        out.append(reason)
    return out
