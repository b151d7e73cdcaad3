"""Telling people apart who are one behind another: whose a pixel is, by clothes and place.

After Elgammal and Davis 2001, Probabilistic framework for segmenting people under occlusion: a
histogram of colours at each height of each person, learnt while nobody else is near.
"""

import functools
import math

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, Int16, UInt8

_BANDS = 8  # of a person's height
_BINS = (6, 8, 8)  # of lightness and the two colours, in CIELAB
_COLOURS = (88, 168)  # range of the latter: clothes are hardly more colourful
_UNKNOWN = 0.02  # likelihood of a colour that was never at that height, as a share of all bins
_ANYWHERE = 0.2  # share of a colour that counts at any height
_ENOUGH = 300  # pixels from which clothes are known
_WIDTH = 0.13  # of the height: deviation of a body's pixels from its middle
_SMOOTH = 0.02  # of the height: neighbours belong to one person
_SURE = 4.0  # largest logarithm by which an outline speaks for somebody


class Clothes:
    """The colours of somebody's clothes at each height; all are alike as long as few are known."""

    def __init__(self) -> None:
        self._counts = np.zeros((_BANDS, math.prod(_BINS)), np.float32)

    def learn(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        mask: UInt8[np.ndarray, "H W"],
        box: Float[np.ndarray, "4"],
    ) -> None:
        """Takes somebody's pixels in a frame.

        Args:
          frame: RGB.
          mask: not 0 where the person is.
          box: around them.
        """
        left, top, width, height = cv2.boundingRect(mask)
        if not height:
            return
        place = np.s_[top : top + height, left : left + width]
        inside = mask[place] > 0
        bands = np.broadcast_to(_bands(top, height, box)[:, None], inside.shape)
        colours = self._counts.shape[1]
        places = bands[inside] * colours + _codes(frame[place])[inside]
        self._counts += np.bincount(places, minlength=self._counts.size).reshape(-1, colours)

    def likelihood(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        window: Int[np.ndarray, "4"],
        box: Float[np.ndarray, "4"],
    ) -> Float32[np.ndarray, "h w"]:
        """The logarithm of how likely a window's pixels are theirs, by colour and place.

        Args:
          frame: RGB.
          window: box of the window, in pixels of the frame.
          box: where the person is expected.
        """
        top, left, bottom, right = (int(side) for side in window)
        tall = max(float(box[2] - box[0]), 1.0)
        away = (np.arange(left, right) + 0.5 - (box[1] + box[3]) / 2) / (_WIDTH * tall)
        rows = _bands(top, bottom - top, box)
        logs = self._logs()[rows[:, None], _codes(frame[top:bottom, left:right])]
        return (logs - np.float32(0.5) * np.square(away).astype(np.float32)).astype(np.float32)

    def _logs(self) -> Float32[np.ndarray, "K N"]:
        if self._counts.sum() < _ENOUGH:
            return np.full(self._counts.shape, -np.log(self._counts.shape[1]), np.float32)
        counts = (1 - _ANYWHERE) * self._counts / np.maximum(self._counts.sum(1, keepdims=True), 1)
        counts += _ANYWHERE * self._counts.sum(0) / max(float(self._counts.sum()), 1.0)
        return np.log(counts + np.float32(_UNKNOWN / counts.shape[1]))


def score(
    likelihood: Float32[np.ndarray, "h w"],
    body: Float32[np.ndarray, "h w"],
    box: Float[np.ndarray, "4"],
) -> Float32[np.ndarray, "h w"]:
    """How much speaks for a pixel being somebody's, smooth over neighbours.

    Args:
      likelihood: from `Clothes.likelihood`.
      body: probability of their outline, 0 to 1.
      box: around them.
    """
    chance = np.clip(body, 1e-4, 1 - 1e-4)
    logit = np.clip(np.log(chance / (1 - chance)), -_SURE, _SURE)
    radius = max(1, round(_SMOOTH * float(box[2] - box[0])))
    return np.asarray(cv2.blur(likelihood + logit, (2 * radius + 1, 2 * radius + 1)))


def _bands(top: int, height: int, box: Float[np.ndarray, "4"]) -> Int[np.ndarray, "h"]:
    """The height on a person that each row is at."""
    share = (np.arange(top, top + height) + 0.5 - box[0]) / max(float(box[2] - box[0]), 1.0)
    return np.clip((share * _BANDS).astype(int), 0, _BANDS - 1)


def _codes(image: UInt8[np.ndarray, "h w 3"]) -> Int16[np.ndarray, "h w"]:
    """Each pixel's colour as a number."""
    lab = cv2.cvtColor(cv2.blur(image, (3, 3)), cv2.COLOR_RGB2LAB)
    light, reds, blues = (table[lab[..., n]] for n, table in enumerate(_tables()))
    return light + reds + blues


@functools.cache
def _tables() -> tuple[Int16[np.ndarray, "256"], ...]:
    values = np.arange(256)
    light = values * _BINS[0] // 256
    low, high = _COLOURS
    colour = (np.clip(values, low, high - 1) - low) * _BINS[1] // (high - low)
    return tuple(
        (part * step).astype(np.int16)
        for part, step in ((light, _BINS[1] * _BINS[2]), (colour, _BINS[2]), (colour, 1))
    )
