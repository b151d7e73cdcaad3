"""Looks for everybody in a clip, by networks, masks or difference, and for what is behind them."""

import array
import dataclasses
import functools
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from stgan_jax.media import threads
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import backdrop as backdrops
from stgan_jax.video.backdrop import Backdrop, Entry
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.decisions import Extent, Footage
from stgan_jax.video.people import anonymizing, finding, masks, networks, steady
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings, Subject
from stgan_jax.video.source import ClipOptions, ClipSource

_LYING = "{}: people lie in it, so it is worked on turned, and written as it was"


@dataclasses.dataclass(frozen=True)
class Basis:
    """What was found in a clip, before any decision.

    Attributes:
      source: the clip.
      subjects: everybody, in the order of the report.
      backdrop: what is behind them.
      times: seconds of each frame.
      found_by: how people were found: networks, difference, masks or segmenter.
      fixed: whether the empty scene was given, and so is not to be mended.
      camera: how it moves; None if it stands.
      nets: the networks, if people were found by them.
    """

    source: ClipSource
    subjects: Sequence[Subject]
    backdrop: Backdrop
    times: Sequence[float]
    found_by: str
    fixed: bool
    camera: steady.Steady | None = None
    nets: networks.Networks | None = None

    @functools.cached_property
    def footage(self) -> Footage:
        """What decisions about this clip have to fit."""
        height, width = self.source.shape
        tracks = {
            number: _extent(subject.sightings) for number, subject in enumerate(self.subjects, 1)
        }
        return Footage(files.digest(self.source.path), len(self.times), width, height, tracks)


def _extent(sightings: Sightings) -> Extent:
    top, left, bottom, right = map(int, sightings[len(sightings) // 2].box)
    return Extent(sightings[0].frame, sightings[-1].frame, (left, top, right, bottom))


def search(source: ClipSource, options: ClipOptions, shelf: Shelf, blanks: Blanks) -> Basis:
    """Finds everybody in a clip, and what is behind them.

    Args:
      source: the clip, whose `turns` and `moves` are set.
      options: how people are found.
      shelf: where silhouettes are stored.
      blanks: receives the frames at which something fails.

    Raises:
      InputError: see `clip.anonymize_video`.
    """
    return _Search(source, options, shelf, blanks).run()


def progress(source: ClipSource, what: str, frames: int = 0) -> tqdm:
    """A bar for a pass over a clip whose number of frames may be known."""
    total = frames or (source.info.frames if source.cut.whole else 0)
    return tqdm(total=total or None, desc=what, unit="frame")


class _Search:
    def __init__(self, source: ClipSource, options: ClipOptions, shelf: Shelf, blanks: Blanks):
        self._source, self._options, self._shelf, self._blanks = source, options, shelf, blanks
        self._times = array.array("d")
        self._fixed = options.background is not None

    def run(self) -> Basis:
        options, source = self._options, self._source
        if options.masks:
            from_files = masks.FromFiles(options.masks)
            backdrop = backdrops.behind_masks(source, options, from_files, self._shelf)
            return self._tracked(from_files, backdrop, "masks")
        if options.segmenter:
            segmenter = masks.Segmenter(options.segmenter, options.segmenter_input)
            backdrop = backdrops.behind_masks(source, options, segmenter, self._shelf)
            return self._tracked(segmenter, backdrop, "segmenter")
        nets = networks.load(options.models) if options.people == "networks" else None
        if nets is not None:
            return self._by_networks(nets)
        backdrop = backdrops.without_networks(source, options)
        assert backdrop.scene is not None
        return self._tracked(masks.ByBackground(backdrop.scene.threshold), backdrop, "difference")

    def _by_networks(self, nets: networks.Networks) -> Basis:
        options, source = self._options, self._source
        samples = source.samples()
        source.moves = backdrops.moves(samples)
        if source.moves:
            backdrops.check_moving(source, options)
        source.turns = finding.quarter_turns(samples, nets)
        if source.turns:
            tqdm.write(_LYING.format(source.path), file=sys.stderr)
            samples = source.samples()
        scene = backdrops.given_scene(source, options, samples)
        sides = finding.sides(samples, nets)
        del samples
        found = finding.find(source, sides, nets, self._shelf, self._blanks, self._progress, scene)
        base = source.info.time_base
        self._times.extend(float(pts * base) for pts in found.stamps)
        if found.camera is not None:
            backdrop = backdrops.behind_moving(source, found.camera, found.hidden)
        else:
            hidden = found.hidden if options.things == "keep" else None
            backdrop = Backdrop(found.scene, float(source.info.fps), hidden=hidden)
        whose = source, found.subjects, backdrop, self._times, "networks", self._fixed
        return Basis(*whose, found.camera, nets)

    def _tracked(self, detector: masks.Detector, backdrop: Backdrop, found_by: str) -> Basis:
        """The first pass: detects people in each frame and tracks them."""
        source, blanks = self._source, self._blanks

        def detect(entry: Entry) -> tuple[Entry, masks.Mask | None]:
            try:
                return entry, detector(entry.number, entry.frame.image, entry.empty)
            except Exception as error:
                blanks.add(entry.number, "detection", error)
                return entry, None

        def detected() -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
            with self._progress("finding people") as bar:
                entries = threads.ahead(backdrop.entries(source.frames(), blanks), source.depth)
                for (number, frame, _), mask in threads.mapped(detect, entries, detector.workers):
                    bar.update()
                    self._times.append(float(frame.pts * source.info.time_base))
                    if camera is not None and backdrop.hidden is not None:
                        wide = None if mask is None else masks.widened(mask)
                        backdrop.hidden.add(wide)
                        camera.add(frame.image, masks.boxes(wide))
                    yield number, frame.image, mask

        fps = float(source.info.fps)
        camera = steady.Steady(source.shape, fps, source.most) if source.moves else None
        subjects = anonymizing.track_people(
            detected(), source.shape, self._shelf, blanks, detector.has_ids, fps
        )
        if isinstance(detector, masks.FromFiles) and self._options.cut.whole:
            detector.check(len(self._times))
        if not subjects:  # difference misses who does not move
            if blanks.first and len(blanks.reasons) == len(self._times):
                raise InputError(f"{source.path}: every frame failed: {blanks.first[1]}")
            raise InputError(f"{source.path}: no walking person found, nothing to anonymise")
        if camera is not None and backdrop.hidden is not None:
            backdrop = backdrops.behind_moving(source, camera, backdrop.hidden)
        whose = source, subjects, backdrop, self._times, found_by, self._fixed
        return Basis(*whose, camera)

    def _progress(self, what: str) -> tqdm:
        return progress(self._source, what, len(self._times))
