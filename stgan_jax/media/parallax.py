"""What a homography lacks where things at several depths are passed: near ones go farther.

In cells of a picture, for corners are few.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

# Pixels of a cell whose corners go along, so many of them at least, and within so many pixels.
_CELL, _FEW, _AGREE = 60, 4, 4.0
_ROUNDS = 3  # in which cells are fitted to corners


def local(
    here: Float[np.ndarray, "N 2"],
    off: Float[np.ndarray, "N 2"],
    shape: Sequence[int],
) -> Float32[np.ndarray, "R C 2"]:
    """How far a homography is off in each cell of a picture, by corners that agree.

    What is between the middles of cells is as far off as the corners there, in their mean. Cells
    with few of them are as those around.

    Args:
      here: corners (x, y) in one picture.
      off: how far they are in another one from where the homography takes them.
      shape: (height, width) of the one.
    """
    cells = np.zeros((-(-shape[0] // _CELL), -(-shape[1] // _CELL), 2), np.float32)
    known = np.zeros(cells.shape[:2], bool)
    cell = (here // _CELL).astype(int)
    members: dict[tuple[int, int], np.ndarray] = {}
    for col, row in np.unique(cell, axis=0):
        inside = np.flatnonzero((cell == (col, row)).all(1))
        away = off[inside] - np.median(off[inside], axis=0)
        agree = inside[np.linalg.norm(away, axis=1) < _AGREE]
        if len(agree) >= max(_FEW, 0.5 * len(inside)):
            members[row, col], known[row, col] = agree, True
    for _ in range(_ROUNDS):  # corners are not about the middle of their cell
        lacks = off - at(spread(cells, known), here)
        for place, agree in members.items():
            cells[place] += lacks[agree].mean(0)
    return spread(cells, known)


def widened(
    cells: Float32[np.ndarray, "R C 2"], shape: Sequence[int]
) -> Float32[np.ndarray, "h w 2"]:
    """What `local` gives, at each pixel of a picture of (height, width)."""
    around = _continued(cells)
    wide = cv2.resize(around, (around.shape[1] * _CELL, around.shape[0] * _CELL))
    return np.asarray(wide[_CELL : _CELL + shape[0], _CELL : _CELL + shape[1]])


def at(
    cells: Float32[np.ndarray, "R C 2"], points: Float[np.ndarray, "N 2"]
) -> Float32[np.ndarray, "N 2"]:
    """What `local` gives at points (x, y) of its picture."""
    place = (points / _CELL + 0.5).astype(np.float32)
    if not len(place):
        return place
    return np.asarray(
        cv2.remap(_continued(cells), place[:, :1], place[:, 1:], cv2.INTER_LINEAR)[:, 0]
    )


def _continued(cells: Float32[np.ndarray, "R C 2"]) -> Float32[np.ndarray, "P Q 2"]:
    """Cells with one more on each side, which go on as the last two do."""
    for axis in (0, 1):
        if cells.shape[axis] > 1:
            ends = [np.take(cells, n, axis) for n in ((0, 1), (-1, -2))]
            more = [2 * np.take(e, [0], axis) - np.take(e, [1], axis) for e in ends]
        else:
            more = [cells, cells]
        cells = np.concatenate([more[0], cells, more[1]], axis)
    return cells


def places(
    pose: Float[np.ndarray, "3 3"],
    off: Float32[np.ndarray, "h w 2"],
    scale: float,
    corner: np.ndarray,
    size: tuple[int, int],
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Columns and rows in another picture of what a window of one shows, for `cv2.remap`.

    Args:
      pose: homography from the one to the other.
      off: how far that is off in the small picture, see `widened`.
      scale: size of small pictures, as a share of the others.
      corner: (x, y) of the window in the one.
      size: its (width, height).
    """
    cols, rows = np.meshgrid(
        np.arange(size[0], dtype=np.float32) + np.float32(corner[0]),
        np.arange(size[1], dtype=np.float32) + np.float32(corner[1]),
    )
    half = np.float32((scale - 1) / 2)
    small = cv2.remap(
        off, cols * scale + half, rows * scale + half, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    h = pose.astype(np.float32)
    depth = h[2, 0] * cols + h[2, 1] * rows + h[2, 2]
    x = (h[0, 0] * cols + h[0, 1] * rows + h[0, 2]) / depth
    y = (h[1, 0] * cols + h[1, 1] * rows + h[1, 2]) / depth
    return x + small[..., 0] / np.float32(scale), y + small[..., 1] / np.float32(scale)


def spread(
    values: Float32[np.ndarray, "H W 2"], known: Bool[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W 2"]:
    """Values continued along rows, and then along columns, from where they are known.

    What is beside something is about as far away, on a ground and on walls.
    """
    out, rows = np.zeros_like(values), np.flatnonzero(known.any(1))
    if not len(rows):
        return out
    for n in (0, 1):
        for row in rows:
            cols = np.flatnonzero(known[row])
            out[row, :, n] = np.interp(np.arange(known.shape[1]), cols, values[row, cols, n])
        for col in range(known.shape[1]):
            out[:, col, n] = np.interp(np.arange(known.shape[0]), rows, out[rows, col, n])
    return out
