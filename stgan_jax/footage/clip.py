"""One clip anonymised: people found in a first pass, the result written in a second.

Whatever fails, fails closed: what is shown is the empty scene and anonymised people on it, so
that a person or a frame that something goes wrong with is missing, counted and told.
"""

import array
import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from stgan_jax import anonymizer, files
from stgan_jax.errors import InputError
from stgan_jax.footage import compose, keys, masks, people, report
from stgan_jax.footage.source import Options, Source
from stgan_jax.recolor import Recolorer
from stgan_jax.video import background, io, pictures, sheet, standing, threads
from stgan_jax.video.shelf import Shelf

_STILL = 0.004  # camera motion, in frame diagonals, that a static camera's noise can look like


@dataclasses.dataclass
class _Scene:
    """What is behind the people: a picture in changing light, frames, or what is around them.

    `standing`: where people may be in the picture itself; what is shown is filled there.
    """

    picture: background.Scene | None
    fps: float
    given: Source | None = None
    unions: people.Unions | None = None
    standing: np.ndarray | None = None
    _filled: tuple[np.ndarray, np.ndarray] | None = None

    def behind(
        self, frames: Iterator[io.Stamped], blanks: people.Blanks
    ) -> Iterator[tuple[int, io.Stamped, np.ndarray | None]]:
        """Numbers the frames and puts the empty scene beside each, where it is known."""
        light = background.Light(self.picture.empty, self.fps) if self.picture else None
        others = self.given.frames() if self.given else None
        for number, frame in enumerate(frames):
            empty = None
            try:
                if others is not None:
                    empty = next(others).image
                elif light is not None:
                    empty = light.see(frame.image)
            except Exception as error:
                blanks.add(number, "background", error)
                empty = self.picture.empty if self.picture else None
            yield number, frame, empty

    def canvas(self, number: int, image: np.ndarray, empty: np.ndarray | None) -> np.ndarray:
        """The frame without its people; black where that is not known."""
        if empty is not None:
            return self.vacated(empty)
        union = self.unions[number] if self.unions is not None else None
        return np.zeros_like(image) if union is None else masks.fill(image, union)

    def vacated(self, empty: np.ndarray) -> np.ndarray:
        """A copy of an empty scene, without those who stand in it."""
        if self.standing is None:
            return empty.copy()
        if (last := self._filled) is None or last[0] is not empty:  # light changes seldom
            self._filled = last = (empty, masks.fill(empty, self.standing))
        return last[1].copy()


def anonymize_video(
    source: str | os.PathLike,
    output: str | os.PathLike,
    model: anonymizer.AnyModel,
    *,
    seed: int | None = None,
    report: str | os.PathLike | None = None,
    contact_sheet: str | os.PathLike | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """Anonymises everybody who walks in a video, or in a folder of its frames.

    The output shows the scene's background with the anonymised people in it and nothing
    else of the original: whoever could not be anonymised is covered by background. Where the
    camera moves, which needs masks, it shows the frames around the masks.

    Args:
      source: the video, or a folder of pictures.
      output: video or folder to write; it appears complete or not at all.
      model: of `anonymizer.load_model`.
      seed: decides everybody's noise; random by default.
      report: JSON file to write, the returned value.
      contact_sheet: PNG to write: original, silhouette, anonymised silhouette, recoloured.
        It shows the original people: not for publication.
      options: all else; the two above may stand there, too.

    Returns:
      the report, see `report.told`.

    Raises:
      InputError: an unusable video, one whose camera moves, nobody in it, or a file that
        cannot be written.
    """
    options = options or Options()
    if seed is not None:
        options = dataclasses.replace(options, seed=seed)
    if contact_sheet is not None:
        options = dataclasses.replace(options, contact_sheet=contact_sheet)
    with contextlib.closing(_Clip(source, output, model, options, report)) as clip:
        return clip.run()


class _Clip:
    def __init__(self, source, output, model, options: Options, report_file):
        self._started = time.monotonic()
        self._options, self._model, self._output = options, model, output
        self._report_file = report_file
        self._source = Source(source, options.cut)
        self._check_outputs()
        network = Recolorer.load() if options.color == "transfer" else None
        self._colors = compose.Look(options.face, network)
        self._shape, self._fps = self._source.shape, float(self._source.info.fps)
        self._blanks = people.Blanks()
        self._times = array.array("d")
        self._shelf = Shelf(os.path.dirname(os.path.abspath(output)))

    def close(self) -> None:
        self._shelf.close()

    def _check_outputs(self) -> None:
        source, options = self._source, self._options
        if source.is_folder:
            pictures.check_folder(self._output)
            pictures.written(source.path)
        else:
            io.codec_of(self._output, options.codec)
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
        detector, scene = self._look()
        tracks = self._find(detector, scene)
        there = [] if scene.standing is None else standing.boxes(scene.standing)
        if not tracks and not there:
            raise InputError(f"{source.path}: no walking person found, nothing to anonymise")
        cells: dict[int, list[sheet.Cell]] = {}
        persons = list(
            tqdm(
                people.anonymize(
                    tracks, self._shape, self._fps, keys.root(seed),
                    people.model_of(self._model), self._shelf, self._model.context,
                    anonymizer.whole_walks(self._model),
                ),
                desc="anonymising", unit="person", total=len(tracks),
            )
        )  # fmt: skip
        if options.contact_sheet:
            cells = compose.sheet_cells(persons)
        preview = compose.Preview()
        with source.writer(self._output, options) as append:
            for number, frame, made in self._composed(persons, scene):
                for one, why in made.failed:
                    one.person.hidden[one.i] = why
                append(dataclasses.replace(frame, image=made.image))
                preview.see(made.image)
                for cell in cells.get(number, ()):
                    cell.fill(frame.image, made.image)
        told = report.told(
            source, self._output, self._model, options, persons, self._times,
            self._blanks.reasons, time.monotonic() - self._started,
            seed if options.store_seed else None, there,
        )  # fmt: skip
        if options.contact_sheet and cells:
            sheet.write(options.contact_sheet, [c for column in cells.values() for c in column])
        if options.preview:
            with files.replacing(options.preview) as beside:
                pictures.write(beside, preview.picture()[..., ::-1])
        if self._report_file:
            with files.replacing(self._report_file) as beside:
                beside.write_text(json.dumps(told, indent=2) + "\n")
        return told

    def _look(self) -> tuple[Callable, _Scene]:
        """Looks at samples of the clip: how people are found, and what is behind them."""
        options, source = self._options, self._source
        if options.masks or options.segmenter:
            detector = (
                masks.FromFiles(options.masks) if options.masks
                else masks.Segmenter(options.segmenter or "", options.segmenter_input)
            )  # fmt: skip
            return detector, self._behind_masks(detector)
        samples = source.samples()
        self._refuse_motion(samples)
        if options.background:
            scene = self._given(options.background)
            if scene.picture is None:
                raise InputError("--background takes a picture where no masks are given")
            noise = background.median_background(samples)[1]
            picture = background.Scene(scene.picture.empty, background.thresholds(noise))
            scene = _Scene(picture, self._fps)
        else:
            picture = background.scene_behind(samples)
            cover = options.standing == "cover"
            still = standing.people_in(picture.empty) if cover else None
            scene = _Scene(picture, self._fps, standing=still)
        assert scene.picture is not None
        return masks.ByBackground(scene.picture.threshold), scene

    def _refuse_motion(self, samples: np.ndarray) -> None:
        if background.camera_motion(samples) > _STILL:
            raise InputError(
                f"{self._source.path}: the camera moves, and only static cameras are supported "
                "without masks: stabilise the video, cut out a part where the camera stands "
                "still, or give --masks or a --segmenter"
            )

    def _behind_masks(self, detector: Callable) -> _Scene:
        """The scene where masks tell who is to be taken out of it."""
        if self._options.background:
            return self._given(self._options.background)
        samples = self._source.numbered_samples()
        images = np.stack([image for _, image in samples])
        if background.camera_motion(images) > _STILL:
            return _Scene(None, self._fps, unions=people.Unions(self._shelf, self._shape))
        hidden = [self._hidden(detector, number, image) for number, image in samples]
        empty = background.masked_median(images, np.stack(hidden))
        return _Scene(background.Scene(empty, np.zeros(self._shape, np.uint8)), self._fps)

    def _hidden(self, detector: Callable, number: int, image: np.ndarray) -> np.ndarray:
        """Where people are in a sample, with a margin; everywhere if that cannot be told."""
        try:
            mask = (detector(number, image, None) > 0).astype(np.uint8)
        except Exception:
            return np.ones(self._shape, np.uint8)
        margin = max(3, self._shape[0] // 60 | 1)
        return cv2.dilate(mask, np.ones((margin, margin), np.uint8))

    def _given(self, path: str | os.PathLike) -> _Scene:
        if os.path.isfile(path) and os.fspath(path).lower().endswith(pictures.SUFFIXES):
            empty = np.ascontiguousarray(pictures.read(path)[..., ::-1])
            if empty.shape[:2] != self._shape:
                empty = cv2.resize(empty, self._shape[::-1], interpolation=cv2.INTER_AREA)
            return _Scene(background.Scene(empty, np.zeros(self._shape, np.uint8)), self._fps)
        given = Source(path, self._options.cut)
        if given.shape != self._shape:
            raise InputError(f"{path}: the background's frames are of another size")
        return _Scene(None, self._fps, given=given)

    def _find(self, detector: Callable, scene: _Scene) -> list:
        """The first pass: where people are in each frame, and who is who."""

        def detect(entry: tuple[int, io.Stamped, np.ndarray | None]):
            number, frame, empty = entry
            try:
                return number, frame, detector(number, frame.image, empty)
            except Exception as error:
                self._blanks.add(number, "detection", error)
                return number, frame, None

        def found() -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
            with self._progress("finding people") as bar:
                for number, frame, mask in threads.mapped(
                    detect, self._entries(scene), 1 if hasattr(detector, "in_turn") else 2
                ):
                    bar.update()
                    self._times.append(float(frame.pts * self._source.info.time_base))
                    if scene.unions is not None:
                        scene.unions.add(mask)
                    yield number, frame.image, mask

        has_ids = detector.has_ids if hasattr(detector, "has_ids") else False
        tracks = people.follow(found(), self._shape, self._shelf, self._blanks, has_ids)
        if isinstance(detector, masks.FromFiles) and self._options.cut.whole:
            detector.check(len(self._times))
        return tracks

    def _entries(self, scene: _Scene) -> Iterator[tuple[int, io.Stamped, np.ndarray | None]]:
        size = 3 * self._shape[0] * self._shape[1]
        depth = int(np.clip((48 << 20) // size, 1, 6))
        return threads.ahead(scene.behind(self._source.frames(), self._blanks), depth)

    def _composed(
        self, persons: list[people.Person], scene: _Scene
    ) -> Iterator[tuple[int, io.Stamped, compose.Composed]]:
        """The second pass: each frame and what is shown in its place."""
        presence = compose.Presence(persons)
        plain, look = self._options.silhouettes_only, self._colors

        def make(work):
            (number, frame, empty), present = work
            try:
                canvas = (
                    np.zeros_like(frame.image) if plain
                    else scene.canvas(number, frame.image, empty)
                )  # fmt: skip
                if number in self._blanks.reasons:
                    return number, frame, compose.Composed(canvas, [])
                return number, frame, compose.compose(canvas, frame.image, present, plain, look)
            except Exception as error:
                self._blanks.add(number, "composing", error)
                nothing = np.zeros_like(frame.image)
                blank = nothing if empty is None or plain else scene.vacated(empty)
                return number, frame, compose.Composed(blank, [])

        work = ((entry, presence.of(entry[0])) for entry in self._entries(scene))
        with self._progress("writing") as bar:
            for made in threads.mapped(make, work):
                bar.update()
                yield made

    def _progress(self, what: str) -> tqdm:
        total = self._source.info.frames if self._options.cut.whole else 0
        return tqdm(total=len(self._times) or total or None, desc=what, unit="frame")
