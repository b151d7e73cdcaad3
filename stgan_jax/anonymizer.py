"""Walks in, other walkers' walks out: the one place where videos meet a trained model.

`anonymize_walks` is the interface: silhouettes of several people and a key for each of them ->
silhouettes. Whatever model takes ST-GAN's place is called there.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from stgan_jax import checkpoint, contour, weights
from stgan_jax.dcgan import SilhouetteAnonymizer
from stgan_jax.retarget import Retargeter
from stgan_jax.settings import RetargetSettings, SilhouetteSettings, StganSettings, from_dict
from stgan_jax.steps import StganNets, used

Silhouettes = UInt8[np.ndarray, "T 240 240"]
Walk = UInt8[np.ndarray, "_ 240 240"]  # of any length beside others

_ROWS, _FRAMES = 8, 16  # of a call of G: one compiled shape for any people and lengths


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained ST-GAN, ready for use."""

    nets: StganNets
    params: dict[str, Any]
    codec: str
    alpha: float
    context: ClassVar[int] = 0


# Of each: `alpha`, and `context`, how many frames before and after one decide its shape.
AnyModel = Model | Retargeter | SilhouetteAnonymizer


def load_model(source: str | os.PathLike | None = None) -> AnyModel:
    """Loads what anonymises.

    Args:
      source: folder of a training of ST-GAN or of retargeting, whose newest checkpoint is taken;
        or a name of `weights.names`; None for "retarget", the weights that hold against an
        attacker who knows of them.

    Raises:
      InputError: there is no such thing, it is damaged, or of another kind of model.
    """
    source = "retarget" if source is None else source
    named = not os.path.isdir(source) and os.fspath(source) in weights.names()
    kind = (checkpoint.settings_in(source) or {}).get("kind")
    if kind == SilhouetteSettings.kind and not named:
        return SilhouetteAnonymizer.load(source)
    if named or kind == RetargetSettings.kind:
        return Retargeter.load(source)
    saved = checkpoint.load(source, StganSettings.kind)
    settings = from_dict(saved.settings)
    assert isinstance(settings, StganSettings)
    return Model(settings.nets(), saved.params(), settings.data.codec, settings.alpha)


def anonymize_walks(
    model: AnyModel, walks: Sequence[Walk], keys: Sequence[jax.Array]
) -> list[Walk]:
    """Gives several walks other shapes; ST-GAN in as few calls as they fill.

    Args:
      model: a trained model.
      walks: silhouettes of consecutive frames, 0/1, cropped as `contour.crop_mask` does. A long
        walk may come in pieces.
      keys: one a walk, which decides its shape whatever else is in the batch. Pieces of a walk
        take the same.

    Returns:
      for each walk its anonymised silhouettes. An empty silhouette stays empty.
    """
    if isinstance(model, Retargeter | SilhouetteAnonymizer):
        return [model(walk, key) for walk, key in zip(walks, keys, strict=True)]
    contours = [contour.encode(walk, model.codec) for walk in walks]
    out = []
    for own, made in zip(contours, _shapes(model, contours, keys), strict=True):
        made[~own.any(-1)] = 0.0
        out.append(contour.decode(made, model.codec))
    return out


def anonymize_silhouettes(model: AnyModel, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """`anonymize_walks` for one walk."""
    return anonymize_walks(model, [silhouettes], [key])[0]


def anonymize_contours(
    model: Model, contours: Float[np.ndarray, "T 4000"], key: jax.Array
) -> Float[np.ndarray, "T 4000"]:
    """Gives one walk another shape: G with one noise contour for all its frames.

    Args:
      model: a trained ST-GAN.
      contours: of one person's consecutive frames, in pixels of the 240x240 crop.
      key: decides the noise; another key, another walker.

    Returns:
      anonymised contours, in pixels.
    """
    return _shapes(model, [contours], [key])[0]


def _shapes(
    model: Model, walks: Sequence[np.ndarray], keys: Sequence[jax.Array]
) -> list[np.ndarray]:
    """G over pieces of `_FRAMES` frames of any walks, `_ROWS` pieces a call."""
    out = [np.empty(walk.shape, np.float32) for walk in walks]
    pieces = [(n, t) for n, walk in enumerate(walks) for t in range(0, len(walk), _FRAMES)]
    for start in range(0, len(pieces), _ROWS):
        batch = pieces[start : start + _ROWS]
        own = np.zeros((_ROWS, _FRAMES, contour.DIM), np.float32)
        for row, (n, t) in enumerate(batch):
            part = walks[n][t : t + _FRAMES]
            own[row, : len(part)] = contour.to_unit(part)
        # What is missing to a full batch is filled up with its first walk.
        rows = jnp.stack([keys[n] for n, _ in batch + batch[:1] * (_ROWS - len(batch))])
        made = contour.to_pixels(np.asarray(_generate(model.nets, model.params, own, rows)))
        for row, (n, t) in enumerate(batch):
            out[n][t : t + _FRAMES] = made[row, : len(out[n]) - t]
    return out


@functools.partial(jax.jit, static_argnums=0)
def _generate(nets, params, contours: Float[Array, "B T 4000"], keys) -> Float[Array, "B T 4000"]:
    noise = jax.vmap(lambda key: nets.noise.sample(params, key, 1)[0])(keys)
    return nets.gen.apply(used(params), contours, noise)
