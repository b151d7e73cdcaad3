"""The surface of drawn bodies: which place of which part a pixel shows."""

import dataclasses

import cv2
import numpy as np
import pytest

from stgan_jax.shapes import identity, surface
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.walker import Walker

SHAPE = (330, 200)


def figure(view, phase=0.1, swing=1.0, condition="nm", height=300.0, person=None):
    gait = Gait(np.array([phase]), np.array([float(view)]), np.array([swing]), condition, 6.0)
    walker = Walker(person or identity.sample_identity(3), gait)
    return surface.figures(walker, range(1))[0].moved(height, np.array([315.0, 100.0]))


@pytest.mark.parametrize("condition", identity.CONDITIONS)
def test_the_surface_covers_what_the_parts_cover(condition):
    body = figure(70, condition=condition)
    drawn = surface.surface(body, SHAPE)
    parts = np.zeros(SHAPE, np.uint8)
    for outline in body.outlines().values():
        cv2.fillPoly(parts, [np.rint(outline[:, ::-1]).astype(np.int32)], 1)
    rim = cv2.dilate(parts, np.ones((3, 3))) - cv2.erode(parts, np.ones((3, 3)))
    assert np.array_equal((drawn.patch >= 0)[rim == 0], parts[rim == 0] > 0)

    known = {part for patch in surface.PATCHES.values() for part in patch.parts}
    assert {part.name for part in body.parts} <= known


def test_along_and_across_are_shares_of_length_and_width():
    drawn = surface.surface(figure(0, swing=0.0), SHAPE)  # upright: rows run across the trunk
    trunk = drawn.patch == surface.NAMES.index("trunk")
    rows = np.flatnonzero(trunk.any(1))
    middle = rows[len(rows) // 3 : -len(rows) // 3]
    share = (middle - rows[0]) / (rows[-1] - rows[0])
    assert np.abs(drawn.along[middle, 100] - share).max() < 0.03
    legs = [drawn.patch == surface.NAMES.index(f"shank_{side}") for side in "LR"]
    for shank in legs:
        for row in np.flatnonzero(shank.any(1))[20:50]:
            columns = np.flatnonzero(shank[row])
            place = 2 * (columns - columns[0] + 0.5) / len(columns) - 1
            assert np.abs(drawn.across[row, columns] - place).max() < 0.25
    left, right = (np.nonzero(leg)[1].mean() for leg in legs)
    assert left > right  # who comes towards the camera has the left leg on its right


def test_long_hair_falls_behind_the_shoulders():
    person = dataclasses.replace(identity.sample_identity(3), hair=(1.0, 1.0))
    for view, before in ((0, False), (180, True)):
        body = figure(view, person=person)
        drawn = surface.surface(body, SHAPE)
        below = drawn.patch[int(body.spheres["neck"][0]) :]
        assert (below == surface.NAMES.index("hair")).any() == before
    long, short = (
        surface.surface(figure(180, person=who), SHAPE)
        for who in (person, dataclasses.replace(person, hair=(0.0, 1.0)))
    )
    both = (long.patch == surface.NAMES.index("hair")) & (short.patch == long.patch)
    assert both.sum() > 200
    assert np.abs(long.along - short.along)[both].max() < 0.01  # along the head in either


def test_the_nearer_limb_is_on_top():
    for view, near in ((90, "L"), (270, "R")):  # she walks to the left, and to the right
        body = figure(view, phase=0.25)
        drawn = surface.surface(body, SHAPE)
        arms = {s: (drawn.patch == surface.NAMES.index(f"upper_arm_{s}")).sum() for s in "LR"}
        other = "LR".replace(near, "")
        assert body.spheres[f"shoulder_{near}"][2] > body.spheres[f"shoulder_{other}"][2]
        assert arms[near] > 3 * arms[other]


def test_a_moved_figure_is_drawn_elsewhere():
    body = figure(45)
    drawn = surface.surface(body, SHAPE)
    moved = surface.surface(body.moved(1.0, np.array([7.0, -11.0])), SHAPE)
    assert np.array_equal(np.roll(drawn.patch, (7, -11), (0, 1)), moved.patch)
    half = body.moved(0.5, np.zeros(2))
    assert np.allclose(half.box() * 2, body.box(), atol=1e-3)
    assert half.scale == body.scale / 2
