"""Commands, each in a process of its own that has imported already what takes long."""

import atexit
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from stgan_jax.util import children

ROOT = Path(__file__).parents[1]
# What commands, and processes that build datasets, import; and, with TensorFlow, those that train:
# they are among the tests that want the cores for themselves, and these have no workers.
_NEEDED = (
    "ml_collections.config_flags",
    "stgan_jax.data.datasets.built",
    "stgan_jax.methods.catalog",
    "stgan_jax.methods.stgan.settings",
    "stgan_jax.methods.weights",
    "stgan_jax.training.checkpoint",
    "stgan_jax.training.loop",
    "stgan_jax.video.batch",
    "stgan_jax.video.cli",
)


def prepare():
    """Begins to import what all processes of this session need."""
    trained = () if "PYTEST_XDIST_WORKER" in os.environ else ("stgan_jax.data.feed",)
    children.prepare(*_NEEDED, *trained)


class Started:
    """A script that runs as from the repository's root.

    Args:
      script: its path.
      arguments: of its command line.
      devices: how many it has, if not as many as tests have.
      settings: JAX's, by their names.
    """

    def __init__(self, script, *arguments, devices=None, **settings):
        self.command = [str(x) for x in (script, *arguments)]
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        self._process = children.context().Process(
            target=_command, args=(self.command, self._files, devices, settings)
        )
        self._process.start()

    def runs(self):
        return self._process.exitcode is None

    def kill(self):
        self._process.kill()

    def ended(self, timeout=300):
        """Waits for it; returns what `subprocess.run` would."""
        self._process.join(timeout)
        if self.runs():
            self.kill()
            raise subprocess.TimeoutExpired(self.command, timeout)
        texts = [path.read_text() if path.exists() else "" for path in self._files]
        return subprocess.CompletedProcess(self.command, self._process.exitcode, *texts)


def run(script, *arguments, **options):
    """Runs a script as from the repository's root; returns what `subprocess.run` would."""
    return Started(script, *arguments, **options).ended()


def _command(command, files, devices, settings):
    for number, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(ROOT)
    if devices:  # the last of two counts
        os.environ["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={devices}"
    for name, value in settings.items():
        jax.config.update(name, value)
    sys.argv = command
    sys.path.insert(0, str((ROOT / command[0]).parent))
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()
