"""The commands as a user runs them: exit codes, one sentence, nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from commands import run

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import containers

ROOT = Path(__file__).parents[2]


def fresh(code):
    """Runs Python code in a process that has imported nothing."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Videos to go wrong with."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "text.mp4").write_text("not a video")
    for name, people, roll in (("good", 1, 0), ("nobody", 0, 0), ("moving", 1, 3)):
        scene = Scene(2, people=people, frames=30, size=(240, 320))
        with containers.video_writer(
            folder / f"{name}.mp4", scene.size, containers.Fraction(25)
        ) as append:
            for number, frame in enumerate(scene):
                append(np.roll(frame.image, roll * number, axis=1))
    with containers.video_writer(
        folder / "whole.avi", scene.size, containers.Fraction(25)
    ) as append:
        for frame in scene:
            append(frame.image)
    (folder / "cut.avi").write_bytes((folder / "whole.avi").read_bytes()[:20_000])
    with av.open(folder / "empty.avi", "w") as container:  # a header and not one frame
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        container.start_encoding()
    return folder


@pytest.mark.parametrize(
    ("source", "output", "checkpoint", "word"),
    [
        ("missing.mp4", "out.mp4", "stgan", "no such file"),
        ("good.mp4", "nowhere/out.mp4", "stgan", "no such folder"),
        ("good.mp4", "/proc/out.mp4", "stgan", "cannot write"),
        ("good.mp4", "out.mp4", "noise", "anonymises nothing by itself"),
        ("good.mp4", "out.mp4", "nothing", "no such checkpoint"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    clips, trained, tmp_path, source, output, checkpoint, word
):
    done = run(
        "launch/anonymize.py",
        f"--input={clips / source}",
        f"--output={tmp_path / output}",
        f"--checkpoint={trained / checkpoint}",
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert word in last
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_bad_file_of_a_batch_is_one_line(clips, trained, tmp_path):
    bad = {
        "text.mp4": "not a video",
        "empty.avi": "no frames",
        "cut.avi": "repair or re-encode",
        "nobody.mp4": "no walking person",
        "moving.mp4": "camera moves",
    }
    done = run(
        "launch/anonymize.py",
        *(clips / name for name in bad),
        f"--output={tmp_path}",
        f"--checkpoint={trained / 'stgan'}",
        "--no-keep-audio",
        "--people=difference",  # networks leave a clip of nobody as it is
    )
    assert done.returncode == 2, done.stderr
    for line, (name, word) in zip(done.stdout.splitlines()[-5:], bad.items(), strict=True):
        assert line.startswith(f"error: {clips / name}: ")
        assert word in line
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_video_is_anonymised_from_the_command_line(clips, trained, tmp_path):
    """Exit code 3, as whoever comes in is at first cut off by the frame."""
    done = run(
        "launch/anonymize.py",
        clips / "good.mp4",
        f"--output={tmp_path / 'out.mp4'}",
        f"--checkpoint={trained / 'stgan'}",
    )
    report = json.loads((tmp_path / "out_report.json").read_text())
    assert done.returncode == (3 if report["covered"] else 0), done.stderr
    assert "30 frames" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "out_report.json"]


def test_training_says_what_is_wrong_with_a_config(tmp_path):
    done = run(
        "launch/train.py",
        "--config=configs/stgan.py",
        f"--workdir={tmp_path / 'run'}",
        "--config.alpha=-1",
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "error: alpha must not be negative"
    assert not (tmp_path / "run").exists()
    done = run(
        "launch/train.py",
        "--config=configs/stgan.py",
        f"--workdir={tmp_path / 'run'}",
        "--config.data.codec=padded",
    )
    assert done.stderr.strip() == 'error: noise "gait" takes data.codec "resampled"'


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--config=configs/none.py", "configs/none.py"),
        ("--config=configs/stgan.py:huge", "huge"),
        ("--config.alpha=much", "much"),
        ("--config.alhpa=0.3", "alhpa"),
        ("--stpes=3", "stpes"),
        ("again", "again"),
    ],
)
def test_a_flag_that_cannot_be_is_one_line(tmp_path, flag, word):
    done = run(
        "launch/train.py", "--config=configs/stgan.py", f"--workdir={tmp_path / 'run'}", flag
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert word in done.stderr


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--dataset=casia_b"], "--source"),
        (["--dataset=casia_b", "--source=nowhere"], "no such folder"),
        (["--dataset=casia_c"], "choose one of"),
    ],
)
def test_building_data_says_what_is_wrong(tmp_path, flags, word):
    done = run("launch/build_data.py", f"--data_dir={tmp_path / 'data'}", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert word in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_package_that_is_not_installed_is_one_sentence():
    program = (
        "from stgan_jax.util.errors import one_sentence\n"
        "with one_sentence():\n    import no_such_package.inside\n"
    )
    done = fresh(program)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no_such_package is not installed: pip install")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_sentence(tmp_path):
    code = (
        "import errno\nfrom stgan_jax.util.errors import one_sentence\n"
        "with one_sentence():\n    raise OSError(errno.ENOSPC, 'No space left', 'file')\n"
    )
    done = fresh(code)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: file: the disk is full")


def test_a_scene_is_rendered_with_its_truth(tmp_path):
    done = run(
        "launch/render.py",
        f"--output={tmp_path / 'scene.mp4'}",
        f"--truth={tmp_path / 'truth'}",
        "--frames=3",
        "--size=160,120",
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "truth").iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
        "background.png",
    ]
    assert len(list(containers.read_frames(tmp_path / "scene.mp4"))) == 3


def test_anonymising_and_the_models_work_without_tensorflow(trained):
    code = (
        "import sys\nsys.modules['tensorflow'] = sys.modules['tensorflow_datasets'] = None\n"
        "from stgan_jax.data.walkers import procedural, scenes\n"
        "from stgan_jax.methods import catalog\n"
        "from stgan_jax.training import checkpoint, gradients, parallel\n"
        f"catalog.load({str(trained / 'stgan')!r})\n"
    )
    done = fresh(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("launcher", "arguments", "word"),
    [
        ("train", ["--config.alhpa=0.3"], "alhpa"),
        ("train", ["--config.alpha=-1"], "alpha must not be negative"),
        ("train", ["--config.gen_learning_rate=nan"], "gen_learning_rate must be positive"),
        ("train", ["--num_processes=2"], "go together"),
        ("train", ["--parallel=magic"], "parallel"),
        ("train", ["--workdir=/proc/nowhere/run"], "check the path"),
        ("sweep", ["--grid=alpha=0.1,x"], "--grid=alpha needs numbers"),
        ("sweep", ["--grid=alpha=0.1,-0.1"], "alpha must not be negative"),
    ],
)
def test_trainings_that_cannot_be_are_one_sentence(tmp_path, launcher, arguments, word):
    config = "--config=configs/stgan.py:gaussian"
    done = run(f"launch/{launcher}.py", config, f"--workdir={tmp_path / 'run'}", *arguments)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert word in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()
