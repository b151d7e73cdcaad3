"""Frames that are kept when a clip is read, so that it need not be decoded once more for them; and
frames and masks in fewer pixels, in which it is enough to look.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import containers

Image = UInt8[np.ndarray, "H W 3"]
Mask = UInt8[np.ndarray, "H W"]

RATE = 5.0  # frames a second that are kept; half as many of a long clip, none of a longer one


class Key(NamedTuple):
    """A frame, its number, and 255 where nobody is in it."""

    number: int
    image: Image
    clear: Mask


class Kept:
    """Some frames of a clip, as long as they fit into memory."""

    def __init__(self, fps: float, most: int):
        """Takes frames a second, and how many may be kept."""
        self._every = max(1, round(fps / RATE))
        self._sparse, self._most = 2 * self._every, most
        self._images: dict[int, Image] = {}
        self._count = 0

    def add(self, image: Image) -> None:
        """Takes the next frame."""
        number, self._count = self._count, self._count + 1
        if self._every > self._sparse or number % self._every:
            return
        self._images[number] = image
        if len(self._images) > self._most:
            self._every *= 2
            stay = self._every <= self._sparse
            self._images = {n: x for n, x in self._images.items() if stay and n % self._every == 0}

    def read(
        self, numbers: Sequence[int], frames: Callable[[], Iterator[containers.Stamped]]
    ) -> Iterator[tuple[int, Image]]:
        """Some frames and their numbers.

        Args:
          numbers: the frames that are wanted, ascending.
          frames: decodes all; asked for if one that is wanted was not kept.
        """
        if all(number in self._images for number in numbers):
            yield from ((number, self._images[number]) for number in numbers)
            return
        wanted = set(numbers)
        for number, frame in enumerate(frames()):
            if number in wanted:
                yield number, frame.image


def resized(image: Image, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """A frame in a (height, width) that is not larger."""
    if image.shape[:2] == shape:
        return image
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA))


def like(mask: Mask, small: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """A mask in the size of a picture that is not larger, 255 where all of it is."""
    if mask.shape == small.shape[:2]:
        return mask
    share = cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.where(share == 255, np.uint8(255), np.uint8(0))
