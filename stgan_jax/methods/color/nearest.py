"""Colour for an anonymised silhouette from the original frame (ST-GAN 3.5, Eq. 9)."""

import cv2
import numpy as np
from jaxtyping import UInt8


def paint(
    canvas: UInt8[np.ndarray, "H W 3"],
    frame: UInt8[np.ndarray, "H W 3"],
    own: UInt8[np.ndarray, "H W"],
    anonymized: UInt8[np.ndarray, "H W"],
    literal: bool = False,
) -> None:
    """Paints one person's anonymised gait onto a canvas that shows the background, in place.

    The four regions of Eq. 9: outside both silhouettes and in the original's remainder
    the canvas keeps the background; where both overlap it takes the original's pixel;
    where only the anonymised silhouette is, the colour of the nearest original pixel.

    Note: by default S_Or is taken without its rim, which is half background and would be
    smeared outwards, and the outermost pixel is blended with the canvas, as by a lens.

    Args:
      canvas: starts as the background image I_Bg; several people are painted one after
        the other, the far one first.
      frame: the original frame I_Or.
      own: silhouette S_Or of the person, 0/1; holes in it are not the person's colour.
      anonymized: silhouette S_An, 0/1.
      literal: Eq. 9 to the letter instead.
    """
    if not anonymized.any() or not own.any():
        return
    left, top, width, height = cv2.boundingRect(own | anonymized)
    window = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    own, anonymized = own[window], anonymized[window]
    colors = nearest_colors(frame[window], own if literal else without_rim(own))
    cover = anonymized if literal else cv2.blur(anonymized.astype(np.float32), (3, 3))
    blend = canvas[window] + cover[..., None] * (colors.astype(np.float32) - canvas[window])
    canvas[window] = np.rint(blend).astype(np.uint8)


def nearest_colors(
    frame: UInt8[np.ndarray, "H W 3"], source: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Every pixel's colour at the nearest pixel of `source` (non-empty), in one linear pass.

    OpenCV's labelled distance transform finds it; its 5x5 mask errs by at most 2 % of the
    distance, so that another pixel of about the same distance may be taken.
    """
    _, labels = cv2.distanceTransformWithLabels(
        1 - source, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    at = source.astype(bool)
    table = np.zeros((labels.max() + 1, 3), np.uint8)
    table[labels[at]] = frame[at]
    return table[labels]


def without_rim(mask: UInt8[np.ndarray, "H W"], share: float = 0.02) -> UInt8[np.ndarray, "H W"]:
    """A silhouette without its rim of mixed pixels; thin limbs, which are all rim, stay.

    Args:
      mask: the silhouette, 0/1, not empty.
      share: the rim's width, of the height.
    """
    rows = np.flatnonzero(mask.any(1))
    rim = max(1, round(share * (rows[-1] - rows[0])))
    small, large = (np.ones((size, size), np.uint8) for size in (2 * rim + 1, 4 * rim + 3))
    padded = cv2.copyMakeBorder(mask, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    inner = cv2.erode(padded, small)[rim:-rim, rim:-rim]
    thin = mask & ~cv2.dilate(inner, large)
    return inner | thin
