"""Saved models: trainings' folders, npz files, and the weights that come with the package.

A file is an npz of float16 arrays, named by their place in the tree, and the settings as JSON.
`stgan_jax/weights/README.md` says what each file of the package was trained on and what it does.
"""

import dataclasses
import json
import os
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.training import checkpoint
from stgan_jax.training.settings import RunSettings
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

_SETTINGS, _SUFFIX = "settings", ".npz"
_FOLDER = resources.files("stgan_jax") / "weights"
_S = TypeVar("_S", bound=RunSettings)


@dataclasses.dataclass(frozen=True)
class Saved:
    """A saved model as it was read.

    Attributes:
      source: its folder, file or name.
      name: what tables call it.
      settings: plain values.
      params: parameters of every network by name.
      digest: checksum of the parameters, of a training of its whole state.
    """

    source: str
    name: str
    settings: dict[str, Any]
    params: dict[str, Any]
    digest: str

    @property
    def kind(self) -> Any:
        """The method's name in `catalog`."""
        return self.settings.get("kind")


def names() -> tuple[str, ...]:
    """Names of the weights that come with the package, such as "retarget"."""
    found = [p.name for p in _FOLDER.iterdir() if p.name.endswith(_SUFFIX)]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


def is_name(source: str | os.PathLike) -> bool:
    """Whether this names weights of the package, or an npz file: a folder is a training."""
    known = str(source).endswith(_SUFFIX) or str(source) in names()
    return known and not Path(source).is_dir()


def read(source: str | os.PathLike, which: str = checkpoint.LATEST) -> Saved:
    """Reads a saved model, of whatever kind.

    Args:
      source: one of `names`, an npz that `export` wrote, or the --workdir of a training.
      which: which of a training's checkpoints, see `checkpoint.load`.

    Raises:
      InputError: there is no such thing, or it is damaged.
    """
    if is_name(source):
        settings, tree = _read_npz(str(source))
        params = jax.tree.map(jnp.asarray, tree)
        return Saved(str(source), Path(source).stem, settings, params, checkpoint.digest(params))
    saved = checkpoint.load(source, which)
    name = Path(source).absolute().name
    digest = checkpoint.digest(saved.state)
    return Saved(str(source), name, saved.settings, saved.params(), digest)


def load_as(source: str | os.PathLike, settings: type[_S]) -> tuple[_S, dict[str, Any]]:
    """Settings and parameters of a saved model of a known kind.

    Args:
      source: as in `read`.
      settings: the class of its settings.

    Raises:
      InputError: there is no such thing, it is damaged, or of another kind of model.
    """
    return restored(read(source), settings)


def restored(saved: Saved, settings: type[_S]) -> tuple[_S, dict[str, Any]]:
    """What `load_as` gives, of a model that is read already."""
    if saved.kind != settings.kind:
        raise InputError(
            f"{saved.source}: holds a {saved.kind!r} model where a {settings.kind!r} model is "
            "needed"
        )
    try:
        known = settings.from_saved(saved.settings)
    except InputError as error:
        raise InputError(f"{saved.source}: {error}") from error
    return known, settings.restored(saved.params)


def _read_npz(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    file: Any = Path(name) if name.endswith(_SUFFIX) else _FOLDER / f"{name}{_SUFFIX}"
    tree: dict[str, Any] = {}
    try:
        with file.open("rb") as stream, np.load(stream) as arrays:
            settings = json.loads(str(arrays[_SETTINGS]))
            for path in arrays.files:
                if path != _SETTINGS:
                    *parents, leaf = path.split("/")
                    inner = tree
                    for parent in parents:
                        inner = inner.setdefault(parent, {})
                    inner[leaf] = arrays[path].astype(np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        remedy = "export it" if name.endswith(_SUFFIX) else "install the package"
        raise InputError(f"{file}: missing or damaged, {remedy} again") from error
    return settings, tree


def export(
    workdir: str | os.PathLike,
    path: str | os.PathLike,
    settings: type[RunSettings],
    which: str = checkpoint.LATEST,
) -> None:
    """Writes what use needs of a training: no discriminators, of averaged networks the average.

    Args:
      workdir: folder of the training.
      path: npz to write.
      settings: the class of its settings.
      which: as in `checkpoint.load`.

    Raises:
      InputError: no such training, or the file cannot be written.
    """
    saved = checkpoint.load(workdir, which)
    params = dict(saved.state["params"])
    kept = {
        name: tree
        for name, tree in params.items()
        if not name.endswith("_disc") and f"{name}_ema" not in params
    }
    arrays: dict[str, Any] = {
        "/".join(str(getattr(key, "key", key)) for key in place): np.asarray(leaf, np.float16)
        for place, leaf in jax.tree_util.tree_leaves_with_path(kept)
    }
    published = settings.from_saved(saved.settings).published()
    arrays[_SETTINGS] = np.array(json.dumps(published))
    with files.replacing(path) as beside:
        np.savez_compressed(beside, **arrays)
