"""Walks in, other walkers' walks out: the one place where videos meet a trained model.

`anonymize_walks` is the interface: silhouettes of several people and a key for each of them ->
silhouettes. Whatever model takes ST-GAN's place is called there.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from stgan_jax import checkpoint, contour, weights
from stgan_jax.dcgan import SilhouetteAnonymizer
from stgan_jax.errors import InputError
from stgan_jax.retarget import Retargeter
from stgan_jax.settings import RetargetSettings, SilhouetteSettings, StganSettings, from_dict
from stgan_jax.steps import StganNets, used

Silhouettes = UInt8[np.ndarray, "T 240 240"]
Walk = UInt8[np.ndarray, "_ 240 240"]  # of any length beside others

_ROWS, _FRAMES = 8, 16  # of a call of G: one compiled shape for any people and lengths


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained ST-GAN, ready for use; `noise` walks in step with whom it anonymises, if any."""

    nets: StganNets
    params: dict[str, Any]
    codec: str
    alpha: float
    noise: Retargeter | None = None

    @property
    def context(self) -> int:
        """How many frames before and after one decide its shape."""
        return 0 if self.noise is None else self.noise.context


# Of each: `alpha`, and `context`, how many frames before and after one decide its shape.
AnyModel = Model | Retargeter | SilhouetteAnonymizer


STRENGTHS = ("mild", "default", "strong")
_MILD = 0.7  # alpha of a mild replacement of walkers


def load_model(source: str | os.PathLike | None = None, strength: str = STRENGTHS[1]) -> AnyModel:
    """Loads what anonymises.

    Args:
      source: folder of a training of ST-GAN or of retargeting, whose newest checkpoint is taken;
        or a name of `weights.names`; None for "retarget", the weights that hold against an
        attacker who knows of them.
      strength: "mild", "default" or "strong". Of ST-GAN the weights of that strength
        ("stgan_mild", "stgan", "stgan_strong"). Retargeting leaves nothing of the own identity by
        default, and "strong" is the same; "mild" mixes 0.3 of it in, which hides less.

    Raises:
      InputError: there is no such thing, it is damaged, or of another kind of model; or a
        strength that it does not have.
    """
    if strength not in STRENGTHS:
        raise InputError(f"--strength must be one of {', '.join(STRENGTHS)}")
    name = "retarget" if source is None else os.fspath(source)
    of_stgan = name == StganSettings.kind and not os.path.isdir(name)
    if of_stgan and strength != STRENGTHS[1]:
        name = f"{name}_{strength}"
    named = of_stgan or weights.is_name(name)
    if named:
        settings, params = weights.load(name)
    else:
        kind = (checkpoint.settings_in(name) or {}).get("kind")
        others = RetargetSettings.kind, SilhouetteSettings.kind
        wanted = kind if kind in others else StganSettings.kind
        saved = checkpoint.load(name, wanted)
        settings, params = from_dict(saved.settings), saved.params()
    if isinstance(settings, RetargetSettings):
        if strength == STRENGTHS[0]:
            settings = dataclasses.replace(settings, alpha=min(settings.alpha, _MILD))
        return Retargeter(settings, params)
    if isinstance(settings, SilhouetteSettings):
        if strength != STRENGTHS[1]:
            raise InputError(f"{name}: has one strength: leave --strength out")
        return SilhouetteAnonymizer(settings, params)
    if not isinstance(settings, StganSettings):
        raise InputError(f"{name}: holds a {settings.kind!r} model, which anonymises no videos")
    if strength != STRENGTHS[1] and not of_stgan:
        raise InputError(
            f"{name}: a training of ST-GAN has one strength, that of its alpha "
            f"({settings.alpha:g}): leave --strength out"
        )
    noise = Retargeter.load(settings.noise_checkpoint) if settings.noise == "gait" else None
    return Model(settings.nets(), params, settings.data.codec, settings.alpha, noise)


def varied(
    model: AnyModel,
    tempo: float | None = None,
    build: float | None = None,
    in_step: bool | None = None,
) -> AnyModel:
    """The model with other options of `Retargeter`'s; None leaves what it has.

    Raises:
      InputError: it cannot.
    """
    if not isinstance(model, Retargeter):
        if tempo:
            raise InputError(
                "only retargeting can change cadence: leave --tempo out, or --checkpoint"
            )
        if build not in (None, 1.0):
            raise InputError("only retargeting draws bodies: leave --build out, or --checkpoint")
        return model  # in step as it is
    if tempo is None and build is None and in_step is None:
        return model  # as it is compiled
    changed = Retargeter(model.settings, model.params)
    changed.tempo = model.tempo if tempo is None else tempo
    changed.build = model.build if build is None else build
    changed.in_step = model.in_step if in_step is None else in_step
    if in_step:
        changed.tempo = 0.0
    return changed


def whole_walks(model: AnyModel) -> Callable | None:
    """`Retargeter.in_pieces` where what is drawn depends on all of a walk, else None.

    Raises:
      InputError: see `Retargeter.check`.
    """
    if isinstance(model, Retargeter) and (model.tempo or not model.in_step):
        model.check()
        return model.in_pieces
    return None


def anonymize_walks(
    model: AnyModel, walks: Sequence[Walk], keys: Sequence[jax.Array]
) -> list[Walk]:
    """Gives several walks other shapes; ST-GAN in as few calls as they fill.

    Args:
      model: a trained model.
      walks: silhouettes of consecutive frames, 0/1, cropped as `contour.crop_mask` does. A long
        walk may come in pieces where `whole_walks` gives None.
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
    """Gives one walk another shape: G with one noise for all its frames.

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
    noise = []
    if model.noise is not None:
        noise = [
            model.noise.noise_gait(contour.to_unit(walk), key)
            for walk, key in zip(walks, keys, strict=True)
        ]
    out = [np.empty(walk.shape, np.float32) for walk in walks]
    pieces = [(n, t) for n, walk in enumerate(walks) for t in range(0, len(walk), _FRAMES)]
    for start in range(0, len(pieces), _ROWS):
        batch = pieces[start : start + _ROWS]
        own, given = np.zeros((2, _ROWS, _FRAMES, contour.DIM), np.float32)
        for row, (n, t) in enumerate(batch):
            part = walks[n][t : t + _FRAMES]
            own[row, : len(part)] = contour.to_unit(part)
            if noise:
                given[row, : len(part)] = noise[n][t : t + _FRAMES]
        # What is missing to a full batch is filled up with its first walk.
        rows = jnp.stack([keys[n] for n, _ in batch + batch[:1] * (_ROWS - len(batch))])
        drawn = given if noise else _drawn(model.nets, model.params, rows)
        made = contour.to_pixels(np.asarray(_generate(model.nets, model.params, own, drawn)))
        for row, (n, t) in enumerate(batch):
            out[n][t : t + _FRAMES] = made[row, : len(out[n]) - t]
    return out


@functools.partial(jax.jit, static_argnums=0)
def _drawn(nets, params, keys) -> Float[Array, "B 4000"]:
    return jax.vmap(lambda key: nets.noise.sample(params, key, 1)[0])(keys)


@functools.partial(jax.jit, static_argnums=0)
def _generate(nets, params, contours: Float[Array, "B T 4000"], noise) -> Float[Array, "B T 4000"]:
    return nets.gen.apply(used(params), contours, noise)
