"""Local paths, locks that end with their owner, short names; errors as one sentence."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stgan_jax.util import errors, files
from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]


def started(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = ["--workdir=~/run", "--clips=ours=~/a", "--checkpoint=~/a,~/b", "~", "~x", "a~/b"]
    assert errors.local_words(words) == [
        "--workdir=/home/me/run", "--clips=ours=/home/me/a", "--checkpoint=/home/me/a,/home/me/b",
        "/home/me", "~x", "a~/b",
    ]  # fmt: skip
    assert files.local("~/run") == Path("/home/me/run")
    assert files.local("2024-05-01T12:30:00.mp4").name == "2024-05-01T12:30:00.mp4"


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://b/r", "hdfs://x", "rtsp://camera"])
def test_other_machines_are_refused(path):
    with pytest.raises(InputError, match="only local folders"):
        files.local(path)
    with pytest.raises(InputError, match=path):
        errors.local_words(["--config=c.py", f"--workdir={path}"])


@pytest.mark.parametrize(
    "command",
    [
        ["launch/train.py", "--config=configs/noise.py", "--workdir=gs://bucket/run"],
        ["launch/build_data.py", "--dataset=casia_b", "--source=s3://b/c"],
        ["launch/anonymize.py", "in.mp4", "--output=gs://bucket/out.mp4"],
    ],
)
def test_commands_refuse_other_machines_before_anything_runs(command, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / command[0], *command[1:]],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "only local folders are read and written" in line
    assert list(tmp_path.iterdir()) == []


HOLD = (
    "import sys\n"
    "from stgan_jax.util import files\n"
    "with files.locked(sys.argv[1], 'is trained in'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_a_lock_is_for_one_process_and_ends_with_it(tmp_path):
    first = started(HOLD, tmp_path, stdin=subprocess.PIPE)
    assert first.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match=rf"is trained in by another process \({first.pid}\)"),
        files.locked(tmp_path, "is trained in"),
    ):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    with files.locked(tmp_path, "is trained in"):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_have_short_names_and_are_swept(tmp_path):
    target = tmp_path / ("n" * 251 + ".mp4")
    stack = contextlib.ExitStack()
    beside = stack.enter_context(files.replacing(target))
    beside.write_text("half")
    stack.__exit__(KeyError, KeyError(), None)
    assert list(tmp_path.iterdir()) == []
    assert len(beside.name) < 40
    with files.replacing(target) as beside:
        beside.write_text("whole")
    assert target.read_text() == "whole"
    (tmp_path / beside.name.replace(str(os.getpid()), "999999999")).touch()
    files.sweep(target)
    assert list(tmp_path.iterdir()) == [target]


FAIL = (
    "import sys, threading\n"
    "from stgan_jax.util.errors import one_sentence\n"
    "with one_sentence('--debug' in sys.argv):\n"
    "    thread = threading.Thread(target=lambda: 1 / 0)\n"
    "    thread.start(), thread.join()\n"
    "    raise {}\n"
)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ("ValueError('odd\\nand long')", "error: ValueError: odd (--debug shows where)"),
        ("OSError(22, 'Invalid argument', 'a.mp4')", "error: a.mp4: Invalid argument"),
        ("OSError(36, 'x', 'a.mp4')", "error: a.mp4: the name is too long: choose a shorter one"),
        ("MemoryError()", "error: memory ran out"),
        ("RecursionError()", "error: RecursionError: no reason given"),
    ],
)
def test_whatever_is_raised_is_one_sentence(raised, sentence):
    done = started(FAIL.format(raised))
    _, text = done.communicate()
    assert done.returncode == 2
    [line] = text.splitlines()
    assert line.startswith(sentence)


def test_debug_shows_where():
    done = started(FAIL.format("ValueError('odd')"), "--debug")
    _, text = done.communicate()
    assert done.returncode == 2
    assert text.count("Traceback") == 2
    assert text.splitlines()[-1] == "error: ValueError: odd (--debug shows where)"
