"""What was done to a clip, for programs and for people."""

import os
from collections.abc import Sequence
from typing import Any

from stgan_jax import anonymizer
from stgan_jax.footage.people import Person
from stgan_jax.footage.source import Options, Source
from stgan_jax.video import segmentation


def told(
    source: Source,
    output: str | os.PathLike,
    model: anonymizer.AnyModel,
    options: Options,
    persons: Sequence[Person],
    times: Sequence[float],
    blanked: dict[int, str],
    seconds: float,
    seed: int | None,
    standing: Sequence[segmentation.Box] = (),
) -> dict[str, Any]:
    """The report of a clip.

    Returns:
      what was read and written; `people`, of each what `Person.row` gives; `covered`, each time
      that somebody is seen and not shown: frames, seconds, the box (left, top, right, bottom)
      that holds them, and why (`person` is None of places in the background picture that look
      like people, who would stand there all the while);
      `blanked_frames`, in which nobody is shown; `exit_code`, 3 if there is any of these and 0
      if not; and the `seed`, if it is to be stored.
    """
    covered = [row for i, person in enumerate(persons, 1) for row in _covered(person, i, times)]
    for top, left, bottom, right in standing:
        covered.append({
            "person": None, "first_frame": 0, "last_frame": len(times) - 1,
            "from": round(times[0], 3), "to": round(times[-1], 3),
            "box": [int(left), int(top), int(right), int(bottom)],
            "why": "may stand in the background",
        })  # fmt: skip
    blanks = [
        {"frame": number, "time": round(times[number], 3), "why": why}
        for number, why in sorted(blanked.items())
    ]
    info = source.info
    out = {
        "version": 2,
        "input": os.fspath(source.path),
        "output": os.fspath(output),
        "frames": len(times),
        "width": info.width,
        "height": info.height,
        "fps": float(info.fps),
        "alpha": model.alpha,
        "background": "given" if options.background else "found",
        "people_found_by": (
            "masks" if options.masks else "segmenter" if options.segmenter else "background"
        ),
        "color": options.color,
        "face": options.face,
        "seconds": round(seconds, 2),
        "frames_per_second": round(len(times) / seconds, 2),
        "people": [person.row(i) for i, person in enumerate(persons, 1)],
        "covered": covered,
        "blanked_frames": blanks,
        "exit_code": 3 if covered or blanks else 0,
    }
    return out | ({} if seed is None else {"seed": seed})


def _covered(person: Person, number: int, times: Sequence[float]) -> list[dict[str, Any]]:
    """Runs of sightings that are hidden for one reason, one after the other."""
    rows: list[dict[str, Any]] = []
    table = person.sightings.table()
    hidden = person.hidden
    start = 0
    for end in range(1, len(hidden) + 1):
        if end < len(hidden) and hidden[end] == hidden[start]:
            continue
        if hidden[start] is not None:
            part = table[start:end]
            top, left = part[:, 1:3].min(0)
            bottom, right = part[:, 3:5].max(0)
            first, last = int(part[0, 0]), int(part[-1, 0])
            rows.append({
                "person": number, "first_frame": first, "last_frame": last,
                "from": round(times[first], 3), "to": round(times[last], 3),
                "box": [int(left), int(top), int(right), int(bottom)], "why": hidden[start],
            })  # fmt: skip
        start = end
    return rows


def summary(report: dict[str, Any]) -> str:
    """A report in a few lines for people."""
    rows = report["people"]
    lines = ["person  first  last  seen  anonymised  covered"]
    for row in rows:
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
    standing = sum(row["person"] is None for row in report["covered"])
    return (
        f"{report['output']}: {report['frames']} frames in {report['seconds']:.1f} s "
        f"({report['frames_per_second']:.1f} a second), {len(report['people'])} people, "
        f"{covered} sightings covered by background"
        + (f", {standing} places in the background that may hold people, too" if standing else "")
        + (f", {blanked} frames without people for a failure" if blanked else "")
    )
