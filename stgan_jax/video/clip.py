"""Anonymises one clip: a first pass finds the people, a second writes the result.

Every failure fails closed: the output shows the empty scene and anonymised people on it, so that
a person or frame with which something goes wrong is missing from it, counted and reported.
"""

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from stgan_jax.media import containers, pictures, stabilizing, streams, threads
from stgan_jax.media.sound import Audio
from stgan_jax.methods import api
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import decisions, keys, mending, report, search
from stgan_jax.video.backdrop import Backdrop, Entry
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import anonymizing
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Subject
from stgan_jax.video.render import compose, sheet, wardrobe
from stgan_jax.video.source import ClipOptions, ClipSource

_RATE = (
    "{}: {:g} frames a second by its header and time stamps, which no camera records: people may "
    "be taken as seen too briefly, or for things; if the rate is wrong, set it right first"
)


def anonymize_video(
    source: str | os.PathLike,
    output: str | os.PathLike,
    model: api.Anonymizer,
    *,
    seed: int | None = None,
    report: str | os.PathLike | None = None,
    contact_sheet: str | os.PathLike | None = None,
    options: ClipOptions | None = None,
) -> dict[str, Any]:
    """Anonymises everybody who walks in a video, or in a folder of its frames.

    The output shows the scene with the anonymised people in it: the original people are covered
    by what is behind them, also who could not be anonymised.

    Args:
      source: the video, or a folder of pictures.
      output: video or folder to write; it appears complete or not at all.
      model: the anonymiser, see `catalog.load`.
      seed: decides everybody's random numbers; by default a random one.
      report: JSON file to write, the returned value.
      contact_sheet: PNG to write: original, silhouette, anonymised silhouette, recoloured.
        It shows the original people: not for publication.
      options: all other options; `seed` and `contact_sheet` may be among them.

    Returns:
      the report, see `report.build`.

    Raises:
      InputError: an unusable video, one whose camera moves, a model that cannot anonymise videos,
        a file that cannot be written, or, without networks, nobody in it.
    """
    options = options or ClipOptions()
    if seed is not None:
        options = dataclasses.replace(options, seed=seed)
    if contact_sheet is not None:
        options = dataclasses.replace(options, contact_sheet=contact_sheet)
    with contextlib.closing(ClipWork(source, output, model, options, report)) as work:
        work.find()
        plan, decided = None, work.decided_before()
        if decided is not None:
            plan = decisions.plan(decided, work.basis.footage)
        return work.write(*work.people(plan), decided)


class ClipWork:
    """The work on one clip, step by step: `find`, then `people`, then `frames` or `write`.

    Attributes:
      basis: what was found.
      blanks: frames at which finding failed.
      source: the clip.
    """

    basis: search.Basis

    def __init__(
        self,
        source: str | os.PathLike,
        output: str | os.PathLike,
        model: api.Anonymizer,
        options: ClipOptions,
        report_file: str | os.PathLike | None,
    ):
        """Arguments as in `anonymize_video`. Raises `InputError` for what cannot be written."""
        self._started = time.monotonic()
        model.require_video()
        self._options, self._model, self._output = options, model, output
        self._report_file = report_file
        self.source = ClipSource(source, options.cut)
        self._seed = keys.random_seed() if options.seed is None else options.seed
        self._check_outputs()
        self._record = self._read_decisions()
        network = Recolorer.load() if options.color == "transfer" else None
        self._look = compose.Look(options.face, options.color == "atlas", network)
        self.blanks = Blanks()
        self._shelf = Shelf(os.path.dirname(os.path.abspath(output)))
        self._persons: dict[decisions.Planned, anonymizing.Person] = {}

    @property
    def alpha(self) -> float | None:
        """How far bodies move to the stranger's; None where that cannot be chosen."""
        return self._model.alpha if "alpha" in self._model.OPTIONS else None

    def close(self) -> None:
        """Deletes what was stored of the clip."""
        self._shelf.close()

    def _read_decisions(self) -> tuple[decisions.Record, str | os.PathLike] | None:
        path = self._options.decisions
        if path is not None and os.fspath(path) == "beside":
            path = decisions.beside(self.source.path)
            path = path if path.exists() else None
        return None if path is None else (decisions.read(path, self.source.path), path)

    def _check_outputs(self) -> None:
        source, options = self.source, self._options
        if source.is_folder:
            pictures.check_folder(self._output)
            pictures.png_names(source.path)
        else:
            containers.codec_of(self._output, options.codec)
            if options.keep_audio:
                Audio(source.path, options.start, options.end).check(self._output)
            if not streams.plausible(source.info.fps):
                tqdm.write(_RATE.format(source.path, float(source.info.fps)), file=sys.stderr)
        for path in (self._output, self._report_file, options.contact_sheet, options.preview):
            if path is None:
                continue
            is_folder = source.is_folder and path is self._output
            files.check_output(os.path.join(os.path.dirname(path), ".x") if is_folder else path)
            if os.path.exists(path) and os.path.samefile(source.path, path):
                raise InputError(f"{path}: would replace the input, name another file")

    def find(self) -> None:
        """Finds everybody and what is behind them. Raises `InputError` as `anonymize_video`."""
        self.basis = search.search(self.source, self._options, self._shelf, self.blanks)
        self._mending = mending.Mending(self.basis, self._shelf)

    def decided_before(self) -> Sequence[decisions.Decision] | None:
        """The decisions that the options name, if there are any.

        Raises:
          InputError: they do not fit what was found.
        """
        if self._record is None:
            return None
        return decisions.fitted(*self._record, self.basis.footage).decisions

    def check(self, plan: decisions.Plan) -> None:
        """Raises `InputError` if the model cannot do what a plan asks for."""
        for alpha in {track.alpha for track in plan.tracks}:
            self._model.with_options(alpha=alpha)

    def people(
        self, plan: decisions.Plan | None
    ) -> tuple[list[anonymizing.Person], mending.Mended | None]:
        """Everybody by a plan, with new bodies; without one as they were found."""
        if plan is None:
            persons = self._anonymize(self.basis.subjects, self._model)
            self._dress(persons)
            return persons, None
        self.check(plan)
        mended = self._mending.mended(plan)
        drawn = {t: s for t, s in mended.subjects.items() if t.how != "leave"}
        new: dict[decisions.Planned, anonymizing.Person] = {}
        for alpha in {track.alpha for track in drawn}:
            model = self._model.with_options(alpha=alpha)
            todo = [t for t in drawn if t.alpha == alpha and t not in self._persons]
            # Nobody else may change them: methods of whole walks take each walk by itself.
            for group in filter(None, [todo] if model.whole else [[track] for track in todo]):
                persons = self._anonymize([drawn[track] for track in group], model)
                new.update(zip(group, persons, strict=True))
        self._dress(list(new.values()))
        self._persons.update(new)
        return [self._persons[track] for track in drawn], mended

    def _dress(self, persons: list[anonymizing.Person]) -> None:
        options = self._options
        if persons and options.color == "atlas" and not options.silhouettes_only:
            fps = float(self.source.info.fps)
            wardrobe.collect(persons, self.source.frames(), fps, options.face)

    def write(
        self,
        persons: list[anonymizing.Person],
        mended: mending.Mended | None,
        decided: Sequence[decisions.Decision] | None,
    ) -> dict[str, Any]:
        """Writes the output, and all that goes with it; returns the report.

        Args:
          persons: everybody who is shown, from `people`.
          mended: what decisions made of the rest, from `people`.
          decided: the decisions behind them, for the report.
        """
        options, source = self._options, self.source
        backdrop = self.basis.backdrop if mended is None else mended.backdrop
        blanks = self.blanks.copy()
        cells = compose.sheet_cells(persons) if options.contact_sheet else {}
        preview = compose.Preview()
        steadied, camera = None, self.basis.camera
        if options.stabilize and camera is not None:
            steadied = stabilizing.Stabilizer(camera.way, float(source.info.fps))
        bar = search.progress(source, "writing", len(self.basis.times))
        with source.writer(self._output, options) as append, bar:
            for (number, frame, _), composed in self.frames(persons, backdrop, blanks):
                bar.update()
                image = composed.image if steadied is None else steadied(number, composed.image)
                append(dataclasses.replace(frame, image=image))
                preview.add(image)
                for cell in cells.get(number, ()):
                    cell.fill(frame.image, composed.image)
        outcome = report.Outcome(
            persons,
            self.basis.times,
            blanks.reasons,
            self.basis.found_by,
            time.monotonic() - self._started,
            self._seed if options.store_seed else None,
            "still" if camera is None else camera.verdict,
            {} if backdrop.around is None else backdrop.around.made_up,
            1.0 if steadied is None else steadied.zoom,
            decided,
        )
        result = report.build(source, self._output, options, self._model.alpha, outcome)
        if options.contact_sheet and cells:
            sheet.write(options.contact_sheet, [c for column in cells.values() for c in column])
        if options.preview:
            with files.replacing(options.preview) as beside:
                pictures.write(beside, preview.picture()[..., ::-1])
        if self._report_file:
            with files.replacing(self._report_file) as beside:
                beside.write_text(json.dumps(result, indent=2) + "\n")
        return result

    def _anonymize(
        self, subjects: Sequence[Subject], model: api.Anonymizer
    ) -> list[anonymizing.Person]:
        persons = anonymizing.anonymize(
            subjects,
            self.source.shape,
            float(self.source.info.fps),
            keys.root(self._seed),
            model,
            self._shelf,
            self.basis.camera,
            self.basis.subjects,
        )
        return list(tqdm(persons, desc="anonymising", unit="person", total=len(subjects)))

    def _entries(self, backdrop: Backdrop, blanks: Blanks) -> Iterator[Entry]:
        entries = backdrop.entries(self.source.frames(), blanks)
        return threads.ahead(entries, self.source.depth)

    def frames(
        self,
        persons: list[anonymizing.Person],
        backdrop: Backdrop,
        blanks: Blanks,
        only: Collection[int] | None = None,
    ) -> Iterator[tuple[Entry, compose.Composed]]:
        """The last pass: each frame and what is shown in its place.

        Args:
          persons: everybody who is shown.
          backdrop: what is behind them.
          blanks: frames at which finding failed; receives those at which this does.
          only: the frames that are wanted; None for all.
        """
        presence = compose.Presence(persons)
        plain, last = self._options.silhouettes_only, max(only or (), default=0)
        bare = dataclasses.replace(backdrop, as_is=None)  # where something failed, nothing is left

        def paint(work: tuple[Entry, list[compose.Present]]):
            entry, present = work
            number, frame, empty = entry
            try:
                failed = number in blanks.reasons
                behind = bare if failed else backdrop
                canvas = np.zeros_like(frame.image) if plain else behind.canvas(entry)
                if failed and empty is not None and not plain:
                    canvas = empty.copy()
                if failed:
                    present = []
                composed = compose.compose(canvas, frame.image, present, plain, self._look)
            except Exception as error:
                blanks.add(number, "composing", error)
                black = np.zeros_like(frame.image)
                blank = black if empty is None or plain else empty.copy()
                composed = compose.Composed(blank, [])
            image = backdrop.curtained(number, composed.image)
            return entry, dataclasses.replace(composed, image=image)

        def wanted() -> Iterator[tuple[Entry, list[compose.Present]]]:
            for entry in self._entries(backdrop, blanks):
                if only is None or entry.number in only:
                    yield entry, presence.at(entry.number)
                if only is not None and entry.number >= last:
                    break

        for entry, composed in threads.mapped(paint, wanted()):
            for present, why in composed.failed:
                present.person.hidden[present.i] = why
            yield entry, composed
