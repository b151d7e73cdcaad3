"""Anonymisers of whole walks, as they are compared: trained ones and what they are measured by."""

import dataclasses
import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stgan_jax import checkpoint, contour, experiments, weights
from stgan_jax.dcgan import SilhouetteAnonymizer
from stgan_jax.errors import InputError
from stgan_jax.retarget import Retargeter
from stgan_jax.settings import (
    NoiseSettings,
    RetargetSettings,
    Settings,
    SilhouetteSettings,
    StganSettings,
    WifsSettings,
    from_dict,
)
from stgan_jax.steps import GaitNoise, used

if TYPE_CHECKING:
    from stgan_jax.data.datasets import Walk

# (own gaits in [0, 1], whose they are, seed) -> gaits in [0, 1]
Apply = Callable[
    [Float[np.ndarray, "B T 4000"], Sequence["Walk"], int], Float[np.ndarray, "B T 4000"]
]


@dataclasses.dataclass(frozen=True)
class Method:
    """Something that gives walks another shape.

    Attributes:
      name: what tables call it.
      kind: "unprotected", "linear_mix", "stgan", "wifs", "retarget" or
        "silhouette".
      codec: of the contours it works on.
      apply: gaits in, gaits out. The seed and a walk's name decide its noise, whatever else
        is in the batch.
      alpha: weight of the noise, None where there is no such thing.
      digest: changes with the weights and settings; "" where nothing is to be kept.
    """

    name: str
    kind: str
    codec: str
    apply: Apply
    alpha: float | None = None
    digest: str = ""

    def contours(
        self, own: Float[np.ndarray, "B T 4000"], walks: Sequence["Walk"], seed: int
    ) -> Float[np.ndarray, "B T 4000"]:
        """Anonymised contours in pixels; one that was empty stays empty."""
        made = contour.to_pixels(np.array(self.apply(own, walks, seed)))
        made[~own.any(-1)] = 0.0
        return made


def unprotected() -> Method:
    """Leaves everybody as they are: what all others are compared with."""
    # Padded contours are exact.
    return Method("unprotected", "unprotected", "padded", lambda own, walks, seed: own)


def linear_mix(workdir: str | os.PathLike, share: float) -> Method:
    """(1 - share) of the own contour and `share` of one of G_N's, the same in all frames.

    What ST-GAN's losses ask of G (Eqs. 6 and 7, squared), without a network in between.

    Args:
      workdir: training of a noise GAN, or the name of weights of one.
      share: from 0 to 1.

    Raises:
      InputError: the folder holds no such training.
    """
    settings, params = weights.trained(workdir, NoiseSettings)
    nets = settings.nets()

    @jax.jit
    def apply(own, keys):
        noise = jax.vmap(lambda key: nets.sample(params, key, 1)[0])(keys)
        return (1 - share) * own + share * noise[:, None]

    return Method(
        f"linear mix {share:g}", "linear_mix", settings.data.codec,
        lambda own, walks, seed: np.asarray(apply(own, _keys(walks, seed))),
        digest=f"{checkpoint.digest(params)} {share:g}",
    )  # fmt: skip


def trained(workdir: str | os.PathLike, which: str = checkpoint.LATEST) -> Method:
    """The anonymiser that a training in `workdir` has made.

    Args:
      workdir: training of ST-GAN, of the WIFS baseline or of retargeting; or weights, by
        name or file, see `weights`.
      which: as `checkpoint.load` takes it.

    Raises:
      InputError: nothing there, damaged, or a model that anonymises nothing.
    """
    named = weights.is_name(workdir)
    if named:
        settings, params = weights.load(str(workdir))
        kind = settings.kind
    else:
        kind = (checkpoint.settings_in(workdir) or {}).get("kind", StganSettings.kind)
    known = StganSettings, WifsSettings, RetargetSettings, SilhouetteSettings
    if kind not in [one.kind for one in known]:
        raise InputError(
            f"{workdir}: holds a {kind!r} model, which anonymises nothing by itself: give the "
            "--workdir of a training of stgan.py, wifs.py, retarget.py or silhouette.py"
        )
    if named:
        return _method(Path(workdir).stem, settings, params, _digest(settings, params))
    saved = checkpoint.load(workdir, kind, which)
    name = Path(workdir).absolute().name
    settings = from_dict(saved.settings)
    return _method(name, settings, saved.params(), _digest(settings, saved.state))


def all_trained(named: Sequence[str]) -> list[Method]:
    """The anonymisers of a list as it is given on the command line.

    Args:
      named: each as `trained` takes it, or the folder of a sweep, which stands for all its lanes by
        alpha and seed. A lane's own folder may have come in two, as its name holds a comma.

    Raises:
      InputError: as `trained`.
    """
    made = []
    for folder in map(Path, re.split(r",(?!seed=)", ",".join(named)) if named else []):
        lanes = [
            (float(parts[1]), int(parts[2]), lane)
            for lane in folder.glob("alpha=*,seed=*")
            if (parts := re.fullmatch(r"alpha=([\d.e+-]+),seed=(\d+)", lane.name))
        ]
        for *_, lane in sorted(lanes):
            made.append(dataclasses.replace(trained(lane), name=f"{folder.name} {lane.name}"))
        if not lanes:
            made.append(trained(str(folder)))
    return made


def _digest(settings: Settings, state) -> str:
    """Of all that decides what is made: weights, settings, weights that draw noise gaits."""
    told = [checkpoint.digest(state), json.dumps(weights.published(settings))]
    if isinstance(settings, StganSettings) and settings.noise == "gait":
        told.append(_digest(*weights.trained(settings.noise_checkpoint, RetargetSettings)))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _method(name: str, settings: Settings, params, digest: str) -> Method:
    if isinstance(settings, RetargetSettings):
        return retargeted(
            name, Retargeter(settings, params), settings.alpha, digest, settings.tempo
        )
    if isinstance(settings, SilhouetteSettings):
        apply = _redrawn(SilhouetteAnonymizer(settings, params))
        return Method(name, settings.kind, "resampled", apply, digest=digest)
    if isinstance(settings, StganSettings):
        apply = _stgan(settings, params)
    else:
        assert isinstance(settings, WifsSettings)
        apply = _wifs(settings, params)
    return Method(name, settings.kind, settings.data.codec, apply, settings.alpha, digest)


def retargeted(
    name: str, model: Retargeter, alpha: float, digest: str = "", tempo: float = 0.0
) -> Method:
    """Retargeting networks as an anonymiser of contours.

    Args:
      name: what tables call it.
      model: the networks.
      alpha: share of the new identity.
      digest: of its weights; what is set of `model` is added.
      tempo: largest relative change of cadence.
    """
    apply = _redrawn(lambda walk, key: model(walk, key, alpha, tempo))
    set_to = f"tempo {tempo:g} build {model.build:g} turn {model.turn:g} in step {model.in_step}"
    digest = f"{digest} {alpha:g} {set_to}"
    return Method(name, RetargetSettings.kind, "resampled", apply, alpha, digest)


def _redrawn(draw: Callable[[np.ndarray, jax.Array], np.ndarray]) -> Apply:
    """What gives silhouettes other shapes, as it is applied to resampled contours."""

    def apply(own, walks, seed):
        before = contour.decode(contour.to_pixels(own), "resampled")
        keys = _keys(walks, seed)
        after = np.stack([draw(b, key) for b, key in zip(before, keys, strict=True)])
        return contour.to_unit(contour.encode(after, "resampled"))

    return apply


def _stgan(settings: StganSettings, params) -> Apply:
    nets = settings.nets()
    mixed = jax.jit(lambda own, noise: nets.gen.apply(used(params), own, noise))
    if isinstance(nets.noise, GaitNoise):
        noise_of = _noise_gaits(settings.noise_checkpoint)
    else:
        drawn = nets.noise.sample
        noise_of = jax.jit(lambda own, keys: jax.vmap(lambda key: drawn(params, key, 1)[0])(keys))
    return lambda own, walks, seed: np.asarray(mixed(own, noise_of(own, _keys(walks, seed))))


_DRAWN: dict[tuple, bytes] = {}  # silhouettes of noise gaits, packed and compressed


def _noise_gaits(source: str | os.PathLike):
    """Noise that walks in step, by some weights.

    Gives a function of own gaits (B, T, 4000) in [0, 1] and keys (B,), to noise gaits likewise.
    Drawing them is most of a walk's time. What was drawn is kept while the process lasts, some
    20 kB a walk, as lanes of a sweep have the same.
    """
    model, digest = Retargeter.load(source), _digest(*weights.trained(source, RetargetSettings))

    def drawn(own: Float[np.ndarray, "T 4000"], key: jax.Array) -> Float[np.ndarray, "T 4000"]:
        which = digest, zlib.crc32(own.tobytes()), np.asarray(jax.random.key_data(key)).tobytes()
        if which not in _DRAWN:
            made = model.noise_silhouettes(own, key)
            _DRAWN[which] = zlib.compress(np.packbits(made).tobytes(), 1)
        bits = np.unpackbits(np.frombuffer(zlib.decompress(_DRAWN[which]), np.uint8))
        silhouettes = bits[: len(own) * contour.SIZE**2].reshape(-1, contour.SIZE, contour.SIZE)
        return contour.to_unit(contour.encode(silhouettes, "resampled"))

    return lambda own, keys: np.stack([drawn(*each) for each in zip(own, keys, strict=True)])


def _wifs(settings: WifsSettings, params) -> Apply:
    net = settings.net()
    subject = experiments.noise_subject(settings)
    data = dataclasses.replace(settings.data, first_subject=subject, last_subject=subject)
    source = experiments.source_of(data)
    modify = jax.jit(lambda own, noise: net.apply(used(params), own, noise))

    def noise_gait(walk: "Walk", seed: int, frames: int):
        in_view = [i for i, other in enumerate(source.walks) if other.view == walk.view]
        if not in_view:
            raise InputError(
                f"the noise gait (subject {subject}) is not known from {walk.view} degrees: train "
                "with --config.data.views that hold it"
            )
        index = np.array([in_view[np.random.default_rng(_number(walk, seed)).choice(len(in_view))]])
        noise = contour.fixed_to_unit(source.fetch(index, index))[0]
        return noise[np.arange(frames) % len(noise)]

    def apply(own, walks, seed):
        noise = np.stack([noise_gait(walk, seed, own.shape[1]) for walk in walks])
        return np.asarray(modify(own, jnp.asarray(noise)))

    return apply


def _number(walk: "Walk", seed: int) -> Int[np.ndarray, " 6"]:
    """A walk's name and a seed as numbers."""
    condition = int.from_bytes(walk.condition.encode(), "big")
    return np.array([seed, walk.subject, condition, walk.repetition, walk.view, 0xA7])


def _keys(walks: Sequence["Walk"], seed: int) -> jax.Array:
    drawn = [np.random.default_rng(_number(walk, seed)).integers(2**31) for walk in walks]
    return jax.vmap(jax.random.key)(jnp.array(drawn))
