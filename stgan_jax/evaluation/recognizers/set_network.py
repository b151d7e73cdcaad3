"""A network on sets of silhouettes, as a present-day attacker would use it.

In the manner of GaitSet (Chao et al., AAAI 2019: frames as a set, horizontal strips) and
GaitBase (Fan et al., CVPR 2023: triplet loss, and cross-entropy after normalisation), at a
size that two CPU cores train in minutes. Unlike an energy image it keeps single frames apart.
"""

import dataclasses
import functools
from typing import Any, ClassVar

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
class SetNetworkSettings:
    """How it is built and trained.

    Attributes:
      steps: number of updates.
      subjects: people in a batch.
      walks: walks per person in a batch, in any condition and view.
      frames: frames per walk, drawn again in each batch.
      channels: channels of the two layers on each frame.
      size: numbers per strip.
      margin: margin of the triplet loss.
      learning_rate: Adam's highest: it rises linearly over a twentieth of the steps and falls to 0
        by a cosine.
    """

    steps: int = 800
    subjects: int = 8
    walks: int = 8
    frames: int = 6
    channels: tuple[int, int] = (32, 64)
    size: int = 64
    margin: float = 0.2
    learning_rate: float = 4e-3


_LEVELS = (1, 2, 4, 8, 16)  # strips of the horizontal pyramid, 31 together
_BLOCK = 16  # walks embedded at a time


class StripNetwork(nn.Module):
    """Silhouettes of a walk, in any order -> a vector for each horizontal strip.

    Two small convolutions on each frame, the maximum over the frames, mean plus maximum of each
    strip of a pyramid (the whole, halves, to sixteenths), and a separate linear map for each
    strip.

    Attributes:
      channels: channels of the two layers.
      size: numbers per strip.
    """

    channels: tuple[int, int] = (32, 64)
    size: int = 64

    @nn.compact
    def __call__(self, silhouettes: Float[Array, "B T 64 44"]) -> Float[Array, "B 31 size"]:
        batch, count = silhouettes.shape[:2]
        # 2x2 pixels become channels: a convolution of one channel wastes a CPU's time.
        x = silhouettes.reshape(batch * count, gei.HEIGHT // 2, 2, gei.WIDTH // 2, 2)
        x = jnp.moveaxis(x, 2, 3).reshape(batch * count, gei.HEIGHT // 2, gei.WIDTH // 2, 4) - 0.5
        x = nn.leaky_relu(nn.Conv(self.channels[0], (3, 3), (2, 2))(x))
        x = nn.leaky_relu(nn.Conv(self.channels[1], (3, 3))(x))
        x = x.reshape(batch, count, *x.shape[1:]).max(1)
        strips = []
        for level in _LEVELS:
            strip = x.reshape(batch, level, -1, x.shape[-1])
            strips.append(strip.mean(2) + strip.max(2))
        x = jnp.concatenate(strips, 1)
        kernel = self.param(
            "strips",
            nn.initializers.lecun_normal(batch_axis=(0,)),
            (x.shape[1], x.shape[2], self.size),
        )
        return jnp.einsum("bsc,scd->bsd", x, kernel)


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


class Head(nn.Module):
    """Each strip's vector -> logits of the training subjects; used in training only.

    Vectors are standardised over the batch first, so that the cross-entropy does not pull at
    the distances that the triplet loss orders (Luo et al. 2019, as in GaitBase).
    """

    subjects: int

    @nn.compact
    def __call__(self, embeddings: Float[Array, "B S D"]) -> Float[Array, "B S N"]:
        mean, variance = embeddings.mean(0, keepdims=True), embeddings.var(0, keepdims=True)
        x = (embeddings - mean) * jax.lax.rsqrt(variance + 1e-5)
        kernel = self.param(
            "strips",
            nn.initializers.lecun_normal(batch_axis=(0,)),
            (*x.shape[1:], self.subjects),
        )
        return jnp.einsum("bsd,sdn->bsn", x, kernel)


@dataclasses.dataclass(frozen=True)
class SetNetwork:
    """The trained recogniser: Euclidean distance of strips, mean over the strips.

    Attributes:
      network: the trained network.
      params: its parameters.
    """

    network: StripNetwork
    params: Any
    name: ClassVar[str] = "set_network"

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """Mean over strips of the Euclidean distance, from all frames of each walk."""
        g, p = self.embed(gallery), self.embed(probes)
        out = np.zeros((len(probes), len(gallery)), np.float32)
        for strip in range(g.shape[1]):
            squared = likeness.squared_distances(p[:, strip], g[:, strip])
            out += np.sqrt(np.maximum(squared, 0.0))
        return out / g.shape[1]

    def embed(self, gaits: AlignedGaits) -> Float[np.ndarray, "N S D"]:
        """Each walk's vectors, from all its frames."""
        out = []
        for i in range(0, len(gaits), _BLOCK):
            walks = [gaits.frames(j) for j in range(i, min(i + _BLOCK, len(gaits)))]
            # Repeated frames change no maximum, and few lengths need few compilations.
            longest = max(1, *(len(frames) for frames in walks))
            longest = -(-longest // 10) * 10
            filled = np.zeros((_BLOCK, longest, gei.HEIGHT, gei.WIDTH), np.uint8)
            for row, frames in zip(filled, walks, strict=False):
                if len(frames):
                    row[:] = frames[np.arange(longest) % len(frames)]
            out.append(np.asarray(_embed(self.network, self.params, filled))[: len(walks)])
        return np.concatenate(out)

    def arrays(self) -> dict[str, Any]:
        """Arrays for `restore`."""
        return {"params": jax.tree.map(np.asarray, self.params)}


@functools.partial(jax.jit, static_argnums=0)
def _embed(network, params, silhouettes):
    return network.apply(params, silhouettes.astype(jnp.float32))


def restore(settings: SetNetworkSettings, arrays: dict[str, Any]) -> SetNetwork:
    """Rebuilds a recogniser from its `arrays`."""
    return SetNetwork(StripNetwork(tuple(settings.channels), settings.size), arrays["params"])


def train(gaits: AlignedGaits, seed: int, settings: SetNetworkSettings) -> SetNetwork:
    """Trains on walks of all conditions and views, by triplet loss plus cross-entropy.

    Raises:
      InputError: there are fewer than two subjects with a frame, or the loss is not finite.
    """
    gaits = gaits[np.array([len(packed) > 0 for packed in gaits.packed])]
    people, labels = np.unique(gaits.subject, return_inverse=True)
    if len(people) < 2:
        raise InputError("recogniser set_network: there must be two subjects at least")
    params = _init(settings, len(people), jax.random.key(seed))
    opt_state = _tx(settings).init(params)
    progress = tqdm(range(settings.steps), desc="training set_network", unit="step")
    for number in progress:
        index = _batch(labels, np.random.default_rng([seed, number]), settings)
        frames = _some_frames(gaits, index, np.random.default_rng([seed, number, 1]), settings)
        batch = frames, labels[index].astype(np.int32)
        params, opt_state, loss = _step(settings, len(people), params, opt_state, *batch)
        if number % 10 == 9:
            if not np.isfinite(loss):
                raise InputError(f"recogniser set_network: the loss is {loss} at step {number}")
            progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
    network, _ = _networks(settings, len(people))
    return SetNetwork(network, jax.tree.map(np.asarray, params["network"]))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _init(settings, people, key):
    network, head = _networks(settings, people)
    network_key, head_key = jax.random.split(key)
    return {
        "network": network.init(network_key, jnp.zeros((2, 1, gei.HEIGHT, gei.WIDTH))),
        "head": head.init(head_key, jnp.zeros((2, sum(_LEVELS), settings.size))),
    }


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _step(settings, people, params, opt_state, silhouettes, subjects):
    network, head = _networks(settings, people)

    def loss_of(params):
        embeddings = network.apply(params["network"], silhouettes.astype(jnp.float32))
        logits = head.apply(params["head"], embeddings)
        labels = jnp.broadcast_to(subjects[:, None], logits.shape[:2])
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return entropy + triplet_loss(embeddings, subjects, settings.margin)

    loss, grads = jax.value_and_grad(loss_of)(params)
    updates, opt_state = _tx(settings).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


def _networks(settings: SetNetworkSettings, people: int) -> tuple[StripNetwork, Head]:
    return StripNetwork(tuple(settings.channels), settings.size), Head(people)


def _tx(settings: SetNetworkSettings) -> optax.GradientTransformation:
    return optax.adam(
        optax.warmup_cosine_decay_schedule(
            0.0, settings.learning_rate, settings.steps // 20, max(1, settings.steps)
        )
    )


def _batch(
    labels: Int[np.ndarray, " N"], rng: np.random.Generator, settings: SetNetworkSettings
) -> Int[np.ndarray, " B"]:
    """Indices of some people's walks, equally many of each."""
    count = int(labels.max()) + 1
    people = rng.choice(count, min(settings.subjects, count), replace=False)
    return np.concatenate([_some(np.flatnonzero(labels == p), rng, settings.walks) for p in people])


def _some_frames(
    gaits: AlignedGaits,
    index: Int[np.ndarray, " B"],
    rng: np.random.Generator,
    settings: SetNetworkSettings,
) -> UInt8[np.ndarray, "B T 64 44"]:
    out = []
    for i in index:
        packed = gaits.packed[i]
        bits = packed[_some(np.arange(len(packed)), rng, settings.frames)]
        out.append(np.unpackbits(bits, axis=-1).reshape(-1, gei.HEIGHT, gei.WIDTH))
    return np.stack(out)


def _some(
    values: Int[np.ndarray, " N"], rng: np.random.Generator, count: int
) -> Int[np.ndarray, " count"]:
    """Draws some; each at most once if there are enough."""
    return rng.choice(values, count, replace=len(values) < count)
