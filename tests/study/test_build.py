"""Studies are built whole or not at all, of clips that are alike and blind."""

import collections
import dataclasses
import re
from pathlib import Path

import commands
import numpy as np
import pytest

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import walks
from stgan_jax.media import containers
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.study import build, clips, database
from stgan_jax.study.plan import ANCHOR
from stgan_jax.util.errors import InputError


def write_clip(path, frames=30, size=(48, 64), fps=25, shade=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    with containers.video_writer(path, size, containers.Fraction(fps)) as append:
        for t in range(frames):
            frame = np.zeros((*size, 3), np.uint8)
            frame[10:40, t % 50 : t % 50 + 12] = shade
            append(frame)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Clips of two methods and unprotected ones, of other sizes, rates and lengths."""
    folder = tmp_path_factory.mktemp("folders")
    for walk in ("001-nm-05", "002-nm-05"):
        for view in ("000", "090"):
            write_clip(folder / "ours" / f"{walk}-{view}.mp4")
            write_clip(folder / "theirs" / view / f"{walk}.avi", 50, (64, 64), 50)
            write_clip(folder / "plain" / f"view-{view}" / f"{walk}.mp4", 40, (96, 64))
    return folder


def launch(*arguments):
    return commands.run("launch/study.py", *arguments)


def gather(folders):
    return build.sources(
        [
            f"ours={folders / 'ours'}",
            f"theirs={folders / 'theirs'}",
            f"{ANCHOR}={folders / 'plain'}",
        ]
    )


def test_clips_of_a_built_study_are_alike_and_blind(folders, tmp_path):
    options = build.StudyOptions(raters=3, size=(80, 64), repeats=1, consent="Who asks: a lab.")
    summary = build.build(tmp_path / "study", lambda: gather(folders), options)
    assert summary.startswith("12 clips seen from 0, 90 degrees, of 1 s; each of 3 raters sees 8")
    files = list((tmp_path / "study" / "clips").iterdir())
    assert len(files) == 12
    assert all(re.fullmatch(r"[0-9a-f]{16}\.mp4", path.name) for path in files)
    probed = [(containers.probe(p), len(list(containers.read_frames(p)))) for p in files]
    forms = {(info.width, info.height, info.fps, info.frames, count) for info, count in probed}
    assert forms == {(80, 64, 25, 25, 25)}
    assert (tmp_path / "study").stat().st_mode & 0o077 == 0
    rows = database.Database(tmp_path / "study").presentations()
    assert {(r["method"], r["view"]) for r in rows} == {
        (name, view) for name in ("ours", "theirs", ANCHOR) for view in (0, 90)
    }
    assert not {p.name for p in tmp_path.iterdir()} - {"study"}
    with pytest.raises(InputError, match="no study is overwritten"):
        build.build(tmp_path / "study", lambda: gather(folders), options)


def test_a_clip_keeps_its_middle_and_its_shape(tmp_path):
    def frames():
        for t in range(100):  # grey tells the time
            yield np.full((40, 80, 3), 2 * t, np.uint8)

    source = clips.SourceClip("ours", 90, "walk", containers.Fraction(50), 100, frames)
    clips.write(source, tmp_path / "clip.mp4", (120, 120), 30)
    out = np.stack(list(containers.read_frames(tmp_path / "clip.mp4"))).astype(int)
    assert out.shape == (30, 120, 120, 3)
    np.testing.assert_allclose(out[:, 60, 60, 0], 2 * (20 + 2 * np.arange(30)), atol=4)
    assert (out[:, :28] < 8).all()
    assert (out[:, 92:] < 8).all()


def test_a_webm_study_is_vp9(folders, tmp_path):
    options = build.StudyOptions(raters=1, size=(64, 64), container="webm", per_rater=4)
    build.build(tmp_path / "study", lambda: gather(folders), options)
    path = next((tmp_path / "study" / "clips").iterdir())
    assert path.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"
    assert database.Database(tmp_path / "study").settings["video"] == "video/webm"


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("001-nm-01-090.avi", 90),
        ("001/001-nm-01-090.avi", 90),
        ("090/walk-01.mp4", 90),
        ("001/nm-01/054/walk.mp4", 54),
        ("view-126/a.mp4", 126),
        ("walk_18.webm", 18),
    ],
)
def test_a_clips_view_is_read_from_its_folder_or_name(name, view):
    assert clips._view(Path(name)) == view


class Walks(walks.Walks):
    """Walks of four people in two views; a silhouette is a block as wide as its index."""

    def __init__(self):
        names = [
            WalkName(subject, "nm", repetition, view, walks.FRAMES)
            for subject in (1, 2, 3, 4)
            for repetition in (1, 5)
            for view in (0, 90)
        ]
        super().__init__(names, {})

    def silhouettes(self, method, index, seed):
        for i in index:
            out = np.zeros((walks.FRAMES, 240, 240), np.uint8)
            out[:, :, : i + 1] = 1
            yield int(i), None, out


def test_methods_are_shown_by_the_same_walks_of_test_people():
    sources = clips.of_methods([Unprotected(), Anonymizer().named("half")], Walks(), 2)
    by_method = collections.defaultdict(set)
    for source in sources:
        by_method[source.method].add((source.view, source.name))
    assert by_method["half"] == by_method[ANCHOR]
    assert {name for _, name in by_method["half"]} == {  # the probes of the last two people
        "003-nm-05-000",
        "003-nm-05-090",
        "004-nm-05-000",
        "004-nm-05-090",
    }
    first, second = (next(iter(source.read())) for source in sources[:2])
    assert first.shape == (240, 240, 3)
    assert set(np.unique(first)) == {0, 255}
    assert (first > 0).sum() < (second > 0).sum()  # each reads its own
    assert sources[0].frames == sum(1 for _ in sources[0].read()) == walks.FRAMES
    with pytest.raises(InputError, match="9 walks a view: there are 2"):
        clips.of_methods([Unprotected()], Walks(), 9)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"folders": []}, "give --clips=METHOD=DIR"),
        ({"folders": ["ours"]}, "METHOD=DIR is needed"),
        ({"folders": ["ours=nowhere"]}, "nowhere: no such folder"),
        ({"folders": ["ours=."]}, "holds no video"),
        ({"folders": ["ours=clips"]}, "a.mp4: has no view"),
        ({"folders": ["ours=short"] * 2}, "same name"),
        ({"folders": ["ours=short"]}, "is 0.12 s long"),
        ({"folders": [], "checkpoints": ["x"]}, "go together"),
    ],
)
def test_sources_that_cannot_be_are_said_and_nothing_is_left(
    tmp_path, monkeypatch, arguments, word
):
    monkeypatch.chdir(tmp_path)
    if "clips" in str(arguments):
        write_clip(tmp_path / "clips" / "a.mp4", 3)
    if "short" in str(arguments):
        write_clip(tmp_path / "short" / "090" / "a.mp4", 3)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=word):
        build.build(tmp_path / "out", lambda: build.sources(**arguments))
    assert set(tmp_path.iterdir()) == before


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "say build --out=STUDY"),
        (["build", "--out=OUT", "--clips=ours=BAD"], "bad/090/a.mp4: not a video"),
        (["build", "--out=/proc/out", "--clips=ours=BAD"], "cannot write there"),
        (["serve", "nowhere"], "nowhere: holds no study"),
    ],
)
def test_launcher_says_what_is_wrong(tmp_path, arguments, word):
    (tmp_path / "in" / "bad" / "090").mkdir(parents=True)
    (tmp_path / "in" / "bad" / "090" / "a.mp4").write_text("no video")
    names = {"OUT": tmp_path / "out", "BAD": tmp_path / "in" / "bad"}
    for name, path in names.items():
        arguments = [a.replace(name, str(path)) for a in arguments]
    done = launch(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_options_that_cannot_be_are_said():
    for wrong in (
        {"raters": 0},
        {"size": (63, 64)},
        {"size": (64,)},
        {"seconds": 0.5},
        {"container": "gif"},
    ):
        with pytest.raises(InputError):
            build.StudyOptions(**wrong)
    assert dataclasses.asdict(build.StudyOptions())["raters"] == 20
