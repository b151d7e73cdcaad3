"""Recognisers by name: trained once on subjects of their own, and kept in a folder."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.evaluation.recognizers import (
    gait_numbers,
    gei,
    sequence_network,
    set_network,
    wu,
    zheng,
)
from stgan_jax.evaluation.recognizers.api import Recognizer, RecognizerKind
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

KINDS = {
    "gei": RecognizerKind(gei.GeiSettings, gei.train, gei.restore),
    "zheng": RecognizerKind(zheng.ZhengSettings, zheng.train, zheng.restore),
    "wu": RecognizerKind(
        wu.WuSettings, wu.train, wu.restore, sizes={"small": wu.WuSettings(steps=100)}
    ),
    "set_network": RecognizerKind(
        set_network.SetNetworkSettings,
        set_network.train,
        set_network.restore,
        version=2,
        sizes=set_network.SIZES,
    ),
    "sequence_network": RecognizerKind(
        sequence_network.SequenceNetworkSettings,
        sequence_network.train,
        sequence_network.restore,
        sizes=sequence_network.SIZES,
    ),
    "gait_numbers": RecognizerKind(
        gait_numbers.GaitNumbersSettings, gait_numbers.train, gait_numbers.restore, reads=True
    ),
}
_DIGEST_LENGTH = hashlib.sha256().digest_size


def train(name: str, gaits: AlignedGaits, seed: int = 0, settings: Any = None) -> Recognizer:
    """Trains a recogniser, with a progress bar.

    Args:
      name: a key of `KINDS`.
      gaits: walks of the recogniser's own subjects: none of those whom it will be applied to.
      seed: for all that is drawn at random.
      settings: an instance of the kind's class; None for its defaults.

    Raises:
      InputError: there is no such recogniser, or the walks will not do.
    """
    kind, settings = _find(name, settings)
    return kind.train(gaits, seed, settings)


def cached(
    folder: str | os.PathLike, name: str, gaits: AlignedGaits, seed: int = 0, settings: Any = None
) -> Recognizer:
    """The recogniser that `train` returns, from `folder` if it is there, and else kept there.

    The file's name holds a hash of the walks, the seed and the settings. A file that is not as it
    was written is not trusted: the recogniser is trained again, and a line says so.

    Args:
      folder: created if it does not exist.
      name: as in `train`.
      gaits: as in `train`; the hash covers every pixel.
      seed: as in `train`.
      settings: as in `train`.

    Raises:
      InputError: as in `train`, or the folder cannot be written to.
    """
    kind, settings = _find(name, settings)
    path = Path(folder) / f"{name}-{_key(kind, gaits, seed, settings)}.msgpack"
    if path.is_file():
        content = path.read_bytes()
        payload = content[:-_DIGEST_LENGTH]
        if hashlib.sha256(payload).digest() == content[-_DIGEST_LENGTH:]:
            return kind.restore(settings, serialization.msgpack_restore(payload))
        print(f"{path}: damaged, the recogniser is trained again")
    path.parent.mkdir(parents=True, exist_ok=True)
    recognizer = kind.train(gaits, seed, settings)
    payload = serialization.msgpack_serialize(recognizer.arrays())
    with files.replacing(path) as beside:
        beside.write_bytes(payload + hashlib.sha256(payload).digest())
    return recognizer


def _find(name: str, settings: Any) -> tuple[RecognizerKind, Any]:
    if name not in KINDS:
        raise InputError(f"no recogniser {name!r}: choose one of {', '.join(KINDS)}")
    kind = KINDS[name]
    settings = kind.settings() if settings is None else settings
    if not isinstance(settings, kind.settings):
        raise TypeError(f"settings of {name} must be {kind.settings}, not {type(settings)}")
    return kind, settings


def _key(kind: RecognizerKind, gaits: AlignedGaits, seed: int, settings: Any) -> str:
    values = [kind.version, seed, dataclasses.asdict(settings)]
    digest = hashlib.sha256(json.dumps(values).encode())
    for field in dataclasses.fields(gaits):
        value = getattr(gaits, field.name)
        for array in value if field.name == "packed" else [value]:
            array = np.ascontiguousarray(array)
            digest.update(f"{field.name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]
