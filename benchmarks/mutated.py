"""What do damaged files do to the command? Every one must end in a sentence.

    python benchmarks/mutated.py [--seeds=50] [--kinds=mp4,mkv] [--out=FILE.md]

Small videos of people in every container are damaged (bits flipped, cut, blocks exchanged, emptied
or doubled), one way for each seed, and anonymised by the whole command. Its exit code must be 0, 2
or 3 within a minute; no traceback may be shown, nothing may be left that is not complete, and no
input may change. Exit code 1 if it is otherwise.
"""

import hashlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
from absl import app, flags

from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

_SEEDS = flags.DEFINE_integer("seeds", 50, "Damaged files of a kind.", lower_bound=1)
_KINDS = flags.DEFINE_list("kinds", [], "Some of the kinds; all by default.")
_OUT = flags.DEFINE_string("out", None, "Table to write, in Markdown.")
_LIMIT = 60.0  # seconds
_MILLI = Fraction(1, 1000)
KINDS: dict[str, dict[str, Any]] = {  # arguments of `clips.write`, after the suffix
    "mp4": {"sound": "aac"},
    "mov": {"sound": "pcm_s16le", "streams": 2},
    "mkv": {"sound": "libopus", "base": _MILLI, "fps": 1000, "pts": [40 * n for n in range(24)]},
    "avi": {"codec": "mpeg4", "sound": "libmp3lame"},
    "webm": {"codec": "libvpx", "sound": "libopus"},
    "ts": {"codec": "mpeg2video", "sound": "mp2"},
    "flv": {"codec": "flv", "sound": "aac"},
    "cut.mp4": {"sound": "aac"},  # by an edit list
    "live.webm": {
        "codec": "libvpx", "sound": "libopus", "base": _MILLI, "fps": 1000,
        "pts": [40 * n for n in range(24)],
    },
    "h265.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
}  # fmt: skip


def main(_) -> None:
    with one_sentence():
        kinds = _KINDS.value or list(KINDS)
        if unknown := set(kinds) - set(KINDS):
            raise InputError(f"--kinds: {unknown.pop()} is none of {', '.join(KINDS)}")
        if _OUT.value:
            files.check_output(_OUT.value)
        # What the command has compiled once is kept for all its runs.
        with tempfile.TemporaryDirectory() as cache:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
            os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
            counts: dict[str, Counter] = {}
            for kind in kinds:
                counts[kind] = tried(kind, _SEEDS.value)
                table = "\n".join(_lines(counts))
                if _OUT.value:
                    with files.replacing(_OUT.value) as beside:
                        beside.write_text(table + "\n")
        print(table)
    if any(count[fault] for count in counts.values() for fault in FAULTS):
        sys.exit(1)


def tried(kind: str, seeds: int) -> Counter:
    """How often each exit code and each fault came up; `slowest` in milliseconds."""
    counts: Counter = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suffix = kind.rpartition(".")[2]
        source = folder / f"whole.{suffix}"
        # In a process of its own: after OpenCV's threads have started none can be forked.
        writing = multiprocessing.get_context("spawn").Process(target=write, args=(source, kind))
        writing.start()
        writing.join()
        if writing.exitcode:
            raise InputError(f"{kind}: this FFmpeg does not write it")
        whole = source.read_bytes()
        counts.update(_faults(source, folder / "whole", [0, 3]))
        for seed in range(seeds):
            path = folder / f"{seed}.{suffix}"
            path.write_bytes(clips.damaged(whole, seed))
            found = _faults(path, folder / f"of{seed}", [0, 2, 3])
            counts["slowest"] = max(counts["slowest"], found.pop("ms"))
            counts.update(found)
            if any(found[fault] for fault in FAULTS):
                print(f"{kind}, seed {seed}: {dict(found)}", file=sys.stderr)
    counts["files"] = seeds
    return counts


def write(path: Path, kind: str) -> None:
    """A second of somebody who walks, in a small picture."""
    from stgan_jax.data.walkers.scenes import Scene

    scene = Scene(4, people=1, frames=24, size=(120, 160))
    images = [frame.image for frame in scene]
    clips.write(path, images, **KINDS[kind])
    if kind == "cut.mp4":
        clips.shifted(path, path.with_name("x.mp4"), -0.2)
        path.with_name("x.mp4").rename(path)
    if kind == "live.webm":
        clips.without_rate(path)


FAULTS = ("another exit code", "traceback", "hang", "partial output", "input changed")


def _faults(path: Path, output: Path, codes: list[int]) -> Counter:
    """Runs the command; counts its exit code, what is wrong, and milliseconds."""
    output.mkdir()
    before, log = hashlib.sha256(path.read_bytes()).digest(), output.with_suffix(".log")
    target = output / f"out{path.suffix if path.suffix not in ('.ts', '.flv') else '.mp4'}"
    spent = sum(os.times()[2:4])
    code = _ended(_forked(lambda: _command(path, target), log))
    text, left = log.read_text(errors="replace"), {one.name for one in output.iterdir()}
    complete = {target.name, f"{target.stem}_report.json"}
    found: Counter = Counter({"ms": round(1000 * (sum(os.times()[2:4]) - spent))})
    found[f"exit code {code}"] += 1
    found["hang"] += code is None
    found["another exit code"] += code not in (None, *codes)
    found["traceback"] += "Traceback" in text or (code == 2 and "error: " not in text)
    found["partial output"] += left != (complete if code in (0, 3) else set())
    found["input changed"] += hashlib.sha256(path.read_bytes()).digest() != before
    return found


def _command(path: Path, target: Path) -> None:
    from stgan_jax.video import cli

    cli.main([str(path), f"--output={target}", "--people=difference", "--seed=1", "--device=cpu"])


def _forked(function: Callable[[], None], log: Path) -> int:
    """Starts a function in a copy of this process, which has loaded all modules; returns its id."""
    from stgan_jax.video import batch, cli  # noqa: F401 (loaded once)

    sys.stdout.flush()
    if number := os.fork():
        return number
    try:
        with open(log, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ["TQDM_DISABLE"] = "1"
        function()
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(1)


def _ended(number: int) -> int | None:
    """A process' exit code; None if it was killed after a minute, waits for cores left out."""
    began = time.monotonic()
    while True:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - began - _waited(number) > _LIMIT:
            break
        time.sleep(0.02)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return None


def _waited(number: int) -> float:
    """Seconds for which a process' first thread could run and had no core."""
    try:
        return int(Path(f"/proc/{number}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _lines(counts: dict[str, Counter]) -> list[str]:
    columns = [
        "files",
        "exit code 0",
        "exit code 3",
        "exit code 2",
        *FAULTS,
        "longest, s of a core",
    ]
    rows: list[list[Any]] = [
        [kind, *(count[name] for name in columns[:-1])] for kind, count in counts.items()
    ]
    sums = ["all", *(sum(int(row[n]) for row in rows) for n in range(1, len(columns)))]
    slowest = [count["slowest"] / 1000 for count in counts.values()]
    pairs = zip([*rows, sums], [*slowest, max(slowest)], strict=True)
    return [
        "# What damaged files do to the command",
        "",
        f"`benchmarks/mutated.py --seeds={_SEEDS.value}`. Exit code 0 or 3: what is left of the "
        "file is anonymised. 2: it is refused, in a sentence. The whole file of each kind is "
        "counted, too. A hang is more than a minute, without what a process waited for cores.",
        "",
        f"| | {' | '.join(columns)} |",
        "| --- " * (len(columns) + 1) + "|",
        *(f"| {' | '.join(map(str, row))} | {seconds:.1f} |" for row, seconds in pairs),
    ]


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
