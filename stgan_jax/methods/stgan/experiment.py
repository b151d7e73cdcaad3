"""The training of ST-GAN: its data, initial state, step, validation and pictures."""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods import contours, weights
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.stgan import losses, ways
from stgan_jax.methods.stgan.settings import NoiseSettings, StganSettings
from stgan_jax.methods.stgan.step import stgan_step
from stgan_jax.ops.convolution import refuse_kernels_on_cpu
from stgan_jax.ops.lstm import refuse_cudnn_elsewhere
from stgan_jax.shapes import contour
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState, with_average

if TYPE_CHECKING:
    from stgan_jax.data.feed import ExampleSource

_CHUNK = 8  # sequences a call of G in validation


def experiment(settings: StganSettings) -> Experiment:
    """Gathers what the training needs.

    Args:
      settings: completed, see `StganSettings.completed`.

    Raises:
      InputError: data or the noise checkpoint are missing.
    """
    refuse_kernels_on_cpu(settings.convolution)
    refuse_cudnn_elsewhere(settings.recurrence)
    nets, optimizers, data = settings.nets(), settings.optimizers(), settings.data
    frozen: dict[str, Any] = {}
    if settings.noise == "gan":
        _, frozen = weights.load_as(settings.noise_checkpoint, NoiseSettings)
    source = contours.source_of(data)
    unseen = contours.validation(data, settings.validation_subjects)
    unseen_noise = None
    if settings.noise == "gait":
        model = RetargetAnonymizer.load(settings.noise_checkpoint)
        source = _with_noise_gaits(source, data, model)
        unseen_noise = None if unseen is None else _noise_gaits(unseen, model)
    init = jax.jit(nets.init, static_argnums=2)

    def start(seed: int) -> TrainState:
        params = init(jax.random.key(seed), frozen, data.frames)
        return TrainState.create(seed, with_average(params, settings.ema), optimizers)

    def pictures(params):
        if unseen is not None:
            own, noise = unseen, unseen_noise
        else:
            own, noise = source.fetch(np.arange(2), np.arange(2)).unit()
        chosen = np.linspace(0, len(own) - 1, 4).astype(int)
        own, noise = jax.tree.map(lambda x: x[chosen], (own, noise))
        anonymized = _anonymize(nets, params, own, noise)[0]
        return {"anonymized": contours.before_after(own, anonymized, data.codec)}

    validate = None
    if unseen is not None:
        validate = functools.partial(_validate, settings, unseen, unseen_noise)

    def step(nets):
        update = functools.partial(stgan_step, nets=nets)
        return step_of(update, settings, optimizers, loss=StganSettings.loss_parts)

    def fastest(lanes: int):
        return step(ways.fastest_nets(settings, nets, lanes))

    one_device = ways.of_one_device(settings)
    return Experiment(settings, source, start, step(nets), validate, pictures, one_device, fastest)


@functools.partial(jax.jit, static_argnums=0)
def _anonymize(nets, params, own, noise=None):
    """G's output for walks (B, T, 4000) in [0, 1], and the noise, which is drawn if it is None."""
    if noise is None:
        noise = nets.noise.sample(params, jax.random.key(2), len(own))
    return nets.anonymize(params, own, noise), noise


@functools.partial(jax.jit, static_argnums=0)
def _figures(parts: losses.StganLoss, alpha, own, fake, noise):
    toward = (noise[:, None] if noise.ndim == 2 else noise) - own
    change = fake - own
    rec = losses.reconstruction(own, fake, parts.distance)
    per = losses.perturbation(noise, fake, parts.distance)
    return {
        "loss": losses.generator(0.0 * rec, 0.0 * rec, rec, per, alpha, parts.balance),
        "rec": rec,
        "per": per,
        # How far from the own gait to the noise: 0 at the one, 1 at the other.
        "share_of_noise": jnp.sum(change * toward) / jnp.sum(jnp.square(toward)),
    }


def _validate(
    settings: StganSettings,
    unseen: Float[np.ndarray, "N T 4000"],
    unseen_noise: Float[np.ndarray, "N T 4000"] | None,
    params: Any,
    alpha: float,
) -> dict[str, float]:
    """Losses without the adversarial terms on the validation walks, in chunks."""
    nets, parts, each, counts = settings.nets(), settings.loss_parts(), [], []
    for start in range(0, len(unseen), _CHUNK):
        own, noise = jax.tree.map(lambda x, i=start: x[i : i + _CHUNK], (unseen, unseen_noise))
        each.append(_figures(parts, alpha, own, *_anonymize(nets, params, own, noise)))
        counts.append(len(own))
    return {
        f"validation/{k}": float(np.average([f[k] for f in each], weights=counts)) for k in each[0]
    }


def _noise_gaits(
    own: Float[np.ndarray, "N T 4000"], model: RetargetAnonymizer
) -> Float[np.ndarray, "N T 4000"]:
    keys = jax.random.split(jax.random.key(2), len(own))
    return np.stack([model.noise_gait(*each) for each in zip(own, keys, strict=True)])


def _with_noise_gaits(
    source: "ExampleSource", data: WalkerData, model: RetargetAnonymizer
) -> "ExampleSource":
    """Each walk with another walker's beside it, the same one in all trainings."""
    from stgan_jax.data import feed

    def make(i, own):
        key = jax.random.fold_in(jax.random.key(0x9A17), i)
        gait = model.noise_gait(np.asarray(contour.fixed_to_unit(own)), key)
        return contour.to_fixed(contour.to_pixels(gait), data.codec)

    return feed.noise_gait_source(source, make, keep=data.fixed)
