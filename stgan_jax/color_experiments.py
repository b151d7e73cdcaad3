"""What trainings of colour networks and of the silhouette anonymiser are made of."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from stgan_jax import color_examples, coloring, fields
from stgan_jax.evaluation import noise as noise_evaluation
from stgan_jax.experiment import Experiment, step_of, with_average
from stgan_jax.models.color import blended
from stgan_jax.settings import ColorSettings, SilhouetteSettings
from stgan_jax.state import TrainState
from stgan_jax.steps import Options, used

_CHUNK = 16  # examples a call in validation


def color(config: ColorSettings) -> Experiment:
    """Training of a colour network."""
    from stgan_jax.data import pipeline

    net, loss, optimizers = config.net(), config.loss(), config.optimizers()
    examples = color_examples.examples(config.data)
    unseen = None
    if config.validation_subjects:
        first, last = config.validation_subjects
        data = dataclasses.replace(config.data, first_subject=first, last_subject=last, frames=1)
        unseen = color_examples.examples(data, seed=1)
        unseen = unseen[: len(unseen) // _CHUNK * _CHUNK or len(unseen)]
    side = examples.shape[1]

    def start(seed: int) -> TrainState:
        shown = jnp.zeros((1, side, side, 3)), jnp.zeros((1, side, side))
        params = {"gen": jax.jit(net.init)(jax.random.key(seed), *shown)}
        return TrainState.create(seed, with_average(params, config), optimizers)

    def update(state, batch, alpha, **fixed):
        return coloring.color_step(state, batch, alpha, net=net, loss=loss, **fixed)

    @jax.jit
    def figures(params, batch, alpha):
        inputs = coloring.varied(jax.random.key(0), batch, 0.0, Options())
        return coloring.color_cost(net, loss, used(params), alpha, *inputs)[1]

    def validate(params, alpha):
        assert unseen is not None
        every = [
            figures(params, unseen[i : i + _CHUNK], alpha) for i in range(0, len(unseen), _CHUNK)
        ]
        mean = {k[9:] or "loss": float(np.mean([f[k] for f in every])) for k in every[0]}
        return {f"validation/{name}": value for name, value in mean.items()}

    def pictures(params):
        shown = examples if unseen is None else unseen
        shown = shown[np.linspace(0, len(shown) - 1, 24).astype(int)]
        colors, new = shown[..., :3], shown[..., 6]
        given = jnp.asarray(colors, jnp.float32) / 255, jnp.asarray(new, jnp.float32) / 255
        made = blended(*given, *jax.jit(net.apply)(used(params), *given))
        made = np.rint(255 * np.asarray(made)).astype(np.uint8)
        rows = np.stack([colors, shown[..., 3:6], made], 1).reshape(4, 6, 3, side, side, 3)
        image = rows.transpose(0, 3, 1, 2, 4, 5).reshape(4 * side, -1, 3)
        return {"original, nearest pixel, network": image}

    step = step_of(update, config, optimizers)
    source = pipeline.array_source(examples)
    return Experiment(config, source, start, step, None if unseen is None else validate, pictures)


def silhouette(config: SilhouetteSettings) -> Experiment:
    """Training of the silhouette anonymiser."""
    from stgan_jax.data import pairs, pipeline

    nets, optimizers, frames = config.nets(), config.optimizers(), config.data.frames
    rows, people = pairs.complete_rows(config.data.walks, frames)
    unseen = None
    if config.data.validation_walks:
        unseen, _ = pairs.complete_rows(config.data.validation_walks, frames, pairs.FIRST_UNSEEN)

    def start(seed: int) -> TrainState:
        init = jax.jit(nets.init, static_argnums=(2, 3))
        params = init(jax.random.key(seed), people, frames, fields.SIDE)
        return TrainState.create(seed, with_average(params, config), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        return coloring.silhouette_step(state, batch, nets=nets, loss=config.loss(), **fixed)

    @jax.jit
    def made(params, batch):
        own, wanted, noise = coloring.unpacked(batch)
        return nets.made(used(params), own, noise), wanted

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        apart, overlap = [], []
        for i in range(0, len(unseen), _CHUNK):
            got, wanted = map(np.asarray, made(params, unseen[i : i + _CHUNK]))
            apart.append(np.abs(got - wanted).mean((1, 2, 3)))
            both, either = (got > 0) & (wanted > 0), (got > 0) | (wanted > 0)
            overlap.append((both.sum((2, 3)) / np.maximum(either.sum((2, 3)), 1)).mean(1))
        return {
            "validation/loss": 100 * float(np.concatenate(apart).mean()),
            "validation/iou": float(np.concatenate(overlap).mean()),
        }

    def pictures(params):
        shown = (rows if unseen is None else unseen)[:4]
        got, wanted = map(np.asarray, made(params, shown))
        own = np.asarray(coloring.unpacked(jnp.asarray(shown))[0])
        every = np.linspace(0, frames - 1, 8).astype(int)
        drawn = [fields.decode(walk[every]) for each in zip(own, got, wanted, strict=True)
                 for walk in each]  # fmt: skip
        return {"own, anonymised, wanted": noise_evaluation.grid(np.concatenate(drawn), len(every))}

    step = step_of(update, config, optimizers)
    source = pipeline.array_source(rows)
    return Experiment(config, source, start, step, None if unseen is None else validate, pictures)
