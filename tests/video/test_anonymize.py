"""Videos of people anonymised: whole, in place, nobody left as they were; refused if unfit."""

import json
from fractions import Fraction

import cv2
import jax
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import containers
from stgan_jax.methods import catalog
from stgan_jax.shapes.likeness import best_iou
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip
from stgan_jax.video.report import summary


def write(path, frames, fps=25):
    with containers.video_writer(path, frames[0].shape[:2], Fraction(fps)) as append:
        for frame in frames:
            append(frame)
    return path


@pytest.fixture(scope="module")
def scene():
    return Scene(4, people=2, frames=70, size=(360, 480))


@pytest.fixture(scope="module")
def result(scene, tmp_path_factory):
    """By the package's default weights, as the overlaps depend on what is drawn."""
    folder = tmp_path_factory.mktemp("video")
    source = write(folder / "in.mp4", [frame.image for frame in scene])
    report = clip.anonymize_video(
        source,
        folder / "out.mp4",
        catalog.load(),
        seed=1,
        report=folder / "report.json",
        contact_sheet=folder / "sheet.png",
    )
    return folder, report


def test_as_many_frames_of_the_same_size_and_rate_come_out(result):
    folder, _ = result
    before, after = containers.probe(folder / "in.mp4"), containers.probe(folder / "out.mp4")
    assert (before.width, before.height, before.fps) == (after.width, after.height, after.fps)
    assert len(list(containers.read_frames(folder / "out.mp4"))) == 70


def test_people_are_where_they_were_and_nobody_else_is(result, scene, tmp_path):
    """Legs overlap more in step than at another moment of the gait."""
    folder, _ = result
    model = catalog.load().with_options(in_step=True)
    clip.anonymize_video(folder / "in.mp4", tmp_path / "out.mp4", model, seed=1)
    overlaps = []
    for output in (folder / "out.mp4", tmp_path / "out.mp4"):
        overlap = []
        for frame, image in zip(scene, containers.read_frames(output), strict=True):
            changed = np.abs(image.astype(int) - scene.background).max(-1) > 20
            person = frame.people > 0
            around = cv2.dilate(person.astype(np.uint8), np.ones((45, 45))) > 0
            assert changed[~around].mean() < 0.01  # a person would be 0.035
            if person.any():
                overlap.append((changed & person).sum() / (changed | person).sum())
        overlaps.append(np.median(overlap))
    moved, in_step = overlaps
    assert in_step > 0.55
    assert in_step > moved > 0.35


def test_the_original_outline_is_gone(result, scene):
    """Where only the original silhouette was, the background shows."""
    folder, _ = result
    shown = []
    for frame, image in zip(scene, containers.read_frames(folder / "out.mp4"), strict=True):
        rim = (frame.people > 0) & (
            cv2.erode((frame.people > 0).astype(np.uint8), np.ones((5, 5))) == 0
        )
        if rim.any():
            same = np.abs(image.astype(int) - frame.image)[rim].max(-1) < 12
            shown.append(same.mean())
    assert np.mean(shown) < 0.75


def test_the_report_counts_what_the_video_shows(result):
    folder, report = result
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["frames"] == 70
    assert "seed" not in json.dumps(report)
    for row in report["people"]:
        assert row["frames_seen"] == row["frames_anonymized"] + row["frames_covered"]
        assert sum(row["covered_because"].values()) == row["frames_covered"]
    assert sum(row["frames_anonymized"] for row in report["people"]) > 60
    sheet = cv2.imread(str(folder / "sheet.png"))
    assert sheet.shape[0] % 480 == 0
    assert "in 7" not in summary(report).splitlines()[0]
    assert "70 frames" in summary(report)


def test_every_frame_of_a_walk_keeps_one_noise_and_other_keys_give_other_walkers(model):
    masks = procedural.silhouettes(90, 90, frames=70)  # longer than a chunk
    first, again, other = (model(masks, jax.random.key(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.mean(first != other) > 0.001
    assert np.array_equal(first[66:], model(masks[66:], jax.random.key(1)))


def test_anonymised_silhouettes_still_look_like_people(model):
    masks = procedural.silhouettes(91, 54, frames=8, fps=8)
    result = model(masks, jax.random.key(0))
    people = np.concatenate(
        [procedural.silhouettes(s, 54, frames=16, fps=16) for s in range(300, 310)]
    )
    assert best_iou(result, people).mean() > 0.7  # the test's model is trained briefly
    assert best_iou(result, masks).mean() < 0.98


def test_an_empty_silhouette_stays_empty(model):
    masks = procedural.silhouettes(91, 54, frames=3)
    masks[1] = 0
    result = model(masks, jax.random.key(0))
    assert not result[1].any()
    assert result[0].any()


def test_who_is_cut_off_or_appears_too_briefly_is_covered(model, tmp_path):
    """Somebody who only peeps in: reported, and not in the output."""
    scene = Scene(4, people=1, frames=60, size=(360, 480))
    images = [frame.image.copy() for frame in scene]
    for number, image in enumerate(images):
        if 20 <= number < 23:
            image[200:300, 380:410] = (255, 0, 0)
    report = clip.anonymize_video(
        write(tmp_path / "in.mp4", images), tmp_path / "out.mp4", model, seed=0
    )
    reasons = [reason for row in report["people"] for reason in row["covered_because"]]
    assert "seen too briefly" in reasons
    frames = list(containers.read_frames(tmp_path / "out.mp4"))
    red = [(f[210:290, 385:405].astype(int) - [255, 0, 0]).__abs__().max(-1) < 60 for f in frames]
    assert np.mean(red) == 0


def test_no_output_without_people(model, tmp_path):
    # Nothing in it nearly looks like somebody who stands: encoders may differ by a little.
    scene = Scene(7, people=0, frames=30, size=(240, 320))
    source = write(tmp_path / "in.mp4", [frame.image for frame in scene])
    with pytest.raises(InputError, match="no walking person"):
        clip.anonymize_video(source, tmp_path / "out.mp4", model)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_a_moving_camera_is_refused(model, tmp_path):
    frames = [frame.image for frame in Scene(2, people=1, frames=40, size=(240, 320))]
    panned = [np.roll(image, 2 * number, axis=1) for number, image in enumerate(frames)]
    source = write(tmp_path / "in.mp4", panned)
    with pytest.raises(InputError, match="camera moves"):
        clip.anonymize_video(source, tmp_path / "out.mp4", model)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_the_input_is_never_the_output(result, model):
    folder, _ = result
    before = (folder / "in.mp4").read_bytes()
    with pytest.raises(InputError, match="replace the input"):
        clip.anonymize_video(folder / "in.mp4", folder / "in.mp4", model)
    assert (folder / "in.mp4").read_bytes() == before
