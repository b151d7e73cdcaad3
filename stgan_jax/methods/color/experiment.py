"""The training of a colour network: its data, initial state, step, validation and pictures."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from stgan_jax.methods.color import examples
from stgan_jax.methods.color.examples import ColorBatch
from stgan_jax.methods.color.networks import blended
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.methods.color.step import augmented, color_loss, color_step
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.state import TrainState, inference_params, with_average

_CHUNK = 16  # examples a call in validation


def experiment(settings: ColorSettings) -> Experiment:
    """Gathers what the training needs. Raises `InputError` if the dataset is not built."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    net, loss, optimizers = settings.net(), settings.loss(), settings.optimizers()
    training = examples.examples(settings.data)
    unseen = None
    if settings.validation_subjects:
        first, last = settings.validation_subjects
        data = dataclasses.replace(settings.data, first_subject=first, last_subject=last, frames=1)
        unseen = examples.examples(data, seed=1)
        whole = len(unseen.own) // _CHUNK * _CHUNK or len(unseen.own)
        unseen = jax.tree.map(lambda x: x[:whole], unseen)
    side = training.own.shape[1]

    def start(seed: int) -> TrainState:
        zeros = jnp.zeros((1, side, side, 3)), jnp.zeros((1, side, side))
        params = {"gen": jax.jit(net.init)(jax.random.key(seed), *zeros)}
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    def pictures(params):
        return {"original, nearest pixel, network": _pictures(net, params, unseen or training)}

    validate = None if unseen is None else functools.partial(_validate, settings, unseen)
    update = functools.partial(color_step, net=net, loss=loss)
    step = step_of(update, settings, optimizers)
    return Experiment(settings, feed.array_source(training), start, step, validate, pictures)


@functools.partial(jax.jit, static_argnums=0)
def _figures(settings: ColorSettings, params: Any, batch: ColorBatch, alpha: Any) -> Any:
    inputs = augmented(jax.random.key(0), batch, 0.0, StepOptions())
    net, loss = settings.net(), settings.loss()
    return color_loss(net, loss, inference_params(params), alpha, *inputs)[1]


def _validate(
    settings: ColorSettings, unseen: ColorBatch, params: Any, alpha: float
) -> dict[str, float]:
    """The loss and its terms on unseen people, in chunks."""
    every = []
    for i in range(0, len(unseen.own), _CHUNK):
        chunk = jax.tree.map(lambda x, i=i: x[i : i + _CHUNK], unseen)
        every.append(_figures(settings, params, chunk, alpha))
    # "loss", "rec" and "style", of loss/gen, loss/gen_rec and loss/gen_style.
    means = {k[9:] or "loss": float(np.mean([f[k] for f in every])) for k in every[0]}
    return {f"validation/{name}": value for name, value in means.items()}


def _pictures(net: Any, params: Any, batch: ColorBatch) -> UInt8[np.ndarray, "H W 3"]:
    """24 examples, three columns each: original, nearest pixel, network."""
    chosen = np.linspace(0, len(batch.own) - 1, 24).astype(int)
    colors, pseudo, anonymized, _ = jax.tree.map(lambda x: x[chosen], batch)
    inputs = jnp.asarray(colors, jnp.float32) / 255, jnp.asarray(anonymized, jnp.float32) / 255
    generated = blended(*inputs, *jax.jit(net.apply)(inference_params(params), *inputs))
    generated = np.rint(255 * np.asarray(generated)).astype(np.uint8)
    side = colors.shape[1]
    rows = np.stack([colors, pseudo, generated], 1).reshape(4, 6, 3, side, side, 3)
    return rows.transpose(0, 3, 1, 2, 4, 5).reshape(4 * side, -1, 3)
