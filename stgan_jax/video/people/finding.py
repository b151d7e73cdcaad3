"""Finding: who is where in a clip, by networks, and the scene without them.

Two passes over the clip, in little memory. The first detects people in some frames and links them;
from a few frames in which these are outlined comes the empty scene. The second outlines everybody
in every frame, and follows what else moves: what moves like a person and is claimed by no network
is covered. If the camera moves, it is followed in the first pass; people are linked, and what moves
is judged, as if it stood.
"""

import array
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from stgan_jax.media import background, containers, segmentation, threads
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import hiding, linking, networks, outlining, steady, tracking
from stgan_jax.video.people.shelf import Shelf, Unions
from stgan_jax.video.people.sightings import Sightings, Subject
from stgan_jax.video.scene import around, emptying, kept
from stgan_jax.video.source import ClipSource

UNCLAIMED = "moves like a person, but is not recognised as one"

# Sides of the detector's input: for large people, and for small ones if these find somebody more.
_SIDES, _MORE = networks.SIDES[:2], networks.SIDES[2:]
_ENLARGED, _TRIED = 2, 8  # a frame is not enlarged by more; frames in which that is found out
_TURNED = (2.0, 0.5)  # how much more than upright, and a frame, scores must sum up to
_ANTICLOCKWISE = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
_RATE = 5.0  # detections a second
_VERY_CLEAR = 0.8  # presence with which a box of low score begins a track
_NARROW = 0.12  # of the height: width of what is no person; 0.2 in people from the side
_PART = 0.4  # share of a box in common with a better one from which both are one person
_PATIENCE = 3.0  # seconds for which a box without an outline is not asked again
_BEYOND = 0.5  # seconds for which somebody is looked for before and after being detected
_SAMPLES = 40  # frames from which the empty scene is computed
_INSIDE = 0.3  # of the height: so far, at least, boxes are inside the frame
_RIM = 3  # pixels hidden around what moves like a person
_THING = 0.5  # share of something's area inside a thing's box from which it is that
# What moves like a person: for how many seconds, how far (in heights), how slender.
_LOWEST = 24  # pixels
_LASTS, _GOES, _SLENDER = 0.4, 0.5, (1.2, 6.0)

Progress = Callable[[str], Any]  # what is done -> a context with `update()`, see tqdm


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in a clip.

    Attributes:
      subjects: everybody.
      hidden: for each frame, where people are hidden.
      scene: the scene without them; None if the camera moves.
      stamps: when each frame is shown, in ticks.
      camera: its way, if it moves.
    """

    subjects: list[Subject]
    hidden: Unions
    scene: background.EmptyScene | None
    stamps: Sequence[int]
    camera: steady.Steady | None = None


def find(
    source: ClipSource,
    sides: Sequence[int],
    nets: networks.Networks,
    shelf: Shelf,
    blanks: Blanks,
    progress: Progress,
    scene: background.EmptyScene | None = None,
) -> Found:
    """Finds everybody in a clip, and the scene without them.

    Args:
      source: the clip.
      sides: of the detector's input, see `sides`.
      nets: the networks.
      shelf: where silhouettes are stored.
      blanks: receives the frames at which something fails.
      progress: reports what is done.
      scene: the empty scene, if it is known.
    """
    cores = cv2.getNumThreads()
    cv2.setNumThreads(1)  # each of our threads computes with one
    try:
        first = _Detecting(source, nets, blanks, sides)
        with progress("finding people") as bar:
            numbered = background.spread(first.run(bar.update), min(source.most, _SAMPLES))
        tracks = [track for track in first.linker.tracks if _is_likely(track)]
        beyond = max(1, round(_BEYOND * float(source.info.fps)))
        calm = np.zeros(source.shape, np.uint8)
        within = tracks, nets, shelf, len(first.stamps), beyond
        behind: emptying.Emptied | around.Around
        if first.camera is not None:
            tracks = emptying.somebody(numbered, tracks, nets, shelf, first.camera, beyond)
            behind = around.Around(source, first.camera, tracks, nets, beyond)
            del numbered
        elif scene is None:
            behind = emptying.empty(numbered, *within)
        else:
            behind = emptying.Emptied(scene, calm, calm, tracks)
        second = _Outlining(source, nets, blanks, shelf, beyond, behind, first.things)
        with progress("outlining people") as bar:
            subjects = second.run(bar.update)
        return Found(subjects, second.hidden, behind.scene, first.stamps, first.camera)
    finally:
        cv2.setNumThreads(cores)


class _Detecting:
    """The first pass."""

    def __init__(
        self, source: ClipSource, nets: networks.Networks, blanks: Blanks, sides: Sequence[int]
    ):
        self._source, self._nets, self._blanks = source, nets, blanks
        fps = float(source.info.fps)
        self._every = max(1, round(fps / _RATE))
        self._sides = sides
        self._refused: list[tuple[int, np.ndarray]] = []  # boxes that were asked in vain
        self._patience = round(_PATIENCE * fps)
        self.camera = steady.Steady(source.shape, fps, source.most) if source.moves else None
        self.linker = linking.Linker(fps, self.camera)
        self.stamps = array.array("q")
        self.things: dict[int, Float[np.ndarray, "M 4"]] = {}  # by the frames that are looked at

    def run(self, update: Callable[[], Any]) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers and pictures of all frames, while their people are linked."""
        frames = threads.ahead(enumerate(self._source.frames()), self._source.depth)
        latest = np.zeros((0, 4))
        for number, frame, found in threads.mapped(self._detect, frames, networks.WORKERS):
            update()
            self.stamps.append(frame.pts)
            latest = latest if found is None else found[0]
            if self.camera is not None:
                self.camera.add(frame.image, latest)
            if found is not None:
                boxes, scores, self.things[number] = found
                likely = _are_wide(boxes, self._source.shape)
                self._link(number, frame.image, boxes[likely], scores[likely])
            yield number, frame.image

    def _link(self, number: int, image: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Links the boxes of a frame; if the camera moves, as they would be if it stood."""
        view = None if self.camera is None else self.camera.at(np.array([number]))
        places = steady.to(view, boxes)

        def look_of(places: np.ndarray) -> np.ndarray:
            return linking.looks(image, steady.back(view, places))

        weak = self.linker.update(number, places, scores, look_of)
        for n in self._outlined(number, image, boxes, weak):
            look = look_of(places[n : n + 1])[0]
            self.linker.begin(number, places[n], float(scores[n]), look)

    def _outlined(
        self, number: int, image: np.ndarray, boxes: np.ndarray, weak: list[int]
    ) -> list[int]:
        """Which weak boxes hold somebody else with a very clear outline; the rest wait."""
        self._refused = [(n, box) for n, box in self._refused if number - n < self._patience]
        known = np.array([box for _, box in self._refused]).reshape(-1, 4)
        taken = [n for n in range(len(boxes)) if n not in weak]
        asked = [
            n
            for n in weak
            if linking.overlap(boxes[n : n + 1], known).max(initial=0) < 0.6
            and _shared(boxes[n], boxes[taken]) < _PART
        ]
        if not asked:
            return []
        with self._nets.outliner() as outliner:
            outlines = outliner(image, boxes[asked])
        clear: list[int] = []
        for n, outline in zip(asked, outlines, strict=True):
            if outline.presence < _VERY_CLEAR:
                self._refused.append((number, boxes[n]))
            elif _shared(boxes[n], boxes[clear]) < _PART:
                clear.append(n)
        return clear

    def _detect(self, item: tuple[int, containers.Stamped]) -> tuple:
        number, frame = item
        if number % self._every:
            return number, frame, None
        try:
            with self._nets.detector() as detector:
                return number, frame, detector(frame.image, self._sides)
        except Exception as error:
            self._blanks.add(number, "detection", error)
            return number, frame, None


def _are_wide(boxes: Float[np.ndarray, "N 4"], size: tuple[int, int]) -> Bool[np.ndarray, "N"]:
    """Which boxes are as wide as people, or cut by the frame's side."""
    cut = (boxes[:, 1] < 1) | (boxes[:, 3] > size[1] - 1)
    return cut | (boxes[:, 3] - boxes[:, 1] > _NARROW * (boxes[:, 2] - boxes[:, 0]))


def quarter_turns(samples: UInt8[np.ndarray, "N H W 3"], nets: networks.Networks) -> int:
    """By how many quarter turns anticlockwise people in a clip are upright, 0 to 3.

    Another number than 0 only if people are found far better so. Frames in which somebody upright
    is found are not turned.
    """

    def score(frame: UInt8[np.ndarray, "H W 3"]) -> float:
        with nets.detector() as detector:
            scores = detector(frame).scores
        return float(scores[scores >= linking.CERTAIN].sum())

    frames, sums = list(_few(samples)), []
    least = _TURNED[1] * len(frames)
    for turns, way in enumerate(_ANTICLOCKWISE):
        turned = [frame if way is None else cv2.rotate(frame, way) for frame in frames]
        scores = networks.each(score, turned)
        sums.append(sum(scores))
        if sums[0] > least:
            return 0
        if turns == 0:
            frames = [frame for frame, found in zip(frames, scores, strict=True) if not found]
    best = int(np.argmax(sums))
    return best if sums[best] > max(_TURNED[0] * sums[0], least) else 0


def _few(samples: UInt8[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "M H W 3"]:
    return samples[np.linspace(0, len(samples) - 1, min(_TRIED, len(samples))).round().astype(int)]


def sides(samples: UInt8[np.ndarray, "N H W 3"], nets: networks.Networks) -> list[int]:
    """Which sides of the input find people, by their outlines, in a few frames of the clip."""
    chosen, frames = list(_SIDES), list(_few(samples))

    def boxes_of(frame: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "N 4"]:
        with nets.detector() as detector:
            return detector(frame, chosen).boxes

    def more(pair: tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "N 4"]]) -> tuple:
        """Boxes that one more side finds, and whether somebody new is in one of them."""
        frame, old = pair
        with nets.detector() as detector, nets.outliner() as outliner:
            found = detector(frame, (side,))
            certain = found.scores >= linking.CERTAIN
            outlines = outliner(frame, found.boxes[certain & _apart(found.boxes, old)])
        return found.boxes, any(outline.presence >= outlining.PRESENT for outline in outlines)

    known = networks.each(boxes_of, frames)
    for side in _MORE:
        if side > _ENLARGED * max(frames[0].shape[:2]):
            break
        boxes, new = zip(*networks.each(more, list(zip(frames, known, strict=True))), strict=True)
        if not any(new):
            break
        chosen.append(side)
        known = [np.concatenate(pair) for pair in zip(known, boxes, strict=True)]
    return chosen


def _apart(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes are at places where no other one is."""
    return linking.overlap(boxes, others).max(1, initial=0) < 0.3


def _shared(box: Float[np.ndarray, "4"], others: Float[np.ndarray, "N 4"]) -> float:
    """The largest area in common with another box, as a share of the smaller one."""
    smaller = np.maximum(np.minimum(linking.areas(box[None]), linking.areas(others)), 1e-9)
    return float((linking.common(others, box) / smaller).max(initial=0))


def _is_likely(track: linking.BoxTrack) -> bool:
    """Whether a track is more than a single false alarm."""
    return len(track.frames) > 1 or track.scores[0] >= linking.CERTAIN


class _Outlining:
    """The second pass."""

    def __init__(
        self,
        source: ClipSource,
        nets: networks.Networks,
        blanks: Blanks,
        shelf: Shelf,
        beyond: int,
        behind: emptying.Emptied | around.Around,
        things: dict[int, Float[np.ndarray, "M 4"]],
    ):
        self._source, self._nets, self._blanks = source, nets, blanks
        self._shelf, self._things = shelf, things
        self._behind, self._restless, self._tracks = behind, behind.restless, behind.tracks
        self._fps = float(source.info.fps)
        self._reaches = [track.reach(beyond, source.shape) for track in self._tracks]
        pairs = zip(self._tracks, self._reaches, strict=True)
        self._paths = [track.at(np.array(reach)) for track, reach in pairs]
        self.hidden = Unions(shelf, source.shape)

    def run(self, update: Callable[[], Any]) -> list[Subject]:
        """Outlines everybody in every frame."""
        everybody = [Sightings(self._shelf) for _ in self._tracks]
        others = tracking.Tracker(self._source.shape, tracking.patience(self._fps), self._shelf)

        frames = threads.ahead(self._behind.views(self._source), self._source.depth)
        for number, who, people, hide, rest in threads.mapped(
            self._outline, frames, networks.WORKERS
        ):
            update()
            self.hidden.add(hide)
            for n, person in zip(who, people, strict=True):
                if person is not None:
                    everybody[n].add(number, person.region, person.joints, person.clear)
            if rest is not None and self._behind.judges:
                others.update(number, rest)
        subjects = [Subject(sightings) for sightings in everybody if len(sightings)]
        for sightings in (track.sightings for track in others.tracks):
            if _walks(sightings, self._fps, self._behind.camera) and not self._is_nobody(sightings):
                subjects.append(Subject(sightings, UNCLAIMED))
                for sighting in sightings:
                    mask = sighting.on(self._source.shape)
                    self.hidden.join(sighting.frame, outlining.grown(mask, _RIM))
        return subjects

    def _outline(self, item: tuple[int, np.ndarray, around.Look]) -> tuple:
        number, image, look = item
        try:
            if (view := look()) is None:
                raise ValueError("no empty scene")
            scene, size = view.scene, image.shape[:2]
            small = kept.resized(image, view.unknown.shape)
            moves = segmentation.foreground(small, scene.empty, scene.threshold)
            moves, unknown = hiding.enlarged(moves, size), hiding.enlarged(view.unknown, size)
            who, boxes = self._boxes(number)
            with self._nets.outliner() as outliner:
                people, little = outlining.outlined(
                    image,
                    boxes,
                    outliner,
                    moves,
                    unknown,
                    [self._tracks[n].clothes for n in who],
                )
            hide = hiding.hidden(people, little, small, scene) | unknown
            return number, who, people, hide, moves & ~hide & 1
        except Exception as error:
            self._blanks.add(number, "outlining", error)
            return number, [], [], None, None

    def _boxes(self, number: int) -> tuple[list[int], Float[np.ndarray, "N 4"]]:
        """Whose tracks are in a frame, and their boxes."""
        size = np.array(self._source.shape)
        who, boxes = [], []
        for n, reach in enumerate(self._reaches):
            if number in reach:
                box = self._paths[n][number - reach.start]
                # Of who comes in or leaves, a foot may be inside before and after the box is.
                within = _INSIDE * (box[2] - box[0])
                who.append(n)
                low, high = np.minimum(box[:2], size - within), np.maximum(box[2:], within)
                boxes.append(np.concatenate([low, high]))
        return who, np.array(boxes).reshape(-1, 4)

    def _is_nobody(self, sightings: Sightings) -> bool:
        """Whether what moves is a thing where it is looked at, or where all moves, as leaves do."""
        things = restless = looks = 0
        for sighting in sightings:
            corner, mask = sighting.box[:2], sighting.mask
            place = np.s_[corner[0] : sighting.box[2], corner[1] : sighting.box[3]]
            restless += 2 * int((self._restless[place] & mask).sum()) > sighting.area
            if sighting.frame in self._things:
                looks += 1
                for box in self._things[sighting.frame].astype(int):
                    top, left, bottom, right = np.maximum(box - np.tile(corner, 2), 0)
                    if mask[top:bottom, left:right].sum() > _THING * sighting.area:
                        things += 1
                        break
        return 3 * things > looks or 2 * restless > len(sightings)


def _walks(sightings: Sightings, fps: float, camera: steady.Steady | None) -> bool:
    """Whether something moves like a person: upright, for a while, and on."""
    table = sightings.table()
    boxes = table[:, 1:5].astype(np.float64)
    if camera is not None:
        boxes = steady.to(camera.along(table[:, 0], boxes), boxes)
    heights, widths = (boxes[:, 2:] - boxes[:, :2]).T
    height = float(np.median(heights))
    slender = _SLENDER[0] <= float(np.median(heights / widths)) <= _SLENDER[1]
    middles = segmentation.middle(boxes)
    few = max(1, len(middles) // 4)
    goes = float(np.linalg.norm(middles[-few:].mean(0) - middles[:few].mean(0)))
    lasts = table[-1, 0] - table[0, 0] + 1 >= _LASTS * fps
    return bool(height >= _LOWEST and slender and lasts and goes >= _GOES * height)
