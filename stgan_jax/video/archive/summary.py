"""What became of an archive, in figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stgan_jax.util.engine import Runner
from stgan_jax.video.batch import exit_code

_SHOWN = 20  # lines on the screen about what failed and what is left


def build(
    paths: tuple[str, str],
    rows: Sequence[dict[str, Any]],
    left: Sequence[dict[str, str]],
    runner: Runner,
    seconds: float,
) -> dict[str, Any]:
    """The summary of an archive.

    Args:
      paths: the archive's input and output.
      rows: for each clip or walk `input`, `output`, `exit_code`, and `error`, or `frames`, and of a
        clip `seconds`, `people`, `sightings`, `covered` and `blanked`; `skipped` if it was complete
        before; `retried`, why it was tried again.
      left: what of the input is neither, `path` and `why`.
      runner: where it was done.
      seconds: how long this call took.

    Returns:
      these, and sums: `clips` by what became of them, `people`, `sightings`, `covered`, `blanked`
      and `frames` of all that is complete, `frames_per_second` of what this call did; `failures`,
      how many there are for each reason; `exit_code`, as that of a batch.
    """
    complete = [row for row in rows if "error" not in row]
    new = [row for row in complete if "skipped" not in row]
    whys = Counter(why(row) for row in rows if "error" in row)
    names = "frames", "people", "sightings", "covered", "blanked"
    return {
        "version": 1,
        "input": paths[0],
        "output": paths[1],
        "runner": runner.name,
        "jobs": runner.jobs,
        "clips": {
            "all": len(rows),
            "done": len(new),
            "there_already": len(complete) - len(new),
            "failed": len(rows) - len(complete),
        },
        **{name: sum(row.get(name, 0) for row in complete) for name in names},
        "seconds": round(seconds, 2),
        "frames_per_second": round(sum(row["frames"] for row in new) / seconds, 2),
        "failures": [{"why": text, "clips": count} for text, count in whys.most_common()],
        "left": list(left),
        "files": sorted(rows, key=lambda row: row["input"]),
        "exit_code": exit_code(rows, left),
    }


def why(row: Mapping[str, Any]) -> str:
    """The reason of a failure, without the clip's name."""
    return row["error"].removeprefix(f"{row['input']}: ")


def lines(result: dict[str, Any]) -> str:
    """A summary in lines for people."""
    failed = [f"error: {row['error']}" for row in result["files"] if "error" in row]
    left = [f"left: {row['path']}: {row['why']}" for row in result["left"]]
    listed = []
    for some in (failed, left):
        listed += some[:_SHOWN]
        listed += [f"and {len(some) - _SHOWN} more, see the summary"] if len(some) > _SHOWN else []
    clips = result["clips"]
    return "\n".join(
        [
            *listed,
            f"{result['output']}: {clips['done']} of {clips['all']} done, "
            f"{clips['there_already']} were there already, {clips['failed']} failed, "
            f"{len(left)} left; {result['people']} people, {result['covered']} of "
            f"{result['sightings']} sightings covered, {result['blanked']} frames without people; "
            f"{result['frames_per_second']:.1f} frames a second",
        ]
    )
