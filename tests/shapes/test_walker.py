"""Walkers to be drawn, with legs apart. Oracles are rendered apart."""

import dataclasses

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import identity, walker
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.walker import Walker

PERSON = identity.sample_identity(5)


def walk(view=90.0, swing=1.0, condition="nm", frames=26, phase=None):
    phase = np.arange(frames) / 25 if phase is None else phase
    return Walker(
        PERSON, Gait(phase, np.full(frames, view), np.full(frames, swing), condition, 6.0)
    )


@pytest.mark.parametrize("condition", ["nm", "bg", "cl"])
def test_a_walker_is_the_procedural_one_in_that_gait(condition):
    person = identity.sample_identity(3)
    motion = identity.sample_motion(3, condition, 1)
    phase = procedural.gait_phase(person, motion, 12, 25.0)
    gait = Gait(phase, np.full(12, 54.0), np.ones(12), condition, 6.0)
    drawn = Walker(person, gait, motion).silhouettes()
    expected = procedural.silhouettes(3, 54.0, condition, frames=12)
    # Spheres, whose extents decide the crop here, are larger than the polygons that are drawn.
    overlap = (drawn & expected).sum((1, 2)) / (drawn | expected).sum((1, 2))
    assert overlap.min() > 0.96


@pytest.mark.parametrize("view", [0.0, 36.0, 90.0, 144.0, 180.0])
def test_a_walker_is_one_piece_with_head_and_feet_in_place(view):
    for mask in walk(view).silhouettes():
        assert cv2.connectedComponents(mask)[0] == 2
        rows = np.flatnonzero(mask.any(1))
        assert rows[-1] - rows[0] == pytest.approx(0.85 * 240, abs=12)
        assert rows[0] + rows[-1] == pytest.approx(239, abs=12)


@pytest.mark.parametrize("condition", ["nm", "cl"])
def test_legs_are_apart_where_the_body_s_are(condition):
    """In mid-swing: the gap between the knees is as wide as between the spheres of the legs."""
    body = walk(condition=condition)
    for frame in (2, 11, 14, 24):
        sides = []
        for side in "LR":
            knee, ankle = (body.projected[f"{n}_{side}"] for n in ("knee", "ankle"))
            middle = (knee[0][frame] + ankle[0][frame]) / 2
            sides.append((middle, (knee[2] + ankle[2]) / 2))
        row = np.mean([middle[0] for middle, _ in sides])
        top, _, side = body.squares[frame]
        line = body.silhouettes()[frame][int((row * walker.SCALE - top) * 240 / side)]
        gap = abs(sides[0][0][1] - sides[1][0][1]) - sides[0][1] - sides[1][1]
        runs = np.flatnonzero(np.diff(line.astype(int)))
        if gap > 0.03:
            assert len(runs) >= 4  # into a leg, out of it, into the other and out
            widest = np.diff(runs)[1::2].max() * side / 240 / walker.SCALE
            assert widest == pytest.approx(gap, abs=0.04)


def test_whoever_swings_less_takes_smaller_steps_and_stands_on_the_ground():
    apart, lowest = [], []
    for swing in (0.0, 0.4, 0.7, 1.0):
        body = walk(swing=swing)
        left, right = (body.spheres[f"ankle_{side}"][0][:, 0] for side in "LR")
        apart.append(np.abs(left - right).max())
        feet = [body.spheres[f"{n}_{s}"] for n in ("heel", "ball", "toe") for s in "LR"]
        lowest.append(np.min([centre[:, 2] - radius for centre, radius in feet], 0))
    assert (np.diff(apart) > 0.05).all()
    assert np.abs(lowest).max() < 0.02
    stops = Walker(PERSON, walk().gait._replace(swing=np.linspace(1, 0, 26)))
    for name, (centre, _) in stops.spheres.items():
        np.testing.assert_allclose(centre[0], walk().spheres[name][0][0], atol=1e-9)
        np.testing.assert_allclose(centre[-1], walk(swing=0.0).spheres[name][0][-1], atol=1e-9)


def test_the_stride_is_what_a_standing_foot_moves_back_in_a_cycle():
    body = walk(frames=100, phase=np.linspace(0.1, 0.45, 100))
    ball = body.spheres["ball_R"][0][:, 0]
    assert ball[0] - ball[-1] == pytest.approx(0.35 * body.stride, rel=0.1)


def test_from_near_a_foot_is_as_low_as_its_place_on_the_ground():
    """A pinhole camera two statures above the ground, whose person is five away, from the front."""
    body = walk(view=30.0)
    eye, away = 2.0, 5.0
    pitch = float(np.degrees(np.arctan((eye - 0.5) / away)))
    near = dataclasses.replace(body, gait=body.gait._replace(pitch=pitch, near=1 / away))
    centre, _ = body.spheres["ball_L"]
    come = centre @ np.array([np.cos(np.radians(30.0)), np.sin(np.radians(30.0)), 0.0])
    # Rows of a picture one stature a unit where the person is, from below the pelvis on.
    rows = (eye - centre[:, 2]) * away / (away - come) - eye
    drawn = near.projected["ball_L"][0][:, 0]
    far = body.projected["ball_L"][0][:, 0]
    assert np.abs(drawn - rows).max() < 0.03 < np.abs(far - rows).max()
