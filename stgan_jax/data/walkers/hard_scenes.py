"""Scenes in which people are hard to find, a kind for each difficulty, all truth known.

The people and the street are those of `scenes`. A scene is a pure function of its kind, seed,
length, size and frame rate.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from stgan_jax.data.walkers import poses, procedural, scenes, things
from stgan_jax.shapes import body, drawing, identity
from stgan_jax.util.errors import InputError

_TALL = 300.0  # pixels a stature at most, in a picture of 480 rows
_SMALL = 66.0  # and at least


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What is in a scene: how many walk, stand and sit, and the difficulties."""

    walk: int = 2
    stand: int = 0
    sit: int = 0
    meet: bool = False  # all cross the same place at about the same time, at nearly one depth
    apart: bool = False  # one after the other: some enter late, some leave early
    shadow: float = 1.0  # factor of light that a shadow leaves
    mirror: float = 0.0  # share of light that the floor reflects
    noise: float = 2.0  # standard deviation, grey levels
    screen: bool = False
    leaves: bool = False
    hair: bool = False  # as the wall
    light: bool = False  # switched on halfway
    car: bool = False
    poster: bool = False


_PLANS = {
    "shadows": _Plan(shadow=0.5),
    "reflection": _Plan(mirror=0.35),
    "screen": _Plan(screen=True),
    "leaves": _Plan(leaves=True),
    "hair": _Plan(hair=True),
    "crossing": _Plan(walk=3, meet=True),
    "crowd": _Plan(walk=4, shadow=0.8),
    "entering": _Plan(walk=4, apart=True),
    "standing": _Plan(walk=1, stand=1),
    "sitting": _Plan(walk=1, sit=1),
    "noise": _Plan(noise=8.0),
    "light": _Plan(light=True),
    "car": _Plan(car=True),
    "poster": _Plan(poster=True),
    "everything": _Plan(
        walk=2, stand=1, sit=1, meet=True, shadow=0.65, mirror=0.25, noise=4.0, screen=True,
        leaves=True, hair=True, light=True, car=True, poster=True,
    ),
}  # fmt: skip
KINDS = tuple(_PLANS)


@dataclasses.dataclass(frozen=True)
class HardFrame:
    """One rendered frame and the truth about it.

    Attributes:
      image: RGB.
      people: 0 where nobody is, else 1 + index of the visible person.
      empty: the same moment without people, their shadows and reflections, and without noise:
        things that move are in it.
      visible: for each person, the share of their body that is visible in the picture, 0 to 1.
    """

    image: UInt8[np.ndarray, "H W 3"]
    people: UInt8[np.ndarray, "H W"]
    empty: UInt8[np.ndarray, "H W 3"]
    visible: tuple[float, ...]


class HardScene:
    """A street with people and a difficulty, before a static camera.

    Attributes:
      kind: one of `KINDS`.
      size: (height, width) in pixels.
      fps, frames: frame rate and length.
      still: 1 + indices of the people who stand or sit all the time.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        frames: int = 125,
        size: tuple[int, int] = (480, 640),
        fps: float = 25.0,
    ):
        """Sets the scene. Raises `InputError` for a kind that is not in `KINDS`."""
        if kind not in _PLANS:
            raise InputError(f"kind {kind!r}: choose one of {', '.join(KINDS)}")
        self.kind, self.size, self.fps, self.frames = kind, size, fps, frames
        self._plan, self._seed = _PLANS[kind], seed
        self._eye = float(self._rng([1]).uniform(1.45, 2.3))  # metres above the ground
        self._wall = scenes.street(self._rng([2]), size)
        self._things: list[things.Thing] = []
        self._furnish()
        self._people = self._cast()
        self.still = tuple(range(self._plan.walk + 1, len(self._people) + 1))
        rng = self._rng([5])
        self._sun = np.array([rng.uniform(-0.25, 0.4), rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)])
        self._switched = int(frames * rng.uniform(0.4, 0.6))
        self._lamp = self._glow(rng)

    def _rng(self, use: Sequence[int]) -> np.random.Generator:
        return np.random.default_rng([self._seed, *self.kind.encode(), *use])

    def __iter__(self) -> Iterator[HardFrame]:
        """Renders the frames one after the other."""
        for t in range(self.frames):
            image, people = self._render(t, self._people)
            empty, _ = self._render(t, [])
            noise = self._rng([6, t]).normal(0, self._plan.noise, image.shape)
            visible = np.bincount(people.ravel(), minlength=len(self._people) + 1)[1:]
            shares = (float(n / p.area(t)) for n, p in zip(visible, self._people, strict=True))
            yield HardFrame(
                np.clip(np.rint(image + noise), 0, 255).astype(np.uint8),
                people,
                np.clip(np.rint(empty), 0, 255).astype(np.uint8),
                tuple(min(share, 1.0) for share in shares),
            )

    def _render(
        self, t: int, cast: "Sequence[_Actor]"
    ) -> tuple[Float32[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
        """The picture without noise, and who is seen where."""
        image, people = self._wall.astype(np.float32), np.zeros(self.size, np.uint8)
        drawn: list[things.Thing | _Actor] = [*self._things, *cast]
        drawn.sort(key=lambda one: -one.away[t])
        ground = round(scenes.HORIZON * self.size[0])
        if self._plan.shadow < 1.0 and cast:
            cover = np.zeros(self.size, np.uint8)
            for actor in cast:
                actor.draw_shadow(t, cover, self._sun)
            cover[:ground] = 0
            soft = cv2.GaussianBlur(cover, (0, 0), max(0.5, self.size[0] / 400))
            image *= 1.0 - (1.0 - self._plan.shadow) * soft[..., None] / np.float32(255)
        if share := self._plan.mirror:
            image[ground:] += share * (self._mirrored(t, drawn)[ground:] - image[ground:])
        for one in drawn:
            one.draw(t, image, people)
        if self._plan.light:
            on = np.clip((t - self._switched) / 2, 0, 1)  # within two frames
            image *= (0.6 + on * self._lamp)[..., None]
        return image, people

    def _mirrored(
        self, t: int, drawn: "Sequence[things.Thing | _Actor]"
    ) -> Float32[np.ndarray, "H W 3"]:
        """What a floor that is a mirror shows: everything upside down below its foot."""
        height, rows = self.size[0], np.arange(self.size[0])
        ground = scenes.HORIZON * height
        out = self._wall[np.clip(np.rint(2 * ground - rows), 0, height - 1).astype(int)]
        out = out.astype(np.float32)
        for one in drawn:
            picture, mark = np.zeros_like(out), np.full(self.size, 255, np.uint8)
            one.draw(t, picture, mark)
            left, _, width, _ = cv2.boundingRect(255 - mark)
            source = np.rint(2 * one.ground[t] - rows).astype(int)
            below = np.flatnonzero((source >= 0) & (source < one.ground[t]))
            part = np.s_[left : left + width]
            there = mark[source[below], part] != 255
            mirrored = picture[source[below], part]
            out[below, part] = np.where(there[..., None], mirrored, out[below, part])
        return cv2.blur(out, (3, max(1, height // 80)))

    def _furnish(self) -> None:
        """Hangs and places the things that the plan asks for, each at another place."""
        rng, (height, width), plan = self._rng([3]), self.size, self._plan
        gap = width // 4  # between windows, see `scenes.street`
        order = rng.permutation(3)
        slots = [width // 12 + width // 9 + gap * int(n) for n in order]
        wide = gap - width // 9  # of the wall between two windows
        if plan.poster:
            left = slots[0] + round(0.08 * wide)
            box = (round(0.2 * height), left, round(0.54 * height), left + round(0.84 * wide))
            wall = self._wall.astype(np.float32)
            things.hang_poster(wall, self._seed, box)
            self._wall = np.clip(np.rint(wall), 0, 255).astype(np.uint8)
        if plan.screen:
            left = slots[1] - width // 12
            box = (round(0.12 * height), left, round(0.34 * height), left + round(0.22 * width))
            self._things.append(things.Screen(self._seed, self.frames, self.fps, box))
        if plan.leaves:
            foot = (0.61 * height, slots[2] + 0.5 * wide)
            self._things.append(things.Tree(rng, self.frames, self.fps, foot, 0.5 * height))
        if plan.car:
            away = float(self._depth(rng.uniform(0.3, 0.8)))
            where = (away, self._eye)
            self._things.append(things.Car(rng, self.frames, self.fps, self.size, where))

    def _depth(self, near: float) -> float:
        """Metres from the camera: 0 the farthest that people are, 1 the nearest.

        Statures are evenly spread, and feet are on the ground and in the picture.
        """
        height = self.size[0]
        focal, unit = 1.25 * height * scenes.METRES, height / 480
        # Rows of the ground below the horizon of the camera, over pixels a stature.
        rows = self._eye / scenes.METRES
        most = min(_TALL * unit, 0.53 * height / rows)
        least = max(_SMALL * unit, (scenes.HORIZON - 0.42 + 0.015) * height / rows)
        return focal / (least + near * (most - least))

    def _cast(self) -> "list[_Actor]":
        """Everybody: those who walk, then those who stand, then those who sit."""
        plan, rng = self._plan, self._rng([4])
        count = plan.walk + plan.stand + plan.sit
        near = (rng.permutation(count) + rng.uniform(0.2, 0.8, count)) / count
        if plan.meet:
            near[: plan.walk] = rng.uniform(0.25, 0.75) + 0.05 * rng.permutation(plan.walk)
        cast = [self._walker(rng, n, near[n]) for n in range(plan.walk)]
        side = rng.choice([-1, 1])
        for n in range(plan.walk, count):
            right = side * rng.uniform(0.3, 0.55)
            cast.append(self._still(rng, n, near[n], right, sits=n >= plan.walk + plan.stand))
            side = -side
        return cast

    def _walker(self, rng: np.random.Generator, n: int, near: float) -> "_Actor":
        """Somebody who crosses the picture, in turns to either side."""
        plan, frames, fps = self._plan, self.frames, self.fps
        person, condition, seed = self._person(rng)
        motion = identity.sample_motion(seed, condition, 1)
        phase = procedural.gait_phase(person, motion, frames, fps)
        spheres, stride = body.body_spheres(person, motion, condition, phase)
        spread = 8 if plan.meet else 32
        heading = (1 if n % 2 else -1) * np.radians(90 + rng.uniform(-spread, spread))
        speed = stride * person.cadence * motion.tempo * scenes.METRES / fps  # metres a frame
        when = rng.uniform(0.48, 0.52) if plan.meet else rng.uniform(0.35, 0.65)
        if plan.apart:
            when = (n + rng.uniform(0.2, 0.8)) / plan.walk
        steps = np.arange(frames) - when * frames
        right = -np.sin(heading) * speed * steps + (0.0 if plan.meet else rng.uniform(-0.4, 0.4))
        away = np.maximum(self._depth(near) - np.cos(heading) * speed * steps, 1.8)
        view = np.degrees(heading - np.arctan2(right, away))
        place = scenes.standpoint(right, away, self.size, self._eye)
        parts = body.body_parts(person, condition)
        return _Actor(n + 1, spheres, parts, view, *place, self._clothes(rng)).at(away)

    def _still(
        self, rng: np.random.Generator, n: int, near: float, aside: float, sits: bool
    ) -> "_Actor":
        """Somebody who stands, or sits on a bench; `aside` is a share of the picture's half."""
        person, condition, seed = self._person(rng)
        away = np.full(self.frames, self._depth(near))
        right = aside * away * 0.5 * self.size[1] / (1.25 * self.size[0])
        scale, foot = scenes.standpoint(right, away, self.size, self._eye)
        if sits:
            condition = "nm"
            spheres, seat = poses.sitting(person, self.frames, self.fps, seed)
            metre = scale[0] / scenes.METRES
            self._things.append(things.Bench(foot[0], metre, seat * scenes.METRES, away + 0.1))
        else:
            spheres = poses.standing(person, condition, self.frames, self.fps, seed)
        turn = rng.uniform(-35, 35) if sits else rng.choice([0, 0, 90, -90, 180])
        view = np.full(self.frames, turn + rng.uniform(-25, 25))
        parts = body.body_parts(person, condition)
        return _Actor(n + 1, spheres, parts, view, scale, foot, self._clothes(rng)).at(away)

    def _person(self, rng: np.random.Generator) -> tuple[identity.Identity, str, int]:
        seed = int(rng.integers(1 << 31))
        person = identity.sample_identity(seed)
        if self._plan.hair:
            person = dataclasses.replace(person, hair=(1.0, 1.0))
        return person, identity.CONDITIONS[int(rng.choice(3, p=[0.6, 0.2, 0.2]))], seed

    def _clothes(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        clothes = scenes.outfit(rng, textured=True)
        if self._plan.hair:
            band = self._wall[round(0.38 * self.size[0]) : round(0.56 * self.size[0])]
            clothes["hair"] = np.broadcast_to(band.mean((0, 1), dtype=np.float32), (32, 32, 3))
        return clothes

    def _glow(self, rng: np.random.Generator) -> Float[np.ndarray, "H W"]:
        """How much light the lamp adds, of full light."""
        height, width = self.size
        rows, cols = np.mgrid[:height, :width]
        middle = rng.uniform(0.2, 0.8) * width
        far = ((rows - 0.2 * height) ** 2 + (cols - middle) ** 2) / (0.5 * width) ** 2
        return 0.25 + 0.35 * np.exp(-far)


class _Actor(scenes.DressedWalker):
    """Somebody in a scene, who is drawn as `things.Thing` are."""

    def __init__(self, label, spheres, parts, view, scale, foot, clothes):
        super().__init__(spheres, parts, view, 3.0, scale, foot, clothes)
        self._label, self.ground = label, foot[:, 0]

    def at(self, away: Float[np.ndarray, " T"]) -> "_Actor":
        self.away = away
        return self

    def draw(self, t, image, people, label=None):
        super().draw(t, image, people, self._label)

    def area(self, t: int) -> int:
        """Pixels of the whole body, whatever is before it, inside or outside of the picture."""
        outlines = [self.outline(t, part.name) for part in self.parts]
        points = np.concatenate(outlines)
        corner = np.floor(points.min(0)) - 1
        cover = np.zeros(np.ceil(points.max(0) - corner).astype(int) + 2, np.uint8)
        for outline in outlines:
            drawing.cover(cover, outline - corner)
        return int((cover > 127).sum())
