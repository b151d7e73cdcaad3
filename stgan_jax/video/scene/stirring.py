"""Whether somebody stirs: even who stands still does, and a picture or a post does not."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import path

ENOUGH = 8  # moments that must show a place, with somebody alone in it; half of them do with slack
_NOISE = 16  # grey levels that are noise


class Glimpse(NamedTuple):
    """How a place looks at one moment.

    Attributes:
      image: RGB.
      own: 1 where somebody is; None if that is not clear.
      other: 1 where others may be, or where nothing is known.
      found: whether somebody is found about this moment.
    """

    image: UInt8[np.ndarray, "H W 3"]
    own: UInt8[np.ndarray, "H W"] | None
    other: UInt8[np.ndarray, "H W"]
    found: bool = True

    def moved(self, pose: path.Homography, size: tuple[int, int]) -> "Glimpse":
        """As it looks moved by a homography onto a picture of (width, height)."""
        image = cv2.warpPerspective(self.image, pose, size, flags=cv2.INTER_CUBIC)
        near = cv2.INTER_NEAREST
        own = None if self.own is None else cv2.warpPerspective(self.own, pose, size, flags=near)
        other = cv2.warpPerspective(self.other, pose, size, flags=near)
        inside = cv2.warpPerspective(np.full_like(self.other, 255), pose, size) == 255
        return Glimpse(image, own, np.where(inside, other, 1).astype(np.uint8), self.found)


def share(moments: Sequence[Glimpse], slack: int = 0) -> float | None:
    """The share of somebody's pixels, over all moments, that change by more than noise.

    Args:
      moments: all that are known, also those at which the person is not found: a picture is
        always there.
      slack: pixels by which the moments may lie beside each other. A pixel does not change, then,
        as long as it is between what is usual at the places within that distance. As this hides
        what stirs a little, moments are needed at which the person is not found, though all looks
        as if they were there.

    Returns:
      0 to 1; None if too few moments tell.
    """
    clear = [(one.own, one.other) for one in moments if one.own is not None]
    alone = [own for own, other in clear if not (own & other).any()]
    if len(alone) < (ENOUGH // 2 if slack else ENOUGH):
        return None
    common = np.all(alone, axis=0)
    free = [one for one in moments if not one.other[common].any()]
    unnoticed = sum(not one.found for one in free)
    if len(free) < ENOUGH or not common.any() or (slack and 2 * unnoticed < ENOUGH):
        return None
    rows, cols = (slice(max(x.min() - slack, 0), x.max() + slack + 1) for x in np.nonzero(common))
    common = common[rows, cols]
    values = np.stack([one.image[rows, cols] for one in free]).astype(np.float32)
    own = values[:, common]
    gains = own.mean() / np.maximum(own.mean((1, 2)), 1)
    values *= gains[:, None, None, None]  # one light
    usual = np.median(values, axis=0)
    away = np.abs(values - usual)[:, common].max(-1)
    limit = max(_NOISE, 4 * float(np.median(away)))
    if slack:
        near = np.ones((2 * slack + 1, 2 * slack + 1), np.uint8)
        low, high = cv2.erode(usual, near), cv2.dilate(usual, near)
        away = np.maximum(low - values, values - high)[:, common].max(-1)
    return float((away > limit).mean())
