"""Doubtful moments of an anonymised clip: what a person should look at first."""

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, segmentation
from stgan_jax.video.decisions import Corners
from stgan_jax.video.mending import COVERED
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.people.sightings import CLEAR

# In the order in which they are to be looked at.
KINDS = {
    "leftover": "something moves and is shown as it is",
    "blank": "nobody is shown, after a failure",
    "unknown": "whether something else moves was not looked for: look through all of them",
    "covered": "is covered",
    "unclear": "has no clear outline",
    "crossing": "cross each other",
    "edge": "is at the edge of the frame",
}

_APART = 0.5  # seconds between frames of one moment
_SAME = 2  # grey levels by which a pixel that is shown as it is may differ
_SHARED = 0.1  # of the smaller box: people whose boxes share more cross each other
_LEAST = 16  # pixels: what is lower is too small to be told


@dataclasses.dataclass(frozen=True)
class Moment:
    """Consecutive frames that are to be looked at.

    Attributes:
      kind: one of `KINDS`.
      tracks: whom it is about; empty if nobody was found there.
      first, last: frames.
      box: where, in the first frame.
      text: what is doubtful.
    """

    kind: str
    tracks: tuple[int, ...]
    first: int
    last: int
    box: Corners | None
    text: str

    @property
    def name(self) -> str:
        """By which it is remembered that somebody has looked."""
        return "-".join(map(str, (self.kind, *self.tracks, self.first, self.last)))


def leftover(
    image: UInt8[np.ndarray, "H W 3"],
    result: UInt8[np.ndarray, "H W 3"],
    empty: UInt8[np.ndarray, "H W 3"],
    scene: background.EmptyScene,
    as_is: UInt8[np.ndarray, "H W"] | None,
) -> Corners | None:
    """The largest thing that differs from the empty scene and is shown as it is.

    Args:
      image: the original, RGB.
      result: what is shown in its place.
      empty: the scene in the light of the frame.
      scene: the empty scene, whose thresholds are used.
      as_is: 1 where somebody decided that the frame is shown as it is.
    """
    mask = segmentation.foreground(image, empty, scene.threshold)
    mask &= (cv2.absdiff(image, result).max(-1) <= _SAME).astype(np.uint8)
    if as_is is not None:
        mask &= 1 - as_is
    lowest = max(_LEAST, image.shape[0] // 30)
    large = [r for r in segmentation.regions(mask, lowest * lowest // 6) if r.height >= lowest]
    if not large:
        return None
    return _corners(max(large, key=lambda region: region.area).box)


def doubtful(
    persons: Sequence[Person],
    leftovers: Mapping[int, Corners],
    blanked: Mapping[int, str],
    shape: tuple[int, int],
    fps: float,
    unknown: range,
) -> list[Moment]:
    """All doubtful moments, those that matter most first.

    Args:
      persons: everybody who is not left as they are.
      leftovers: frame -> box, from `leftover`.
      blanked: frame -> why nobody is shown in it.
      shape: (height, width) of the frames.
      fps: frames a second.
      unknown: frames in which leftovers cannot be told.
    """
    gap = max(1, round(_APART * fps))
    found = [
        Moment("leftover", (), first, last, leftovers[first], KINDS["leftover"])
        for first, last in _runs(leftovers, gap)
    ]
    found += [
        Moment("blank", (), first, last, None, f"{KINDS['blank']}: {blanked[first]}")
        for first, last in _runs(blanked, gap)
    ]
    if unknown:
        first, last = unknown[0], unknown[-1]
        found.append(Moment("unknown", (), first, last, None, KINDS["unknown"]))
    for person in persons:
        found += _of_person(person, shape, gap)
    for one, other in itertools.combinations(persons, 2):
        found += _crossings(one, other, gap)
    order = list(KINDS)
    return sorted(found, key=lambda moment: (order.index(moment.kind), moment.first))


def _of_person(person: Person, shape: tuple[int, int], gap: int) -> Iterator[Moment]:
    table = person.sightings.table()
    frames, boxes = table[:, 0], table[:, 1:5]
    drawn = np.array([reason is None for reason in person.hidden], bool)
    edge = np.any(boxes[:, :2] <= 0, axis=1) | np.any(boxes[:, 2:] >= np.array(shape), axis=1)
    marks = {"unclear": drawn & (table[:, CLEAR] == 0), "edge": drawn & edge}
    places = {int(frame): _corners(box) for frame, box in zip(frames, boxes, strict=True)}
    for reason in dict.fromkeys(filter(None, person.hidden)):
        if reason != COVERED:
            at = frames[[why == reason for why in person.hidden]]
            for first, last in _runs(at.tolist(), gap):
                text = f"person {person.number} {KINDS['covered']}: {reason}"
                yield Moment("covered", (person.number,), first, last, places[first], text)
    for kind, mark in marks.items():
        for first, last in _runs(frames[mark].tolist(), gap):
            text = f"person {person.number} {KINDS[kind]}"
            yield Moment(kind, (person.number,), first, last, places[first], text)


def _crossings(one: Person, other: Person, gap: int) -> Iterator[Moment]:
    tables = [person.sightings.table() for person in (one, other)]
    frames, *rows = np.intersect1d(tables[0][:, 0], tables[1][:, 0], return_indices=True)
    boxes = [table[at, 1:5] for table, at in zip(tables, rows, strict=True)]
    low = np.maximum(boxes[0][:, :2], boxes[1][:, :2])
    high = np.minimum(boxes[0][:, 2:], boxes[1][:, 2:])
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in boxes]
    shared = np.prod(np.maximum(high - low, 0), axis=1) > _SHARED * np.minimum(*areas)
    for first, last in _runs(frames[shared].tolist(), gap):
        i = int(np.searchsorted(frames, first))
        box = np.concatenate([low[i], high[i]])
        text = f"persons {one.number} and {other.number} {KINDS['crossing']}"
        yield Moment("crossing", (one.number, other.number), first, last, _corners(box), text)


def _runs(frames: Collection[int], gap: int) -> Iterator[tuple[int, int]]:
    """First and last frame of each run; frames of a run are at most `gap` apart."""
    numbers = np.array(sorted(frames), int)
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > gap) + 1):
        if len(run):
            yield int(run[0]), int(run[-1])


def _corners(box: np.ndarray) -> Corners:
    top, left, bottom, right = map(int, box)
    return left, top, right, bottom
