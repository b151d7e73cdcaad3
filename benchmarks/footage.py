"""How well people are found and hidden in real clips, beside what a person counted in them:

    python benchmarks/footage.py --clips=FOLDER [--out=FILE.json] [--sheets=FOLDER]

Anonymises each clip of people_by_eye.json that is in the folder, and prints a table: people who
were counted in a few frames, how many are found (a box with an intersection over union of 0.3
or more), how many have a clear outline; what is found beside them; the share of the picture that
is filled since somebody is always there; the share that is changed in these frames outside the
boxes that were drawn by eye (dilated by 0.25 of their height); frames a second. --sheets writes a
picture a clip: six originals over what is written. They show the original people.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from absl import app, flags
from scipy.optimize import linear_sum_assignment

from stgan_jax.media import containers
from stgan_jax.methods import catalog
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags
from stgan_jax.video import clip
from stgan_jax.video.people import finding, linking
from stgan_jax.video.scene import emptying
from stgan_jax.video.source import ClipOptions

_CLIPS = flags.DEFINE_string("clips", None, "Folder with the clips, at any depth.", required=True)
_ONLY = flags.DEFINE_list("only", [], "Names of clips, without their suffix; by default all.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")
_SHEETS = flags.DEFINE_string("sheets", None, "Folder for a picture of each clip.")
_BY_EYE = Path(__file__).with_name("people_by_eye.json")
_MATCH = 0.3  # least intersection over union of a person's boxes
_AROUND = 0.25  # of the height: where changes are a person's
_CHANGED = 12  # grey levels beyond codec noise
_COLUMNS, _WIDTH = 6, 240  # of a sheet, and of a frame in it


def main(_) -> None:
    with one_sentence():
        counted = json.loads(_BY_EYE.read_text())["clips"]
        here = {path.name: path for path in Path(_CLIPS.value).rglob("*.*")}
        rows: dict[str, dict[str, float]] = {}
        for name, truth in counted.items():
            stem = Path(name).stem
            if name in here and (not _ONLY.value or stem in _ONLY.value):
                rows[stem] = measured(here[name], truth)
                print(stem, rows[stem], flush=True)
        if not rows:
            raise InputError(f"{_CLIPS.value}: holds none of {', '.join(counted)}")
        if _OUT.value:
            with files.replacing(_OUT.value) as beside:
                beside.write_text(json.dumps(rows, indent=1) + "\n")
        print(markdown(rows))


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """The table, a row a clip."""
    names = list(next(iter(rows.values())))
    lines = [f"| clip | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for clip_name, row in rows.items():
        lines.append(f"| {clip_name} | {' | '.join(f'{row[name]:.5g}' for name in names)} |")
    return "\n".join(lines)


def measured(path: Path, truth: dict[str, Any]) -> dict[str, float]:
    """The figures of a clip; `truth` is its entry in people_by_eye.json."""
    frames = {int(number): people for number, people in truth["frames"].items()}
    with tempfile.TemporaryDirectory() as folder, recording() as seen:
        output = Path(folder) / "out.mkv"
        report = clip.anonymize_video(
            path, output, catalog.load(), options=ClipOptions(seed=0, crf=4)
        )
        found = boxes_found(seen["subjects"])
        counts = np.zeros(4, int)
        changed, originals, results = [], [], []
        picks = set(np.linspace(0, report["frames"] - 1, _COLUMNS).round().astype(int))
        pairs = zip(containers.read_frames(path), containers.read_frames(output), strict=True)
        for number, (before, after) in enumerate(pairs):
            if number in picks:
                originals.append(_small(before))
                results.append(_small(after))
            if number in frames:
                counts += matched(frames[number], found.get(number, []))
                changed.append(share_changed(before, after, frames[number]))
        if _SHEETS.value:
            Path(_SHEETS.value).mkdir(parents=True, exist_ok=True)
            sheet = np.concatenate([np.concatenate(row, 1) for row in (originals, results)])
            name = str(Path(_SHEETS.value) / f"{path.stem}.jpg")
            cv2.imwrite(name, sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
    return {
        "frames counted": len(frames),
        "people counted": int(counts[0]),
        "found": int(counts[1]),
        "of them clear": int(counts[2]),
        "found beside": int(counts[3]),
        "share filled": round(float(seen["unknown"].mean()), 4),
        "share changed elsewhere": round(float(np.mean(changed)), 5),
        "frames a second": report["frames_per_second"],
    }


@contextlib.contextmanager
def recording() -> Iterator[dict[str, Any]]:
    """What is found while the context lasts: `subjects`, and where the scene is `unknown`."""
    seen: dict[str, Any] = {}

    def find(*arguments: Any, **named: Any) -> finding.Found:
        result = original_find(*arguments, **named)
        seen["subjects"] = result.subjects
        return result

    def empty(*arguments: Any, **named: Any) -> tuple:
        result = original_empty(*arguments, **named)
        seen["unknown"] = result[1]
        return result

    original_find, original_empty = finding.find, emptying.empty
    with mock.patch.object(finding, "find", find), mock.patch.object(emptying, "empty", empty):
        yield seen


def boxes_found(subjects: list) -> dict[int, list[tuple[np.ndarray, bool]]]:
    """Boxes by frame, and whether their outlines are clear."""
    found: dict[int, list[tuple[np.ndarray, bool]]] = {}
    for subject in subjects:
        for sighting in subject.sightings:
            entry = (sighting.box.astype(float), sighting.clear)
            found.setdefault(sighting.frame, []).append(entry)
    return found


def matched(people: list[dict], found: list[tuple[np.ndarray, bool]]) -> np.ndarray:
    """People counted, found, with a clear outline, and found beside them.

    Who is doubtful counts neither as counted nor, if found, as found beside.
    """
    counted = sum(not person["doubtful"] for person in people)
    if not people or not found:
        return np.array([counted, 0, 0, len(found)])
    overlaps = linking.overlap(
        np.array([person["box"] for person in people], float), np.stack([box for box, _ in found])
    )
    rows, columns = linear_sum_assignment(-overlaps)
    pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if overlaps[i, j] >= _MATCH]
    sure = [(i, j) for i, j in pairs if not people[i]["doubtful"]]
    return np.array(
        [counted, len(sure), sum(found[j][1] for _, j in sure), len(found) - len(pairs)]
    )


def share_changed(before: np.ndarray, after: np.ndarray, people: list[dict]) -> float:
    """Share of the pixels outside people's dilated boxes that are changed."""
    outside = np.ones(before.shape[:2], bool)
    for person in people:
        top, left, bottom, right = person["box"]
        margin = round(_AROUND * (bottom - top))
        outside[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin] = (
            False
        )
    difference = cv2.blur(cv2.absdiff(before, after), (3, 3)).max(-1) > _CHANGED
    return float((difference & outside).mean())


def _small(frame: np.ndarray) -> np.ndarray:
    size = (_WIDTH, round(frame.shape[0] * _WIDTH / frame.shape[1]))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
