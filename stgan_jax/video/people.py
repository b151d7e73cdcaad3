"""Who walks where: people by background difference, followed from frame to frame.

Note: the papers take silhouettes as given (CASIA-B has them). This is a plain,
documented segmenter for a static camera; masks from elsewhere can take its place.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.signal import find_peaks

Box = Int[np.ndarray, "4"]  # top, left, bottom, right; bottom and right exclusive


@dataclasses.dataclass(frozen=True)
class Sighting:
    """One person in one frame: the silhouette `mask` (0/1) of what lies inside `box`."""

    frame: int
    box: Box
    mask: UInt8[np.ndarray, "h w"]

    def on(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
        """The silhouette on an empty frame."""
        out = np.zeros(shape, np.uint8)
        top, left, bottom, right = self.box
        out[top:bottom, left:right] = self.mask
        return out


class Track:
    """One person through time, by increasing frame; frames may be missing.

    Position and speed follow the sightings by an alpha-beta filter, which trusts a
    silhouette that was cut out of a group less than one that stood alone.

    Attributes:
      sightings: where the person was seen.
      crowded: how many of the latest frames showed more heads than tracks here.
      area: usual silhouette area, pixels.
    """

    def __init__(self, sighting: Sighting):
        self.sightings = [sighting]
        self.crowded = 0
        self.area = float(sighting.mask.sum())
        self._middle = _middle(sighting.box)
        self._size = (sighting.box[2:] - sighting.box[:2]).astype(np.float64)
        self._speed = np.zeros(2)

    def add(self, sighting: Sighting, alone: bool) -> None:
        """Takes in where the person is; `alone` if the region was nobody else's."""
        elapsed = sighting.frame - self.sightings[-1].frame
        expected = self._middle + self._speed * elapsed
        error = _middle(sighting.box) - expected
        first = 1.0 / len(self.sightings)
        trust, learn = (0.8, max(0.2, first)) if alone else (0.25, max(0.03, 0.2 * first))
        self._middle = expected + trust * error
        self._speed = self._speed + learn * error / elapsed
        if alone:
            size = sighting.box[2:] - sighting.box[:2]
            self._size = self._size + 0.15 * (size - self._size)
            self.area += 0.15 * (float(sighting.mask.sum()) - self.area)
        self.sightings.append(sighting)

    def predicted(self, frame: int) -> Float[np.ndarray, "4"]:
        """The box expected at a frame: of the usual size, moved on at the usual speed."""
        middle = self._middle + self._speed * (frame - self.sightings[-1].frame)
        return np.concatenate([middle - self._size / 2, middle + self._size / 2])


def _middle(box: Box) -> Float[np.ndarray, "2"]:
    return (box[:2] + box[2:]) / 2


def foreground(
    frame: UInt8[np.ndarray, "H W 3"],
    background: UInt8[np.ndarray, "H W 3"],
    threshold: UInt8[np.ndarray, "H W"],
) -> UInt8[np.ndarray, "H W"]:
    """1 where a frame differs from the background by more than noise and shadow.

    Cleaned by morphology: gaps are closed, specks and thin streaks go.

    Args:
      frame: RGB.
      background: the empty scene.
      threshold: grey levels by which the channel that differs most must differ; higher
        where the scene itself moves, see `background.thresholds`.
    """
    red, green, blue = cv2.split(cv2.blur(cv2.absdiff(frame, background), (3, 3)))
    mask = cv2.compare(cv2.max(cv2.max(red, green), blue), threshold, cv2.CMP_GT) & 1
    mask &= ~_shadow(frame, background, mask)
    unit = frame.shape[0] / 576  # kernels grow with the resolution
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(5 * unit))
    # Thin things stay where they hang on something thick, as arms do and twigs do not.
    thick = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(7 * unit))
    reach = np.ones((int(32 * unit) | 1,) * 2, np.uint8)
    return cv2.morphologyEx(cv2.dilate(thick, reach) & mask, cv2.MORPH_OPEN, _disc(3 * unit))


def _shadow(frame: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """1 where a region's foot dims the ground by about the same factor in every channel.

    Higher up the same look is a dark head before a dark wall.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    at = np.nonzero(mask)
    lit = (cv2.blur(frame, (3, 3))[at] + 8.0) / (cv2.blur(background, (3, 3))[at] + 8.0)
    darkest, brightest = lit.min(-1), lit.max(-1)
    knee = stats[:, cv2.CC_STAT_TOP] + 0.6 * stats[:, cv2.CC_STAT_HEIGHT]
    shadow = (darkest > 0.65) & (brightest < 0.98) & (brightest - darkest < 0.08)
    out = np.zeros_like(mask)
    out[at] = shadow & (at[0] > knee[labels[at]])
    return out


def _disc(diameter: float) -> np.ndarray:
    odd = max(3, int(diameter) | 1)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd))


class Follower:
    """Follows people through frames given in order; `tracks` grows as they appear.

    Every connected region goes to the tracks that expect to be there. A region that
    several tracks expect is divided among them, each pixel to the nearest body; heads in
    it that no track expects begin tracks of their own.
    """

    def __init__(self, shape: tuple[int, int], patience: int = 12):
        """Takes the frames' (height, width) and how many frames a track may go unseen."""
        self.tracks: list[Track] = []
        self._patience = patience
        self._least_height = max(16, shape[0] // 30)
        self._least_area = (shape[0] // 60) ** 2

    def see(self, frame: int, mask: UInt8[np.ndarray, "H W"]) -> None:
        """Takes in the foreground of one frame."""
        alive = [t for t in self.tracks if frame - t.sightings[-1].frame <= self._patience]
        expected = [track.predicted(frame) for track in alive]
        found: dict[int, list[Piece]] = {}
        shared: set[int] = set()
        for piece in _regions(mask, self._least_area):
            claims = [
                i for i, box in enumerate(expected)
                if _pixels_in(piece, box) > 0.5 * min(piece.area, alive[i].area)
            ]  # fmt: skip
            claims = [
                i for i in claims if not _fragment(expected[i], [expected[j] for j in claims])
            ]
            seeds = self._seeds(piece, [alive[i] for i in claims], [expected[i] for i in claims])
            parts = _divide(piece, seeds)
            hidden = {n for n, i in enumerate(claims) if parts[n].area < 0.3 * alive[i].area}
            if hidden and len(hidden) < len(seeds):  # their pixels belong to who stands in front
                claims = [i for n, i in enumerate(claims) if n not in hidden]
                parts = _divide(piece, [box for n, box in enumerate(seeds) if n not in hidden])
            for number, part in enumerate(parts):
                if number < len(claims):
                    found.setdefault(claims[number], []).append(part)
                    if len(seeds) > 1:
                        shared.add(claims[number])
                elif part.height >= max(self._least_height, 0.9 * part.width):
                    self.tracks.append(Track(Sighting(frame, part.box, part.mask)))
        for i, parts in found.items():
            main = max(parts, key=lambda part: part.area)
            others = [part for part in parts if part is not main and _beside(part, main)]
            self.tracks += [Track(Sighting(frame, part.box, part.mask)) for part in others]
            whole = _union([part for part in parts if part.area and part not in others])
            if whole is not None:
                sighting = Sighting(frame, whole.box, whole.mask)
                alive[i].add(sighting, alone=i not in shared)

    def _seeds(
        self, piece: "Piece", tracks: list[Track], expected: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Boxes of the bodies in a region: those of its tracks, then those of newcomers.

        More heads than tracks for three frames on end mean that somebody came along.
        """
        bodies = _bodies(piece)
        if not tracks:
            return bodies
        column = lambda box: (box[1] + box[3]) / 2  # noqa: E731
        nearest = [
            min(range(len(bodies)), key=lambda n: abs(column(bodies[n]) - column(box)))
            for box in expected
        ]
        strangers = [body for n, body in enumerate(bodies) if n not in nearest]
        for track in tracks:
            track.crowded = track.crowded + 1 if strangers else 0
        if min(track.crowded for track in tracks) < 3:
            return expected
        mine = [
            bodies[n] if box[3] - box[1] > 1.3 * (bodies[n][3] - bodies[n][1]) else box
            for n, box in zip(nearest, expected, strict=True)
        ]
        return mine + strangers


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Some pixels of a frame: `mask` (0/1) of what lies inside `box`."""

    box: Box
    mask: UInt8[np.ndarray, "h w"]

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def height(self) -> int:
        return int(self.box[2] - self.box[0])

    @property
    def width(self) -> int:
        return int(self.box[3] - self.box[1])


def _regions(mask: np.ndarray, least_area: int) -> list[Piece]:
    """Connected regions of at least so many pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    pieces = []
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        if area >= least_area:
            window = labels[top : top + height, left : left + width] == label
            box = np.array([top, left, top + height, left + width])
            pieces.append(Piece(box, window.astype(np.uint8)))
    return pieces


def _pixels_in(piece: Piece, box: np.ndarray) -> int:
    offset = np.tile(piece.box[:2], 2)
    size = np.tile(piece.mask.shape, 2)
    top, left, bottom, right = np.clip(np.rint(box - offset), 0, size).astype(int)
    return int(piece.mask[top:bottom, left:right].sum())


def _beside(piece: Piece, main: Piece) -> bool:
    """Whether a piece is a body of its own next to another, not a torn-off limb of it."""
    shared = min(piece.box[3], main.box[3]) - max(piece.box[1], main.box[1])
    return bool(piece.height > 0.6 * main.height and shared < 0.3 * piece.width)


def _fragment(box: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a box is a piece of another body, as legs are that came into sight first.

    It is far lower than the other and stands in, above or below it.
    """
    for other in others:
        height, width = other[2] - other[0], box[3] - box[1]
        shared = min(box[3], other[3]) - max(box[1], other[1])
        gap = max(box[0], other[0]) - min(box[2], other[2])
        if box[2] - box[0] < 0.6 * height and shared > 0.6 * width and gap < 0.2 * height:
            return True
    return False


def _bodies(piece: Piece) -> list[Float[np.ndarray, "4"]]:
    """Boxes of the people in a region, told by their heads.

    A head is a peak in the height of the region's upper edge, at least a quarter of the
    tallest body above its surroundings and half a body width from the next head.
    """
    height = piece.mask.shape[0]
    filled = piece.mask.any(0)
    top = np.where(filled, piece.mask.argmax(0), height)
    bottom = np.where(filled, height - piece.mask[::-1].argmax(0), height)
    rise = np.convolve(
        np.pad((height - top).astype(np.float64), 2, mode="edge"), np.ones(5) / 5, "valid"
    )
    heads, _ = find_peaks(np.pad(rise, 1), prominence=0.25 * height, distance=max(1, height // 5))
    bodies = []
    for col in heads - 1:
        reach = max(1, height // 6)
        window = slice(max(0, col - reach), col + reach + 1)
        box = [top[window].min(), col - reach, bottom[window].max(), col + reach]
        bodies.append(np.array(box, np.float64) + np.tile(piece.box[:2], 2))
    return bodies or [piece.box.astype(np.float64)]


def _divide(piece: Piece, seeds: list[np.ndarray]) -> list[Piece]:
    """Gives each pixel of a region to the seed box whose inscribed ellipse it is nearest to."""
    if len(seeds) == 1:
        return [piece]
    rows, cols = np.nonzero(piece.mask)
    distance = []
    for top, left, bottom, right in seeds:
        height, width = max(bottom - top, 1.0), max(right - left, 1.0)
        row = (rows + piece.box[0] - (top + bottom - 1) / 2) / height
        col = (cols + piece.box[1] - (left + right - 1) / 2) / width
        distance.append(row**2 + col**2)
    owner = np.argmin(distance, axis=0)
    parts = []
    for number in range(len(seeds)):
        mask = np.zeros_like(piece.mask)
        mask[rows[owner == number], cols[owner == number]] = 1
        parts.append(_trimmed(Piece(piece.box, mask)))
    return parts


def _trimmed(piece: Piece) -> Piece:
    rows, cols = np.flatnonzero(piece.mask.any(1)), np.flatnonzero(piece.mask.any(0))
    if not len(rows):
        return Piece(np.tile(piece.box[:2], 2), np.zeros((0, 0), np.uint8))
    inner = piece.mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    corner = piece.box[:2] + [rows[0], cols[0]]
    return Piece(np.concatenate([corner, corner + inner.shape]), inner)


def _union(pieces: list[Piece]) -> Piece | None:
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    corner = np.min([p.box[:2] for p in pieces], axis=0)
    end = np.max([p.box[2:] for p in pieces], axis=0)
    mask = np.zeros(end - corner, np.uint8)
    for piece in pieces:
        top, left, bottom, right = piece.box - np.tile(corner, 2)
        mask[top:bottom, left:right] |= piece.mask
    return Piece(np.concatenate([corner, end]), mask)
