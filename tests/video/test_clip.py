"""Clips: whatever fails is covered; masks from files, cameras that move, people who stand.

People are found by difference or by masks; for networks, see `people/test_finding.py`.
"""

import itertools
import os
from collections import Counter

import clips
import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, containers
from stgan_jax.methods.stgan import anonymizer
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip
from stgan_jax.video.people import masks, tracking
from stgan_jax.video.render import compose
from stgan_jax.video.source import ClipOptions


def shown(frames, scene, output, dilated=None):
    """In each frame, the share of people's pixels (that differ from the scene) left unchanged."""
    shares = []
    for frame, image in zip(frames, containers.read_frames(output), strict=True):
        person = (frame.people > 0) & (
            np.abs(frame.image.astype(int) - scene.background).max(-1) > 60
        )
        if dilated is not None:
            person &= ~dilated[len(shares)]
        near = np.abs(image.astype(int) - frame.image).max(-1) < 25
        shares.append((near & person).sum() / max(1, person.sum()))
    return np.array(shares)


def failing(function, when):
    """The function, raising at calls for which `when(number of the call)`."""
    calls = Counter()

    def wrapped(*arguments, **named):
        calls["n"] += 1
        if when(calls["n"]):
            raise RuntimeError("injected")
        return function(*arguments, **named)

    return wrapped


STAGES = {
    "detect": (masks.ByBackground, "__call__"),
    "track": (tracking.Tracker, "update"),
    "encode": (contour, "encode"),
    "G": (anonymizer, "_generate"),
    "decode": (contour, "decode"),
    "colour": (compose, "colorize"),
    "compose": (compose, "compose"),
    "background": (background.Light, "update"),
}


def test_people_are_shown_where_nothing_fails(frames, scene, source, model, tmp_path):
    """So that the tests below can fail: many of each person's pixels are unchanged."""
    report = clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1)
    assert np.median(shown(frames, scene, tmp_path / "out.mkv")) > 0.3
    assert report["blanked_frames"] == []
    assert report["people_found_by"] == "difference"


@pytest.mark.parametrize("stage", STAGES)
def test_no_original_person_gets_through_a_crash(
    stage, frames, scene, source, model, tmp_path, monkeypatch
):
    """In half of the stage's calls, or in all: those frames show nobody, and are reported."""
    owner, name = STAGES[stage]
    always = ("encode", "G", "decode", "colour")
    function = failing(getattr(owner, name), lambda n: n % 2 or stage in always)
    monkeypatch.setattr(owner, name, function)
    output = tmp_path / "out.mkv"
    report = clip.anonymize_video(source, output, model, seed=1)
    assert report["exit_code"] == 3
    assert report["frames"] == 30
    shares = shown(frames, scene, output)
    if stage in ("encode", "G", "decode"):
        assert all(row["frames_anonymized"] == 0 for row in report["people"])
        reasons = {row["why"] for row in report["covered"]}
        assert "anonymising failed (RuntimeError)" in reasons
        assert shares.max() < 0.03
    elif stage == "colour":
        assert "colouring failed (RuntimeError)" in {row["why"] for row in report["covered"]}
        assert shares.max() < 0.03
    else:
        blanked = [row["frame"] for row in report["blanked_frames"]]
        assert len(blanked) >= 14
        assert all("failed (RuntimeError)" in row["why"] for row in report["blanked_frames"])
        assert shares[blanked].max() < 0.03


def test_one_bad_frame_hides_itself_alone(source, model, tmp_path, monkeypatch):
    """The batch fails, then the piece, then the one frame."""
    fails = failing(type(model).many, lambda n: n <= 3)
    monkeypatch.setattr(type(model), "many", fails)
    report = clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1)
    failed = [row for row in report["covered"] if "anonymising failed" in row["why"]]
    assert [row["last_frame"] - row["first_frame"] for row in failed] == [0]
    assert failed[0]["to"] == failed[0]["from"] == pytest.approx(failed[0]["first_frame"] / 25)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError()])
def test_a_failure_to_write_leaves_nothing(source, model, tmp_path, monkeypatch, error):
    def write(*_):
        raise error

    monkeypatch.setattr(containers, "_count", write)  # as the last thing before the file is renamed
    with pytest.raises(type(error)):
        clip.anonymize_video(source, tmp_path / "out.mkv", model, report=tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_under_the_shelf_stops_all(source, model, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="No space"):
        clip.anonymize_video(source, tmp_path / "out.mkv", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "codec"), [((1, 1), "ffv1"), ((18, 300), "libx264")])
def test_frames_too_small_for_people_are_refused_in_a_sentence(model, tmp_path, size, codec):
    """As a program that goes on: OpenCV's filters crash on them."""
    images = [np.full((*size, 3), value, np.uint8) for value in range(12)]
    source = clips.write(tmp_path / "in.mkv", images, codec=codec)
    with pytest.raises(InputError, match="no walking person"):
        clip.anonymize_video(source, tmp_path / "out.mkv", model)
    assert not (tmp_path / "out.mkv").exists()


def test_masks_identify_people_and_cover_all(frames, scene, source, truth, model, tmp_path):
    """Each id is one person throughout; outside the new silhouettes nobody is left."""
    report = clip.anonymize_video(
        source, tmp_path / "out.mkv", model, seed=1, options=ClipOptions(masks=truth)
    )
    counts = Counter()
    for frame in frames:
        counts.update(set(np.unique(frame.people).tolist()) - {0})
    assert sorted(row["frames_seen"] for row in report["people"]) == sorted(counts.values())
    plain = tmp_path / "plain.mkv"
    clip.anonymize_video(
        source, plain, model, seed=1, options=ClipOptions(masks=truth, silhouettes_only=True)
    )
    new = [
        cv2.dilate(image[..., 1], np.ones((5, 5))) > 60 for image in containers.read_frames(plain)
    ]
    assert np.mean(new) > 0.005
    assert shown(frames, scene, tmp_path / "out.mkv", dilated=new).max() == 0


def test_who_stands_still_throughout_is_hidden_by_masks(model, tmp_path):
    """A median would take them for background."""
    scene = Scene(4, people=1, frames=30, size=(240, 320))
    middle = next(itertools.islice(scene, 14, None))
    images = [middle.image] * 12
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(12):
        soft = cv2.GaussianBlur(middle.people * np.uint8(255), (3, 3), 0)  # grey edges are no ids
        cv2.imwrite(str(folder / f"{number:03d}.png"), soft)
    source = clips.write(tmp_path / "in.mkv", images, options={"crf": "10"})
    options = ClipOptions(masks=folder, silhouettes_only=False)
    clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1, options=options)
    clip.anonymize_video(
        source,
        tmp_path / "plain.mkv",
        model,
        seed=1,
        options=ClipOptions(masks=folder, silhouettes_only=True),
    )
    new = [
        cv2.dilate(i[..., 1], np.ones((5, 5))) > 60
        for i in containers.read_frames(tmp_path / "plain.mkv")
    ]
    assert shown([middle] * 12, scene, tmp_path / "out.mkv", dilated=new).max() < 0.05


def test_before_a_moving_camera_the_scene_is_behind_masks(
    frames, scene, model, tmp_path, monkeypatch
):
    panned = [np.roll(frame.image, 3 * n, axis=1) for n, frame in enumerate(frames)]
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, frame in enumerate(frames):
        mask = np.roll(frame.people, 3 * number, axis=1)
        cv2.imwrite(str(folder / f"{number}.png"), mask)
    (folder / "7.png").write_bytes(b"damaged")
    source = clips.write(tmp_path / "in.mkv", panned, options={"crf": "10"})
    monkeypatch.setattr(compose, "compose", lambda canvas, *_: compose.Composed(canvas, []))
    report = clip.anonymize_video(
        source,
        tmp_path / "out.mkv",
        model,
        seed=1,
        options=ClipOptions(masks=folder, silhouettes_only=False),
    )
    assert report["camera"] == "turns"
    assert [row["frame"] for row in report["blanked_frames"]] == [7]
    for number, image in enumerate(containers.read_frames(tmp_path / "out.mkv")):
        people = np.roll(frames[number].people, 3 * number, axis=1) > 0
        away = np.abs(image.astype(int) - panned[number]).max(-1)
        around = cv2.dilate(people.astype(np.uint8), np.ones((61, 61)))
        # In frame 7 nobody knows where people are: it is shown as others show it.
        assert np.median(away[around == 0]) < 8
        behind = np.abs(image.astype(int) - np.roll(scene.background, 3 * number, axis=1)).max(-1)
        assert np.median(behind[people]) < 8 < np.median(away[people])


def test_masks_that_do_not_fit_are_refused(source, truth, model, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for number in range(5):
        (few / f"{number}.png").write_bytes((truth / f"{number}.png").read_bytes())
    shape = tmp_path / "shape"
    shape.mkdir()
    for number in range(30):
        cv2.imwrite(f"{shape}/{number}.png", np.eye(100, dtype=np.uint8))
    for folder, word in (
        (few, "5 masks for 30 frames"),
        (tmp_path / "none", "no such folder"),
        (shape, "every frame failed: .*0.png: is not of the frames' shape"),
    ):
        with pytest.raises(InputError, match=word):
            clip.anonymize_video(
                source, tmp_path / "out.mkv", model, options=ClipOptions(masks=folder)
            )
    assert not (tmp_path / "out.mkv").exists()
