"""Studies are planned in balance, built whole or not at all, and reported by the numbers."""

import collections
import csv
import dataclasses
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from stgan_jax import material, methods
from stgan_jax.errors import InputError
from stgan_jax.evaluation import report as evaluation_report
from stgan_jax.study import build, clips, database, report
from stgan_jax.study.plan import ANCHOR, Clip, plans
from stgan_jax.video import io

ROOT = Path(__file__).parents[1]


def some_clips(names=("ours", "theirs", ANCHOR), views=(0, 54, 90), each=10):
    return [
        Clip(f"{name}{view}{i}.mp4", name, view, f"walk-{i:02d}")
        for name in names
        for view in views
        for i in range(each)
    ]


def test_every_rater_sees_methods_and_views_alike():
    planned = plans(some_clips(), 20, 60, 6, 6)
    for plan in planned:
        assert len(plan) == 60 + 6 + 6
        once = [clip for clip, is_repeat in plan if not is_repeat]
        assert len(set(once)) == len(once)
        by = collections.Counter((clip.method, clip.view) for clip in once)
        assert all(n == (2 if method == ANCHOR else 10) for (method, _), n in by.items())
    assert len({tuple(clip for clip, _ in plan) for plan in planned}) == 20


def test_a_surplus_goes_round():
    planned = plans(some_clips(("a", "b", "c"), (0, 54, 90)), 9, 13, 0, 0)
    total = collections.Counter()
    for plan in planned:
        for key, most in (("method", 1), ("view", 2)):
            counts = collections.Counter(getattr(clip, key) for clip, _ in plan)
            assert max(counts.values()) - min(counts.values()) <= most
        total.update((clip.method, clip.view) for clip, _ in plan)
    assert set(total.values()) == {13}
    shown = collections.Counter(clip for plan in planned for clip, _ in plan)
    assert max(shown.values()) - min(shown.values()) <= 1


def test_raters_see_the_same_walks_by_every_method():
    for plan in plans(some_clips(each=8), 5, 12, 0, 0):
        walks = collections.defaultdict(set)
        for clip, _ in plan:
            walks[clip.method].add((clip.view, clip.source))
        assert walks["ours"] == walks["theirs"]


def test_repeats_come_again_much_later_and_are_no_anchors():
    for plan in plans(some_clips(), 20, 30, 10, 3):
        again = [i for i, (_, is_repeat) in enumerate(plan) if is_repeat]
        assert len(again) == 10
        for i in again:
            earlier = plan.index((plan[i][0], False))
            assert earlier < i
            assert plan[i][0].method != ANCHOR
        counts = collections.Counter(plan[i][0].method for i in again)
        assert counts == {"ours": 5, "theirs": 5}
        assert np.mean([i - plan.index((plan[i][0], False)) for i in again]) > 15


@pytest.mark.parametrize(
    ("given", "asked", "word"),
    [
        (some_clips()[:-1], {"per_rater": 61}, "from 1 to 60 can be had"),
        (some_clips(), {"repeats": 31}, "31 repeats"),
        (some_clips(), {"anchors": 31}, "31 anchors: from 0 to 30"),
        (some_clips(("ours",)), {"anchors": 1}, "1 anchors: from 0 to 0"),
        (some_clips((ANCHOR,)), {}, "no clip of a method to be rated"),
        (some_clips(("a",)) + some_clips(("b",), (0,)), {}, "b: has no clip seen from 54"),
    ],
)
def test_a_plan_that_cannot_be_is_said(given, asked, word):
    with pytest.raises(InputError, match=word):
        plans(given, 2, **asked)


def write_clip(path, frames=30, size=(48, 64), fps=25, shade=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    with io.video_writer(path, size, io.Fraction(fps)) as append:
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
    return subprocess.run(
        [sys.executable, ROOT / "launch" / "study.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def gather(folders):
    return build.sources([
        f"ours={folders / 'ours'}", f"theirs={folders / 'theirs'}", f"{ANCHOR}={folders / 'plain'}",
    ])  # fmt: skip


def test_clips_of_a_built_study_are_alike_and_blind(folders, tmp_path):
    options = build.Options(raters=3, size=(80, 64), repeats=1, consent="Who asks: a lab.")
    told = build.build(tmp_path / "study", lambda: gather(folders), options)
    assert told.startswith("12 clips seen from 0, 90 degrees, of 1 s; each of 3 raters sees 8")
    files = list((tmp_path / "study" / "clips").iterdir())
    assert len(files) == 12
    assert all(re.fullmatch(r"[0-9a-f]{16}\.mp4", path.name) for path in files)
    probed = [(io.probe(p), len(list(io.read_frames(p)))) for p in files]
    seen = {(info.width, info.height, info.fps, info.frames, count) for info, count in probed}
    assert seen == {(80, 64, 25, 25, 25)}
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

    source = clips.Source("ours", 90, "walk", io.Fraction(50), 100, frames)
    clips.write(source, tmp_path / "clip.mp4", (120, 120), 30)
    out = np.stack(list(io.read_frames(tmp_path / "clip.mp4"))).astype(int)
    assert out.shape == (30, 120, 120, 3)
    np.testing.assert_allclose(out[:, 60, 60, 0], 2 * (20 + 2 * np.arange(30)), atol=4)
    assert (out[:, :28] < 8).all()
    assert (out[:, 92:] < 8).all()


def test_a_webm_study_is_vp9(folders, tmp_path):
    options = build.Options(raters=1, size=(64, 64), container="webm", per_rater=4)
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
def test_a_clips_view_is_told_by_its_place_or_name(name, view):
    assert clips._view(Path(name)) == view


class Walks(material.Walks):
    """Of four people, seen in two views; a silhouette is a block as wide as its number."""

    def __init__(self):
        named = [
            types.SimpleNamespace(
                subject=subject, condition="nm", repetition=repetition, view=view,
                name=f"nm-{repetition:02d}",
            )
            for subject in (1, 2, 3, 4) for repetition in (1, 5) for view in (0, 90)
        ]  # fmt: skip
        super().__init__(named, {})

    def silhouettes(self, method, index, seed):
        for i in index:
            out = np.zeros((material.FRAMES, 240, 240), np.uint8)
            out[:, :, : i + 1] = 1
            yield int(i), None, out


def test_methods_make_clips_of_the_same_walks_of_test_people():
    half = methods.Method("half", "stgan", "padded", lambda own, walks, seed: own)
    made = clips.of_methods([methods.unprotected(), half], Walks(), 2)
    by = collections.defaultdict(set)
    for source in made:
        by[source.method].add((source.view, source.name))
    assert by["half"] == by[ANCHOR]
    assert {name for _, name in by["half"]} == {  # the probes of the last two people
        "003-nm-05-000", "003-nm-05-090", "004-nm-05-000", "004-nm-05-090",
    }  # fmt: skip
    first, second = (next(iter(source.read())) for source in made[:2])
    assert first.shape == (240, 240, 3)
    assert set(np.unique(first)) == {0, 255}
    assert (first > 0).sum() < (second > 0).sum()  # each reads its own
    assert made[0].frames == sum(1 for _ in made[0].read()) == material.FRAMES
    with pytest.raises(InputError, match="9 walks a view: there are 2"):
        clips.of_methods([methods.unprotected()], Walks(), 9)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"folders": []}, "give --clips=METHOD=DIR"),
        ({"folders": ["ours"]}, "METHOD=DIR is needed"),
        ({"folders": ["ours=nowhere"]}, "nowhere: no such folder"),
        ({"folders": ["ours=."]}, "holds no video"),
        ({"folders": ["ours=clips"]}, "a.mp4: its view is not told"),
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
)  # fmt: skip
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


# What five raters say: of method "a" always the same score, of "b" four clips a view.
B_SCORES = {
    0: [(4, 3, 3, 3), (3, 3, 2, 2), (3, 2, 2, 2), (2, 2, 2, 2), (2, 2, 2, 1)],
    90: [(4, 4, 4, 3), (4, 4, 3, 3), (4, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 2)],
}
A_SCORE = {0: 3, 90: 4}


def told_study(folder, scores, repeats=(), anchors=()):
    """A study in which rater i gives scores[method, view][i], then second scores, then anchors."""
    folder.mkdir()
    shown, number = [], len(next(iter(scores.values())))
    planned = [[] for _ in range(number)]
    given = [[] for _ in range(number)]

    def add(rater, method, view, k, is_repeat, score):
        name = f"{method}-{view}-{k}"
        if (name, method, view, f"walk-{k}") not in shown:
            shown.append((name, method, view, f"walk-{k}"))
        planned[rater].append((name, is_repeat))
        given[rater].append(score)

    for (method, view), by_rater in scores.items():
        for rater, values in enumerate(by_rater):
            for k, score in enumerate(values):
                add(rater, method, view, k, False, score)
    for rater, values in enumerate(repeats):
        for k, score in enumerate(values):
            add(rater, *next(iter(scores)), k, True, score)
    for rater, values in enumerate(anchors):
        for k, score in enumerate(values):
            add(rater, ANCHOR, 0, k, False, score)
    tokens = database.create(folder, {"id": "x"}, shown, planned)
    study = database.Database(folder)
    with study._transaction() as connection:  # one, as each waits for the disk
        connection.execute("UPDATE raters SET consented = 'then'")
        rows = connection.execute(
            "SELECT presentation, rater, position FROM presentations"
        ).fetchall()
        for presentation, rater, position in rows:
            if (score := given[rater - 1][position]) is not None:
                connection.execute(
                    "INSERT INTO ratings VALUES (?, ?, 1, 'then')", (presentation, score)
                )
    if None not in given[0]:
        study.comment(tokens[0], "<script>alert(1)</script>")
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    scores = {}
    for view in (0, 90):
        scores["a", view] = [(A_SCORE[view],) * 4] * 5
        scores["b", view] = B_SCORES[view]
    return told_study(tmp_path_factory.mktemp("told") / "study", scores)


def test_figures_equal_those_computed_by_hand(told):
    seen = report.figures(told)
    a, b = seen["methods"]["a"], seen["methods"]["b"]
    assert (a["90"]["mos"], a["90"]["interval"]) == (4, [4, 4])
    # Means of the raters: 3.75, 3.5, 3.25, 3, 2.75; sd 0.395285; t(4) = 2.776445.
    assert b["90"]["mos"] == 3.25
    assert b["90"]["interval"] == pytest.approx([2.759189, 3.740811], abs=1e-6)
    assert b["90"]["quartiles"] == [3, 3.25, 3.5]
    # 3.25, 2.5, 2.25, 2, 1.75: mean 2.35, sd 0.575543, times 2.776445 / sqrt(5).
    assert b["0"]["mos"] == pytest.approx(2.35)
    assert b["0"]["interval"] == pytest.approx([1.635369, 3.064631], abs=1e-6)
    assert b["all"]["mos"] == pytest.approx(2.8)
    assert b["all"]["values"] == [3.5, 3.0, 2.75, 2.5, 2.25]
    tests = {test["view"]: test for test in seen["tests"]}
    # View 90: differences 0.25 to 1.25, all positive: W = 0, p = 2 / 2^5.
    assert (tests[90]["difference"], tests[90]["statistic"]) == (0.75, 0)
    assert tests[90]["p"] == pytest.approx(2 / 32)
    # View 0: -0.25, 0.5, 0.75, 1, 1.25: W = 1, and two of 32 signs give 1 or less on a side.
    assert tests[0]["difference"] == pytest.approx(0.65)
    assert (tests[0]["statistic"], tests[0]["p"]) == (1, pytest.approx(4 / 32))
    # Holm: the smaller p doubled, the larger as it is but not below that.
    assert tests[90]["p_holm"] == tests[0]["p_holm"] == pytest.approx(0.125)
    assert tests[None]["difference"] == pytest.approx(0.7)
    assert [rater["excluded"] for rater in seen["raters"]] == [None] * 5
    assert next(clip for clip in seen["clips"] if clip["source"] == "walk-0")["ratings"] == 5


def test_holm_is_monotone_and_counts_all_tests():
    rng = np.random.default_rng(0)
    scores = {
        (name, 0): dict(enumerate(rng.normal(mean, 1, 9)))
        for name, mean in (("a", 3.0), ("b", 2.8), ("c", 1.0))
    }
    seen = sorted(report._tests(scores, ["a", "b", "c"], [0]), key=lambda test: test["p"])
    p = [test["p"] for test in seen]
    expected = np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]])
    np.testing.assert_allclose([test["p_holm"] for test in seen], np.minimum(expected, 1))


def test_raters_are_left_out_by_the_rules(tmp_path):
    plain = {("a", 0): [(4, 5, 4, 3)] * 4, ("b", 0): [(2, 3, 1, 2)] * 4}
    plain["a", 0][2] = plain["b", 0][2] = (3, 3, 3, 3)
    repeats = [(4, 5, 4), (1, 2, 5), (3, 3, 3), (4, 4, 4)]
    anchors = [(5, 5, 5), (5, 5, 5), (3, 3, 3), (1, 1, 1)]
    seen = report.figures(told_study(tmp_path / "study", plain, repeats, anchors))
    incomplete, flat, inconsistent, inverted, _ = seen["rules"]
    assert [r["excluded"] for r in seen["raters"]] == [None, inconsistent, flat, inverted]
    first, second, *_ = seen["raters"]
    assert (first["difference"], first["agreement"]) == (0, 1)
    assert second["difference"] == pytest.approx((3 + 3 + 1) / 3)
    assert seen["methods"]["a"]["all"] == {
        "mos": 4, "interval": None, "raters": 1, "quartiles": [4, 4, 4], "values": [4],
    }  # fmt: skip
    assert "less than 90%" in incomplete


def test_who_rates_against_all_others_is_left_out_where_others_agree(tmp_path):
    usual, other = (1, 2, 3, 4, 5, 2, 3, 4), (2, 4, 1, 3, 2, 5, 4, 1)
    inverse = tuple(6 - score for score in usual)
    for name, given, expected in (
        ("agreed", [usual] * 4 + [inverse], [None] * 4 + [-1]),
        ("at odds", [usual, inverse, other, other[::-1]], [None] * 4),
    ):
        scores = {(method, 0): [values[at : at + 4] for values in given]
                  for method, at in (("a", 0), ("b", 4))}  # fmt: skip
        seen = report.figures(told_study(tmp_path / name, scores))
        rules = [rule if rule is None else seen["rules"][rule] for rule in expected]
        assert [rater["excluded"] for rater in seen["raters"]] == rules
    assert seen["raters"][0]["correlation"] < 0.2


def test_who_stopped_early_is_left_out_and_who_never_began_is_not_listed(tmp_path):
    scores = {
        ("a", 0): [(4, 5), (4, None), (None, None)],
        ("b", 0): [(2, 3), (None,) * 2, (None,) * 2],
    }
    seen = report.figures(told_study(tmp_path / "study", scores))
    assert [(r["rater"], r["rated"], r["planned"]) for r in seen["raters"]] == [
        (1, 4, 4),
        (2, 1, 4),
    ]
    assert seen["raters"][1]["excluded"] == seen["rules"][0]


def test_nothing_rated_and_nobody_left_are_said(tmp_path):
    (tmp_path / "none").mkdir()
    database.create(tmp_path / "none", {"id": "x"}, [("c", "a", 0, "w")], [[("c", False)]])
    with pytest.raises(InputError, match="nobody has rated"):
        report.figures(tmp_path / "none")
    flat = {("a", 0): [(3, 3)], ("b", 0): [(3, 3)]}
    with pytest.raises(InputError, match="every one of 1 raters falls under a rule"):
        report.figures(told_study(tmp_path / "flat", flat))


def test_report_is_whole_safe_and_goes_into_an_evaluation(told, tmp_path):
    text = report.write(tmp_path / "out", told)
    assert "MOS of 5 raters, 0 left out" in text
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "mos.json", "mos.csv", "tests.csv", "ratings.csv", "mos.png", "mos.html",
    }  # fmt: skip
    page = (tmp_path / "out" / "mos.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    rows = list(csv.DictReader((tmp_path / "out" / "mos.csv").open()))
    row = next(r for r in rows if (r["method"], r["view"]) == ("b", "90"))
    assert (float(row["mos"]), float(row["low"])) == (3.25, pytest.approx(2.759189, abs=1e-6))
    assert len(list(csv.reader((tmp_path / "out" / "ratings.csv").open()))) == 1 + 5 * 16
    loaded = report.load(tmp_path / "out")
    assert loaded == json.loads(json.dumps(report.figures(told)))
    shown = evaluation_report._opinions(loaded)
    assert "<b>3.25</b> <small>[2.76, 3.74]</small>" in shown
    assert evaluation_report._opinions(None) == ""


def test_a_report_that_is_none_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file: make it"):
        report.load(tmp_path)
    for text in ("{", "[]", '{"version": 1}'):
        (tmp_path / "mos.json").write_text(text)
        with pytest.raises(InputError, match="make it anew"):
            report.load(tmp_path)


def test_options_that_cannot_be_are_said():
    for wrong in ({"raters": 0}, {"size": (63, 64)}, {"size": (64,)}, {"seconds": 0.5},
                  {"container": "gif"}):  # fmt: skip
        with pytest.raises(InputError):
            build.Options(**wrong)
    assert dataclasses.asdict(build.Options())["raters"] == 20
