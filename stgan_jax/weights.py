"""Trained parameters that come with the package: small files in `weights/`, by name.

A file is an npz of float16 arrays, named by their place in the tree, and the settings as JSON.
`weights/README.md` says what each was trained on and what it does.
"""

import json
import os
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from stgan_jax import checkpoint, files
from stgan_jax.checkpoint import Checkpoint
from stgan_jax.errors import InputError
from stgan_jax.settings import Settings, from_dict, to_dict

_SETTINGS, _SUFFIX = "settings", ".npz"
_FOLDER = resources.files("stgan_jax") / "weights"
_S = TypeVar("_S")


def names() -> tuple[str, ...]:
    """What there is, as "retarget"."""
    there = [p.name for p in _FOLDER.iterdir() if p.name.endswith(_SUFFIX)]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in there))


def load(name: str) -> tuple[Settings, dict[str, Any]]:
    """Settings and parameters of every network, as `checkpoint.Checkpoint.params` does.

    Args:
      name: one of `names`, or a file that `export` wrote.

    Raises:
      InputError: there is no such name or file, or it is damaged.
    """
    if name.endswith(_SUFFIX):
        file: Any = Path(name)
    elif name in names():
        file = _FOLDER / f"{name}{_SUFFIX}"
    else:
        raise InputError(f"no weights {name!r} come with the package: {', '.join(names())} do")
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
    return from_dict(settings), Checkpoint(settings, {"params": tree}, 0).params()


def is_name(source: str | os.PathLike) -> bool:
    """Whether it names weights, of the package or a file's: a folder is a training's."""
    named = str(source).endswith(_SUFFIX) or str(source) in names()
    return named and not Path(source).is_dir()


def trained(source: str | os.PathLike, kind: type[_S]) -> tuple[_S, dict[str, Any]]:
    """Settings and parameters by the name of weights or of a training's folder.

    Args:
      source: as `load` takes it, or a folder, whose newest checkpoint is taken.
      kind: class of the settings that are wanted.

    Raises:
      InputError: there is no such thing, it is damaged, or of another kind of model.
    """
    wanted = str(kind.kind)  # type: ignore[attr-defined]
    if is_name(source):
        settings, params = load(str(source))
    else:
        saved = checkpoint.load(source, wanted)
        settings, params = from_dict(saved.settings), saved.params()
    if not isinstance(settings, kind):
        raise InputError(f"{source}: holds a {settings.kind!r} model, not a {wanted!r} model")
    return settings, params


def export(
    workdir: str | os.PathLike, path: str | os.PathLike, which: str = checkpoint.LATEST
) -> None:
    """Writes what use needs of a training: no discriminators, of averaged networks the average.

    Args:
      workdir: of the training.
      path: of the npz.
      which: as `checkpoint.load` takes it.

    Raises:
      InputError: no such training, or the file cannot be written.
    """
    settings = checkpoint.settings_in(workdir) or {}
    saved = checkpoint.load(workdir, str(settings.get("kind")), which)
    params = dict(saved.state["params"])
    kept = {
        name: tree for name, tree in params.items()
        if not name.endswith("_disc") and f"{name}_ema" not in params
    }  # fmt: skip
    arrays: dict[str, Any] = {
        "/".join(str(getattr(key, "key", key)) for key in place): np.asarray(leaf, np.float16)
        for place, leaf in jax.tree_util.tree_leaves_with_path(kept)
    }
    arrays[_SETTINGS] = np.array(json.dumps(published(from_dict(saved.settings))))
    with files.replacing(path) as beside:
        np.savez_compressed(beside, **arrays)


def published(settings: Settings) -> dict[str, Any]:
    """Settings as `settings.to_dict` gives them, without the place where data lay."""
    told = to_dict(settings)
    for data in (told["data"], told.get("unpaired") or {}):
        data.pop("data_dir", None)
    return told
