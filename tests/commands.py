"""Commands, each in a process of its own that has imported already what takes long."""

import atexit
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from stgan_jax.util import children

ROOT = Path(__file__).parents[1]
# What commands, and processes that build datasets, import.
_NEEDED = (
    "ml_collections.config_flags",
    "stgan_jax.data.datasets.built",
    "stgan_jax.methods.catalog",
    "stgan_jax.methods.stgan.settings",
    "stgan_jax.methods.weights",
    "stgan_jax.training.checkpoint",
    "stgan_jax.video.batch",
    "stgan_jax.video.cli",
)


def prepare():
    """Begins to import what all processes of this session need."""
    children.prepare(*_NEEDED)


def run(script, *arguments, timeout=300):
    """Runs a script as from the repository's root; returns what `subprocess.run` would."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        process = children.context().Process(
            target=_command, args=(str(script), [str(x) for x in arguments], files)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([script, *arguments], timeout)
        return subprocess.CompletedProcess(
            [script, *arguments], process.exitcode, *(path.read_text() for path in files)
        )


def _command(script, arguments, files):
    for number, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(ROOT)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str((ROOT / script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        atexit._run_exitfuncs()
