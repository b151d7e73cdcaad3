"""The gait recognisers by name: trained on their own subjects, once, and kept in a folder."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from flax import serialization
from jaxtyping import Float

from stgan_jax.errors import InputError
from stgan_jax.evaluation import set_network, wu, zheng
from stgan_jax.evaluation.gaits import Gaits
from stgan_jax.files import replacing


@runtime_checkable
class Recognizer(Protocol):
    """What tells how much alike walks are.

    Attributes:
      name: of `METHODS`.
    """

    name: ClassVar[str]

    def distances(self, gallery: Gaits, probes: Gaits) -> Float[np.ndarray, "P G"]:
        """Of each probe to each walk of the gallery: the smaller, the more alike. No scale."""
        ...

    def arrays(self) -> dict[str, Any]:
        """Arrays, in nested dictionaries, from which its method restores it."""
        ...


@dataclasses.dataclass(frozen=True)
class GeiSettings:
    """There is nothing to set."""


@dataclasses.dataclass(frozen=True)
class Gei:
    """The plainest: Euclidean distance of energy images of 64x44 pixels in [0, 1]; no training.

    Han and Bhanu 2006, without their discriminant analysis.
    """

    name: ClassVar[str] = "gei"

    def distances(self, gallery: Gaits, probes: Gaits) -> Float[np.ndarray, "P G"]:
        """Euclidean distances of energy images."""
        flat = lambda gaits: gaits.energy().reshape(len(gaits), -1) / 255.0  # noqa: E731
        g, p = flat(gallery), flat(probes)
        squared = (p**2).sum(1)[:, None] - 2 * p @ g.T + (g**2).sum(1)
        return np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)

    def arrays(self) -> dict[str, Any]:
        """None."""
        return {}


@dataclasses.dataclass(frozen=True)
class Method:
    """How recognisers of one kind come about.

    Attributes:
      settings: the class of its settings, all with defaults.
      train: (gaits, seed, settings) -> recogniser.
      restore: (settings, what `Recognizer.arrays` gave) -> recogniser.
      version: to be raised when the same settings come to train another recogniser.
    """

    settings: type
    train: Callable[[Gaits, int, Any], Recognizer]
    restore: Callable[[Any, dict[str, Any]], Recognizer]
    version: int = 1


METHODS = {
    "gei": Method(GeiSettings, lambda *_: Gei(), lambda *_: Gei()),
    "zheng": Method(zheng.Settings, zheng.train, zheng.restore),
    "wu": Method(wu.Settings, wu.train, wu.restore),
    "set_network": Method(set_network.Settings, set_network.train, set_network.restore),
}


def train(name: str, gaits: Gaits, seed: int = 0, settings: Any = None) -> Recognizer:
    """Trains a recogniser, with a progress bar.

    Args:
      name: of `METHODS`.
      gaits: walks of the recogniser's own subjects: nobody whom it will be asked about.
      seed: of all that is drawn at random.
      settings: of the method's class; its defaults where None.

    Raises:
      InputError: there is no such recogniser, or the walks will not do.
    """
    method, settings = _known(name, settings)
    return method.train(gaits, seed, settings)


def cached(
    folder: str | os.PathLike, name: str, gaits: Gaits, seed: int = 0, settings: Any = None
) -> Recognizer:
    """The recogniser that `train` gives; kept in `folder`, and taken from there the next time.

    The file's name tells the walks, the seed and the settings apart by a hash. A file that is
    not as it was written is not trusted: the recogniser is trained anew, and a line says so.

    Args:
      folder: made where there is none.
      name: see `train`, as are the others.
      gaits: all of it counts, to the last pixel.
      seed: see `train`.
      settings: see `train`.

    Raises:
      InputError: as `train`; the folder cannot be written to.
    """
    method, settings = _known(name, settings)
    path = Path(folder) / f"{name}-{_key(method, gaits, seed, settings)}.msgpack"
    if path.is_file():
        content = path.read_bytes()
        payload = content[:-_DIGEST]
        if hashlib.sha256(payload).digest() == content[-_DIGEST:]:
            return method.restore(settings, serialization.msgpack_restore(payload))
        print(f"{path}: damaged, the recogniser is trained anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    recognizer = method.train(gaits, seed, settings)
    payload = serialization.msgpack_serialize(recognizer.arrays())
    with replacing(path) as beside:
        beside.write_bytes(payload + hashlib.sha256(payload).digest())
    return recognizer


_DIGEST = hashlib.sha256().digest_size


def _known(name: str, settings: Any) -> tuple[Method, Any]:
    if name not in METHODS:
        raise InputError(f"no recogniser {name!r}: choose of {', '.join(METHODS)}")
    method = METHODS[name]
    settings = method.settings() if settings is None else settings
    if not isinstance(settings, method.settings):
        raise TypeError(f"settings of {name} must be {method.settings}, not {type(settings)}")
    return method, settings


def _key(method: Method, gaits: Gaits, seed: int, settings: Any) -> str:
    said = [method.version, seed, dataclasses.asdict(settings)]
    digest = hashlib.sha256(json.dumps(said).encode())
    for field in dataclasses.fields(gaits):
        value = getattr(gaits, field.name)
        for array in value if field.name == "packed" else [value]:
            array = np.ascontiguousarray(array)
            digest.update(f"{field.name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]
