"""Bodies in a clip: the new one block by block, the own one where silhouette and joints are."""

import cv2
import numpy as np
import pytest

from stgan_jax.methods.api import Drawn
from stgan_jax.shapes import identity, surface, walker
from stgan_jax.shapes.gait import Gait
from stgan_jax.video.people import bodies

SHAPE = (220, 160)


def walking(frames, view=70.0, person=3):
    phase = 0.04 * np.arange(frames)
    gait = Gait(phase, np.full(frames, view), np.ones(frames), "nm", 6.0)
    return walker.Walker(identity.sample_identity(person), gait)


def placed(walk, frames, scale=180.0):
    to = np.array([200.0, 80.0])
    return [f.moved(scale, to) for f in surface.figures(walk, range(frames))]


def seen(figures, joints=None):
    out = []
    for i, figure in enumerate(figures):
        mask = (figure.coverage(SHAPE) > 127).astype(np.uint8)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        corner = np.array([rows[0], columns[0]])
        out.append(bodies.Shot(part, corner, None if joints is None else joints[i]))
    return out


def test_blocks_of_a_long_walk_join():
    walk, count = walking(150), 150
    squares = np.stack([np.arange(count), 2 * np.arange(count), np.full(count, 120)], 1)
    places = np.stack([200 + np.arange(count), 2.0 * np.arange(count), np.full(count, 100)], 1)
    both = bodies.Bodies(Drawn(walk, walk), squares, places, 25.0)
    whole = surface.figures(walk, range(count))
    top, _, bottom, _ = walk.boxes.T
    moments = [cv2.moments(mask) for mask in walk.silhouettes()]
    _, left, side = walk.squares.T
    middle = (left + np.array([m["m10"] / m["m00"] + 0.5 for m in moments]) * side / 240) / 1000
    low, tall, aside = (
        np.convolve(x, np.full(29, 1 / 29), "same") for x in (bottom, bottom - top, middle)
    )
    for i in (0, 63, 64, 100, 127, 128, 149):
        *corner, side = walk.squares[i]
        scale = 120 / side
        own = whole[i].moved(scale * walker.SCALE, squares[i, :2] - scale * np.array(corner))
        assert both.own(i).scale == pytest.approx(own.scale)
        for name, at in own.spheres.items():
            np.testing.assert_allclose(both.own(i).spheres[name], at, atol=1e-6)
        if 14 <= i < count - 14:  # a line is not fitted to the ends by the oracle
            scale = 100 / tall[i]
            new = whole[i].moved(scale, places[i, :2] - scale * np.array([low[i], aside[i]]))
            for name, at in new.spheres.items():  # masks of whole pixels know the middle so well
                np.testing.assert_allclose(both.new(i).spheres[name], at, atol=0.15)
    assert both.view(70) == 70.0


def test_a_body_is_moved_and_enlarged_to_its_silhouette():
    right = placed(walking(4), 4)
    wrong = [f.moved(1 / 1.04, np.array([9.0 + i, -6.0])) for i, f in enumerate(right)]
    for figure, expected in zip(bodies.fitted(wrong, seen(right)), right, strict=True):
        assert figure.scale == pytest.approx(expected.scale, rel=0.03)
        apart = figure.box() - expected.box()
        assert np.abs(apart).max() < 4


def joints_of(figure, swapped=False):
    joints = np.ones((33, 3), np.float32)
    joints[:, :2] = figure.spheres["cranium"][:2]
    for name, numbers in bodies._JOINTS.items():
        for side, number in zip("RL" if swapped else "LR", numbers, strict=True):
            joints[number, :2] = figure.spheres[f"{name}_{side}"][:2]
    return joints


@pytest.mark.parametrize("swapped", [False, True])
def test_limbs_lie_where_the_joints_are(swapped):
    right, wrong = placed(walking(4), 4), placed(walking(9, 85.0, 5), 9)[5:]
    joints = [joints_of(figure, swapped) for figure in right]
    assert bodies.is_swapped(right, joints) == swapped
    figure = bodies.on_joints(wrong[0], joints[0], swapped)
    for name in ("knee_L", "ankle_R", "wrist_L", "thigh_R"):
        assert np.hypot(*(figure.spheres[name] - right[0].spheres[name])[:2]) < 4
    unsure = joints[0] * np.array([1, 1, 0.2], np.float32)
    assert bodies.on_joints(wrong[0], unsure, swapped) is wrong[0]


def test_bodies_become_as_thick_as_their_silhouettes():
    right = [bodies._thickened(f, 1.25) for f in placed(walking(3), 3)]
    joints = [joints_of(figure) for figure in right]
    found = bodies.fitted(placed(walking(3), 3), seen(right, joints))
    for figure, expected in zip(found, right, strict=True):
        ratio = figure.spheres["knee_L"][3] / expected.spheres["knee_L"][3]
        assert ratio == pytest.approx(1.0, abs=0.15)
