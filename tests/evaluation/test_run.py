"""An evaluation from walks to report: what must hold by construction, and what is written."""

import csv
import dataclasses
import functools
import html.parser
import json
import runpy
from pathlib import Path

import commands
import cv2
import numpy as np
import pytest
import schemas
import toys

from stgan_jax.evaluation import gaits, recognizers, report, run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods.api import Anonymizer
from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]
SETTINGS = run.EvaluationSettings(recognizers=("gei",), natural_walks=2, recovery_walks=2)


evaluate = functools.partial(run.evaluate, dataset="walkers", instruments=toys.INSTRUMENTS)


@pytest.fixture(scope="module")
def walks():
    return toys.rendered(range(1, 9))


@pytest.fixture(scope="module")
def few(walks):
    """Four people, one view."""
    return walks.only((walks.view == 90) & (walks.subject <= 4))


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
    known = dict(recognizers.KINDS)
    for name, kind in known.items():
        small = {"steps": 2, "subjects": 2, "walks": 2, "channels": (4, 4), "size": 4}
        if "size" in {field.name for field in dataclasses.fields(kind.settings)}:
            known[name] = dataclasses.replace(kind, sizes={"medium": kind.settings(**small)})
    chosen = "gei", "zheng", "set_network", "sequence_network", "gait_numbers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognizers, "KINDS", known)
        settings = dataclasses.replace(SETTINGS, recognizers=chosen)
        return evaluate(
            [unchanged(), one_body()], walks, settings, tmp_path_factory.mktemp("cache")
        )


def test_an_anonymiser_that_does_nothing_gets_clean_figures_under_every_attack(evaluated):
    plain, nothing, _ = evaluated[0]["methods"]
    clean = plain["privacy"]["clean"]["gei"]
    assert clean["conditions"]["nm"]["rank1"]["accuracy"] > 0.9
    assert set(nothing["privacy"]) == set(run.ATTACKS)
    for by in nothing["privacy"].values():
        assert set(by) == set(plain["privacy"]["clean"]) == {*evaluated[0]["recognizers"], "fused"}
        for name, figures in by.items():
            before = plain["privacy"]["clean"][name]
            for condition in ("nm", "cl"):
                one = figures["conditions"][condition]["rank1"]
                assert one["accuracy"] == before["conditions"][condition]["rank1"]["accuracy"]
                if name == "gei":
                    assert one["success"]["recognized_before"] == 0
            assert figures["eer"] == pytest.approx(before["eer"])
        assert by["fused"]["weights"] == pytest.approx(
            plain["privacy"]["clean"]["fused"]["weights"]
        )
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


def test_unprotected_walks_are_encoded_once_for_all_evaluations(few, tmp_path, monkeypatch, capsys):
    computed = []
    plain = Walks.gaits

    def counted(self, method, *rest):
        computed.append(method.name)
        return plain(self, method, *rest)

    monkeypatch.setattr(Walks, "gaits", counted)
    settings = dataclasses.replace(SETTINGS, recovery_walks=0, attacks=("ignorant",))
    evaluate([unchanged()], few, settings, tmp_path)
    assert sorted(computed) == ["nothing", *["unprotected"] * 3]
    first = {path: gaits.stored(path, pytest.fail) for path in tmp_path.glob("walks-*.npz")}
    probes = few.parts(0)["probes"].mask.sum()
    assert sum(map(len, first.values())) == len(few.names) + probes
    computed.clear()
    body = one_body()
    before, _ = evaluate([body], few, settings, tmp_path)
    assert computed == ["one body"]
    # What is stored is what was computed, and a damaged file is computed again.
    path = max(first, key=lambda path: len(first[path]))  # what recognisers learn from
    path.write_bytes(path.read_bytes()[:-40])
    computed.clear()
    body.digest = "c"
    after, _ = evaluate([body], few, settings, tmp_path)
    assert sorted(computed) == ["one body", "unprotected"]
    assert f"{path}: damaged" in capsys.readouterr().out
    assert after["methods"][1]["privacy"] == before["methods"][1]["privacy"]
    renewed = gaits.stored(path, pytest.fail)
    for name, old in vars(first[path]).items():
        for a, b in zip(getattr(renewed, name), old, strict=True):
            np.testing.assert_array_equal(a, b)


def test_gallery_probes_and_training_share_no_noise(few, tmp_path):
    asked = {}

    def compute(own, names, seed):
        for name in names:
            asked.setdefault(seed, set()).add((name.subject, name.name, name.view))
        return own

    settings = dataclasses.replace(SETTINGS, recovery_walks=0)
    evaluate([Method("spy", compute)], few, settings, tmp_path)
    training, test = few.roles()
    assert not set(training) & set(test)
    probes, gallery, learning = (asked[seed] for seed in sorted(asked))
    assert {subject for subject, *_ in learning} == set(training)
    assert {subject for subject, *_ in probes | gallery} == set(test)
    assert {name for _, name, _ in gallery} == {"nm-01"}
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
    schema = json.loads(report.SCHEMA.read_text())
    assert schemas.errors(again, schema) == []
    del again["methods"][2]["privacy"]["ignorant"]["gei"]["eer"]
    again["methods"][1]["privacy"]["ignorant"]["fused"]["eer"] = 1.5
    assert len(schemas.errors(again, schema)) == 2
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
    assert "What each number of a gait tells" in page.text
    lines = report.summary(figures).splitlines()
    assert lines[0].startswith("semi-informed, all recognisers fused: nothing rank-1 ")
    assert "one body rank-1 0.25 EER" in lines[0]


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


def test_people_play_the_papers_roles_where_all_are_there(few):
    name = few.names[0]
    everybody = [dataclasses.replace(name, subject=subject) for subject in range(1, 125)]
    training, test = Walks(everybody, {}).roles()
    assert (training, test) == (tuple(range(1, 51)), tuple(range(85, 125)))
    few = Walks(everybody[:16], {})
    assert few.roles() == (tuple(range(1, 9)), tuple(range(9, 17)))


def test_what_cannot_be_evaluated_is_said(few, tmp_path):
    with pytest.raises(InputError, match="it takes four"):
        evaluate([], few.only(few.subject == 1), SETTINGS, tmp_path)
    with pytest.raises(InputError, match="no normal walk of 50 frames is there for probes"):
        evaluate([], few.only(few.repetition == 1), SETTINGS, tmp_path)
    with pytest.raises(InputError, match="two methods are called nothing"):
        evaluate([unchanged(), unchanged()], few, SETTINGS, tmp_path)
    with pytest.raises(InputError, match="gait_numbers needs a reader"):
        run.evaluate(
            [], few, dataclasses.replace(SETTINGS, recognizers=("gait_numbers",)), tmp_path
        )
    with pytest.raises(InputError, match="recognizers: choose from"):
        run.EvaluationSettings(recognizers=("magic",))
    with pytest.raises(InputError, match="attacks: choose from"):
        run.EvaluationSettings(attacks=())


_LAUNCH = """
import contextlib, importlib.util, io, os, sys
from absl import flags
from stgan_jax.util import errors
spec = importlib.util.spec_from_file_location("launched", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

def end(code):  # as `errors._end` does, but for ending the process
    raise SystemExit(code)

errors._end = end
for case in sys.argv[2:]:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    try:
        errors.parse_flags(["evaluate", *case.split("|")])
        module.main([])
    except SystemExit as end:
        print(end.code, file=sys.stderr)
"""


def test_launcher_says_what_is_wrong(tmp_path):
    cases = {
        "": "nowhere: synthetic_walkers/demo is not built there",
        "--views=a": "--views needs numbers",
        "--checkpoint=nothing": "nothing: no such checkpoint folder",
        "--linear_mix=nothing": "nothing: no such checkpoint folder",
        "--networks=huge": "size: choose from small, medium, large",
        "--peers=magic": "--peers=magic: choose from rhythm",
        "--attacks=magic": "attacks: choose from",
        "--out=/dev/null/out": "/dev/null: a file is where a folder is needed",
    }
    basic = f"--dataset=synthetic_walkers/demo|--data_dir=nowhere|--out={tmp_path / 'out'}"
    program = tmp_path / "program.py"
    program.write_text(_LAUNCH)
    all_of = (f"{basic}|{case}" if case else basic for case in cases)
    done = commands.run(program, ROOT / "launch" / "evaluate.py", *all_of)
    program.unlink()
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(cases), done.stderr
    for message, said, code in zip(cases.values(), lines[::2], lines[1::2], strict=True):
        assert said.startswith("error: ")
        assert message in said
        assert code == "2"
    assert not list(tmp_path.iterdir())


def test_known_figures_are_not_computed_again_and_others_are(few, tmp_path):
    calls = []

    def compute(own, names, seed):
        calls.append(seed)
        return own

    def first_and_count(digest="d"):
        calls.clear()
        settings = dataclasses.replace(SETTINGS, attacks=("ignorant",), recovery_walks=2)
        spy = Method("spy", compute, digest=digest)
        figures, _ = evaluate([spy], few, settings, tmp_path)
        return figures["methods"][1], len(calls)

    first, many = first_and_count()
    again, once = first_and_count()
    assert again == first
    assert once == len(few.views()) < many  # one walk per view, for the pictures
    assert first_and_count("e")[1] == first_and_count("")[1] == many
