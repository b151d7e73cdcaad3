"""Hiding: which pixels of a frame must not be shown, since they are of people or go with them."""

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, segmentation
from stgan_jax.media.segmentation import Box
from stgan_jax.video.people import outlining

Mask = UInt8[np.ndarray, "H W"]

_REACH = 0.35  # of the height: within it, what moves and touches somebody is hidden, too
_SHADOW = 1.5  # of the height: within it, their shadow is
_ASIDE = 0.1  # of the height: width of a mirror image beyond theirs, to either side
_SPARE = 4  # pixels around what is computed


def hidden(
    people: list[outlining.Outlined | None],
    little: Mask,
    frame: UInt8[np.ndarray, "H W 3"],
    scene: background.EmptyScene,
) -> Mask:
    """1 where people have to be hidden in a frame.

    Their outlines with a margin; what moves and touches them, no farther away than 0.35 of their
    height, as parts that an outline lacks; their shadows; and what moves where the floor would
    mirror them. Shadows and mirror images walk as people do.

    Args:
      people: from `outlining.outlined`.
      little: from `outlining.outlined`.
      frame: RGB.
      scene: the empty scene in the light of the frame.
    """
    mask, mirrored = np.zeros_like(little), np.zeros_like(little)
    near, far = np.zeros_like(little), np.zeros_like(little)
    for person in filter(None, people):
        top, left, bottom, right = person.window
        mask[top:bottom, left:right] |= person.hide
        height = person.region.height
        for zone, reach in ((near, _REACH), (far, _SHADOW)):
            zone[_around(person.region.box, max(4, round(reach * height)))] = 1
        bottom, side = int(person.region.box[2]), round(_ASIDE * height)
        left, right = max(int(person.region.box[1]) - side, 0), int(person.region.box[3]) + side
        mirrored[bottom : bottom + height, left:right] = 1
    out = np.zeros_like(little)
    reached = mask | near | far | mirrored | little
    if not reached.any():
        return out
    place = _place(reached)
    frame, empty, little, near = frame[place], scene.empty[place], little[place], near[place]
    moving = segmentation.difference(frame, empty, scene.threshold[place])
    mask = mask[place] | outlining.grown(little & moving, 2)
    if not mask.any():
        return out
    mask |= moving & mirrored[place]
    # Who leaves the frame may come in again beside: beyond its edge all that is near is joined.
    beyond = cv2.copyMakeBorder(near, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    doubtful = moving & far[place] & ~near
    if doubtful.any():
        part = _place(doubtful)
        near[part] |= doubtful[part] & segmentation.dimmed(frame[part], empty[part])
    wide = cv2.dilate(moving & near, np.ones((3, 3), np.uint8))  # edges hardly differ
    beyond[1:-1, 1:-1] = wide | mask
    count, pieces = cv2.connectedComponents(beyond)
    pieces, touching = pieces[1:-1, 1:-1], np.zeros(count, np.uint8)
    touching[pieces[mask > 0]] = 1
    out[place] = touching[pieces]
    return out


def _place(mask: Mask) -> tuple[slice, slice]:
    """The part of a picture that holds a mask, which is not empty, and a margin for filters."""
    left, top, width, height = cv2.boundingRect(mask)
    return (
        slice(max(top - _SPARE, 0), top + height + _SPARE),
        slice(max(left - _SPARE, 0), left + width + _SPARE),
    )


def _around(box: Box, reach: int) -> tuple[slice, slice]:
    top, left, bottom, right = (int(side) for side in box)
    return (
        slice(max(top - reach, 0), bottom + reach),
        slice(max(left - reach, 0), right + reach),
    )
