"""The training of the silhouette anonymiser: data, initial state, step, validation, pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax.methods.silhouette.examples import examples
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.methods.silhouette.step import silhouette_step
from stgan_jax.shapes import fields, identity
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState, inference_params, with_average
from stgan_jax.util import grids

_CHUNK = 16  # examples a call in validation


def experiment(settings: SilhouetteSettings) -> Experiment:
    """Gathers what the training needs."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed

    nets, optimizers, data = settings.nets(), settings.optimizers(), settings.data
    walks, people = examples(data.walks, data.frames)
    unseen = None
    if data.validation_walks:
        unseen, _ = examples(data.validation_walks, data.frames, identity.FIRST_UNSEEN)

    def start(seed: int) -> TrainState:
        params = jax.jit(nets.init, static_argnums=2)(jax.random.key(seed), people, data.frames)
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        weight = settings.adversarial_weight
        return silhouette_step(state, batch, nets=nets, adversarial_weight=weight, **fixed)

    @jax.jit
    def drawn_and_wanted(params, batch):
        own, wanted, noise = batch.floats()
        return nets.generate(inference_params(params), own, noise), wanted

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        apart, overlap = [], []
        for i in range(0, len(unseen.own), _CHUNK):
            batch = jax.tree.map(lambda x, i=i: x[i : i + _CHUNK], unseen)
            drawn, wanted = map(np.asarray, drawn_and_wanted(params, batch))
            apart.append(np.abs(drawn - wanted).mean((1, 2, 3)))
            both, either = (drawn > 0) & (wanted > 0), (drawn > 0) | (wanted > 0)
            overlap.append((both.sum((2, 3)) / np.maximum(either.sum((2, 3)), 1)).mean(1))
        return {
            "validation/loss": 100 * float(np.concatenate(apart).mean()),
            "validation/iou": float(np.concatenate(overlap).mean()),
        }

    def pictures(params):
        some = jax.tree.map(lambda x: jnp.asarray(x[:4]), walks if unseen is None else unseen)
        drawn, wanted = map(np.asarray, drawn_and_wanted(params, some))
        own = np.asarray(some.floats()[0])
        frames = np.linspace(0, data.frames - 1, 8).astype(int)
        rows = [
            fields.decode(walk[frames])
            for each in zip(own, drawn, wanted, strict=True)
            for walk in each
        ]
        return {"own, anonymised, wanted": grids.grid(np.concatenate(rows), len(frames))}

    step = step_of(update, settings, optimizers)
    source = feed.array_source(walks)
    return Experiment(settings, source, start, step, None if unseen is None else validate, pictures)
