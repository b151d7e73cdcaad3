"""The same walk, another walker: trained retargeting networks at work on silhouettes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax import checkpoint, fields, weights
from stgan_jax.data import identity
from stgan_jax.errors import InputError
from stgan_jax.models import retarget as models
from stgan_jax.settings import RetargetSettings, from_dict
from stgan_jax.steps import used

_CHUNK = 64  # frames: walks are filled up to a multiple, so that few shapes are compiled


class Retargeter:
    """Replaces walkers.

    Attributes:
      settings: of the networks' training.
      params: of the networks, by name.
    """

    def __init__(self, settings: RetargetSettings, params: Mapping[str, Any]):
        """Takes what `weights.load` or a checkpoint gives."""
        self.settings, self.params = settings, dict(params)
        self._nets = settings.nets()
        self._read = jax.jit(self._read_plain)
        self._drawn = jax.jit(self._draw_plain)

    @classmethod
    def load(cls, source: str | os.PathLike = "retarget") -> "Retargeter":
        """Of the weights that come with the package, by name, or of a training's folder.

        Raises:
          InputError: there is no such thing, or it is of another kind of model.
        """
        if str(source) in weights.names() and not Path(source).is_dir():
            settings, params = weights.load(str(source))
        else:
            saved = checkpoint.load(source, RetargetSettings.kind)
            settings, params = from_dict(saved.settings), saved.params()
        if not isinstance(settings, RetargetSettings):
            raise InputError(f"{source}: holds a {settings.kind!r} model, not a 'retarget' model")
        return cls(settings, params)

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
    ) -> UInt8[np.ndarray, "T 240 240"]:
        """One person's walk as another person's.

        A frame without anybody stays empty; the pose in it is not asked for. Frames should be
        consecutive and cropped as `contour.crop_mask` does by `contour.track_squares`; the new
        body has its feet and its head where such a crop has them.

        Args:
          silhouettes: non-zero where the person is.
          key: decides who the other is; another key, another body. One for each person and video.
          alpha: 0 for the own body, as far as it can be told from the silhouettes, 1 for another
            one, which leaves nothing of it; in between, identities in between. The settings' by
            default.

        Returns:
          1 inside, 0 outside; one part a frame, without holes.

        Raises:
          ValueError: another shape, or alpha outside of 0 to 1.
        """
        alpha = self.settings.alpha if alpha is None else alpha
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be from 0 to 1, not {alpha}")
        seen = np.flatnonzero(silhouettes.any((1, 2)))
        out = np.zeros(silhouettes.shape, np.uint8)
        if not len(seen):
            return out
        # Where nobody is seen, the nearest frame with somebody stands in for the window's sake.
        after = np.minimum(np.searchsorted(seen, np.arange(len(out))), len(seen) - 1)
        before = np.maximum(after - 1, 0)
        here = np.arange(len(out))
        later = np.abs(seen[after] - here) <= np.abs(seen[before] - here)
        rows = np.where(later, after, before)
        count = -(-len(out) // _CHUNK) * _CHUNK
        filled = rows[np.minimum(np.arange(count), len(out) - 1)]
        encoded = fields.encode(silhouettes[seen])[filled]
        code, shown = self._read(self.params, encoded[None])
        person = jnp.asarray(self.person(key))
        own = np.asarray(shown)[0, seen].mean(0)
        person = alpha * person + (1.0 - alpha) * own if alpha < 1.0 else person
        drawn = np.asarray(self._drawn(self.params, code, person[None]))[0, seen]
        out[seen] = fields.decode(drawn.reshape(-1, fields.SIDE, fields.SIDE))
        return out

    def person(self, key: jax.Array) -> Float[np.ndarray, " I"]:
        """A random identity, see `stranger`."""
        return stranger(self.params["people"], key)

    def _read_plain(self, params, encoded):
        gen, basis = used(params), params["basis"]
        seen = models.coordinates(basis, models.to_unit(encoded))
        code, _ = self._nets.encoder.apply(gen["encoder"], seen)
        return code, self._nets.identity.apply(gen["identity"], seen, code)

    def _draw_plain(self, params, code, person):
        made = self._nets.decoder.apply(used(params)["decoder"], code, person)
        return models.field(params["basis"], made)


def stranger(people: Mapping[str, Any], key: jax.Array) -> Float[np.ndarray, " I"]:
    """A random identity, in numbers of about zero mean and unit variance.

    Somebody who might be, of `identity.sample_identity`: G_N's generalisation from a contour
    to a body and how it walks.

    Args:
      people: "mean" and "scale" of identities' numbers.
      key: decides who.
    """
    high, low = (int(x) for x in np.asarray(jax.random.bits(key, (2,), jnp.uint32)))
    drawn = identity.vector(identity.sample_identity((1 << 64) + (high << 32) + low))
    return (drawn - np.asarray(people["mean"])) / np.asarray(people["scale"])
