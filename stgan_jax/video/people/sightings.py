"""A person's place and silhouette in each frame, in little memory."""

import array
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8

from stgan_jax.media.segmentation import Box, Region, union
from stgan_jax.video.people.shelf import Shelf, Slip

CLEAR, MIDDLE = 8, 11  # columns of `Sightings.table`
_JOINTS = (33, 3)


@dataclasses.dataclass(frozen=True, eq=False)
class Sighting:
    """One person in one frame.

    Attributes:
      frame: the frame's number.
      box: the silhouette's bounding box.
      area: the silhouette's pixels.
      shelf: where the silhouette is stored.
      slip: its place there.
      clear: whether the silhouette is the person's outline; if not, it is what moves around them.
      joints_slip: place of the joints.
    """

    frame: int
    box: Box
    area: int
    shelf: Shelf
    slip: Slip
    clear: bool
    joints_slip: Slip

    @property
    def mask(self) -> UInt8[np.ndarray, "h w"]:
        """The silhouette (0/1) inside its box."""
        height, width = self.box[2:] - self.box[:2]
        return self.shelf.get(self.slip, (int(height), int(width)))

    @property
    def joints(self) -> Float32[np.ndarray, "33 3"] | None:
        """Row and column in pixels of the frame, and visibility, 0 to 1, of BlazePose's joints.

        None if they are unknown.
        """
        return self.shelf.get_numbers(self.joints_slip, _JOINTS) if self.joints_slip[1] else None

    def on(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """The silhouette as a mask of a whole frame."""
        return Region(self.box, self.mask).on(shape)


class Sightings(Sequence[Sighting]):
    """A sequence of sightings in 96 bytes each; a `Sighting` is built on access."""

    _WIDTH = 12

    def __init__(self, shelf: Shelf):
        self._shelf = shelf
        self._rows = array.array("q")

    def add(
        self,
        frame: int,
        region: Region,
        joints: Float32[np.ndarray, "33 3"] | None = None,
        clear: bool = True,
    ) -> None:
        """Appends a sighting and stores its silhouette and joints."""
        slip = self._shelf.put(region.mask)
        other = (0, 0) if joints is None else self._shelf.put_numbers(joints)
        columns = region.mask.sum(0)
        middle = region.box[1] + columns @ np.arange(0.5, len(columns)) / max(columns.sum(), 1)
        box = map(int, region.box)
        self._rows.extend((frame, *box, region.area, *slip, int(clear), *other, round(middle)))

    def part(self, first: int, last: int) -> "Sightings":
        """The sightings from frame `first` to `last`."""
        out = Sightings(self._shelf)
        out._rows = self._rows[self._row_of(first) : self._row_of(last + 1)]
        return out

    @classmethod
    def joined(cls, parts: Sequence["Sightings"], shelf: Shelf) -> "Sightings":
        """One person's sightings in several parts. In a frame of two, the silhouette is both's."""
        out = cls(shelf)
        by_frame: dict[int, list[Sighting]] = {}
        for sighting in (sighting for part in parts for sighting in part):
            by_frame.setdefault(sighting.frame, []).append(sighting)
        for frame, some in sorted(by_frame.items()):
            main = max(some, key=lambda sighting: sighting.area)
            out.add(frame, union(some), main.joints, main.clear)
        return out

    def exchange(self, other: "Sightings", first: int) -> None:
        """Swaps all sightings from frame `first` on with those of another sequence."""
        own, others = self._row_of(first), other._row_of(first)
        self._rows[own:], other._rows[others:] = other._rows[others:], self._rows[own:]

    def _row_of(self, frame: int) -> int:
        count = len(self)
        while count and self._rows[(count - 1) * self._WIDTH] >= frame:
            count -= 1
        return count * self._WIDTH

    def __len__(self) -> int:
        return len(self._rows) // self._WIDTH

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        at = index % len(self) * self._WIDTH
        frame, *box, area, offset, length, clear, joints, size, _ = self._rows[
            at : at + self._WIDTH
        ]
        slip, other = (offset, length), (joints, size)
        return Sighting(frame, np.array(box), area, self._shelf, slip, bool(clear), other)

    def boxes(self, start: int, stop: int) -> Int[np.ndarray, "T 4"]:
        """Boxes of the sightings start:stop."""
        part = self._rows[start * self._WIDTH : stop * self._WIDTH]
        return np.array(part, np.int64).reshape(-1, self._WIDTH)[:, 1:5]

    def table(self) -> Int[np.ndarray, "T 12"]:
        """A row for each sighting.

        Frame, top, left, bottom, right, area, the silhouette's slip, whether it is clear, the
        joints' slip, and the column of the silhouette's centre of mass.
        """
        return np.array(self._rows, np.int64).reshape(-1, self._WIDTH)


@dataclasses.dataclass(frozen=True)
class Subject:
    """Somebody in a clip.

    Attributes:
      sightings: where, and with which silhouettes.
      why: why they cannot be anonymised at all; None if they can.
      place: among the clip's people, from 0, which decides on the random numbers; by default the
        place in the list.
      body: which of the bodies that these numbers make possible; 0 is the first.
    """

    sightings: Sightings
    why: str | None = None
    place: int | None = None
    body: int = 0
