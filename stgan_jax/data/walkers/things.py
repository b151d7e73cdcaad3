"""Things in a scene that move or look like people, and are none."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.data.walkers import poses, scenes
from stgan_jax.shapes import body, identity

_FAR = 99.0  # metres from the camera: behind everybody


class Layer:
    """Polygons that are drawn one over another, and then onto a picture."""

    def __init__(self, size: tuple[int, int]):
        """Takes the picture's (height, width)."""
        self._colors = np.zeros((*size, 3), np.uint8)
        self._cover = np.zeros(size, np.uint8)

    def fill(self, polygon: Float[np.ndarray, "N 2"], color) -> None:
        """Fills a polygon of (row, col) points in pixels with an RGB colour, 0 to 255."""
        points = [np.rint(polygon[:, ::-1] * 16).astype(np.int32)]
        cv2.fillPoly(self._colors, points, tuple(map(float, color)), cv2.LINE_8, 4)
        cv2.fillPoly(self._cover, points, 255, cv2.LINE_AA, 4)

    def box(self, top: float, left: float, bottom: float, right: float, color) -> None:
        """Fills a rectangle."""
        corners = [[top, left], [top, right], [bottom, right], [bottom, left]]
        self.fill(np.array(corners, np.float64), color)

    def paste(self, top: int, left: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Puts a picture over what is there; all of it lies inside."""
        window = np.s_[top : top + picture.shape[0], left : left + picture.shape[1]]
        self._colors[window], self._cover[window] = picture, 255

    def onto(self, image: Float[np.ndarray, "H W 3"], people: UInt8[np.ndarray, "H W"]) -> None:
        """Blends the layer into a picture, and removes the people behind it from `people`."""
        x, y, width, height = cv2.boundingRect(self._cover)
        window = np.s_[y : y + height, x : x + width]
        alpha = self._cover[window][..., None] * np.float32(1 / 255)
        image[window] += alpha * (self._colors[window] - image[window])
        people[window][self._cover[window] > 127] = 0


class Thing:
    """Something that is drawn into each frame.

    Attributes:
      away: metres from the camera, a number a frame: the far one is drawn first.
      ground: row of the picture in which it stands on the ground, a number a frame.
    """

    away: Float[np.ndarray, " T"]
    ground: Float[np.ndarray, " T"]
    _last: tuple[int, Layer] | None = None

    def draw(
        self, t: int, image: Float[np.ndarray, "H W 3"], people: UInt8[np.ndarray, "H W"]
    ) -> None:
        """Draws it at frame t, and removes the people behind it from `people`, both in place."""
        if self._last is None or self._last[0] != t:  # one frame is drawn several times
            layer = Layer((people.shape[0], people.shape[1]))
            self._fill(t, layer)
            self._last = t, layer
        self._last[1].onto(image, people)

    def _fill(self, t: int, layer: Layer) -> None:
        raise NotImplementedError


class Screen(Thing):
    """A screen on the wall whose picture changes: every second another one, in which bars move."""

    def __init__(self, seed: int, frames: int, fps: float, box: tuple[int, int, int, int]):
        """Takes the (top, left, bottom, right) of the picture in pixels."""
        self._seed, self._fps, self._box = seed, fps, box
        self.away, self.ground = np.full(frames, _FAR), np.full(frames, float(box[2]))

    def _fill(self, t, layer):
        top, left, bottom, right = self._box
        rng = np.random.default_rng([self._seed, 0x5E, int(t / self._fps)])
        coarse = rng.uniform(20, 250, (3, 4, 3)).astype(np.float32)
        size = (right - left, bottom - top)
        picture = np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, 255)
        for _ in range(4):
            speed, width, color = rng.uniform(-60, 60), rng.integers(5, 18), rng.uniform(0, 255, 3)
            col = int(rng.uniform(0, size[0]) + speed * t / self._fps) % size[0]
            row = int(rng.uniform(0, 0.6) * size[1])
            picture[row : row + size[1] // 2, col : col + width] = color
        layer.box(top - 4, left - 4, bottom + 4, right + 4, (25, 25, 28))
        layer.paste(top, left, np.rint(picture).astype(np.uint8))


class Tree(Thing):
    """A small tree in a pot before the wall, whose leaves sway."""

    def __init__(self, rng: np.random.Generator, frames: int, fps: float, foot, tall: float):
        """Takes the (row, col) of its foot and its height in pixels."""
        self._foot, self._tall, self._fps = np.asarray(foot, np.float64), tall, fps
        self.away, self.ground = np.full(frames, _FAR), np.full(frames, float(foot[0]))
        count = 260
        angle, far = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
        self._places = np.stack([-0.64 + 0.36 * far * np.sin(angle), 0.3 * far * np.cos(angle)], -1)
        self._turns = rng.uniform(0, np.pi, count)
        self._waves = rng.uniform([0.4, 0.0], [1.6, 1.0], (count, 2))  # Hz, cycles
        green = rng.uniform([35, 75, 20], [95, 150, 60], (count, 3))
        self._colors = green * rng.uniform(0.6, 1.1, (count, 1))

    def _fill(self, t, layer):
        tall, seconds = self._tall, t / self._fps
        row, col = self._foot
        layer.box(row - 0.7 * tall, col - 0.02 * tall, row, col + 0.02 * tall, (85, 65, 50))
        layer.box(row - 0.13 * tall, col - 0.09 * tall, row, col + 0.09 * tall, (150, 90, 65))
        gust = 0.6 + 0.4 * np.sin(2 * np.pi * 0.25 * seconds)
        swing = np.sin(2 * np.pi * (self._waves[:, 0] * seconds + self._waves[:, 1])) * gust
        leaf = 0.042 * tall * np.array([[0, 1], [0.42, 0], [0, -1], [-0.42, 0]])
        for (up, aside), turn, at, color in zip(
            self._places, self._turns, swing, self._colors, strict=True
        ):
            c, s = np.cos(turn + 0.5 * at), np.sin(turn + 0.5 * at)
            middle = self._foot + tall * np.array([up + 0.008 * at, aside + 0.03 * at])
            layer.fill(middle + leaf @ np.array([[c, -s], [s, c]]), color)


class Car(Thing):
    """A car that drives through, seen from its side."""

    _BODY = ((0, 0.3), (0.05, 0.8), (0.9, 0.92), (3.9, 0.95), (4.2, 0.75), (4.25, 0.3))
    _CABIN = ((0.85, 0.9), (1.5, 1.42), (3.0, 1.45), (3.85, 0.93))
    _PANES = (
        ((1.1, 0.93), (1.58, 1.34), (2.15, 1.36), (2.15, 0.94)),
        ((2.25, 0.94), (2.25, 1.36), (2.95, 1.37), (3.55, 0.95)),
    )

    def __init__(self, rng: np.random.Generator, frames: int, fps: float, size, where):
        """Takes the picture's size and, in metres, (away, eye): see `scenes.standpoint`."""
        away, self._eye = where
        self._size = size
        self.away = np.full(frames, away)
        self.ground = scenes.standpoint(0 * self.away, self.away, size, self._eye)[1][:, 0]
        half = 0.5 * size[1] / (1.25 * size[0]) * away  # of the picture, in metres
        start = rng.uniform(0.1, 0.4) * frames
        self._front = rng.uniform(5.0, 7.0) * (np.arange(frames) - start) / fps - half
        self._heading = int(rng.choice([-1, 1]))
        self._paint = rng.uniform(30, 210, 3)

    def _fill(self, t, layer):
        def placed(points) -> np.ndarray:
            """Metres behind the front and above the ground, to (row, col)."""
            x, z = np.asarray(points, np.float64).T
            right = self._heading * (self._front[t] - x)
            scale, foot = scenes.standpoint(right, self.away[t] + 0 * x, self._size, self._eye)
            return np.stack([foot[:, 0] - z * scale / scenes.METRES, foot[:, 1]], -1)

        turn = np.linspace(0, 2 * np.pi, 33)
        circle = np.stack([np.cos(turn), np.sin(turn)], -1)
        layer.fill(placed(np.array([2.1, 0.0]) + circle * [2.3, 0.07]), (45, 45, 45))
        layer.fill(placed(self._CABIN), 0.85 * self._paint)
        for pane in self._PANES:
            layer.fill(placed(pane), (55, 70, 82))
        layer.fill(placed(self._BODY), self._paint)
        layer.fill(placed([(0, 0.3), (0.02, 0.5), (4.25, 0.5), (4.25, 0.3)]), 0.7 * self._paint)
        layer.fill(placed([(0.04, 0.62), (0.05, 0.76), (0.3, 0.76), (0.3, 0.64)]), (235, 232, 205))
        layer.fill(placed([(4.05, 0.6), (4.05, 0.74), (4.2, 0.72), (4.22, 0.6)]), (170, 35, 30))
        for x in (0.85, 3.4):
            layer.fill(placed(np.array([x, 0.32]) + 0.32 * circle), (28, 28, 30))
            layer.fill(placed(np.array([x, 0.32]) + 0.18 * circle), (150, 152, 155))


class Bench(Thing):
    """A wooden bench, seen from the front."""

    def __init__(
        self,
        foot: Float[np.ndarray, "2"],
        metre: float,
        seat: float,
        away: Float[np.ndarray, " T"],
    ):
        """Takes the (row, col) below the seat, pixels a metre, the seat's height in metres."""
        self._foot, self._metre, self._seat = foot, metre, seat
        self.away, self.ground = away, np.full(len(away), float(foot[0]))

    def _fill(self, t, layer):
        wood = np.array([132, 92, 58])

        def slat(low: float, high: float, left: float, right: float, shade: float) -> None:
            """Takes metres above the ground and to the right."""
            (row, col), metre = self._foot, self._metre
            sides = row - high * metre, col + left * metre, row - low * metre, col + right * metre
            layer.box(*sides, shade * wood)

        seat = self._seat
        for aside in (-0.72, 0.64):
            slat(0.0, seat + 0.5, aside, aside + 0.08, 0.55)
        for low in (seat + 0.16, seat + 0.34):
            slat(low, low + 0.12, -0.8, 0.8, 0.9)
        slat(seat - 0.08, seat, -0.8, 0.8, 1.1)


def hang_poster(
    image: Float[np.ndarray, "H W 3"], seed: int, box: tuple[int, int, int, int]
) -> None:
    """Draws a poster of somebody who stands into a picture, in place.

    Args:
      image: the wall, RGB 0 to 255.
      seed: decides the person and the colours.
      box: (top, left, bottom, right) of the poster in pixels.
    """
    rng = np.random.default_rng([seed, 0x90])
    top, left, bottom, right = box
    layer, nobody = Layer((image.shape[0], image.shape[1])), np.zeros(image.shape[:2], np.uint8)
    layer.box(top - 3, left - 3, bottom + 3, right + 3, (30, 30, 30))
    layer.box(top, left, bottom, right, rng.uniform(130, 235, 3))
    layer.box(bottom - 0.12 * (bottom - top), left, bottom, right, rng.uniform(30, 120, 3))
    layer.onto(image, nobody)
    person = identity.sample_identity(int(rng.integers(1 << 31)))
    scenes.DressedWalker(
        poses.standing(person, "nm", 1, 25.0, seed),
        body.body_parts(person, "nm"),
        np.array([rng.uniform(-40, 40)]),
        0.0,
        np.array([0.84 * (bottom - top)]),
        np.array([[bottom - 0.06 * (bottom - top), (left + right) / 2]]),
        scenes.outfit(rng, True),
    ).draw(0, image, nobody)
