"""The camera's motion, against poses by which scenes were moved."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import camera

SIZE = (240, 320)
STILL = 0.002  # diagonals: what is measured of a camera that stands
CORNERS = np.array([[0, 0, 1], [320, 0, 1], [0, 240, 1], [320, 240, 1]], np.float64).T


@pytest.fixture(scope="module")
def street():
    """Ten frames of people who walk, larger than `SIZE` by what `seen` needs."""
    frames = list(Scene(3, people=2, frames=10, size=(312, 416), fps=4))
    return np.stack([frame.image for frame in frames])


def wall():
    """A faint pattern of 3 grey levels in grains of 8 pixels, without noise."""
    grains = np.random.default_rng(0).normal(150, 3, (39, 52)).astype(np.float32)
    faint = cv2.resize(grains, (416, 312), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.clip(faint, 0, 255).astype(np.uint8)[None, ..., None], 10, 0).repeat(3, -1)


def poses(kind):
    """Poses of ten frames, the one of frame 5 being the identity."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(10):
        step = number - 5
        turn, zoom, x, y = {
            "still": (0, 1, 0, 0),
            "shake": (*rng.normal((0, 1), 0.004), *rng.normal(0, 5, 2)),
            "pan": (0, 1, 2.5 * step, 0.5 * step),
            "zoom": (0, 1 + 0.008 * step, 0, 0),
        }[kind]
        if not step:
            turn, zoom, x, y = 0, 1, 0, 0
        matrix = cv2.getRotationMatrix2D((160, 120), np.degrees(turn), zoom)
        found.append(np.vstack([matrix + [[0, 0, x], [0, 0, y]], [0, 0, 1]]))
    return np.stack(found)


def seen(scene, matrices, noise=2.0):
    """The middle of a scene, by a camera of these poses."""
    middle = np.array([[1, 0, -48], [0, 1, -36], [0, 0, 1.0]])
    frames = [
        cv2.warpAffine(image, (pose @ middle)[:2], SIZE[::-1], flags=cv2.INTER_CUBIC)
        for image, pose in zip(scene, matrices, strict=True)
    ]
    grain = np.random.default_rng(2).normal(0, noise, (len(frames), *SIZE, 1))
    return np.clip(np.rint(np.stack(frames) + grain), 0, 255).astype(np.uint8)


def with_text(frames):
    frames = frames.copy()
    for image in frames:
        for row, line in ((90, "BREAKING"), (190, "LIVE 12:34")):
            cv2.putText(image, line, (15, row), cv2.FONT_HERSHEY_DUPLEX, 1.1, (255, 255, 255), 2)
    return frames


def with_person(frames):
    """Somebody in a patterned coat fills half of the picture, sways and comes nearer."""
    frames = frames.copy()
    cloth = np.random.default_rng(3).integers(30, 220, (24, 20, 3), dtype=np.uint8)
    for number, image in enumerate(frames):
        width = round(160 * (1 + 0.02 * number))
        left = round(80 + 25 * np.sin(1.3 * number))
        top = 50 - 4 * number
        coat = cv2.resize(cloth, (width, 300), interpolation=cv2.INTER_LINEAR)
        window = np.s_[max(0, top) :, left : left + width]
        image[window] = coat[max(0, -top) :][: 240 - max(0, top), : image[window].shape[1]]
    return frames


def away(result, truth):
    """Pixels between a corner of the frame by the measured poses and by the true ones."""
    truth = truth @ np.linalg.inv(truth[result.reference])
    return np.linalg.norm(((result.poses - truth) @ CORNERS)[:, :2], axis=1).max(-1)


def largest(truth):
    moved = np.linalg.norm(((truth - np.eye(3)) @ CORNERS)[:, :2], axis=1)
    return moved.max() / np.hypot(*SIZE)


@pytest.mark.parametrize("kind", ["still", "shake", "pan", "zoom"])
def test_poses_are_found_to_half_a_pixel(street, kind):
    truth = poses(kind)
    result = camera.motion(seen(street, truth))
    assert result.known.all()
    assert away(result, truth).max() < 0.5
    assert result.displacement == pytest.approx(largest(truth), abs=STILL)


@pytest.mark.parametrize("kind", ["still", "shake", "pan"])
@pytest.mark.parametrize("place", ["street", "wall"])
def test_text_laid_over_does_not_hold_a_camera(street, kind, place):
    truth = poses(kind)
    frames = with_text(seen(street if place == "street" else wall(), truth))
    assert camera.motion(frames).displacement == pytest.approx(largest(truth), abs=0.004)


@pytest.mark.parametrize("kind", ["still", "shake"])
def test_a_person_who_fills_half_of_the_picture_is_not_the_scene(street, kind):
    truth = poses(kind)
    result = camera.motion(with_person(seen(street, truth)))
    assert result.displacement == pytest.approx(largest(truth), abs=STILL)


@pytest.mark.parametrize("kind", ["still", "shake"])
def test_light_is_no_motion(street, kind):
    truth = poses(kind)
    plain = seen(street, truth)
    light = np.array([0, 0.02, 0.3, 0.7, 1, 1, 1, 0.5, 0.5, 0.5])[:, None, None, None]
    lit = np.rint(plain * light).astype(np.uint8)
    lit[4] = np.clip(plain[4] * 3.0 + 150, 0, 255)  # a flash
    result = camera.motion(lit)
    assert not result.known[[0, 4]].any()
    assert result.known[[3, 5, 6, 7, 8, 9]].all()
    assert away(result, truth)[result.known].max() < 1.0


def test_the_reference_is_one_that_shows_the_scene(street):
    frames = seen(street, poses("still"))
    frames[5] = 0
    result = camera.motion(frames)
    assert result.reference in (4, 6)
    assert not result.known[5]
    assert result.displacement < STILL


def test_a_cut_is_infinite_and_what_shows_nothing_is_zero(street):
    frames = seen(street, poses("still"))
    frames[5:] = frames[5:, ::-1]  # another street would have its horizon in the same place
    assert camera.motion(frames).displacement == float("inf")
    grey = np.random.default_rng(0).normal(128, 2, (4, *SIZE, 3))
    for blank in (grey.astype(np.uint8), np.zeros((4, *SIZE, 3), np.uint8)):
        assert camera.motion(blank).displacement == 0.0
