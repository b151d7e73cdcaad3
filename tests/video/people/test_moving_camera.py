"""A whole clip of a camera that a hand holds, by the real networks; all pixels are known."""

import itertools
import json
from unittest import mock

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.moving_scenes import MovingScene
from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.util.errors import InputError
from stgan_jax.video import backdrop, clip
from stgan_jax.video.render import compose
from stgan_jax.video.source import ClipOptions, ClipSource

SIZE = (240, 320)


@pytest.fixture(scope="module")
def frames():
    return list(MovingScene("shake", 3, 24, SIZE, fps=12.5, people=1))


@pytest.fixture(scope="module")
def source(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving") / "in"
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame.image[..., ::-1])
    return folder


def test_behind_people_is_the_scene_and_elsewhere_the_frame_itself(
    frames, source, networks_folder, tmp_path
):
    drawn = []

    def bare(canvas, frame, present, *_):
        drawn.extend(present)
        return compose.Composed(canvas, [])

    with mock.patch.object(compose, "compose", bare):
        report = clip.anonymize_video(
            source, tmp_path / "out", catalog.load(), report=tmp_path / "report.json"
        )
    assert report["camera"] == "turns"
    assert json.loads((tmp_path / "report.json").read_text())["made_up"] == report["made_up"]
    assert len(report["people"]) == 1
    assert len(drawn) > 10
    shown = [pictures.read(path)[..., ::-1] for path in sorted((tmp_path / "out").iterdir())]
    errors = []
    for frame, picture in zip(frames, shown, strict=True):
        people = frame.people > 0
        away = np.abs(picture.astype(int) - frame.image).max(-1)
        telling = people & (np.abs(frame.image.astype(int) - frame.empty).max(-1) > 30)
        assert not cv2.erode((telling & (away <= 4)).astype(np.uint8), np.ones((3, 3))).any()
        far = cv2.dilate(frame.people, np.ones((61, 61), np.uint8)) == 0
        assert (away[far] > 0).mean() < 0.005
        errors.append(np.square(picture[people].astype(float) - frame.empty[people]).ravel())
    assert 10 * np.log10(255**2 / np.concatenate(errors).mean()) > 30


def test_what_needs_a_camera_that_stands_is_refused(source):
    for options in (ClipOptions(things="remove"), ClipOptions(background=source / "000.png")):
        with pytest.raises(InputError, match="the camera moves"):
            backdrop.check_moving(ClipSource(source, options.cut), options)


def test_a_hand_is_steadied_if_asked_for(source, networks_folder, tmp_path):
    shown = []
    for steady in (False, True):
        output = tmp_path / f"out{steady}"
        options = ClipOptions(stabilize=steady, seed=1)
        report = clip.anonymize_video(source, output, catalog.load(), options=options)
        shown.append([pictures.read(path).astype(float) for path in sorted(output.iterdir())])
    assert 1.0 < report["enlarged"] <= 1.2
    changes = [np.mean([np.abs(b - a).mean() for a, b in itertools.pairwise(s)]) for s in shown]
    assert changes[1] < 0.8 * changes[0]
