"""Many inputs in many forms: videos, folders of frames and of silhouettes, pickles."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import clips
import cv2
import jax
import numpy as np
import pytest

import stgan_jax
from stgan_jax.data.walkers import procedural
from stgan_jax.media import pictures
from stgan_jax.methods.api import Anonymizer
from stgan_jax.shapes import gei
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import batch, clip, inputs, walks

ROOT = Path(__file__).parents[2]


def test_a_batch_goes_on_where_it_stopped(source, model, tmp_path):
    """Finished outputs stay, failures are reported, and nothing else is touched."""
    folder = tmp_path / "clips"
    folder.mkdir()
    good = folder / "good.mkv"
    good.write_bytes(source.read_bytes())
    (folder / "cut.mkv").write_bytes(source.read_bytes()[:30_000])
    (folder / "zero.mp4").touch()
    (folder / "notes.txt").write_text("not taken for a video")
    cv2.imwrite(str(folder / "cover.png"), np.zeros((9, 9), np.uint8))
    clips.write(folder / "one.mp4", [np.full((48, 64, 3), 90, np.uint8)])
    first = stgan_jax.anonymize(folder, checkpoint=model, seed=1, report=tmp_path / "all.json")
    by_name = {Path(one["input"]).name: one for one in first["files"]}
    assert sorted(by_name) == ["cut.mkv", "good.mkv", "one.mp4", "zero.mp4"]
    assert first["exit_code"] == 2
    assert "no walking person" in by_name["one.mp4"]["error"]
    assert "error" in by_name["cut.mkv"]
    assert "not a video" in by_name["zero.mp4"]["error"]
    assert json.loads((tmp_path / "all.json").read_text()) == first
    done = folder / "good_anonymized.mkv"
    assert sorted(p.name for p in folder.glob("*anonymized*")) == [done.name]
    assert clips.times(done) == clips.times(source)
    assert np.array_equal(clips.samples(done)[0], clips.samples(source)[0])
    written = done.stat().st_mtime_ns
    again = stgan_jax.anonymize([folder / "g*.mkv", good], checkpoint=model)
    assert [one.get("skipped") for one in again["files"]] == ["is there already"]
    assert done.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="--overwrite replaces it"):
        stgan_jax.anonymize(good, checkpoint=model)
    assert good.read_bytes() == source.read_bytes()


def test_reports_and_pictures_replace_neither_inputs_nor_each_other(source, model, tmp_path):
    whole, out = source.read_bytes(), tmp_path / "out.mkv"
    picture = tmp_path / "p.png"
    for written in (
        {"report": source},
        {"report": out},
        {"preview": picture, "contact_sheet": picture},
    ):
        with pytest.raises(InputError, match="is an input or another output"):
            stgan_jax.anonymize(source, out, checkpoint=model, **written)
    assert source.read_bytes() == whole
    assert not out.exists()


def test_a_seed_is_stored_on_request_only(source, model, tmp_path):
    for name, store in (("a", False), ("b", True)):
        report = stgan_jax.anonymize(
            source,
            tmp_path / f"{name}.mkv",
            checkpoint=model,
            seed=123456,
            store_seed=store,
            end=0.4,
            preview=tmp_path / "look.png",
        )["files"][0]
        assert ("123456" in json.dumps(report)) == store
        assert report["frames"] == 10
    assert cv2.imread(str(tmp_path / "look.png")).shape == (480, 960, 3)


def test_outputs_that_would_collide_are_refused(source, tmp_path):
    for name in ("a.mts", "a.mp4"):
        (tmp_path / name).write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="would both become"):
        inputs.plan([tmp_path], None)


def test_killed_in_mid_write_there_is_no_output(source, trained, tmp_path):
    """Not under its name; and the next run clears away what was left."""
    code = (
        "import sys, time\n"
        "from stgan_jax.media import containers\n"
        "from stgan_jax.video import cli\n"
        "def wait(path):\n    print('writing', flush=True)\n    time.sleep(60)\n"
        "containers._count = wait\ncli.main(sys.argv[1:])\n"
    )
    target = tmp_path / "out.mkv"
    command = [
        sys.executable,
        "-c",
        code,
        str(source),
        f"--output={target}",
        f"--checkpoint={trained / 'stgan'}",
        "--people=difference",
    ]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert running.stdout.readline() == b"writing\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    left = [p.name for p in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".")
    files.sweep(target)
    assert list(tmp_path.iterdir()) == []


def test_silhouettes_with_soft_edges_are_silhouettes_and_pictures_are_none(scene, tmp_path):
    """Small ones are grey to more than a half."""
    walk = gei.normalize(procedural.silhouettes(90, 90, frames=4), 64, 64) * np.uint8(255)
    for name, images in {
        "soft": [cv2.GaussianBlur(frame, (3, 3), 0.8) for frame in walk],
        "grey": [cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) for frame in scene],
    }.items():
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(f"{tmp_path / name}/{number}.png", image)
    assert walks.are_silhouettes(tmp_path / "soft")
    assert not walks.are_silhouettes(tmp_path / "grey")


def test_pickles_of_opengait_come_back_as_pickles(model, tmp_path):
    root = tmp_path / "data"
    walk = gei.normalize(procedural.silhouettes(90, 90, frames=12), 64, 64) * np.uint8(255)
    walk[4] = 0
    for name in ("001/nm-01/090/090.pkl", "001/nm-02/090/090.pkl"):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(walk))
    (root / "002").mkdir()
    (root / "002/bad.pkl").write_bytes(pickle.dumps({"a": print}))
    (root / "002/empty.pkl").write_bytes(pickle.dumps(walk[:0]))
    result = stgan_jax.anonymize(root, checkpoint=model, seed=1, jobs=2)  # loaded: in this process
    [report] = result["files"]
    assert (report["walks"], report["written"], result["exit_code"]) == (4, 2, 2)
    assert "refused" in report["errors"][0]["error"]
    assert "holds no frames" in report["errors"][1]["error"]
    out = tmp_path / "data_anonymized"
    assert not (out / "002").exists()
    first, second = (pickle.loads((out / f"001/nm-0{n}/090/090.pkl").read_bytes()) for n in (1, 2))
    assert first.shape == walk.shape
    assert first.dtype == np.uint8
    assert not first[4].any()
    for frame in np.delete(first, 4, 0):
        assert np.ptp(np.flatnonzero(frame.any(1))) >= 61  # full height
    assert np.mean(first != walk) > 0.01
    assert np.mean(first != second) > 0.001  # each walk has its own noise
    assert not (out / "002/bad.pkl").exists()
    again = stgan_jax.anonymize(root, checkpoint=model, seed=1)["files"][0]
    assert (again["written"], again["skipped"]) == (0, 2)


class _Asked(Anonymizer):
    """Gives walks back, and keeps from where they were said to be seen."""

    def __init__(self):
        self.views = []

    def __call__(self, silhouettes, key):
        return silhouettes

    def from_view(self, degrees):
        self.views.append(degrees)
        return self


def test_the_view_is_that_of_the_folder_where_walks_lie_as_in_casia_b(tmp_path):
    walk = gei.normalize(procedural.silhouettes(90, 54, frames=2), 64, 64) * np.uint8(255)
    for name in ("001/nm-01/054/054.pkl", "002/bg-02/000.pkl", "054/walk.pkl", "3/cl-01/072/1.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        if name.endswith("png"):
            cv2.imwrite(str(path), walk[0])
        else:
            path.write_bytes(pickle.dumps(walk))
    asked = _Asked()
    counts = walks.anonymize_dataset(tmp_path / "data", tmp_path / "out", asked, seed=1)
    assert (counts["written"], asked.views) == (4, [54.0, 72.0])


def test_silhouettes_come_back_as_silhouettes_and_frames_as_frames(frames, scene, model, tmp_path):
    walk, colour = tmp_path / "walk", tmp_path / "colour"
    walk.mkdir()
    colour.mkdir()
    own = [(frame.people == 1) * np.uint8(255) for frame in frames[5:25]]
    for number, mask in enumerate(own):
        cv2.imwrite(str(walk / f"{number}.png"), mask)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(colour / f"shot{number}.png"), frame.image[..., ::-1])
    stgan_jax.anonymize(walk, checkpoint=model, seed=1)
    new = [
        cv2.imread(str(tmp_path / f"walk_anonymized/{n}.png"), cv2.IMREAD_UNCHANGED)
        for n in range(20)
    ]
    for before, after in zip(own, new, strict=True):
        assert set(np.unique(after).tolist()) <= {0, 255}
        assert before.any() == after.any()
        if before.any():
            both = (before & after).astype(bool).sum() / ((before | after) > 0).sum()
            assert 0.4 < both < 0.999
    stgan_jax.anonymize(colour, checkpoint=model, seed=1)
    report = stgan_jax.anonymize(colour, checkpoint=model, seed=1, overwrite=True)["files"][0]
    out = tmp_path / "colour_anonymized"
    assert report["frames"] == 30
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in colour.iterdir())
    image = cv2.imread(str(out / "shot29.png"))[..., ::-1]
    around = cv2.dilate(frames[29].people, np.ones((45, 45))) == 0
    assert np.mean(np.abs(image.astype(int) - scene.background).max(-1)[around] > 20) < 0.01


def test_a_dataset_is_done_by_several_processes(trained, tmp_path):
    """Whose folder holds pictures of its own, too, beside the walks; step and alpha change."""
    for name, count in (("data", 4), ("data/0", 4), ("data/1", 40)):
        (tmp_path / name).mkdir()
        for n, mask in enumerate(procedural.silhouettes(90, 90, frames=count)):
            cv2.imwrite(str(tmp_path / name / f"{n:02d}.png"), mask * np.uint8(255))
    outputs = {}
    for jobs, in_step in ((2, False), (1, False), (1, True)):
        out = tmp_path / f"out{jobs}{in_step}"
        (out / "0").mkdir(parents=True)  # as by another process
        options = {"alpha": 0.6, "in_step": in_step}
        result = stgan_jax.anonymize(tmp_path / "data", out, seed=5, jobs=jobs, **options)
        assert result["files"][0]["written"] == 3
        outputs[jobs, in_step] = [p.read_bytes() for p in sorted(out.rglob("*.png"))]
    assert outputs[1, False] == outputs[2, False]
    assert len(outputs[1, False]) == 48
    pairs = zip(outputs[1, False], outputs[1, True], strict=True)
    assert sum(a == b for a, b in pairs) < 24
    options = {"alpha": 0.6}
    (tmp_path / "out1False/03.png").unlink()  # as if killed
    again = stgan_jax.anonymize(tmp_path / "data", tmp_path / "out1False", seed=5, **options)
    assert (again["files"][0]["written"], again["files"][0]["skipped"]) == (1, 2)
    again, other = ((tmp_path / f"out{n}False/03.png").read_bytes() for n in (1, 2))
    assert again == other
    stgan_jax.anonymize(tmp_path / "data", tmp_path / "alpha_1", seed=5)
    assert again != (tmp_path / "alpha_1/03.png").read_bytes()
    out = tmp_path / "out"
    for options, word in (
        ({"checkpoint": tmp_path / "none"}, "none"),
        ({"checkpoint": trained / "stgan", "alpha": 0.1}, "has no --alpha"),
    ):  # in a sentence, before any process starts
        with pytest.raises(InputError, match=word):
            stgan_jax.anonymize(tmp_path / "data", out, jobs=2, **options)
    assert not out.exists()


def test_a_folder_that_holds_more_than_pictures_is_not_replaced(tmp_path, model, monkeypatch):
    """Nor does any work begin."""
    monkeypatch.setattr(clip.ClipWork, "find", None)
    (tmp_path / "kept").mkdir()
    note = tmp_path / "kept" / "note.txt"
    note.write_text("mine")
    (tmp_path / "in").mkdir()
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / "in" / name), np.full((64, 64, 3), (9, 99, 199), np.uint8))
    with pytest.raises(InputError, match=r"note\.txt, which is no picture"):
        stgan_jax.anonymize(tmp_path / "in", tmp_path / "kept", checkpoint=model, overwrite=True)
    (tmp_path / "in" / "2.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"two pictures would become 2\.png"):
        stgan_jax.anonymize(tmp_path / "in", checkpoint=model)
    assert note.read_text() == "mine"
    note.rename(tmp_path / "kept" / "old.png")
    with pictures.replacing(tmp_path / "kept") as beside:
        (beside / "new.png").write_bytes(b"")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["new.png"]


@pytest.fixture
def without_rights(tmp_path, monkeypatch):
    """A function that drops root's rights; the working folder is a new one."""
    mask = os.umask(0o022)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    root = os.geteuid() == 0
    try:
        yield lambda: os.setresuid(65534, 65534, 0) if root else None
    finally:
        if root:
            os.setresuid(0, 0, 0)
        os.umask(mask)


def test_what_may_not_be_read_or_written_is_named(source, model, tmp_path, without_rights):
    for name in ("in.mkv", "shut.mkv"):
        (tmp_path / name).write_bytes(source.read_bytes())
    for name in ("frames", "walks", "out"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.zeros((48, 64), np.uint8))
    (tmp_path / "shut.mkv").chmod(0)
    (tmp_path / "frames").chmod(0)
    (tmp_path / "walks" / "1.png").chmod(0)
    (tmp_path / "out").chmod(0o555)
    before = sorted(os.listdir("."))
    without_rights()
    for name, output, word in (
        ("shut.mkv", None, "shut.mkv: no permission to read it"),
        ("frames", None, "frames: no permission to read it"),
        ("walks", None, "1.png: cannot be read"),
        ("in.mkv", "out/new.mkv", "out: cannot write there"),
    ):
        with pytest.raises(InputError, match=word):
            stgan_jax.anonymize(name, output, checkpoint=model)
    assert sorted(os.listdir(".")) == before


def test_a_dataset_is_not_written_into_itself(tmp_path, model):
    pictures.write(tmp_path / "1.png", np.zeros((64, 44), np.uint8))
    for output in (tmp_path, tmp_path / "out"):
        with pytest.raises(InputError, match="lies in the input"):
            stgan_jax.anonymize(tmp_path, output, checkpoint=model, overwrite=True)


def test_a_dataset_is_summed_up_by_its_walks():
    report = {"output": "out", "walks": 3, "written": 2, "frames": 99, "skipped": 1, "errors": []}
    assert batch._line(report) == "out: 2 of 3 walks, 99 frames, 1 were there already, 0 failed"


def test_height_normalised_walks_stay_so(model, tmp_path):
    """GaitSet's pictures, whose edges are grey, come back filling their height."""
    walk = procedural.silhouettes(90, 90, frames=6)
    folder = tmp_path / "in/001/nm-01/090"
    folder.mkdir(parents=True)
    for number, frame in enumerate(gei.normalize(walk, 256, 176) * np.uint8(255)):
        small = cv2.resize(frame, (44, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), small)
    [report] = stgan_jax.anonymize(tmp_path / "in", checkpoint=model, seed=1)["files"]
    assert (report["written"], report["errors"], report["left"]) == (1, [], [])
    for number in range(6):
        path = tmp_path / f"in_anonymized/001/nm-01/090/{number}.png"
        rows = np.flatnonzero(cv2.imread(str(path), 0).any(1))
        assert np.ptp(rows) >= 61


def test_one_kind_of_pickle_is_anonymised_and_the_others_are_named(model, tmp_path):
    walk = gei.normalize(procedural.silhouettes(90, 90, frames=4), 64, 64) * np.uint8(255)
    folder = tmp_path / "in/001/nm-01/090"
    folder.mkdir(parents=True)
    poses = np.zeros((4, 17, 3), np.float32)
    for name, value in {"0-aligned-sils": walk, "1-sils": walk, "2-pose": poses}.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    (tmp_path / "in/readme.txt").touch()
    result = stgan_jax.anonymize(tmp_path / "in", checkpoint=model, seed=1)
    assert (result["files"][0]["written"], result["exit_code"]) == (1, 3)
    assert [p.name for p in (tmp_path / "in_anonymized").rglob("*.pkl")] == ["1-sils.pkl"]
    names = sorted(Path(row["path"]).name for row in result["left"])
    assert names == ["0-aligned-sils.pkl", "2-pose.pkl", "readme.txt"]


def test_processes_are_one_a_core_or_one_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert (walks.processes(None), walks.processes(3)) == (7, 3)
    for devices in (1, 4):
        monkeypatch.setattr(walks.jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(walks.jax, "local_device_count", lambda n=devices: n)
        assert walks.processes(None) == devices
    with jax.default_device(jax.devices("cpu")[0]):  # as by --device=cpu
        assert walks.processes(None) == 7


def test_the_device_reaches_every_process():
    """A process of the pool takes the first one's platform, though its environment says another."""
    code = (
        "import multiprocessing\n"
        "from stgan_jax.video import walks\n"
        "walks._load = lambda *_: None\n"
        "walks._load_here(None, {}, 'cpu', multiprocessing.Value('i', 0), 1)\n"
        "import jax\n"
        "print(jax.default_backend(), walks._LOADED)\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cuda"}  # of which there is none
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "cpu [None]\n", done.stderr
