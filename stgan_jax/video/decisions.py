"""What a person decided about a clip: a small JSON file, and the plan that it makes.

A file fits one clip, as `Footage` describes it. Decisions are applied in their order, each to what
those before it made, so that the last one can always be undone. Nothing here holds a picture.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stgan_jax.util import files
from stgan_jax.util.errors import InputError

VERSION = 1
SUFFIX = ".decisions.json"
MOST = 10_000  # decisions of a clip, and key frames of a box
_SAME = 0.5  # intersection over union from which a track is the one that was decided about

Decision = Any  # by its "do", with what `_FIELDS` asks for, once it is checked
Corners = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as in the report

# What each decision has to say, and what it may say.
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "anew": ({"track", "body"}, {"alpha"}),
    "cover": ({"track"}, set()),
    "leave": ({"track", "sure"}, set()),
    "merge": ({"track", "with"}, set()),
    "split": ({"track", "frame"}, set()),
    "add": ({"boxes"}, set()),
    "hide": ({"box"}, {"first", "last"}),
}


@dataclasses.dataclass(frozen=True)
class Extent:
    """Where a track is: its first and last frame, and its box in the middle of its sightings."""

    first: int
    last: int
    box: Corners


@dataclasses.dataclass(frozen=True)
class Footage:
    """The clip that decisions are about.

    Attributes:
      sha256: of the file, or of the names and bytes of a folder's pictures.
      frames: their number.
      width, height: size of the frames as they are worked on, pixels.
      tracks: whom the program found, by the numbers of the report.
    """

    sha256: str
    frames: int
    width: int
    height: int
    tracks: Mapping[int, Extent]


@dataclasses.dataclass(frozen=True)
class Part:
    """The frames `first` to `last` of a track that was found, or of boxes that were added.

    Attributes:
      source: number of a found track, or key frames and their boxes.
      first, last: frames.
    """

    source: int | tuple[tuple[int, Corners], ...]
    first: int
    last: int

    def box(self, frame: int) -> Corners:
        """The added box at a frame, interpolated between its key frames."""
        assert not isinstance(self.source, int)
        keys = [number for number, _ in self.source]
        sides = np.array([box for _, box in self.source], float)
        left, top, right, bottom = (np.interp(frame, keys, side) for side in sides.T)
        return int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))


@dataclasses.dataclass(frozen=True)
class Planned:
    """What becomes of a track.

    Attributes:
      number: its name; a track that is split off or added gets the next free number.
      parts: what it consists of.
      how: "found" (as the program decides), "draw", "cover" or "leave".
      body: which of the strangers' bodies is drawn, 0 is the first.
      alpha: this track's alpha; None for the clip's.
    """

    number: int
    parts: tuple[Part, ...]
    how: str = "found"
    body: int = 0
    alpha: float | None = None

    @property
    def first(self) -> int:
        """The first frame."""
        return min(part.first for part in self.parts)

    @property
    def last(self) -> int:
        """The last frame."""
        return max(part.last for part in self.parts)


@dataclasses.dataclass(frozen=True)
class Curtain:
    """A region of the scene that is never shown, from frame `first` to `last`."""

    box: Corners
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all decisions together make of a clip."""

    tracks: tuple[Planned, ...]
    curtains: tuple[Curtain, ...] = ()


def plan(decisions: Sequence[Decision], clip: Footage) -> Plan:
    """Applies decisions in their order. Raises `InputError` for the first that does not fit."""
    if len(decisions) > MOST:
        raise InputError(f"{len(decisions)} decisions are too many, {MOST} are the most")
    tracks = {
        number: Planned(number, (Part(number, extent.first, extent.last),))
        for number, extent in clip.tracks.items()
    }
    curtains: list[Curtain] = []
    spare = max(tracks, default=0) + 1
    for number, decision in enumerate(decisions, 1):
        try:
            spare = _apply(_checked(decision), clip, tracks, curtains, spare)
        except InputError as error:
            raise InputError(f"decision {number} {error}") from error
    return Plan(tuple(tracks.values()), tuple(curtains))


def _apply(
    decision: Decision,
    clip: Footage,
    tracks: dict[int, Planned],
    curtains: list[Curtain],
    spare: int,
) -> int:
    """Applies a decision in place; returns the next free number."""
    does = decision["do"]
    if does == "hide":
        first = _frame(decision.get("first", 0), clip)
        last = _frame(decision.get("last", clip.frames - 1), clip)
        if last < first:
            raise InputError("ends before it begins")
        curtains.append(Curtain(_box(decision["box"], clip), first, last))
        return spare
    if does == "add":
        keys = _keys(decision["boxes"], clip)
        tracks[spare] = Planned(spare, (Part(keys, keys[0][0], keys[-1][0]),))
        return spare + 1
    track = _track(decision["track"], tracks)
    if does == "anew":
        body, alpha = decision["body"], decision.get("alpha")
        if type(body) is not int or not 0 <= body <= MOST:
            raise InputError(f"needs a body from 0 to {MOST}")
        if alpha is not None and (type(alpha) not in (int, float) or not 0 <= alpha <= 1):
            raise InputError("needs an alpha from 0 to 1")
        changed = dataclasses.replace(track, how="draw", body=body, alpha=alpha)
    elif does == "cover":
        changed = dataclasses.replace(track, how="cover")
    elif does == "leave":
        if decision["sure"] is not True:
            raise InputError('shows a track as it is: it needs "sure": true')
        changed = dataclasses.replace(track, how="leave")
    elif does == "merge":
        other = _track(decision["with"], tracks)
        if other is track:
            raise InputError("merges a track with itself")
        del tracks[other.number]
        changed = dataclasses.replace(track, parts=track.parts + other.parts)
    else:
        at = _frame(decision["frame"], clip)
        if not track.first < at <= track.last:
            raise InputError(f"splits track {track.number} where it is not, at frame {at}")
        before = (_cut(part, part.first, min(part.last, at - 1)) for part in track.parts)
        after = (_cut(part, max(part.first, at), part.last) for part in track.parts)
        changed = dataclasses.replace(track, parts=tuple(filter(None, before)))
        tracks[spare] = dataclasses.replace(track, number=spare, parts=tuple(filter(None, after)))
        spare += 1
    tracks[track.number] = changed
    return spare


def _cut(part: Part, first: int, last: int) -> Part | None:
    return dataclasses.replace(part, first=first, last=last) if first <= last else None


def _checked(decision: Any) -> Decision:
    does = decision.get("do") if isinstance(decision, dict) else None
    if not isinstance(does, str) or does not in _FIELDS:
        raise InputError(f'needs "do", one of {", ".join(_FIELDS)}')
    needed, possible = _FIELDS[does]
    fields = set(decision) - {"do"}
    if not needed <= fields or fields - needed - possible:
        names = ", ".join([*sorted(needed), *(f"perhaps {name}" for name in sorted(possible))])
        raise InputError(f"({does}) needs {names}, and nothing else")
    return decision


def _track(number: Any, tracks: Mapping[int, Planned]) -> Planned:
    if type(number) is not int or number not in tracks:
        raise InputError("names a track that is not there")
    return tracks[number]


def _frame(number: Any, clip: Footage) -> int:
    if type(number) is not int or not 0 <= number < clip.frames:
        raise InputError(f"needs a frame from 0 to {clip.frames - 1}")
    return number


def _box(box: Any, clip: Footage) -> Corners:
    whole = isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)
    if whole:
        left, top, right, bottom = box
        if 0 <= left < right <= clip.width and 0 <= top < bottom <= clip.height:
            return left, top, right, bottom
    raise InputError(
        f"needs a box as [left, top, right, bottom] inside {clip.width} x {clip.height} pixels"
    )


def _keys(boxes: Any, clip: Footage) -> tuple[tuple[int, Corners], ...]:
    if not isinstance(boxes, list) or not 1 <= len(boxes) <= MOST:
        raise InputError(f"needs 1 to {MOST} boxes")
    keys = []
    for one in boxes:
        if not isinstance(one, dict) or set(one) != {"frame", "box"}:
            raise InputError("needs a frame and a box for each key")
        keys.append((_frame(one["frame"], clip), _box(one["box"], clip)))
    numbers = [number for number, _ in keys]
    if numbers != sorted(set(numbers)):
        raise InputError("needs boxes in the order of their frames, one for each")
    return tuple(keys)


@dataclasses.dataclass(frozen=True)
class Record:
    """The contents of a file of decisions.

    Attributes:
      clip: what they are about.
      decisions: in their order.
      undone: what was undone, the next to be done again last. Only the review page uses it.
      seen: names of the doubtful moments that a person has looked at.
    """

    clip: Footage
    decisions: tuple[Decision, ...] = ()
    undone: tuple[Decision, ...] = ()
    seen: tuple[str, ...] = ()

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file, complete or not at all."""
        values = {"version": VERSION, **dataclasses.asdict(self)}
        lines = [f"{json.dumps(name)}: {_lines(value)}" for name, value in values.items()]
        with files.replacing(path) as beside, open(beside, "x") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("{\n" + ",\n".join(lines) + "\n}\n")
            file.flush()
            os.fsync(file.fileno())


def _lines(value: Any) -> str:
    """JSON with a line for each entry of a list."""
    if not isinstance(value, tuple) or not value:
        return json.dumps(value)
    return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n]"


def beside(source: Path) -> Path:
    """Where the decisions about a clip lie by default."""
    path = source.absolute() if source.name in ("", "..") else source
    return path.with_name(files.shortened(path.name, SUFFIX) + SUFFIX)


def read(path: str | os.PathLike, clip: Path) -> Record:
    """Reads decisions. Raises `InputError` if they are damaged, or are about another clip."""
    try:
        values = json.loads(Path(path).read_bytes())
        if values["version"] != VERSION:
            raise InputError(
                f"{path}: is of version {values['version']!r}, and this program reads {VERSION}"
            )
        about = dict(values["clip"])
        tracks = {
            int(number): Extent(extent["first"], extent["last"], tuple(extent["box"]))
            for number, extent in about.pop("tracks").items()
        }
        record = Record(
            Footage(**about, tracks=tracks),
            *(tuple(values.get(name, ())) for name in ("decisions", "undone", "seen")),
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: holds no decisions about a clip") from error
    if record.clip.sha256 != files.digest(clip):
        raise InputError(f"{path}: is about another file than {clip}: review this one, too")
    return record


def fitted(record: Record, path: str | os.PathLike, clip: Footage) -> Record:
    """Decisions of a file, once it is sure that they fit what was found.

    Raises:
      InputError: other people were found when they were made, or one of them does not fit.
    """
    if why := _difference(record.clip, clip):
        raise InputError(f"{path}: {why}: review the clip again")
    try:
        plan(record.decisions, clip)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return dataclasses.replace(record, clip=clip)


def _difference(record: Footage, clip: Footage) -> str | None:
    """Why decisions about one clip cannot be taken for another."""
    for name in ("frames", "width", "height"):
        was, now = getattr(record, name), getattr(clip, name)
        if was != now:
            return f"its clip had {was!r} as {name}, and this one has {now}"
    if record.tracks.keys() != clip.tracks.keys() or not all(
        _is_same(extent, clip.tracks[number]) for number, extent in record.tracks.items()
    ):
        return "other people were found then than now, by other options or another version"
    return None


def _is_same(one: Extent, other: Extent) -> bool:
    try:
        low, high = np.array(one.box).reshape(2, 2), np.array(other.box).reshape(2, 2)
        shared = np.prod(np.maximum(np.minimum(low[1], high[1]) - np.maximum(low[0], high[0]), 0))
        union = np.prod(low[1] - low[0]) + np.prod(high[1] - high[0]) - shared
    except (TypeError, ValueError):
        return False
    return (one.first, one.last) == (other.first, other.last) and bool(shared >= _SAME * union)
