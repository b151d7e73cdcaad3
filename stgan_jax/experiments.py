"""What each kind of training is made of: its data, first state, step, validation and pictures."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt, UInt8, UInt16
from tqdm import tqdm

from stgan_jax import color_experiments, contour, fields, losses, steps, weights
from stgan_jax.data import walkers
from stgan_jax.errors import InputError
from stgan_jax.evaluation import noise as noise_evaluation
from stgan_jax.experiment import Experiment, step_of, with_average
from stgan_jax.models.noise import ContourBasis
from stgan_jax.models.retarget import field
from stgan_jax.retarget import Retargeter
from stgan_jax.retargeting import gait_objective, objective, parted, retarget_step, unpacked
from stgan_jax.settings import (
    ColorSettings,
    NoiseSettings,
    RetargetSettings,
    Settings,
    SilhouetteSettings,
    StganSettings,
    WalkerData,
    WifsSettings,
)
from stgan_jax.state import TrainState

if TYPE_CHECKING:
    from stgan_jax.data import pipeline

_SAMPLES = 256  # noise contours a validation draws
_CHUNK = 8  # sequences a call of G in validation


def prepare(config: Settings) -> Experiment:
    """Gathers what a training needs.

    Args:
      config: of ST-GAN as `with_noise` gives it.

    Raises:
      InputError: data are missing.
    """
    if isinstance(config, NoiseSettings):
        return _noise(config)
    if isinstance(config, RetargetSettings):
        return _retarget(config)
    if isinstance(config, ColorSettings):
        return color_experiments.color(config)
    if isinstance(config, SilhouetteSettings):
        return color_experiments.silhouette(config)
    return _stgan(config) if isinstance(config, StganSettings) else _wifs(config)


def with_noise(config: StganSettings) -> StganSettings:
    """The settings with those of the noise GAN that their `noise_checkpoint` holds.

    Raises:
      InputError: it is no such thing, or of another codec.
    """
    if config.noise == "gait":
        Retargeter.load(config.noise_checkpoint)
    if config.noise != "gan":
        return config
    noise_run, _ = weights.trained(config.noise_checkpoint, NoiseSettings)
    if noise_run.data.codec != config.data.codec:
        raise InputError(
            f"{config.noise_checkpoint}: trained on {noise_run.data.codec} contours and this run "
            f"uses {config.data.codec} ones: train a noise GAN with the same codec"
        )
    return dataclasses.replace(config, noise_run=noise_run)


def render(data: WalkerData) -> UInt16[np.ndarray, "N T 4000"]:
    """Ideal walkers' contours that settings ask for."""
    return walkers.contours(data.subjects, data.views, data.walks, data.frames, data.codec)


def source_of(data: WalkerData) -> "pipeline.Source":
    """What settings ask for, rendered or from a built dataset."""
    from stgan_jax.data import datasets, pipeline  # TensorFlow: only where data is fed

    if not data.dataset:
        named = [
            datasets.Walk(subject, *walkers.walk_name(walk), view, data.frames)
            for subject in data.subjects for view in data.views for walk in data.walks
        ]  # fmt: skip
        return dataclasses.replace(pipeline.array_source(render(data)), walks=named)
    sequences = datasets.Sequences(
        data.dataset, data.data_dir, data.subjects, data.views, data.walks, data.frames
    )
    return pipeline.sequence_source(
        sequences,
        frames=data.frames,
        codec=data.codec,
        window=data.window,
        mirror=data.mirror,
    )


def _contours(data: WalkerData) -> UInt[np.ndarray, "N T 4000"]:
    """The same in memory."""
    if not data.dataset:
        return render(data)
    source = source_of(data)
    every = np.arange(source.count)
    return np.concatenate(
        [source.fetch(every[[i]], every[[i]]) for i in tqdm(every, "reading", unit="seq")]
    )


def _validation(
    config: NoiseSettings | StganSettings, views: int = 4
) -> Float[np.ndarray, "N T 4000"] | None:
    """Contours in [0, 1] of the validation subjects: the first walk in some views."""
    if not config.validation_subjects:
        return None
    first, last = config.validation_subjects
    data = dataclasses.replace(
        config.data,
        first_subject=first,
        last_subject=last,
        views=config.data.views[:: -(-len(config.data.views) // views)],
        walks=config.data.walks[:1],
        window="last",
        mirror=False,
    )
    try:
        return np.asarray(contour.fixed_to_unit(_contours(data)))
    except InputError as error:
        raise InputError(f"validation_subjects: {error}") from error


def _noise(config: NoiseSettings) -> Experiment:
    from stgan_jax.data import pipeline

    frames = _contours(config.data).reshape(-1, contour.DIM)
    nets, optimizers = config.nets(), config.optimizers()
    unseen = _validation(config)

    def start(seed: int) -> TrainState:
        basis = ContourBasis.identity()
        if config.basis_size:
            sample = frames[:: -(-len(frames) // 3000)]
            basis = ContourBasis.fit(contour.fixed_to_unit(sample), config.basis_size)
        return TrainState.create(seed, jax.jit(nets.init)(jax.random.key(seed), basis), optimizers)

    def update(state, batch, alpha, **fixed):
        del alpha
        return steps.noise_step(state, batch, nets=nets, **fixed)

    sample = jax.jit(lambda params: nets.sample(params, jax.random.key(1), _SAMPLES))

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        seen = unseen.reshape(-1, contour.DIM)
        seen = seen[:: -(-len(seen) // _SAMPLES)]
        drawn = np.asarray(sample(params))
        return {"validation/loss": noise_evaluation.energy_distance(drawn, seen)}

    def pictures(params):
        masks = contour.decode(
            contour.to_pixels(np.asarray(sample(params)[:32])), config.data.codec
        )
        return {"noise": noise_evaluation.grid(masks)}

    source = pipeline.array_source(frames)
    step = step_of(update, config, optimizers)
    return Experiment(config, source, start, step, None if unseen is None else validate, pictures)


def _stgan(config: StganSettings) -> Experiment:
    nets, optimizers = config.nets(), config.optimizers()
    frozen: dict[str, Any] = {}
    if config.noise == "gan":
        _, frozen = weights.trained(config.noise_checkpoint, NoiseSettings)
    source, unseen = source_of(config.data), _validation(config)
    init = jax.jit(nets.init, static_argnums=2)
    unseen_noise = None
    if config.noise == "gait":
        model = Retargeter.load(config.noise_checkpoint)
        source = _with_noise_gaits(source, config.data, model)
        if unseen is not None:
            keys = jax.random.split(jax.random.key(2), len(unseen))
            unseen_noise = np.stack([model.noise_gait(*x) for x in zip(unseen, keys, strict=True)])

    def start(seed: int) -> TrainState:
        params = init(jax.random.key(seed), frozen, config.data.frames)
        return TrainState.create(seed, with_average(params, config), optimizers)

    update = functools.partial(steps.stgan_step, nets=nets, loss=config.loss())

    @jax.jit
    def anonymize(params, contours, noise=None):
        if noise is None:
            assert not isinstance(nets.noise, steps.GaitNoise)
            noise = nets.noise.sample(params, jax.random.key(2), len(contours))
        return nets.gen.apply(steps.used(params), contours, noise), noise

    def figures(alpha, own, fake, noise):
        toward = (noise[:, None] if noise.ndim == 2 else noise) - own
        made = fake - own
        rec = losses.reconstruction(own, fake, config.distance)
        per = losses.perturbation(noise, fake, config.distance)
        return {
            "loss": losses.generator(0.0 * rec, 0.0 * rec, rec, per, alpha, config.balance),
            "rec": rec,
            "per": per,
            # How far from the own gait to the noise: 0 at the one, 1 at the other.
            "share_of_noise": jnp.sum(made * toward) / jnp.sum(jnp.square(toward)),
        }

    figures = jax.jit(figures)

    def validate(params, alpha):
        assert unseen is not None
        given = [x for x in (unseen, unseen_noise) if x is not None]
        chunks = [[x[i : i + _CHUNK] for x in given] for i in range(0, len(unseen), _CHUNK)]
        each = [figures(alpha, chunk[0], *anonymize(params, *chunk)) for chunk in chunks]
        return {f"validation/{k}": float(np.mean([f[k] for f in each])) for k in each[0]}

    def pictures(params):
        if unseen is not None:
            given = [x for x in (unseen, unseen_noise) if x is not None]
        else:
            rows = np.asarray(contour.fixed_to_unit(source.fetch(np.arange(2), np.arange(2))))
            given = [rows[:, 0], rows[:, 1]] if config.noise == "gait" else [rows]
        chosen = np.linspace(0, len(given[0]) - 1, 4).astype(int)
        shown = [x[chosen] for x in given]
        made = anonymize(params, *shown)[0]
        return {"anonymized": _before_after(shown[0], made, config.data.codec)}

    step = step_of(update, config, optimizers)
    return Experiment(config, source, start, step, None if unseen is None else validate, pictures)


def _with_noise_gaits(
    source: "pipeline.Source", data: WalkerData, model: Retargeter
) -> "pipeline.Source":
    """Each walk with another walker's beside it, the same one in all trainings."""
    from stgan_jax.data import pipeline

    def make(i, own):
        key = jax.random.fold_in(jax.random.key(0x9A17), i)
        gait = model.noise_gait(np.asarray(contour.fixed_to_unit(own)), key)
        return contour.to_fixed(contour.to_pixels(gait), data.codec)

    keep = data.window == "last" and not data.mirror
    return pipeline.noise_gait_source(source, make, keep)


def _wifs(config: WifsSettings) -> Experiment:
    from stgan_jax.data import pipeline

    net, optimizers = config.net(), config.optimizers()
    plain = source_of(config.data)
    source = pipeline.paired_source(plain, noise_subject(config))

    def start(seed: int) -> TrainState:
        zeros = jnp.zeros((1, config.data.frames, contour.DIM))
        params = {"gen": jax.jit(net.init)(jax.random.key(seed), zeros, zeros)}
        return TrainState.create(seed, with_average(params, config), optimizers)

    update = functools.partial(steps.wifs_step, net=net)
    modify = jax.jit(lambda params, own, noise: net.apply(steps.used(params), own, noise))

    def pictures(params):
        every = np.linspace(0, source.count - 1, 4).astype(int)
        pairs = contour.fixed_to_unit(source.fetch(every, every))
        made = modify(params, pairs[:, 0], pairs[:, 1])
        return {"modified": _before_after(pairs[:, 0], made, config.data.codec)}

    step = step_of(update, config, optimizers)
    return Experiment(config, source, start, step, None, pictures)


def _base(config: RetargetSettings) -> dict[str, Any]:
    """Parameters of the networks that stay as they are."""
    other, params = weights.trained(config.base, RetargetSettings)
    for name in ("components", "inputs", "window", "code_size", "width"):
        if (size := getattr(other, name)) != getattr(config, name):
            raise InputError(f"base {config.base}: was trained with {name} {size}: set it likewise")
    if config.read_weight and "reader" not in steps.used(params):
        raise InputError(f"base {config.base}: was trained without reader: set read_weight to 0")
    return params


def _retarget(config: RetargetSettings) -> Experiment:
    from stgan_jax.data import pairs, pipeline

    nets, optimizers, frames = config.nets(), config.optimizers(), config.data.frames
    base, first = {}, 0
    if config.base:  # pairs that it was not trained on: codes of those are better than others'
        base, first = _base(config), pairs.FIRST_UNSEEN // 2
    known = {name: jax.tree.map(np.asarray, base[name]) for name in ("basis", "people") if base}
    rows, fixed = pairs.rows(config.data.walks, frames, config.components, first, known or None)
    if config.unpaired is not None:
        rows = pairs.with_others(rows, pairs.unpaired(config.unpaired, fixed["basis"]))
    unseen = None
    if config.data.validation_walks:
        first = pairs.FIRST_UNSEEN
        unseen, _ = pairs.rows(
            config.data.validation_walks, frames, config.components, first, fixed
        )

    def start(seed: int) -> TrainState:
        params = jax.jit(nets.init, static_argnums=2)(jax.random.key(seed), fixed, frames)
        if base:
            params["gen"] = steps.used(base)
        return TrainState.create(seed, with_average(params, config), optimizers)

    update = functools.partial(retarget_step, frames=frames, nets=nets, loss=config.loss())
    update_of = lambda state, batch, alpha, **rest: update(state, batch, **rest)  # noqa: E731

    @jax.jit
    def figures(params, rows):
        quiet = jnp.zeros((len(rows), frames, config.code_size))
        gen = steps.used(params)
        _, told = gait_objective(params["gait"], params, rows, frames, nets, config.loss())
        return told | objective(gen, params, rows, quiet, nets, config.loss())[1]

    def validate(params, alpha):
        del alpha
        assert unseen is not None
        told = figures(params, jnp.asarray(unseen))
        # As "iou", "loss", "field", "gait", "gait_field".
        names = {k: k.removeprefix("loss/").removeprefix("gen_") for k in told}
        names |= {"loss/gen": "loss", "iou/gait": "gait_iou"}
        return {f"validation/{names[k]}": float(v) for k, v in told.items()}

    def pictures(params):
        shown = jnp.asarray((rows if unseen is None else unseen)[:4])
        walks, people, pose, _ = unpacked(parted(shown, frames, config.components)[0], frames)
        gen, basis = steps.used(params), params["basis"]
        read, _ = nets.encoder.apply(gen["encoder"], walks[:, 0])
        codes = read, nets.gait_coder.apply(params["gait"]["coder"], pose)
        made = [nets.decoder.apply(gen["decoder"], code, people[:, 1]) for code in codes]
        every = np.linspace(0, frames - 1, 8).astype(int)
        drawn = []
        for walk, *others in zip(walks, *made, strict=True):
            for shown in (walk[0], *others, walk[1]):
                cells = np.asarray(field(basis, shown[every])).reshape(-1, fields.SIDE, fields.SIDE)
                drawn += list(fields.decode(cells))
        sheet = noise_evaluation.grid(np.stack(drawn), len(every))
        return {"own, retargeted, of the pose alone, wanted": sheet}

    step = step_of(update_of, config, optimizers)
    source = pipeline.array_source(rows)
    return Experiment(config, source, start, step, None if unseen is None else validate, pictures)


def noise_subject(config: WifsSettings) -> int:
    """Who is the noise gait of all others: one of the set's subjects, drawn at random (WIFS IV)."""
    rng = np.random.default_rng([config.seed, 0x4E])
    drawn = int(rng.integers(config.data.first_subject, config.data.last_subject + 1))
    return config.noise_subject or drawn


def _before_after(
    own: Float[Any, "N T 4000"], made: Float[Any, "N T 4000"], codec: str, columns: int = 8
) -> UInt8[np.ndarray, "H W"]:
    """Silhouettes of walks whose contours are in [0, 1]: a row before and a row after each."""
    rows = []
    for before, after in zip(own, made, strict=True):
        every = np.linspace(0, len(before) - 1, columns).astype(int)
        for walk in (before, after):
            pixels = contour.to_pixels(np.asarray(walk)[every])
            rows += list(contour.decode(np.nan_to_num(pixels), codec))
    return noise_evaluation.grid(np.stack(rows), columns)
