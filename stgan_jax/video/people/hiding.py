"""Hiding: which pixels of a frame must not be shown, since they are of people or go with them."""

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, segmentation
from stgan_jax.shapes import cropping
from stgan_jax.video.people import outlining

Mask = UInt8[np.ndarray, "H W"]

_REACH = 0.35  # of the height: within it, what moves and touches somebody is hidden, too
_SHADOW = 1.5  # of the height: within it, their shadow is
_ASIDE = 0.1  # of the height: width of a mirror image beyond theirs, to either side
_GAP = 0.025  # of the height: what moves so near to somebody touches them, and
_LEAST = 16  # moves if it differs by so many grey levels, however restless the scene is
_RIM = 3  # pixels at the frame's sides where that is so, too: who comes in shows little there
_SPARE = 4  # pixels around what is computed


def hidden(
    people: list[outlining.Outlined | None],
    little: Mask,
    frame: UInt8[np.ndarray, "h w 3"],
    scene: background.EmptyScene,
) -> Mask:
    """1 where people have to be hidden in a frame.

    Their outlines with a margin; what moves and touches them, no farther away than 0.35 of their
    height, as parts that an outline lacks; their shadows; and what moves where the floor would
    mirror them. Shadows and mirror images walk as people do. Where a part begins it may have the
    scene's colour, as a grey bag on a street: a gap of 0.025 of the height is hidden as well.
    At the sides of the frame, where somebody comes in, less has to differ than elsewhere.

    Args:
      people: see `outlining.outlined`.
      little: see `outlining.outlined`.
      frame: RGB, in the size in which it is compared with the scene.
      scene: the empty scene in the light of the frame, in as many pixels as masks or fewer.
    """
    own, less = np.zeros_like(little), len(frame) / len(little)
    rim = np.ones(frame.shape[:2], np.uint8)
    rim[:, _RIM:-_RIM] = 0
    mirrored, near, far, out = np.zeros((4, *frame.shape[:2]), np.uint8)
    gap = 3  # pixels at least, around the little that moves as well
    for person in filter(None, people):
        top, left, bottom, right = person.window
        own[top:bottom, left:right] |= person.hide
        box = np.floor(less * person.region.box).astype(int)
        height = round(less * person.region.height)
        gap = max(gap, round(_GAP * height))
        for zone, reach in ((near, _REACH), (far, _SHADOW)):
            zone[segmentation.around(box, max(4, round(reach * height)))] = 1
        bottom, side = int(box[2]), round(_ASIDE * height)
        left, right = max(int(box[1]) - side, 0), int(box[3]) + side
        mirrored[bottom : bottom + height, left:right] = 1
    mask, little = _shrunk(own, frame), _shrunk(little, frame)
    reached = mask | near | far | mirrored | little
    if not reached.any():
        return own
    place = _place(reached)
    frame, empty, little, near = frame[place], scene.empty[place], little[place], near[place]
    away = segmentation.distance(frame, empty)
    moving = cv2.compare(away, scene.threshold[place], cv2.CMP_GT) & 1
    moving |= rim[place] & (near | little) & (away > _LEAST)
    mask = mask[place] | outlining.grown(little & moving, 2)
    if not mask.any():
        return own
    mask |= moving & mirrored[place]
    # Who leaves the frame may come in again beside: beyond its edge all that is near is joined.
    beyond = cv2.copyMakeBorder(near, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    doubtful = moving & far[place] & ~near
    if doubtful.any():
        part = _place(doubtful)
        near[part] |= doubtful[part] & segmentation.dimmed(frame[part], empty[part])
    joint = np.ones((2 * gap + 1, 2 * gap + 1), np.uint8)
    close = cv2.dilate(mask, joint)
    moving |= close & (away > _LEAST)
    edge = 5 if out.shape == own.shape else 3  # edges and tips hardly differ
    wide = cv2.dilate(moving & (near | close), np.ones((edge, edge), np.uint8))
    beyond[1:-1, 1:-1] = wide | mask
    count, pieces = cv2.connectedComponents(beyond)
    pieces, touching = pieces[1:-1, 1:-1], np.zeros(count, np.uint8)
    touching[pieces[close > 0]] = 1
    touching[0] = 0  # nothing moves there
    out[place] = cv2.morphologyEx(touching[pieces], cv2.MORPH_CLOSE, joint)
    if out.shape == own.shape:
        return out
    # A place of which a part is somebody's may look like the scene.
    return own | enlarged(cv2.dilate(out, np.ones((3, 3), np.uint8)), own.shape)


def _shrunk(mask: Mask, frame: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """1 where any of a mask is, in the size of a frame that is not larger."""
    if mask.shape == frame.shape[:2]:
        return mask
    share = cv2.resize(255 * mask, frame.shape[1::-1], interpolation=cv2.INTER_AREA)
    return (share > 0).astype(np.uint8)


def enlarged(mask: Mask, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """A mask in another (height, width)."""
    if mask.shape == shape:
        return mask
    return np.asarray(cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST))


def _place(mask: Mask) -> tuple[slice, slice]:
    """The part of a picture that holds a mask, which is not empty, and a margin for filters."""
    return segmentation.around(np.array(cropping.box(mask)), _SPARE)
