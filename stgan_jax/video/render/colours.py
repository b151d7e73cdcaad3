"""Paints anonymised people with the colours of the transfer network (Colour 2020)."""

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.methods.color.networks import SIZE
from stgan_jax.shapes import cropping
from stgan_jax.video.render import head

_AROUND = 0.08  # of the stature: margin around the silhouette that may hold the person's own pixels


def paint(
    network: Recolorer,
    canvas: UInt8[np.ndarray, "H W 3"],
    frame: UInt8[np.ndarray, "H W 3"],
    own: UInt8[np.ndarray, "H W"],
    anonymized: UInt8[np.ndarray, "H W"],
    square: Int[np.ndarray, "3"],
    stature: head.Stature = head.UNKNOWN,
) -> None:
    """Paints one person onto a canvas that shows the scene, in place; see `nearest.paint`.

    The network's input is the frame at the person and near them, and the canvas elsewhere, so
    that nobody else is shown; at the head, of which only the silhouette's own pixels are
    unrecognisable, the frame is limited to the silhouette. Kept colours are the frame's, in its
    own resolution.

    Args:
      network: the transfer network.
      canvas: starts as the scene.
      frame: the original, the head hidden by `head.hide`.
      own: silhouette, 0/1.
      anonymized: the new silhouette, 0/1.
      square: the person's crop (top, left, side); it may reach beyond the frame.
      stature: the person's height, as far as it is known.
    """
    if not anonymized.any() or not own.any():
        return
    source = np.where(_near(own, stature)[..., None] > 0, frame, canvas)
    colors = cropping.crop(source, square, SIZE)
    mask = cropping.crop_mask(anonymized, square, SIZE)
    drawn, kept = (np.asarray(output)[0] for output in network.maps(colors[None], mask[None]))
    maps = np.concatenate([kept[..., None], drawn * 255 * (1 - kept[..., None])], -1)
    shape, (top, left, side) = canvas.shape[:2], map(int, square)
    full = cv2.resize(maps, (side, side), interpolation=cv2.INTER_LINEAR)
    rows = slice(max(top, 0), min(top + side, shape[0]))
    columns = slice(max(left, 0), min(left + side, shape[1]))
    inner = full[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    cover = cv2.blur(anonymized.astype(np.float32), (3, 3))[rows, columns, None]
    part = canvas[rows, columns]
    mixed = inner[..., :1] * source[rows, columns] + inner[..., 1:]
    part[:] = np.clip(np.rint(part + cover * (mixed - part)), 0, 255).astype(np.uint8)


def _near(own: UInt8[np.ndarray, "H W"], stature: head.Stature) -> UInt8[np.ndarray, "H W"]:
    """1 where the frame may be used: at the silhouette and, below the head, near it."""
    rows = np.flatnonzero(own.any(1))
    reach = max(1, round(_AROUND * max(stature.most, len(rows))))
    near = cv2.dilate(own, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    last = int(np.flatnonzero(head.mask(own, stature).any(1))[-1]) + 1
    near[:last] = own[:last]
    return near
