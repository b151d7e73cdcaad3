"""Places freed of a camera's motion, against points that were projected apart."""

import numpy as np
import pytest

from stgan_jax.media import path
from stgan_jax.video.people import steady

SHAPE = (480, 640)
LENS = np.array([[600, 0, 320], [0, 600, 240], [0, 0, 1.0]])


def turn(degrees):
    """The rotation of a camera that turns to the right."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


class Known(steady.Steady):
    """Of a camera whose way is given."""

    def __init__(self, poses):
        super().__init__(SHAPE, 25.0, 40)
        inverse = [np.linalg.inv(pose) for pose in poses]  # to what does not move
        shots = np.zeros(len(poses), int)
        self.__dict__["way"] = path.CameraPath(np.stack(inverse), shots, 0.0, SHAPE)
        self._views.append(np.array([1.0, 0.0, 0.0]))
        for n in range(1, len(poses)):
            near = steady._near(self.way.between(n, n - 1), self._middle)
            self._views.append(steady._after(self._views[-1], near))


def standing(poses, place, height=1.7):
    """Boxes of somebody who stands at (right, away) in metres, 1.5 below the camera."""
    right, away = place
    feet, head = np.array([right, 1.5, away]), np.array([right, 1.5 - height, away])
    boxes = []
    for pose in poses:
        (x, y, w), (_, top, depth) = pose @ LENS @ feet, pose @ LENS @ head
        half = 100 / w
        boxes.append([top / depth, x / w - half, y / w, x / w + half])
    return np.array(boxes)


@pytest.mark.parametrize("place", [(0.0, 5.0), (2.2, 6.0), (-2.0, 5.0)])
def test_who_stands_stays_where_they_are_though_the_camera_turns(place):
    poses = [LENS @ turn(0.4 * n) @ np.linalg.inv(LENS) for n in range(-12, 13)]
    boxes, numbers = standing(poses, place), np.arange(25)
    camera = Known(poses)
    steady_boxes = steady.to(camera.along(numbers, boxes), boxes)
    moves = np.ptp(steady_boxes[:, 2:], axis=0) / (steady_boxes[0, 2] - steady_boxes[0, 0])
    assert np.ptp(boxes[:, 3]) > 50
    assert moves.max() < 0.03
    assert np.allclose(steady.back(camera.along(numbers, boxes), steady_boxes), boxes)


def test_a_zoom_changes_neither_size_nor_place():
    poses = [np.diag([1.03**n, 1.03**n, 1.0]) for n in range(10)]
    boxes = standing(poses, (1.0, 6.0))
    views = Known(poses).along(np.arange(10), boxes)
    assert np.allclose(steady.to(views, boxes)[:, [0, 2]], boxes[0, [0, 2]], atol=1e-6)
    squares = np.array([[100, 200, 300]] * 10)
    assert np.allclose(steady.squares(views, squares)[:, 2], 300 * 1.03 ** np.arange(10), atol=0.51)


def test_a_camera_that_stands_changes_nothing():
    boxes, squares = np.array([[1.0, 2, 3, 4]]), np.array([[1, 2, 3]])
    assert steady.to(None, boxes) is steady.back(None, boxes) is boxes
    assert steady.squares(None, squares) is squares
