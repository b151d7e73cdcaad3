"""Decisions about a clip: what they do to it, and that none is taken for another clip."""

import contextlib
import dataclasses
import json
import shutil

import commands
import numpy as np
import pytest
import reviewed

import stgan_jax
from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip, decisions, search
from stgan_jax.video.decisions import Extent, Footage, Part, Record
from stgan_jax.video.source import ClipOptions

CLIP = Footage(
    "ab" * 32, 20, 320, 240, {1: Extent(0, 19, (5, 5, 50, 90)), 2: Extent(4, 9, (90, 5, 99, 60))}
)
ADDED = {"do": "add", "boxes": [{"frame": 2, "box": [0, 0, 10, 20]}]}


@pytest.fixture(scope="module")
def model():
    return catalog.load()


@pytest.fixture(scope="module")
def missed():
    scene = reviewed.scene()
    return scene, list(scene)


def test_tracks_keep_their_names_and_new_ones_get_the_next():
    made = [
        {"do": "split", "track": 1, "frame": 8},
        ADDED,
        {"do": "merge", "track": 2, "with": 3},
        {"do": "anew", "track": 1, "body": 2, "alpha": 0.5},
        {"do": "cover", "track": 2},
        {"do": "hide", "box": [0, 0, 9, 9]},
    ]
    plan = decisions.plan(made, CLIP)
    one, two, four = plan.tracks
    assert (one.number, one.parts, one.body, one.alpha) == (1, (Part(1, 0, 7),), 2, 0.5)
    assert (two.number, two.parts, two.how) == (2, (Part(2, 4, 9), Part(1, 8, 19)), "cover")
    assert (four.number, four.first, four.last) == (4, 2, 2)
    assert [(c.first, c.last) for c in plan.curtains] == [(0, 19)]
    assert decisions.plan(made[:2], CLIP).tracks[-2].number == 3  # the last can be undone


def test_a_box_is_carried_along_between_key_frames():
    part = Part(((2, (0, 0, 10, 20)), (6, (40, 8, 50, 28))), 2, 6)
    assert part.box(2) == (0, 0, 10, 20)
    assert part.box(4) == (20, 4, 30, 24)
    assert part.box(5) == (30, 6, 40, 26)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"do": "cover", "track": 4}, "names a track that is not there"),
        ({"do": "cover", "track": True}, "names a track"),
        ({"do": "cover", "track": "1"}, "names a track"),
        ({"do": "cover"}, "needs track, and nothing else"),
        ({"do": "cover", "track": 1, "x": 1}, "nothing else"),
        ({"do": "leave", "track": 1, "sure": 1}, '"sure": true'),
        ({"do": "split", "track": 2, "frame": 4}, "where it is not, at frame 4"),
        ({"do": "split", "track": 2, "frame": 20}, "a frame from 0 to 19"),
        ({"do": "merge", "track": 1, "with": 1}, "with itself"),
        ({"do": "anew", "track": 1, "body": -1}, "needs a body"),
        ({"do": "anew", "track": 1, "body": 1, "alpha": 2}, "alpha from 0 to 1"),
        ({"do": "add", "boxes": []}, "boxes"),
        ({"do": "add", "boxes": [{"frame": 3, "box": [0, 0, 321, 9]}]}, "inside 320 x 240"),
        ({"do": "add", "boxes": [*ADDED["boxes"], *ADDED["boxes"]]}, "in the order"),
        ({"do": "hide", "box": [5, 5, 5, 9]}, "a box as"),
        ({"do": "hide", "box": [0, 0, 9, 9], "first": 5, "last": 4}, "ends before"),
        ({"do": "hide", "box": [0, 0, 9, 9], "last": 20}, "a frame from 0 to 19"),
        ({"do": ["cover"]}, 'needs "do"'),
        ("cover", 'needs "do"'),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(decision, words):
    with pytest.raises(InputError, match="^decision 2 .*" + words):
        decisions.plan([ADDED, decision], CLIP)


def test_a_file_is_read_as_it_was_written_and_for_its_clip_alone(tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"a clip")
    about = dataclasses.replace(CLIP, sha256=files.digest(tmp_path / "in.mp4"))
    path = decisions.beside(tmp_path / "in.mp4")
    record = Record(about, (ADDED, {"do": "cover", "track": 1}), (ADDED,), ("edge-1-0-3",))
    record.save(path)
    assert path.name == "in.mp4.decisions.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["version"] == 1
    read = decisions.read(path, tmp_path / "in.mp4")
    assert decisions.fitted(read, path, about) == record
    one = about.tracks[1]
    moved = {1: dataclasses.replace(one, box=(7, 8, 52, 92)), 2: about.tracks[2]}
    nearly = dataclasses.replace(about, tracks=moved)
    assert decisions.fitted(read, path, nearly).clip == nearly  # another machine's rounding
    for change in (
        {"frames": 19},
        {"width": 640},
        {"tracks": {1: one}},
        {"tracks": {**about.tracks, 1: Extent(0, 18, one.box)}},
        {"tracks": {**about.tracks, 1: Extent(0, 19, (60, 5, 99, 90))}},
    ):
        with pytest.raises(InputError, match="review the clip again"):
            decisions.fitted(read, path, dataclasses.replace(about, **change))
    (tmp_path / "in.mp4").write_bytes(b"another clip")
    with pytest.raises(InputError, match="about another file"):
        decisions.read(path, tmp_path / "in.mp4")
    for text in ("", "[]", "{}", "[" * 99_999, '{"version": 1}', '{"version": 1, "clip": {}}'):
        path.write_text(text)
        with pytest.raises(InputError, match="holds no decisions"):
            decisions.read(path, tmp_path / "in.mp4")
    path.write_text('{"version": 2}')
    with pytest.raises(InputError, match="version 2"):
        decisions.read(path, tmp_path / "in.mp4")


def far(image, other):
    return np.abs(image.astype(int) - other).max(-1)


def test_who_was_missed_is_gone_and_what_was_nobody_is_as_it_was(
    missed, model, tmp_path, monkeypatch
):
    scene, frames = missed
    source = reviewed.write(tmp_path / "in", frames)
    monkeypatch.setattr(search, "search", reviewed.finder(scene, frames))
    made = (
        {"do": "add", "boxes": reviewed.boxes_of(frames, 2)},
        {"do": "leave", "track": reviewed.FALSE, "sure": True},
        {"do": "cover", "track": reviewed.FOUND},
        {"do": "hide", "box": [0, 0, 30, 20], "first": 3},
    )
    work = reviewed.work_on(source, tmp_path / "out", model)
    Record(work.basis.footage, made).save(tmp_path / "d.json")
    work.close()
    report = {}
    for name, options in (("plain", {}), ("mended", {"decisions": tmp_path / "d.json"})):
        report[name] = clip.anonymize_video(
            source, tmp_path / name, model, options=ClipOptions(seed=1, **options)
        )
    assert "decisions" not in report["plain"]
    assert report["mended"]["decisions"] == list(made)
    assert [row["person"] for row in report["mended"]["people"]] == [1, 3]
    why = {row["why"] for row in report["mended"]["covered"]}
    assert why == {"covered by decision", "no clear outline"}
    top, left, bottom, right = reviewed.PLACE
    changed, missed_before = 0, []
    for number, frame in enumerate(frames):
        before, after = (
            pictures.read(tmp_path / name / f"{number:03d}.png")[..., ::-1]
            for name in ("plain", "mended")
        )
        person = (frame.people == 2) & (far(frame.image, scene.background) > 30)
        missed_before.append((far(before, frame.image)[person] < 8).mean())
        assert (far(after, frame.image)[person] < 8).sum() == 0
        assert (far(after, scene.background)[frame.people > 0] < 40).mean() > 0.99
        place = np.s_[top:bottom, left:right]
        np.testing.assert_array_equal(after[place], frame.image[place])
        changed += int((far(before, frame.image)[place] > 8).any())
        assert np.ptp(after[:20, :30], axis=(0, 1)).max() * (number >= 3) == 0
    assert changed > 8
    assert np.mean(missed_before) > 0.5


def test_who_stood_all_the_while_is_taken_out_of_the_scene(missed, model, tmp_path, monkeypatch):
    """They were missed, so that the empty scene shows them, too, wherever somebody is hidden."""
    scene, frames = missed
    body = frames[0].people == 2
    still = []
    for frame in frames:
        image = np.where(
            body[..., None] & (frame.people != 1)[..., None], frames[0].image, frame.image
        )
        people = np.where(frame.people == 1, 1, 2 * body).astype(np.uint8)
        still.append(dataclasses.replace(frame, image=image, people=people))
    source = reviewed.write(tmp_path / "in", still)
    tainted = reviewed.scene()
    tainted.background = np.where(body[..., None], frames[0].image, scene.background)
    monkeypatch.setattr(search, "search", reviewed.finder(tainted, still))
    box = reviewed.box_of(still[0], 2)
    keys = [{"frame": number, "box": box} for number in (0, len(frames) - 1)]
    with contextlib.closing(reviewed.work_on(source, tmp_path / "out", model)) as work:
        for made in ((), ({"do": "add", "boxes": keys}, {"do": "cover", "track": 1})):
            _, mended = work.people(decisions.plan(made, work.basis.footage))
            shown = []  # without new bodies, one of which passes before them
            for entry, composed in work.frames([], mended.backdrop, work.blanks.copy()):
                clear = body & (far(entry.frame.image, scene.background) > 40)
                clear &= still[entry.number].people == 2
                near = far(composed.image, frames[0].image)[clear] < 8
                shown.append(near.mean())
            assert np.mean(shown) > 0.8 if not made else max(shown) < 0.05


def test_batches_take_the_files_beside_the_clips(source, model, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv"):
        shutil.copy(source, folder / name)
    options = {"people": "difference", "color": "nearest", "end": 0.6}
    work = reviewed.work_on(folder / "a.mkv", tmp_path / "x.mkv", model, **options)
    made = ({"do": "cover", "track": 1},)
    Record(work.basis.footage, made).save(folder / "a.mkv.decisions.json")
    work.close()
    (folder / "a_anonymized_signed.json").touch()
    result = stgan_jax.anonymize(
        folder, tmp_path / "out", checkpoint=model, decisions="beside", seed=1, **options
    )
    assert result["left"] == []
    one, other = result["files"]
    assert (one["decisions"], "decisions" in other) == (list(made), False)
    assert one["people"][0]["covered_because"] == {"covered by decision": one["frames"]}
    assert one["people"][1:] == other["people"][1:]
    with pytest.raises(InputError, match="go with one input"):
        stgan_jax.anonymize(folder, tmp_path / "o", decisions=folder / "a.mkv.decisions.json")


@pytest.mark.processes
def test_what_does_not_fit_ends_the_command_in_a_sentence(source, tmp_path):
    shutil.copy(source, tmp_path / "in.mkv")
    sha = files.digest(tmp_path / "in.mkv")
    Record(dataclasses.replace(CLIP, sha256=sha)).save(tmp_path / "d.json")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = commands.run(
        "launch/anonymize.py",
        tmp_path / "in.mkv",
        f"--decisions={tmp_path / 'd.json'}",
        "--people=difference",
    )
    assert done.returncode == 2
    assert "d.json: its clip had 20 as frames, and this one has 30" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
