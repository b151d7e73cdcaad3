"""Checkpoints: a train state and the settings it was trained with, through orbax."""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.training.state import TrainState
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

FORMAT = 1  # raised when older checkpoints can no longer be read
LATEST, BEST = "checkpoints", "best"  # folders in a run's workdir


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: the settings as plain values, the state's arrays, and its step."""

    settings: dict[str, Any]
    state: dict[str, Any]
    step: int

    def params(self) -> dict[str, Any]:
        """Parameters of every network by name, on the device."""
        return jax.tree.map(jnp.asarray, dict(self.state["params"]))


class Writer:
    """Keeps a run's checkpoints: the three newest in `checkpoints`, the best one in `best`.

    Saving is asynchronous and atomic: a killed save leaves the one before as the latest.
    The settings lie beside, in `config.json`.

    Attributes:
      best: the lowest validation loss of a saved state so far; infinity before.
    """

    def __init__(self, workdir: str | os.PathLike, settings: Mapping[str, Any]):
        """Prepares the folder. Raises `InputError` where it cannot be written to."""
        import orbax.checkpoint as ocp  # slow to load, as below

        self._workdir, self._settings = workdir, dict(settings)
        self._managers = {
            name: ocp.CheckpointManager(
                _folder(workdir, name),
                options=ocp.CheckpointManagerOptions(max_to_keep=count, create=True),
            )
            for name, count in ((LATEST, 3), (BEST, 1))
        }
        step = latest_step(workdir, BEST)
        self.best = float("inf") if step is None else _meta(workdir, step, BEST)["loss"]
        if jax.process_index() == 0:
            with files.replacing(Path(workdir) / "config.json") as beside:
                beside.write_text(json.dumps(self._settings, indent=2) + "\n")

    def save(self, state: TrainState, validation_loss: float | None = None) -> None:
        """Saves a state under its step, unless that step is saved already.

        Args:
          state: what to save; also kept as the best one, if its loss is the lowest so far.
          validation_loss: None where it was not taken.

        Raises:
          InputError: it cannot be written, or the save before could not. Nothing that is
            saved already is lost.
        """
        # In host memory the devices it comes from no longer matter.
        state = jax.tree.map(np.asarray, state)
        step = int(state.step)
        meta = {
            "format": FORMAT,
            "settings": self._settings,
            "digest": digest(state),
            "loss": validation_loss,
        }
        import orbax.checkpoint as ocp

        wanted = [LATEST]
        if validation_loss is not None and validation_loss < self.best:
            self.best = validation_loss
            wanted.append(BEST)
        with self._one_sentence():
            for name in wanted:
                if jax.process_count() > 1:  # orbax's barriers have one name for all managers
                    self._wait()
                if step not in self._managers[name].all_steps():
                    self._managers[name].save(
                        step,
                        args=ocp.args.Composite(
                            state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
                        ),
                    )

    def restore(self, like: TrainState, step: int | None = None) -> TrainState | None:
        """A saved state in the form of `like`, the newest by default; None in a new folder.

        The devices that it was saved from do not matter.

        Raises:
          InputError: it is damaged, or of other shapes than `like`.
        """
        step = self._managers[LATEST].latest_step() if step is None else step
        if step is None:
            return None
        return _state(self._workdir, step, LATEST, like)

    def last_saved(self) -> int | None:
        """Step of the newest checkpoint, once it is on disk. Raises `InputError` as `save` does."""
        with self._one_sentence():
            self._wait()
        return latest_step(self._workdir)

    def close(self) -> None:
        """Waits until everything is on disk. Raises `InputError` as `save` does."""
        self.last_saved()
        for manager in self._managers.values():
            manager.close()

    def _wait(self) -> None:
        for manager in self._managers.values():
            manager.wait_until_finished()

    @contextlib.contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """Turns whatever orbax raises into an `InputError` that names the last good step."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # orbax's and tensorstore's
            text = str(error).strip() or type(error).__name__
            full = any(word in text for word in ("No space left", "RESOURCE_EXHAUSTED"))
            reason = "the disk is full" if full else text.splitlines()[0][:200]
            step = latest_step(self._workdir)
            kept = "nothing was saved before" if step is None else f"step {step} is kept"
            raise InputError(
                f"{_folder(self._workdir)}: cannot save a checkpoint ({reason}), {kept}: "
                "make room or mend the folder's rights, and run the same command again"
            ) from error


def load(workdir: str | os.PathLike, which: str = LATEST) -> Checkpoint:
    """Reads a checkpoint of a finished or running training.

    Args:
      workdir: the training's --workdir.
      which: "checkpoints" for the newest, "best" for the one of the lowest validation loss.
        Newest by default: for ST-GAN the loss is no measure of how well gaits are hidden.

    Raises:
      InputError: nothing there, another format's, or damaged.
    """
    if not Path(workdir).is_dir():
        raise InputError(f"{workdir}: no such checkpoint folder: give the --workdir of a training")
    step = latest_step(workdir, which)
    if step is None:
        raise InputError(f"{workdir}: holds no checkpoint: give the --workdir of a training")
    settings = _meta(workdir, step, which)["settings"]
    return Checkpoint(settings, _state(workdir, step, which), step)


def settings_in(workdir: str | os.PathLike) -> dict[str, Any] | None:
    """Settings of the run that a folder holds, or None in a folder without checkpoints."""
    step = latest_step(workdir)
    return None if step is None else _meta(workdir, step, LATEST)["settings"]


def saved_steps(workdir: str | os.PathLike, which: str = LATEST) -> list[int]:
    """Steps of the whole checkpoints in a folder, ascending."""
    return sorted(int(p.name) for p in _folder(workdir, which).glob("*") if p.name.isdigit())


def latest_step(workdir: str | os.PathLike, which: str = LATEST) -> int | None:
    """Step of the newest checkpoint in a folder, or None."""
    return max(saved_steps(workdir, which), default=None)


def _folder(workdir: str | os.PathLike, which: str = LATEST) -> Path:
    return Path(workdir).absolute() / which


def _meta(workdir: str | os.PathLike, step: int, which: str) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    meta = _read(_folder(workdir, which) / str(step), "meta", ocp.args.JsonRestore())
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise InputError(
            f"{workdir}: not a checkpoint of this version (format {FORMAT}): train again or use "
            "the version that wrote it"
        )
    return meta


def _state(workdir: str | os.PathLike, step: int, which: str, like: Any = None) -> Any:
    """The state as it was saved, in this process's memory, or in the form of `like`."""
    import orbax.checkpoint as ocp

    folder = _folder(workdir, which) / str(step)
    state = _read(folder, "state", ocp.args.StandardRestore())
    if digest(state) != _meta(workdir, step, which).get("digest"):
        raise _damaged(folder)
    if like is None:
        return state
    # In one order on both sides, whatever the containers: by each array's path.
    named = {_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    wanted, form = jax.tree_util.tree_flatten_with_path(like)
    leaves = [named.pop(_path(path), None) for path, _ in wanted]
    fits = [
        leaf is not None and (np.shape(leaf), leaf.dtype) == (np.shape(ask), ask.dtype)
        for leaf, (_, ask) in zip(leaves, wanted, strict=True)
    ]
    if named or not all(fits):
        raise InputError(
            f"{folder}: holds networks of other shapes than this run's: choose another --workdir"
        )
    return jax.tree_util.tree_unflatten(form, leaves)


def _path(path: tuple) -> str:
    """An array's place in a tree, the same for attributes, keys and positions."""
    return "/".join(
        str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path
    )


def _read(folder: Path, item: str, args: Any) -> Any:
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        try:
            return reader.restore(folder, ocp.args.Composite(**{item: args}))[item]
        except Exception as error:  # orbax and tensorstore raise many kinds for a bad file
            raise _damaged(folder) from error


def _damaged(folder: Path) -> InputError:
    return InputError(
        f"{folder}: the checkpoint is damaged: delete this folder to fall back on the one "
        "before, or train again"
    )


def digest(tree: Any) -> str:
    """Checksum of all arrays of a tree: storage itself lets a flipped bit pass."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    hashes = sorted(hashlib.sha256(leaf.tobytes()).digest() for leaf in leaves)
    return hashlib.sha256(b"".join(hashes)).hexdigest()
