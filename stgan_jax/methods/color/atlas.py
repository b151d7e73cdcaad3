"""The clothes of a person as textures on the body's surface, from many frames.

Each texel is a place of a patch of `shapes.surface`: rows run along it, columns around it, the
walker's front first and then to her left, so that who turns shows other columns. A texture carries
no pose: it is put on another body in another pose as it is.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from stgan_jax.methods.color import heads, nearest
from stgan_jax.shapes import surface

# Lengths and girths of patches in statures, by which textures have their sizes.
_SIZES = {
    "hair": (0.17, 0.38), "head": (0.17, 0.38), "cap": (0.08, 0.3),
    "neck": (0.05, 0.2), "trunk": (0.40, 0.80), "bag": (0.2, 0.4),
    "skirt": (0.25, 0.80), "drape": (0.25, 0.80), "hood": (0.06, 0.3), "foot": (0.06, 0.40),
    "shank": (0.28, 0.25), "thigh": (0.28, 0.34), "hand": (0.09, 0.12), "forearm": (0.16, 0.15),
    "upper_arm": (0.20, 0.18),
}  # fmt: skip
_MOST = 400  # texels a stature
# Where a patch that nobody saw takes its mean colour from.
_NEIGHBOURS = {
    "hair": "head", "cap": "trunk", "head": "neck", "neck": "head",
    "bag": "trunk", "skirt": "trunk", "drape": "trunk",
    "hood": "trunk",
    "trunk": "thigh_L", "foot": "shank", "shank": "thigh", "thigh": "trunk", "hand": "forearm",
    "forearm": "upper_arm", "upper_arm": "trunk",
}  # fmt: skip
_RIM = 0.01  # of the height: how far silhouettes err
_OFTEN = 0.2  # of the frames that show the best seen texels of a patch
# Distances in Lab from the chest, of what is of one cloth with it and what is not.
_ONE_CLOTH, _OTHER = 8.0, 16.0
_LONGEST = 1.2  # thighs that a skirt hangs down
_HEAD = [surface.NAMES.index(name) for name in heads.PATCHES]


class Layout(NamedTuple):
    """Where each patch's texels are in a flat array.

    Attributes:
      density: texels a stature.
      shapes: rows and columns of each patch of `surface.NAMES`.
      starts: its first texel; one more for the end.
    """

    density: int
    shapes: Int[np.ndarray, "P 2"]
    starts: Int[np.ndarray, " Q"]

    @classmethod
    def of(cls, height: float) -> "Layout":
        """For bodies of a height in pixels: about as many texels as pixels."""
        density = int(np.clip(height, 48, _MOST))
        sizes = [_SIZES[name.removesuffix("_L").removesuffix("_R")] for name in surface.NAMES]
        shapes = np.maximum(np.rint(np.array(sizes) * density), [4, 8]).astype(np.int64)
        shapes[:, 1] += shapes[:, 1] % 2
        return cls(density, shapes, np.concatenate([[0], np.cumsum(shapes.prod(1))]))

    def places(
        self,
        patch: Int[np.ndarray, " N"],
        along: Float32[np.ndarray, " N"],
        across: Float32[np.ndarray, " N"],
        view: float,
    ) -> Int[np.ndarray, " N"]:
        """The texels of places on a body that is seen from `view`, degrees."""
        rows, columns = self.shapes[patch].T
        row = np.minimum((along * rows).astype(np.int64), rows - 1)
        turn = view / 360 + np.arcsin(across) / (2 * np.pi)
        column = np.floor(turn * columns).astype(np.int64) % columns
        return self.starts[patch] + row * columns + column


class Sample(NamedTuple):
    """What one frame shows of the clothes.

    Attributes:
      colors: RGB of each texel, 0 where it is not shown.
      shown: which texels the frame shows.
    """

    colors: UInt8[np.ndarray, "N 3"]
    shown: Bool[np.ndarray, " N"]


def sample(
    layout: Layout,
    figure: surface.Figure,
    frame: UInt8[np.ndarray, "H W 3"],
    own: UInt8[np.ndarray, "H W"],
    head: UInt8[np.ndarray, "H W"] | None = None,
) -> Sample:
    """Puts a frame's pixels on the surface.

    The silhouette says which pixels are the person's, without its rim; the drawn body says of
    which place. A pixel beside it is of the place of the nearest one that is on it.

    Args:
      layout: the texels.
      figure: the person's own body in the frame.
      frame: RGB.
      own: the silhouette, 0/1.
      head: 1 where the frame shows a head, of which no cloth takes colours; None takes them.
    """
    count = int(layout.starts[-1])
    blank = Sample(np.zeros((count, 3), np.uint8), np.zeros(count, bool))
    scale = 1.1 * layout.density / figure.scale
    size = tuple(max(1, round(side * scale)) for side in own.shape[::-1])
    smooth = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    frame = cv2.resize(frame, size, interpolation=smooth)
    own = cv2.resize(own, size, interpolation=cv2.INTER_NEAREST)
    if head is not None:
        head = cv2.resize(head, size, interpolation=cv2.INTER_NEAREST)
    figure = figure.moved(scale, np.full(2, 0.5 * scale - 0.5))
    if not own.any():
        return blank
    drawn = surface.surface(figure, own.shape)
    on_body = (drawn.patch >= 0).astype(np.uint8)
    sure = nearest.without_rim(own, _RIM) > 0
    if not on_body.any() or not sure.any():
        return blank
    _, labels = cv2.distanceTransformWithLabels(
        1 - on_body, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(labels.max() + 1, np.int64)
    inside = np.flatnonzero(on_body)
    source[labels.ravel()[inside]] = inside
    place = source[labels]
    if head is not None:
        sure &= (head == 0) | np.isin(drawn.patch.ravel()[place], _HEAD)
    at = place[sure]
    texels = layout.places(
        drawn.patch.ravel()[at].astype(np.int64),
        drawn.along.ravel()[at],
        drawn.across.ravel()[at],
        figure.view,
    )
    counts = np.bincount(texels, minlength=count)
    pixels = frame[sure]
    sums = [np.bincount(texels, pixels[:, c], minlength=count) for c in range(3)]
    colors = np.stack(sums, -1) / np.maximum(counts, 1)[:, None]
    return Sample(np.rint(colors).astype(np.uint8), counts > 0)


@dataclasses.dataclass(frozen=True)
class Atlas:
    """A person's clothes.

    Attributes:
      layout: the texels.
      textures: the patches, RGB, each at full size, half of it, and so on.
      own_head: False if the head is `heads.nobodys`, which turns with the new body.
    """

    layout: Layout
    textures: list[list[UInt8[np.ndarray, "_ _ 3"]]]
    own_head: bool = True

    def level(self, patch: int, scale: float) -> UInt8[np.ndarray, "rows columns 3"]:
        """The texture for a body of `scale` pixels a stature, not much finer than its pixels."""
        levels = self.textures[patch]
        wanted = int(np.log2(max(self.layout.density / scale, 1.0)) + 0.5)
        return levels[min(wanted, len(levels) - 1)]

    def hem(self) -> float:
        """How far a dress or a long coat hangs down, in thighs; 0 if there is none.

        It is of one colour from the chest over the hips to the thighs, and the shanks are of
        another.
        """
        trunk, thigh, shank = (self._profile(name) for name in ("trunk", "thigh", "shank"))
        chest = trunk[2:4].mean(0)
        trunk, thigh, shank = (np.linalg.norm(x - chest, axis=1) for x in (trunk, thigh, shank))
        legs = float(shank[4:7].mean())
        if max(trunk[2:].max(), thigh[:4].max()) > _ONE_CLOTH or legs < _OTHER:
            return 0.0
        down = np.concatenate([thigh, shank])
        return min(float((down > 0.5 * legs).argmax()) / len(thigh), _LONGEST)

    def _profile(self, name: str) -> Float[np.ndarray, "8 3"]:
        """Colours in Lab along a patch, of both sides."""
        sides = [n for n in surface.NAMES if n.startswith(name)]
        textures = [self.textures[surface.NAMES.index(side)][0] for side in sides]
        rows = np.mean([cv2.resize(x.mean(1)[:, None], (1, 8)) for x in textures], 0)
        return cv2.cvtColor(rows.reshape(1, 8, 3).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


@dataclasses.dataclass(frozen=True)
class Outfit:
    """What somebody wears.

    Attributes:
      atlas: the clothes.
      frames: numbers of the frames that they were taken from.
      gains: factors of the light in those frames, RGB.
    """

    atlas: Atlas
    frames: Float[np.ndarray, " K"]
    gains: Float[np.ndarray, "K 3"]

    def gain(self, frame: int) -> Float[np.ndarray, "3"]:
        """Factors of the light in a frame."""
        return np.array([np.interp(frame, self.frames, gain) for gain in self.gains.T])


def joined(
    layout: Layout, samples: Sequence[Sample], face: str = "blur"
) -> tuple[Atlas, Float[np.ndarray, "K 3"]]:
    """The atlas of many frames, and the light of each.

    A texel has the median of the frames that show it: what is wrong in a frame, as where a limb was
    taken for another, is outvoted.

    Args:
      layout: the texels.
      samples: one for each frame; at least one shows something.
      face: what remains of the head, one of `video.render.head.HOW`.

    Returns:
      the atlas; and for each frame the factors by which it is brighter, RGB.
    """
    colors = np.stack([one.colors for one in samples], -1)
    shown = np.stack([one.shown for one in samples], -1)
    gains = _gains(colors, shown, _median(colors, shown))
    even = np.clip(np.rint(colors / gains.T.astype(np.float32)), 0, 255).astype(np.uint8)
    middle = _median(even, shown)
    known = _known(layout, shown)
    textures = _filled(layout, middle, known)
    trunk, drape = (surface.NAMES.index(name) for name in ("trunk", "drape"))
    size = layout.shapes[drape][::-1].tolist()
    textures[drape] = cv2.resize(textures[trunk][layout.shapes[trunk][0] // 2 :], size)
    if face != "keep":
        parts = {
            name: heads.PatchColors(textures[i], known[start:stop].reshape(textures[i].shape[:2]))
            for i, (name, start, stop) in enumerate(
                zip(surface.NAMES, layout.starts[:-1], layout.starts[1:], strict=True)
            )
        }
        for name, texture in heads.nobodys(parts, face).items():
            textures[surface.NAMES.index(name)] = texture
    return Atlas(layout, [_levels(texture) for texture in textures], face == "keep"), gains


def _known(layout: Layout, shown: Bool[np.ndarray, "N K"]) -> Bool[np.ndarray, " N"]:
    """Texels that enough frames show: what few do is at the rim, where masks err."""
    count = shown.sum(1)
    out = np.zeros(len(count), bool)
    for first, last in zip(layout.starts[:-1], layout.starts[1:], strict=True):
        here = count[first:last]
        if here.any():
            out[first:last] = here >= max(1.0, _OFTEN * np.percentile(here[here > 0], 90))
    return out


def _median(
    colors: UInt8[np.ndarray, "N 3 K"], shown: Bool[np.ndarray, "N K"]
) -> UInt8[np.ndarray, "N 3"]:
    """Of the frames that show a texel, the upper one of two in the middle; 255 where none does."""
    ordered = np.sort(np.where(shown[:, None], colors, np.uint8(255)), axis=-1)
    middle = np.minimum(shown.sum(-1) // 2, shown.shape[-1] - 1)
    return np.take_along_axis(ordered, middle[:, None, None], -1)[..., 0]


def _gains(
    colors: UInt8[np.ndarray, "N 3 K"],
    shown: Bool[np.ndarray, "N K"],
    middle: UInt8[np.ndarray, "N 3"],
) -> Float[np.ndarray, "K 3"]:
    """By how much each frame is brighter than the median of all, by the median texel."""
    out = np.ones((shown.shape[1], 3))
    for k in range(shown.shape[1]):
        at = shown[:, k] & (middle.min(-1) > 8)
        if at.any():
            out[k] = np.median((colors[at, :, k] + 4.0) / (middle[at] + 4.0), axis=0)
    return np.clip(out, 0.5, 2.0)


def _filled(
    layout: Layout, colors: UInt8[np.ndarray, "N 3"], shown: Bool[np.ndarray, " N"]
) -> list[UInt8[np.ndarray, "rows columns 3"]]:
    """The patches; what nobody saw is the other side's, or like what is around or near it."""
    patches, visible = {}, {}
    for i, name in enumerate(surface.NAMES):
        part = slice(layout.starts[i], layout.starts[i + 1])
        patches[name] = colors[part].reshape(*layout.shapes[i], 3).astype(np.float32)
        visible[name] = shown[part].reshape(layout.shapes[i])
    whole, known = {}, {}
    for name in surface.NAMES:
        texture, at = patches[name].copy(), visible[name].copy()
        other = name[:-1] + {"L": "R", "R": "L"}.get(name[-1], "")
        if name[-2:] in ("_L", "_R"):
            mirrored, there = patches[other][:, ::-1], visible[other][:, ::-1] & ~at
            texture[there], at[there] = mirrored[there], True
        whole[name], known[name] = texture, at
    means = {n: whole[n][known[n]].mean(0) for n in whole if known[n].mean() > 0.02}
    return [
        _spread(whole[name], known[name])
        if name in means
        else np.broadcast_to(_near(name, means), whole[name].shape).astype(np.uint8)
        for name in surface.NAMES
    ]


def _near(name: str, means: dict[str, np.ndarray]) -> np.ndarray:
    tried = {name}
    while name not in means:
        base, side = name.removesuffix("_L").removesuffix("_R"), name[-2:]
        following = _NEIGHBOURS[base]
        sided = f"{following}{side}"
        name = sided if sided in surface.PATCHES else following
        if name in tried:
            return np.mean(list(means.values()), axis=0) if means else np.full(3, 128.0)
        tried.add(name)
    return means[name]


def _spread(
    texture: Float32[np.ndarray, "rows columns 3"], known: Bool[np.ndarray, "rows columns"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Fills the rest of a texture from what is around it, the texture being a closed tube."""
    out = texture.copy()
    width = texture.shape[1]
    tube = [np.concatenate([x, x, x], 1) for x in (texture * known[..., None], known * 1.0)]
    done = known.copy()
    deviation = 0.8
    while not done.all():
        colors, share = (
            cv2.GaussianBlur(x.astype(np.float32), (0, 0), deviation)[:, width : 2 * width]
            for x in tube
        )
        last = deviation > 2 * max(texture.shape[:2])
        at = ~done & ((share > 1e-6) if last else (share > 0.05))
        out[at] = colors[at] / share[at][:, None]
        done |= at
        if last:
            out[~done] = texture[known].mean(0)
            break
        deviation *= 2.2
    return cv2.medianBlur(np.clip(np.rint(out), 0, 255).astype(np.uint8), 3)


def _levels(texture: np.ndarray) -> list[np.ndarray]:
    out = [texture]
    while min(out[-1].shape[:2]) >= 8:
        rows, columns = out[-1].shape[:2]
        out.append(cv2.resize(out[-1], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA))
    return out
