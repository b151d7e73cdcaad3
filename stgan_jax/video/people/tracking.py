"""Tracking: foreground regions are divided among people, who keep their track over frames."""

import itertools
from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy.signal import find_peaks

from stgan_jax.media.segmentation import Region, middle, regions, union
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings

_LOOKS, _MOST_LOOKS = 2, 32  # appearances of a person alone: needed to compare clothes, stored
_ExpectedBox = Float[np.ndarray, "4"]  # like Box, in fractions of pixels


class RegionTrack:
    """One person over time, by increasing frame; frames may be missing.

    Position and speed follow the sightings by an alpha-beta filter, which trusts a
    silhouette that was cut out of a group less than one that stood alone.

    Attributes:
      sightings: the person's sightings.
      last_frame: number of the latest sighting's frame.
      crowded: how many of the latest frames showed more heads than tracks here.
      area: moving average of the silhouette's area, pixels.
      met: tracks that shared a region with this one and have not been distinguished since.
      look: moving average of the colours, see `appearance`; None without pictures.
    """

    def __init__(self, region: Region, frame: int, shelf: Shelf):
        self.sightings = Sightings(shelf)
        self.sightings.add(frame, region)
        self.last_frame = frame
        self.crowded = 0
        self.area = float(region.area)
        self._middle = middle(region.box)
        self._size = (region.box[2:] - region.box[:2]).astype(np.float64)
        self._speed = np.zeros(2)
        self.met: dict[RegionTrack, None] = {}  # a set in the order of meeting
        self.look: np.ndarray | None = None
        self._looks: list[tuple[int, np.ndarray]] = []  # since the latest meeting

    def add_look(self, look: Float[np.ndarray, "9"], frame: int) -> None:
        """Takes the person's appearance in a frame in which they are alone."""
        if self.met:
            if len(self._looks) < _MOST_LOOKS:
                self._looks.append((frame, look))
        else:
            self.look = look if self.look is None else self.look + 0.2 * (look - self.look)

    def look_since_meeting(self) -> tuple[int, np.ndarray] | None:
        """The first frame alone after a meeting and the median look since; None if too few."""
        if len(self._looks) < _LOOKS:
            return None
        return self._looks[0][0], np.median([look for _, look in self._looks], axis=0)

    def distinguish(self, other: "RegionTrack") -> None:
        """Ends the uncertainty which of the two tracks belongs to whom."""
        for one, two in ((self, other), (other, self)):
            one.met.pop(two, None)
            if not one.met:
                one._looks.clear()

    def meet(self, others: Iterable["RegionTrack"]) -> None:
        """Notes that a region is shared: from now on this track may hold another person."""
        if others := [other for other in others if other is not self]:
            self.met |= dict.fromkeys(others)
            self._looks.clear()

    @property
    def middle(self) -> Float[np.ndarray, "2"]:
        """Filtered position (row, column) at the latest sighting."""
        return self._middle

    def resume(self, region: Region, frame: int) -> None:
        """Continues at an unexpected place, with an unknown speed."""
        self.add(region, frame, alone=True)
        self._middle, self._speed = middle(region.box), np.zeros(2)

    def swap_places(self, other: "RegionTrack", first: int) -> None:
        """Swaps two people: each continues the other's track, from frame `first` on."""
        self.sightings.exchange(other.sightings, first)
        for name in ("last_frame", "area", "_middle", "_size", "_speed", "_looks"):
            own, others = getattr(self, name), getattr(other, name)
            setattr(self, name, others)
            setattr(other, name, own)

    def add(self, region: Region, frame: int, alone: bool) -> None:
        """Appends a sighting; `alone` if the region belongs to nobody else."""
        elapsed = frame - self.last_frame
        expected = self._middle + self._speed * elapsed
        error = middle(region.box) - expected
        first = 1.0 / len(self.sightings)  # the first sightings determine most of the speed
        trust, learn = (0.8, max(0.2, first)) if alone else (0.25, max(0.03, 0.2 * first))
        self._middle = expected + trust * error
        self._speed = self._speed + learn * error / elapsed
        if alone:
            self._size += 0.15 * (region.box[2:] - region.box[:2] - self._size)
            self.area += 0.15 * (region.area - self.area)
        self.sightings.add(frame, region)
        self.last_frame = frame

    def expected(self, frame: int) -> _ExpectedBox:
        """The box at a later frame: of the mean size, moved on at the mean speed."""
        middle = self._middle + self._speed * (frame - self.last_frame)
        return np.concatenate([middle - self._size / 2, middle + self._size / 2])


def patience(fps: float) -> int:
    """Frames without a sighting that end a track: half a second, and three at least."""
    return max(3, int(fps / 2))


class Tracker:
    """Tracks people through frames in order.

    Every connected region goes to the tracks that expect to be there. A region that
    several tracks expect is divided among them, each pixel to the nearest body; heads in
    it that no track expects begin tracks of their own.

    Attributes:
      tracks: everybody's track, in the order of their appearance.
    """

    def __init__(self, shape: tuple[int, int], patience: int = 12, shelf: Shelf | None = None):
        """Takes the frames' (height, width) and how many frames without a sighting end a track."""
        self.tracks: list[RegionTrack] = []
        self._alive: list[RegionTrack] = []
        self._shelf = shelf or Shelf()
        self._patience = patience
        self._least_height = max(16, shape[0] // 30)
        self._least_area = (shape[0] // 60) ** 2

    def update(
        self,
        frame: int,
        mask: UInt8[np.ndarray, "H W"],
        image: UInt8[np.ndarray, "H W 3"] | None = None,
    ) -> None:
        """Takes the foreground (0/1) of the next frame.

        With the frame itself, people who part after they met are distinguished by their
        clothes if these differ enough, otherwise by where they were going.
        """
        self._alive = [t for t in self._alive if frame - t.last_frame <= self._patience]
        for track in self._alive:
            track.met = {other: None for other in track.met if other in self._alive}
        boxes = {track: track.expected(frame) for track in self._alive}
        shares: dict[RegionTrack, list[Region]] = {}
        alone: dict[RegionTrack, bool] = {}
        newcomers: list[Region] = []
        for region in regions(mask, self._least_area):
            mine = _claims(region, boxes)
            seeds = _seeds(region, mine, [boxes[track] for track in mine])
            parts = _divide(region, seeds)
            behind = [n for n, track in enumerate(mine) if parts[n].area < 0.3 * track.area]
            if behind and len(behind) < len(
                seeds
            ):  # too few pixels to be sure that they are theirs
                mine = [track for n, track in enumerate(mine) if n not in behind]
                parts = _divide(region, [box for n, box in enumerate(seeds) if n not in behind])
            for track, part in zip(mine, parts, strict=False):
                shares.setdefault(track, []).append(part)
                alone[track] = alone.get(track, True) and len(seeds) == 1
                track.meet(mine)
            for part in parts[len(mine) :]:
                newcomers.append(part)
        wholes: dict[RegionTrack, Region] = {}
        for track, parts in shares.items():
            main = max(parts, key=lambda part: part.area)
            others = [part for part in parts if part is not main and _stands_beside(part, main)]
            newcomers += others
            if pieces := [part for part in parts if part.area and part not in others]:
                wholes[track] = union(pieces)
        if image is not None:
            _by_clothes(wholes, alone, image, frame)
            missing = [t for t in self._alive if t not in wholes]
            newcomers = _resumed(missing, newcomers, image, frame)
        for part in newcomers:
            self._begin(part, frame)
        for track, whole in wholes.items():
            track.add(whole, frame, alone[track])

    def _begin(self, region: Region, frame: int) -> None:
        if region.height >= max(self._least_height, 0.9 * region.width):
            self._alive.append(RegionTrack(region, frame, self._shelf))
            self.tracks.append(self._alive[-1])


def appearance(image: UInt8[np.ndarray, "H W 3"], region: Region) -> Float[np.ndarray, "9"]:
    """Mean colour of the upper, middle and lower third of a region."""
    top, left, bottom, right = region.box.tolist()
    window, thirds = image[top:bottom, left:right], np.linspace(0, bottom - top, 4).astype(int)
    means = [
        cv2.mean(window[a:b], region.mask[a:b])[:3] for a, b in itertools.pairwise(thirds) if b > a
    ]
    return np.resize(np.array(means), 9)


def _by_clothes(
    wholes: dict[RegionTrack, Region], alone: dict[RegionTrack, bool], image: np.ndarray, frame: int
) -> None:
    """Swaps, in place, two people who met and parted, if their clothes since then fit better so."""
    for track, whole in wholes.items():
        if alone[track]:
            track.add_look(appearance(image, whole), frame)
    for track in list(wholes):
        for other in list(track.met):
            one, two = track.look_since_meeting(), other.look_since_meeting()
            if one is None or two is None or other not in wholes:
                continue
            pairs = ((track.look, one[1], two[1]), (other.look, two[1], one[1]))
            looks = [(before, own, new) for before, own, new in pairs if before is not None]
            stay = sum(_distance(before, own) for before, own, _ in looks)
            change = sum(_distance(before, new) for before, _, new in looks)
            if change < 0.6 * stay and stay - change > 20 * len(looks):
                track.swap_places(other, min(one[0], two[0]))
                wholes[track], wholes[other] = wholes[other], wholes[track]
                alone[track], alone[other] = alone[other], alone[track]
            track.distinguish(other)


def _resumed(
    missing: list[RegionTrack], newcomers: list[Region], image: np.ndarray, frame: int
) -> list[Region]:
    """Continues lost tracks with newcomers of the same look; returns the other newcomers."""
    pairs = []
    for n, region in enumerate(newcomers):
        look = appearance(image, region)
        for track in missing:
            far = np.linalg.norm(middle(region.box) - track.middle)
            if track.look is None or not 0.6 * track.area < region.area < 1.7 * track.area:
                continue
            if far < region.height and _distance(track.look, look) < 50:
                pairs.append((_distance(track.look, look), n, track))
    taken: set[int] = set()
    for _, n, track in sorted(pairs, key=lambda pair: pair[0]):
        if n not in taken and track in missing:
            taken.add(n)
            missing.remove(track)
            track.resume(newcomers[n], frame)
    return [region for n, region in enumerate(newcomers) if n not in taken]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other))


def _claims(region: Region, boxes: dict[RegionTrack, _ExpectedBox]) -> list[RegionTrack]:
    """The tracks that a region belongs to: they share half of the smaller of the two."""
    claims = [
        track
        for track, box in boxes.items()
        if _pixels_in(region, box) > 0.5 * min(region.area, track.area)
    ]
    return [track for track in claims if not _is_fragment(boxes[track], [boxes[t] for t in claims])]


def _pixels_in(region: Region, box: _ExpectedBox) -> int:
    (row, col, *_), (height, width) = region.box.tolist(), region.mask.shape
    top, bottom = (min(max(round(side - row), 0), height) for side in (box[0], box[2]))
    left, right = (min(max(round(side - col), 0), width) for side in (box[1], box[3]))
    if bottom <= top or right <= left:
        return 0
    return cv2.countNonZero(region.mask[top:bottom, left:right])


def _is_fragment(box: _ExpectedBox, others: list[_ExpectedBox]) -> bool:
    """Whether a box is a piece of another body, such as legs that were visible first.

    A piece is far lower than the other box and lies in, above or below it.
    """
    for other in others:
        height, width = other[2] - other[0], box[3] - box[1]
        shared = min(box[3], other[3]) - max(box[1], other[1])
        gap = max(box[0], other[0]) - min(box[2], other[2])
        if box[2] - box[0] < 0.6 * height and shared > 0.6 * width and gap < 0.2 * height:
            return True
    return False


def _seeds(
    region: Region, tracks: list[RegionTrack], expected: list[_ExpectedBox]
) -> list[_ExpectedBox]:
    """Boxes of the bodies in a region: those of its tracks, then those of newcomers.

    More heads than tracks in three consecutive frames mean that somebody joined.
    """
    bodies = _bodies(region)
    if not tracks:
        return bodies

    def column(box):
        return (box[1] + box[3]) / 2

    nearest = [
        min(range(len(bodies)), key=lambda n: abs(column(bodies[n]) - column(box)))
        for box in expected
    ]
    strangers = [body for n, body in enumerate(bodies) if n not in nearest]
    for track in tracks:
        track.crowded = track.crowded + 1 if strangers else 0
    if min(track.crowded for track in tracks) < 3:
        return expected
    # A track that held the group as one person keeps the body nearest to it.
    mine = [
        bodies[n] if box[3] - box[1] > 1.3 * (bodies[n][3] - bodies[n][1]) else box
        for n, box in zip(nearest, expected, strict=True)
    ]
    return mine + strangers


def _bodies(region: Region) -> list[_ExpectedBox]:
    """Boxes of the people in a region, by their heads.

    A head is a peak in the height of the region's upper edge, at least a quarter of the
    tallest body above its surroundings and a fifth of it away from the next head.
    """
    height = region.mask.shape[0]
    filled = region.mask.any(0)
    top = np.where(filled, region.mask.argmax(0), height)
    bottom = np.where(filled, height - region.mask[::-1].argmax(0), height)
    rise = np.pad((height - top).astype(np.float64), 2, mode="edge")
    rise = np.convolve(rise, np.ones(5) / 5, "valid")
    heads, _ = find_peaks(np.pad(rise, 1), prominence=0.25 * height, distance=max(1, height // 5))
    reach = max(1, height // 6)
    bodies = []
    for col in heads - 1:
        window = slice(max(0, col - reach), col + reach + 1)
        box = [top[window].min(), col - reach, bottom[window].max(), col + reach]
        bodies.append(np.array(box, np.float64) + np.tile(region.box[:2], 2))
    return bodies or [region.box.astype(np.float64)]


def _divide(region: Region, seeds: list[_ExpectedBox]) -> list[Region]:
    """Assigns each pixel of a region to the seed box whose inscribed ellipse is nearest."""
    if len(seeds) == 1:
        return [region]
    rows, cols = np.nonzero(region.mask)
    distances = []
    for top, left, bottom, right in seeds:
        row = (rows + region.box[0] - (top + bottom - 1) / 2) / max(bottom - top, 1.0)
        col = (cols + region.box[1] - (left + right - 1) / 2) / max(right - left, 1.0)
        distances.append(row**2 + col**2)
    owner = np.argmin(distances, axis=0)
    parts = []
    for number in range(len(seeds)):
        mask = np.zeros_like(region.mask)
        mask[rows[owner == number], cols[owner == number]] = 1
        parts.append(_trimmed(Region(region.box, mask)))
    return parts


def _trimmed(region: Region) -> Region:
    rows, cols = np.flatnonzero(region.mask.any(1)), np.flatnonzero(region.mask.any(0))
    if not len(rows):
        return Region(np.tile(region.box[:2], 2), np.zeros((0, 0), np.uint8))
    inner = region.mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    corner = region.box[:2] + [rows[0], cols[0]]
    return Region(np.concatenate([corner, corner + inner.shape]), inner)


def _stands_beside(part: Region, main: Region) -> bool:
    """Whether a part is a body of its own beside another, not a detached limb of it."""
    shared = min(part.box[3], main.box[3]) - max(part.box[1], main.box[1])
    return bool(part.height > 0.6 * main.height and shared < 0.3 * part.width)
