"""What launch/archive.py does with 500 short clips that it is killed over, and how fast it is:

    python benchmarks/archive.py --workdir=runs/archive [--clips=500] [--kills=10] [--out=FILE.json]

Rendered clips of half a second, one in twenty of them broken in one of ten ways. First the archive
is killed (-9) at random moments and started again, each time; then one process does most of the
clips while its memory is read; then some are done by turns by one process with all the cores, by
one with half of them, and by two, which have half of them each, and by a shell loop, a command
each. A stopped benchmark goes on, part by part, where the same command is run again.
"""

import contextlib
import functools
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import clips
import timing
from absl import app, flags

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

_WORKDIR = flags.DEFINE_string("workdir", "runs/archive", "Folder of clips, outputs and state.")
_CLIPS = flags.DEFINE_integer("clips", 500, "All of them.", lower_bound=40)
_LONG = flags.DEFINE_integer("long", 400, "Of them, whose memory is read.", lower_bound=20)
_TIMED = flags.DEFINE_integer("timed", 120, "Of them, by one process and by two.", lower_bound=20)
_RUNS = flags.DEFINE_integer("runs", 3, "Turns of one and of two; their median counts.")
_LOOPED = flags.DEFINE_integer("looped", 10, "Of them, by a command each.", lower_bound=1)
_KILLS = flags.DEFINE_integer("kills", 10, "How often the archive is killed.", lower_bound=0)
_PEOPLE = flags.DEFINE_string("people", "difference", "How people are found: or networks.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")
_LAUNCH = Path(__file__).parents[1] / "launch"
_BROKEN = 20  # one of so many
# Processes, and into how many parts the cores are cut of which all of them have one.
_WHO = {"one process": (1, 1), "one process, half of the cores": (1, 2), "two processes": (2, 1)}


def main(_) -> None:
    with one_sentence():
        if _OUT.value:
            files.check_output(_OUT.value)
        work = Path(_WORKDIR.value)
        work.mkdir(parents=True, exist_ok=True)
        state = work / "state.json"
        done: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        parts: dict[str, Callable[[Path], dict[str, Any]]] = {
            "clips": _rendered,
            "killed": _killed,
            "long": lambda work: _timed(work, 1, _LONG.value),
            "loop": _looped,
        }
        turns = range(_RUNS.value)
        cores = sorted(os.sched_getaffinity(0))
        for turn in turns:
            for who, (jobs, share) in _WHO.items():
                given = cores[: len(cores) // share]
                parts[f"{who}, turn {turn}"] = functools.partial(
                    _timed, jobs=jobs, count=_TIMED.value, cores=given
                )
        ratios: dict[str, float] = {}
        for name, part in parts.items():
            if name not in done:
                print(f"{name} ...", file=sys.stderr)
                done[name] = part(work)
                with files.replacing(state) as beside:
                    beside.write_text(json.dumps(done))
        for key in ("clips_per_second", "warm_clips_per_second"):
            each = [[done[f"{who}, turn {t}"][key] for t in turns] for who in _WHO]
            one, half, two = map(statistics.median, each)
            ratios[f"two / one with half of the cores, {key}"] = two / half
            ratios[f"two / one with all, {key}"] = two / one
            ratios.setdefault("two / a loop", two / done["loop"]["clips_per_second"])
        result = {**done, "ratios": ratios, "people": _PEOPLE.value, "machine": timing.machine()}
        text = json.dumps(result, indent=2) + "\n"
        print(text, end="")
        if _OUT.value:
            with files.replacing(_OUT.value) as beside:
                beside.write_text(text)
        if not done["killed"]["as_expected"]:
            sys.exit(1)


def _rendered(work: Path) -> dict[str, Any]:
    folder, samples = work / "in", work / "samples"
    shutil.rmtree(folder, ignore_errors=True)
    for path in (folder, samples):
        path.mkdir(exist_ok=True)
    good = []
    for number in range(20):
        scene = Scene(number + 1, people=1, frames=12, size=(120, 160))
        good.append(clips.write(samples / f"{number}.mp4", [frame.image for frame in scene]))
    broken = clips.broken(samples, good[0])
    count = _CLIPS.value // _BROKEN
    for number in range(_CLIPS.value - count):
        shutil.copy(good[number % len(good)], folder / f"{number:04d}.mp4")
    for number in range(count):
        source = broken[number % len(broken)]
        shutil.copy(source, folder / f"broken-{number:02d}{source.suffix}")
    return {"all": _CLIPS.value, "broken": count, "kinds": min(count, len(broken)), "frames": 12}


def _command(source: str, output: Path, jobs: int) -> list[str]:
    command = [sys.executable, _LAUNCH / "archive.py", source, output, f"--jobs={jobs}"]
    return [*map(str, command), f"--people={_PEOPLE.value}", "--seed=0"]


def _reports(output: Path) -> dict[str, int]:
    """Complete clips, and when each was completed."""
    return {path.name: path.stat().st_mtime_ns for path in output.glob("*_report.json")}


def _killed(work: Path) -> dict[str, Any]:
    output, rng = work / "killed", random.Random(_SEED.value)
    shutil.rmtree(output, ignore_errors=True)
    good = _CLIPS.value - _CLIPS.value // _BROKEN
    complete: dict[str, int] = {}
    kills, changed, victims = [], 0, []
    step = max(1, 2 * good // (_KILLS.value + 3))
    with open(work / "killed.log", "w") as log:
        for number in range(_KILLS.value + 1):
            kills.append(len(complete))
            process = subprocess.Popen(_command(f"{work}/in", output, 2), stdout=log, stderr=log)
            if number == _KILLS.value:
                process.wait()
            # Every third time one of its processes first, which it goes on without.
            elif (
                number % 3 == 2
                and _reached(process, output, len(complete) + rng.randint(1, step))
                and (workers := _workers(process.pid))
            ):
                os.kill(rng.choice(workers), signal.SIGKILL)
                victims.append(f"a process at {len(_reports(output))}")
            if process.poll() is None:
                _reached(process, output, len(_reports(output)) + rng.randint(0, step))
                time.sleep(rng.random())
                process.kill()
                victims.append(f"the command at {len(_reports(output))}")
                process.wait()
            now = _reports(output)
            changed += sum(now.get(name) != when for name, when in complete.items())
            complete = now
    made = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    wanted = [f"{n:04d}_anonymized{end}" for n in range(good) for end in (".mp4", "_report.json")]
    wanted += ["archive.html", "archive.json"]
    summary = json.loads((output / "archive.json").read_text())
    failed = {Path(row["input"]).name: row["error"] for row in summary["files"] if "error" in row}
    short = [path for path in output.glob("*.mp4") if len(clips.times(path)) != 12]
    listed = len(failed) == _CLIPS.value - good and all("broken" in name for name in failed)
    return {
        "killed": victims,
        "complete_before_each_start": kills,
        "done_again_after_they_were_complete": changed,
        "outputs": len(made),
        "not_expected": sorted(set(made) ^ set(wanted)),
        "half_written": len(short),
        "failed_with_reasons": summary["failures"],
        "as_expected": made == sorted(wanted) and not changed and not short and listed,
    }


def _reached(process: subprocess.Popen, output: Path, count: int) -> bool:
    """Waits until so many clips are complete; whether that was before the command ended."""
    good = _CLIPS.value - _CLIPS.value // _BROKEN
    while process.poll() is None and len(_reports(output)) < min(count, good - 1):
        time.sleep(0.05)
    return process.poll() is None


def _begun(pid: int) -> list[int]:
    """The processes that a process has begun."""
    begun = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            begun += [int(child) for child in path.read_text().split()]
    return begun


def _workers(pid: int) -> list[int]:
    """The processes of an archive, which its server has forked off."""
    return [worker for server in _begun(pid) for worker in _begun(server)]


def _timed(work: Path, jobs: int, count: int, cores: Sequence[int] | None = None) -> dict[str, Any]:
    """Seconds for some good clips, and the memory of the processes as the clips go by."""
    output = work / f"timed-{jobs}"
    shutil.rmtree(output, ignore_errors=True)
    folder = work / "timed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(count):
        os.link(work / "in" / f"{number:04d}.mp4", folder / f"{number:04d}.mp4")
    started = time.monotonic()
    memory: list[tuple[int, float]] = []  # complete clips, MB of the largest process
    seen: list[tuple[float, int, float]] = []
    used: dict[int, float] = {}
    command = ["taskset", "-c", ",".join(map(str, cores or sorted(os.sched_getaffinity(0))))]
    command += _command(str(folder), output, jobs)
    with open(work / f"timed-{jobs}.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while process.poll() is None:
            complete = len(_reports(output)) if output.exists() else 0
            children = _workers(process.pid)
            used |= {child: own for child in children if (own := _processor_seconds(child))}
            seen.append((time.monotonic() - started, complete, sum(used.values())))
            sizes = [size for child in children if (size := _megabytes(child))]
            if sizes and complete:
                memory.append((complete, max(sizes)))
            time.sleep(0.2)
    seconds = time.monotonic() - started
    if process.returncode not in (0, 3) or len(_reports(output)) != count:
        raise InputError(f"{work}/timed-{jobs}.log: says what failed")
    eighths = [[size for n, size in memory if i <= 8 * (n - 1) / count < i + 1] for i in range(8)]
    # From a tenth of the clips to nine tenths: without starts and ends.
    low, high = (next(one for one in seen if one[1] >= share * count) for share in (0.1, 0.9))
    warm = high[0] - low[0]
    return {
        "clips": count,
        "seconds": round(seconds, 2),
        "clips_per_second": count / seconds,
        "warm_clips_per_second": (high[1] - low[1]) / warm,
        "warm_cores_busy": (high[2] - low[2]) / warm,
        "processor_seconds_per_clip": sum(used.values()) / count,
        "megabytes_by_eighth": [round(statistics.median(q)) if q else None for q in eighths],
    }


def _megabytes(pid: int) -> float:
    """Resident memory."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(found[0]) / 1024 if found else 0.0


def _processor_seconds(pid: int) -> float:
    """Of all threads of a process until now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _looped(work: Path) -> dict[str, Any]:
    """Seconds for some clips, each by a command of its own."""
    output = work / "looped"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for number in range(_LOOPED.value):
        name = f"{number:04d}.mp4"
        command = [sys.executable, _LAUNCH / "anonymize.py", work / "in" / name, "--seed=0"]
        command += [f"--output={output / name}", f"--people={_PEOPLE.value}"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 3):
            raise InputError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "clips": _LOOPED.value,
        "seconds": round(seconds, 2),
        "clips_per_second": _LOOPED.value / seconds,
        "processor_seconds_per_clip": used / _LOOPED.value,
    }


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
