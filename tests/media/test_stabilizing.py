"""Steadied frames. The oracle is the way by which the camera was moved."""

import cv2
import numpy as np
import pytest

from stgan_jax.media import path
from stgan_jax.media.stabilizing import Stabilizer

SHAPE = (120, 160)


def way_of(shifts, shots=None):
    """A camera that looks aside by so many pixels (x, y) in each frame."""
    poses = np.tile(np.eye(3), (len(shifts), 1, 1))
    poses[:, :2, 2] = shifts
    shots = np.zeros(len(shifts), int) if shots is None else shots
    return path.CameraPath(poses, shots, 0.0, SHAPE)


def seen(scene, shifts):
    return [
        cv2.warpPerspective(
            scene, np.array([[1, 0, x - 60], [0, 1, y - 60], [0, 0, 1.0]]), (160, 120)
        )
        for x, y in shifts
    ]


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 256, (240, 280, 3)).astype(np.uint8), (9, 9), 3)


def unrest(images):
    """How much a picture's middle changes from frame to frame, in grey levels."""
    middle = np.stack(images).astype(float)[:, 30:90, 40:120]
    return np.abs(np.diff(middle, axis=0)).mean()


def test_a_shaking_camera_is_steadied_and_shows_no_edge(scene):
    rng = np.random.default_rng(1)
    shifts = cv2.GaussianBlur(rng.normal(0, 6, (80, 2)), (1, 5), 1.0)
    frames = seen(np.maximum(scene, 40), shifts)
    stabilizer = Stabilizer(way_of(-shifts), 25.0)
    steady = [stabilizer(n, frame) for n, frame in enumerate(frames)]
    assert 1.02 < stabilizer.zoom <= 1.2
    middle = slice(25, -25)  # at the ends there is little around
    assert unrest(steady[middle]) < 0.3 * unrest(frames[middle])


def test_a_camera_that_turns_evenly_or_stands_is_left_as_it_is(scene):
    shifts = np.stack([np.linspace(-30, 30, 60), np.zeros(60)], 1)
    for way in (way_of(-shifts), way_of(0 * shifts)):
        stabilizer = Stabilizer(way, 25.0)
        assert stabilizer.zoom == pytest.approx(1.0, abs=1e-3)
    frames = seen(scene, shifts)
    stabilizer = Stabilizer(way_of(-shifts), 25.0)
    assert np.abs(stabilizer(30, frames[30]).astype(int) - frames[30]).mean() < 1.0


def test_a_blow_to_the_camera_is_steadied_as_far_as_there_is_a_picture():
    shifts = np.zeros((60, 2))
    shifts[30] = 70, 0
    stabilizer = Stabilizer(way_of(-shifts), 25.0)
    white = np.full((*SHAPE, 3), 255, np.uint8)
    assert stabilizer.zoom <= 1.201
    for n in range(60):
        move = stabilizer._moves[n]
        corners = path.moved(np.linalg.inv(move), np.array([[80.0, 60.0]]))
        assert np.abs(corners - [80, 60]).max() < 0.1 * 160
        assert stabilizer(n, white).min() == 255


def test_nothing_is_steadied_across_a_cut():
    shifts = np.zeros((40, 2))
    shifts[20:] = 50, 0
    stabilizer = Stabilizer(way_of(shifts, np.repeat([0, 1], 20)), 25.0)
    assert stabilizer.zoom == pytest.approx(1.0, abs=1e-3)
