"""Draws a body in the clothes of an atlas."""

import itertools

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from stgan_jax.methods.color.atlas import Atlas
from stgan_jax.shapes import surface

_SHADE = {"leg": 0.30, "arm": 0.35, "head": 0.30}  # of the light that a limb takes from others
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
    ground = _contact(here, part.shape[:2])
    layer, alpha = drawn(here, part.shape[:2], atlas, figure.view if view is None else view)
    if gain is not None:
        layer *= gain.astype(np.float32)
    cover = alpha[..., None] * np.float32(1 / 255)
    soft = np.concatenate([layer * cover, cover], -1)
    if figure.scale > _LENS:
        soft = cv2.blur(soft, (3, 3))
    under = part * (ground[..., None] * (1 - soft[..., 3:]))
    part[:] = np.clip(np.rint(under + soft[..., :3]), 0, 255).astype(np.uint8)


def drawn(
    figure: surface.Figure, shape: tuple[int, int], atlas: Atlas, view: float
) -> tuple[Float32[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """Colours of a body, valid where it is, and how much of each pixel it covers, 0 to 255."""
    layer, alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.uint8)
    limbs = itertools.groupby(surface.strips(figure, shape), key=_limb)
    for limb, found in limbs:
        strips = list(found)
        _shade(layer, strips, _SHADE.get(limb.split("_")[0], 0.0), _REACH * figure.scale)
        for strip in strips:
            texture = _look(atlas.level(strip.patch, figure.scale), strip, view)
            below, over = layer[strip.window], alpha[strip.window]
            cover = np.where(over > 0, strip.cover, np.uint8(255)).astype(np.float32)
            below += (
                (cover * np.float32(1 / 255))[..., None]
                * (texture - below)
                * (strip.cover > 0)[..., None]
            )
            np.maximum(over, strip.cover, out=over)
    return layer, alpha


def _limb(strip: surface.Strip) -> str:
    return strip.limb


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
        at = tuple(slice(w.start - x, w.stop - x) for w, x in zip(strip.window, low, strict=True))
        np.maximum(cover[at], strip.cover, out=cover[at])
    soft = cv2.blur(cv2.blur(cover, (size, size)), (size, size)).astype(np.float32)
    layer[low[0] : high[0], low[1] : high[1]] *= (1 - share / 255 * soft)[..., None]


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


def _contact(figure: surface.Figure, shape: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    """Share of the light that is left to the ground, which standing feet keep from it."""
    pitch, scale = np.radians(figure.pitch), figure.scale
    dark = np.zeros(shape, np.float32)
    for side in "LR":
        ends = np.stack([figure.spheres[f"{name}_{side}"] for name in ("heel", "toe")])
        row, depth = ends[:, 0] - figure.ground[0], ends[:, 2]
        height = depth * np.sin(pitch) - row * np.cos(pitch) - ends[:, 3]
        near = float(np.clip(1 - height.min() / (_LIFTED * scale), 0, 1))
        if near == 0:
            continue
        below = figure.ground[0] + (row * np.sin(pitch) + depth * np.cos(pitch)) * np.sin(pitch)
        points = np.column_stack([ends[:, 1], below])
        spot = np.zeros(shape, np.float32)
        ends_at = [tuple(int(v * 16) for v in point) for point in points]
        cv2.line(spot, *ends_at, 1.0, max(1, int(0.035 * scale)), cv2.LINE_AA, 4)
        dark = np.maximum(dark, near * spot)
    reach = int(0.02 * scale) * 2 + 1
    # Flat on the ground: softer along the picture's rows than across them.
    soft = cv2.blur(cv2.blur(dark, (2 * reach + 1, reach)), (2 * reach + 1, reach))
    return 1 - np.float32(_CONTACT) * soft
