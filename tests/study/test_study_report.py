"""A study's report against figures computed by hand."""

import csv
import json

import numpy as np
import pytest

from stgan_jax.evaluation import page as evaluation_page
from stgan_jax.study import database, report
from stgan_jax.study.plan import ANCHOR
from stgan_jax.util.errors import InputError

# What five raters say: of method "a" always the same score, of "b" four clips a view.
B_SCORES = {
    0: [(4, 3, 3, 3), (3, 3, 2, 2), (3, 2, 2, 2), (2, 2, 2, 2), (2, 2, 2, 1)],
    90: [(4, 4, 4, 3), (4, 4, 3, 3), (4, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 2)],
}
A_SCORE = {0: 3, 90: 4}


def rated_study(folder, scores, repeats=(), anchors=()):
    """A study in which rater i gives scores[method, view][i], then second scores, then anchors."""
    folder.mkdir()
    shown, number = [], len(next(iter(scores.values())))
    planned = [[] for _ in range(number)]
    rated = [[] for _ in range(number)]

    def add(rater, method, view, k, is_repeat, score):
        name = f"{method}-{view}-{k}"
        if (name, method, view, f"walk-{k}") not in shown:
            shown.append((name, method, view, f"walk-{k}"))
        planned[rater].append((name, is_repeat))
        rated[rater].append(score)

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
            if (score := rated[rater - 1][position]) is not None:
                connection.execute(
                    "INSERT INTO ratings VALUES (?, ?, 1, 'then')", (presentation, score)
                )
    if None not in rated[0]:
        study.comment(tokens[0], "<script>alert(1)</script>")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    scores = {}
    for view in (0, 90):
        scores["a", view] = [(A_SCORE[view],) * 4] * 5
        scores["b", view] = B_SCORES[view]
    return rated_study(tmp_path_factory.mktemp("rated") / "study", scores)


def test_figures_equal_those_computed_by_hand(study):
    found = report.figures(study)
    a, b = found["methods"]["a"], found["methods"]["b"]
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
    tests = {test["view"]: test for test in found["tests"]}
    # View 90: differences 0.25 to 1.25, all positive: W = 0, p = 2 / 2^5.
    assert (tests[90]["difference"], tests[90]["statistic"]) == (0.75, 0)
    assert tests[90]["p"] == pytest.approx(2 / 32)
    # View 0: -0.25, 0.5, 0.75, 1, 1.25: W = 1, and two of 32 signs give 1 or less on a side.
    assert tests[0]["difference"] == pytest.approx(0.65)
    assert (tests[0]["statistic"], tests[0]["p"]) == (1, pytest.approx(4 / 32))
    # Holm: the smaller p doubled, the larger as it is but not below that.
    assert tests[90]["p_holm"] == tests[0]["p_holm"] == pytest.approx(0.125)
    assert tests[None]["difference"] == pytest.approx(0.7)
    assert [rater["excluded"] for rater in found["raters"]] == [None] * 5
    assert next(clip for clip in found["clips"] if clip["source"] == "walk-0")["ratings"] == 5


def test_holm_is_monotone_and_counts_all_tests():
    rng = np.random.default_rng(0)
    scores = {
        (name, 0): dict(enumerate(rng.normal(mean, 1, 9)))
        for name, mean in (("a", 3.0), ("b", 2.8), ("c", 1.0))
    }
    found = sorted(report._tests(scores, ["a", "b", "c"], [0]), key=lambda test: test["p"])
    p = [test["p"] for test in found]
    expected = np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]])
    np.testing.assert_allclose([test["p_holm"] for test in found], np.minimum(expected, 1))


def test_raters_are_left_out_by_the_rules(tmp_path):
    plain = {("a", 0): [(4, 5, 4, 3)] * 4, ("b", 0): [(2, 3, 1, 2)] * 4}
    plain["a", 0][2] = plain["b", 0][2] = (3, 3, 3, 3)
    repeats = [(4, 5, 4), (1, 2, 5), (3, 3, 3), (4, 4, 4)]
    anchors = [(5, 5, 5), (5, 5, 5), (3, 3, 3), (1, 1, 1)]
    found = report.figures(rated_study(tmp_path / "study", plain, repeats, anchors))
    incomplete, flat, inconsistent, inverted, _ = found["rules"]
    assert [r["excluded"] for r in found["raters"]] == [None, inconsistent, flat, inverted]
    first, second, *_ = found["raters"]
    assert (first["difference"], first["agreement"]) == (0, 1)
    assert second["difference"] == pytest.approx((3 + 3 + 1) / 3)
    assert found["methods"]["a"]["all"] == {
        "mos": 4,
        "interval": None,
        "raters": 1,
        "quartiles": [4, 4, 4],
        "values": [4],
    }
    assert "less than 90%" in incomplete


def test_who_rates_against_all_others_is_left_out_where_others_agree(tmp_path):
    usual, other = (1, 2, 3, 4, 5, 2, 3, 4), (2, 4, 1, 3, 2, 5, 4, 1)
    inverse = tuple(6 - score for score in usual)
    for name, given, expected in (
        ("agreed", [usual] * 4 + [inverse], [None] * 4 + [-1]),
        ("at odds", [usual, inverse, other, other[::-1]], [None] * 4),
    ):
        scores = {
            (method, 0): [values[at : at + 4] for values in given]
            for method, at in (("a", 0), ("b", 4))
        }
        found = report.figures(rated_study(tmp_path / name, scores))
        rules = [rule if rule is None else found["rules"][rule] for rule in expected]
        assert [rater["excluded"] for rater in found["raters"]] == rules
    assert found["raters"][0]["correlation"] < 0.2


def test_who_stopped_early_is_left_out_and_who_never_began_is_not_listed(tmp_path):
    scores = {
        ("a", 0): [(4, 5), (4, None), (None, None)],
        ("b", 0): [(2, 3), (None,) * 2, (None,) * 2],
    }
    found = report.figures(rated_study(tmp_path / "study", scores))
    assert [(r["rater"], r["rated"], r["planned"]) for r in found["raters"]] == [
        (1, 4, 4),
        (2, 1, 4),
    ]
    assert found["raters"][1]["excluded"] == found["rules"][0]


def test_nothing_rated_and_nobody_left_are_said(tmp_path):
    (tmp_path / "none").mkdir()
    database.create(tmp_path / "none", {"id": "x"}, [("c", "a", 0, "w")], [[("c", False)]])
    with pytest.raises(InputError, match="nobody has rated"):
        report.figures(tmp_path / "none")
    flat = {("a", 0): [(3, 3)], ("b", 0): [(3, 3)]}
    with pytest.raises(InputError, match="every one of 1 raters falls under a rule"):
        report.figures(rated_study(tmp_path / "flat", flat))


def test_report_is_whole_safe_and_goes_into_an_evaluation(study, tmp_path):
    text = report.write(tmp_path / "out", study)
    assert "MOS of 5 raters, 0 left out" in text
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "mos.json",
        "mos.csv",
        "tests.csv",
        "ratings.csv",
        "mos.png",
        "mos.html",
    }
    page = (tmp_path / "out" / "mos.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    rows = list(csv.DictReader((tmp_path / "out" / "mos.csv").open()))
    row = next(r for r in rows if (r["method"], r["view"]) == ("b", "90"))
    assert (float(row["mos"]), float(row["low"])) == (3.25, pytest.approx(2.759189, abs=1e-6))
    assert len(list(csv.reader((tmp_path / "out" / "ratings.csv").open()))) == 1 + 5 * 16
    loaded = report.load(tmp_path / "out")
    assert loaded == json.loads(json.dumps(report.figures(study)))
    shown = evaluation_page._opinions(loaded)
    assert "<b>3.25</b> <small>[2.76, 3.74]</small>" in shown
    assert evaluation_page._opinions(None) == ""


def test_a_report_that_is_none_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file: make it"):
        report.load(tmp_path)
    for text in ("{", "[]", '{"version": 1}'):
        (tmp_path / "mos.json").write_text(text)
        with pytest.raises(InputError, match="make it anew"):
            report.load(tmp_path)
