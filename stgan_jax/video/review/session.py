"""A review of one clip: its decisions, its frames before and after, and what changed since.

Frames lie as JPEG in a folder; a thread renders those again whose signatures a decision changed. A
decision is on disk before anything else is done.
"""

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np

from stgan_jax.media import threads
from stgan_jax.util import errors, files
from stgan_jax.util.errors import InputError
from stgan_jax.video import decisions, search
from stgan_jax.video.backdrop import Backdrop, Entry
from stgan_jax.video.clip import ClipWork
from stgan_jax.video.decisions import Corners, Decision, Plan, Record
from stgan_jax.video.mending import Mended
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.render import compose
from stgan_jax.video.review import moments

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]
_THUMB = 96  # pixels, height of a thumbnail
SIDES = ("original", "result")


@dataclasses.dataclass(frozen=True)
class Rendered:
    """The latest plan of which all frames are rendered."""

    record: Record
    plan: Plan
    persons: list[Person]
    mended: Mended
    moments: list[moments.Moment]


class Session:
    """A review. Its methods may be called by several threads."""

    rendered: Rendered

    def __init__(self, work: ClipWork, path: Path, folder: Path):
        """Takes up a review where it was left; renders all frames, which takes a while.

        Args:
          work: the work on the clip, after `find`.
          path: file of the decisions, read if it is there.
          folder: an empty folder for the frames.

        Raises:
          InputError: the file is damaged, or does not fit the clip.
        """
        self.work, self.folder, self._path = work, folder, path
        clip = work.basis.footage
        self.record = Record(clip)
        if path.exists():
            record = decisions.read(path, work.source.path)
            self.record = decisions.fitted(record, path, clip)
        work.check(decisions.plan(self.record.decisions, clip))
        self._signatures: list[Hashable] = [None] * clip.frames
        self._leftovers: dict[int, Corners] = {}
        self._blanked: dict[int, str] = {}
        self._lock = threading.Condition()
        self._busy = self._stopped = False
        self._job: Callable[[], None] | None = None
        self.error: str | None = None
        self.progress = 0, 0  # frames rendered, of how many
        self.revision = 0  # raised when frames have changed
        for side in SIDES:
            (folder / side).mkdir()
        with search.progress(work.source, "rendering", clip.frames) as bar:
            self._render(self.record, bar.update)
        device = getattr(jax.config, "jax_default_device")  # noqa: B009 (its stub lacks it)
        self._thread = threading.Thread(target=self._run, args=(device,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()
        self._thread.join()

    # --- decisions ---------------------------------------------------------------------------

    def decide(self, decision: Decision) -> None:
        """Adds a decision. Raises `InputError` if it does not fit; nothing is stored then."""
        with self._lock:
            decided = (*self.record.decisions, decision)
            self.work.check(decisions.plan(decided, self.record.clip))
            self._store(decisions=decided, undone=())

    def undo(self) -> None:
        """Takes the last decision back, if there is one."""
        with self._lock:
            *decided, last = self.record.decisions or (None,)
            if last is not None:
                self._store(decisions=tuple(decided), undone=(*self.record.undone, last))

    def redo(self) -> None:
        """Makes the decision again that was taken back last, if there is one."""
        with self._lock:
            *undone, last = self.record.undone or (None,)
            if last is not None:
                self._store(decisions=(*self.record.decisions, last), undone=tuple(undone))

    def see(self, names: Iterable[str]) -> None:
        """Notes that doubtful moments were looked at. Names of none are passed over."""
        with self._lock:
            known = {moment.name for moment in self.rendered.moments}
            seen = dict.fromkeys([*self.record.seen, *(known & set(names))])
            self._store(seen=tuple(seen))

    def _store(self, **changes: Any) -> None:
        record = dataclasses.replace(self.record, **changes)
        record.save(self._path)
        self.record, self.error = record, None
        self._lock.notify_all()

    # --- rendering ---------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is being rendered or written, or is waiting for that."""
        with self._lock:
            return self._busy or self._job is not None or self._is_stale()

    def wait(self) -> None:
        """Returns once nothing is being rendered or written."""
        with self._lock:
            self._lock.wait_for(lambda: self.error or not (self._busy or self._is_stale()))

    def begin(self, job: Callable[[], None]) -> None:
        """Has the thread do something when all frames are rendered."""
        with self._lock:
            self._job = job
            self._lock.notify_all()

    def _is_stale(self) -> bool:
        return self.record.decisions != self.rendered.record.decisions

    def _run(self, device: Any) -> None:
        with jax.default_device(device):
            failed: Record | None = None
            while True:
                with self._lock:
                    self._busy = False
                    self._lock.notify_all()
                    self._lock.wait_for(
                        lambda: (
                            self._stopped
                            or self._job
                            or (self._is_stale() and self.record is not failed)  # noqa: B023
                        )
                    )
                    if self._stopped:
                        return
                    record, job = self.record, None
                    if not self._is_stale():
                        job, self._job = self._job, None
                    self._busy, self.error = True, None
                try:
                    if job is None:
                        self._render(record, lambda: None)
                    else:
                        job()
                except Exception as error:
                    failed = record
                    known = isinstance(error, InputError | OSError)
                    self.error = str(error) if known else errors.unexpected(error)

    def _render(self, record: Record, update: Callable[[], Any]) -> None:
        """Renders the frames that other decisions change."""
        plan = decisions.plan(record.decisions, record.clip)
        persons, mended = self.work.people(plan)
        assert mended is not None
        pairs = zip(mended.signatures, self._signatures, strict=True)
        todo = {number for number, (new, old) in enumerate(pairs) if new != old}
        blanks = self.work.blanks.copy()
        self.progress = 0, len(todo)
        frames = self.work.frames(persons, mended.backdrop, blanks, todo) if todo else iter(())

        def keep(work: tuple[Entry, compose.Composed]) -> tuple[int, Corners | None]:
            return work[0].number, self._keep(*work, mended.backdrop)

        for number in todo:
            self._signatures[number] = None  # in case that this fails
        for done, (number, left) in enumerate(threads.mapped(keep, frames), 1):
            self._leftovers.pop(number, None)
            self._blanked.pop(number, None)
            if left is not None:
                self._leftovers[number] = left
            if number in blanks.reasons:
                self._blanked[number] = blanks.reasons[number]
            self.progress = done, len(todo)
            update()
            if self._stopped:
                return
        for number in todo:
            self._signatures[number] = mended.signatures[number]
        found = moments.doubtful(
            persons,
            self._leftovers,
            self._blanked,
            self.work.source.shape,
            float(self.work.source.info.fps),
            range(record.clip.frames if mended.backdrop.scene is None else 0),
        )
        with self._lock:
            self.rendered = Rendered(record, plan, persons, mended, found)
            self.revision += 1

    def _keep(self, entry: Entry, composed: compose.Composed, backdrop: Backdrop) -> Corners | None:
        """Stores a frame; returns the box of what is left of somebody in it, if anything is."""
        number, frame, empty = entry
        original = self._file("original", number)
        if not original.exists():
            _write(original, frame.image)
        _write(self._file("result", number), composed.image)
        scene = backdrop.scene
        if scene is None or empty is None:
            return None
        as_is = None if backdrop.as_is is None else backdrop.as_is[number]
        with contextlib.suppress(cv2.error):
            return moments.leftover(frame.image, composed.image, empty, scene, as_is)
        return (0, 0, frame.image.shape[1], frame.image.shape[0])  # nobody can say: to be seen

    def _file(self, side: str, number: int) -> Path:
        return self.folder / side / f"{number:07d}.jpg"

    # --- pictures ----------------------------------------------------------------------------

    def frame(self, side: str, number: int) -> bytes:
        """A frame as JPEG. Raises `KeyError` if there is none."""
        if side not in SIDES or not 0 <= number < self.record.clip.frames:
            raise KeyError(number)
        return self._file(side, number).read_bytes()

    def thumbnail(self, side: str, number: int) -> bytes:
        """A track in the middle of its sightings, as JPEG. Raises `KeyError` if there is none."""
        tracks = self.rendered.mended.subjects.items()
        found = [subject for track, subject in tracks if track.number == number]
        if not found:
            raise KeyError(number)
        [subject] = found
        sighting = subject.sightings[len(subject.sightings) // 2]
        data = np.frombuffer(self.frame(side, sighting.frame), np.uint8)
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
        margin = round(0.1 * float(sighting.box[2] - sighting.box[0]))
        top, left = np.maximum(sighting.box[:2] - margin, 0)
        part = image[top : sighting.box[2] + margin, left : sighting.box[3] + margin]
        width = max(1, round(part.shape[1] * _THUMB / part.shape[0]))
        small = cv2.resize(part, (width, _THUMB), interpolation=cv2.INTER_AREA)
        return cv2.imencode(".jpg", small, _QUALITY)[1].tobytes()


def _write(path: Path, image: np.ndarray) -> None:
    """Writes a picture under another name first: somebody may be reading."""
    data = cv2.imencode(".jpg", image[..., ::-1], _QUALITY)[1]
    beside = files.beside(path)
    beside.write_bytes(data.tobytes())
    os.replace(beside, path)
