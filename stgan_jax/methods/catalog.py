"""The methods by kind: how each is set, trained and loaded. The one place that knows them all.

A method of your own is added with `register`, or found by itself if its package declares an entry
point in the group `stgan_jax.methods` whose value is a `Method`.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stgan_jax.methods import weights
from stgan_jax.methods.api import Anonymizer, ReadsGaits
from stgan_jax.methods.color import experiment as color_experiment
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.methods.retarget import experiment as retarget_experiment
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.methods.silhouette import experiment as silhouette_experiment
from stgan_jax.methods.silhouette.anonymizer import SilhouetteAnonymizer
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.methods.stgan import experiment as stgan_experiment
from stgan_jax.methods.stgan import noise_experiment
from stgan_jax.methods.stgan.anonymizer import StganAnonymizer
from stgan_jax.methods.stgan.settings import NoiseSettings, StganSettings
from stgan_jax.methods.wifs import experiment as wifs_experiment
from stgan_jax.methods.wifs.anonymizer import WifsAnonymizer
from stgan_jax.methods.wifs.settings import WifsSettings
from stgan_jax.training import checkpoint, lanes
from stgan_jax.training.experiment import Experiment
from stgan_jax.training.settings import RunSettings
from stgan_jax.util.errors import InputError

DEFAULT = "retarget"  # the weights that hold against an attacker who knows of them


@dataclasses.dataclass(frozen=True)
class Method:
    """One kind of model.

    Attributes:
      settings: class of its settings, whose `kind` is the method's name.
      experiment: settings -> what a training needs.
      anonymizer: (settings, params, digest) -> the trained model as an anonymiser; None if it
        anonymises nothing by itself.
    """

    settings: type[RunSettings]
    experiment: Callable[[Any], Experiment]
    anonymizer: Callable[[Any, dict[str, Any], str], Anonymizer] | None = None


_METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Adds a method under the kind of its settings, or replaces it."""
    _METHODS[method.settings.kind] = method


for _method in (
    Method(NoiseSettings, noise_experiment.experiment),
    Method(StganSettings, stgan_experiment.experiment, StganAnonymizer),
    Method(WifsSettings, wifs_experiment.experiment, WifsAnonymizer),
    Method(RetargetSettings, retarget_experiment.experiment, RetargetAnonymizer),
    Method(ColorSettings, color_experiment.experiment),
    Method(SilhouetteSettings, silhouette_experiment.experiment, SilhouetteAnonymizer),
):
    register(_method)


def method_of(kind: Any) -> Method:
    """The method of a kind. Raises `InputError` if there is none."""
    if kind not in _METHODS:
        for point in metadata.entry_points(group="stgan_jax.methods"):
            register(point.load())
    if kind not in _METHODS:
        raise InputError(f"unknown kind {kind!r} of model: choose one of {', '.join(_METHODS)}")
    return _METHODS[kind]


def settings_of(values: Mapping[str, Any]) -> Any:
    """Settings from nested plain values with their `kind`, as a config has them.

    Raises:
      InputError: an unknown kind or setting, or a value that cannot be.
    """
    return method_of(values.get("kind")).settings.from_dict(values)


def settings_of_config(config: Any) -> Any:
    """`settings_of` of the value of a config flag; `InputError` if its file is unreadable, too."""
    try:
        values = config.to_dict()
    except OSError as error:  # the flag reads the file only now
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"cannot read the config: {reason}") from error
    return settings_of(values)


def prepare(settings: RunSettings) -> Experiment:
    """Gathers what a training needs.

    Args:
      settings: completed, see `RunSettings.completed`.

    Raises:
      InputError: data are missing.
    """
    return method_of(settings.kind).experiment(settings)


def load(source: str | os.PathLike | None = None, which: str = checkpoint.LATEST) -> Anonymizer:
    """Loads a trained anonymiser.

    Args:
      source: the --workdir of a training, whose newest checkpoint is taken; or weights, by name
        (`weights.names`) or file; None for `DEFAULT`.
      which: which of a training's checkpoints, see `checkpoint.load`.

    Raises:
      InputError: there is no such thing, it is damaged, or it anonymises nothing.
    """
    saved = weights.read(DEFAULT if source is None else source, which)
    method = method_of(saved.kind)
    if method.anonymizer is None:
        raise InputError(
            f"{saved.source}: holds a {saved.kind!r} model, which anonymises nothing by itself: "
            f"choose one of kind {', '.join(k for k, m in _METHODS.items() if m.anonymizer)}"
        )
    settings, params = weights.restored(saved, method.settings)
    digest = [saved.digest, json.dumps(settings.published())]
    hashed = hashlib.sha256("\n".join(digest).encode()).hexdigest()
    return method.anonymizer(settings, params, hashed).named(saved.name)


def gait_reader(source: str | os.PathLike | None = None) -> ReadsGaits:
    """A model that reads gaits off silhouettes.

    Args:
      source: as `load` takes it.

    Raises:
      InputError: see `load`, or the model cannot read gaits.
    """
    model = load(source)
    if not isinstance(model, ReadsGaits):
        raise InputError(f"{model.name}: a {model.kind!r} model reads no gait: choose another")
    return model


def load_all(sources: Sequence[str]) -> list[Anonymizer]:
    """The anonymisers of a list as it is written on the command line.

    Args:
      sources: each as `load` takes it, or the folder of a sweep, which stands for all its lanes by
        their values and seeds. A lane's own folder may have come in parts, as its name has commas.

    Raises:
      InputError: see `load`.
    """
    models = []
    # A comma before NAME= belongs to a lane's name.
    for folder in map(Path, re.split(r",(?!\w+=)", ",".join(sources)) if sources else []):
        of_sweep = lanes.folders_of(folder)
        models += [load(lane).named(f"{folder.name} {lane.name}") for lane in of_sweep]
        if not of_sweep:
            models.append(load(str(folder)))
    return models
