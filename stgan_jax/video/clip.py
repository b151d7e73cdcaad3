"""Anonymises one clip: a first pass finds the people, a second writes the result.

Every failure fails closed: the output shows the empty scene and anonymised people on it, so that
a person or frame with which something goes wrong is missing from it, counted and reported.
"""

import array
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from stgan_jax.media import containers, pictures, stabilizing, streams, threads
from stgan_jax.media.sound import Audio
from stgan_jax.methods import api
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import backdrop as backdrops
from stgan_jax.video import keys, report
from stgan_jax.video.backdrop import Backdrop, Entry
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import anonymizing, finding, masks, networks, steady
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Subject
from stgan_jax.video.render import compose, sheet, wardrobe
from stgan_jax.video.source import ClipOptions, ClipSource

_RATE = (
    "{}: {:g} frames a second by its header and time stamps, which no camera records: people may "
    "be taken as seen too briefly, or for things; if the rate is wrong, set it right first"
)
_LYING = "{}: people lie in it, so it is worked on turned, and written as it was"


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
      seed: of everybody's random numbers; by default a random one.
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
    with contextlib.closing(_Clip(source, output, model, options, report)) as clip:
        return clip.run()


class _Clip:
    def __init__(self, source, output, model: api.Anonymizer, options: ClipOptions, report_file):
        self._started = time.monotonic()
        model.require_video()
        self._options, self._model, self._output = options, model, output
        self._report_file = report_file
        self._source = ClipSource(source, options.cut)
        self._check_outputs()
        network = Recolorer.load() if options.color == "transfer" else None
        self._look = compose.Look(options.face, options.color == "atlas", network)
        self._shape = self._source.shape
        self._blanks = Blanks()
        self._times = array.array("d")
        self._camera: steady.Steady | None = None
        self._shelf = Shelf(os.path.dirname(os.path.abspath(output)))

    def close(self) -> None:
        self._shelf.close()

    def _check_outputs(self) -> None:
        source, options = self._source, self._options
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

    def run(self) -> dict[str, Any]:
        options, source = self._options, self._source
        seed = keys.random_seed() if options.seed is None else options.seed
        subjects, backdrop, found_by = self._find()
        if not subjects and found_by != "networks":  # difference misses who does not move
            first = self._blanks.first
            if first and len(self._blanks.reasons) == len(self._times):
                raise InputError(f"{source.path}: every frame failed: {first[1]}")
            raise InputError(f"{source.path}: no walking person found, nothing to anonymise")
        persons = self._anonymize(subjects, keys.root(seed))
        if options.color == "atlas" and not options.silhouettes_only:
            fps = float(source.info.fps)
            wardrobe.collect(persons, source.frames(), fps, options.face)
        cells = compose.sheet_cells(persons) if options.contact_sheet else {}
        preview = compose.Preview()
        steadied = None
        if options.stabilize and self._camera is not None:
            steadied = stabilizing.Stabilizer(self._camera.way, float(source.info.fps))
        with source.writer(self._output, options) as append:
            for number, frame, composed in self._compose(persons, backdrop):
                for present, why in composed.failed:
                    present.person.hidden[present.i] = why
                image = composed.image if steadied is None else steadied(number, composed.image)
                append(dataclasses.replace(frame, image=image))
                preview.add(image)
                for cell in cells.get(number, ()):
                    cell.fill(frame.image, composed.image)
        seconds = time.monotonic() - self._started
        stored = seed if options.store_seed else None
        outcome = report.Outcome(
            persons,
            self._times,
            self._blanks.reasons,
            found_by,
            seconds,
            stored,
            "still" if self._camera is None else self._camera.verdict,
            {} if backdrop.around is None else backdrop.around.made,
            1.0 if steadied is None else steadied.zoom,
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

    def _find(self) -> tuple[list[Subject], Backdrop, str]:
        """Everybody in the clip, what is behind them, and how they were found."""
        options, source = self._options, self._source
        if options.masks:
            from_files = masks.FromFiles(options.masks)
            backdrop = backdrops.behind_masks(source, options, from_files, self._shelf)
            return self._track(from_files, backdrop), backdrop, "masks"
        if options.segmenter:
            segmenter = masks.Segmenter(options.segmenter, options.segmenter_input)
            backdrop = backdrops.behind_masks(source, options, segmenter, self._shelf)
            return self._track(segmenter, backdrop), backdrop, "segmenter"
        nets = networks.load(options.models) if options.people == "networks" else None
        if nets is None:
            backdrop = backdrops.without_networks(source, options)
            assert backdrop.scene is not None
            detector = masks.ByBackground(backdrop.scene.threshold)
            return self._track(detector, backdrop), backdrop, "difference"
        samples = source.samples()
        source.moves = backdrops.moves(samples)
        if source.moves:
            backdrops.check_moving(source, options)
        source.turns = finding.quarter_turns(samples, nets)
        if source.turns:
            tqdm.write(_LYING.format(source.path), file=sys.stderr)
            samples = source.samples()
            self._shape = source.shape
        scene = backdrops.given_scene(source, options, samples)
        sides = finding.sides(samples, nets)
        del samples
        found = finding.find(source, sides, nets, self._shelf, self._blanks, self._progress, scene)
        base = source.info.time_base
        self._times.extend(float(pts * base) for pts in found.stamps)
        self._camera = found.camera
        if found.camera is not None:
            backdrop = backdrops.behind_moving(source, found.camera, found.hidden)
            return found.subjects, backdrop, "networks"
        hidden = found.hidden if options.things == "keep" else None
        backdrop = Backdrop(found.scene, float(source.info.fps), hidden=hidden)
        return found.subjects, backdrop, "networks"

    def _track(self, detector: masks.Detector, backdrop: Backdrop) -> list[Subject]:
        """The first pass: detects people in each frame and tracks them."""

        def detect(entry: Entry) -> tuple[Entry, masks.Mask | None]:
            try:
                return entry, detector(entry.number, entry.frame.image, entry.empty)
            except Exception as error:
                self._blanks.add(entry.number, "detection", error)
                return entry, None

        def detected() -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
            with self._progress("finding people") as bar:
                entries = self._entries(backdrop)
                for (number, frame, _), mask in threads.mapped(detect, entries, detector.workers):
                    bar.update()
                    self._times.append(float(frame.pts * self._source.info.time_base))
                    if backdrop.hidden is not None and self._camera is not None:
                        wide = None if mask is None else backdrops.widened(mask)
                        backdrop.hidden.add(wide)
                        self._camera.add(frame.image, masks.boxes(wide))
                    yield number, frame.image, mask

        if self._source.moves:
            self._camera = steady.Steady(self._shape)

        subjects = anonymizing.track_people(
            detected(),
            self._shape,
            self._shelf,
            self._blanks,
            detector.has_ids,
            float(self._source.info.fps),
        )
        if isinstance(detector, masks.FromFiles) and self._options.cut.whole:
            detector.check(len(self._times))
        if self._camera is not None and backdrop.hidden is not None:
            moving = backdrops.behind_moving(self._source, self._camera, backdrop.hidden)
            backdrop.around = moving.around
        return subjects

    def _anonymize(self, subjects: Sequence[Subject], root: jax.Array) -> list[anonymizing.Person]:
        fps = float(self._source.info.fps)
        persons = anonymizing.anonymize(
            subjects, self._shape, fps, root, self._model, self._shelf, self._camera
        )
        return list(tqdm(persons, desc="anonymising", unit="person", total=len(subjects)))

    def _entries(self, backdrop: Backdrop) -> Iterator[Entry]:
        entries = backdrop.entries(self._source.frames(), self._blanks)
        return threads.ahead(entries, self._source.depth)

    def _compose(
        self, persons: list[anonymizing.Person], backdrop: Backdrop
    ) -> Iterator[tuple[int, containers.Stamped, compose.Composed]]:
        """The second pass: each frame and what is shown in its place."""
        presence = compose.Presence(persons)
        plain = self._options.silhouettes_only

        def paint(work: tuple[Entry, list[compose.Present]]):
            entry, present = work
            number, frame, empty = entry
            try:
                failed = number in self._blanks.reasons
                canvas = np.zeros_like(frame.image) if plain else backdrop.canvas(entry)
                if failed and empty is not None and not plain:
                    canvas = empty.copy()
                if failed:
                    return number, frame, compose.Composed(canvas, [])
                composed = compose.compose(canvas, frame.image, present, plain, self._look)
                return number, frame, composed
            except Exception as error:
                self._blanks.add(number, "composing", error)
                black = np.zeros_like(frame.image)
                blank = black if empty is None or plain else empty.copy()
                return number, frame, compose.Composed(blank, [])

        work = ((entry, presence.at(entry.number)) for entry in self._entries(backdrop))
        with self._progress("writing") as bar:
            for result in threads.mapped(paint, work):
                bar.update()
                yield result

    def _progress(self, what: str) -> tqdm:
        total = self._source.info.frames if self._options.cut.whole else 0
        return tqdm(total=len(self._times) or total or None, desc=what, unit="frame")
