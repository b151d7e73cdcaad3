"""The training of retargeting: its data, initial state, step, validation and pictures."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.methods import weights
from stgan_jax.methods.retarget.examples import PairBatch, examples
from stgan_jax.methods.retarget.losses import gait_objective, objective
from stgan_jax.methods.retarget.networks import RetargetNets, field
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.methods.retarget.step import retarget_step
from stgan_jax.shapes import fields, identity
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState, inference_params, with_average
from stgan_jax.util import grids
from stgan_jax.util.errors import InputError


def experiment(settings: RetargetSettings) -> Experiment:
    """Gathers what the training needs. Raises `InputError` if the base does not fit."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    nets, optimizers, data = settings.nets(), settings.optimizers(), settings.data
    base, first = {}, 0
    if settings.base:  # pairs that it was not trained on, whose codes are as others' are
        base, first = _base(settings), identity.FIRST_UNSEEN // 2
    known = {name: jax.tree.map(np.asarray, base[name]) for name in ("basis", "people") if base}
    walks, fixed = examples(data.walks, data.frames, settings.components, first, known or None)
    unseen = None
    if data.validation_walks:
        unseen, _ = examples(
            data.validation_walks, data.frames, settings.components, identity.FIRST_UNSEEN, fixed
        )

    def start(seed: int) -> TrainState:
        params = jax.jit(nets.init, static_argnums=2)(jax.random.key(seed), fixed, data.frames)
        if base:
            params["gen"] = inference_params(base)
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        return retarget_step(state, batch, nets=nets, loss=settings.loss(), **fixed)

    def pictures(params):
        some = jax.tree.map(lambda x: jnp.asarray(x[:4]), walks if unseen is None else unseen)
        return {"own, retargeted, of the pose alone, wanted": _pictures(nets, params, some)}

    validate = None if unseen is None else functools.partial(_validate, settings, unseen)
    step = step_of(update, settings, optimizers)
    return Experiment(settings, feed.array_source(walks), start, step, validate, pictures)


def _base(settings: RetargetSettings) -> dict[str, Any]:
    """Parameters of the networks that stay as they are."""
    other, params = weights.load_as(settings.base, RetargetSettings)
    for name in ("components", "inputs", "window", "code_size", "width"):
        if (size := getattr(other, name)) != getattr(settings, name):
            raise InputError(f"base {settings.base}: was trained with {name} {size}: set the same")
    if settings.read_weight and "reader" not in inference_params(params):
        raise InputError(f"base {settings.base}: was trained without reader: set read_weight to 0")
    return params


def _float32(batch: PairBatch) -> PairBatch:
    return jax.tree.map(lambda x: x.astype(jnp.float32), batch)


@functools.partial(jax.jit, static_argnums=0)
def _figures(settings: RetargetSettings, params: Any, batch: PairBatch) -> dict[str, Any]:
    batch, nets, loss = _float32(batch), settings.nets(), settings.loss()
    quiet = jnp.zeros((*batch.pose.shape[:2], settings.code_size))
    _, of_gait = gait_objective(params["gait"], params, batch, nets, loss)
    gen = inference_params(params)
    return of_gait | objective(gen, params["basis"], batch, quiet, nets, loss)[1]


def _validate(
    settings: RetargetSettings, unseen: PairBatch, params: Any, alpha: float
) -> dict[str, float]:
    """All loss terms on unseen pairs, under names such as "iou", "loss", "field", "gait_field"."""
    del alpha
    figures = _figures(settings, params, jax.tree.map(jnp.asarray, unseen))
    names = {k: k.removeprefix("loss/").removeprefix("gen_") for k in figures}
    names |= {"loss/gen": "loss", "iou/gait": "gait_iou"}
    return {f"validation/{names[k]}": float(v) for k, v in figures.items()}


def _pictures(nets: RetargetNets, params: Any, batch: PairBatch) -> np.ndarray:
    batch = _float32(batch)
    gen, basis = inference_params(params), params["basis"]
    read, _ = nets.encoder.apply(gen["encoder"], batch.walks[:, 0])
    codes = read, nets.gait_coder.apply(params["gait"]["coder"], batch.pose)
    drawn = [nets.decoder.apply(gen["decoder"], code, batch.people[:, 1]) for code in codes]
    frames = np.linspace(0, batch.pose.shape[1] - 1, 8).astype(int)
    rows = []
    for walk, *others in zip(batch.walks, *drawn, strict=True):
        for one in (walk[0], *others, walk[1]):
            cells = np.asarray(field(basis, one[frames])).reshape(-1, fields.SIDE, fields.SIDE)
            rows += list(fields.decode(cells))
    return grids.grid(np.stack(rows), len(frames))
