"""The empty scene of a clip whose camera moves: a picture about each moment.

Some frames are keys. About one of them, the scene is the median of the keys around, moved to its
place, where no person is in them. Each frame sees it moved to where its camera looks. If the camera
travels through the scene, what lies at several depths is moved on as corners go, which are followed
around people, and behind them as around.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, containers, parallax, path
from stgan_jax.video.blanks import is_fatal
from stgan_jax.video.people.shelf import Unions
from stgan_jax.video.scene import fill, kept

Image = UInt8[np.ndarray, "H W 3"]
Mask = UInt8[np.ndarray, "H W"]
# A frame's number and picture -> 1 where people may be in it, None if that is unknown. Without the
# picture it is enough to know about where, in the size of views.
Hidden = Callable[[int, Image | None], Mask | None]

_BESIDE = (1, 2, 3, 5, 8, 13, 21)  # which keys before and after one are looked at,
_NEAR = (1, 2, 4, 6, 9)  # and where the camera travels
_LASTS, _APART = 1.0, 0.08  # seconds and diagonals for which one picture serves
_BEYOND = 0.5  # of a frame's sides: so far a picture reaches beyond its key, at most
_UNLIKE = 24.0  # grey levels by which neighbours disagree about what the scene is
_AROUND = 0.5  # of a hidden part's sides: what is around it, from which it is filled
_OFF = 0.1  # of the contrast of an edge: how much it changes as if by itself
_RIM = 24  # pixels around hidden parts that are compared with the frame's
_SLIVER = 0.002  # of the picture: what is smaller is filled with smooth colours
_SEEN, _HIDDEN, _NEVER, _UNSURE = range(4)  # what is known of a place: see `View`


class View(NamedTuple):
    """What a frame shows without its people.

    Attributes:
      scene: the empty scene in the frame's light; black where nothing is known, threshold 255.
      unknown: 1 where people may have been whenever a key showed the place.
      made_up: 1 where the scene is made up.
    """

    scene: background.EmptyScene
    unknown: Mask
    made_up: Mask


@dataclasses.dataclass
class _Picture:
    """The scene about a key, on a canvas of its own.

    Attributes:
      key: the key's number.
      to: homography from the key's pixels to the canvas.
      scene: the scene.
      known: `_SEEN`, or why not.
      made_up: 1 where it is made up.
    """

    key: int
    to: path.Homography
    scene: background.EmptyScene
    known: Mask
    made_up: Mask


class Surroundings:
    """The empty scene of each frame of a clip.

    Attributes:
      made_up: number of a frame -> share of it that is hidden and made up.
    """

    def __init__(
        self,
        keys: Callable[[Sequence[int]], Iterator[tuple[int, Image]]],
        fps: float,
        way: path.CameraPath,
        most: int,
        hidden: Hidden,
        final: Unions | None = None,
        shape: tuple[int, int] | None = None,
    ):
        """Takes the clip.

        Args:
          keys: numbers of frames -> these and the frames, in order.
          fps: frames a second.
          way: the camera's way.
          most: keys that are kept in memory.
          hidden: where people may be in keys.
          final: where people are hidden in each frame; what is not known there is made up.
          shape: (height, width) of views; by default that of frames.
        """
        self._read, self._way, self._hidden, self._final = keys, way, hidden, final
        if shape is not None:
            self._way = way.resized(shape)
        beside: Sequence[int] = _NEAR if way.travels else _BESIDE
        if final is None and not way.travels:  # to tell people from the scene, half as many will do
            beside = beside[::2]
        self._beside = [n for n in beside if 2 * n < most]
        every = max(1, round(fps / kept.RATE)) * (1 if way.travels else 2)
        shots = np.flatnonzero(np.diff(way.shots, prepend=-1)).tolist()
        self._keys = sorted({*range(0, len(way.shots), every), *shots})
        self._lasts = round(_LASTS * fps)
        self.made_up: dict[int, float] = {}

    def views(
        self, frames: Iterator[containers.Stamped]
    ) -> Iterator[tuple[int, containers.Stamped, View | None]]:
        """Number, frame and what is behind its people; None if that fails.

        Args:
          frames: all of them, decoded.
        """
        for number, frame, view_of in self.looks(frames):
            yield number, frame, view_of()

    def looks(
        self, frames: Iterator[containers.Stamped]
    ) -> Iterator[tuple[int, containers.Stamped, Callable[[], View | None]]]:
        """As `views`; what is behind people is computed by whoever asks, in any thread."""
        pictures, until, picture = self._pictures(), 0, None
        for number, frame in enumerate(frames):
            if number >= until:
                until, picture = next(pictures, (len(self._way.shots), None))
            yield number, frame, functools.partial(self._look, picture, number, frame.image)

    def _look(self, picture: _Picture | None, number: int, image: Image) -> View | None:
        try:
            return self._view(picture, number, kept.resized(image, self._way.shape))
        except Exception as error:
            if is_fatal(error):
                raise
            return None

    def _pictures(self) -> Iterator[tuple[int, _Picture | None]]:
        """Pictures in order, and the frame up to which each serves."""
        groups, window, last = self._groups(), deque[kept.Key](), None
        coming = (self._key(n, image) for n, image in self._read(self._keys))
        reach = max(self._beside, default=0)
        place = {number: i for i, number in enumerate(self._keys)}
        for first, key, until in groups:
            at = place[key]
            while not window or place[window[-1].number] < min(at + reach, len(self._keys) - 1):
                window.append(next(coming))
            while place[window[0].number] < at - reach:
                window.popleft()
            picture = None
            try:
                around = [k for k in window if abs(place[k.number] - at) in (0, *self._beside)]
                if not any(self._needed(t)[2] for t in range(first, until)):
                    yield until, None
                    continue
                picture = self._picture(key, range(first, until), around)
                if self._final is not None:
                    self._complete(picture, range(first, until), last)
                    last = picture
            except Exception as error:
                if is_fatal(error):
                    raise
            yield until, picture

    def _groups(self) -> Iterator[tuple[int, int, int]]:
        """First frame, key and end of each part of the clip that one picture serves."""
        way, lasts = self._way, 0 if self._way.travels else self._lasts
        starts: list[list[int]] = []
        for key in self._keys:
            begin = starts[-1][0] if starts else -1
            near = starts and way.shots[begin] == way.shots[key] and key - begin < lasts
            if near and path.displacement(way.between(begin, key), self._way.shape) < _APART:
                starts[-1].append(key)
            else:
                starts.append([key])
        ends = [group[0] for group in starts[1:]] + [len(way.shots)]
        for group, end in zip(starts, ends, strict=True):
            yield group[0], group[len(group) // 2], end

    def _key(self, number: int, image: Image) -> kept.Key:
        """A key; one in which people are not known shows nothing."""
        hidden = None
        try:
            hidden = self._hidden(number, image)
        except Exception as error:
            if is_fatal(error):
                raise
        image = kept.resized(image, self._way.shape)
        return kept.Key(number, image, kept.like(self._clear(hidden), image[..., 0]))

    def _clear(self, hidden: Mask | None) -> Mask:
        if hidden is None:
            return np.zeros(self._way.shape, np.uint8)
        return np.asarray(cv2.compare(hidden, 0, cv2.CMP_EQ))

    def _picture(self, key: int, frames: range, around: list[kept.Key]) -> _Picture:
        """The scene about a key for some frames, by the keys around it."""
        to, size = self._canvas(key, frames)
        here = next(k for k in around if k.number == key)
        around = [k for k in around if self._way.shots[k.number] == self._way.shots[key]]
        around.sort(key=lambda k: abs(k.number - key))
        grey, scale = path.small(here.image)
        base = path.KeyFrame(grey, kept.like(here.clear, grey))
        layers = np.zeros((len(around), *size[::-1], 3), np.uint8)
        masks = np.ones((len(around), *size[::-1]), np.uint8)
        sight = np.zeros(size[::-1], np.uint8)
        offs: dict[bool, tuple[int, np.ndarray]] = {}  # after and before: of the last neighbour
        for n, other in enumerate(around):
            pose = self._way.between(key, other.number)
            if n:
                there = path.small(other.image)[0]
                start = path.full(pose, 1 / scale)
                better, share = base.to(there, kept.like(other.clear, there), start)
                if better is not None and share > 0.5:
                    pose = path.full(better, scale)
            move = to @ np.linalg.inv(pose)
            whole = np.full(other.clear.shape, 255, np.uint8)
            sight |= cv2.warpPerspective(whole, move, size)
            if n and self._way.travels:
                start = path.full(pose, 1 / scale)
                far, side = abs(other.number - key), other.number > key
                guess = offs[side][1] * np.float32(far / offs[side][0]) if side in offs else None
                corners = base.corners_in(there, kept.like(other.clear, there), start, guess)
                off = _off(corners, start, grey.shape)
                offs[side] = far, off
                places = parallax.places(pose, off, scale, -to[:2, 2], size)
                layers[n] = cv2.remap(other.image, *places, cv2.INTER_CUBIC)
                clear = cv2.remap(other.clear, *places, cv2.INTER_LINEAR)
            else:
                layers[n] = cv2.warpPerspective(other.image, move, size, flags=cv2.INTER_CUBIC)
                clear = cv2.warpPerspective(other.clear, move, size)
            masks[n] = clear < 255
            if n:
                both = (masks[0] == 0) & (clear == 255)
                layers[n] = background.times(
                    layers[n], background.gain_of(layers[n], layers[0], both)
                )
        empty, restless, unknown = background.median_without(layers, masks, 0.0)
        known = np.where(unknown, np.where(sight > 0, _HIDDEN, _NEVER), _SEEN).astype(np.uint8)
        if self._way.travels:
            known[(known == _SEEN) & (restless > _UNLIKE)] = _UNSURE
        edges = cv2.morphologyEx(empty, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(-1)
        restless += _OFF * edges  # of what is moved by a part of a pixel too far
        limits = background.thresholds(restless)
        limits[known != _SEEN] = 255
        empty[unknown] = 0
        scene = background.EmptyScene(empty, limits)
        return _Picture(key, to, scene, known, np.zeros_like(known))

    def _canvas(self, key: int, frames: range) -> tuple[path.Homography, tuple[int, int]]:
        """The homography from a key to a canvas that holds what is needed of some frames; (width,
        height) of that.
        """
        size = np.array(self._way.shape[::-1])
        reached = []
        for t in frames:
            left, top, right, bottom = self._needed(t)
            corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
            if right:
                pose = self._way.between(t, key)
                reached.append(path.moved(pose, np.array(corners, np.float64)))
        low = np.floor(np.min(reached, axis=(0, 1)).clip(-_BEYOND * size, size - 8)) - 2
        high = np.ceil(np.max(reached, axis=(0, 1)).clip(low + 8, (1 + _BEYOND) * size)) + 2
        width, height = (high - low).astype(int).tolist()
        return np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]), (width, height)

    def _needed(self, number: int) -> tuple[int, int, int, int]:
        """The part of a frame behind which the scene is asked for: left, top, right, bottom.

        All of it before it is known where people are hidden, and where that is not known; nothing
        if nobody is.
        """
        height, width = self._way.shape
        if self._final is None or (hidden := self._final[number]) is None:
            return 0, 0, width, height
        left, top, wide, tall = cv2.boundingRect(hidden)
        if not wide:
            return 0, 0, 0, 0
        low, high = (max(left - _RIM, 0), max(top - _RIM, 0)), (left + wide, top + tall)
        return *low, min(high[0] + _RIM, width), min(high[1] + _RIM, height)

    def _complete(self, picture: _Picture, frames: range, last: _Picture | None) -> None:
        """Makes up what is hidden and not known: as in the picture before, or from around."""
        assert self._final is not None
        size = picture.known.shape[::-1]
        hidden = np.zeros(size[::-1], np.uint8)
        for number in frames:
            mask, (left, top, right, bottom) = self._final[number], self._needed(number)
            if mask is not None and right:
                back = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
                move = picture.to @ self._way.between(number, picture.key) @ back
                part = 255 * mask[top:bottom, left:right]
                reached = path.moved(move, path.corners_of(part.shape))
                x, y = np.clip(np.floor(reached.min(0)).astype(int) - 1, 0, np.array(size) - 1)
                wide, high = np.clip(np.ceil(reached.max(0)).astype(int) + 1, 1, size) - [x, y]
                to = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
                if min(wide, high) > 0:
                    there = cv2.warpPerspective(part, to @ move, (int(wide), int(high)))
                    hidden[y : y + high, x : x + wide] |= there > 0
        reach = 4 * _RIM + 1 if self._way.travels else 7  # of warps and seams, and of parallax
        wide = cv2.dilate(hidden, np.ones((reach, reach), np.uint8))
        missing = (wide > 0) & (picture.known != _SEEN)
        if not missing.any():
            return
        empty = picture.scene.empty
        picture.made_up[missing] = 1
        if last is not None and self._way.shots[last.key] == self._way.shots[picture.key]:
            move = picture.to @ self._way.between(last.key, picture.key) @ np.linalg.inv(last.to)
            filled = cv2.warpPerspective(255 * last.made_up, move, size) == 255
            before = cv2.warpPerspective(last.scene.empty, move, size, flags=cv2.INTER_CUBIC)
            empty[missing & filled] = before[missing & filled]
            missing &= ~filled
        count, _, boxes, _ = cv2.connectedComponentsWithStats(
            cv2.dilate(missing.astype(np.uint8), np.ones((31, 31), np.uint8))
        )
        allowed = (picture.known == _SEEN).astype(np.uint8)
        for left, top, width, height, _ in boxes[1:count]:
            side = round(_AROUND * max(width, height)) + 32
            place = np.s_[max(top - side, 0) : top + height + side,
                          max(left - side, 0) : left + width + side]  # fmt: skip
            part = missing[place].astype(np.uint8)
            if part.sum() < _SLIVER * missing.size:
                unseen = 1 - allowed[place]
                smooth = cv2.inpaint(empty[place], unseen, 3, cv2.INPAINT_TELEA)
                empty[place][part > 0] = smooth[part > 0]
            else:
                empty[place] = fill.fill(empty[place], part, allowed[place])
            missing[place] = False

    def _view(self, picture: _Picture | None, number: int, image: Image) -> View:
        """What a frame shows of a picture. Outside of what is needed it shows itself."""
        shape = self._way.shape
        left, top, right, bottom = self._needed(number)
        empty, limits = image.copy(), np.full(shape, 255, np.uint8)
        unknown, made_up = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        view = View(background.EmptyScene(empty, limits), unknown, made_up)
        if not right:
            return view
        if picture is None:
            raise ValueError("the scene about a frame is not known")
        window = np.s_[top:bottom, left:right]
        part, size = image[window], (right - left, bottom - top)
        to = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
        move = to @ self._way.between(picture.key, number) @ np.linalg.inv(picture.to)
        whole = np.where(picture.known == _SEEN, np.uint8(255), np.uint8(0))
        seen = (cv2.warpPerspective(whole, move, size) == 255).astype(np.uint8)
        layers = cv2.merge([picture.known, picture.made_up, picture.scene.threshold])
        known, filled, threshold = cv2.split(
            cv2.warpPerspective(
                layers, move, size, flags=cv2.INTER_NEAREST, borderValue=(_NEVER, 0, 255)
            )
        )
        clear = self._clear(self._hidden(number, None))[window] & (255 * seen)
        if self._way.travels:
            scene = self._carried(picture, move, part, clear)
        else:
            how = cv2.INTER_LINEAR if self._final is None else cv2.INTER_CUBIC
            scene = cv2.warpPerspective(picture.scene.empty, move, size, flags=how)
        scene = background.times(scene, background.gain_of(scene, part, clear > 0))
        made_up[window] = filled & (1 - seen)
        limits[window] = np.where(seen > 0, threshold, np.uint8(255))
        unknown[window] = known == _HIDDEN
        lost = (seen | made_up[window]) == 0
        hidden = None if self._final is None else self._final[number]
        if self._final is None:
            scene[lost] = part[lost]
        elif hidden is None:
            scene[lost] = 0
        else:
            self.made_up[number] = float((hidden[window] & (1 - seen)).sum() / hidden.size)
        empty[window] = scene
        return view

    def _carried(self, picture: _Picture, move: path.Homography, part: Image, clear: Mask) -> Image:
        """A picture as a part of a frame sees it, at several depths."""
        grey, scale = path.small(part, path.scale_of(self._way.shape))
        other, back = path.small(picture.scene.empty, scale)[0], np.linalg.inv(move)
        whole = np.where(picture.known == _SEEN, np.uint8(255), np.uint8(0))
        start = path.full(back, 1 / scale)
        corners = path.KeyFrame(grey, kept.like(clear, grey)).corners_in(
            other, kept.like(whole, other), start
        )
        off = _off(corners, start, grey.shape)
        places = parallax.places(back, off, scale, np.zeros(2), part.shape[1::-1])
        edge = cv2.BORDER_REPLICATE  # parallax may reach beyond the picture
        return cv2.remap(picture.scene.empty, *places, cv2.INTER_CUBIC, borderMode=edge)


def _off(corners: tuple[np.ndarray, np.ndarray], pose: path.Homography, shape: tuple) -> np.ndarray:
    """How far a homography is off at each pixel of a small picture, by corners in two."""
    here, there = corners
    return parallax.widened(parallax.local(here, there - path.moved(pose, here), shape), shape)
