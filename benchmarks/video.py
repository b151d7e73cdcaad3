"""Frames a second of anonymising a video, beside a face blurrer's:

    python benchmarks/video.py [--input=FILE] [--peer=deface] [--deface=COMMAND] [--out=FILE.json]

Both run as commands, as their users run them, by turns: start, model loading and writing count.
Without --input a scene with walkers is rendered. deface wants an OpenCV that does not go with ours:
install it in an environment of its own (pipx install deface) and name its command if it is not on
the PATH.
"""

import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import timing
from absl import flags

from stgan_jax.data.walkers import scenes
from stgan_jax.media import containers
from stgan_jax.util.errors import InputError, numbers

_INPUT = flags.DEFINE_string("input", None, "Video from a static camera. Default: rendered.")
_FRAMES = flags.DEFINE_integer("frames", 250, "Of the rendered scene.", lower_bound=30)
_SIZE = flags.DEFINE_list("size", ["640", "480"], "Its width, height.")
_PEOPLE = flags.DEFINE_integer("people", 5, "In the rendered scene.", lower_bound=1)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Weights or --workdir of a training. Default: the package's own."
)
_PEER = flags.DEFINE_list("peer", [], "deface, to time it beside.")
_DEFACE = flags.DEFINE_string("deface", "deface", "Its command, with flags if need be.")
timing.define_flags(runs=3)

_LAUNCHER = Path(__file__).parents[1] / "launch" / "anonymize.py"


def main():
    if set(_PEER.value) - {"deface"}:
        raise InputError(f"--peer={','.join(_PEER.value)}: there is deface alone")
    peer = shlex.split(_DEFACE.value)
    if _PEER.value and not shutil.which(peer[0]):
        raise InputError(f"{peer[0]} is not installed: pipx install deface, or name it by --deface")
    with tempfile.TemporaryDirectory() as folder:
        source = _INPUT.value or _rendered(f"{folder}/scene.mp4")
        weights = [f"--checkpoint={_CHECKPOINT.value}"] if _CHECKPOINT.value else []
        frames = sum(1 for _ in containers.read_frames(source))
        command = [sys.executable, _LAUNCHER, f"--input={source}", f"--output={folder}/ours.mp4"]
        command += [*weights, "--seed=0", "--overwrite"]
        calls: dict[str, Callable] = {
            "ours": functools.partial(_run, *command, good=(0, 3)),
            "calibration": timing.calibration(),
        }
        if _PEER.value:
            command = [*peer, source, "--output", f"{folder}/deface.mp4"]
            calls["deface"] = functools.partial(_run, *command)
        times = timing.interleaved(calls, flags.FLAGS.runs, before=0)  # each starts afresh
    seconds = timing.spreads(times)
    rates = {n: frames / seconds[n]["median"] for n in calls if n != "calibration"}
    timing.report(
        {"frames": frames, "frames_per_second": rates, "seconds": seconds},
        timing.ratios(times, _PEER.value[0] if _PEER.value else "calibration", "ours"),
    )


def _run(*command, good: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode not in good:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise InputError(f"{os.path.basename(command[0])} failed: {last}")


def _rendered(path: str) -> str:
    width, height = numbers("--size", _SIZE.value)
    scene = scenes.Scene(6, people=_PEOPLE.value, frames=_FRAMES.value, size=(height, width))
    with containers.video_writer(path, scene.size, containers.Fraction(scene.fps)) as append:
        for frame in scene:
            append(frame.image)
    return path


if __name__ == "__main__":
    timing.run(main)
