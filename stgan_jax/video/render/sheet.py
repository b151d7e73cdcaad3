"""Contact sheets: a few people over time, before and after, in one picture."""

import dataclasses
import os
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.shapes import cropping
from stgan_jax.util import files

_CELL = 120  # pixels
_ROWS = ("original", "silhouette", "anonymised", "recoloured")


@dataclasses.dataclass
class Cell:
    """One person in one frame: a column of four pictures.

    Attributes:
      person, column: place in the sheet.
      square: the crop (top, left, side).
      own, anonymized: silhouettes in the crop, 0/1.
      colors: original and recoloured crop, set by `fill`.
    """

    person: int
    column: int
    square: Int[np.ndarray, "3"]
    own: UInt8[np.ndarray, "240 240"]
    anonymized: UInt8[np.ndarray, "240 240"]
    colors: tuple[np.ndarray, ...] = ()

    def fill(self, frame: np.ndarray, anonymized_frame: np.ndarray) -> None:
        """Cuts the person out of the original and the anonymised RGB frame."""
        self.colors = tuple(cropping.crop(f, self.square) for f in (frame, anonymized_frame))

    def pictures(self) -> list[UInt8[np.ndarray, "240 240 3"]]:
        """The four pictures, top to bottom."""
        black_white = [
            np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, -1)
            for mask in (self.own, self.anonymized)
        ]
        return [self.colors[0], *black_white, self.colors[1]]


def write(path: str | os.PathLike, cells: Sequence[Cell]) -> None:
    """Writes a PNG with a block of four labelled rows for each person, a column for each frame."""
    margin = 84
    people = 1 + max(cell.person for cell in cells)
    columns = 1 + max(cell.column for cell in cells)
    image = np.full((people * 4 * _CELL, margin + columns * _CELL, 3), 40, np.uint8)
    for cell in cells:
        for row, picture in enumerate(cell.pictures()):
            top, left = (4 * cell.person + row) * _CELL, margin + cell.column * _CELL
            small = cv2.resize(picture, (_CELL, _CELL), interpolation=cv2.INTER_AREA)
            image[top : top + _CELL, left : left + _CELL] = small
    for row in range(4 * people):
        at = (4, row * _CELL + _CELL // 2)
        cv2.putText(image, _ROWS[row % 4], at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (230,) * 3, 1, 16)
    with files.replacing(path) as beside:
        cv2.imwrite(os.fspath(beside), image[..., ::-1])
