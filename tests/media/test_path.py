"""The way of a camera, against homographies by which pictures were made."""

import cv2
import numpy as np
import pytest

from stgan_jax.media import parallax, path

SIZE = (240, 320)
LENS = np.array([[380, 0, 160], [0, 380, 120], [0, 0, 1.0]])
NOBODY = np.zeros((0, 4))


def texture(seed, size):
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(0, s, (size[0] // n, size[1] // n)), size[::-1])
              for n, s in ((4, 12), (16, 25), (64, 30))]  # fmt: skip
    grey = np.clip(120 + sum(layers), 0, 255)
    return np.repeat(grey[..., None], 3, -1).astype(np.float32)


def turned(pan, tilt=0.0, roll=0.0, zoom=1.0):
    """From a picture of 720x480 to one of `SIZE`, before a camera that turns by degrees."""
    turn = cv2.Rodrigues(np.radians([tilt, -pan, roll]))[0]
    wide = np.array([[380, 0, 360], [0, 380, 240], [0, 0, 1.0]])
    return np.diag([zoom, zoom, 1]) @ LENS @ turn @ np.linalg.inv(wide)


def seen(wide, poses, somebody=False):
    """Frames with noise, and boxes; somebody large walks against the camera's motion."""
    rng, cloth, frames, boxes = np.random.default_rng(2), texture(9, (180, 90)), [], []
    for n, pose in enumerate(poses):
        image = cv2.warpPerspective(wide, pose, SIZE[::-1], flags=cv2.INTER_CUBIC)
        if somebody:
            left = 220 - 8 * n
            image[50:230, left : left + 90] = cloth
        frames.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
        boxes.append(np.array([[50.0, 220 - 8 * n, 230, 310 - 8 * n]]) if somebody else NOBODY)
    return frames, boxes


def followed(frames, boxes):
    finder = path.PathFinder()
    for frame, some in zip(frames, boxes, strict=True):
        finder.add(frame, some)
    return finder.path()


WAYS = {
    "pan": [turned(1.2 * n) for n in range(16)],
    "zoom": [turned(5, zoom=1.02**n) for n in range(16)],
    "shake": [turned(8 + np.sin(n), np.cos(1.7 * n) / 2, np.sin(2.3 * n)) for n in range(16)],
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_camera_that_turns_or_zooms_is_followed_beside_people(kind):
    frames, boxes = seen(texture(1, (480, 720)), WAYS[kind], somebody=True)
    light = 1 + 0.2 * np.sin(np.arange(16) / 4)[:, None, None, None]
    frames = np.clip(np.stack(frames) * light, 0, 255).astype(np.uint8)
    found = followed(frames, boxes)
    assert farthest(found, kind, 4, 9) < 2.5
    assert farthest(found, kind, 0, 15) < 3.0
    assert not found.travels
    assert set(found.shots) == {0}


def farthest(found, kind, one, other):
    """Pixels by which a corner misses its place."""
    true, corners = WAYS[kind][other] @ np.linalg.inv(WAYS[kind][one]), path.corners_of(SIZE)
    off = path.moved(found.between(one, other), corners) - path.moved(true, corners)
    return np.linalg.norm(off, axis=1).max()


@pytest.mark.parametrize("kind", ["pan", "shake"])
def test_somebody_large_whom_no_network_found_is_outvoted(kind):
    """They walk by 120 pixels over the picture."""
    frames, boxes = seen(texture(1, (480, 720)), WAYS[kind], somebody=True)
    assert farthest(followed(frames, [NOBODY] * len(boxes)), kind, 0, 15) < 9.0


def test_a_camera_that_is_carried_past_several_depths_travels():
    far, near = texture(3, (240, 720)), texture(4, (240, 720))
    frames = []
    for n in range(16):
        image = far[:, 4 * n : 4 * n + 320].copy()
        for top in (60, 180):
            image[top : top + 50] = near[top : top + 50, 9 * n : 9 * n + 320]
        frames.append(image.astype(np.uint8))
    assert followed(frames, [NOBODY] * 16).travels


def test_a_cut_begins_a_shot():
    frames = [
        image for seed in (5, 6) for image in seen(texture(seed, (480, 720)), WAYS["pan"][:5])[0]
    ]
    found = followed(frames, [NOBODY] * 10)
    assert found.shots.tolist() == [0] * 5 + [1] * 5
    assert np.allclose(found.poses[5], np.eye(3))


def test_nothing_is_followed_where_nothing_is():
    blank = [np.full((*SIZE, 3), 90, np.uint8)] * 3
    assert followed(blank, [NOBODY] * 3).shots.tolist() == [0, 1, 2]


def test_values_are_continued_from_where_they_are_known():
    rows, cols = np.mgrid[:60, :80].astype(np.float32)
    values = np.stack([0.1 * cols, 0.05 * rows], -1)
    known = np.ones((60, 80), bool)
    known[20:40, 30:50] = False
    out = parallax.spread(np.where(known[..., None], values, 99).astype(np.float32), known)
    assert np.array_equal(out[known], values[known])
    assert np.abs(out - values).max() < 0.6


def test_what_is_off_is_looked_for_also_where_a_key_frame_explains_all():
    """Ground passes by four pixels a frame more than a wall: at first it seems to go along."""
    far, near, frames = texture(7, (240, 480)), texture(8, (240, 480)), []
    for n in range(10):
        frame = far[:, 20 + 2 * n :][:, :320].copy()
        frame[130:] = near[130:, 20 + 6 * n :][:, :320]
        frames.append(frame.astype(np.uint8))
    found = followed(frames, [NOBODY] * 10)
    assert found.travels
    assert sorted(found.offs) == list(range(1, 10))
    for row, goes in ((40.0, 2), (210.0, 6)):
        place = np.array([160.0, row])
        for n in range(1, 10):
            before = path.moved(found.between(n, n - 1), place[None])[0] + found.off(n, place)
            assert np.abs(before - [160 + goes, row]).max() < 0.3
