"""Checkpoints: a train state and the settings it was trained with, through orbax."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from stgan_jax.errors import InputError
from stgan_jax.models.noise import ContourBasis
from stgan_jax.state import TrainState

FORMAT = 1  # raised when older checkpoints can no longer be read


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What `load` gives back: the settings as plain values, and the state's arrays."""

    settings: dict[str, Any]
    state: dict[str, Any]
    step: int

    def params(self) -> dict[str, Any]:
        """Parameters of every network by name, the noise GAN's basis as what it is."""
        params = dict(self.state["params"])
        basis = params["noise_basis"]
        params["noise_basis"] = ContourBasis(basis["mean"], basis.get("components"), basis["scale"])
        return params


class Writer:
    """Keeps a run's checkpoints in `workdir/checkpoints`, the newest `keep` of them.

    Saving is asynchronous and atomic: a killed save leaves the one before as the latest.
    """

    def __init__(self, workdir: str | os.PathLike, settings: Mapping[str, Any], keep: int = 3):
        self._workdir, self._settings = workdir, dict(settings)
        self._manager = ocp.CheckpointManager(
            _folder(workdir),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
        )

    def save(self, state: TrainState) -> None:
        """Saves a state under its step, unless that step is saved already."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        meta = {"format": FORMAT, "settings": self._settings, "digest": _digest(state)}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
            ),
        )

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """The newest saved state in the form of `like`, or None in a new folder."""
        step = self._manager.latest_step()
        if step is None:
            return None
        template = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return _state(self._workdir, step, ocp.args.StandardRestore(template))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def load(workdir: str | os.PathLike, kind: str) -> Checkpoint:
    """Reads the newest checkpoint of a finished or running training.

    Args:
      workdir: the training's --workdir.
      kind: which model is wanted, "noise" or "stgan".

    Raises:
      InputError: nothing there, another model's, another format's, or damaged.
    """
    if not Path(workdir).is_dir():
        raise InputError(f"{workdir}: no such checkpoint folder: give the --workdir of a training")
    step = latest_step(workdir)
    if step is None:
        raise InputError(f"{workdir}: holds no checkpoint: give the --workdir of a training")
    settings = _meta(workdir, step)["settings"]
    if settings.get("kind") != kind:
        raise InputError(
            f"{workdir}: holds a {settings.get('kind')!r} model where a {kind!r} model is needed"
        )
    return Checkpoint(settings, _state(workdir, step, ocp.args.StandardRestore()), step)


def settings_in(workdir: str | os.PathLike) -> dict[str, Any] | None:
    """Settings of the run that a folder holds, or None in a folder without checkpoints."""
    step = latest_step(workdir)
    return None if step is None else _meta(workdir, step)["settings"]


def _folder(workdir: str | os.PathLike) -> Path:
    return Path(workdir).absolute() / "checkpoints"


def latest_step(workdir: str | os.PathLike) -> int | None:
    """Step of the newest checkpoint in a folder, or None."""
    return max((int(p.name) for p in _folder(workdir).glob("*") if p.name.isdigit()), default=None)


def _meta(workdir: str | os.PathLike, step: int) -> dict[str, Any]:
    meta = _read(workdir, step, "meta", ocp.args.JsonRestore())
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise InputError(
            f"{workdir}: not a checkpoint of this version (format {FORMAT}): train again or use "
            "the version that wrote it"
        )
    return meta


def _state(workdir: str | os.PathLike, step: int, args: ocp.args.CheckpointArgs) -> Any:
    state = _read(workdir, step, "state", args)
    if _digest(state) != _meta(workdir, step).get("digest"):
        raise _damaged(workdir, step)
    return state


def _read(workdir: str | os.PathLike, step: int, item: str, args: ocp.args.CheckpointArgs) -> Any:
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        try:
            folder = _folder(workdir) / str(step)
            return reader.restore(folder, ocp.args.Composite(**{item: args}))[item]
        except Exception as error:  # orbax and tensorstore raise many kinds for a bad file
            raise _damaged(workdir, step) from error


def _damaged(workdir: str | os.PathLike, step: int) -> InputError:
    return InputError(
        f"{_folder(workdir) / str(step)}: the checkpoint is damaged: delete this folder to fall "
        "back on the one before, or train again"
    )


def _digest(tree: Any) -> str:
    """Checksum of all arrays of a tree: storage itself lets a flipped bit pass."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    hashes = sorted(hashlib.sha256(leaf.tobytes()).digest() for leaf in leaves)
    return hashlib.sha256(b"".join(hashes)).hexdigest()
