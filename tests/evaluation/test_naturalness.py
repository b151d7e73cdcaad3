"""Measures of naturalness: against brute force, and in the order in which an eye would put them."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import naturalness
from stgan_jax.shapes import contour, gei

VIEWS = (0, 54, 90, 180)


@pytest.fixture(scope="module", params=VIEWS)
def walk(request):
    return procedural.silhouettes(5, request.param)


def mixed(walk, view, codec="resampled", share=0.3):
    other = contour.encode(procedural.silhouettes(21, view, frames=30)[20:21], codec)
    own = contour.encode(walk, codec)
    return ((1 - share) * own + share * other[0]).astype(np.float32)


def frozen(walk):
    out = walk.copy()
    out[:, 150:] = walk[0, 150:]
    return out


def polygon(curve):
    """Points of a closed curve, a function of angles to (row, col), as a contour vector."""
    angle = 2 * np.pi * np.arange(contour.POINTS) / contour.POINTS
    return np.stack(curve(angle), -1).astype(np.float32).reshape(1, -1)


def crosses_by_brute_force(points):
    """Whether any two edges of a closed polygon cross: all pairs, sides by cross products."""
    a, b = points, np.roll(points, -1, axis=0)

    def side(p, q, r):
        return np.sign((q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0])

    a0, b0, a1, b1 = a[:, None], b[:, None], a[None], b[None]
    apart = side(a0, b0, a1) * side(a0, b0, b1)
    return bool(((apart < 0) & (apart.T < 0)).any())


# --- outlines ------------------------------------------------------------------------------------


def test_a_circle_does_not_cross_itself_and_a_figure_eight_does():
    circle = polygon(lambda a: (120 + 80 * np.cos(a), 120 + 80 * np.sin(a)))
    eight = polygon(lambda a: (120 + 80 * np.sin(a), 120 + 60 * np.sin(2 * a)))
    limacon = polygon(  # the inner loop turns the same way
        lambda a: (120 + (30 + 60 * np.cos(a)) * np.cos(a), 120 + (30 + 60 * np.cos(a)) * np.sin(a))
    )
    found = naturalness.self_crossing(np.concatenate([circle, eight, limacon]))
    assert found.tolist() == [0.0, 1.0, 1.0]
    backwards = circle.reshape(-1, 2)[::-1].reshape(1, -1).copy()
    assert naturalness.self_crossing(backwards).tolist() == [0.0]


def test_crossings_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    curves, expected = [], []
    for bend in np.repeat([4, 8, 15, 25, 40], 6):
        waves = [(k, rng.uniform(0, 6.3, 2), rng.normal(0, bend / k, 2)) for k in range(2, 6)]

        def curve(a, waves=waves):
            moved = [np.sin(k * a[:, None] + phase) * size for k, phase, size in waves]
            return (np.stack([120 + 50 * np.cos(a), 120 + 50 * np.sin(a)], -1) + sum(moved)).T

        curves.append(polygon(curve))
        expected.append(crosses_by_brute_force(curves[-1].reshape(-1, 2)[::10]))
    assert 8 < sum(expected) < 22
    found = naturalness.self_crossing(np.concatenate(curves), pixels=1)
    assert np.mean(found == expected) > 0.95  # loops within a pixel are not seen
    assert not (found > expected).any()


def test_winding_numbers_are_the_turns_of_the_angle():
    rng = np.random.default_rng(1)
    points = rng.uniform(-10, 60, (3, 12, 2))
    found = naturalness.winding_numbers(points, size=50)
    for t in range(3):
        for row, col in rng.integers(0, 50, (200, 2)):
            away = points[t] - [row, col]
            angle = np.arctan2(away[:, 0], away[:, 1])
            turned = np.angle(np.exp(1j * (np.roll(angle, -1) - angle))).sum()
            assert abs(found[t, row, col]) == abs(round(turned / (2 * np.pi)))


def test_real_outlines_do_not_cross_themselves_in_either_codec(walk):
    for codec in contour.CODECS:
        assert not naturalness.self_crossing(contour.encode(walk, codec), codec).any()
    assert np.isnan(naturalness.self_crossing(np.zeros((2, 4000), np.float32))).all()


def test_roughness_of_a_star_is_its_length_over_the_circle_s():
    star = polygon(
        lambda a: tuple(120 + (80 + 3 * np.sin(45 * a)) * f(a) for f in (np.cos, np.sin))
    ).reshape(-1, 2)
    length = np.sqrt(np.square(star - np.roll(star, 1, axis=0)).sum(1)).sum()
    masks = contour.decode(star.reshape(1, -1))
    disc = contour.decode(polygon(lambda a: (120 + 80 * np.cos(a), 120 + 80 * np.sin(a))))
    steps = naturalness.roughness(disc)[0]
    assert 1.0 < steps < 1.1
    expected = length / (2 * np.pi * 80)
    assert naturalness.roughness(masks)[0] == pytest.approx(expected * steps, rel=0.1)
    assert np.isnan(naturalness.roughness(0 * masks)).all()


def test_ragged_outlines_are_rougher_than_any_stride(walk):
    ragged = contour.encode(walk) + np.random.default_rng(0).normal(0, 1.5, (len(walk), 4000))
    rough = naturalness.roughness(contour.decode(ragged.astype(np.float32)))
    assert naturalness.roughness(walk).max() < 1.2
    heads = naturalness.head(walk)
    area = heads.sum((1, 2)) / walk.sum((1, 2))
    assert (area > 0.05).all()
    assert (area < 0.2).all()
    spoiled = naturalness.head(contour.decode(ragged.astype(np.float32)))
    assert naturalness.roughness(spoiled)[0] > 1.1 * naturalness.roughness(heads)[0]
    assert rough.min() > 1.3


def test_a_body_in_two_or_on_a_thread_is_not_in_one_piece(walk):
    assert naturalness.one_piece(walk).all()
    torn = walk.copy()
    torn[:, 100:105] = 0
    thread = torn.copy()
    thread[:, 95:110, 120] = 1
    speck = walk.copy()
    speck[:, 4:8, 4:8] = 1  # hardly to be seen
    for masks, whole in ((torn, False), (thread, False), (0 * walk, False), (speck, True)):
        assert (naturalness.one_piece(masks) == whole).all()


# --- motion --------------------------------------------------------------------------------------


def test_legs_swing_as_before_without_change_and_not_at_all_when_frozen(walk):
    figures = naturalness.walk_figures(walk, walk)
    assert figures["leg_amplitude_ratio"] == 1.0
    assert figures["period_ratio"] == 1.0
    assert figures["change_ratio"] == 1.0
    still = naturalness.walk_figures(walk, frozen(walk))
    assert still["leg_amplitude_ratio"] < 0.05
    assert np.isnan(still["period_ratio"])
    assert still["change_ratio"] < 0.7
    assert np.isnan(naturalness.walk_figures(frozen(walk), walk)["leg_amplitude_ratio"])


def test_jitter_is_no_swing(walk):
    ragged = contour.encode(np.repeat(walk[:1], 50, axis=0))
    ragged += np.random.default_rng(0).normal(0, 1.5, ragged.shape).astype(np.float32)
    figures = naturalness.walk_figures(walk, contour.decode(ragged))
    assert figures["leg_amplitude_ratio"] < 0.35


def test_mixing_with_a_standing_shape_damps_the_legs_the_more_the_more_of_it():
    for view in VIEWS:
        walk = procedural.silhouettes(5, view)
        ratios = [
            naturalness.walk_figures(walk, contour.decode(mixed(walk, view, share=share)))[
                "leg_amplitude_ratio"
            ]
            for share in (0.0, 0.3, 0.5)
        ]
        assert ratios[0] == pytest.approx(1.0, abs=0.05)
        assert ratios[0] - 0.1 > ratios[1] > ratios[2] > 0.2
        assert ratios[2] < 0.75


# --- shapes -------------------------------------------------------------------------------------


def test_distance_to_real_is_one_minus_the_best_overlap_by_hand():
    walk = procedural.silhouettes(5, 54, frames=3)
    reference = gei.normalize(procedural.silhouettes(6, 54, frames=4))
    found = naturalness.distance_to_real(np.concatenate([0 * walk[:1], walk]), reference)
    assert found[0] == 1.0
    for mask, distance in zip(gei.normalize(walk), found[1:], strict=True):
        overlaps = [(mask & other).sum() / (mask | other).sum() for other in reference]
        assert distance == pytest.approx(1 - max(overlaps), abs=1e-6)
    assert np.isnan(naturalness.distance_to_real(walk, reference[:0])).all()


@pytest.mark.parametrize("view", VIEWS)
def test_shredded_heads_are_far_from_real_and_people_near(view):
    reference = np.concatenate(
        [gei.normalize(procedural.silhouettes(seed, view)) for seed in range(300, 306)]
    )
    walk = procedural.silhouettes(5, view)
    vectors = mixed(walk, view, "padded")
    shredded = naturalness.walk_figures(
        walk, contour.decode(vectors, "padded"), vectors, "padded", reference
    )
    other = naturalness.walk_figures(
        walk, procedural.silhouettes(11, view), None, "resampled", reference
    )
    assert shredded["distance_to_real"] > 1.6 * other["distance_to_real"]
    assert shredded["flicker"] > 2 * other["flicker"]


def test_every_figure_that_cannot_be_taken_says_why():
    walk = procedural.silhouettes(5, 90, frames=12)
    for original, anonymized in (
        (walk, 0 * walk),
        (0 * walk, walk),
        (walk[:1],) * 2,
        (walk[:0],) * 2,
    ):
        figures = naturalness.walk_figures(original, anonymized)
        assert set(figures) == set(naturalness.WHY_NAN)
        assert np.isnan(figures["self_crossing"])
        assert all(type(value) is float for value in figures.values())


# --- XOR pictures --------------------------------------------------------------------------------


def test_xor_pictures_are_white_where_silhouettes_differ():
    walk = procedural.silhouettes(5, 90, frames=9)
    moved = np.roll(walk, 3, axis=2)
    images = naturalness.xor_images(walk, moved)
    assert set(np.unique(images)) == {0, 255}
    assert (images == 255).sum() == np.logical_xor(walk, moved).sum()
    row = naturalness.xor_row(walk, moved, frames=3)
    assert row.shape == (240, 720)
    assert np.array_equal(row, np.hstack(images[[0, 4, 8]]))
    assert not naturalness.xor_row(walk, walk, frames=3).any()
    assert cv2.imencode(".png", row)[0]
