"""The same walk, another walker: gaits are read from silhouettes and drawn as other people's."""

import copy
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stgan_jax.methods import weights
from stgan_jax.methods.api import Anonymizer, Course, Drawn, Silhouettes
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.shapes import contour, gait, identity, looks
from stgan_jax.shapes.walker import Walker
from stgan_jax.training.state import inference_params
from stgan_jax.util.checked import require

_DRAWING = 4  # to be raised when what is read is drawn otherwise
_CHUNK, _ROUND = 96, 32  # frames read at a time, and what to round up to: few shapes are compiled
_MOST = 2.2  # deviations of an identity's numbers from the mean, as people are drawn
_PRIOR = 0.01  # weight of the usual speed beside what the picture shows, of 1 for who crosses it
_SLOW = 0.3  # of the usual speed: whoever goes slower is seen from where it is read
_FASTEST = 1.6  # cycles a second; whoever runs slides


@dataclasses.dataclass(frozen=True)
class RetargetOptions:
    """How a gait that was read is drawn; nothing of it changes what was trained.

    Attributes:
      alpha: share of the new identity, 0 to 1. 0 draws the own body, as far as silhouettes show
        it, 1 leaves nothing of it, in between are identities in between.
      in_step: draws each frame's pose as it is read and when it was recorded, and a bag or a coat.
        By default all that is kept of a walk's time is whether somebody walks: steps begin when the
        key decides (`gait.start`) and follow each other as the new person's do.
      turn: by how many degrees at most a walker is drawn turned, as the key decides, 0 to 30.
        Whose track over the ground is known goes along it, not turned.
      manner: how far the new person's way of walking is from the mean one, as a share of people's
        spread, 0 to 1, see `identity.sample_identity`.
    """

    alpha: float = 1.0
    in_step: bool = False
    turn: float = 8.0
    manner: float = 0.1

    def __post_init__(self):
        """Raises `InputError` for what cannot be."""
        for name, most in (("alpha", 1), ("turn", 30), ("manner", 1)):
            require(0 <= getattr(self, name) <= most, f"{name} must be from 0 to {most}")


class Reading(NamedTuple):
    """What a walk's frames show.

    Attributes:
      pose, variance: numbers of `gait.pose_vector`, and how uncertain they are.
      person: the walker's numbers in each frame, standardised, each divided by its variance, and
        the inverse variances themselves.
      there: frames in which somebody is.
    """

    pose: Float[np.ndarray, "T 12"]
    variance: Float[np.ndarray, "T 12"]
    person: Float[np.ndarray, "T 2 43"]
    there: np.ndarray

    @classmethod
    def of(cls, parts: "list[Reading]") -> "Reading":
        """Of consecutive pieces one."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class RetargetAnonymizer(Anonymizer):
    """Replaces walkers.

    The new body has its feet and its head where `cropping.track_squares` has them in a crop.

    Attributes:
      settings: how the reader was trained.
      params: its parameters as "gen", and "people", mean and scale of identities' numbers.
      options: how what it reads is drawn.
    """

    kind = RetargetSettings.kind
    draws = True
    whole = True
    OPTIONS = tuple(field.name for field in dataclasses.fields(RetargetOptions))

    def __init__(self, settings: RetargetSettings, params: Mapping[str, Any], digest: str = ""):
        """Takes a trained model as `weights.load_as` gives it."""
        self.settings, self.params, self.options = settings, dict(params), RetargetOptions()
        self.context = 2 * (settings.window // 2)  # two windows, one of what the other gives
        self._digest = digest
        self._view: float | None = None  # from where a dataset says that walks are filmed
        self._apply = jax.jit(settings.nets().apply)

    @classmethod
    def load(cls, source: str | os.PathLike = "retarget") -> "RetargetAnonymizer":
        """The model of weights or of a training's folder, see `weights.read`.

        Raises:
          InputError: there is no such thing, or it is of another kind of model.
        """
        saved = weights.read(source)
        return cls(*weights.restored(saved, RetargetSettings), saved.digest)

    @property
    def alpha(self) -> float:  # type: ignore[override]
        """Share of the new identity."""
        return self.options.alpha

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Changes with weights and options."""
        return f"{self._digest} {self.options} {_DRAWING}" if self._digest else ""

    def _changed(self, options: dict[str, Any]) -> "RetargetAnonymizer":
        other = copy.copy(self)
        other.options = dataclasses.replace(self.options, **options)
        return other

    def __call__(
        self, silhouettes: Silhouettes, key: jax.Array, track: Course | None = None
    ) -> Silhouettes:
        """See `Anonymizer.__call__`; long walks by `in_pieces`, which gives the same.

        Legs are as far apart as the body's: what is between them, and enclosed by feet that touch,
        is outside. The pose in a frame without anybody is not asked for.
        """
        pieces = self.in_pieces(_slices(silhouettes), len(silhouettes), key, track)
        first, *rest = (out for _, out in pieces)
        return np.concatenate([first, *rest]) if rest else first

    def in_pieces(
        self,
        crops: Callable[[range], np.ndarray],
        frames: int,
        key: jax.Array,
        track: Course | None = None,
    ) -> Iterator[tuple[range, np.ndarray]]:
        """See `Anonymizer.in_pieces`."""
        reading = self._read(crops, frames)
        walker = self._bodies(reading, key, track).new if reading.there.any() else None
        for first in range(0, frames, _CHUNK):
            piece = range(first, min(first + _CHUNK, frames))
            if walker is None:
                out = np.zeros((len(piece), contour.SIZE, contour.SIZE), np.uint8)
            else:
                out = walker.silhouettes(np.array(piece))
                out[~reading.there[first : piece.stop]] = 0
            yield piece, out

    def drawn(self, silhouettes: Silhouettes, key: jax.Array, track: Course | None = None) -> Drawn:
        """See `Anonymizer.drawn`."""
        return self.bodies(_slices(silhouettes), len(silhouettes), key, track)

    def bodies(
        self,
        crops: Callable[[range], np.ndarray],
        frames: int,
        key: jax.Array,
        track: Course | None = None,
    ) -> Drawn:
        """See `Anonymizer.bodies`."""
        return self._bodies(self._read(crops, frames), key, track)

    def read_gait(self, silhouettes: Silhouettes) -> Float[np.ndarray, "T 12"]:
        """What each frame of one person's walk shows, as `gait.pose_vector` has it, unsmoothed."""
        return self._read(_slices(silhouettes), len(silhouettes)).pose

    def _read(self, crops: Callable[[range], np.ndarray], frames: int) -> Reading:
        length, parts = _CHUNK - 2 * self.context, []
        for start in range(0, frames, length):
            stop = min(start + length, frames)
            first = max(start - self.context, 0)
            around = crops(range(first, min(stop + self.context, frames)))
            part = self._read_frames(around)
            parts.append(Reading(*(x[start - first : stop - first] for x in part)))
        return Reading.of(parts)

    def _read_frames(self, silhouettes: Silhouettes) -> Reading:
        there = np.asarray(silhouettes.any((1, 2)))
        here, known = np.arange(len(there)), np.flatnonzero(there)
        if not len(known):
            known = here[:1]
        # The nearest frame with somebody stands in for one without anybody, for the window's sake.
        after = np.minimum(np.searchsorted(known, here), len(known) - 1)
        before = np.maximum(after - 1, 0)
        later = np.abs(known[after] - here) <= np.abs(known[before] - here)
        rows = np.where(later, after, before)
        rows = np.pad(rows, (0, -len(rows) % _ROUND), "edge")
        cells = networks.to_cells(silhouettes[known])[rows][None]
        mean, log_variance = self._apply(inference_params(self.params), cells)
        mean, variance = np.asarray(mean)[0, here], np.exp(np.asarray(log_variance)[0, here])
        pose, person = slice(0, networks.POSE), slice(networks.POSE, None)
        sure = 1.0 / variance[:, person]
        weighted = np.stack([mean[:, person] * sure, sure], 1)
        return Reading(mean[:, pose], variance[:, pose], weighted, there)

    def _bodies(self, reading: Reading, key: jax.Array, track: Course | None) -> Drawn:
        """The person as read, and who is to be drawn, in what gait."""
        options, track = self.options, track or Course()
        mean, scale = (np.asarray(self.params["people"][name]) for name in ("mean", "scale"))
        weighted, sure = reading.person[reading.there].sum(0)
        own = mean + scale * np.clip(weighted / sure, -_MOST, _MOST)
        person = stranger(key, options.manner)
        if options.alpha < 1.0:
            mixed = options.alpha * identity.vector(person) + (1.0 - options.alpha) * own
            look = person.look if options.alpha else looks.PLAIN  # the own one is not read
            person = dataclasses.replace(identity.from_vector(mixed), look=look)
        walk = gait.read(reading.pose, reading.variance, not options.in_step)
        if track.facing is not None:
            walk = walk.faced(track.facing)
        share = jax.random.uniform(jax.random.fold_in(key, 0x7B), minval=-1.0, maxval=1.0)
        turn = options.turn * float(share)
        published = walk.turned(turn)
        if not options.in_step:
            if self._view is not None:
                published = gait.past(self._view, len(walk.phase)).turned(turn)
            elif track.steps is None:  # of silhouettes alone it is misread of the same people again
                published = published._replace(pitch=gait.LEVEL)
            published = published._replace(condition="nm")  # who has a bag is known by it
            usual = person.cadence / track.fps
            cadence: Float[np.ndarray, " T"] | float = usual
            if track.pitch is not None:
                published = published._replace(pitch=track.pitch)
            if track.steps is not None:
                stride = Walker(person, published).stride
                published = published._replace(view=walk.view, near=track.near)
                view, speed = _over_ground(track.steps, published, usual * stride)
                published = published._replace(view=view)
                cadence = np.clip(speed / stride, 0.0, _FASTEST / track.fps)
            published = published.in_cadence(cadence, gait.start(key))
        return Drawn(Walker(identity.from_vector(own), walk), Walker(person, published))

    def from_view(self, degrees: float) -> "RetargetAnonymizer":
        """See `Anonymizer.from_view`."""
        other = copy.copy(self)
        other._view = degrees
        return other

    def noise_gait(
        self, own: Float[np.ndarray, "T 4000"], key: jax.Array
    ) -> Float[np.ndarray, "T 4000"]:
        """Noise for ST-GAN that moves in step: the same walk by somebody who does not exist.

        Args:
          own: resampled contours of consecutive frames, in [0, 1].
          key: decides who walks.

        Returns:
          resampled contours in [0, 1]; (0, 0) throughout where `own` is.
        """
        return contour.to_unit(contour.encode(self.noise_silhouettes(own, key), "resampled"))

    def noise_silhouettes(self, own: Float[np.ndarray, "T 4000"], key: jax.Array) -> Silhouettes:
        """The silhouettes that `noise_gait` is the contours of."""
        silhouettes = contour.decode(contour.to_pixels(own), "resampled")
        return self.in_own_step()(silhouettes, key)

    def in_own_step(self) -> "RetargetAnonymizer":
        """A copy that draws strangers in the pose of each moment, as noise gaits are."""
        return self._changed({"in_step": True, "turn": 0.0, "alpha": 1.0})


def _slices(silhouettes: Silhouettes) -> Callable[[range], np.ndarray]:
    def crops(frames: range) -> np.ndarray:
        return silhouettes[frames.start : frames.stop]

    return crops


def _over_ground(
    steps: Float[np.ndarray, "T 2"], walk: gait.Gait, usual: float
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """View in degrees and speed in statures a frame of who walks as a track does in the picture.

    Drawn so, a standing foot stays where it is. A level camera shows little of whether somebody
    comes or goes: there the view that is read and the usual speed count most, and the former where
    somebody hardly moves.

    Args:
      steps: see `Course`.
      walk: as it is read, with the camera's pitch.
      usual: speed of the person in statures a frame.
    """
    read, tilt = np.radians(walk.view), np.sin(np.radians(walk.feet_pitch))
    prior = _PRIOR * usual * walk.pace()
    aside = (prior * np.sin(read) - steps[:, 1]) / (1.0 + _PRIOR)
    ahead = (prior * np.cos(read) + tilt * steps[:, 0]) / (tilt**2 + _PRIOR)
    pace = np.hypot(steps[:, 1], tilt * steps[:, 0] / (tilt**2 + _PRIOR))
    moves = pace**2 / (pace**2 + (_SLOW * usual) ** 2)
    way = moves * np.exp(1j * np.arctan2(aside, ahead)) + (1.0 - moves) * np.exp(1j * read)
    view = np.unwrap(np.angle(gait.smoothed(way)))
    toward = np.stack([np.cos(view) * tilt, -np.sin(view)], -1)
    known = np.sum(steps * toward, -1) + prior
    return np.degrees(view), known / (np.sum(np.square(toward), -1) + _PRIOR)


def stranger(key: jax.Array, manner: float = 1.0) -> identity.Identity:
    """A random identity, who might be, by `identity.sample_identity`.

    G_N's generalisation from a contour to a body and its way of walking.

    Args:
      key: decides who, one of 2**64 who are nobody in a dataset.
      manner: see `identity.sample_identity`.
    """
    high, low = (int(x) for x in np.asarray(jax.random.bits(key, (2,), jnp.uint32)))
    return identity.sample_identity((1 << 64) + (high << 32) + low, manner)
