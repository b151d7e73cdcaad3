"""Who is in a box that a person drew, as the program missed them."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from stgan_jax.media.segmentation import Region, enclosed
from stgan_jax.video.people import networks, outlining

_BEYOND = 0.1  # of the longer side: so far beyond the box the outline may reach
_BODY = 0.12  # of the squared height: least area of an outline
_RIM = 0.05  # of the height: hidden around an outline


class Boxed(NamedTuple):
    """One person in one frame.

    Attributes:
      region: the silhouette; all of the box if there is no outline.
      clear: whether the silhouette is an outline.
      joints: see `networks.Outline`; None without an outline.
      hide: 1 where they are hidden: the box, and what the outline has beyond it.
    """

    region: Region
    clear: bool
    joints: Float32[np.ndarray, "33 3"] | None
    hide: UInt8[np.ndarray, "H W"]


def boxed(
    frame: UInt8[np.ndarray, "H W 3"],
    box: Float[np.ndarray, "4"],
    outliner: networks.Outliner | None,
) -> Boxed:
    """Looks into a box.

    Args:
      frame: RGB.
      box: inside the frame.
      outliner: the network, if there is one.
    """
    size = (frame.shape[0], frame.shape[1])
    drawn = np.zeros(size, np.uint8)
    top, left, bottom, right = np.round(box).astype(int)
    drawn[top:bottom, left:right] = 1
    outline = None if outliner is None else outliner(frame, box[None])[0]
    if outline is not None and outline.presence >= outlining.PRESENT:
        beyond = max(1, round(_BEYOND * max(bottom - top, right - left)))
        near = cv2.dilate(drawn, np.ones((2 * beyond + 1, 2 * beyond + 1), np.uint8))
        body = ((outline.placed(size) > 0.5) & (near > 0)).astype(np.uint8)
        if body.sum() > _BODY * (bottom - top) ** 2:
            hide = drawn | outlining.grown(body, max(2.0, _RIM * (bottom - top)))
            return Boxed(enclosed(body), True, outline.joints, hide)
    return Boxed(enclosed(drawn), False, None, drawn)
