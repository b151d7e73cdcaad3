"""The empty scene before a camera that moves, against a wide picture of it."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stgan_jax.media import background, path
from stgan_jax.video.people.shelf import Shelf, Unions
from stgan_jax.video.scene import moving

SIZE, FRAMES, FPS = (240, 320), 30, 5.0
RED = (250, 0, 0)


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(0)
    layers = [cv2.resize(rng.normal(0, s, (320 // n, 640 // n, 3)), (640, 320))
              for n, s in ((8, 10), (32, 25))]  # fmt: skip
    return np.clip(120 + sum(layers), 40, 200).astype(np.uint8)


def shot(wide, shifts, blocks, light=None):
    """A camera that is shifted, who walks before it in red, and the true empty frames."""
    frames, masks, truth, poses = [], [], [], []
    for n, (x, y) in enumerate(shifts):
        move = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
        empty = cv2.warpAffine(wide, move, SIZE[::-1], flags=cv2.INTER_CUBIC)
        empty = np.clip(empty * (1.0 if light is None else light[n]), 0, 255).astype(np.uint8)
        mask = np.zeros(SIZE, np.uint8)
        top, left, bottom, right = blocks[n]
        mask[top:bottom, left:right] = 1
        image = empty.copy()
        image[mask > 0] = RED
        frames.append(image)
        masks.append(cv2.dilate(mask, np.ones((5, 5), np.uint8)))
        truth.append(empty)
        poses.append(np.array([[1, 0, x - shifts[0][0]], [0, 1, y - shifts[0][1]], [0, 0, 1.0]]))
    way = path.CameraPath(np.stack(poses), np.zeros(len(poses), int), 0.0, SIZE)
    return frames, masks, truth, way


def views(frames, masks, way, folder, most=40, unexplained=0.0):
    final = Unions(Shelf(folder), SIZE)
    for mask in masks:
        final.add(mask)

    def keys(numbers):
        return ((number, frames[number]) for number in numbers)

    way = path.CameraPath(way.poses, way.shots, unexplained, SIZE)
    around = moving.Surroundings(keys, FPS, way, most, lambda n, _: final[n], final)
    clip = (SimpleNamespace(image=frame) for frame in frames)
    return [view for _, _, view in around.views(clip)], around


PAN = [(2.6 * n, 16 + 6 * np.sin(n)) for n in range(FRAMES)]
PASSING = [(60, 260 - 8 * n, 220, 320 - 8 * n) for n in range(FRAMES)]


def error(found, truth, masks):
    away = [
        np.square(view.scene.empty[mask > 0].astype(float) - empty[mask > 0])
        for view, empty, mask in zip(found, truth, masks, strict=True)
        if mask.any()
    ]
    return np.sqrt(np.concatenate(away).mean())


def test_behind_who_walks_is_what_other_frames_saw_in_the_light_of_the_moment(wide, tmp_path):
    light = 1 + 0.15 * np.sin(np.arange(FRAMES) / 6)
    frames, masks, truth, way = shot(wide, PAN, PASSING, light)
    found, around = views(frames, masks, way, tmp_path)
    assert error(found, truth, masks) < 6
    assert max(around.made_up.values()) == 0
    for view in found:
        assert not (np.abs(view.scene.empty.astype(int) - RED).max(-1) < 60).any()


def test_what_no_frame_saw_is_made_up_stays_so_and_is_told(wide, tmp_path):
    """Somebody walks along with the picture's left side, and is always before it."""
    blocks = [(80, 120, 200, 180)] * FRAMES
    shifts = [(40 + 4 * np.sin(n), 20 + 4 * np.cos(2 * n)) for n in range(FRAMES)]
    frames, masks, _, way = shot(wide, shifts, blocks)
    found, around = views(frames, masks, way, tmp_path)
    share = masks[0].mean()
    assert all(0.6 * share < around.made_up[n] <= share for n in range(FRAMES))
    for view, mask in zip(found, masks, strict=True):
        inside = view.scene.empty[mask > 0]
        assert not (np.abs(inside.astype(int) - RED).max(-1) < 60).any()
        assert inside.min() > 10
    inner = np.s_[100:180, 130:170]
    still = [cv2.warpAffine(v.scene.empty, np.array([[1, 0, x], [0, 1, y]]), SIZE[::-1])[inner]
             for v, (x, y) in zip(found, np.subtract(shifts, shifts[0]), strict=True)]  # fmt: skip
    assert np.std(still, axis=0).mean() < 6


def test_frames_whose_people_are_unknown_give_nothing(wide, tmp_path):
    frames, masks, _, way = shot(wide, PAN, PASSING)
    masks[12] = None
    frames[12][:] = RED
    found, _ = views(frames, masks, way, tmp_path)
    for view in found:
        assert not (np.abs(view.scene.empty.astype(int) - RED).max(-1) < 60).any()


def passed(wide, blocks):
    """As `shot`, of a camera that is carried past: the lower half passes faster, which no
    homography says.
    """
    frames, masks, truth, way = shot(wide, [(4 * n, 16) for n in range(16)], blocks)
    for n, (frame, empty) in enumerate(zip(frames, truth, strict=True)):
        move = np.array([[1, 0, -6.0 * n], [0, 1, -16]])
        empty[140:] = cv2.warpAffine(wide[:, ::-1], move, SIZE[::-1])[140:]
        somebody = (frame == RED).all(-1)
        frame[140:] = empty[140:]
        frame[somebody] = RED
    return frames, masks, truth, way


def test_several_depths_are_moved_by_what_is_around(wide, tmp_path):
    narrow = [(top, left, bottom, left + 24) for top, left, bottom, _ in PASSING]
    frames, masks, truth, way = passed(wide, narrow)
    found, around = views(frames, masks, way, tmp_path, unexplained=0.5)
    assert np.mean(list(around.made_up.values())) < 0.2 * masks[0].mean()
    assert error(found, truth, masks) < 8


def test_a_picture_goes_on_beyond_its_edge_where_parallax_reaches_there(wide, tmp_path):
    frames, masks, _, way = passed(wide, PASSING)
    around = views(frames, masks, way, tmp_path, unexplained=0.5)[1]
    grey, nothing = np.full((*SIZE, 3), 150, np.uint8), np.zeros(SIZE, np.uint8)
    scene = background.EmptyScene(grey, nothing)
    picture = moving._Picture(0, np.eye(3), scene, nothing, nothing)
    aside = np.array([[1, 0, 20], [0, 1, -10], [0, 0, 1.0]])
    assert around._carried(picture, aside, grey, nothing + 255).min() == 150
