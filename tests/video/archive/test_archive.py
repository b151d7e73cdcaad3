"""Archives: every clip done or listed, by several processes and calls, whatever is killed."""

import html.parser
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import clips
import jax
import numpy as np
import pytest
from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

from stgan_jax.data.walkers import procedural
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.methods import catalog
from stgan_jax.shapes import gei
from stgan_jax.util import engine
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch
from stgan_jax.video.archive import page, run, summary, tasks, worker
from stgan_jax.video.archive.tasks import Task
from stgan_jax.video.source import ClipOptions

ROOT = Path(__file__).parents[3]
DIFFERENCE = ClipOptions(people="difference", seed=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Somebody walks for half a second."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return clips.write(path, [f.image for f in Scene(1, people=1, frames=12, size=(120, 160))])


@pytest.fixture
def here(monkeypatch, model):
    """Work is done in this process, by a model that is loaded."""

    def run_here(make, stages, runner, folder):
        do = make()
        return [json.loads(json.dumps(do(item))) for items in stages for item in items]

    monkeypatch.setattr(engine, "run", run_here)
    monkeypatch.setattr(catalog, "load", lambda checkpoint: model)


def anonymize(folder, out, **options):
    return run.anonymize(str(folder), str(out), DIFFERENCE, **options)


def names(folder):
    """All files in a folder, hidden ones, too."""
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}


def test_broken_clips_are_listed_with_reasons_and_stop_nothing(clip, tmp_path, here):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(clip, folder / "deep" / "good.mp4")
    shutil.copy(clip, folder / ".hidden.mp4")
    (folder / "notes.txt").touch()
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    broken = clips.broken(folder, clip)
    result = anonymize(folder, out)
    assert result["clips"] == {"all": 11, "done": 1, "there_already": 0, "failed": 10}
    failed = {row["input"]: row["error"] for row in result["files"] if "error" in row}
    assert set(failed) == set(map(str, broken))
    assert all(len(why) > len(path) + 10 for path, why in failed.items())
    assert sum(row["clips"] for row in result["failures"]) == 10
    assert {Path(row["path"]).name for row in result["left"]} == {"notes.txt", "gone.mp4"}
    assert result["exit_code"] == 2
    made = {"deep/good_anonymized.mp4", "deep/good_anonymized_report.json"}
    assert names(out) == made | {"archive.json", "archive.html"}
    assert json.loads((out / "archive.json").read_text()) == result

    # The same figures as the command's, and what failed is tried again, the rest is not.
    report = json.loads((out / "deep/good_anonymized_report.json").read_text())
    people, seen = len(report["people"]), sum(row["frames_seen"] for row in report["people"])
    assert (result["frames"], result["people"], result["sightings"]) == (12, people, seen)
    written = (out / "deep/good_anonymized.mp4").stat().st_mtime_ns
    again = anonymize(folder, out)
    assert again["clips"] == {"all": 11, "done": 0, "there_already": 1, "failed": 10}
    assert (again["frames"], again["sightings"], again["frames_per_second"]) == (12, seen, 0)
    assert (out / "deep/good_anonymized.mp4").stat().st_mtime_ns == written
    # An output without its report was cut short.
    (out / "deep/good_anonymized_report.json").unlink()
    assert anonymize(folder, out)["clips"]["done"] == 1


def test_what_may_pass_is_tried_again_and_the_reasons_are_kept(clip, tmp_path, here, monkeypatch):
    for name in ("a", "b"):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
    real, tries = batch.one_clip, []

    def fails(job, *rest, **options):
        tries.append(job.source.stem)
        if job.source.stem == "a" or tries.count("b") == 1:
            raise OSError(f"fault {len(tries)}")
        return real(job, *rest, **options)

    monkeypatch.setattr(batch, "one_clip", fails)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    result = anonymize(tmp_path / "*.mp4", tmp_path / "out")
    a, b = result["files"]
    assert (tries.count("a"), tries.count("b")) == (3, 2)
    assert a["error"].startswith("fault")
    assert len(a["retried"]) == 2
    assert "error" not in b
    assert len(b["retried"]) == 1


def test_a_clip_that_kills_its_process_is_found_alone_and_given_up(
    clip, tmp_path, here, monkeypatch
):
    for name in ("a", "bad", "c"):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
    ends, real, run_here, unlinked = [], batch.one_clip, engine.run, Path.unlink

    def dies(job, *rest, **options):
        if job.source.stem == "bad":
            raise KeyboardInterrupt  # ends a process as a signal does, but for its locks
        return real(job, *rest, **options)

    def loses(make, stages, runner, folder):
        ends.append((sorted(Path(t.source).stem for b in stages[0] for t in b), runner.jobs))
        try:
            return run_here(make, stages, runner, folder)
        except KeyboardInterrupt as error:
            raise BrokenExecutor from error

    def unlink(path, missing_ok=False):
        if path.parent.name != ".locks" or sys.exc_info()[0] is not KeyboardInterrupt:
            unlinked(path, missing_ok)

    monkeypatch.setattr(batch, "one_clip", dies)
    monkeypatch.setattr(engine, "run", loses)
    monkeypatch.setattr(Path, "unlink", unlink)
    result = anonymize(tmp_path / "*.mp4", tmp_path / "out", runner=engine.Runner(jobs=2))
    assert result["clips"]["done"] + result["clips"]["there_already"] == 2
    [bad] = [row for row in result["files"] if "error" in row]
    assert "its process was killed 3 times" in bad["error"]
    every = (["a", "bad", "c"], 2)
    assert ends == [every, (["bad"], 1), (["bad"], 1), (["bad"], 1), (["a", "c"], 2)]
    assert not (tmp_path / "out" / ".locks").exists()


class ToyFiles(LocalFileSystem):
    """toy://NAME is the file NAME in the folder that the variable TOY names."""

    @classmethod
    def scheme(cls):
        return "toy"

    def _here(self, path):
        return path.replace("toy:/", os.environ["TOY"])

    def join(self, base, *paths):
        return "/".join([base.rstrip("/"), *paths])

    def mkdirs(self, path):
        super().mkdirs(self._here(path))

    def match(self, patterns, limits=None):
        found = super().match([self._here(p) for p in patterns], limits)
        for result in found:
            result.metadata_list = [
                FileMetadata(m.path.replace(os.environ["TOY"], "toy:/"), m.size_in_bytes)
                for m in result.metadata_list
            ]
        return found

    def create(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        return super().create(self._here(path), mime_type, compression_type)

    def open(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        return super().open(self._here(path), mime_type, compression_type)

    def rename(self, sources, targets):
        super().rename(list(map(self._here, sources)), list(map(self._here, targets)))

    def exists(self, path):
        return super().exists(self._here(path))


def test_clips_are_read_from_and_written_to_other_file_systems(clip, tmp_path, here, monkeypatch):
    monkeypatch.setenv("TOY", str(tmp_path))
    for name in ("in/deep/one.mp4", "in/.git/no.mp4", "in/.no.mp4", "in/old_anonymized.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "in/notes.txt").touch()
    result = anonymize("toy://in", "toy://out")
    made = ["deep/one_anonymized.mp4", "deep/one_anonymized_report.json"]
    assert names(tmp_path / "out") == {*made, "archive.json", "archive.html"}
    [row] = result["files"]
    assert (row["input"], row["output"]) == ("toy://in/deep/one.mp4", f"toy://out/{made[0]}")
    assert [row["path"] for row in result["left"]] == ["toy://in/notes.txt"]
    report = json.loads((tmp_path / "out" / made[1]).read_text())
    assert report["output"] == row["output"]
    assert anonymize("toy://in/**.mp4", "toy://out")["clips"]["there_already"] == 1
    other = anonymize(tmp_path / "in", "toy://other")
    assert other["files"][0]["output"] == f"toy://other/{made[0]}"
    for output in ("other", "here"):
        copied = tmp_path / output / made[0]
        if output == "here":
            anonymize("toy://in/deep/one.mp4", tmp_path / output)
            copied = tmp_path / output / "one_anonymized.mp4"
        assert clips.levels(copied) == clips.levels(tmp_path / "out" / made[0])
    with pytest.raises(InputError, match="holds no videos"):
        anonymize("toy://nothing", "toy://out")


def test_workers_share_devices_and_have_two_clips_at_once_there(clip, tmp_path, here, monkeypatch):
    taken, most, running = [], [], []
    monkeypatch.setattr(jax.config, "update", lambda name, value: taken.append(value))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = batch.one_clip

    def counted(job, *rest, **options):
        running.append(job)
        most.append(len(running))
        time.sleep(0.05)
        result = real(job, *rest, **options)
        running.remove(job)
        return result

    monkeypatch.setattr(batch, "one_clip", counted)
    written = {}
    for platform in ("cpu", "gpu", "gpu"):
        out = tmp_path / f"{platform}{len(written)}"
        bundle = [Task(str(clip), str(out / f"{n}.mp4")) for n in range(4)]
        order = worker.Order(None, DIFFERENCE, 1, 0, "run", tmp_path / "locks", platform)
        most.clear()
        rows = worker.Worker(order)(bundle)
        assert max(most) == (1 if platform == "cpu" else 2)
        assert [row["output"] for row in rows] == [task.output for task in bundle]
        written[out.name] = [clips.levels(path) for path in sorted(out.glob("*.mp4"))]
    worker._TAKEN.close()
    assert taken == ["cpu", *jax.local_devices()[:2]]
    assert written["cpu0"] == written["gpu1"] == written["gpu2"]


def test_walks_of_datasets_are_tasks_of_their_own(tmp_path, here):
    walk = gei.normalize(procedural.silhouettes(90, 90, frames=4), 64, 64) * np.uint8(255)
    for name, value in {"001/a": walk, "001/b": walk, "002/bad": {}}.items():
        path = tmp_path / "in" / f"{name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value))
    for done, there in ((2, 0), (0, 2)):
        result = anonymize(tmp_path / "in", tmp_path / "out")
        assert result["clips"] == {"all": 3, "done": done, "there_already": there, "failed": 1}
    assert result["failures"][0]["clips"] == 1
    [dataset] = (tmp_path / "out").glob("*_anonymized")
    assert names(dataset) == {"001/a.pkl", "001/b.pkl"}
    first, second = (pickle.loads((dataset / f"001/{n}.pkl").read_bytes()) for n in "ab")
    assert first.shape == walk.shape
    assert (first != second).any()  # each walk has its own noise


def test_bundles_hold_every_task_once_and_about_as_many_bytes():
    every = [Task(f"{n}.mp4", f"{n}", size=(n % 7) ** 3 * 1000) for n in range(500)]
    parts = tasks.bundles(every)
    assert sorted(t.source for part in parts for t in part) == sorted(t.source for t in every)
    sizes = [sum(t.size for t in part) for part in parts]
    assert len(parts) == 64
    assert max(sizes) - min(sizes) <= 6**3 * 1000
    assert tasks.bundles(every[:1]) == [every[:1]]
    large = [Task(f"{n}", f"{n}", size=2**26) for n in range(200)]
    assert [len(part) for part in tasks.bundles(large)] == [1] * 200


def test_the_summary_is_a_page_that_says_it_all():
    rows = [
        {"input": "a.mp4", "output": "o/a", "frames": 30, "seconds": 2.0, "people": 2}
        | {"sightings": 50, "covered": 7, "blanked": 1, "exit_code": 3},
        {"input": "<b>\udce4.mp4", "output": "o/b", "error": "<b>\udce4.mp4: cut", "exit_code": 2},
        {
            "input": "c.mp4",
            "output": "o/c",
            "error": "c.mp4: cut",
            "exit_code": 2,
            "retried": ["x"],
        },
    ]
    left = [{"path": "n.txt", "why": "no video"}]
    result = summary.build(("in", "out"), rows, left, engine.Runner(jobs=2), 10.0)
    assert result["failures"] == [{"why": "cut", "clips": 2}]
    assert (result["frames_per_second"], result["covered"]) == (3.0, 7)
    assert "1 of 3 done, 0 were there already, 2 failed, 1 left" in summary.lines(result)

    class Page(html.parser.HTMLParser):
        text = ""

        def handle_data(self, data):
            self.text += data

    shown = Page()
    shown.feed(page.page(result))
    for word in ("n.txt", "no video", "cut", "tried again after: x", "<b>", "a.mp4"):
        assert word in shown.text


def test_what_cannot_be_begun_is_said(tmp_path, here):
    (tmp_path / "in").mkdir()
    for source, output, why in (
        ("none", "out", "none: no such file or folder"),
        ("in", "in", "in: is the input"),
        ("in", "out", "in: holds no videos"),
    ):
        with pytest.raises(InputError, match=why):
            anonymize(tmp_path / source, tmp_path / output)
    with pytest.raises(InputError, match="go with one input"):
        run.anonymize("in", "out", ClipOptions(masks="masks"))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_flags_of_nobody_are_refused():
    engine.check(["--flink_master=x:1", "--parallelism=4", "--direct_num_workers=2"])
    with pytest.raises(InputError, match="--flik_master: neither"):
        engine.check(["--flik_master=x"])


def begun(pid):
    """The processes that a process has begun."""
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for path in paths for child in path.read_text().split()]


@pytest.mark.processes
def test_killed_beside_another_call_everything_is_done_once(clip, tmp_path):
    """Two calls share the clips; one, of two processes, is killed; the other does the rest."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(24):
        shutil.copy(clip, folder / f"{number}.mp4")
    clips.broken(folder, clip)
    command = [sys.executable, "launch/archive.py", folder, out, "--people=difference"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    logs = [tmp_path / "killed", tmp_path / "other"]

    def start(log, jobs):
        with log.open("w") as file:
            words = [*command, f"--jobs={jobs}"]
            return subprocess.Popen(words, cwd=ROOT, env=environment, stderr=file)

    killed, other, workers = start(logs[0], 2), None, set()
    while logs[0].read_text().count("frames in") < 4:
        workers |= {pid for server in begun(killed.pid) for pid in begun(server)}
        if len(workers) == 2 and other is None:  # so that neither comes much later to the clips
            other = start(logs[1], 1)
        assert killed.poll() is None, logs[0].read_text()
        time.sleep(0.01)
    killed.kill()
    complete = {p: p.stat().st_mtime_ns for p in out.glob("*_report.json")}
    killed.wait()
    assert other.wait(timeout=300) == 2, logs[1].read_text()
    assert {p: p.stat().st_mtime_ns for p in complete} == complete
    made = {f"{n}_anonymized{end}" for n in range(24) for end in (".mp4", "_report.json")}
    assert names(out) == made | {"archive.json", "archive.html"}
    lines = [line for log in logs for line in log.read_text().splitlines() if "frames in" in line]
    assert len({line.split(":")[0] for line in lines}) == len(lines) <= 24
    result = json.loads((out / "archive.json").read_text())
    assert (result["frames"], result["clips"]["failed"]) == (24 * 12, 10)
    assert 0 < result["clips"]["done"] < 24
    for path in out.glob("*.mp4"):
        assert len(clips.times(path)) == 12
    assert len(workers) == 2
    for pid in workers:  # end with the call that began them
        deadline = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{pid}")
