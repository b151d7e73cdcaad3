"""Scenes of `scenes` before a camera that moves in a known way, with all truth.

A camera that turns or zooms sees a homography of one wide picture. One that is carried past the
street sees the ground and the wall behind it pass at different speeds.
"""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.data.walkers import scenes
from stgan_jax.util.errors import InputError

KINDS = ("still", "pan", "tilt", "zoom", "shake", "past")
_WIDER, _TALLER = 2.2, 1.5  # sides of the wide picture over those of a frame
_SWEEP = {"pan": 24.0, "tilt": 8.0}  # degrees from the first to the last frame
_ZOOM = 1.5
_SPEED = 1.0  # metres a second of whoever carries the camera past
_EYE = 1.5  # metres of it above the ground
# Hands that hold a phone: root mean squares in degrees of sway, which falls off above a frequency
# in Hz, and of tremor about another one.
_SWAY, _SLOW, _TREMOR, _FAST = 0.4, 1.0, 0.02, 9.0


@dataclasses.dataclass(frozen=True)
class MovingFrame:
    """One rendered frame and the truth about it.

    Attributes:
      image: RGB.
      people: 0 where nobody is, else 1 + index of the visible person.
      empty: the same moment without people, and without noise.
    """

    image: UInt8[np.ndarray, "H W 3"]
    people: UInt8[np.ndarray, "H W"]
    empty: UInt8[np.ndarray, "H W 3"]


class MovingScene:
    """A street with people crossing it, before a camera that moves.

    Attributes:
      kind: one of `KINDS`; "still" stands, to compare with; "past" shakes as "shake" does.
      size: (height, width) in pixels.
      fps, frames: frame rate and length.
      views: homography that takes the pixels (x, y) of the wide picture to those of each frame.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        frames: int = 125,
        size: tuple[int, int] = (480, 640),
        fps: float = 25.0,
        people: int = 2,
    ):
        """Sets the scene. Raises `InputError` for a kind that is not in `KINDS`."""
        if kind not in KINDS:
            raise InputError(f"kind {kind!r}: choose one of {', '.join(KINDS)}")
        self.kind, self.size, self.fps, self.frames = kind, size, fps, frames
        self._seed = seed
        rng = np.random.default_rng([seed, 0x5C])
        self._wide = (round(_TALLER * size[0]), round(_WIDER * size[1]))
        self._focal = 1.25 * self._wide[0]  # as `scenes.standpoint` has it
        seconds = (np.arange(frames) - frames / 2) / fps
        self._aside = _SPEED * seconds if kind == "past" else np.zeros(frames)
        self._reach = int(np.ceil(np.abs(self._shift(self._wide[0] - 1, self._aside)).max()))
        wall = (self._wide[0], self._wide[1] + 2 * self._reach)
        self._street = scenes.street(rng, wall)
        self.walks = [
            scenes.Passer(rng, n, people, frames, self._wide, fps, aside=self._aside)
            for n in range(people)
        ]
        self.views = self._views(np.random.default_rng([seed, 0x5D]))

    def _views(self, rng: np.random.Generator) -> Float[np.ndarray, "T 3 3"]:
        share = np.linspace(-0.5, 0.5, self.frames)
        angles = np.zeros((3, self.frames))  # pan, tilt, roll, in degrees
        zoom = np.ones(self.frames)
        if self.kind == "pan":
            angles[0] = _SWEEP["pan"] * share
        elif self.kind == "tilt":
            angles[1] = _SWEEP["tilt"] * share
        elif self.kind == "zoom":
            zoom = _ZOOM ** (share + 0.5)
        elif self.kind != "still":
            angles = np.stack([hand(rng, self.frames, self.fps) for _ in range(3)])
        inner, outer = self._lens(1.0, self._wide), [self._lens(z, self.size) for z in zoom]
        return np.stack(
            [
                lens @ _turned(*np.radians(turn)) @ np.linalg.inv(inner)
                for lens, turn in zip(outer, angles.T, strict=True)
            ]
        )

    def _lens(self, zoom: float, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
        focal = zoom * self._focal
        return np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])

    def _shift(self, row, aside):
        """Pixels by which what lies at a row of the wide picture is passed."""
        height = self._wide[0]
        low = np.maximum(row, scenes.HORIZON * height) - 0.42 * height
        return self._focal * aside / (self._focal * _EYE / low)

    def on_the_ground(self, t: int, points: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Points (row, col) of frame t that lie on the ground, in the wide picture of a camera
        that stands where this one is in the middle of the clip.
        """
        back = np.linalg.inv(self.views[t])
        x, y, w = back @ np.stack([points[:, 1], points[:, 0], np.ones(len(points))])
        row, col = y / w, x / w
        return np.stack([row, col + self._shift(row, self._aside[t])], -1)

    def __iter__(self) -> Iterator[MovingFrame]:
        """Renders the frames one after the other."""
        nearest_last = sorted(self.walks, key=lambda walk: -walk.depth)
        for t in range(self.frames):
            empty = self._passed(t)
            image, people = empty.astype(np.float32), np.zeros(self._wide, np.uint8)
            for walk in nearest_last:
                walk.draw(t, image, people, walk.label)
            grain = np.random.default_rng([self._seed, t]).normal(0, 2.0, (*self.size, 3))
            pictures = [
                np.clip(np.rint(self._through_camera(t, wide, cv2.INTER_CUBIC) + noise), 0, 255)
                for wide, noise in ((image, grain), (empty.astype(np.float32), 0.0))
            ]
            noisy, clean = (picture.astype(np.uint8) for picture in pictures)
            yield MovingFrame(noisy, self._through_camera(t, people, cv2.INTER_NEAREST), clean)

    def _through_camera(self, t: int, wide: np.ndarray, how: int) -> np.ndarray:
        return np.asarray(cv2.warpPerspective(wide, self.views[t], self.size[::-1], flags=how))

    def _passed(self, t: int) -> UInt8[np.ndarray, "H W 3"]:
        """The street before the camera, in the wide picture."""
        height, width = self._wide
        if self.kind != "past":
            return self._street
        rows, cols = np.mgrid[:height, :width].astype(np.float32)
        cols += np.float32(self._reach) + self._shift(rows, self._aside[t]).astype(np.float32)
        return np.asarray(cv2.remap(self._street, cols, rows, cv2.INTER_CUBIC))


def hand(rng: np.random.Generator, frames: int, fps: float) -> Float[np.ndarray, " T"]:
    """How far a hand that holds a camera turns it, in degrees.

    Sway, whose power falls with the fourth power of the frequency above 1 Hz, and tremor about
    9 Hz.
    """
    count = max(frames, round(8 * fps))
    at = np.fft.rfftfreq(count, 1 / fps)
    sway = 1 / (1 + np.square(at / _SLOW))
    sway[0] = 0
    tremor = np.exp(-0.5 * np.square((at - _FAST) / 1.5))
    out = np.zeros(count)
    for spectrum, rms in ((sway, _SWAY), (tremor, _TREMOR)):
        noise = rng.normal(size=len(at)) + 1j * rng.normal(size=len(at))
        wave = np.fft.irfft(spectrum * noise, count)
        out += rms * wave / wave.std()
    return out[:frames]


def _turned(pan: float, tilt: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """A rotation, of angles in radians."""
    return np.asarray(
        cv2.Rodrigues(np.array([0, 0, roll]))[0]
        @ cv2.Rodrigues(np.array([tilt, 0, 0]))[0]
        @ cv2.Rodrigues(np.array([0, -pan, 0]))[0]
    )
