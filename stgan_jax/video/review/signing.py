"""Signing an anonymised clip off: who looked at what, as JSON and as a page to be printed."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stgan_jax import __version__
from stgan_jax.util import files, web
from stgan_jax.util.errors import InputError
from stgan_jax.video.inputs import SIGNED
from stgan_jax.video.review.session import Session

VERSION = 1


def refusal(session: Session) -> str | None:
    """Why a clip cannot be signed off now; None if it can."""
    if session.error:
        return session.error
    return "Frames are still being rendered." if session.busy else _unseen(session)


def _unseen(session: Session) -> str | None:
    seen = set(session.record.seen)
    unseen = sum(moment.name not in seen for moment in session.rendered.moments)
    return f"Doubtful moments that nobody has looked at: {unseen}." if unseen else None


def sign(session: Session, who: str, output: Path, settings: Mapping[str, Any]) -> Path:
    """Writes the output, its report, and the two files that sign it off.

    Args:
      session: a review that may be signed off, see `refusal`.
      who: the name of the person who looked.
      output: the file or folder that the review's work writes.
      settings: what the clip was anonymised with.

    Returns:
      the page.

    Raises:
      InputError: decisions that were made meanwhile brought doubtful moments.
    """
    if why := _unseen(session):
        raise InputError(why)
    done = session.rendered
    report = session.work.write(done.persons, done.mended, done.record.decisions)
    rows = {row["person"]: row for row in report["people"]}
    values = {
        "version": VERSION,
        "who": who,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "program": f"stgan_jax {__version__}",
        "settings": dict(settings),
        "input": {"name": session.work.source.path.name, "sha256": done.record.clip.sha256},
        "output": {"name": output.name, "sha256": files.digest(output)},
        "frames": report["frames"],
        "people": [
            _row(track.number, track.how, rows.get(track.number)) for track in done.plan.tracks
        ],
        "never_shown": [dataclasses.asdict(curtain) for curtain in done.plan.curtains],
        "decisions": list(done.record.decisions),
        "looked_at": [dataclasses.asdict(moment) for moment in done.moments],
        "leftovers_looked_for": done.mended.backdrop.scene is not None,
    }
    page = named(output, ".html")
    template = web.templates(Path(__file__).parent / "templates").get_template("signed.html")
    _write(named(output, ".json"), json.dumps(values, indent=2) + "\n")
    _write(page, template.render(values))
    return page


def named(output: Path, suffix: str) -> Path:
    """Where an output is signed off."""
    return output.with_name(files.shortened(output.stem, SIGNED + suffix) + SIGNED + suffix)


def _row(number: int, how: str, row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"person": number, "decided": how, "drawn": 0, "covered": 0, "because": {}}
    return {
        "person": number,
        "decided": how,
        "drawn": row["frames_anonymized"],
        "covered": row["frames_covered"],
        "because": row["covered_because"],
    }


def _write(path: Path, text: str) -> None:
    with files.replacing(path) as beside:
        beside.write_text(text)
        os.chmod(beside, 0o600)
