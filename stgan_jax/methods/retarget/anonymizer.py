"""The same walk, another walker: trained retargeting networks as an anonymiser."""

import copy
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan_jax.methods import weights
from stgan_jax.methods.api import Anonymizer, Silhouettes
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.shapes import contour, fields, gait, identity
from stgan_jax.training.state import inference_params
from stgan_jax.util.checked import require
from stgan_jax.util.errors import InputError

_CHUNK = 64  # frames: walks are filled up to a multiple, so that few shapes are compiled


@dataclasses.dataclass(frozen=True)
class RetargetOptions:
    """How retargeting networks are used; nothing of it changes what was trained.

    Attributes:
      alpha: share of the new identity, 0 to 1. 0 draws the own body, as far as silhouettes show
        it, 1 leaves nothing of it, in between are identities in between.
      tempo: the gait becomes up to this much faster or slower, as the key decides
        (`gait.factor`), 0 to 1. The person stays in place, so that feet slip by as much.
      in_step: draws each frame's pose as it is read and when it was recorded. By default all that
        is kept of a walk is its gait (`gait.read`), which begins at a moment that the key decides
        (`gait.start`): moments and misreadings of a recording link two results of it.
      turn: by how many degrees at most a walker is drawn turned, as the key decides, 0 to 30.
      manner: how far the new person's way of walking is from the mean one, as a share of people's
        spread, 0 to 1, see `identity.sample_identity`.
    """

    alpha: float = 1.0
    tempo: float = 0.0
    in_step: bool = False
    turn: float = 8.0
    manner: float = 0.1

    def __post_init__(self):
        """Raises `InputError` for what cannot be."""
        for name, most in (("alpha", 1), ("tempo", 1), ("turn", 30), ("manner", 1)):
            require(0 <= getattr(self, name) <= most, f"{name} must be from 0 to {most}")
        require(not (self.tempo and self.in_step), "in_step keeps the cadence: tempo must be 0")


class RetargetAnonymizer(Anonymizer):
    """Replaces walkers.

    The new body has its feet and its head where `cropping.track_squares` has them in a crop.

    Attributes:
      settings: how the networks were trained.
      params: the networks' parameters, by name.
      options: how they are used.
    """

    kind = RetargetSettings.kind
    OPTIONS = tuple(field.name for field in dataclasses.fields(RetargetOptions))

    def __init__(self, settings: RetargetSettings, params: Mapping[str, Any], digest: str = ""):
        """Takes a trained model as `weights.load_as` gives it."""
        self.settings, self.params, self.options = settings, dict(params), RetargetOptions()
        self.context = settings.window // 2
        self._digest = digest
        self._nets = settings.nets()
        self._read = jax.jit(self._read_plain)
        self._drawn = jax.jit(self._draw_plain)
        self._read_gait = jax.jit(self._nets.gait_reader.apply)
        self._code_gait = jax.jit(self._nets.gait_coder.apply)

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
    def whole(self) -> bool:  # type: ignore[override]
        """Whether a walk's frames are drawn from all of it."""
        return not self.options.in_step

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Changes with weights and options."""
        return f"{self._digest} {self.options}" if self._digest else ""

    def _changed(self, options: dict[str, Any]) -> "RetargetAnonymizer":
        other = copy.copy(self)
        other.options = dataclasses.replace(self.options, **options)
        return other

    def require_video(self) -> None:
        """See `Anonymizer.require_video`."""
        if self.whole:
            self._require_gait()

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """See `Anonymizer.__call__`; for whole walks, long ones by `in_pieces`.

        Each frame comes out as one part without holes. The pose in a frame without anybody is not
        asked for.

        Raises:
          InputError: the networks are of a former version, which kept more than a gait.
        """
        return self._redrawn(
            silhouettes, key, self.options.alpha, lambda code: self._moved(code, key)
        )

    def _redrawn(
        self,
        silhouettes: Silhouettes,
        key: jax.Array,
        alpha: float,
        change: Callable[[np.ndarray], np.ndarray],
    ) -> Silhouettes:
        out = np.zeros(silhouettes.shape, np.uint8)
        there = silhouettes.any((1, 2))
        if there.any():
            code, people = self._codes(silhouettes)
            who = self._who(key, alpha, people[there].mean(0))
            out[there] = self._silhouettes(change(code), who)[there]
        return out

    def in_pieces(
        self, crops: Callable[[range], np.ndarray], frames: int, key: jax.Array
    ) -> Iterator[tuple[range, np.ndarray]]:
        """See `Anonymizer.in_pieces`; bit for bit what a call gives.

        Pose codes of all frames, which are few numbers, are moved together: what is drawn does not
        depend on where it is cut.
        """
        length = 2 * _CHUNK - 2 * self.context
        pieces = [range(i, min(i + length, frames)) for i in range(0, frames, length)]
        codes, people, there = [], [], []
        for piece in pieces:
            first = max(piece.start - self.context, 0)
            around = crops(range(first, min(piece.stop + self.context, frames)))
            kept = slice(piece.start - first, piece.stop - first)
            code, shown = self._codes(around)
            codes.append(code[kept])
            people.append(shown[kept])
            there.append(around[kept].any((1, 2)))
        present = np.concatenate(there)
        if present.any():
            code = self._moved(np.concatenate(codes), key)
            mean = np.concatenate(people)[present].mean(0)
            who = self._who(key, self.options.alpha, mean)
        for piece in pieces:
            out = np.zeros((len(piece), contour.SIZE, contour.SIZE), np.uint8)
            here = present[piece.start : piece.stop]
            if here.any():
                out[here] = self._silhouettes(code[piece.start : piece.stop], who)[here]
            yield piece, out

    def _codes(
        self, silhouettes: UInt8[np.ndarray, "T 240 240"]
    ) -> tuple[Float[np.ndarray, "T C"], Float[np.ndarray, "T I"]]:
        """Pose codes, and what each frame tells of the person."""
        here, known = np.arange(len(silhouettes)), np.flatnonzero(silhouettes.any((1, 2)))
        if not len(known):
            known = here[:1]
        # The nearest frame with somebody stands in for one without anybody, for the window's sake.
        after = np.minimum(np.searchsorted(known, here), len(known) - 1)
        before = np.maximum(after - 1, 0)
        later = np.abs(known[after] - here) <= np.abs(known[before] - here)
        rows = np.where(later, after, before)
        encoded = fields.encode(silhouettes[known])[rows[_filled(len(here))]]
        code, shown = self._read(self.params, encoded[None])
        return np.asarray(code)[0, : len(here)], np.asarray(shown)[0, : len(here)]

    def _moved(self, code: Float[np.ndarray, "T C"], key: jax.Array) -> Float[np.ndarray, "T C"]:
        """A whole walk's codes: of nobody's gait, at other moments, from another angle."""
        options = self.options
        share = jax.random.uniform(jax.random.fold_in(key, 0x7B), minval=-1.0, maxval=1.0)
        turn = options.turn * float(share)
        if options.in_step:
            return turned(code, inference_params(self.params)["pose"], turn) if turn else code
        read = gait.read(self._pose(code))
        walk = read.moved(gait.factor(key, options.tempo), gait.start(key), turn).vector()
        coder, every = self.params["gait"]["coder"], _filled(len(code))
        return np.asarray(self._code_gait(coder, walk[every][None]))[0, : len(code)]

    def read_gait(self, silhouettes: Silhouettes) -> Float[np.ndarray, "T 12"]:
        """See `api.ReadsGaits`."""
        return self._pose(self._codes(silhouettes)[0])

    def _pose(self, code: Float[np.ndarray, "T C"]) -> Float[np.ndarray, "T 12"]:
        self._require_gait()
        reader, every = self.params["gait"]["reader"], _filled(len(code))
        return np.asarray(self._read_gait(reader, code[every][None]))[0, : len(code)]

    def _require_gait(self) -> None:
        if "gait" not in self.params:
            raise InputError(
                "these retargeting networks come from an earlier version, which kept more of a "
                "walk: train them again, or use --in_step"
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
          own: resampled contours of consecutive frames, in [0, 1].
          key: decides who walks.

        Returns:
          resampled contours in [0, 1]; (0, 0) throughout where `own` is.
        """
        return contour.to_unit(contour.encode(self.noise_silhouettes(own, key), "resampled"))

    def noise_silhouettes(self, own: Float[np.ndarray, "T 4000"], key: jax.Array) -> Silhouettes:
        """The silhouettes that `noise_gait` is the contours of."""
        silhouettes = contour.decode(contour.to_pixels(own), "resampled")
        return self._redrawn(silhouettes, key, 1.0, lambda code: code)

    def person(self, key: jax.Array) -> Float[np.ndarray, " I"]:
        """A random identity, see `stranger`."""
        return stranger(self.params["people"], key, self.options.manner)

    def _read_plain(self, params, encoded):
        gen, basis = inference_params(params), params["basis"]
        walk = networks.coordinates(basis, networks.to_unit(encoded))
        code, _ = self._nets.encoder.apply(gen["encoder"], walk)
        return code, self._nets.identity.apply(gen["identity"], walk, code)

    def _draw_plain(self, params, code, person):
        decoder = inference_params(params)["decoder"]
        return networks.field(params["basis"], self._nets.decoder.apply(decoder, code, person))


def _filled(frames: int) -> Int[np.ndarray, " N"]:
    """Numbers of frames, the last again and again up to a multiple of `_CHUNK`."""
    return np.minimum(np.arange(-(-frames // _CHUNK) * _CHUNK), frames - 1)


def turned(
    codes: Float[np.ndarray, "T C"], head: Mapping[str, Any], degrees: float
) -> Float[np.ndarray, "T C"]:
    """Pose codes as from a camera further round the walker.

    They are changed by as little as makes `networks.PoseHead`, which is linear, read another view,
    and all else as before.

    Args:
      codes: one for each frame.
      head: parameters of the pose head.
      degrees: how much further round.
    """
    kernel, bias = (np.asarray(head["params"]["Dense_0"][name]) for name in ("kernel", "bias"))
    read, change = codes @ kernel + bias, np.zeros((len(codes), kernel.shape[1]), np.float32)
    for first, times in ((4, 1), (6, 2)):  # the view and its double, see `gait.pose_vector`
        wave = read[:, first] + 1j * read[:, first + 1]
        off = wave * (np.exp(1j * times * np.radians(degrees)) - 1.0)
        change[:, first], change[:, first + 1] = off.real, off.imag
    return (codes + change @ np.linalg.pinv(kernel)).astype(codes.dtype)


def stranger(
    people: Mapping[str, Any], key: jax.Array, manner: float = 1.0
) -> Float[np.ndarray, " I"]:
    """A random identity, in numbers of about zero mean and unit variance.

    A person who might be, by `identity.sample_identity`: G_N's generalisation from a contour to a
    body and its way of walking.

    Args:
      people: "mean" and "scale" of identities' numbers.
      key: decides who.
      manner: see `identity.sample_identity`.
    """
    drawn = identity.vector(identity.sample_identity(stranger_seed(key), manner))
    return (drawn - np.asarray(people["mean"])) / np.asarray(people["scale"])


def stranger_seed(key: jax.Array) -> int:
    """The seed by which `stranger` draws: one of 2**64 that are nobody's in a dataset."""
    high, low = (int(x) for x in np.asarray(jax.random.bits(key, (2,), jnp.uint32)))
    return (1 << 64) + (high << 32) + low
