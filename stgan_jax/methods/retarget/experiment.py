"""The training of retargeting's reader: data, initial state, step, validation and pictures."""

from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.methods import weights
from stgan_jax.methods.retarget.examples import ReadingBatch, examples
from stgan_jax.methods.retarget.losses import objective
from stgan_jax.methods.retarget.networks import POSE
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.methods.retarget.step import retarget_step
from stgan_jax.shapes import gait, identity
from stgan_jax.shapes.contour import SIZE
from stgan_jax.shapes.walker import Walker
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState, inference_params, with_average
from stgan_jax.util import grids
from stgan_jax.util.errors import InputError


def experiment(settings: RetargetSettings) -> Experiment:
    """Gathers what the training needs."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    reader, optimizers, data = settings.nets(), settings.optimizers(), settings.data
    initial = _initial(settings)
    walks, people = examples(data.walks, data.frames)
    unseen = None
    if data.validation_walks:
        unseen, _ = examples(data.validation_walks, data.frames, identity.FIRST_UNSEEN)

    def start(seed: int) -> TrainState:
        own = initial or jax.jit(reader.init)(jax.random.key(seed), jnp.asarray(walks.cells[:1]))
        params: dict[str, Any] = {"gen": own}
        params |= {"people": jax.tree.map(jnp.asarray, people)}
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        return retarget_step(state, batch, reader=reader, **fixed)

    @jax.jit
    def read(params, batch: ReadingBatch):
        gen, known = inference_params(params), batch.floats()
        return reader.apply(gen, known.cells), objective(gen, known, reader)[1]

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        (numbers, _), terms = read(params, jax.tree.map(jnp.asarray, unseen))
        figures = {name.removeprefix("loss/"): float(value) for name, value in terms.items()}
        figures["loss"] = figures.pop("gen")
        return {f"validation/{k}": v for k, v in (figures | _errors(numbers, unseen)).items()}

    def pictures(params):
        some = jax.tree.map(lambda x: x[:4], walks if unseen is None else unseen)
        (numbers, _), _ = read(params, jax.tree.map(jnp.asarray, some))
        return {"own; a mean body as read; as it is": _pictures(some, np.asarray(numbers), people)}

    step = step_of(update, settings, optimizers)
    validated = None if unseen is None else validate
    return Experiment(settings, feed.array_source(walks), start, step, validated, pictures)


def _initial(settings: RetargetSettings) -> Any:
    """The reader's parameters that a training starts from; None for random ones."""
    if not settings.initial:
        return None
    known, params = weights.load_as(settings.initial, RetargetSettings)
    if known.nets() != settings.nets():
        raise InputError(f"initial={settings.initial}: has another window or width")
    return inference_params(params)


def _errors(numbers, unseen: ReadingBatch) -> dict[str, float]:
    """Median errors of phase and view in degrees."""
    found = {}
    for name, at in (("phase", 0), ("view", 4)):
        angles = [
            np.angle(x[..., at] + 1j * x[..., at + 1], deg=True)
            for x in (np.asarray(numbers), unseen.pose.astype(np.float32))
        ]
        away = np.abs((angles[0] - angles[1] + 180) % 360 - 180)
        found[f"{name}_error"] = float(np.median(away))
    return found


def _pictures(batch: ReadingBatch, numbers: np.ndarray, people: dict[str, Any]) -> np.ndarray:
    person = identity.from_vector(people["mean"])
    frames = np.linspace(0, batch.pose.shape[1] - 1, 8).astype(int)
    rows = []
    for walk, own, pose in zip(batch.cells, numbers, batch.pose, strict=True):
        rows += [cv2.resize(cells.astype(np.float32), (SIZE, SIZE)) > 0 for cells in walk[frames]]
        for poses in (own[:, :POSE], pose.astype(np.float32)):
            drawn = Walker(person, gait.read(poses, smooth=False))
            rows += [*drawn.silhouettes(frames)]
    return grids.grid(np.stack(rows), len(frames))
