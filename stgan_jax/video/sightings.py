"""Where somebody was seen, frame by frame, in little memory."""

import array
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.video.segmentation import Box, Region
from stgan_jax.video.shelf import Shelf, Slip


@dataclasses.dataclass(frozen=True, eq=False)
class Sighting:
    """Where one person was seen in one frame; the silhouette lies on a shelf.

    Attributes:
      frame: its number.
      box: of the silhouette.
      area: of the silhouette, pixels.
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
        """The silhouette on an empty frame."""
        return Region(self.box, self.mask).on(shape)


class Sightings(Sequence[Sighting]):
    """Sightings in 64 bytes each, made into objects as they are asked for."""

    _WIDTH = 8

    def __init__(self, shelf: Shelf):
        self._shelf = shelf
        self._rows = array.array("q")

    def add(self, frame: int, region: Region) -> None:
        """Puts one more at the end."""
        slip = self._shelf.put(region.mask)
        self._rows.extend((frame, *map(int, region.box), region.area, *slip))

    def exchange(self, other: "Sightings", first: int) -> None:
        """What was seen from a frame on goes to the other one, and the other way round."""
        at, its = self._row_of(first), other._row_of(first)
        self._rows[at:], other._rows[its:] = other._rows[its:], self._rows[at:]

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
        """Boxes of some, as in a slice."""
        part = self._rows[start * self._WIDTH : stop * self._WIDTH]
        return np.array(part, np.int64).reshape(-1, self._WIDTH)[:, 1:5]

    def table(self) -> Int[np.ndarray, "T 8"]:
        """(frame, top, left, bottom, right, area, and where the mask lies) of all."""
        return np.array(self._rows, np.int64).reshape(-1, self._WIDTH)
