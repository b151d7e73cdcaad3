"""Is an anonymised video as long, as fast and as loud as the original? FFmpeg's programs say.

    python benchmarks/containers.py [--ffprobe=COMMAND] [--ffmpeg=COMMAND] [--out=FILE.md]

Writes a video of every kind that the tests know, and some more, with two rendered people in it,
anonymises all of them, and compares what `ffprobe` reports before and after: frames, when each is
shown, rate, duration, samples of sound. `ffmpeg` decodes the sound, to compare it sample by sample.
Neither is a part of this package, nor of PyAV, which has libraries of its own. Exit code 1 if
something differs that should not.
"""

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import numpy as np
from absl import app, flags

import stgan_jax
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

_FFPROBE = flags.DEFINE_string("ffprobe", "ffprobe", "Its command, with flags if need be.")
_FFMPEG = flags.DEFINE_string("ffmpeg", "ffmpeg", "Its command, with flags if need be.")
_OUT = flags.DEFINE_string("out", None, "Table to write, in Markdown.")

_MORE: dict[str, dict[str, Any]] = {
    "turned.mp4": {"turn": 90, "sound": "aac"},
    "slow.webm": {"codec": "libvpx-vp9", "sound": "libopus", "fps": Fraction(24000, 1001)},
    "odd.mkv": {"codec": "ffv1", "pixels": "bgr0", "sound": "pcm_s16le", "streams": 2},
    "tape.ts": {"codec": "mpeg2video", "sound": "mp2"},
    "opus.mp4": {"sound": "libopus"},
    "ac3.mkv": {"sound": "ac3"},
    "flac.mp4": {"sound": "flac"},
    "pcm.avi": {"codec": "mpeg4", "sound": "pcm_s16le"},
}
# As people have them: what is done to a file after it is written.
_CHANGED: dict[str, tuple[dict[str, Any], Callable[[Path], Any]]] = {
    "cut.mp4": ({"sound": "alac"}, lambda path: _shifted(path, -0.4)),
    "cut.mov": ({"sound": "pcm_s16le"}, lambda path: _shifted(path, -0.2)),
    "late_sound.mov": ({"sound": "pcm_s16le"}, lambda path: _shifted(path, 0.3, ["audio"])),
    "late_video.mp4": ({"sound": "aac"}, lambda path: _shifted(path, 0.5, ["video"])),
    "selfie.mp4": ({"sound": "aac"}, lambda path: clips.with_matrix(path, (-1, 0, 0, 1))),
    "transposed.mp4": ({}, lambda path: clips.with_matrix(path, (0, 1, 1, 0))),
    "browser.webm": (
        {"codec": "libvpx", "sound": "libopus", "base": Fraction(1, 1000), "fps": 1000,
         "pts": [40 * n for n in range(36)]},
        clips.without_rate,
    ),
    "mp3.mp4": ({"sound": "libmp3lame"}, lambda path: None),
    "2024-05-01T12:30:00.mp4": ({"sound": "aac"}, lambda path: None),
}  # fmt: skip
_SHIFT = 0.0011  # seconds by which a frame may be shown at another time: .mkv holds milliseconds
_LAG = 0.03  # seconds by which sound may come sooner or later
_TECHNICAL = {  # tags that describe the container alone
    "encoder", "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id",
    "language", "duration", "software",
}  # fmt: skip
_COLUMNS = (
    "file", "comes out as", "frames", "frames/s", "seconds", "largest shift, ms",
    "sounds", "samples", "the same samples", "tags", "exit code",
)  # fmt: skip


def main(_) -> None:
    with one_sentence():
        for flag, command in (("ffprobe", _FFPROBE.value), ("ffmpeg", _FFMPEG.value)):
            if not command or not shutil.which(shlex.split(command)[0]):
                raise InputError(
                    f"{command}: no such program; install FFmpeg (apt-get install ffmpeg), or name "
                    f"it by --{flag}"
                )
        if _OUT.value:
            files.check_output(_OUT.value)
        rows, wrong = _compared()
        table = "\n".join(_lines(rows))
        print(table)
        if _OUT.value:
            with files.replacing(_OUT.value) as beside:
                beside.write_text(table + "\n")
    if wrong:
        print("\n".join(["", *wrong]), file=sys.stderr)
        sys.exit(1)


def _shifted(path: Path, seconds: float, kinds: Sequence[str] = ("video", "audio")) -> None:
    other = path.with_name(f"x{path.suffix}")
    clips.shifted(path, other, seconds, kinds)
    other.rename(path)


def _compared() -> tuple[list[list[Any]], list[str]]:
    rows, wrong = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, scenes = Path(name), {}
        for size in ((240, 320), (239, 321)):
            scene = Scene(4, people=2, frames=36, size=size)
            scenes[size] = [frame.image for frame in scene]
        sources = []
        for kind, how in (clips.KINDS | _MORE).items():
            images = scenes[239, 321] if kind == "odd.mkv" else scenes[240, 320]
            if turn := how.get("turn", 0):  # as from a phone that is held upright
                images = [np.ascontiguousarray(np.rot90(image, -turn // 90)) for image in images]
            sources.append(clips.write(folder / kind, images, metadata=clips.PRIVATE, **how))
        for kind, (how, change) in _CHANGED.items():
            sources.append(clips.write(folder / kind, scenes[240, 320], **how))
            change(sources[-1])
        report = stgan_jax.anonymize(sources, folder / "out", seed=0, people="difference")
        for source, result in zip(sources, report["files"], strict=True):
            if "error" in result:
                wrong.append(f"{source.name}: {result['error']}")
                continue
            row, faults = _row(source, Path(result["output"]))
            rows.append([*row, result["exit_code"]])
            wrong += [f"{source.name}: {fault}" for fault in faults]
    return rows, wrong


def _row(source: Path, output: Path) -> tuple[list[Any], list[str]]:
    before, after = _about(source), _about(output)
    faults = [f"tags that are left: {after['tags']}"] if after["tags"] else []
    for what in ("frames", "sounds"):
        if before[what] != after[what]:
            faults.append(f"{what}: {before[what]} before, {after[what]} after")
    shift = float("nan")
    if before["frames"] == after["frames"]:
        shift = float(np.abs(np.subtract(before["times"], after["times"])).max())
        if shift > _SHIFT:
            faults.append(f"a frame is shown {shift:.4f} s earlier or later")
    # The container's own length, to a tenth of a frame, and its own rate, to a thousandth.
    if abs(before["seconds"] - after["seconds"]) > 0.011:
        faults.append(f"{before['seconds']} s before, {after['seconds']} s after")
    if abs(before["fps"] / after["fps"] - 1) > 1e-3:
        faults.append(f"{before['fps']} frames a second before, {after['fps']} after")
    copied = source.suffix == output.suffix
    if copied and before["sounds"] and abs(before["lag"] - after["lag"]) > _LAG:
        faults.append(f"sound {before['lag']:.3f} s behind before, {after['lag']:.3f} s after")
    if copied and before["samples"] != after["samples"]:
        faults.append(f"{before['samples']} samples before, {after['samples']} after")
    same = before["hashes"] == after["hashes"]
    if copied and not same:
        faults.append("the sound is not the same")
    return [
        source.name,
        output.suffix,
        _change(before["frames"], after["frames"]),
        _change(f"{before['fps']:.3f}", f"{after['fps']:.3f}"),
        _change(f"{before['seconds']:.3f}", f"{after['seconds']:.3f}"),
        f"{1000 * shift:.2f}",
        _change(before["sounds"], after["sounds"]),
        _change(_joined(before["samples"]), _joined(after["samples"])),
        ("yes" if same else "no, encoded anew") if before["sounds"] else "",
        _change(len(before["tags"]), len(after["tags"])),
    ], faults


def _change(before: Any, after: Any) -> str:
    return str(before) if before == after else f"{before} -> {after}"


def _joined(samples: list[int]) -> str:
    return ", ".join(map(str, samples))


def _about(path: Path) -> dict[str, Any]:
    """What FFmpeg's programs find in a file; times from its first frame on."""
    entries = "frame=stream_index,best_effort_timestamp_time,nb_samples"
    shown = ["-show_format", "-show_streams", "-show_entries", entries, "-of", "json"]
    probed = json.loads(_run(_FFPROBE.value, "-v", "error", *shown, f"file:{path}"))
    video, *others = sorted(probed["streams"], key=lambda one: one["codec_type"] != "video")
    sounds = [one["index"] for one in others if one["codec_type"] == "audio"]
    times = [
        float(frame["best_effort_timestamp_time"])
        for frame in probed["frames"]
        if frame["stream_index"] == video["index"]
    ]
    heard = [
        float(frame["best_effort_timestamp_time"])
        for frame in probed["frames"]
        if frame["stream_index"] in sounds
    ]
    # What was written live states neither.
    span = times[-1] - times[0]
    fps = float(Fraction(video["avg_frame_rate"].replace("/0", "/1")))
    fps = fps if 1 <= fps <= 300 else (len(times) - 1) / span
    tags = [probed["format"].get("tags", {}), *(one.get("tags", {}) for one in probed["streams"])]
    to_raw, raw = ["-f", "s16le", "-c:a", "pcm_s16le", "-"], []
    for number in range(len(sounds)):
        stream = ["-i", f"file:{path}", "-map", f"0:a:{number}"]
        raw.append(_run(_FFMPEG.value, "-v", "error", *stream, *to_raw))
    return {
        "frames": len(times),
        "times": np.subtract(times, times[0]),
        "fps": fps,
        "seconds": float(probed["format"].get("duration", span + 1 / fps)),
        "lag": min(heard, default=times[0]) - times[0],
        "sounds": len(sounds),
        "samples": [
            sum(int(f["nb_samples"]) for f in probed["frames"] if f["stream_index"] == index)
            for index in sounds
        ],
        "hashes": [hashlib.sha256(data).hexdigest() for data in raw],
        "tags": sorted({name for some in tags for name in some if name.lower() not in _TECHNICAL}),
    }


def _run(command: str, *arguments: str) -> bytes:
    done = subprocess.run([*shlex.split(command), *arguments], capture_output=True, check=False)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip() or "it said nothing").splitlines()[-1]
        raise InputError(f"{command} failed: {last}")
    return done.stdout


def _lines(rows: list[list[Any]]) -> list[str]:
    version = _run(_FFPROBE.value, "-version").decode().splitlines()[0].split(" Copyright")[0]
    decoder = _run(_FFMPEG.value, "-version").decode().splitlines()[0].split(" Copyright")[0]
    return [
        "# Before and after, as FFmpeg's own programs see it",
        "",
        f"`benchmarks/containers.py`, by {version} and {decoder}. `a -> b`: a before, b after. "
        "Tags: metadata but those that tell of the container alone. Exit code: 3 where "
        "somebody is covered at times.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "| --- " * len(_COLUMNS) + "|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
