"""The surface of a drawn body: which place of which part a pixel shows.

A body's parts are joined to patches, each with one coordinate system, so that a cloth has no seam
where two parts of it meet. A pixel's place is (patch, along, across): `along` runs from 0 at the
patch's upper end to 1 at its lower, `across` from -1 at its left edge in the picture, as somebody
sees it who looks along it with its upper end above, to 1 at its right.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int8, UInt8

from stgan_jax.shapes import body, drawing
from stgan_jax.shapes.walker import Walker

_BINS = 128  # places along a patch at which its width is computed
_CIRCLE = np.stack([f(np.arange(24) * np.pi / 12) for f in (np.sin, np.cos)], -1)  # (row, col)
# Statures by which an arm counts as nearer, from the side and from the front: beside the trunk it
# is in front of it.
_ARMS = 0.02, 0.12
_HANGING = (
    "trunk", "head", "hair", "cap", "neck", "hood", "skirt", "drape", "bag",
)  # fmt: skip


class Patch(NamedTuple):
    """Parts with one coordinate system.

    Attributes:
      limb: patches of one limb are drawn one after the other, whatever their depth.
      parts: names of the parts.
      axis: names of the spheres between which it runs, its upper end first.
    """

    limb: str
    parts: tuple[str, ...]
    axis: tuple[str, str]


def _patches() -> dict[str, Patch]:
    """All patches by name. Within a limb what is worn above comes later, as sleeves over hands."""
    out = {
        "neck": Patch("neck", ("neck",), ("jaw_root", "neck")),
        "bag": Patch("bag", ("bag",), ("bag_0", "bag_1")),
        "drape": Patch("trunk", ("drape",), ("waist_L", "seat_L")),
        "skirt": Patch("trunk", ("skirt",), ("waist_L", "seat_L")),
        "trunk": Patch("trunk", ("pelvis", "belly", "chest", "coat", "jacket"), ("neck", "pelvis")),
        "hood": Patch("head", ("hood",), ("hood", "neck")),
        "hair": Patch("hair", ("hair", "crown", "knot"), ("crown", "jaw_root")),
        "head": Patch("head", ("head",), ("crown", "jaw_root")),
        "cap": Patch("cap", ("cap",), ("crown", "jaw_root")),
    }
    for side in "LR":
        limbs: dict[str, tuple[str, tuple[str, ...], tuple[str, str]]] = {
            "foot": ("leg", ("foot", "toes", "sole"), ("ankle", "sole")),
            "shank": ("leg", ("calf", "shin"), ("knee", "ankle")),
            "thigh": ("leg", ("thigh",), ("hip", "knee")),
            "hand": ("arm", ("hand",), ("wrist", "fingers")),
            "forearm": ("arm", ("forearm",), ("elbow", "wrist")),
            "upper_arm": ("arm", ("upper_arm",), ("shoulder", "elbow")),
        }
        for name, (limb, parts, (start, end)) in limbs.items():
            own = tuple(f"{part}_{side}" for part in parts)
            out[f"{name}_{side}"] = Patch(
                f"{limb}_{side}", own, (f"{start}_{side}", f"{end}_{side}")
            )
    return out


PATCHES = _patches()
NAMES = tuple(PATCHES)


class Figure(NamedTuple):
    """A posed body in a picture, at one moment.

    Attributes:
      parts: the body's parts.
      spheres: name -> (row, column, depth, radius) in pixels, depth towards the camera.
      view: degrees, see `drawing.project`.
      pitch: degrees by which the camera looks down at the feet.
      scale: pixels a stature.
      ground: (row, column) of the ground point below the pelvis.
    """

    parts: tuple[body.BodyPart, ...]
    spheres: Mapping[str, Float[np.ndarray, "4"]]
    view: float
    pitch: float
    scale: float
    ground: Float[np.ndarray, "2"]

    def moved(self, scale: float, to: Float[np.ndarray, "2"]) -> "Figure":
        """Enlarged `scale` times about the picture's corner, which then comes to lie at `to`."""
        shift = np.array([*to, 0.0, 0.0])
        return self._replace(
            spheres={name: at * scale + shift for name, at in self.spheres.items()},
            scale=self.scale * scale,
            ground=self.ground * scale + to,
        )

    def outlines(self) -> dict[str, Float32[np.ndarray, "N 2"]]:
        """The parts' convex outlines, (row, column) points in pixels."""
        out = {}
        for part in self.parts:
            at = np.stack([self.spheres[name] for name in part.spheres])
            rims = at[:, None, :2] + at[:, None, 3:] * _CIRCLE
            out[part.name] = cv2.convexHull(rims.reshape(-1, 2).astype(np.float32))[:, 0]
        return out

    def coverage(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """Share of each pixel that the body covers, 0 to 255."""
        out = np.zeros(shape, np.uint8)
        for outline in self.outlines().values():
            drawing.cover(out, outline)
        return out

    def box(self) -> Float[np.ndarray, "4"]:
        """Top, left, bottom and right of what is drawn."""
        points = np.concatenate(list(self.outlines().values()))
        return np.concatenate([points.min(0), points.max(0)]).astype(np.float64)

    def axis(self, name: str) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
        """Unit vectors along and across a patch, (row, column)."""
        ends = [self._place(end) for end in PATCHES[name].axis]
        along = ends[1] - ends[0]
        if name in _HANGING or name.startswith("foot"):
            along = along + [0.01 * self.scale, 0.0]  # seen from above it still hangs down
        length = np.hypot(*along)
        along = along / length if length > 1e-3 else np.array([1.0, 0.0])
        return along, np.array([-along[1], along[0]])

    def _place(self, name: str) -> Float[np.ndarray, "2"]:
        if name == "pelvis":
            return 0.5 * (self.spheres["hip_L"][:2] + self.spheres["hip_R"][:2])
        if name.startswith("sole"):  # below the ankle
            heel, ball = (self.spheres[f"{end}_{name[-1]}"][:2] for end in ("heel", "ball"))
            return heel + 0.29 * (ball - heel)
        return self.spheres[name][:2]


def figures(walker: Walker, frames: range) -> list[Figure]:
    """Some frames of a walker, in statures from the ground point below the pelvis."""
    gait, at = walker.gait, slice(frames.start, frames.stop)
    table = {
        name: np.column_stack([place[at], depth[at], np.full(len(frames), radius)])
        for name, (place, depth, radius) in walker.projected.items()
    }
    return [
        Figure(
            walker.parts,
            {name: row[t] for name, row in table.items()},
            float(gait.view[frames[t]]),
            gait.feet_pitch,
            1.0,
            np.zeros(2),
        )
        for t in range(len(frames))
    ]


class Strip(NamedTuple):
    """A patch as it is drawn; the arrays are of its window.

    Attributes:
      patch: its number in `NAMES`.
      limb: what it belongs to.
      window: rows and columns of the picture.
      cover: share of each pixel that it covers, 0 to 255.
      along, across: place on the patch, also of pixels beside it.
    """

    patch: int
    limb: str
    window: tuple[slice, slice]
    cover: UInt8[np.ndarray, "h w"]
    along: Float32[np.ndarray, "h w"]
    across: Float32[np.ndarray, "h w"]


def strips(figure: Figure, shape: tuple[int, int]) -> Iterator[Strip]:
    """The patches of a body inside a picture of a shape, the far ones first."""
    outlines = figure.outlines()
    for name in _ordered(figure, outlines):
        own = [outlines[p] for p in PATCHES[name].parts if p in outlines]
        # Hair, however long, is measured along the head.
        ends = outlines["head"] if name == "hair" else np.concatenate(own)
        strip = _strip(figure, name, own, ends, shape)
        if strip is not None:
            yield strip


def _ordered(figure: Figure, outlines: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the patches that a body has, limb by limb from far to near."""
    spheres = {part.name: part.spheres for part in figure.parts}
    depth: dict[str, list[float]] = {}
    names = [name for name in NAMES if any(part in outlines for part in PATCHES[name].parts)]
    for name in names:
        for part in PATCHES[name].parts:
            depth.setdefault(PATCHES[name].limb, []).extend(
                figure.spheres[s][2] for s in spheres.get(part, ())
            )
    means = {limb: float(np.mean(values)) for limb, values in depth.items()}
    least, most = _ARMS
    frontal = float(np.square(np.cos(np.radians(figure.view))))
    for side in "LR":
        if f"arm_{side}" in means:
            means[f"arm_{side}"] += (least + (most - least) * frontal) * figure.scale
        # Jackets hang over trousers, and collars around necks.
        means["trunk"] = max(means["trunk"], means[f"leg_{side}"] + 1e-3)
    means["neck"] = min(means["neck"], means["trunk"] - 1e-3)
    means["head"] = max(means["head"], means["trunk"] + 1e-3)
    face, hair = (np.mean([figure.spheres[s][2] for s in spheres[n]]) for n in ("head", "hair"))
    before = hair + body.OVER["hair"] * figure.scale > face  # not from the front
    # From the front, long hair falls behind the shoulders.
    means["hair"] = means["head"] + 1e-3 if before else means["neck"] - 1e-3
    means["cap"] = means["head"] + 2e-3
    return sorted(names, key=lambda name: (means[PATCHES[name].limb], NAMES.index(name)))


def _strip(
    figure: Figure,
    name: str,
    outlines: list[np.ndarray],
    ends: Float32[np.ndarray, "N 2"],
    shape: tuple[int, int],
) -> Strip | None:
    along, across = figure.axis(name)
    every = np.concatenate(outlines)
    low = np.clip(np.floor(every.min(0)).astype(int) - 1, 0, shape)
    high = np.clip(np.ceil(every.max(0)).astype(int) + 2, 0, shape)
    height, width = high - low
    if height < 1 or width < 1:
        return None
    cover = np.zeros((height, width), np.uint8)
    for outline in outlines:
        drawing.cover(cover, outline - low)
    start, end = _extent(ends @ along)
    places = np.clip(np.linspace(start, end, _BINS), *_extent(every @ along))
    left, right = _edges([np.column_stack([o @ along, o @ across]) for o in outlines], places)
    rows = np.arange(low[0], high[0], dtype=np.float32)[:, None]
    columns = np.arange(low[1], high[1], dtype=np.float32)
    x, y = (rows * np.float32(a[0]) + columns * np.float32(a[1]) for a in (along, across))
    x -= np.float32(start)
    x *= np.float32(1 / (end - start))
    np.clip(x, 0, 1, out=x)
    at = (x * np.float32(_BINS - 1) + np.float32(0.5)).astype(np.uint8)
    # left and right as middle and half width: across = (y - middle) / half
    y -= (0.5 * (left + right)).astype(np.float32)[at]
    y *= (2 / np.maximum(right - left, 1e-3)).astype(np.float32)[at]
    np.clip(y, -1, 1, out=y)
    window = slice(low[0], high[0]), slice(low[1], high[1])
    return Strip(NAMES.index(name), PATCHES[name].limb, window, cover, x, y)


def _extent(values: np.ndarray) -> tuple[float, float]:
    start, end = float(values.min()), float(values.max())
    return start, max(end, start + 1e-3)


def _edges(
    outlines: list[np.ndarray], places: Float[np.ndarray, " bins"]
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Left and right edge of convex outlines together, at places along them."""
    left, right = np.full(_BINS, np.inf), np.full(_BINS, -np.inf)
    for points in outlines:
        x, order = points[:, 0], np.arange(len(points))
        first, last = int(x.argmin()), int(x.argmax())
        count = (last - first) % len(points)
        inside = (places >= x[first] - 1e-6) & (places <= x[last] + 1e-6)
        for chain in (order[: count + 1] + first, first - order[: len(points) - count + 1]):
            edge = np.interp(places, *points[chain % len(points)].T)
            np.minimum(left, edge, out=left, where=inside)
            np.maximum(right, edge, out=right, where=inside)
    return left, right


class Surface(NamedTuple):
    """A body's surface in a picture.

    Attributes:
      patch: the patch's number in `NAMES`, -1 beside the body.
      along, across: the place on it, 0 to 1 and -1 to 1.
    """

    patch: Int8[np.ndarray, "H W"]
    along: Float32[np.ndarray, "H W"]
    across: Float32[np.ndarray, "H W"]


def surface(figure: Figure, shape: tuple[int, int]) -> Surface:
    """Draws a body's surface coordinates, the nearest part on top."""
    patch = np.full(shape, -1, np.int8)
    along, across = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for strip in strips(figure, shape):
        at = strip.cover > 127
        patch[strip.window][at] = strip.patch
        along[strip.window][at] = strip.along[at]
        across[strip.window][at] = strip.across[at]
    return Surface(patch, along, across)
