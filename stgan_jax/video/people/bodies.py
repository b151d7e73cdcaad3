"""A person in the pixels of a clip: the own body as it is seen, the new one as it is drawn."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from stgan_jax.methods.api import Drawn
from stgan_jax.shapes import surface, walker
from stgan_jax.shapes.surface import Figure
from stgan_jax.video.people import course

_BLOCK = 64  # frames posed at a time
_AROUND = 15  # frames before and after them that their squares depend on, at least
_FIT = 96  # pixels a stature at which bodies are fitted to silhouettes
_SHIFT = 0.12  # statures by which they may be moved
_FEW = 4  # frames by which sizes are chosen
_THICK = (0.8, 0.9, 1.0, 1.12, 1.25, 1.4)
_SCALES = (0.92, 0.96, 1.0, 1.04, 1.08)
_SURE = 0.5  # mean visibility of the trunk's joints from which limbs are placed by joints
# BlazePose's joints, left then right, by the spheres of a body that lie there.
_JOINTS = {
    "shoulder": (11, 12), "elbow": (13, 14), "wrist": (15, 16), "fingers": (19, 20),
    "hip": (23, 24), "knee": (25, 26), "ankle": (27, 28), "heel": (29, 30), "toe": (31, 32),
}  # fmt: skip
_EARS = [7, 8]
_SLEEVES = {"shoulder": 0.036, "elbow": 0.026, "wrist": 0.02}  # statures, radii at most
# An arm that is not seen is not where the joints are guessed to be.
_VISIBLE = 0.5
_SEEN_BY = {
    "elbow": ("upper_arm", "forearm", "hand"), "wrist": ("forearm", "hand"), "fingers": ("hand",),
}  # fmt: skip
_OUTWARD = 0.15  # of its distance from the middle, by which a shoulder's joint lies too far inside
_LIMBS = {  # spheres that move with two others
    "thigh": ("hip", "knee"), "calf": ("knee", "ankle"), "cuff": ("knee", "ankle"),
    "ball": ("heel", "toe"), "back": ("heel", "toe"), "tip": ("heel", "toe"),
    "inner": ("heel", "toe"), "outer": ("heel", "toe"),
    "hem": ("hip", "knee"), "tail": ("hip", "knee"), "drape": ("hip", "knee"),
    "palm": ("wrist", "fingers"),
}  # fmt: skip


class Bodies:
    """The bodies of one person, sighting by sighting. Few are kept in memory at a time."""

    def __init__(
        self,
        drawn: Drawn,
        squares: Int[np.ndarray, "T 3"],
        places: Float[np.ndarray, "T 3"],
        fps: float,
    ):
        """Takes the walk as bodies and where it is in the pixels of the clip.

        Args:
          drawn: the bodies.
          squares: the crops (top, left, side), in which the own body is.
          places: where the new one walks, see `course.Way`.
          fps: frames a second.
        """
        self._drawn, self._squares, self._places, self._fps = drawn, squares, places, fps
        self._beside = max(_AROUND, course.around(fps))
        self._part = functools.lru_cache(maxsize=4)(self._around)
        self._block = functools.lru_cache(maxsize=4)(self._posed)

    def in_skirt(self, length: float) -> "Bodies":
        """With the new body in a skirt of a length in thighs; 0 for trousers."""
        new = self._drawn.new
        look = dataclasses.replace(new.person.look, skirt=length)
        new = dataclasses.replace(new, person=dataclasses.replace(new.person, look=look))
        return Bodies(self._drawn._replace(new=new), self._squares, self._places, self._fps)

    def own(self, i: int) -> Figure:
        """The own body of sighting i, about where the person is."""
        return self._block(True, i // _BLOCK)[i % _BLOCK]

    def new(self, i: int) -> Figure:
        """The new body of sighting i."""
        return self._block(False, i // _BLOCK)[i % _BLOCK]

    @property
    def phases(self) -> Float[np.ndarray, " T"]:
        """Cycles of the new body from the right heel's strike."""
        return self._drawn.new.gait.phase

    def view(self, i: int) -> float:
        """Degrees from which the person is seen, see `drawing.project`."""
        return float(self._drawn.own.gait.view[i])

    def silhouette(self, i: int) -> UInt8[np.ndarray, "240 240"]:
        """The new body of sighting i in its crop, 0/1."""
        part, first = self._part(False, i // _BLOCK)
        return part.silhouettes(np.array([i - first]))[0]

    def _around(self, own: bool, block: int) -> tuple[walker.Walker, int]:
        """The walk about a block, and where it begins."""
        whole = self._drawn.own if own else self._drawn.new
        first = max(block * _BLOCK - self._beside, 0)
        part = slice(first, (block + 1) * _BLOCK + self._beside)
        return dataclasses.replace(whole, gait=_cut(whole.gait, part)), first

    def _posed(self, own: bool, block: int) -> list[Figure]:
        part, first = self._part(own, block)
        start, stop = block * _BLOCK, min((block + 1) * _BLOCK, first + len(part))
        posed = surface.figures(part, range(start - first, stop - first))
        if own:
            sides = self._squares[start:stop, 2] / part.squares[start - first : stop - first, 2]
            scales, corners = sides * walker.SCALE, part.squares[start - first :, :2] / walker.SCALE
            to = self._squares[start:stop, :2]
        else:
            top, _, bottom, _ = part.boxes.T
            here = np.stack([bottom, part.middles, bottom - top], 1)
            here = course.smoothed(here, self._fps)[start - first :]
            scales = self._places[start:stop, 2] / here[: stop - start, 2]
            corners, to = here[:, :2], self._places[start:stop, :2]
        return [
            figure.moved(scale, place - scale * corner)
            for figure, scale, place, corner in zip(posed, scales, to, corners, strict=False)
        ]


def _cut(gait, frames: slice):
    arrays = {k: v[frames] for k, v in gait._asdict().items() if isinstance(v, np.ndarray)}
    return gait._replace(**arrays)


class Shot(NamedTuple):
    """What a frame shows of a person.

    Attributes:
      mask: the silhouette in its box, 0/1.
      corner: top and left of the box in pixels.
      joints: BlazePose's (row, column, visibility); None if they are not known.
    """

    mask: UInt8[np.ndarray, "h w"]
    corner: Int[np.ndarray, "2"]
    joints: Float32[np.ndarray, "33 3"] | None = None


def fitted(figures: Sequence[Figure], shots: Sequence[Shot]) -> list[Figure]:
    """Bodies that cover a person's silhouettes as well as can be.

    They are moved, and changed in size as one; then limbs are placed by joints where there are
    any; and then all parts become thicker or thinner.

    Args:
      figures: one person's body in some frames, about where the person is.
      shots: the same frames.
    """
    few = list(range(0, len(figures), max(1, len(figures) // _FEW)))  # that decide on sizes

    def enlarged(scale: float, i: int) -> tuple[float, Figure]:
        return _moved_to(_about_middle(figures[i], scale), shots[i])

    def thick(factor: float, i: int) -> tuple[float, Figure]:
        changed = _thickened(placed[i], factor)
        return _overlap(changed, shots[i]), changed

    scale = _best(enlarged, _SCALES, few)
    placed = [enlarged(scale, i)[1] for i in range(len(figures))]
    swapped = is_swapped(placed, [one.joints for one in shots])
    placed = [
        figure if one.joints is None else on_joints(figure, one.joints, swapped)
        for figure, one in zip(placed, shots, strict=True)
    ]
    factor = _best(thick, _THICK, few)
    return [_thickened(figure, factor) for figure in placed]


def _best(
    change: Callable[[float, int], tuple[float, Figure]],
    factors: Sequence[float],
    frames: Sequence[int],
) -> float:
    """The factor at which bodies cover silhouettes best, by the mean over some frames."""
    return max(factors, key=lambda factor: float(np.mean([change(factor, i)[0] for i in frames])))


def _about_middle(figure: Figure, scale: float) -> Figure:
    box = figure.box()
    return figure.moved(scale, (box[:2] + box[2:]) / 2 * (1 - scale))


def _thickened(figure: Figure, factor: float) -> Figure:
    by = np.array([1.0, 1.0, 1.0, factor])
    return figure._replace(spheres={name: at * by for name, at in figure.spheres.items()})


def _small(figure: Figure, shot: Shot, margin: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Body and silhouette, 0 to 1, in few pixels: how many of one; a margin around the latter."""
    small = _FIT / figure.scale
    box = figure.box()
    low = np.floor(np.minimum(box[:2], shot.corner) * small) - 1
    high = np.ceil(np.maximum(box[2:], shot.corner + shot.mask.shape) * small) + 2
    height, width = map(int, high - low)
    drawn = figure.moved(small, -low).coverage((height, width)).astype(np.float32) / 255
    top, left = shot.corner * small - low + margin
    own = cv2.warpAffine(
        shot.mask.astype(np.float32),
        np.array([[small, 0, left], [0, small, top]]),
        (width + 2 * margin, height + 2 * margin),
        flags=cv2.INTER_LINEAR,
    )
    return drawn, own, small


def _moved_to(figure: Figure, shot: Shot) -> tuple[float, Figure]:
    """The body where it covers a silhouette best, and their intersection over union."""
    margin = int(_SHIFT * _FIT)
    drawn, own, small = _small(figure, shot, margin)
    _, shared, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(own, drawn, cv2.TM_CCORR))
    union = max(float(drawn.sum() + own.sum()) - shared, 1.0)
    return shared / union, figure.moved(1.0, (np.array([y, x]) - margin) / small)


def _overlap(figure: Figure, shot: Shot) -> float:
    drawn, own, _ = _small(figure, shot, 0)
    shared = float(np.minimum(drawn, own).sum())
    return shared / max(float(drawn.sum() + own.sum()) - shared, 1.0)


def on_joints(figure: Figure, joints: Float32[np.ndarray, "33 3"], swapped: bool) -> Figure:
    """A body whose limbs, trunk and head lie where the joints are; itself if they are unsure.

    Args:
      figure: the body as read, about where the person is.
      joints: BlazePose's (row, column, visibility).
      swapped: whether the body's left is the joints' right (`is_swapped`).
    """
    if joints[[11, 12, 23, 24], 2].mean() < _SURE:
        return figure
    old = {name: at[:2] for name, at in figure.spheres.items()}
    new = dict(old)
    for name, numbers in _JOINTS.items():
        for side, number in zip("RL" if swapped else "LR", numbers, strict=True):
            new[f"{name}_{side}"] = joints[number, :2].astype(np.float64)
    middle = 0.5 * (new["shoulder_L"] + new["shoulder_R"])
    for side in "LR":  # the joint lies deeper than the sleeve's middle
        new[f"shoulder_{side}"] += _OUTWARD * (new[f"shoulder_{side}"] - middle)
    for name, (start, end) in _LIMBS.items():
        for side in "LR":
            if f"{name}_{side}" in old:
                ends = f"{start}_{side}", f"{end}_{side}"
                new[f"{name}_{side}"] = _along(old, new, ends, f"{name}_{side}")
    for points in (old, new):
        for name in ("shoulder", "hip"):
            points[name] = 0.5 * (points[f"{name}_L"] + points[f"{name}_R"])
    ears = joints[_EARS, :2].mean(0) - old["cranium"]
    limbs = set(_JOINTS) | set(_LIMBS)
    for name in figure.spheres:
        base = name.split("_")[0]
        if base in ("chest", "waist", "seat", "neck", "bag"):
            new[name] = _along(old, new, ("shoulder", "hip"), name)
        elif base not in limbs:
            new[name] = old[name] + ears
    new["jaw_root"] = 0.5 * (new["neck"] + new["jaw"])
    spheres = {name: np.array([*new[name], *at[2:]]) for name, at in figure.spheres.items()}
    hidden = set()
    for side, other in zip("LR", "RL" if swapped else "LR", strict=True):
        for name, most in _SLEEVES.items():
            at = spheres[f"{name}_{side}"]
            at[3] = min(at[3], most * figure.scale)
        for name, parts in _SEEN_BY.items():
            if joints[_JOINTS[name]["LR".index(other)], 2] < _VISIBLE:
                hidden |= {f"{part}_{side}" for part in parts}
    visible = tuple(part for part in figure.parts if part.name not in hidden)
    return figure._replace(parts=visible, spheres=spheres)


def _along(old: dict, new: dict, ends: tuple[str, str], name: str) -> Float[np.ndarray, "2"]:
    """A point that keeps its place beside a bone: turned and stretched along with it."""
    bone, moved = old[ends[1]] - old[ends[0]], new[ends[1]] - new[ends[0]]
    length, other = max(np.hypot(*bone), 1e-6), max(np.hypot(*moved), 1e-6)
    offset = old[name] - old[ends[0]]
    across = np.array([-moved[1], moved[0]]) / other
    beside = offset @ np.array([-bone[1], bone[0]]) / length
    return new[ends[0]] + (offset @ bone / length**2) * moved + beside * across


def is_swapped(figures: Sequence[Figure], joints: Sequence[np.ndarray | None]) -> bool:
    """Whether left and right of the bodies as read are the other way round in the joints."""
    agree = 0.0
    for figure, known in zip(figures, joints, strict=True):
        if known is not None:
            for name in ("shoulder", "hip"):
                left, right = _JOINTS[name]
                drawn = figure.spheres[f"{name}_L"][1] - figure.spheres[f"{name}_R"][1]
                agree += drawn * (known[left, 1] - known[right, 1]) / figure.scale**2
    return bool(agree < 0)
