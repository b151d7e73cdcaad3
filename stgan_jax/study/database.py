"""A study's database, study.db: the clips, the raters' plans, and every rating.

SQLite in WAL mode with synchronous=FULL: a rating is on disk before it is acknowledged, so that
neither a killed server nor a power cut takes it back.

A study's folder also holds `clips` (files with blind names) and `invitations.csv` (the raters'
tokens, of which the database only holds the SHA-256).
"""

import contextlib
import dataclasses
import datetime
import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stgan_jax.util.errors import InputError

FILE = "study.db"
CLIPS = "clips"
INVITATIONS = "invitations.csv"
VERSION = 1
# ST-GAN 4.3: the absolute category rating scale of ITU-T P.910.
LABELS = ("Bad", "Poor", "Fair", "Good", "Excellent")
COMMENT_LENGTH = 2000  # characters
TOKEN_LENGTH = 22

_SCHEMA = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE clips (
  clip TEXT PRIMARY KEY, method TEXT NOT NULL, view INTEGER NOT NULL, source TEXT NOT NULL
);
CREATE TABLE raters (
  rater INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, consented TEXT, comment TEXT
);
CREATE TABLE presentations (
  presentation TEXT PRIMARY KEY,
  rater INTEGER NOT NULL REFERENCES raters,
  position INTEGER NOT NULL,
  clip TEXT NOT NULL REFERENCES clips,
  is_repeat INTEGER NOT NULL,
  UNIQUE (rater, position),
  UNIQUE (rater, clip, is_repeat)
);
CREATE TABLE ratings (
  presentation TEXT PRIMARY KEY REFERENCES presentations,
  score INTEGER NOT NULL CHECK (typeof(score) = 'integer' AND score BETWEEN 1 AND {len(LABELS)}),
  plays INTEGER NOT NULL,
  rated TEXT NOT NULL
);
"""


class Refusal(Exception):  # noqa: N818 (no error: an answer)
    """A request that is understood and refused.

    Attributes:
      status: HTTP's code for the reason.
    """

    def __init__(self, status: int, sentence: str):
        """Takes the code, and a sentence for the rater."""
        super().__init__(sentence)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Rater:
    """How far a rater is.

    Attributes:
      number: the rater's number, from 1.
      consented: whether they agreed to take part.
      rated: number of clips that they have rated.
      clips: number of clips in their plan.
      comment: what they wrote at the end.
    """

    number: int
    consented: bool
    rated: int
    clips: int
    comment: str

    @property
    def finished(self) -> bool:
        """Whether no clip is left."""
        return self.rated == self.clips


class Database:
    """Opens a study. May be used by many threads at once.

    Attributes:
      path: the file.
      settings: for showing the study: "id", "consent", and the clips' "video" (MIME type), "width"
        and "height".
    """

    def __init__(self, folder: str | os.PathLike):
        """Raises `InputError` if the folder holds no study of this version."""
        self.path = Path(folder) / FILE
        if not self.path.is_file():
            raise InputError(f"{folder}: holds no study: make one by study.py build --out={folder}")
        self._writing = threading.Lock()  # threads wait here instead of polling SQLite's lock
        try:
            with self._connection() as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version == VERSION:
                    self.settings = dict(connection.execute("SELECT name, value FROM settings"))
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: is damaged or not ours ({error})") from error
        if version != VERSION:
            raise InputError(f"{self.path}: is of version {version}, and {VERSION} is needed")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Committed, and so on disk, when the block has ended; rolled back on an error."""
        with self._writing, self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection  # closing without a commit rolls back
            connection.execute("COMMIT")

    def rater(self, token: str) -> Rater | None:
        """The rater who has a token; None if nobody has."""
        with self._connection() as connection:
            return _rater(connection, token)

    def consent(self, token: str, may_claim: bool = False) -> None:
        """Stores when a rater agreed to take part; the first time counts.

        Args:
          token: the rater's.
          may_claim: whether an unknown token gets the first free place, whose invitation becomes
            void.

        Raises:
          Refusal: the token is unknown (401), or no place is free (409).
        """
        with self._transaction() as connection:
            if may_claim and len(token) >= TOKEN_LENGTH and _rater(connection, token) is None:
                taken = connection.execute(
                    "UPDATE raters SET token = ? WHERE rater ="
                    " (SELECT min(rater) FROM raters WHERE consented IS NULL)",
                    (_digest(token),),
                )
                if not taken.rowcount:
                    raise Refusal(409, "All places of this study are taken.")
            connection.execute(
                "UPDATE raters SET consented = ? WHERE rater = ? AND consented IS NULL",
                (_now(), _require_rater(connection, token).number),
            )

    def upcoming(self, rater: Rater) -> str | None:
        """The presentation that a rater should rate next; None at the end."""
        with self._connection() as connection:
            return _upcoming(connection, rater.number)

    def clip(self, rater: Rater, presentation: str) -> Path:
        """File of a clip. Raises `Refusal` (404) if it is not among those the rater is shown."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT clip FROM presentations WHERE presentation = ? AND rater = ?",
                (presentation, rater.number),
            ).fetchone()
        if row is None:
            raise Refusal(404, "There is no such clip.")
        return self.path.parent / CLIPS / row[0]

    def rate(self, token: str, presentation: str, score: int, plays: int) -> None:
        """Stores a rating; it is on disk when this returns. To repeat it changes nothing.

        Args:
          token: the rater's.
          presentation: what is rated.
          score: 1 to 5.
          plays: how often the clip was watched to its end.

        Raises:
          Refusal: the token is unknown (401), there is no consent yet (403), the clip is not the
            rater's (404), has another score already or is not the next one (409).
        """
        with self._transaction() as connection:
            rater = _require_rater(connection, token)
            if not rater.consented:
                raise Refusal(403, "Please agree to take part first.")
            row = connection.execute(
                "SELECT score FROM presentations LEFT JOIN ratings USING (presentation)"
                " WHERE presentation = ? AND rater = ?",
                (presentation, rater.number),
            ).fetchone()
            if row is None:
                raise Refusal(404, "There is no such clip.")
            if row[0] == score:
                return
            if row[0] is not None:
                raise Refusal(409, "This clip has been rated before.")
            if presentation != _upcoming(connection, rater.number):
                raise Refusal(409, "Another clip comes first.")
            connection.execute(
                "INSERT INTO ratings VALUES (?, ?, ?, ?)", (presentation, score, plays, _now())
            )

    def comment(self, token: str, text: str) -> None:
        """Stores or replaces a rater's comment. Raises `Refusal` (401; 403 before the end)."""
        with self._transaction() as connection:
            rater = _require_rater(connection, token)
            if not rater.consented or not rater.finished:
                raise Refusal(403, "Comments are taken at the end.")
            connection.execute(
                "UPDATE raters SET comment = ? WHERE rater = ?", (text, rater.number)
            )

    def presentations(self) -> list[dict[str, Any]]:
        """All raters' plans, in order, and their ratings.

        Returns:
          rows of `rater`, `position`, `clip`, `method`, `view`, `source`, `is_repeat`, and of
          `score`, `plays` and `rated` (UTC), which are None before the rating.
        """
        with self._connection() as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "SELECT rater, position, clip, method, view, source, is_repeat, score, plays, rated"
                " FROM presentations JOIN clips USING (clip) LEFT JOIN ratings USING (presentation)"
                " ORDER BY rater, position"
            )
            return [dict(row) for row in rows]

    def comments(self) -> dict[int, str]:
        """Raters' comments, by rater."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT rater, comment FROM raters WHERE comment <> ''"))


def create(
    folder: str | os.PathLike,
    settings: Mapping[str, str],
    clips: Sequence[tuple[str, str, int, str]],
    plans: Sequence[Sequence[tuple[str, bool]]],
) -> list[str]:
    """Creates the database of a new study.

    Args:
      folder: the study's; must not hold one yet.
      settings: see `Database`.
      clips: file name, method, view in degrees and source of each.
      plans: clips of each rater in order, and whether they are repeats.

    Returns:
      the raters' tokens.
    """
    tokens = [new_token() for _ in plans]
    connection = sqlite3.connect(Path(folder) / FILE)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
        connection.executemany("INSERT INTO clips VALUES (?, ?, ?, ?)", clips)
        for number, (token, plan) in enumerate(zip(tokens, plans, strict=True), 1):
            connection.execute(
                "INSERT INTO raters (rater, token) VALUES (?, ?)", (number, _digest(token))
            )
            connection.executemany(
                "INSERT INTO presentations VALUES (?, ?, ?, ?, ?)",
                [
                    (secrets.token_urlsafe(12), number, position, clip, int(is_repeat))
                    for position, (clip, is_repeat) in enumerate(plan)
                ],
            )
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()
    return tokens


def new_token() -> str:
    """A secret of 128 bits, in characters that an address may hold."""
    return secrets.token_urlsafe(16)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _rater(connection: sqlite3.Connection, token: str) -> Rater | None:
    row = connection.execute(
        "SELECT rater, consented IS NOT NULL, coalesce(comment, '') FROM raters WHERE token = ?",
        (_digest(token),),
    ).fetchone()
    if row is None:
        return None
    clips, rated = connection.execute(
        "SELECT count(*), count(score) FROM presentations LEFT JOIN ratings USING (presentation)"
        " WHERE rater = ?",
        row[:1],
    ).fetchone()
    return Rater(row[0], bool(row[1]), rated, clips, row[2])


def _require_rater(connection: sqlite3.Connection, token: str) -> Rater:
    rater = _rater(connection, token)
    if rater is None:
        raise Refusal(401, "This link is not known here: use the one you were given.")
    return rater


def _upcoming(connection: sqlite3.Connection, rater: int) -> str | None:
    row = connection.execute(
        "SELECT presentation FROM presentations LEFT JOIN ratings USING (presentation)"
        " WHERE rater = ? AND score IS NULL ORDER BY position LIMIT 1",
        (rater,),
    ).fetchone()
    return None if row is None else row[0]
