"""What networks on silhouettes share: strips of frames, losses, training and comparison.

A network of this kind turns a walk into a vector for each horizontal strip of the body. It learns
by triplet loss on each strip and by cross-entropy (GaitBase, Fan et al., CVPR 2023); walks are
compared by the mean over strips of the Euclidean distance.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.shapes import gei, likeness
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class StripSettings:
    """How a network is built and trained.

    Attributes:
      steps: number of updates.
      subjects: people in a batch.
      walks: walks per person in a batch, in any condition and view.
      frames: frames per walk, drawn again in each batch.
      channels: channels of the layers on each frame: of two plain ones, or, if there are four, of
        the stages of a residual network as GaitBase's.
      size: numbers per strip.
      margin: margin of the triplet loss.
      learning_rate: Adam's highest: it rises linearly over a twentieth of the steps and falls to 0
        by a cosine.
    """

    steps: int = 800
    subjects: int = 8
    walks: int = 8
    frames: int = 6
    channels: tuple[int, ...] = (32, 64)
    size: int = 64
    margin: float = 0.2
    learning_rate: float = 4e-3


_S = TypeVar("_S", bound=StripSettings)
_BLOCK = 16  # walks embedded at a time
_SEVERAL = 10  # frames: walks are filled up to a multiple, so that few shapes are compiled
# Draws some frames of a walk of so many: (length, rng, settings) -> their indices.
Draw = Callable[[int, np.random.Generator, Any], Int[np.ndarray, " T"]]


def sizes(medium: _S, **large: Any) -> dict[str, _S]:
    """Settings of the other sizes: a third of the training; GaitBase's network and training.

    Args:
      medium: the default.
      large: what the large one has besides (Fan et al. 2023: depth, width, batch, length).
    """
    gaitbase: dict[str, Any] = {
        "steps": 60_000,
        "walks": 16,
        "channels": (64, 128, 256, 512),
        "size": 256,
    }
    return {
        "small": dataclasses.replace(medium, steps=medium.steps // 3),
        "large": dataclasses.replace(medium, **gaitbase, learning_rate=1e-3, **large),
    }


class FrameMaps(nn.Module):
    """Each silhouette by itself -> a map of features.

    Two small convolutions, or with four numbers of `channels` the residual stages of GaitBase's
    ResNet9. Note: they normalise over groups of channels, not over the batch, so that a walk's
    vectors do not depend on others.

    Attributes:
      channels: see `StripSettings`.
    """

    channels: Sequence[int]

    @nn.compact
    def __call__(self, silhouettes: Float[Array, "N 64 44"]) -> Float[Array, "N h w C"]:
        count = len(silhouettes)
        if len(self.channels) == 2:
            # 2x2 pixels become channels: a convolution of one channel wastes a CPU's time.
            x = silhouettes.reshape(count, gei.HEIGHT // 2, 2, gei.WIDTH // 2, 2)
            x = jnp.moveaxis(x, 2, 3).reshape(count, gei.HEIGHT // 2, gei.WIDTH // 2, 4) - 0.5
            x = nn.leaky_relu(nn.Conv(self.channels[0], (3, 3), (2, 2))(x))
            return nn.leaky_relu(nn.Conv(self.channels[1], (3, 3))(x))
        x = silhouettes[..., None] - 0.5
        x = nn.relu(_norm(nn.Conv(self.channels[0], (3, 3), use_bias=False)(x)))
        for channels, stride in zip(self.channels, (1, 2, 2, 1), strict=True):
            y = nn.Conv(channels, (3, 3), (stride, stride), use_bias=False)(x)
            y = _norm(nn.Conv(channels, (3, 3), use_bias=False)(nn.relu(_norm(y))))
            if x.shape != y.shape:
                x = _norm(nn.Conv(channels, (1, 1), (stride, stride), use_bias=False)(x))
            x = nn.relu(x + y)
        return x


def _norm(x: Float[Array, "N h w C"]) -> Float[Array, "N h w C"]:
    return nn.GroupNorm(min(32, x.shape[-1]))(x)


def pooled(maps: Float[Array, "*B h w C"], levels: Sequence[int]) -> Float[Array, "*B S C"]:
    """Mean plus maximum of horizontal strips: of the whole map, of halves and so on.

    Args:
      maps: h is a multiple of each level.
      levels: into how many strips a map is cut, one after the other; S is their sum.
    """
    strips = []
    for level in levels:
        strip = maps.reshape(*maps.shape[:-3], level, -1, maps.shape[-1])
        strips.append(strip.mean(-2) + strip.max(-2))
    return jnp.concatenate(strips, -2)


class PerStrip(nn.Module):
    """A linear map of its own for each strip, without bias."""

    size: int

    @nn.compact
    def __call__(self, x: Float[Array, "B S C"]) -> Float[Array, "B S N"]:
        init = nn.initializers.lecun_normal(batch_axis=(0,))
        return jnp.einsum("bsc,scn->bsn", x, self.param("strips", init, (*x.shape[1:], self.size)))


class Head(nn.Module):
    """Each strip's vector -> logits of the training subjects; used in training only.

    Vectors are standardised over the batch first, so that the cross-entropy does not pull at
    the distances that the triplet loss orders (Luo et al. 2019, as in GaitBase).
    """

    subjects: int

    @nn.compact
    def __call__(self, embeddings: Float[Array, "B S D"]) -> Float[Array, "B S N"]:
        mean, variance = embeddings.mean(0, keepdims=True), embeddings.var(0, keepdims=True)
        return PerStrip(self.subjects)((embeddings - mean) * jax.lax.rsqrt(variance + 1e-5))


def triplet_loss(
    embeddings: Float[Array, "B S D"], subjects: Int[Array, " B"], margin: float
) -> Float[Array, ""]:
    """Batch-all triplet loss (Hermans et al. 2017), mean over strips.

    For each strip, the mean of max(0, margin + d(anchor, same) - d(anchor, other)) over all
    triplets (anchor, another walk of the same person, a walk of another person) for which it is
    above 0, d being Euclidean; 0 if there are none.
    """
    distances = _strip_distances(embeddings)
    same = subjects[:, None] == subjects[None]
    positive = same & ~jnp.eye(len(subjects), dtype=bool)
    triplets: Bool[Array, "1 B B B"] = (positive[:, :, None] & ~same[:, None, :])[None]
    value = margin + distances[:, :, :, None] - distances[:, :, None, :]
    value = jnp.where(triplets, nn.relu(value), 0.0)
    active = jnp.sum(value > 0.0, (1, 2, 3))
    return jnp.mean(jnp.sum(value, (1, 2, 3)) / jnp.maximum(active, 1).astype(value.dtype))


def _strip_distances(x: Float[Array, "B S D"]) -> Float[Array, "S B B"]:
    """Euclidean distances within each strip; their gradient is finite even if two are the same."""
    inner = jnp.einsum("asd,bsd->sab", x, x)
    square = jnp.diagonal(inner, axis1=1, axis2=2)
    squared = square[:, :, None] + square[:, None, :] - 2.0 * inner
    return jnp.sqrt(jnp.maximum(squared, 1e-8))


@dataclasses.dataclass(frozen=True)
class StripRecognizer:
    """A trained network as a recogniser; each kind names its own subclass.

    Attributes:
      network: (silhouettes (B, T, 64, 44) as float32, their numbers (B,), at least 1) -> vectors
        (B, S, D); hashable.
      params: its parameters.
    """

    network: nn.Module
    params: Any
    name: ClassVar[str]

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """Mean over strips of the Euclidean distance, from all frames of each walk."""
        g, p = self.embed(gallery), self.embed(probes)
        out = np.zeros((len(probes), len(gallery)), np.float32)
        for strip in range(g.shape[1]):
            squared = likeness.squared_distances(p[:, strip], g[:, strip])
            out += np.sqrt(np.maximum(squared, 0.0))
        return out / g.shape[1]

    def embed(self, gaits: AlignedGaits) -> Float[np.ndarray, "N S D"]:
        """Each walk's vectors; a walk without frames counts as one empty frame."""
        out = []
        for i in range(0, len(gaits), _BLOCK):
            walks = [gaits.frames(j) for j in range(i, min(i + _BLOCK, len(gaits)))]
            longest = max(1, *(len(frames) for frames in walks))
            longest = -(-longest // _SEVERAL) * _SEVERAL
            filled = np.zeros((_BLOCK, longest, gei.HEIGHT, gei.WIDTH), np.uint8)
            lengths = np.ones(_BLOCK, np.int32)
            for row, frames in enumerate(walks):
                filled[row, : len(frames)] = frames
                lengths[row] = max(1, len(frames))
            vectors = _embed(self.network, self.params, filled, lengths)
            out.append(np.asarray(vectors)[: len(walks)])
        return np.concatenate(out)

    def arrays(self) -> dict[str, Any]:
        """Arrays from which its kind restores it."""
        return {"params": self.params}


@functools.partial(jax.jit, static_argnums=0)
def _embed(network, params, silhouettes, lengths):
    return network.apply(params, silhouettes.astype(jnp.float32), lengths)


def train(
    name: str, network: nn.Module, draw: Draw, gaits: AlignedGaits, seed: int, settings: Any
) -> Any:
    """Trains a network on walks of all conditions and views.

    Args:
      name: the recogniser's, for the progress bar and what is raised.
      network: see `StripRecognizer`.
      draw: which frames of a walk are taken.
      gaits: walks of the recogniser's own subjects.
      seed: decides all that is drawn at random.
      settings: a `StripSettings`.

    Returns:
      the network's parameters, as NumPy arrays.

    Raises:
      InputError: there are fewer than two subjects with a frame, or the loss is not finite.
    """
    gaits = gaits[np.array([len(packed) > 0 for packed in gaits.packed])]
    people, labels = np.unique(gaits.subject, return_inverse=True)
    if len(people) < 2:
        raise InputError(f"recogniser {name}: there must be two subjects at least")
    params = _init(network, settings, len(people), jax.random.key(seed))
    opt_state = _tx(settings).init(params)
    progress = tqdm(range(settings.steps), desc=f"training {name}", unit="step")
    for number in progress:
        index = _batch(labels, np.random.default_rng([seed, number]), settings)
        rng = np.random.default_rng([seed, number, 1])
        frames = np.stack([_frames(gaits.packed[i], rng, draw, settings) for i in index])
        batch = frames, labels[index].astype(np.int32)
        params, opt_state, loss = _step(network, settings, len(people), params, opt_state, *batch)
        if number % 10 == 9:
            if not np.isfinite(loss):
                raise InputError(f"recogniser {name}: the loss is {loss} at step {number}")
            progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
    return jax.tree.map(np.asarray, params["network"])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _init(network, settings, people, key):
    network_key, head_key = jax.random.split(key)
    walks = jnp.zeros((2, settings.frames, gei.HEIGHT, gei.WIDTH))
    embeddings, params = network.init_with_output(network_key, walks, _lengths(walks))
    return {"network": params, "head": Head(people).init(head_key, embeddings)}


def _lengths(walks: Array) -> Int[Array, " B"]:
    return jnp.full(walks.shape[:1], walks.shape[1], jnp.int32)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _step(network, settings, people, params, opt_state, silhouettes, subjects):
    def loss_of(params):
        walks = silhouettes.astype(jnp.float32)
        embeddings = network.apply(params["network"], walks, _lengths(walks))
        logits = Head(people).apply(params["head"], embeddings)
        labels = jnp.broadcast_to(subjects[:, None], logits.shape[:2])
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return entropy + triplet_loss(embeddings, subjects, settings.margin)

    loss, grads = jax.value_and_grad(loss_of)(params)
    updates, opt_state = _tx(settings).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


def _tx(settings: StripSettings) -> optax.GradientTransformation:
    return optax.adam(
        optax.warmup_cosine_decay_schedule(
            0.0, settings.learning_rate, settings.steps // 20, max(1, settings.steps)
        )
    )


def _batch(
    labels: Int[np.ndarray, " N"], rng: np.random.Generator, settings: StripSettings
) -> Int[np.ndarray, " B"]:
    """Indices of some people's walks, equally many of each."""
    count = int(labels.max()) + 1
    people = rng.choice(count, min(settings.subjects, count), replace=False)
    return np.concatenate([some(np.flatnonzero(labels == p), rng, settings.walks) for p in people])


def _frames(
    packed: UInt8[np.ndarray, "_ 352"], rng: np.random.Generator, draw: Draw, settings: Any
) -> UInt8[np.ndarray, "T 64 44"]:
    bits = packed[draw(len(packed), rng, settings)]
    return np.unpackbits(bits, axis=-1).reshape(-1, gei.HEIGHT, gei.WIDTH)


def some(
    values: Int[np.ndarray, " N"], rng: np.random.Generator, count: int
) -> Int[np.ndarray, " count"]:
    """Draws some; each at most once if there are enough."""
    return rng.choice(values, count, replace=len(values) < count)
