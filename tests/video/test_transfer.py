"""Painting with the transfer network: nobody else is shown, and texture stays."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers import color_walks
from stgan_jax.methods.color import examples
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.video.render import colours


@pytest.fixture(scope="module")
def network():
    return Recolorer.load()


@pytest.fixture(scope="module")
def scene():
    """Frame, background, a person's silhouettes before and after, and her crop."""
    walk = color_walks.render(60, 90, "nm", 2, True, True, frames=2)
    own = walk.silhouettes[1]
    square = examples.squares(walk.silhouettes)[1]
    return walk.frames[1], walk.background, own, np.roll(own, 4, 1), square


def test_transfer_shows_neither_what_is_beside_nor_a_head_that_was_missed(network, scene):
    frame, background, own, new, square = scene
    head = slice(np.flatnonzero(own.any(1))[0] + 12)  # the half of it that is not segmented
    part = own.copy()
    part[head] = 0
    changed = frame.copy()
    far = cv2.dilate(part, np.ones((41, 41), np.uint8)) == 0
    changed[far] = 255 - changed[far]  # other people
    changed[head] = 255 - changed[head]
    painted = []
    for image in (frame, changed):
        canvas = background.copy()
        colours.paint(network, canvas, image, part, new, square)
        painted.append(canvas)
    np.testing.assert_array_equal(*painted)
    away = cv2.dilate(new, np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(painted[0][away], background[away])
    differs = np.abs(painted[0].astype(int) - background).max(-1) > 20
    assert differs[new > 0].mean() > 0.5


def test_transfer_keeps_texture_at_full_resolution(network, scene, monkeypatch):
    """If all is kept the frame's own pixels are shown, whatever the network's resolution is."""
    monkeypatch.setattr(
        network, "maps", lambda colors, mask: (colors / 255.0, np.ones(mask.shape, np.float32))
    )
    frame, background, own, new = (
        cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST) for image in scene[:4]
    )
    canvas = background.copy()
    colours.paint(network, canvas, frame, own, new, scene[4] * 3)
    inside = cv2.erode(own & new, np.ones((5, 5), np.uint8)) > 0
    assert inside.sum() > 1000
    np.testing.assert_array_equal(canvas[inside], frame[inside])
