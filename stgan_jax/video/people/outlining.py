"""Outlining: the silhouettes of everybody in a frame, and what each has to hide."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from stgan_jax.media.segmentation import Box, Region
from stgan_jax.video.people import apart, linking, networks

Mask = UInt8[np.ndarray, "H W"]

PRESENT = 0.5  # presence from which an outline is a person's

MARGIN = 0.15  # of the longer side of a box: how far an outline may reach beyond it
_INSIDE = 0.8  # share of an outline inside another one from which both are one person's
_WHOLE = 0.7  # share of an outline that is not another's from which it is read
_NEAR = 0.05  # overlap of boxes from which clothes decide whose a pixel is
_BODY = 0.12  # of the squared height: least area of an outline that is read, where others are near
_DIFFERS = 0.1  # share of an outline that must differ from the empty scene
_LEFT = 0.04  # share of a box that must differ and be nobody else's, for somebody who is unclear
_RIM = 0.05  # of the height: hidden around an outline
_RAISED = 0.25  # of the height: reach of a raised arm above a box
_POSSIBLE = 0.3  # probability from which a pixel may be somebody's
_TRUNK = 0.6  # of the height: how far up from a cut the whole box is taken
_CUT = 0.04  # of the height: whose box ends so near to the frame's lower edge is cut by it
# Joints between which BlazePose draws arms: shoulder, elbow, wrist, index finger.
_ARMS = ((11, 13, 15, 19), (12, 14, 16, 20))
_VISIBLE = 0.4  # least visibility of a joint that is used


@dataclasses.dataclass(frozen=True)
class Outlined:
    """One person in one frame.

    Attributes:
      region: the silhouette.
      clear: whether it is the person's outline. If not, it is what moves around them.
      joints: row and column in pixels of the frame, and visibility, of BlazePose's joints; None if
        it is not clear.
      hide: a mask of what has to be hidden of them, in `window`.
      window: its box in the frame.
    """

    region: Region
    clear: bool
    joints: Float32[np.ndarray, "33 3"] | None
    hide: UInt8[np.ndarray, "h w"]
    window: Box


def outlined(
    frame: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "N 4"],
    outliner: networks.Outliner,
    moving: Mask,
    unknown: Mask,
    clothes: Sequence[apart.Clothes],
) -> tuple[list[Outlined | None], Mask]:
    """Silhouettes of the people in boxes, no pixel of two people.

    A pixel that two outlines hold goes to the more probable one. Who has no outline of their own,
    since they are hidden or the network is unsure, gets what moves in their box and is nobody
    else's. What does not differ from the empty scene is a part of it, and nobody.

    Args:
      frame: RGB.
      boxes: around one person each, in pixels; they may reach beyond the frame.
      outliner: the network.
      moving: 1 where the frame differs from the empty scene.
      unknown: 1 where this is not known.
      clothes: one for each box, to tell people apart who are near each other.

    Returns:
      For each box who is in it, None if nothing is; and 1 around boxes of nobody, where the little
      that moves has to be hidden all the same, as the feet of somebody behind a sign.
    """
    size = (frame.shape[0], frame.shape[1])
    windows = [_window(box, size) for box in boxes]
    little = np.zeros(size, np.uint8)
    busy = []
    for n, (top, left, bottom, right) in enumerate(windows):
        part = (moving | unknown)[top:bottom, left:right]
        if part.size and part.mean() > _LEFT:
            busy.append(n)
        else:
            little[top:bottom, left:right] = 1
    chosen = [clothes[n] for n in busy]
    found = _outlined(frame, boxes[busy], outliner, moving, unknown, chosen, little)
    people: list[Outlined | None] = [None] * len(boxes)
    for n, person in zip(busy, found, strict=True):
        people[n] = person
    return people, little


def _outlined(
    frame: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "N 4"],
    outliner: networks.Outliner,
    moving: Mask,
    unknown: Mask,
    clothes: Sequence[apart.Clothes],
    little: Mask,
) -> list[Outlined | None]:
    """`outlined` for boxes in which something moves; adds to `little`."""
    size = (frame.shape[0], frame.shape[1])
    windows = [_window(box, size) for box in boxes]
    outlines = outliner(frame, boxes)
    bodies = [_likely(o, w) for o, w in zip(outlines, windows, strict=True)]
    lost = _contained(outlines, boxes, windows, bodies)
    unsure = [o.presence < PRESENT or gone for o, gone in zip(outlines, lost, strict=True)]
    near = (linking.overlap(boxes, boxes) > _NEAR).sum(1) > 1
    scores = {}
    for n in np.flatnonzero(near).tolist():
        likelihood = clothes[n].likelihood(frame, windows[n], boxes[n])
        scores[n] = apart.score(likelihood, bodies[n], boxes[n])
    owner = _owners(windows, bodies, scores, unsure, moving & ~unknown)
    moving = moving | unknown
    claimed = np.zeros(size, np.uint8)
    clear: dict[int, Outlined] = {}
    for n, (outline, box) in enumerate(zip(outlines, boxes, strict=True)):
        top, left, bottom, right = windows[n]
        own = (owner[top:bottom, left:right] == n + 1).astype(np.uint8)
        differs = (own & moving[top:bottom, left:right]).sum() >= _DIFFERS * own.sum()
        whole = _BODY * (box[2] - box[0]) ** 2 if n in scores else _WHOLE * (bodies[n] > 0.5).sum()
        if own.any() and differs and own.sum() > whole:
            clear[n] = _person(own, outline, box, windows[n], size)
            claimed[top:bottom, left:right] |= clear[n].hide
    people: list[Outlined | None] = []
    for n, (top, left, bottom, right) in enumerate(windows):
        rest = moving[top:bottom, left:right] & ~claimed[top:bottom, left:right] & 1
        if n in clear:
            people.append(clear[n])
        elif rest.sum() > _LEFT * rest.size:
            people.append(_person(rest, None, boxes[n], windows[n], size))
            claimed[top:bottom, left:right] |= rest
        else:
            people.append(None)
            little[top:bottom, left:right] = 1
    return people


def _person(
    own: UInt8[np.ndarray, "h w"],
    outline: networks.Outline | None,
    box: Float[np.ndarray, "4"],
    window: np.ndarray,
    size: tuple[int, int],
) -> Outlined:
    """Somebody whose pixels in a window are known; clear if there is an outline."""
    hide = _hidden(own, [] if outline is None else [outline], box, window, size)
    joints = None if outline is None else outline.joints
    return Outlined(_trimmed(own, window), outline is not None, joints, hide, window)


def _window(box: Float[np.ndarray, "4"], size: tuple[int, int]) -> Int[np.ndarray, "4"]:
    """The part of a frame that may hold somebody: the box and a margin."""
    margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
    edges = np.round(box + np.array([-margin, -margin, margin, margin])).astype(int)
    return np.clip(edges, 0, [size[0], size[1], size[0], size[1]])


def _likely(outline: networks.Outline, window: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """The probability of an outline in a window."""
    top, left, bottom, right = window
    out = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.float32)
    height, width = outline.probability.shape
    a, b = max(top, outline.top), min(bottom, outline.top + height)
    c, d = max(left, outline.left), min(right, outline.left + width)
    if a < b and c < d:
        out[a - top : b - top, c - left : d - left] = outline.probability[
            a - outline.top : b - outline.top, c - outline.left : d - outline.left
        ]
    return out


def _contained(outlines, boxes, windows, bodies) -> list[bool]:
    """Whose outline is another person's: it lies in an outline that fits its own box better."""
    masks = [body > 0.5 for body in bodies]
    areas = [int(mask.sum()) for mask in masks]
    fits = [
        _fit(box, window, mask) * outline.presence
        for box, window, mask, outline in zip(boxes, windows, masks, outlines, strict=True)
    ]
    lost = [area == 0 for area in areas]
    for i in range(len(masks)):
        for j in range(i):
            top, left = np.maximum(windows[i][:2], windows[j][:2])
            bottom, right = np.minimum(windows[i][2:], windows[j][2:])
            if bottom <= top or right <= left or not areas[i] or not areas[j]:
                continue
            parts = [
                masks[n][
                    top - windows[n][0] : bottom - windows[n][0],
                    left - windows[n][1] : right - windows[n][1],
                ]
                for n in (i, j)
            ]
            if (parts[0] & parts[1]).sum() > _INSIDE * min(areas[i], areas[j]):
                lost[i if fits[i] < fits[j] else j] = True
    return lost


def _fit(box: np.ndarray, window: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of a box and its outline's bounding box."""
    if not mask.any():
        return 0.0
    found = _trimmed(mask.astype(np.uint8), window).box
    return float(linking.overlap(found[None].astype(float), box[None].astype(float))[0, 0])


def _owners(windows, bodies, scores, ignored: list[bool], moving: Mask) -> Int[np.ndarray, "H W"]:
    """Whose each pixel is: 1 + index of the most probable person, 0 nobody's.

    Those of whom there are `scores` share what the outlines of any of them hold, and what moves in
    the windows of two: an outline often lacks who is behind.
    """
    owner, best = np.zeros(moving.shape, np.int16), np.full(moving.shape, 0.5, np.float32)
    reached = np.zeros(moving.shape, np.int16)  # by how many windows
    places = [np.s_[top:bottom, left:right] for top, left, bottom, right in windows]
    for n, (place, body) in enumerate(zip(places, bodies, strict=True)):
        if not ignored[n] or n in scores:
            better = body > best[place]
            owner[place][better] = n + 1
            best[place][better] = body[better]
    for n in scores:
        reached[places[n]] += 1
    shared = np.isin(owner, [n + 1 for n in scores])
    shared |= (moving > 0) & (owner == 0) & (reached > 1)
    best = np.full(moving.shape, -np.inf, np.float32)
    for n, score in scores.items():
        better = shared[places[n]] & (score > best[places[n]])
        owner[places[n]][better] = n + 1
        best[places[n]][better] = score[better]
    return owner


def _hidden(
    own: UInt8[np.ndarray, "h w"],
    outlines: Sequence[networks.Outline],
    box: Float[np.ndarray, "4"],
    window: np.ndarray,
    size: tuple[int, int],
) -> UInt8[np.ndarray, "h w"]:
    """1 where somebody is hidden: their pixels without holes and notches, arms, and a margin."""
    height, width = (box[2:] - box[:2]).tolist()
    if not outlines:
        own = _to_sides(own, window, size)
    gaps = 0.08 * min(height, width)
    mask = 1 - grown(1 - grown(own, gaps), gaps)
    pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(mask, pieces, -1, 1, cv2.FILLED)
    if size[0] - box[2] < _CUT * height:  # outlines of people whom the frame cuts lack their trunk
        row = box[2] - _TRUNK * height - window[0]
        left, right = np.round(box[[1, 3]] - window[1]).astype(int)
        mask[max(0, int(row)) :, max(0, left) : max(0, right)] = 1
    thick = max(1, round(0.06 * height))
    for arm in _ARMS:
        for outline in outlines:
            joints = outline.joints[list(arm)]
            visible = int(np.cumprod(joints[:, 2] > _VISIBLE).sum())
            if visible > 1:
                points = np.round(joints[:visible, 1::-1] - window[1::-1]).astype(np.int32)
                cv2.polylines(mask, [points], False, 1, thick)
    return grown(mask, max(2.0, _RIM * height))


def _to_sides(
    own: UInt8[np.ndarray, "h w"], window: np.ndarray, size: tuple[int, int]
) -> UInt8[np.ndarray, "h w"]:
    """Somebody's pixels and, in their rows, all up to a side of the frame that cuts them.

    What moves lacks what has the scene's colour; holes that are open to a side are no holes.
    """
    out = own
    if window[1] <= 0 and own[:, :1].any():
        out = np.maximum.accumulate(own[:, ::-1], axis=1)[:, ::-1]
    if window[3] >= size[1] and own[:, -1:].any():
        out = out | np.maximum.accumulate(own, axis=1)
    return np.ascontiguousarray(out)


def possible(
    frame: UInt8[np.ndarray, "H W 3"],
    box: Float[np.ndarray, "4"],
    outliner: networks.Outliner,
    both: bool,
) -> tuple[Mask, float]:
    """1 where somebody may be, generously, and the network's least presence.

    Args:
      frame: RGB.
      box: around the person.
      outliner: the network.
      both: whether a higher crop is outlined, too: a raised arm is often outlined in that alone.
        Who moves needs none.

    Returns:
      The outline and a margin; where the network is unsure, the box and a margin.
    """
    size = (frame.shape[0], frame.shape[1])
    higher = box - np.array([_RAISED * (box[2] - box[0]), 0, 0, 0])
    crops = [box, higher] if both else [box]
    outlines = outliner(frame, np.stack(crops))
    window = _window(crops[-1], size)
    own = np.zeros(np.maximum(window[2:] - window[:2], 0), np.uint8)
    if outlines[0].presence < PRESENT:
        used: list[networks.Outline] = []
        top, left, bottom, right = np.maximum(np.round(box).astype(int) - np.tile(window[:2], 2), 0)
        own[top:bottom, left:right] = 1
    else:
        used = [outline for outline in outlines if outline.presence >= PRESENT]
        for outline in used:
            own |= _likely(outline, window) > _POSSIBLE
    own = _to_sides(own, window, size)  # what leaves the frame may come in again beside
    mask = np.zeros(size, np.uint8)
    if own.size:
        top, left, bottom, right = window
        mask[top:bottom, left:right] = _hidden(own, used, box, window, size)
    return mask, min(outline.presence for outline in outlines)


def _trimmed(mask: UInt8[np.ndarray, "h w"], window: np.ndarray) -> Region:
    left, top, width, height = cv2.boundingRect(mask)
    corner = window[:2] + [top, left]
    box = np.concatenate([corner, corner + [height, width]])
    return Region(box, mask[top : top + height, left : left + width])


def grown(mask: UInt8[np.ndarray, "h w"], margin: float) -> UInt8[np.ndarray, "h w"]:
    """A mask (0/1) with a margin in pixels: `cv2.dilate` by an ellipse, row by row of that."""
    radius = max(1, round(margin))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    widths = (disc.sum(1) // 2).tolist()  # to either side; they grow towards the middle
    high = len(mask)
    out, wide, reach = np.zeros((high + 2 * radius, mask.shape[1]), np.uint8), mask, 0
    for row in range(radius + 1):
        if widths[row] > reach:
            more = widths[row] - reach
            wide, reach = cv2.dilate(wide, np.ones((1, 2 * more + 1), np.uint8)), widths[row]
        for at in {row, 2 * radius - row}:
            np.maximum(out[at : at + high], wide, out=out[at : at + high])
    return out[radius : radius + high]
