"""Which files of which folders become jobs, under which names, and what is left with a reason."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import stgan_jax
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch, cli, clip, inputs


def picture(path, silhouette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((48, 32, 3), (9, 99, 199), np.uint8)
    if silhouette:
        image = np.zeros((48, 32), np.uint8)
        image[8:40, 8:24] = 255
    cv2.imwrite(str(path), image)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def planned(root, output=None):
    jobs, left = inputs.plan([root], output)
    return (
        {str(j.source.relative_to(root)): (j.kind, j.output) for j in jobs},
        {str(one.path.relative_to(root)): one.why for one in left},
    )


def test_a_video_below_a_picture_is_found_and_the_picture_is_named(tmp_path):
    """The tree is kept in the output."""
    root, out = tmp_path / "camera", tmp_path / "out"
    touch(root / "2024/05/clip.mp4")
    picture(root / "2024/05/thumb.jpg")
    picture(root / "cover.png")
    touch(root / "2024/notes.txt")
    touch(root / "2025/CLIP.MTS")
    jobs, left = planned(root, out)
    assert jobs == {
        "2024/05/clip.mp4": ("clip", out / "2024/05/clip_anonymized.mp4"),
        "2025/CLIP.MTS": ("clip", out / "2025/CLIP_anonymized.mp4"),
    }
    assert sorted(left) == ["2024/05/thumb.jpg", "2024/notes.txt", "cover.png"]
    assert "a picture among videos" in left["cover.png"]
    assert "neither a video, a picture nor a pickle" in left["2024/notes.txt"]
    beside, _ = planned(root)
    assert beside["2024/05/clip.mp4"][1] == root / "2024/05/clip_anonymized.mp4"


def test_frames_and_walks_among_videos_are_found_too(tmp_path):
    touch(tmp_path / "a/clip.mkv")
    for number in range(3):
        picture(tmp_path / f"b/shot{number}.png")
        picture(tmp_path / f"c/001/{number}.png", silhouette=True)
        picture(tmp_path / f"d/shot{number}.png")
    touch(tmp_path / "d/deep/clip.mov")
    touch(tmp_path / "e/001/walk.pkl")
    jobs, left = planned(tmp_path)
    assert {name: kind for name, (kind, _) in jobs.items()} == {
        "a/clip.mkv": "clip", "b": "clip", "c": "dataset", "d": "clip", "d/deep/clip.mov": "clip",
        "e": "dataset",
    }  # fmt: skip
    assert left == {}


def test_silhouettes_and_frames_of_one_tree_are_told_apart(tmp_path):
    for number in range(3):
        picture(tmp_path / f"walks/{number}.png", silhouette=True)
        picture(tmp_path / f"frames/{number}.png")
    jobs, _ = planned(tmp_path)
    assert {name: kind for name, (kind, _) in jobs.items()} == {
        "walks": "dataset", "frames": "clip",
    }  # fmt: skip


def test_hidden_files_and_earlier_outputs_are_no_input(tmp_path):
    touch(tmp_path / "clip.mp4")
    for name in ("._clip.mp4", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/clip.mp4",
                 ".hidden/clip.mp4", "clip_anonymized.mp4", "clip_anonymized_report.json",
                 "out/x/clip.mp4"):  # fmt: skip
        touch(tmp_path / name)
    jobs, left = planned(tmp_path, tmp_path / "out")
    assert list(jobs) == ["clip.mp4"]
    assert left == {}


def test_what_cannot_be_read_and_links_are_named(tmp_path):
    touch(tmp_path / "clip.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked").symlink_to(tmp_path.parent)
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.mp4")
    jobs, left = planned(tmp_path)
    assert list(jobs) == ["clip.mp4"]
    assert sorted(left) == ["gone.mp4", "itself", "linked", "loop.png", "pipe.mp4"]


def test_patterns_do_not_follow_links_in_loops(tmp_path):
    touch(tmp_path / "a/b/clip.mp4")
    touch(tmp_path / "a/.hidden/clip.mp4")
    for name in ("a/up", "a/b/up", "again"):
        (tmp_path / name).symlink_to(tmp_path)
    jobs, _ = inputs.plan([tmp_path / "**/*.mp4"], tmp_path / "out")
    assert [job.source.relative_to(tmp_path) for job in jobs] == [Path("a/b/clip.mp4")]


def test_brackets_in_folders_are_brackets_and_patterns_keep_their_tree(tmp_path):
    for name in ("clips [2024]/a/x.mp4", "clips [2024]/b/x.mp4", "clips 2/a/y.mp4", "[1]*.mp4"):
        touch(tmp_path / name)
    jobs, _ = inputs.plan([tmp_path / "clips [2024]/*/x.mp4"], tmp_path / "out")
    assert [job.output.relative_to(tmp_path / "out") for job in jobs] == [
        Path("a/x_anonymized.mp4"), Path("b/x_anonymized.mp4"),
    ]  # fmt: skip
    [job], _ = inputs.plan([tmp_path / "[1]*.mp4"], None)
    assert job.source.name == "[1]*.mp4"
    with pytest.raises(InputError, match="no file of such a name"):
        inputs.plan([tmp_path / "clips [2024]/*/z.mp4"], None)


def test_long_names_have_outputs(tmp_path):
    touch(tmp_path / ("ä" * 125 + ".mp4"))
    touch(tmp_path / ("ä" * 124 + "o.mp4"))
    jobs, _ = inputs.plan([tmp_path], None)
    names = [one.name for job in jobs for one in (job.output, inputs.report_beside(job.output))]
    assert len(set(names)) == 4
    for name in names:
        touch(tmp_path / name)
    assert len(inputs.plan([tmp_path], None)[0]) == 2


def test_what_is_left_is_said_and_the_exit_code_is_3(tmp_path, monkeypatch, model):
    monkeypatch.setattr(clip, "anonymize_video", lambda *_, **__: {"people": [], "exit_code": 0})
    touch(tmp_path / "in/clip.mp4")
    touch(tmp_path / "in/clip.txt")
    result = stgan_jax.anonymize(tmp_path / "in", tmp_path / "out", checkpoint=model)
    assert result["exit_code"] == 3
    assert result["left"] == [{"path": str(tmp_path / "in/clip.txt"), "why": inputs.UNKNOWN}]
    result["files"] = []
    assert f"left: {tmp_path / 'in/clip.txt'}: neither" in batch.summary(result)


def test_words_may_be_names_of_files(tmp_path, monkeypatch):
    """Behind --, or because there is such a file."""
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "-clip.mp4")
    words = cli._words(["-clip.mp4", "--keep-audio", "--", "--my-clip.mp4"])
    assert words == ["./-clip.mp4", "--keep_audio", "./--my-clip.mp4"]
    values = cli._parser().parse_intermixed_args(words)
    assert values.inputs == ["./-clip.mp4", "./--my-clip.mp4"]
