"""Who stands in the empty scene, by the networks: covered, and nothing else; their moving parts."""

import json

import clips
import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import containers
from stgan_jax.media.segmentation import Region
from stgan_jax.methods import catalog
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip
from stgan_jax.video.people import models, networks, standing
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings
from stgan_jax.video.source import ClipOptions

SIZE = (360, 480)
MARGIN = np.ones((41, 41), np.uint8)


@pytest.fixture(scope="module")
def nets(networks_folder):
    return standing.load(networks_folder)


def with_somebody(seed):
    """A scene's empty picture, one of who stands there, frames in which others walk past, masks:
    of who stands, and of all people.
    """
    walking = list(Scene(seed, people=1, frames=21, size=SIZE))
    still = max(walking, key=lambda frame: frame.people.sum())
    there = still.people > 0
    passing = [np.where(f.people[..., None] > 0, 255 - f.image, f.image) for f in walking]
    empty = Scene(seed, people=0, frames=1, size=SIZE).background
    images = np.stack([np.where(there[..., None], still.image, image) for image in passing])
    everybody = np.any([frame.people > 0 for frame in walking], axis=0)
    return empty, still.image, images, there, cv2.dilate(everybody.view(np.uint8), MARGIN) > 0


@pytest.mark.parametrize("seed", [6, 60])
def test_who_stands_is_covered_and_little_else(nets, seed):
    empty, still, images, there, people = with_somebody(seed)
    picture = np.where(there[..., None], still, empty)
    cover = standing.people_standing(picture, images, nets)
    assert cover[there].all()
    assert cover[~people].mean() <= 0.002
    assert cover.mean() < 4 * there.mean()


@pytest.mark.parametrize("seed", [4, 81])
def test_nothing_of_a_scene_without_standing_people_is_covered(nets, seed):
    """Whoever walks there."""
    frames = list(Scene(seed, people=3, frames=40, size=SIZE))
    empty = Scene(seed, people=0, frames=1, size=SIZE).background
    samples = np.stack([frame.image for frame in frames])
    assert not standing.people_standing(empty, samples, nets).any()


class Boxes(networks.Detector):
    """The same box in every picture."""

    def __init__(self, score):
        self.score = score

    def __call__(self, frame, side=0, regions=None):
        return np.float32([[40, 100, 180, 150]]), np.float32([self.score])


class Outlines(networks.Outliner):
    """A strip in the middle of the box."""

    def __init__(self, presence):
        self.presence = presence

    def __call__(self, frame, boxes):
        strip = np.ones((100, 20), np.float32)
        joints, box = np.zeros((33, 3), np.float32), np.zeros(4, np.float32)
        return [networks.Outline(60, 115, strip, self.presence, joints, box) for _ in boxes]


@pytest.mark.parametrize(
    ("score", "presence", "strip", "box"),
    [
        (0.6, 0.9, True, False),  # a person
        (0.6, 0.3, True, True),  # a doubtful outline of somebody who is there
        (0.6, 0.1, True, True),  # somebody half hidden
        (0.4, 0.3, True, False),
        (0.4, 0.1, False, False),  # a coat on a chair
    ],
)
def test_doubtful_outlines_are_covered_by_their_boxes(score, presence, strip, box):
    picture = np.full((200, 300, 3), 90, np.uint8)
    nets = standing.Networks(Boxes(score), Outlines(presence))
    cover = standing.people_standing(picture, np.stack([picture] * 5), nets)
    assert cover[60:160, 115:135].all() == strip
    assert cover[40:180, 100:150].all() == box
    assert cover.any() == strip
    assert not cover[:, 165:].any()


@pytest.mark.parametrize("size", [(1, 1), (18, 300), (300, 2)])
def test_tiny_frames_hold_nobody(nets, size):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert not standing.people_standing(picture, picture[None], nets).any()


def test_who_stands_is_not_shown_and_the_scene_is_left(networks_folder, tmp_path):
    """From end to end: no pixel of theirs; outside of people the scene is as it was."""
    empty, still, images, there, people = with_somebody(6)
    source = clips.write(tmp_path / "in.mkv", images, codec="ffv1", pixels="bgr0")
    options = ClipOptions(models=networks_folder, silhouettes_only=False, seed=1)
    report = clip.anonymize_video(
        source, tmp_path / "out.mkv", catalog.load(), report=tmp_path / "r.json", options=options
    )
    assert json.loads((tmp_path / "r.json").read_text())["standing_found_by"] == "networks"
    assert report["exit_code"] == 3
    assert any(row["why"] == "may stand in the background" for row in report["covered"])
    differs = there & (np.abs(still.astype(int) - empty).max(-1) > 60)
    for image in containers.read_frames(tmp_path / "out.mkv"):
        assert not ((np.abs(image.astype(int) - still).max(-1) < 3) & differs).any()
        changed = np.abs(image.astype(int) - empty).max(-1) > 30
        assert changed[~people].mean() <= 0.002


def test_without_networks_a_sentence_says_so_once(monkeypatch, tmp_path, capsys):
    def refuse(folder):
        raise InputError("there are none")

    monkeypatch.setattr(models, "fetched", refuse)
    monkeypatch.setattr(standing, "_refused", set())
    assert standing.load() is None
    assert standing.load() is None
    [line] = capsys.readouterr().err.splitlines()
    assert line == "people who stand are looked for without networks: there are none"
    with pytest.raises(InputError, match="there are none"):  # a folder that the user has named
        standing.load(tmp_path)


def track(masks, tmp_path):
    sightings = Sightings(Shelf(tmp_path))
    for number, mask in enumerate(masks):
        left, top, width, height = cv2.boundingRect(mask)
        box = np.array([top, left, top + height, left + width])
        sightings.add(number, Region(box, mask[top : top + height, left : left + width]))
    return sightings


def rectangle(top, left, bottom, right):
    mask = np.zeros((200, 300), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def test_moving_parts_of_somebody_who_stands_are_no_walkers(tmp_path):
    body = rectangle(40, 100, 180, 150)
    arm = [rectangle(70, 140 + n % 3, 110, 160 + n % 3) for n in range(10)]
    assert standing.is_part(track(arm, tmp_path), body)
    # Mostly outside, as who is carried behind somebody; elsewhere; as high as a person.
    small = [rectangle(70, 20 + 10 * n, 110, 40 + 10 * n) for n in range(25)]
    assert not standing.is_part(track(small, tmp_path), body)
    beside = [rectangle(70, 160, 110, 180)] * 5
    assert not standing.is_part(track(beside, tmp_path), body)
    walker = [rectangle(50 + n, 105, 170, 145) for n in range(10)]
    assert not standing.is_part(track(walker, tmp_path), body)
    assert not standing.is_part(track(arm, tmp_path), np.zeros_like(body))
