"""Frames that are kept, and smaller pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from stgan_jax.video.scene import kept

FPS = 25.0


def frame(number):
    return np.full((6, 8, 3), number % 256, np.uint8)


def decoded(count, asked):
    def frames():
        asked.append(count)
        return (SimpleNamespace(image=frame(n)) for n in range(count))

    return frames


@pytest.mark.parametrize(
    ("count", "numbers", "anew"),
    [(40, range(0, 40, 5), 0), (90, range(0, 90, 10), 0), (90, range(0, 90, 5), 1),
     (200, range(0, 200, 10), 1), (40, [0, 7, 10], 1)],
)  # fmt: skip
def test_frames_that_were_not_kept_are_decoded_anew(count, numbers, anew):
    frames = kept.Kept(FPS, 9)
    for n in range(count):
        frames.add(frame(n))
    asked: list[int] = []
    found = list(frames.read(list(numbers), decoded(count, asked)))
    assert [n for n, _ in found] == list(numbers)
    assert all((image == frame(n)).all() for n, image in found)
    assert len(asked) == anew
    assert len(frames._images) <= 9


def test_a_smaller_mask_is_clear_where_all_of_it_is():
    mask = np.full((40, 60), 255, np.uint8)
    mask[11, 21] = 0
    small = kept.like(mask, np.zeros((20, 30)))
    assert np.argwhere(small == 0).tolist() == [[5, 10]]
    assert kept.like(mask, mask) is mask


def test_a_frame_of_its_size_stays_as_it_is():
    image = frame(3)
    assert kept.resized(image, (6, 8)) is image
    assert kept.resized(image, (3, 4)).shape == (3, 4, 3)
