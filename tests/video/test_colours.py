"""Colours of anonymised people: the nearest pixel's (Eq. 9)."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan_jax.methods.color import nearest


def disc(shape, row, col, height, width):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return ((rows - row) / height) ** 2 + ((cols - col) / width) ** 2 < 1


def nearest_by_search(frame, source):
    rows, cols = np.nonzero(source)
    out, distance = np.zeros_like(frame), np.zeros(source.shape)
    for r in range(source.shape[0]):
        for c in range(source.shape[1]):
            squares = (rows - r) ** 2 + (cols - c) ** 2
            out[r, c] = frame[rows[squares.argmin()], cols[squares.argmin()]]
            distance[r, c] = np.sqrt(squares.min())
    return out, distance


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_nearest_colors_come_from_a_nearest_pixel(seed):
    rng = np.random.default_rng(seed)
    source = (rng.random((17, 23)) < rng.choice([0.02, 0.3])).astype(np.uint8)
    source[rng.integers(17), rng.integers(23)] = 1
    positions = np.stack([*np.mgrid[:17, :23], np.zeros((17, 23), int)], -1).astype(np.uint8)
    got = nearest.nearest_colors(positions, source).astype(int)  # colours that tell where from
    _, least = nearest_by_search(positions, source)
    rows, cols = np.mgrid[:17, :23]
    taken = np.hypot(got[..., 0] - rows, got[..., 1] - cols)
    assert source[got[..., 0], got[..., 1]].all()
    assert np.all(taken <= 1.05 * least + 0.1)


def test_paint_is_equation_9_to_the_letter():
    rng = np.random.default_rng(0)
    frame, empty = rng.integers(0, 255, (2, 40, 30, 3), dtype=np.uint8)
    own, new = disc((40, 30), 18, 12, 11, 6), disc((40, 30), 20, 16, 12, 7)
    canvas = empty.copy()
    nearest.paint(canvas, frame, own.astype(np.uint8), new.astype(np.uint8), literal=True)
    assert np.array_equal(canvas[~own & ~new], empty[~own & ~new])  # region 1
    assert np.array_equal(canvas[own & new], frame[own & new])  # region 2
    assert np.array_equal(canvas[own & ~new], empty[own & ~new])  # region 3
    fourth = new & ~own
    known = {tuple(p) for p in frame[own]}
    assert all(tuple(p) in known for p in canvas[fourth])


def test_paint_leaves_nothing_of_the_original_outside_the_new_silhouette():
    frame, empty = np.full((60, 60, 3), 250, np.uint8), np.zeros((60, 60, 3), np.uint8)
    own, new = disc((60, 60), 30, 30, 25, 12), disc((60, 60), 30, 34, 20, 8)
    canvas = empty.copy()
    nearest.paint(canvas, frame, own.astype(np.uint8), new.astype(np.uint8))
    far = ~cv2.dilate(new.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert not canvas[far].any()
    assert (canvas[cv2.erode(new.astype(np.uint8), np.ones((3, 3))) > 0] == 250).all()


def test_painting_nobody_changes_nothing():
    canvas = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    before, nobody = canvas.copy(), np.zeros((20, 20), np.uint8)
    somebody = nobody.copy()
    somebody[5:9, 5:9] = 1
    nearest.paint(canvas, before[::-1], nobody, somebody)
    nearest.paint(canvas, before[::-1], somebody, nobody)
    assert np.array_equal(canvas, before)
