"""A person's place and silhouette in each frame, in little memory."""

import array
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.media.segmentation import Box, Region
from stgan_jax.video.people.shelf import Shelf, Slip


@dataclasses.dataclass(frozen=True, eq=False)
class Sighting:
    """One person in one frame.

    Attributes:
      frame: the frame's number.
      box: the silhouette's bounding box.
      area: the silhouette's pixels.
      shelf: where the silhouette is stored.
      slip: its place there.
    """

    frame: int
    box: Box
    area: int
    shelf: Shelf
    slip: Slip

    @property
    def mask(self) -> UInt8[np.ndarray, "h w"]:
        """The silhouette (0/1) inside its box."""
        height, width = self.box[2:] - self.box[:2]
        return self.shelf.get(self.slip, (int(height), int(width)))

    def on(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """The silhouette as a mask of a whole frame."""
        return Region(self.box, self.mask).on(shape)


class Sightings(Sequence[Sighting]):
    """A sequence of sightings in 64 bytes each; a `Sighting` is built on access."""

    _WIDTH = 8

    def __init__(self, shelf: Shelf):
        self._shelf = shelf
        self._rows = array.array("q")

    def add(self, frame: int, region: Region) -> None:
        """Appends a sighting and stores its silhouette."""
        slip = self._shelf.put(region.mask)
        self._rows.extend((frame, *map(int, region.box), region.area, *slip))

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
        frame, *box, area, offset, length = self._rows[at : at + self._WIDTH]
        return Sighting(frame, np.array(box), area, self._shelf, (offset, length))

    def boxes(self, start: int, stop: int) -> Int[np.ndarray, "T 4"]:
        """Boxes of the sightings start:stop."""
        part = self._rows[start * self._WIDTH : stop * self._WIDTH]
        return np.array(part, np.int64).reshape(-1, self._WIDTH)[:, 1:5]

    def table(self) -> Int[np.ndarray, "T 8"]:
        """A row for each sighting: frame, top, left, bottom, right, area and the slip's numbers."""
        return np.array(self._rows, np.int64).reshape(-1, self._WIDTH)
