"""An evaluation from walks to report: what must hold by construction, and what is written."""

import contextlib
import csv
import dataclasses
import html.parser
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stgan_jax import contour, evaluate, experiments, methods
from stgan_jax.errors import InputError
from stgan_jax.evaluation import gaits, report
from stgan_jax.settings import WalkerData

ROOT = Path(__file__).parents[1]
OPTIONS = evaluate.Options(recognizers=("gei",), natural_walks=2)


def rendered(first=1, last=8, walks=("nm-01", "nm-02", "nm-05", "cl-01")):
    data = WalkerData(first_subject=first, last_subject=last, views=(0, 90), walks=walks)
    sources = {
        codec: experiments.source_of(dataclasses.replace(data, codec=codec))
        for codec in contour.CODECS
    }
    return evaluate.Walks(sources["padded"].walks, sources)


@pytest.fixture(scope="module")
def walks():
    return rendered()


def unchanged():
    """An anonymiser that does nothing."""
    return methods.Method("nothing", "stgan", "padded", lambda own, walks, seed: own, 0.3, "a")


def replaced():
    """Gives everybody the same body, that of the first walk that it was ever given."""
    kept = []

    def apply(own, walks, seed):
        if not kept:
            kept.append(own[0])
        return np.stack([kept[0]] * len(own))

    return methods.Method("one body", "stgan", "padded", apply, 0.5, "b")


@pytest.fixture(scope="module")
def seen(walks, tmp_path_factory):
    return evaluate.evaluate(
        [unchanged(), replaced()], walks, OPTIONS, tmp_path_factory.mktemp("cache"), "walkers"
    )


def test_an_anonymiser_that_does_nothing_gets_clean_figures_under_every_attack(seen):
    plain, nothing, _ = seen[0]["methods"]
    clean = plain["privacy"]["clean"]["gei"]
    assert clean["conditions"]["nm"]["rank1"]["accuracy"] > 0.9
    assert set(nothing["privacy"]) == set(evaluate.ATTACKS)
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


def test_one_body_for_everybody_is_chance_under_every_attack(seen):
    people = len(seen[0]["subjects"]["test"])
    for by in seen[0]["methods"][2]["privacy"].values():
        one = by["gei"]["conditions"]["nm"]["rank1"]
        assert one["accuracy"] == pytest.approx(1 / people)
        assert by["gei"]["chance"]["rank1"] == 1 / people


def test_unprotected_walks_are_made_once_for_all_evaluations(walks, tmp_path, monkeypatch, capsys):
    made = []
    plain = evaluate.Walks.gaits

    def counted(self, method, *rest):
        made.append(method.name)
        return plain(self, method, *rest)

    monkeypatch.setattr(evaluate.Walks, "gaits", counted)
    options = dataclasses.replace(OPTIONS, recovery_walks=0, attacks=("ignorant",))
    evaluate.evaluate([unchanged()], walks, options, tmp_path)
    assert sorted(made) == ["nothing", *["unprotected"] * 3]
    first = {path: gaits.kept(path, pytest.fail) for path in tmp_path.glob("walks-*.npz")}
    assert sum(map(len, first.values())) == walks.of(range(9)).sum()
    made.clear()
    body = replaced()
    again, _ = evaluate.evaluate([body], walks, options, tmp_path)
    assert made == ["one body"]
    # What was kept is what is made, and what is damaged is made again.
    some = next(iter(first))
    some.write_bytes(some.read_bytes()[:-40])
    made.clear()
    other = dataclasses.replace(body, digest="c")
    told, _ = evaluate.evaluate([other], walks, options, tmp_path)
    assert sorted(made) == ["one body", "unprotected"]
    assert f"{some}: damaged" in capsys.readouterr().out
    assert told["methods"][1]["privacy"] == again["methods"][1]["privacy"]
    renewed, before = gaits.kept(some, pytest.fail), first[some]
    for name, old in vars(before).items():
        for a, b in zip(getattr(renewed, name), old, strict=True):
            np.testing.assert_array_equal(a, b)


def test_gallery_probes_and_training_share_no_noise(walks, tmp_path):
    asked = {}

    def apply(own, named, seed):
        for walk in named:
            asked.setdefault(seed, set()).add((walk.subject, walk.name, walk.view))
        return own

    spy = methods.Method("spy", "stgan", "padded", apply, 0.3, "c")
    options = dataclasses.replace(OPTIONS, recognizers=("gei", "zheng"))
    evaluate.evaluate([spy], walks, options, tmp_path, "walkers")
    training, test = walks.roles()
    assert not set(training) & set(test)
    probes, gallery, learnt = (asked[seed] for seed in sorted(asked))
    assert {subject for subject, *_ in learnt} == set(training)
    assert {subject for subject, *_ in probes | gallery} == set(test)
    assert {name for _, name, _ in gallery} == {"nm-01", "nm-02"}
    assert {name for _, name, _ in probes} == {"nm-05", "cl-01"}


def test_report_is_whole_and_readable(seen, tmp_path):
    told, pictures = seen
    report.write(tmp_path / "out", told, pictures)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "report.json", "report.html", "privacy.csv", "views.csv", "naturalness.csv",
        "success.png", "attacks.png", "tradeoff.png", "views.png",
        "walk-000.png", "walk-090.png", "xor-000.png", "xor-090.png",
    }  # fmt: skip
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
    assert "one body" in report.summary(told)


def test_the_experiment_draws_and_tabulates_a_report(seen, tmp_path):
    drawing = runpy.run_path(str(ROOT / "benchmarks/experiments/stgan/drawing.py"))
    report.write(tmp_path, *seen)
    told = json.loads((tmp_path / "report.json").read_text())
    drawing["curves"](told, tmp_path / "curves.png", "leg_amplitude_ratio")
    drawing["table"](told, tmp_path / "table.csv")
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 10
    plain, nothing, body = csv.DictReader((tmp_path / "table.csv").open())
    assert (nothing["method"], nothing["ignorant gei"]) == ("nothing", plain["clean gei"])
    assert float(body["semi-informed gei"]) < 0.5


def test_people_play_the_papers_roles_where_all_are_there():
    named = rendered(1, 3, ("nm-01",)).named
    everybody = [dataclasses.replace(named[0], subject=subject) for subject in range(1, 125)]
    training, test = evaluate.Walks(everybody, {}).roles()
    assert (training, test) == (tuple(range(1, 51)), tuple(range(85, 125)))
    few = evaluate.Walks(everybody[:16], {})
    assert few.roles() == (tuple(range(1, 9)), tuple(range(9, 17)))


def test_what_cannot_be_evaluated_is_said(walks, tmp_path):
    with pytest.raises(InputError, match="it takes four"):
        evaluate.evaluate([], rendered(1, 1), OPTIONS, tmp_path)
    with pytest.raises(InputError, match="no normal walk of 50 frames is there for probes"):
        evaluate.evaluate([], rendered(1, 4, ("nm-01",)), OPTIONS, tmp_path)
    with pytest.raises(InputError, match="two methods are called nothing"):
        evaluate.evaluate([unchanged(), unchanged()], walks, OPTIONS, tmp_path)
    with pytest.raises(InputError, match="recognizers: choose of"):
        evaluate.Options(recognizers=("magic",))
    with pytest.raises(InputError, match="attacks: choose of"):
        evaluate.Options(attacks=())


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
        [sys.executable, ROOT / "launch" / "evaluate.py", "--dataset=synthetic_walkers/demo",
         "--data_dir=nowhere", f"--out={tmp_path / 'out'}", *more],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_several_processes_share_the_methods(tmp_path, monkeypatch):
    script = tmp_path / "started.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "if sys.argv[1] == 'x': sys.exit('error: no such thing' if '2/3' in sys.argv[2] else 0)\n"
        "said = f'{sys.argv[1:]} {len(os.sched_getaffinity(0))}'\n"
        "pathlib.Path(sys.argv[1], sys.argv[2][-3]).write_text(said)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    assert evaluate.in_shares(1) == slice(None)
    assert not (tmp_path / "1").exists()
    assert evaluate.in_shares(2) == slice(None)
    cores = len(os.sched_getaffinity(0))
    for i in (1, 2):
        own = len(range(cores)[i - 1 :: 2]) or cores
        assert (tmp_path / f"{i}").read_text() == f"{[str(tmp_path), f'--share={i}/2']} {own}"
    # A share starts nothing, and together they are everything once.
    taken = [x for i in (1, 2, 3) for x in range(7)[evaluate.in_shares(3, f"{i}/3")]]
    assert sorted(taken) == list(range(7))
    monkeypatch.setattr(sys, "argv", [str(script), "x"])
    with pytest.raises(InputError, match="--jobs=3 failed: no such thing"):
        evaluate.in_shares(3)
    for wrong in ("3", "0/2", "3/2", "a/b"):
        with pytest.raises(InputError, match=f"--share={wrong}: say"):
            evaluate.in_shares(1, wrong)


def test_a_signal_to_stop_stops_all_who_share(tmp_path, monkeypatch):
    script = tmp_path / "started.py"
    script.write_text(
        "import os, pathlib, signal, sys, time\n"
        "pathlib.Path(sys.argv[1], str(os.getpid())).touch()\n"
        "while len(os.listdir(sys.argv[1])) < 3: time.sleep(0.01)\n"
        "if sys.argv[2] == '--share=2/2': os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        evaluate.in_shares(2)
    assert signal.getsignal(signal.SIGTERM) == before
    for pid in {path.name for path in tmp_path.iterdir()} - {script.name}:
        with contextlib.suppress(ChildProcessError):  # it was asked for before
            os.waitpid(int(pid), 0)  # ends, or the test never does


def test_known_figures_are_not_taken_again_and_others_are(walks, seen, tmp_path):
    calls = []

    def apply(own, named, seed):
        calls.append(seed)
        return own

    def evaluated(**changes):
        spy = methods.Method(
            "spy", "stgan", "padded", apply, **{"alpha": 0.3, "digest": "d"} | changes
        )
        calls.clear()
        few = dataclasses.replace(OPTIONS, attacks=("ignorant",), recovery_walks=4)
        told, _ = evaluate.evaluate([spy], walks, few, tmp_path, "walkers")
        return told["methods"][1], len(calls)

    first, many = evaluated()
    again, few = evaluated()
    assert again == first
    views = len(set(walks.view.tolist()))
    assert few == views < many  # one walk a view, for the pictures
    assert evaluated(digest="e")[1] == evaluated(digest="")[1] == many
