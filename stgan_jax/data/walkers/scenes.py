"""RGB scenes of procedural walkers: dressed people crossing a textured, static background.

Everything about a scene is known: who walks where, each person's visible mask, and
the empty background. A scene is a pure function of its arguments.
"""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import body, drawing, identity, surface

METRES = 1.7  # a stature
HORIZON = 0.58  # where the ground begins, as a share of a scene's height


@dataclasses.dataclass(frozen=True)
class Frame:
    """One rendered frame.

    Attributes:
      image: RGB.
      people: 0 where nobody is, else 1 + index of the visible person.
    """

    image: UInt8[np.ndarray, "H W 3"]
    people: UInt8[np.ndarray, "H W"]


class Scene:
    """A street with people crossing it, before a static camera at eye height.

    Attributes:
      size: (height, width) in pixels.
      fps, frames: frame rate and length.
      background: the empty scene, without sensor noise.
    """

    def __init__(
        self,
        seed: int,
        people: int = 3,
        frames: int = 100,
        size: tuple[int, int] = (480, 640),
        fps: float = 25.0,
        textured: bool = True,
        noise: float = 2.0,
        shadow: float = 1.0,
    ):
        """Sets the scene.

        Many arguments because each is a free choice about the scene.

        Args:
          seed: decides people, paths, clothes and place.
          people: number of people who cross, at different depths, in turns to either side.
          frames: length.
          size: (height, width) in pixels.
          fps: frames a second.
          textured: clothes with patterns, or plain ones.
          noise: standard deviation of the sensor noise, in grey levels.
          shadow: factor by which the ground is darker where people cast a shadow; 1 for none.
        """
        rng = np.random.default_rng([seed, 0x5C])
        self.size, self.fps, self.frames = size, fps, frames
        self.background = street(rng, size)
        self._seed, self._noise, self._shadow = seed, noise, shadow
        sun = np.random.default_rng([seed, 0x5A])
        # Where the shadow of a point falls, (row, col) from the ground point, a unit of its height.
        self._cast = np.array(
            [sun.uniform(-0.25, 0.4), sun.choice([-1, 1]) * sun.uniform(0.5, 1.3)]
        )
        self._walks = [
            Passer(rng, index, people, frames, size, fps, textured) for index in range(people)
        ]

    def __iter__(self) -> Iterator[Frame]:
        """Renders the frames one after the other."""
        nearest_last = sorted(self._walks, key=lambda walk: -walk.depth)
        for t in range(self.frames):
            image = self.background.astype(np.float32)
            people = np.zeros(self.size, np.uint8)
            if self._shadow < 1.0:
                image *= 1.0 - (1.0 - self._shadow) * self.shadows(t)[..., None]
            for walk in nearest_last:
                walk.draw(t, image, people, walk.label)
            grain = np.random.default_rng([self._seed, t]).normal(0, self._noise, image.shape)
            yield Frame(np.clip(np.rint(image + grain), 0, 255).astype(np.uint8), people)

    def shadows(self, t: int) -> Float[np.ndarray, "H W"]:
        """Share of each pixel that lies in somebody's shadow on the ground at frame t.

        Note: bodies are flat to the sun: it throws the outlines that the camera sees.
        """
        cover = np.zeros(self.size, np.uint8)
        for walk in self._walks:
            walk.draw_shadow(t, cover, self._cast)
        cover[: round(HORIZON * self.size[0])] = 0
        soft = cv2.GaussianBlur(cover, (0, 0), max(0.5, self.size[0] / 400))
        return soft.astype(np.float32) / 255


class DressedWalker:
    """A posed person in clothes, at a place in the picture for each frame.

    Attributes:
      parts: the body's parts.
    """

    def __init__(
        self,
        spheres: body.Spheres,
        parts: tuple[body.BodyPart, ...],
        view: Float[np.ndarray, " T"],
        pitch: float,
        scale: Float[np.ndarray, " T"],
        foot: Float[np.ndarray, "T 2"],
        clothes: dict[str, np.ndarray],
    ):
        """Projects and outlines the body.

        Args:
          spheres: the posed body, see `body.body_spheres`.
          parts: the body's parts, see `body.body_parts`.
          view: degrees, see `drawing.project`.
          pitch: degrees by which the camera looks down.
          scale: pixels a stature.
          foot: (row, col) of the ground point, in pixels.
          clothes: a tile of cloth for each garment, see `outfit`.
        """
        self._projected = drawing.project(spheres, view, pitch)
        self.parts = parts
        self._hulls = {p.name: drawing.hulls(self._projected, p.spheres) for p in self.parts}
        self._scale, self._foot, self._clothes = scale, foot, clothes
        self._view, self._pitch = np.broadcast_to(view, np.shape(scale)), pitch

    def draw(
        self, t: int, image: Float[np.ndarray, "H W 3"], people: UInt8[np.ndarray, "H W"], label=1
    ) -> None:
        """Draws the person at frame t, far parts first, and marks its pixels in `people`."""
        scale, foot = self._scale[t], self._foot[t]
        for part in sorted(self.parts, key=lambda part: self._depth(t, part)):
            ends = [self._projected[part.spheres[i]][0][t] * scale + foot for i in (0, -1)]
            cloth = self._clothes[part.garment]
            _dress(image, people, self.outline(t, part.name), ends, scale, cloth, label)

    def figure(self, t: int) -> surface.Figure:
        """The body at frame t."""
        spheres = {
            name: np.array([*place[t], depth[t], radius])
            for name, (place, depth, radius) in self._projected.items()
        }
        view, pitch = float(self._view[t]), float(self._pitch)
        figure = surface.Figure(self.parts, spheres, view, pitch, 1.0, np.zeros(2))
        return figure.moved(float(self._scale[t]), self._foot[t])

    def _depth(self, t: int, part: body.BodyPart) -> float:
        near = np.mean([self._projected[s][1][t] for s in part.spheres])
        return float(near) + body.OVER.get(part.name, 0.0)

    def draw_shadow(
        self, t: int, cover: UInt8[np.ndarray, "H W"], cast: Float[np.ndarray, "2"]
    ) -> None:
        """Marks where the body's shadow falls with 255; `cast` as in `Scene`."""
        foot = self._foot[t]
        for part in self.parts:
            outline = self.outline(t, part.name)
            height = np.maximum(foot[0] - outline[:, :1], 0.0)
            fallen = np.stack([np.full(len(outline), foot[0]), outline[:, 1]], -1) + height * cast
            drawing.cover(cover, fallen)

    def outline(self, t: int, part: str) -> Float[np.ndarray, "N 2"]:
        """Convex outline of one part at frame t, (row, col) in pixels."""
        return self._hulls[part][t] * self._scale[t] + self._foot[t]


class Passer(DressedWalker):
    """One person on one straight path across a scene.

    Attributes:
      label: 1 + index.
      depth: metres from the camera, about.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        index: int,
        people: int,
        frames: int,
        size: tuple[int, int],
        fps: float,
        textured: bool = True,
        aside: float | Float[np.ndarray, " T"] = 0.0,
    ):
        """Draws the person and the path.

        Many arguments because they are the scene's.

        Args:
          rng: decides both.
          index: number of the person, from 0.
          people: number of people in the scene.
          frames: see `Scene`.
          size: see `Scene`.
          fps: see `Scene`.
          textured: see `Scene`.
          aside: metres by which the camera has moved to the right in each frame.
        """
        who = int(rng.integers(1 << 31))
        person = identity.sample_identity(who)
        condition = identity.CONDITIONS[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
        motion = identity.sample_motion(who, condition, 1)
        phase = procedural.gait_phase(person, motion, frames, fps)
        spheres, stride = body.body_spheres(person, motion, condition, phase)
        self.label = index + 1
        self.depth = rng.uniform(4.6, 5.6) + 1.5 * (index - (people - 1) / 2)  # metres
        heading = (1 if index % 2 else -1) * np.radians(90 + rng.uniform(-28, 28))  # 0: to camera
        speed = stride * person.cadence * motion.tempo * METRES / fps  # metres a frame
        velocity = speed * np.array([-np.sin(heading), -np.cos(heading)])  # right, away
        when = frames * rng.uniform(0.35, 0.65)  # the middle of the picture is crossed
        steps = np.arange(frames) - when
        right = velocity[0] * steps + rng.uniform(-0.4, 0.4) - aside
        away = np.maximum(self.depth + velocity[1] * steps, 2.5)
        scale, foot = standpoint(right, away, size)
        view = np.degrees(heading - np.arctan2(right, away))
        parts = body.body_parts(person, condition)
        super().__init__(spheres, parts, view, 3.0, scale, foot, outfit(rng, textured))


def standpoint(
    right: Float[np.ndarray, " T"],
    away: Float[np.ndarray, " T"],
    size: tuple[int, int],
    eye: float = 1.5,
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "T 2"]]:
    """How large somebody is in the picture, and where they stand.

    Args:
      right: metres to the right of the middle.
      away: metres from the camera.
      size: (height, width) of the picture in pixels.
      eye: metres of the camera above the ground.

    Returns:
      pixels a stature, and (row, col) of the ground point.
    """
    height, width = size
    focal = 1.25 * height
    scale = focal * METRES / away
    foot = np.stack([0.42 * height + focal * eye / away, width / 2 + focal * right / away], -1)
    return scale, foot


def _dress(image, people, polygon, ends, scale, garment, label) -> None:
    """Fills one part's polygon with its garment, anti-aliased, shaded as if round."""
    height, width = people.shape
    low = np.floor(polygon.min(0)).astype(int) - 1
    high = np.ceil(polygon.max(0)).astype(int) + 2
    top, left = np.clip(low, 0, [height, width])
    bottom, right = np.clip(high, 0, [height, width])
    if bottom <= top or right <= left:
        return
    cover = np.zeros((bottom - top, right - left), np.uint8)
    drawing.cover(cover, polygon - [top, left])
    along = ends[1] - ends[0]
    along = along / (np.linalg.norm(along) + 1e-6) if np.any(along) else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    extent = (polygon - ends[0]) @ across
    middle, half = (extent.max() + extent.min()) / 2, max((extent.max() - extent.min()) / 2, 1.0)
    rows, cols = np.mgrid[top:bottom, left:right]
    u = (rows - ends[0][0]) * along[0] + (cols - ends[0][1]) * along[1]
    v = (rows - ends[0][0]) * across[0] + (cols - ends[0][1]) * across[1]
    tile = garment[
        np.mod(u * (160 / scale), len(garment)).astype(int),
        np.mod(v * (160 / scale), len(garment)).astype(int),
    ]
    shade = 1.0 - 0.42 * np.clip(np.abs(v - middle) / half, 0, 1) ** 2
    color = tile * shade[..., None]
    alpha = cover[..., None] * np.float32(1 / 255)
    window = image[top:bottom, left:right]
    window += alpha * (color - window)
    people[top:bottom, left:right][cover > 127] = label


def outfit(rng: np.random.Generator, textured: bool) -> dict[str, np.ndarray]:
    """A 32x32 tile of cloth, RGB 0-255, for each garment."""
    skin = np.array([224, 178, 148]) * rng.uniform(0.35, 1.05)
    hair = np.array([[40, 30, 25], [95, 65, 40], [180, 145, 90], [120, 120, 120]])[rng.integers(4)]
    tiles = {"skin": _plain(skin), "hair": _plain(hair)}
    for garment, least in (("top", 30), ("bottom", 25), ("coat", 30), ("bag", 40), ("shoe", 15)):
        vivid = rng.uniform(least, 215, 3)
        color = vivid.mean() + 0.5 * (vivid - vivid.mean())
        patterned = textured and garment in ("top", "bottom", "coat")
        tiles[garment] = _patterned(rng, color) if patterned else _plain(color)
    return tiles


def _plain(color) -> np.ndarray:
    return np.broadcast_to(np.asarray(color, np.float32), (32, 32, 3))


def _patterned(rng: np.random.Generator, color: np.ndarray) -> np.ndarray:
    """Stripes, checks, dots or a weave in two colours."""
    other = np.clip(color + rng.choice([-1, 1]) * rng.uniform(30, 90, 3), 10, 245)
    y, x = np.mgrid[:32, :32]
    kind = rng.integers(4)
    if kind == 0:
        mark = (y // 4) % 2
    elif kind == 1:
        mark = ((y // 8) + (x // 8)) % 2
    elif kind == 2:
        mark = ((y % 16 - 8) ** 2 + (x % 16 - 8) ** 2 < 18).astype(int)
    else:
        mark = rng.random((32, 32)) < 0.5
    return np.where(mark[..., None], other, color).astype(np.float32)


def street(rng: np.random.Generator, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """A house front of bricks and windows above a pavement, with light and dirt."""
    height, width = size
    horizon = round(HORIZON * height)
    image = np.empty((height, width, 3), np.float32)
    y, x = np.mgrid[:height, :width]
    brick_height, brick_width = max(4, height // 60), max(9, height // 24)
    course = y // brick_height
    stagger = (x + (course % 2) * (brick_width // 2)) // brick_width
    tone = rng.uniform(0.82, 1.12, (course.max() + 1, stagger.max() + 1))[course, stagger]
    wall = np.array(rng.uniform([120, 85, 70], [190, 150, 130]))
    image[:] = wall * tone[..., None]
    mortar = (y % brick_height == 0) | ((x + (course % 2) * (brick_width // 2)) % brick_width == 0)
    image[mortar] = 0.8 * wall + 40
    pane = np.array(rng.uniform([60, 80, 100], [110, 130, 150]))
    for left in range(width // 12, width, width // 4):
        top, right, bottom = round(0.10 * height), left + width // 9, round(0.36 * height)
        cv2.rectangle(image, (left - 3, top - 3), (right + 3, bottom + 3), (215, 210, 200), -1)
        glass = np.linspace(1.25, 0.8, bottom - top)[:, None, None] * pane
        image[top:bottom, left:right] = glass
    distance = np.clip((np.arange(height) - horizon) / (height - horizon), 0, 1)
    ground = np.array(rng.uniform([120, 118, 112], [165, 160, 152]))
    image[horizon:] = ground * (0.85 + 0.3 * distance[horizon:, None, None])
    for row in np.geomspace(3, height - horizon, 9).astype(int):
        image[min(horizon + row, height - 1)] *= 0.82  # joints between the slabs
    return np.clip(image * _mottle(rng, size)[..., None], 0, 255).astype(np.uint8)


def _mottle(rng: np.random.Generator, size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Smooth noise of several scales around 1."""
    height, width = size
    out = np.ones(size, np.float32)
    for cells, depth in ((4, 0.08), (24, 0.05), (120, 0.05), (400, 0.04)):
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        out += depth * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return out
