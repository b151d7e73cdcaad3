"""The people of a clip: found, followed, and each given another shape."""

import array
import dataclasses
import errno
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax import anonymizer, contour
from stgan_jax.video import tracking
from stgan_jax.video.segmentation import Region
from stgan_jax.video.shelf import Shelf
from stgan_jax.video.sightings import Sightings

_PIECE = 64  # frames of a walk, those around it that its shapes depend on among them, and
_GROUP = 8  # pieces that are worked on together
_LEAST = 24  # pixels in height of somebody who can be anonymised
Reshape = Callable[[Sequence[np.ndarray], Sequence[jax.Array]], list[np.ndarray]]
Whole = Callable[
    [Callable[[range], np.ndarray], int, jax.Array], Iterator[tuple[range, np.ndarray]]
]


def is_fatal(error: Exception) -> bool:
    """Whether nothing that comes after can go well either: a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Blanks:
    """Frames that could not be processed, by number, and why: nobody is shown in them."""

    def __init__(self):
        self.reasons: dict[int, str] = {}

    def add(self, number: int, stage: str, error: Exception) -> None:
        """Counts a frame; raises what is no fault of the frame's."""
        if is_fatal(error):
            raise error
        self.reasons.setdefault(number, f"{stage} failed ({type(error).__name__})")


@dataclasses.dataclass
class Person:
    """One track and what becomes of it.

    Attributes:
      sightings: where and when the person was seen.
      hidden: per sighting, why it is not shown, or None where it is anonymised.
      squares: per sighting, the crop (top, left, side).
      shelf: with the anonymised silhouettes.
      slips: per sighting, where on the shelf; length 0 where there is none.
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
        """The person's line in the report."""
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
    """Of each frame, all that its mask shows: what is filled where the camera moves."""

    def __init__(self, shelf: Shelf, shape: tuple[int, int]):
        self._shelf, self._shape, self._slips = shelf, shape, array.array("q")

    def add(self, mask: np.ndarray | None) -> None:
        """The next frame's mask; None where it is not known."""
        slip = (0, 0) if mask is None else self._shelf.put((mask > 0).astype(np.uint8))
        self._slips.extend(slip)

    def __getitem__(self, number: int) -> UInt8[np.ndarray, "H W"] | None:
        at, length = self._slips[2 * number : 2 * number + 2]
        return self._shelf.get((at, length), self._shape) if length else None


def follow(
    masks: Iterable[tuple[int, np.ndarray, np.ndarray | None]],
    shape: tuple[int, int],
    shelf: Shelf,
    blanks: Blanks,
    has_ids: bool = False,
) -> list[tracking.Track]:
    """Tracks of the people whose masks are given frame by frame.

    Args:
      masks: number, picture and mask (0/1, or ids) of each frame, None where there is none.
      shape: (height, width) of the frames.
      shelf: where silhouettes are put.
      blanks: gets the frames that cannot be taken in.
      has_ids: whether the masks tell who is who. Otherwise people are followed.
    """
    follower = tracking.Follower(shape, shelf=shelf)
    known: dict[int, tracking.Track] = {}
    for number, image, mask in masks:
        if mask is None:
            continue
        try:
            if has_ids:
                _take_in(known, number, mask, shelf)
            else:
                follower.see(number, mask, image)
        except Exception as error:
            blanks.add(number, "tracking", error)
    return list(known.values()) if has_ids else follower.tracks


def _take_in(known: dict[int, tracking.Track], number: int, mask: np.ndarray, shelf: Shelf) -> None:
    for value in np.unique(mask):
        if value:
            [whole] = _whole(mask == value)
            if int(value) in known:
                known[int(value)].add(whole, number, alone=True)
            else:
                known[int(value)] = tracking.Track(whole, number, shelf)


def _whole(mask: np.ndarray) -> list[Region]:
    """All of a mask as one region, none if it is empty."""
    flat = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(flat)
    if not width:
        return []
    box = np.array([top, left, top + height, left + width])
    return [Region(box, flat[top : top + height, left : left + width])]


def anonymize(
    tracks: Sequence[tracking.Track],
    shape: tuple[int, int],
    fps: float,
    root: jax.Array,
    reshape: Reshape,
    shelf: Shelf,
    context: int = 0,
    whole: Whole | None = None,
) -> Iterator[Person]:
    """Gives everybody another shape, many people and frames in one call of the model.

    Args:
      tracks: who was followed.
      shape: (height, width) of the frames.
      fps: frames a second.
      root: key from which everybody's own is drawn: nobody shares one.
      reshape: the model: silhouettes of several walks and a key each -> silhouettes.
      shelf: where the new silhouettes are put.
      context: how many frames before and after one decide its shape.
      whole: takes the place of `reshape` where a frame's shape depends on all of the walk, see
        `anonymizer.whole_walks`.

    Yields:
      a person a track, in the tracks' order. Who cannot be anonymised is hidden.
    """
    waiting: list[tuple[Person, jax.Array, range]] = []
    done: list[Person] = []
    for number, track in enumerate(tracks):
        table = track.sightings.table()
        person = Person(
            track.sightings,
            reasons(table[:, 1:5], table[:, 5], shape, least_frames=max(5, math.ceil(fps / 3))),
            contour.track_squares(table[:, 1:5]),
            shelf,
            np.zeros((len(table), 2), np.int64),
        )
        key = jax.random.fold_in(root, number)
        length = _PIECE - 2 * context
        if whole is not None and None in person.hidden:
            _as_one(person, key, whole)
        for start in range(0, len(table) if whole is None else 0, length):
            piece = range(start, min(start + length, len(table)))
            if any(person.hidden[i] is None for i in piece):
                waiting.append((person, key, piece))
                if len(waiting) >= _GROUP:
                    _work_off(waiting, reshape, context)
                    waiting = []
        done.append(person)
        if not waiting:
            yield from done
            done = []
    _work_off(waiting, reshape, context)
    yield from done


def _work_off(
    waiting: list[tuple[Person, jax.Array, range]], reshape: Reshape, context: int
) -> None:
    """One call of the model; where it fails, one a piece, then one a frame."""
    if not waiting:
        return
    try:
        crops, skipped = [], []
        for person, _, piece in waiting:
            first = max(piece.start - context, 0)
            last = min(piece.stop + context, len(person.hidden))
            crops.append(np.stack([_crop(person, i) for i in range(first, last)]))
            skipped.append(piece.start - first)
        made = reshape(crops, [key for _, key, _ in waiting])
        for (person, _, piece), walk, skip in zip(waiting, made, skipped, strict=True):
            _keep(person, piece, walk[skip : skip + len(piece)])
    except Exception as error:
        if is_fatal(error):
            raise
        person, key, piece = waiting[0]
        if len(waiting) > 1:
            for one in waiting:
                _work_off([one], reshape, context)
        elif len(piece) > 1:
            for i in piece:
                _work_off([(person, key, range(i, i + 1))], reshape, context)
        else:
            person.hidden[piece[0]] = _failed(error)


def _keep(person: Person, piece: range, made: Iterable[np.ndarray]) -> None:
    for i, silhouette in zip(piece, made, strict=True):
        if silhouette.any():
            person.slips[i] = person.shelf.put(silhouette)
        elif person.hidden[i] is None:
            person.hidden[i] = "nothing generated"


def _as_one(person: Person, key: jax.Array, whole: Whole) -> None:
    """A walk from end to end; where that fails, the person is not shown."""

    def crop(i: int) -> np.ndarray:
        try:
            return _crop(person, i)
        except Exception as error:
            person.hidden[i] = _failed(error)
            return np.zeros((contour.SIZE, contour.SIZE), np.uint8)

    frames = len(person.hidden)
    try:
        for piece, made in whole(lambda piece: np.stack([*map(crop, piece)]), frames, key):
            _keep(person, piece, made)
    except Exception as error:
        person.hidden[:] = [reason or _failed(error) for reason in person.hidden]


def _failed(error: Exception) -> str:
    if is_fatal(error):
        raise error
    return f"anonymising failed ({type(error).__name__})"


def _crop(person: Person, i: int) -> UInt8[np.ndarray, "240 240"]:
    sighting = person.sightings[i]
    here = person.squares[i] - [*sighting.box[:2], 0]
    return _joined(contour.crop_mask(sighting.mask, here))


def _joined(mask: UInt8[np.ndarray, "240 240"]) -> UInt8[np.ndarray, "240 240"]:
    """Bridges the gap that a pole in front of somebody leaves: a contour follows one piece."""
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
    """Why each sighting of a track cannot be anonymised, or None where it can."""
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


def model_of(model: anonymizer.AnyModel) -> Reshape:
    """The call of a model that `anonymize` makes: the one place to put another one."""
    return lambda walks, keys: anonymizer.anonymize_walks(model, walks, keys)
