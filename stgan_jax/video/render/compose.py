"""Composes the output frames: the empty scene, and the anonymised people on it."""

import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax.media.segmentation import Region
from stgan_jax.methods.color import dressing, nearest
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.shapes import cropping
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.render import colours, head, sheet

Image = UInt8[np.ndarray, "H W 3"]


@dataclasses.dataclass(frozen=True)
class Look:
    """How people are coloured.

    Attributes:
      face: what is done to the original's head, one of `head.HOW`.
      dressed: bodies that are drawn wear the `outfit` of their person, if that is known.
      transfer: the colour-transfer network; None for the nearest pixel's colours (Eq. 9). For
        whoever is not dressed.
    """

    face: str = "blur"
    dressed: bool = False
    transfer: Recolorer | None = None


PLAIN = Look()


@dataclasses.dataclass(frozen=True)
class Present:
    """Somebody to be shown in a frame: sighting `i` of a person."""

    person: Person
    i: int


class Presence:
    """Who is shown in which frame, queried frame by frame."""

    def __init__(self, persons: list[Person]):
        """Orders all sightings that are not hidden: by frame, and the far one first."""
        visible = [np.flatnonzero([reason is None for reason in p.hidden]) for p in persons]
        tables = [p.sightings.table() for p in persons]
        rows = [
            np.stack([t[s, 0], t[s, 3], np.full(len(s), n), s], axis=1)
            for n, (t, s) in enumerate(zip(tables, visible, strict=True))
        ]
        everything = np.concatenate([np.zeros((0, 4), np.int64), *rows])
        # The lower somebody stands in the picture, the nearer: paint them last.
        self._rows = everything[np.lexsort((everything[:, 1], everything[:, 0]))]
        self._persons, self._at = persons, 0

    def at(self, number: int) -> list[Present]:
        """Who is shown in a frame; numbers must not decrease."""
        present = []
        while self._at < len(self._rows) and self._rows[self._at, 0] <= number:
            frame, _, who, i = map(int, self._rows[self._at])
            if frame == number:
                present.append(Present(self._persons[who], i))
            self._at += 1
        return present


@dataclasses.dataclass(frozen=True)
class Composed:
    """An anonymised frame, and the people who could not be painted, with the reasons."""

    image: Image
    failed: list[tuple[Present, str]]


def compose(
    canvas: Image, frame: Image, present: Iterable[Present], plain: bool, look: Look = PLAIN
) -> Composed:
    """Paints people onto a canvas that shows nobody, in place.

    Args:
      canvas: the scene without people.
      frame: the original, for the people's colours.
      present: whom to paint, the far one first. Who cannot be painted is left out.
      plain: paints white silhouettes instead of colours.
      look: how people are coloured.
    """
    failed = []
    for one in present:
        try:
            _paint(canvas, frame, one, plain, look)
        except Exception as error:
            failed.append((one, f"colouring failed ({type(error).__name__})"))
    return Composed(canvas, failed)


def _paint(canvas: Image, frame: Image, one: Present, plain: bool, look: Look) -> None:
    """Paints one person in a window around them, which changes completely or not at all."""
    person, sighting, square = one.person, one.person.sightings[one.i], one.person.squares[one.i]
    if person.bodies is not None and person.outfit is not None and look.dressed and not plain:
        gain = person.outfit.gain(sighting.frame)
        figure, view = person.bodies.new(one.i), person.bodies.view(one.i)
        dressing.paint(canvas, figure, person.outfit.atlas, gain, view)
        return
    box, side = sighting.box, int(square[2])
    corner = np.minimum(box[:2], square[:2]).clip(0)
    end = np.minimum(np.maximum(box[2:], square[:2] + side), frame.shape[:2])
    window = np.s_[corner[0] : end[0], corner[1] : end[1]]
    shape = (int(end[0] - corner[0]), int(end[1] - corner[1]))
    if person.bodies is not None:
        figure = person.bodies.new(one.i).moved(1.0, -corner.astype(float))
        placed = (figure.coverage(shape) > 127).astype(np.uint8)
    else:
        placed = cropping.place(person.silhouette(one.i), square - [*corner, 0], shape)
    part = canvas[window].copy()
    if plain:
        part[placed > 0] = 255
    else:
        own = Region(box - np.tile(corner, 2), sighting.mask).on(shape)
        stature = head.stature(person.sightings, one.i)
        colorize(part, frame[window], own, placed, look, stature, square - [*corner, 0])
    canvas[window] = part


def colorize(
    canvas: Image,
    frame: Image,
    own: UInt8[np.ndarray, "H W"],
    new: UInt8[np.ndarray, "H W"],
    look: Look = PLAIN,
    stature: head.Stature = head.UNKNOWN,
    square: Int[np.ndarray, "3"] | None = None,
) -> None:
    """Paints one person's new silhouette in colour, in place.

    Args:
      canvas: starts as the scene.
      frame: the original.
      own: the person's silhouette, 0/1.
      new: the anonymised silhouette, 0/1.
      look: how people are coloured.
      stature: the person's height, as far as it is known.
      square: the crop (top, left, side), which a network needs.
    """
    frame = head.hide(frame, own, look.face, stature)
    if look.transfer is None or square is None:
        nearest.paint(canvas, frame, own, new)
    else:
        colours.paint(look.transfer, canvas, frame, own, new, square, stature)


def sheet_cells(persons: list[Person]) -> dict[int, list[sheet.Cell]]:
    """Cells of a contact sheet by frame number.

    Up to ten for each of the three people who are anonymised in most frames.
    """
    visible = [[i for i, reason in enumerate(p.hidden) if reason is None] for p in persons]
    longest = sorted(range(len(persons)), key=lambda n: -len(visible[n]))[:3]
    cells: dict[int, list[sheet.Cell]] = {}
    for block, number in enumerate(n for n in longest if visible[n]):
        person, indices = persons[number], visible[number]
        picks = np.unique(np.linspace(0, len(indices) - 1, 10).round().astype(int))
        for column, pick in enumerate(picks):
            i = indices[pick]
            sighting, square = person.sightings[i], person.squares[i]
            own = cropping.crop_mask(sighting.mask, square - [*sighting.box[:2], 0])
            cell = sheet.Cell(block, column, square, own, person.silhouette(i))
            cells.setdefault(sighting.frame, []).append(cell)
    return cells


class Preview:
    """Up to six frames of a result, evenly spread, in one picture."""

    def __init__(self):
        self._frames: list[Image] = []
        self._stride, self._count = 1, 0

    def add(self, image: Image) -> None:
        """Takes the next frame."""
        if self._count % self._stride == 0:
            scale = min(1.0, 480 / image.shape[1])
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            self._frames.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
            if len(self._frames) == 12:
                self._frames, self._stride = self._frames[::2], self._stride * 2
        self._count += 1

    def picture(self) -> Image:
        """The frames, in rows of three."""
        picks = np.unique(np.linspace(0, len(self._frames) - 1, 6).round().astype(int))
        cells = [self._frames[i] for i in picks]
        while len(cells) % 3:
            cells.append(np.zeros_like(cells[0]))
        rows: Iterator[list[Image]] = (cells[i : i + 3] for i in range(0, len(cells), 3))
        return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
