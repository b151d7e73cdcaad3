"""An evaluation from walks to report: what must hold by construction, and what is written."""

import csv
import dataclasses
import html.parser
import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stgan_jax.data.selection import WalkerData
from stgan_jax.evaluation import gaits, report, run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods import contours
from stgan_jax.methods.api import Anonymizer
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]
SETTINGS = run.EvaluationSettings(recognizers=("gei",), natural_walks=2)


def rendered(first=1, last=8, walks=("nm-01", "nm-02", "nm-05", "cl-01")):
    data = WalkerData(first_subject=first, last_subject=last, views=(0, 90), walks=walks)
    sources = {
        codec: contours.source_of(dataclasses.replace(data, codec=codec))
        for codec in contour.CODECS
    }
    return Walks(sources["padded"].walks, sources)


@pytest.fixture(scope="module")
def walks():
    return rendered()


class Method(Anonymizer):
    """A method whose contours a function computes: (own, names, seed) -> new ones, in [0, 1]."""

    kind = "stgan"
    codec = "padded"

    def __init__(self, name, compute, alpha=0.3, digest="a"):
        self.name, self.alpha, self.digest = name, alpha, digest
        self.unit_contours = compute


def unchanged():
    """An anonymiser that does nothing."""
    return Method("nothing", lambda own, names, seed: own)


def one_body():
    """Replaces everybody by the same body, that of the first walk that it anonymises."""
    first = []

    def compute(own, names, seed):
        if not first:
            first.append(own[0])
        return np.stack([first[0]] * len(own))

    return Method("one body", compute, 0.5, "b")


@pytest.fixture(scope="module")
def evaluated(walks, tmp_path_factory):
    return run.evaluate(
        [unchanged(), one_body()], walks, SETTINGS, tmp_path_factory.mktemp("cache"), "walkers"
    )


def test_an_anonymiser_that_does_nothing_gets_clean_figures_under_every_attack(evaluated):
    plain, nothing, _ = evaluated[0]["methods"]
    clean = plain["privacy"]["clean"]["gei"]
    assert clean["conditions"]["nm"]["rank1"]["accuracy"] > 0.9
    assert set(nothing["privacy"]) == set(run.ATTACKS)
    for by in nothing["privacy"].values():
        found = by["gei"]["conditions"]
        for condition in ("nm", "cl"):
            one = found[condition]["rank1"]
            assert one["accuracy"] == clean["conditions"][condition]["rank1"]["accuracy"]
            assert one["success"]["recognized_before"] == 0
        assert by["gei"]["eer"] == pytest.approx(clean["eer"])
    measures = nothing["naturalness"]["measures"]
    assert measures["change_ratio"] == measures["leg_amplitude_ratio"] == 1
    assert measures == pytest.approx(plain["naturalness"]["measures"])
    assert nothing["naturalness"]["intervals"]["leg_amplitude_ratio"] == (1, 1)
    low, high = plain["naturalness"]["intervals"]["roughness"]
    assert low < plain["naturalness"]["measures"]["roughness"] < high
    assert nothing["naturalness"]["intervals"]["video_score"] is None


def test_one_body_for_everybody_is_chance_under_every_attack(evaluated):
    people = len(evaluated[0]["subjects"]["test"])
    for by in evaluated[0]["methods"][2]["privacy"].values():
        one = by["gei"]["conditions"]["nm"]["rank1"]
        assert one["accuracy"] == pytest.approx(1 / people)
        assert by["gei"]["chance"]["rank1"] == 1 / people


def test_unprotected_walks_are_encoded_once_for_all_evaluations(
    walks, tmp_path, monkeypatch, capsys
):
    computed = []
    plain = Walks.gaits

    def counted(self, method, *rest):
        computed.append(method.name)
        return plain(self, method, *rest)

    monkeypatch.setattr(Walks, "gaits", counted)
    settings = dataclasses.replace(SETTINGS, recovery_walks=0, attacks=("ignorant",))
    run.evaluate([unchanged()], walks, settings, tmp_path)
    assert sorted(computed) == ["nothing", *["unprotected"] * 3]
    first = {path: gaits.stored(path, pytest.fail) for path in tmp_path.glob("walks-*.npz")}
    assert sum(map(len, first.values())) == walks.of(range(9)).sum()
    computed.clear()
    body = one_body()
    before, _ = run.evaluate([body], walks, settings, tmp_path)
    assert computed == ["one body"]
    # What is stored is what was computed, and a damaged file is computed again.
    path = next(iter(first))
    path.write_bytes(path.read_bytes()[:-40])
    computed.clear()
    body.digest = "c"
    after, _ = run.evaluate([body], walks, settings, tmp_path)
    assert sorted(computed) == ["one body", "unprotected"]
    assert f"{path}: damaged" in capsys.readouterr().out
    assert after["methods"][1]["privacy"] == before["methods"][1]["privacy"]
    renewed = gaits.stored(path, pytest.fail)
    for name, old in vars(first[path]).items():
        for a, b in zip(getattr(renewed, name), old, strict=True):
            np.testing.assert_array_equal(a, b)


def test_gallery_probes_and_training_share_no_noise(walks, tmp_path):
    asked = {}

    def compute(own, names, seed):
        for name in names:
            asked.setdefault(seed, set()).add((name.subject, name.name, name.view))
        return own

    settings = dataclasses.replace(SETTINGS, recognizers=("gei", "zheng"))
    run.evaluate([Method("spy", compute)], walks, settings, tmp_path, "walkers")
    training, test = walks.roles()
    assert not set(training) & set(test)
    probes, gallery, learning = (asked[seed] for seed in sorted(asked))
    assert {subject for subject, *_ in learning} == set(training)
    assert {subject for subject, *_ in probes | gallery} == set(test)
    assert {name for _, name, _ in gallery} == {"nm-01", "nm-02"}
    assert {name for _, name, _ in probes} == {"nm-05", "cl-01"}


def test_report_is_whole_and_readable(evaluated, tmp_path):
    figures, pictures = evaluated
    report.write(tmp_path / "out", figures, pictures)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "report.json",
        "report.html",
        "privacy.csv",
        "views.csv",
        "naturalness.csv",
        "success.png",
        "attacks.png",
        "tradeoff.png",
        "views.png",
        "walk-000.png",
        "walk-090.png",
        "xor-000.png",
        "xor-090.png",
    }
    again = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=pytest.fail)
    assert again["version"] == report.VERSION
    assert [method["name"] for method in again["methods"]] == ["unprotected", "nothing", "one body"]
    rows = list(csv.DictReader((tmp_path / "out" / "privacy.csv").open()))
    row = next(r for r in rows if r["method"] == "one body" and r["view"] == "all")
    assert float(row["rank1"]) == pytest.approx(float(row["chance"]))

    rows = list(csv.DictReader((tmp_path / "out" / "naturalness.csv").open()))
    row = next(r for r in rows if r["measure"] == "roughness" and r["view"] == "all")
    assert float(row["low"]) < float(row["value"]) < float(row["high"])

    class Page(html.parser.HTMLParser):
        open_tags, pictures, text = [], 0, ""

        def handle_starttag(self, tag, attrs):
            if tag == "img":
                self.pictures += 1
                assert dict(attrs)["src"].startswith("data:image/png;base64,iVBOR")
            elif tag not in ("meta", "br", "p"):
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag != "p":
                assert self.open_tags.pop() == tag

        def handle_data(self, data):
            self.text += data

    page = Page()
    page.feed((tmp_path / "out" / "report.html").read_text())
    assert (page.open_tags, page.pictures) == ([], 8)
    assert "quick look" in page.text
    assert "one body" in page.text
    assert "one body" in report.summary(figures)


def test_the_experiment_draws_and_tabulates_a_report(evaluated, tmp_path):
    drawing = runpy.run_path(str(ROOT / "benchmarks/experiments/stgan/drawing.py"))
    report.write(tmp_path, *evaluated)
    stored = json.loads((tmp_path / "report.json").read_text())
    drawing["curves"](stored, tmp_path / "curves.png", "leg_amplitude_ratio")
    drawing["table"](stored, tmp_path / "table.csv")
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 10
    plain, nothing, body = csv.DictReader((tmp_path / "table.csv").open())
    assert (nothing["method"], nothing["ignorant gei"]) == ("nothing", plain["clean gei"])
    assert float(body["semi-informed gei"]) < 0.5


def test_people_play_the_papers_roles_where_all_are_there():
    name = rendered(1, 3, ("nm-01",)).names[0]
    everybody = [dataclasses.replace(name, subject=subject) for subject in range(1, 125)]
    training, test = Walks(everybody, {}).roles()
    assert (training, test) == (tuple(range(1, 51)), tuple(range(85, 125)))
    few = Walks(everybody[:16], {})
    assert few.roles() == (tuple(range(1, 9)), tuple(range(9, 17)))


def test_what_cannot_be_evaluated_is_said(walks, tmp_path):
    with pytest.raises(InputError, match="it takes four"):
        run.evaluate([], rendered(1, 1), SETTINGS, tmp_path)
    with pytest.raises(InputError, match="no normal walk of 50 frames is there for probes"):
        run.evaluate([], rendered(1, 4, ("nm-01",)), SETTINGS, tmp_path)
    with pytest.raises(InputError, match="two methods are called nothing"):
        run.evaluate([unchanged(), unchanged()], walks, SETTINGS, tmp_path)
    with pytest.raises(InputError, match="recognizers: choose of"):
        run.EvaluationSettings(recognizers=("magic",))
    with pytest.raises(InputError, match="attacks: choose of"):
        run.EvaluationSettings(attacks=())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "nowhere: synthetic_walkers/demo is not built there"),
        (["--views=a"], "--views needs numbers"),
        (["--checkpoint=nothing"], "nothing: no such checkpoint folder"),
        (["--linear_mix=nothing"], "nothing: no such checkpoint folder"),
        (["--attacks=magic"], "attacks: choose of"),
        (["--out=/dev/null/out"], "/dev/null: a file is where a folder is needed"),
    ],
)
def test_launcher_says_what_is_wrong(tmp_path, more, message):
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "launch" / "evaluate.py",
            "--dataset=synthetic_walkers/demo",
            "--data_dir=nowhere",
            f"--out={tmp_path / 'out'}",
            *more,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_known_figures_are_not_computed_again_and_others_are(walks, tmp_path):
    calls = []

    def compute(own, names, seed):
        calls.append(seed)
        return own

    def first_and_count(digest="d"):
        calls.clear()
        few = dataclasses.replace(SETTINGS, attacks=("ignorant",), recovery_walks=4)
        spy = Method("spy", compute, digest=digest)
        figures, _ = run.evaluate([spy], walks, few, tmp_path, "walkers")
        return figures["methods"][1], len(calls)

    first, many = first_and_count()
    again, few = first_and_count()
    assert again == first
    views = len(walks.views())
    assert few == views < many  # one walk per view, for the pictures
    assert first_and_count("e")[1] == first_and_count("")[1] == many
