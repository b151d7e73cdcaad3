"""The report of an anonymised clip, for programs and for people."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stgan_jax.media import segmentation
from stgan_jax.video.decisions import Decision
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.source import ClipOptions, ClipSource


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of anonymising a clip.

    Attributes:
      persons: everybody who was tracked.
      times: seconds of each frame.
      blanked: frame number -> why nobody is shown in it.
      found_by: how people were found: networks, difference, masks or segmenter.
      seconds: how long the work took.
      seed: the seed to be reported, or None.
      camera: "still", "turns" (or zooms, as in a hand) or "travels" through the scene.
      made_up: before a camera that moves, frame number -> share of the picture that is hidden and
        that no frame shows without people.
      enlarged: factor by which frames are enlarged to steady the camera; 1 if they are not.
      decisions: what a person decided, if anybody did.
    """

    persons: Sequence[Person]
    times: Sequence[float]
    blanked: dict[int, str]
    found_by: str
    seconds: float
    seed: int | None
    camera: str = "still"
    made_up: Mapping[int, float] = dataclasses.field(default_factory=dict)
    enlarged: float = 1.0
    decisions: Sequence[Decision] | None = None


def build(
    source: ClipSource,
    output: str | os.PathLike,
    options: ClipOptions,
    alpha: float | None,
    outcome: Outcome,
) -> dict[str, Any]:
    """The report of a clip.

    Args:
      source: the clip.
      output: the file or folder written.
      options: how it was anonymised.
      alpha: the model's.
      outcome: the result.

    Returns:
      properties of what was read and written; `people`, `Person.row` of each; `covered`, the runs
      of frames in which somebody is not shown: frames, seconds, the box (left, top, right,
      bottom) that holds them, and why; `made_up`, the runs of frames before a camera that moves in
      which a part of the scene is made up: frames, seconds and its largest share of the picture;
      `blanked_frames`, in which nobody is shown; `exit_code`, 3 if anything is in `covered` or
      `blanked_frames`, or in `made_up` though the camera travels, or nobody at all is there, and 0
      if not; `decisions`, if a person made any; and the `seed`, if it is to be stored.
    """
    info, times = source.info, outcome.times
    covered = [row for person in outcome.persons for row in _covered(person, times)]
    blanks = [
        {"frame": number, "time": round(times[number], 3), "why": why}
        for number, why in sorted(outcome.blanked.items())
    ]
    made_up = _made_up(outcome)
    lost = made_up and outcome.camera == "travels"
    report = {
        "version": 2,
        "input": os.fspath(source.path),
        "output": os.fspath(output),
        "frames": len(times),
        "width": info.width,
        "height": info.height,
        "fps": float(info.fps),
        "alpha": alpha,
        "background": "given" if options.background else "found",
        "people_found_by": outcome.found_by,
        "camera": outcome.camera,
        "enlarged": round(outcome.enlarged, 4),
        "color": options.color,
        "face": options.face,
        "seconds": round(outcome.seconds, 2),
        "frames_per_second": round(len(times) / outcome.seconds, 2),
        "people": [person.row() for person in outcome.persons],
        "covered": covered,
        "made_up": made_up,
        "blanked_frames": blanks,
        "exit_code": 3 if covered or blanks or lost or not outcome.persons else 0,
    }
    if outcome.decisions is not None:
        report["decisions"] = list(outcome.decisions)
    return report | ({} if outcome.seed is None else {"seed": outcome.seed})


def _made_up(outcome: Outcome) -> list[dict[str, Any]]:
    """A row for each run of consecutive frames in which something is made up."""
    numbers = np.array(sorted(n for n, share in outcome.made_up.items() if share > 0), int)
    rows = []
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(run):
            first, last = int(run[0]), int(run[-1])
            area = max(outcome.made_up[int(n)] for n in run)
            rows.append(_run((first, last), outcome.times) | {"area": round(area, 5)})
    return rows


def _covered(person: Person, times: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each run of consecutive sightings that are hidden for one reason."""
    rows: list[dict[str, Any]] = []
    table = person.sightings.table()
    hidden = person.hidden
    start = 0
    for end in range(1, len(hidden) + 1):
        if end < len(hidden) and hidden[end] == hidden[start]:
            continue
        if hidden[start] is not None:
            part = table[start:end]
            box = np.concatenate([part[:, 1:3].min(0), part[:, 3:5].max(0)])
            frames = int(part[0, 0]), int(part[-1, 0])
            rows.append(_row(person.number, frames, times, box, hidden[start]))
        start = end
    return rows


def _row(
    person: int,
    frames: tuple[int, int],
    times: Sequence[float],
    box: segmentation.Box,
    why: str | None,
) -> dict[str, Any]:
    """A row of `covered`; `frames` are the first and the last."""
    top, left, bottom, right = map(int, box)
    row = {"person": person, **_run(frames, times)}
    return row | {"box": [left, top, right, bottom], "why": why}


def _run(frames: tuple[int, int], times: Sequence[float]) -> dict[str, Any]:
    """The first and the last of consecutive frames, and when they are shown."""
    return {
        "first_frame": frames[0],
        "last_frame": frames[1],
        "from": round(times[frames[0]], 3),
        "to": round(times[frames[1]], 3),
    }


def summary(report: dict[str, Any]) -> str:
    """A report in a few lines for people."""
    lines = ["person  first  last  seen  anonymised  covered"]
    for row in report["people"]:
        reasons = ", ".join(f"{n} {why}" for why, n in row["covered_because"].items())
        lines.append(
            f"{row['person']:6d}  {row['first_frame']:5d}  {row['last_frame']:4d}  "
            f"{row['frames_seen']:4d}  {row['frames_anonymized']:10d}  "
            f"{row['frames_covered']:7d}  {reasons}".rstrip()
        )
    return "\n".join([*lines, sentence(report)])


def sentence(report: dict[str, Any]) -> str:
    """A report in a line."""
    covered = sum(row["frames_covered"] for row in report["people"])
    blanked = len(report["blanked_frames"])
    made_up = max((row["area"] for row in report["made_up"]), default=0.0)
    return (
        f"{report['output']}: {report['frames']} frames in {report['seconds']:.1f} s "
        f"({report['frames_per_second']:.1f} a second), {len(report['people'])} people, "
        f"{covered} sightings covered"
        + ("" if report["people"] else "; nobody was found, so look whether that is so")
        + (f", up to {made_up:.1%} of a picture made up" if made_up else "")
        + (f", {blanked} frames without people for a failure" if blanked else "")
    )
