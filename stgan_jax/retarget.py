"""The same walk, another walker: trained retargeting networks at work on silhouettes."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan_jax import contour, fields, gait, weights
from stgan_jax.data import identity
from stgan_jax.errors import InputError
from stgan_jax.models import retarget as models
from stgan_jax.settings import RetargetSettings
from stgan_jax.steps import used

_FEW = 2.4  # deviations from the mean; one of 60 people is farther from it
_CHUNK = 64  # frames: walks are filled up to a multiple, so that few shapes are compiled


class Retargeter:
    """Replaces walkers.

    Attributes:
      settings: of the networks' training.
      params: of the networks, by name.
      tempo: the largest relative change of cadence, the settings' unless it is set.
      in_step: whether poses are drawn as they are read, frame by frame and at the moments that were
        recorded, likewise. Else all that is kept of a gait is what `gait.read` makes of it, and it
        begins at a moment that the key decides (`gait.start`): moments and misreadings of a
        recording are what links two results of it.
      turn: degrees by which at most a walker is drawn turned, as the key decides, likewise.
      build: how various new bodies are, see `stranger`, likewise.
    """

    def __init__(self, settings: RetargetSettings, params: Mapping[str, Any]):
        """Takes what `weights.load` or a checkpoint gives."""
        self.settings, self.params = settings, dict(params)
        self.tempo, self.build = settings.tempo, settings.build
        self.in_step, self.turn = settings.in_step, settings.turn
        self._nets = settings.nets()
        self._read = jax.jit(self._read_plain)
        self._drawn = jax.jit(self._draw_plain)
        self._told = jax.jit(self._nets.gait_reader.apply)
        self._coded = jax.jit(self._nets.gait_coder.apply)

    @classmethod
    def load(cls, source: str | os.PathLike = "retarget") -> "Retargeter":
        """Of the weights that come with the package, by name, or of a training's folder.

        Raises:
          InputError: there is no such thing, or it is of another kind of model.
        """
        return cls(*weights.trained(source, RetargetSettings))

    @property
    def alpha(self) -> float:
        """Share of the other identity, by the settings."""
        return self.settings.alpha

    @property
    def context(self) -> int:
        """How many frames before and after one its pose is read of."""
        return self.settings.window // 2

    def __call__(
        self,
        silhouettes: UInt8[np.ndarray, "T 240 240"],
        key: jax.Array,
        alpha: float | None = None,
        tempo: float | None = None,
    ) -> UInt8[np.ndarray, "T 240 240"]:
        """One person's walk as another person's; whole walks, see `in_pieces` for long ones.

        A frame without anybody stays empty; the pose in it is not asked for. Frames should be
        consecutive and cropped as `contour.crop_mask` does by `contour.track_squares`; the new
        body has its feet and its head where such a crop has them.

        Args:
          silhouettes: non-zero where the person is.
          key: decides who the other is; another key, another body. One for each person and video.
          alpha: 0 for the own body, as far as it can be told from the silhouettes, 1 for another
            one, which leaves nothing of it; in between, identities in between. The settings' by
            default.
          tempo: the gait becomes up to so much faster or slower, as the key decides
            (`gait.factor`); 0.12 for an eighth. The person stays in place, so that feet slip by as
            much. The model's by default.

        Returns:
          1 inside, 0 outside; one part a frame, without holes.

        Raises:
          ValueError: another shape, or alpha or tempo outside of 0 to 1.
          InputError: the networks come from before they kept no more than a gait.
        """
        alpha, largest = self._options(alpha, tempo)
        return self._redrawn(silhouettes, key, alpha, lambda code: self._moved(code, key, largest))

    def _redrawn(
        self,
        silhouettes: UInt8[np.ndarray, "T 240 240"],
        key: jax.Array,
        alpha: float,
        change: Callable[[np.ndarray], np.ndarray],
    ) -> UInt8[np.ndarray, "T 240 240"]:
        out = np.zeros(silhouettes.shape, np.uint8)
        seen = silhouettes.any((1, 2))
        if seen.any():
            code, shown = self._codes(silhouettes)
            who = self._who(key, alpha, shown[seen].mean(0))
            out[seen] = self._silhouettes(change(code), who)[seen]
        return out

    def in_pieces(
        self, crops: Callable[[range], UInt8[np.ndarray, "_ 240 240"]], frames: int, key: jax.Array
    ) -> Iterator[tuple[range, UInt8[np.ndarray, "_ 240 240"]]]:
        """A long walk as by a call, without all of its silhouettes in memory at a time.

        Pose codes of all frames, which are few numbers, are moved together: what is drawn does not
        depend on where it is cut.

        Args:
          crops: silhouettes of some consecutive frames.
          frames: of the walk.
          key: as in a call.

        Yields:
          frames and what is drawn there.
        """
        length = 2 * _CHUNK - 2 * self.context
        pieces = [range(i, min(i + length, frames)) for i in range(0, frames, length)]
        codes, people, seen = [], [], []
        for piece in pieces:
            first = max(piece.start - self.context, 0)
            around = crops(range(first, min(piece.stop + self.context, frames)))
            kept = slice(piece.start - first, piece.stop - first)
            code, shown = self._codes(around)
            codes.append(code[kept])
            people.append(shown[kept])
            seen.append(around[kept].any((1, 2)))
        there = np.concatenate(seen)
        if there.any():
            alpha, largest = self._options(None, None)
            code = self._moved(np.concatenate(codes), key, largest)
            who = self._who(key, alpha, np.concatenate(people)[there].mean(0))
        for piece in pieces:
            out = np.zeros((len(piece), contour.SIZE, contour.SIZE), np.uint8)
            here = there[piece.start : piece.stop]
            if here.any():
                out[here] = self._silhouettes(code[piece.start : piece.stop], who)[here]
            yield piece, out

    def _options(self, alpha: float | None, largest: float | None) -> tuple[float, float]:
        alpha = self.settings.alpha if alpha is None else alpha
        largest = self.tempo if largest is None else largest
        for name, value in (("alpha", alpha), ("tempo", largest)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        return alpha, largest

    def _codes(
        self, silhouettes: UInt8[np.ndarray, "T 240 240"]
    ) -> tuple[Float[np.ndarray, "T C"], Float[np.ndarray, "T I"]]:
        """Pose codes, and what each frame tells of the person."""
        here, seen = np.arange(len(silhouettes)), np.flatnonzero(silhouettes.any((1, 2)))
        if not len(seen):
            seen = here[:1]
        # Where nobody is seen, the nearest frame with somebody stands in for the window's sake.
        after = np.minimum(np.searchsorted(seen, here), len(seen) - 1)
        before = np.maximum(after - 1, 0)
        later = np.abs(seen[after] - here) <= np.abs(seen[before] - here)
        rows = np.where(later, after, before)
        encoded = fields.encode(silhouettes[seen])[rows[_filled(len(here))]]
        code, shown = self._read(self.params, encoded[None])
        return np.asarray(code)[0, : len(here)], np.asarray(shown)[0, : len(here)]

    def _moved(
        self, code: Float[np.ndarray, "T C"], key: jax.Array, largest: float
    ) -> Float[np.ndarray, "T C"]:
        """A whole walk's codes: of nobody's gait, at other moments, seen from another angle."""
        share = jax.random.uniform(jax.random.fold_in(key, 0x7B), minval=-1.0, maxval=1.0)
        turn = self.turn * float(share)
        if self.in_step and not largest:
            return turned(code, used(self.params)["pose"], turn) if turn else code
        self.check()
        # At the moments that were recorded where that is asked for, with another tempo.
        start = 0.0 if self.in_step else gait.start(key)
        nets, every = self.params["gait"], _filled(len(code))
        told = np.asarray(self._told(nets["reader"], code[every][None]))[0, : len(code)]
        moved = gait.read(told).moved(gait.factor(key, largest), start, turn).vector()
        return np.asarray(self._coded(nets["coder"], moved[every][None]))[0, : len(code)]

    def check(self) -> None:
        """Raises `InputError` where there are no networks to keep no more than a gait by."""
        if "gait" not in self.params:
            raise InputError(
                "these retargeting networks come from an earlier version, which kept more of a "
                "walk: train them again, or have --in_step"
            )

    def _who(self, key: jax.Array, alpha: float, own: Float[np.ndarray, " I"]) -> np.ndarray:
        person = self.person(key)
        return alpha * person + (1.0 - alpha) * own if alpha < 1.0 else person

    def _silhouettes(
        self, code: Float[np.ndarray, "T C"], person: np.ndarray
    ) -> UInt8[np.ndarray, "T 240 240"]:
        filled = jnp.asarray(code[_filled(len(code))][None])
        drawn = np.asarray(self._drawn(self.params, filled, jnp.asarray(person)[None]))
        return fields.decode(drawn[0, : len(code)].reshape(-1, fields.SIDE, fields.SIDE))

    def noise_gait(
        self, own: Float[np.ndarray, "T 4000"], key: jax.Array
    ) -> Float[np.ndarray, "T 4000"]:
        """Noise for ST-GAN that moves in step: the same walk by somebody who does not exist.

        Args:
          own: resampled contours in [0, 1], of consecutive frames.
          key: decides who that is.

        Returns:
          likewise; (0, 0) throughout where `own` is.
        """
        return contour.to_unit(contour.encode(self.noise_silhouettes(own, key), "resampled"))

    def noise_silhouettes(
        self, own: Float[np.ndarray, "T 4000"], key: jax.Array
    ) -> UInt8[np.ndarray, "T 240 240"]:
        """What `noise_gait` is the contours of."""
        silhouettes = contour.decode(contour.to_pixels(own), "resampled")
        return self._redrawn(silhouettes, key, 1.0, lambda code: code)

    def person(self, key: jax.Array) -> Float[np.ndarray, " I"]:
        """A random identity, see `stranger`."""
        return stranger(self.params["people"], key, self.settings.manner, self.build)

    def _read_plain(self, params, encoded):
        gen, basis = used(params), params["basis"]
        seen = models.coordinates(basis, models.to_unit(encoded))
        code, _ = self._nets.encoder.apply(gen["encoder"], seen)
        return code, self._nets.identity.apply(gen["identity"], seen, code)

    def _draw_plain(self, params, code, person):
        made = self._nets.decoder.apply(used(params)["decoder"], code, person)
        return models.field(params["basis"], made)


def _filled(frames: int) -> Int[np.ndarray, " N"]:
    """Numbers of frames, the last again and again up to a multiple of `_CHUNK`."""
    return np.minimum(np.arange(-(-frames // _CHUNK) * _CHUNK), frames - 1)


def turned(
    codes: Float[np.ndarray, "T C"], head: Mapping[str, Any], degrees: float
) -> Float[np.ndarray, "T C"]:
    """Pose codes as if the walker were seen from further round.

    By the least change of them after which `models.PoseHead`, which is linear, reads another view
    and all else as before.

    Args:
      codes: of each frame.
      head: its parameters.
      degrees: how much further.
    """
    kernel, bias = (np.asarray(head["params"]["Dense_0"][name]) for name in ("kernel", "bias"))
    read, change = codes @ kernel + bias, np.zeros((len(codes), kernel.shape[1]), np.float32)
    for first, times in ((4, 1), (6, 2)):  # the view and its double, see `gait.pose_vector`
        seen = read[:, first] + 1j * read[:, first + 1]
        off = seen * (np.exp(1j * times * np.radians(degrees)) - 1.0)
        change[:, first], change[:, first + 1] = off.real, off.imag
    return (codes + change @ np.linalg.pinv(kernel)).astype(codes.dtype)


def stranger(
    people: Mapping[str, Any], key: jax.Array, manner: float = 1.0, build: float = 1.0
) -> Float[np.ndarray, " I"]:
    """A random identity, in numbers of about zero mean and unit variance.

    Somebody who might be, of `identity.sample_identity`: G_N's generalisation from a contour
    to a body and how it walks.

    Args:
      people: "mean" and "scale" of identities' numbers.
      key: decides who.
      manner: see `identity.sample_identity`.
      build: how many times as far from the mean one a body is as people's are; above 1 no number of
        it beyond what few people have. What is alike in two walks counts for less so.
    """
    drawn = identity.vector(identity.sample_identity(stranger_seed(key), manner))
    drawn = (drawn - np.asarray(people["mean"])) / np.asarray(people["scale"])
    if build == 1.0:
        return drawn
    return np.where(identity.of_build(), np.clip(build * drawn, -_FEW, _FEW), drawn)


def stranger_seed(key: jax.Array) -> int:
    """The seed by which `stranger` draws: one of 2**64 that are nobody's in a dataset."""
    high, low = (int(x) for x in np.asarray(jax.random.bits(key, (2,), jnp.uint32)))
    return (1 << 64) + (high << 32) + low
