"""The report of an anonymised clip, for programs and for people."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from stgan_jax.media import segmentation
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
    """

    persons: Sequence[Person]
    times: Sequence[float]
    blanked: dict[int, str]
    found_by: str
    seconds: float
    seed: int | None


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
      bottom) that holds them, and why; `blanked_frames`, in which nobody is shown; `exit_code`,
      3 if there is any of these, or nobody at all, and 0 if not; and the `seed`, if it is to be
      stored.
    """
    info, times = source.info, outcome.times
    covered = [
        row
        for number, person in enumerate(outcome.persons, 1)
        for row in _covered(person, number, times)
    ]
    blanks = [
        {"frame": number, "time": round(times[number], 3), "why": why}
        for number, why in sorted(outcome.blanked.items())
    ]
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
        "color": options.color,
        "face": options.face,
        "seconds": round(outcome.seconds, 2),
        "frames_per_second": round(len(times) / outcome.seconds, 2),
        "people": [person.row(number) for number, person in enumerate(outcome.persons, 1)],
        "covered": covered,
        "blanked_frames": blanks,
        "exit_code": 3 if covered or blanks or not outcome.persons else 0,
    }
    return report | ({} if outcome.seed is None else {"seed": outcome.seed})


def _covered(person: Person, number: int, times: Sequence[float]) -> list[dict[str, Any]]:
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
            rows.append(_row(number, frames, times, box, hidden[start]))
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
    return {
        "person": person,
        "first_frame": frames[0],
        "last_frame": frames[1],
        "from": round(times[frames[0]], 3),
        "to": round(times[frames[1]], 3),
        "box": [left, top, right, bottom],
        "why": why,
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
    return (
        f"{report['output']}: {report['frames']} frames in {report['seconds']:.1f} s "
        f"({report['frames_per_second']:.1f} a second), {len(report['people'])} people, "
        f"{covered} sightings covered"
        + ("" if report["people"] else "; nobody was found, so look whether that is so")
        + (f", {blanked} frames without people for a failure" if blanked else "")
    )
