"""Scenes before a camera that moves, against what that camera must see."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.moving_scenes import KINDS, MovingScene, hand
from stgan_jax.util.errors import InputError

SIZE = (120, 160)


def scene(kind, people=1, frames=26):
    return MovingScene(kind, 3, frames, SIZE, people=people)


@pytest.mark.parametrize("kind", ["pan", "zoom", "shake"])
def test_frames_are_homographies_of_each_other(kind):
    made = scene(kind)
    frames = list(made)
    one, other = frames[10], frames[14]
    move = made.views[14] @ np.linalg.inv(made.views[10])
    moved = cv2.warpPerspective(one.empty, move, SIZE[::-1], borderValue=(0, 255, 0))
    seen = (moved != (0, 255, 0)).any(-1)
    away = np.abs(moved.astype(int) - other.empty)[seen]
    assert seen.mean() > 0.5
    assert np.abs(one.empty.astype(int) - other.empty).mean() > 2 * away.mean()
    clear = cv2.dilate(other.people, np.ones((5, 5))) == 0
    assert np.abs(other.image.astype(int) - other.empty)[clear].mean() < 3


def test_who_is_carried_past_sees_the_ground_pass_faster_than_the_wall():
    made = scene("past", people=0)
    before, after = made.on_the_ground(0, np.array([[118.0, 80], [65, 80]])), None
    after = made.on_the_ground(25, np.array([[118.0, 80], [65, 80]]))
    near, far = (after - before)[:, 1]
    focal = 1.25 * 1.5 * SIZE[0]
    assert 1.5 * far < near < 25 / 25 * focal / 2  # of one metre; nothing is nearer than two


def test_a_hand_sways_slowly_and_trembles_a_little():
    wave = hand(np.random.default_rng(0), 500, 50.0)
    power = np.abs(np.fft.rfft(wave)) ** 2
    at = np.fft.rfftfreq(500, 1 / 50)
    assert 0.2 < wave.std() < 0.8
    assert power[at < 3].sum() > 0.95 * power.sum()
    assert power[(at > 8) & (at < 10)].sum() > 3 * power[(at > 13) & (at < 15)].sum()


def test_kinds_that_are_not_there_are_refused():
    assert "still" in KINDS
    with pytest.raises(InputError, match="choose one of"):
        scene("hop")
