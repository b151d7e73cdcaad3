"""Draws a body in the clothes of an atlas."""

import itertools
from operator import attrgetter

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.methods.color.atlas import Atlas
from stgan_jax.shapes import surface

_SHADE = {"leg": 0.30, "arm": 0.35, "head": 0.30}  # of the light that a limb takes from others
_HEAD = ("head", "hair", "cap")  # limbs that turn with the new body, if the head is nobody's
_NAPE, _SHORT = 0.72, 0.9  # along the head: where long hair goes on, and the end of short hair
_LONGER = 0.015  # statures than the head, from which hair is long
_REACH = 0.022  # statures over which
_CONTACT = 0.45  # of the light that a standing foot takes from the ground below it
_LENS = 200  # pixels a stature from which edges are softer than a pixel, as by a lens
_LIFTED = 0.035  # statures above the ground from which it takes none


def paint(
    canvas: UInt8[np.ndarray, "H W 3"],
    figure: surface.Figure,
    atlas: Atlas,
    gain: Float[np.ndarray, "3"] | None = None,
    view: float | None = None,
) -> None:
    """Draws a dressed body onto a canvas that shows the scene, in place.

    Limbs cast a soft shadow on what is behind them, which sets limbs of one cloth apart, and
    standing feet on the ground.

    Args:
      canvas: RGB.
      figure: the body, in pixels of the canvas.
      atlas: its clothes.
      gain: factors of the light at this moment.
      view: degrees from which the clothes are seen, if not those from which the body is.
    """
    margin = 0.06 * figure.scale
    low = np.clip(np.floor(figure.box()[:2] - margin), 0, canvas.shape[:2]).astype(int)
    high = np.clip(np.ceil(figure.box()[2:] + margin), 0, canvas.shape[:2]).astype(int)
    if np.any(high - low < 2):
        return
    part = canvas[low[0] : high[0], low[1] : high[1]]
    here = figure.moved(1.0, -low.astype(float))
    _darken_ground(part, here)
    layer, alpha = drawn(here, part.shape[:2], atlas, figure.view if view is None else view)
    if gain is not None:
        scale = np.clip(np.outer(np.arange(256), gain), 0, 255)
        layer = cv2.LUT(layer, np.rint(scale).astype(np.uint8)[None])
    over = _times(layer, alpha)
    soft = alpha
    if figure.scale > _LENS:
        over, soft = cv2.blur(over, (3, 3)), cv2.blur(alpha, (3, 3))
    mixed = cv2.add(_times(part, 255 - soft), over)
    inside = cv2.erode(alpha, np.ones((3, 3), np.uint8)) == 255
    part[:] = cv2.copyTo(layer, inside.astype(np.uint8), mixed)


def _times(image: UInt8[np.ndarray, "H W 3"], share: UInt8[np.ndarray, "H W"]) -> np.ndarray:
    """The image times a share of 255."""
    return cv2.multiply(image, cv2.merge([share] * 3), scale=1 / 255)


def drawn(
    figure: surface.Figure, shape: tuple[int, int], atlas: Atlas, view: float
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """Colours of a body, valid where it is, and how much of each pixel it covers, 0 to 255."""
    layer, alpha = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    head = False  # whether it is drawn
    for limb, found in itertools.groupby(surface.strips(figure, shape), key=attrgetter("limb")):
        strips = list(found)
        _shade(layer, strips, _SHADE.get(limb.split("_")[0], 0.0), _REACH * figure.scale)
        for strip in strips:
            turns = strip.limb in _HEAD and not atlas.own_head
            seen = figure.view if turns else view
            if strip.limb == "hair" and turns:
                _hang(strip, figure, behind=not head)
            head |= strip.limb == "head"
            texture = _look(atlas.level(strip.patch, figure.scale), strip, seen)
            below, over, cover = layer[strip.window], alpha[strip.window], strip.cover
            edge = (cover > 0) & (cover < 255) & (over > 0)
            share = cover[edge][:, None] * np.float32(1 / 255)
            blend = below[edge] * (1 - share) + texture[edge] * share
            cv2.copyTo(texture, cover, below)
            below[edge] = np.rint(blend)
            np.maximum(over, cover, out=over)
    return layer, alpha


def _shade(layer: np.ndarray, strips: list[surface.Strip], share: float, reach: float) -> None:
    """Darkens what lies behind a limb, near it."""
    if not share or not layer.any():
        return
    size = int(reach) * 2 + 1
    windows = np.array([[(w.start, w.stop) for w in strip.window] for strip in strips])
    low = np.maximum(windows[..., 0].min(0) - size, 0)
    high = np.minimum(windows[..., 1].max(0) + size, layer.shape[:2])
    cover = np.zeros(high - low, np.uint8)
    for strip in strips:
        rows, columns = (
            slice(w.start - x, w.stop - x) for w, x in zip(strip.window, low, strict=True)
        )
        np.maximum(cover[rows, columns], strip.cover, out=cover[rows, columns])
    soft = cv2.blur(cv2.blur(cover, (size, size)), (size, size))
    part = layer[low[0] : high[0], low[1] : high[1]]
    part[:] = _times(part, cv2.convertScaleAbs(soft, alpha=-share, beta=255))


def _hang(hair: surface.Strip, figure: surface.Figure, behind: bool) -> None:
    """Places of hair along the head, in place, as `heads` paints it: 1 is what hangs."""
    head = max(figure.spheres[name][[0, 3]].sum() for name in ("jaw", "cranium"))
    if behind:  # nothing of a face is there
        hair.along[:] = 1.0
    elif figure.spheres["hair_end"][[0, 3]].sum() > head + _LONGER * figure.scale:
        hair.along[(hair.along > _NAPE) & (hair.along < 1.0)] = _NAPE
    else:
        np.minimum(hair.along, _SHORT, out=hair.along)


def _look(
    texture: UInt8[np.ndarray, "rows columns 3"], strip: surface.Strip, view: float
) -> UInt8[np.ndarray, "h w 3"]:
    """The half of a texture that is seen from `view`, as it lies on a strip."""
    rows, columns = texture.shape[:2]
    start = (view / 360 - 0.25) * columns
    first = int(np.floor(start))
    visible = np.take(texture, range(first - 1, first + columns // 2 + 3), 1, mode="wrap")
    x = np.arcsin(strip.across)
    x *= np.float32(columns / (2 * np.pi))
    x += np.float32(columns / 4 + start - first + 0.5)
    y = strip.along * np.float32(rows) - np.float32(0.5)
    return cv2.remap(visible, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _darken_ground(part: UInt8[np.ndarray, "H W 3"], figure: surface.Figure) -> None:
    """Takes from the ground the light that standing feet keep from it, in place."""
    pitch, scale = np.radians(figure.pitch), figure.scale
    reach = int(0.02 * scale) * 2 + 1
    for side in "LR":
        ends = np.stack([figure.spheres[f"{name}_{side}"] for name in ("heel", "toe")])
        row, depth = ends[:, 0] - figure.ground[0], ends[:, 2]
        height = depth * np.sin(pitch) - row * np.cos(pitch) - ends[:, 3]
        near = float(np.clip(1 - height.min() / (_LIFTED * scale), 0, 1))
        # The point of the ground below, by what is known of its distance.
        below = figure.ground[0] + (row * np.sin(pitch) + depth * np.cos(pitch)) * np.sin(pitch)
        points = np.column_stack([below, ends[:, 1]])
        low = np.clip(np.floor(points.min(0)) - 4 * reach, 0, part.shape[:2]).astype(int)
        high = np.clip(np.ceil(points.max(0)) + 4 * reach, 0, part.shape[:2]).astype(int)
        if near == 0 or np.any(high - low < 2):
            continue
        spot = np.zeros(high - low, np.uint8)
        start, end = (tuple(int(16 * v) for v in point[::-1]) for point in points - low)
        cv2.line(spot, start, end, 255, max(1, int(0.035 * scale)), cv2.LINE_AA, 4)
        wide = (2 * reach + 1, reach)  # flat on the ground: softer along the picture's rows
        soft = cv2.blur(cv2.blur(spot, wide), wide)
        here = part[low[0] : high[0], low[1] : high[1]]
        here[:] = _times(here, cv2.convertScaleAbs(soft, alpha=-_CONTACT * near, beta=255))
