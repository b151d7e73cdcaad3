"""An evaluation by several processes, and by one."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import toys

from stgan_jax.evaluation import cells, recognizers, run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.methods.api import Anonymizer
from stgan_jax.util import engine
from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]
SETTINGS = run.EvaluationSettings(
    recognizers=("gei", "zheng", "gait_numbers"), natural_walks=2, recovery_walks=2
)


@pytest.mark.processes
def test_processes_leave_the_same_figures_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
    methods, walks, instruments = toys.compared()
    known = walks.dataset, instruments
    alone, _ = run.evaluate(methods, walks, SETTINGS, tmp_path / "one", *known)
    cells.fill(toys.compared, SETTINGS, tmp_path / "two", jobs=2)
    # Nothing is left to compute, but for a walk a view for the pictures.
    monkeypatch.setattr(Walks, "gaits", pytest.fail)
    monkeypatch.setattr(recognizers, "train", pytest.fail)
    shared, _ = run.evaluate(methods, walks, SETTINGS, tmp_path / "two", *known)
    assert json.dumps(shared) == json.dumps(alone)
    each = [{p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two")]
    assert each[0].keys() == each[1].keys()
    figures = [name for name in each[0] if name.endswith(".json")]
    assert len(figures) == 2 * 2 + 4 * 4  # and four of four with those that are fused
    assert all(each[0][name] == each[1][name] for name in figures)


def test_nothing_is_computed_twice_nor_what_cannot_be_kept(tmp_path):
    methods, walks, instruments = toys.compared()
    unkept = Anonymizer()
    unkept.name = unkept.kind = "unkept"
    known = tmp_path, walks.dataset, instruments
    evaluation = run.Evaluation([*methods, unkept], walks, SETTINGS, *known)
    gaits, trained, found = cells.stages(evaluation, SETTINGS)
    every = [*gaits, *trained, *found]
    assert len(every) == len(set(every))
    assert {cell.method for cell in every} == {0, 1}
    assert {(cell.method, cell.name) for cell in gaits} == {
        (method, part) for method in (0, 1) for part in ("training", "gallery", "probes")
    }
    asked = dataclasses.replace(SETTINGS, attacks=("ignorant",))
    gaits, trained, _ = cells.stages(evaluation, asked)
    assert [cell.name for cell in gaits if cell.method == 1] == ["probes"]
    assert {cell.method for cell in trained} == {0}


def test_what_a_process_cannot_do_is_said(tmp_path, monkeypatch):
    def run_here(make, stages, runner, folder):
        assert (runner.name, runner.jobs, runner.flags) == ("FlinkRunner", 3, ["--parallelism=4"])
        raise InputError("no such thing")

    monkeypatch.setattr(engine, "run", run_here)
    flags = ["--runner=FlinkRunner", "--parallelism=4"]
    with pytest.raises(InputError, match="no such thing"):
        cells.fill(toys.compared, SETTINGS, tmp_path, jobs=3, flags=flags)
    with pytest.raises(InputError, match="--share: neither"):
        cells.fill(toys.compared, SETTINGS, tmp_path, jobs=2, flags=["--share=1/2"])
