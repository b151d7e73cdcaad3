"""Damaged files: whatever is in them, they are read to the end or end in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import clips
import numpy as np
import pytest
from test_files_of_people import copied

from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", [*clips.KINDS, "tape.ts", "old.flv"])
def test_damaged_files_raise_sentences_alone(tmp_path, kind):
    """And leave nothing beside them."""
    suffix = Path(kind).suffix
    more = {".ts": {"codec": "mpeg2video", "sound": "mp2"}, ".flv": {"codec": "flv"}}
    images = [np.full((48, 64, 3), 40 + 9 * n, np.uint8) for n in range(12)]
    source = clips.write(tmp_path / kind, images, **clips.KINDS.get(kind, more.get(suffix)))
    whole = source.read_bytes()
    for seed in range(10):
        source.write_bytes(clips.damaged(whole, seed))
        target = tmp_path / ("out.mkv" if suffix in more else f"out{suffix}")
        said = None
        try:
            copied(source, target)
            target.unlink()
        except (InputError, OSError) as error:
            said = str(error)
        assert said is None or str(tmp_path) in said
        assert os.listdir(tmp_path) == [kind]


def test_damaged_files_end_in_a_sentence():
    """A part of the 500 that benchmarks/mutated.py gives to the whole command."""
    command = [sys.executable, "benchmarks/mutated.py", "--seeds=2", "--kinds=ts,cut.mp4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| all | 4 |" in done.stdout
