"""The training of the noise GAN: its data, initial state, step, validation and pictures."""

import jax
import numpy as np

from stgan_jax.methods import contours
from stgan_jax.methods.stgan.noise_networks import ContourBasis
from stgan_jax.methods.stgan.noise_step import noise_step
from stgan_jax.methods.stgan.settings import NoiseSettings
from stgan_jax.shapes import contour, likeness
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState
from stgan_jax.util import grids

_SAMPLES = 256  # noise contours that a validation draws


def experiment(settings: NoiseSettings) -> Experiment:
    """Gathers what the training needs. Raises `InputError` if data are missing."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    frames = contours.in_memory(settings.data).reshape(-1, contour.DIM)
    nets, optimizers = settings.nets(), settings.optimizers()
    unseen = contours.validation(settings.data, settings.validation_subjects)

    def start(seed: int) -> TrainState:
        basis = ContourBasis.identity()
        if settings.basis_size:
            sample = frames[:: -(-len(frames) // 3000)]
            basis = ContourBasis.fit(contour.fixed_to_unit(sample), settings.basis_size)
        return TrainState.create(seed, jax.jit(nets.init)(jax.random.key(seed), basis), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        return noise_step(state, batch, nets=nets, **fixed)

    @jax.jit
    def sample(params):
        return nets.sample(params, jax.random.key(1), _SAMPLES)

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        people = unseen.reshape(-1, contour.DIM)
        people = people[:: -(-len(people) // _SAMPLES)]
        return {"validation/loss": likeness.energy_distance(np.asarray(sample(params)), people)}

    def pictures(params):
        pixels = contour.to_pixels(np.asarray(sample(params)[:32]))
        return {"noise": grids.grid(contour.decode(pixels, settings.data.codec))}

    step = step_of(update, settings, optimizers)
    source = feed.array_source(frames)
    return Experiment(settings, source, start, step, None if unseen is None else validate, pictures)
