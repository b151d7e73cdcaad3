"""The training of WIFS 2017: its data, initial state, step and pictures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.methods import contours
from stgan_jax.methods.stgan import ways
from stgan_jax.methods.wifs.settings import WifsSettings
from stgan_jax.methods.wifs.step import wifs_step
from stgan_jax.ops.convolution import refuse_kernels_on_cpu
from stgan_jax.shapes import contour
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState, inference_params, with_average


def experiment(settings: WifsSettings) -> Experiment:
    """Gathers what the training needs. Raises `InputError` if data are missing."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    refuse_kernels_on_cpu(settings.convolution)
    net, optimizers, data = settings.net(), settings.optimizers(), settings.data
    source = feed.paired_source(contours.source_of(data), settings.drawn_subject())

    def start(seed: int) -> TrainState:
        zeros = jnp.zeros((1, data.frames, contour.DIM))
        params = {"gen": jax.jit(net.init)(jax.random.key(seed), zeros, zeros)}
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    @jax.jit
    def modify(params, own, noise):
        return net.apply(inference_params(params), own, noise)

    def pictures(params):
        chosen = np.linspace(0, source.count - 1, 4).astype(int)
        own, noise = source.fetch(chosen, chosen).unit()
        modified = modify(params, own, noise)
        return {"modified": contours.before_after(own, modified, data.codec)}

    def step(net):
        return step_of(functools.partial(wifs_step, net=net), settings, optimizers)

    def fastest(lanes: int):
        return step(ways.fastest_generator(settings, net, lanes))

    one_device = ways.of_one_device(settings)
    return Experiment(settings, source, start, step(net), None, pictures, one_device, fastest)
