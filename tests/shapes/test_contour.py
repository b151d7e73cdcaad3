"""Contours: what goes in comes out, whatever the mask."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import contour


def largest_filled(mask):
    """Reference without OpenCV: the component that encloses most, its holes filled."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    parts = [ndimage.binary_fill_holes(labels == i) for i in range(1, count + 1)]
    return max(parts, key=np.sum) if parts else np.zeros(mask.shape, bool)


def iou(a, b):
    either = np.sum(np.logical_or(a, b))
    return np.sum(np.logical_and(a, b)) / either if either else 1.0


@pytest.fixture(scope="module")
def people():
    cases = itertools.product(range(9), procedural.VIEWS[::2], ("nm", "bg", "cl"))
    masks = [procedural.silhouettes(*case, frames=2, fps=3) for case in cases]
    return np.concatenate(masks)[:200]


@pytest.mark.parametrize(("codec", "least"), [("padded", 0.99), ("resampled", 0.98)])
def test_round_trip_keeps_walkers(people, codec, least):
    assert len(people) == 200
    back = contour.decode(contour.encode(people, codec), codec)
    scores = [iou(b, largest_filled(m)) for b, m in zip(back, people, strict=True)]
    assert min(scores) >= least


@st.composite
def blobs(draw):
    """Unions of rectangles with some cut out again: parts, holes, borders, thin lines."""
    mask = np.zeros((draw(st.integers(3, 48)), draw(st.integers(3, 48))), np.uint8)
    for value in draw(st.lists(st.booleans(), min_size=1, max_size=6)):
        top = draw(st.integers(0, mask.shape[0] - 1))
        left = draw(st.integers(0, mask.shape[1] - 1))
        mask[top : top + draw(st.integers(1, 30)), left : left + draw(st.integers(1, 30))] = value
    return mask


masks = blobs() | hnp.arrays(np.uint8, (14, 19), elements=st.integers(0, 1))


@settings(deadline=None, max_examples=300)
@given(masks)
def test_padded_gives_back_one_filled_component(mask):
    back = contour.decode(contour.encode(mask, "padded"), "padded", mask.shape)
    if mask.sum() == mask[0, 0]:
        assert back.sum() == 0  # empty, or the one pixel that cannot be told from padding
        return
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    parts = [ndimage.binary_fill_holes(labels == i) for i in range(1, count + 1)]
    assert any(np.array_equal(back, part) for part in parts)


@settings(deadline=None, max_examples=300)
@given(masks)
def test_resampled_stays_within_a_pixel(mask):
    back = contour.decode(contour.encode(mask, "resampled"), "resampled", mask.shape)
    exact = contour.decode(contour.encode(mask, "padded"), "padded", mask.shape)
    assert not np.any(back & ~ndimage.binary_dilation(exact, np.ones((3, 3))))
    assert not np.any(ndimage.binary_erosion(exact, np.ones((3, 3))) & ~back.astype(bool))


@settings(deadline=None, max_examples=100)
@given(masks, st.sampled_from(contour.CODECS))
def test_decoded_silhouettes_have_no_holes(mask, codec):
    back = contour.decode(contour.encode(mask, codec), codec, mask.shape)
    assert np.array_equal(back, ndimage.binary_fill_holes(back))


@pytest.mark.parametrize("codec", contour.CODECS)
def test_empty_mask_is_zero_and_back(codec):
    vector = contour.encode(np.zeros((240, 240), np.uint8), codec)
    assert vector.shape == (4000,)
    assert not vector.any()
    assert not contour.decode(vector, codec).any()


@pytest.mark.parametrize("codec", contour.CODECS)
def test_largest_component_wins_over_a_longer_outline(codec):
    mask = np.zeros((240, 240), np.uint8)
    mask[100:160, 100:160] = 1
    mask[5, 5:235] = 1  # a line: a long outline around nothing
    back = contour.decode(contour.encode(mask, codec), codec)
    assert iou(back, mask & (np.arange(240)[:, None] > 50)) > 0.98


@pytest.mark.parametrize("codec", contour.CODECS)
def test_mask_touching_every_border_survives(codec):
    mask = np.ones((240, 240), np.uint8)
    assert iou(contour.decode(contour.encode(mask, codec), codec), mask) > 0.99


def test_outline_of_more_than_2000_pixels_is_thinned_evenly():
    mask = np.zeros((240, 240), np.uint8)
    mask[20:220, 20:30] = 1
    mask[20:220][np.arange(200) % 8 < 3, 20:220] = 1  # a comb
    assert len(contour.outline(mask)) > 9000
    vector = contour.encode(mask, "padded").reshape(-1, 2)
    assert (vector >= 19).all()  # all 2000 points are used, none is padding
    whole = contour.outline(mask)
    positions = [np.flatnonzero((whole == p).all(1))[0] for p in vector[:50]]
    assert np.all(np.abs(np.diff(positions) - len(whole) / 2000) <= 1)


def test_padded_holds_every_outline_pixel_in_order_and_then_zeros():
    mask = np.zeros((240, 240), np.uint8)
    mask[10:14, 20:23] = 1
    points = contour.encode(mask, "padded").reshape(-1, 2)
    top, bottom = [(10, c) for c in (20, 21, 22)], [(13, c) for c in (22, 21, 20)]
    ring = [*top, (11, 22), (12, 22), *bottom, (12, 20), (11, 20)]
    start = ring.index(tuple(points[0].astype(int)))
    assert [tuple(p) for p in points[:10].astype(int)] == ring[start:] + ring[:start]
    assert not points[10:].any()


def test_resampled_points_are_at_equal_arc_length_clockwise_from_the_top():
    mask = np.zeros((240, 240), np.uint8)
    mask[50:150, 60:120] = 1  # its outline measures 2 (99 + 59) pixels
    points = contour.encode(mask, "resampled").reshape(-1, 2).astype(np.float64)
    assert points[0, 0] == 50
    assert abs(points[0, 1] - 89.5) <= 1  # the middle of the flat top
    steps = np.abs(np.roll(points, -1, 0) - points).sum(1)
    np.testing.assert_allclose(steps, 316 / 2000, atol=1e-4)
    rows, cols = points.T
    shoelace = np.sum(cols * np.roll(rows, -1) - rows * np.roll(cols, -1)) / 2
    assert shoelace > 0  # clockwise where rows grow downwards


def test_shifted_mask_shifts_the_contour(people):
    mask = np.zeros((240, 240), np.uint8)
    mask[5:, 3:] = people[0][:-5, :-3]
    for codec in contour.CODECS:
        there = contour.encode(mask, codec).reshape(-1, 2)
        here = contour.encode(people[0], codec).reshape(-1, 2)
        used = here.any(1)
        np.testing.assert_allclose(there[used], here[used] + [5, 3], atol=1e-4)


def test_batch_equals_one_by_one(people):
    batch = people[:6].reshape(2, 3, 240, 240)
    vectors = contour.encode(batch)
    assert vectors.shape == (2, 3, 4000)
    assert np.array_equal(vectors[1, 2], contour.encode(batch[1, 2]))
    assert np.array_equal(contour.decode(vectors)[1, 2], contour.decode(vectors[1, 2]))


def test_self_crossing_contour_is_filled_throughout():
    circle = np.linspace(0, 4 * np.pi, 2000, endpoint=False)  # twice around
    points = np.stack([120 + 50 * np.sin(circle), 120 + 50 * np.cos(circle)], -1)
    mask = contour.decode(points.reshape(-1).astype(np.float32))
    assert abs(mask.sum() - np.pi * 50**2) < 300


def test_points_outside_the_crop_are_cut_off():
    corners = np.array([[120.0, 120.0], [120.0, 1e9], [-1e9, 120.0]])
    points = np.repeat(corners, [1000, 500, 500], axis=0)
    mask = contour.decode(points.reshape(-1).astype(np.float32))
    assert mask[110, 130] == 1
    assert mask[130, 110] == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: contour.encode(np.zeros((4, 4), np.uint8), "spline"), "spline"),
        (lambda: contour.decode(np.zeros(3999, np.float32)), "3999"),
        (lambda: contour.decode(np.full(4000, np.nan, np.float32)), "NaN"),
    ],
)
def test_wrong_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_fixed_point_keeps_a_512th_of_a_pixel(people):
    vectors = contour.encode(people[:5])
    fixed = contour.to_fixed(vectors)
    assert fixed.dtype == np.uint16
    unit = contour.fixed_to_unit(fixed)
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() <= 1
    np.testing.assert_allclose(contour.to_pixels(unit), vectors, atol=1 / 512 + 1e-5)
