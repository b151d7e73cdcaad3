"""Wu et al. 2017, model MT: a convolutional network that says whether two walks are one person's.

"A comprehensive study on cross-view gait based human identification with deep CNNs", IEEE TPAMI
39(2). One of the two recognisers in ST-GAN 4.2.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax.evaluation.gaits import LARGE, AlignedGaits
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class WuSettings:
    """How it is trained. The defaults suit two CPU cores: minutes, and walks of the same view.

    Note: the paper trains for about a million steps on pairs across all views. With an
    accelerator raise `steps`, and `views` to 2 or more for an attacker who crosses views.

    Attributes:
      steps: number of updates.
      subjects: people in a batch.
      views: views in a batch, the same for all people.
      walks: walks per person and view in a batch.
      learning_rate: the highest: it rises linearly over a twentieth of the steps and falls to 0 by
        a cosine.
      weight_decay: weight decay's factor, as a part of the gradient.
      slow: factor for the gradients of the last layer and of the bias before it.
        Note: that they learn more slowly than the convolutions is not in the paper.
      clip: highest norm of a gradient.
    """

    steps: int = 300
    subjects: int = 4
    views: int = 1
    walks: int = 4
    learning_rate: float = 0.015
    weight_decay: float = 5e-4
    slow: float = 0.03
    clip: float = 5.0


_BLOCK = 16  # walks whose maps are compared with as many others' at a time
_STORED = 1024  # gallery walks whose maps are in memory at a time, 450 KB each


def local_response(x: Float[Array, "N h w C"]) -> Float[Array, "N h w C"]:
    """Divides each channel by (2 + 1e-4 sum of squares of the 5 channels around it)^(3/4).

    Krizhevsky et al. 2012, with their constants.
    """
    channels = x.shape[-1]
    padded = jnp.pad(x * x, ((0, 0), (0, 0), (0, 0), (2, 2)))
    squares = sum(padded[..., i : i + channels] for i in range(5))
    root = jax.lax.rsqrt(2.0 + 1e-4 * squares)
    return x * root * jnp.sqrt(root)


def halved(x: Float[Array, "N h w C"]) -> Float[Array, "N h2 w2 C"]:
    """Maximum of each 2x2 pixels; h and w are even.

    The same as max pooling, whose gradient takes ten times as long on a CPU.
    """
    n, h, w, channels = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, channels).max((2, 4))


class PairNetwork(nn.Module):
    """MT ("mid-level and top"): energy images of two walks -> logits of (different, same).

    Two shared layers of 7x7 kernels with ReLU, local response normalisation and pooling, the
    difference of the two walks, a third convolution, and one linear layer. 1 079 906 parameters.

    A ReLU follows the third convolution too: without it the rest would be linear in the
    difference, and no difference at all could not count as the least. Note: the last layer
    starts as a distance, which tells walks of one view apart before anything is learnt; from a
    random start the same takes many times as long.
    """

    def setup(self):
        conv = functools.partial(nn.Conv, kernel_size=(7, 7), padding="VALID")
        self.first, self.second = conv(16), conv(64)
        # On a CPU one product takes half the time of a convolution of so many channels.
        by_product = jax.default_backend() == "cpu"
        self.third = conv(256, conv_general_dilated=_product if by_product else None)
        self.dropout = nn.Dropout(0.5, broadcast_dims=(0,))
        self.last = nn.Dense(2, kernel_init=_distance_init, bias_init=_threshold_init)

    def __call__(
        self, a: Float[Array, "N 126 126"], b: Float[Array, "N 126 126"]
    ) -> Float[Array, "N 2"]:
        """The network as in the paper, for N pairs of energy images in [0, 1]."""
        return self._logits(self.third(self.shared(a) - self.shared(b)))

    def shared(self, images: Float[Array, "N 126 126"]) -> Float[Array, "N 27 27 64"]:
        """The layers before the difference, for each walk by itself."""
        x = images[..., None]
        for layer in (self.first, self.second):
            x = halved(local_response(nn.relu(layer(x))))
        return x

    def maps(self, images: Float[Array, "N 126 126"]) -> Float[Array, "N 21 21 256"]:
        """The third convolution for each walk by itself: it is linear, and may come first."""
        return self.third(self.shared(images))

    def compare(
        self, a: Float[Array, "N 21 21 256"], b: Float[Array, "N 21 21 256"], drop: bool = False
    ) -> Float[Array, "N 2"]:
        """Logits of pairs of `maps`: the same as the network's for their images."""
        # The bias of the third convolution has cancelled out of the difference.
        bias = self.third.variables["params"]["bias"][None, None, None]
        return self._logits(a - b + bias, drop)

    def _logits(self, x, drop=False):
        x = self.dropout(nn.relu(x), deterministic=not drop)
        return self.last(x.reshape(len(x), -1))


def _product(x, kernel, *_, **__):
    """`lax.conv_general_dilated` without padding or strides, as one matrix product."""
    rows, columns = (x.shape[axis] - kernel.shape[axis - 1] + 1 for axis in (1, 2))
    around = [x[:, i : i + rows, j : j + columns] for i, j in np.ndindex(kernel.shape[:2])]
    return jnp.tensordot(jnp.concatenate(around, -1), kernel.reshape(-1, kernel.shape[-1]), 1)


def _distance_init(key, shape, dtype=jnp.float32):
    """Kernel by which walks are the more different, the further their maps are apart."""
    del key
    scale = jnp.full(shape[:1], 100.0 / shape[0], dtype)
    return jnp.stack([scale, -scale], 1)


def _threshold_init(key, shape, dtype=jnp.float32):
    """Bias that balances `_distance_init` at the distance that two walks typically start with."""
    del key, shape
    return jnp.array([-2.0, 2.0], dtype)


class WuBatch(NamedTuple):
    """Walks, and which pairs of them to compare.

    Attributes:
      images: energy images, 0 to 255.
      first: index of each pair's first walk.
      second: index of its second walk.
      same: 1 for two walks of one person, else 0.
    """

    images: UInt8[Array | np.ndarray, "N 126 126"]
    first: Int[Array | np.ndarray, " pairs"]
    second: Int[Array | np.ndarray, " pairs"]
    same: Int[Array | np.ndarray, " pairs"]


def pair_loss(params: Any, batch: WuBatch, key: Array) -> Float[Array, ""]:
    """Mean cross-entropy of a batch's pairs; the convolutions run once per walk.

    Args:
      params: parameters of `PairNetwork`.
      batch: walks and pairs.
      key: for dropout. Note: one mask for all pairs of a batch.
    """
    network = PairNetwork()
    images = batch.images.astype(jnp.float32) / 255.0
    maps = network.apply(params, images, method=network.maps)
    # A product with one-hot rows selects: on a CPU the gradient of indexing is slow.
    a, b = (
        jnp.tensordot(jax.nn.one_hot(index, len(images)), maps, 1)
        for index in (batch.first, batch.second)
    )
    logits = network.apply(params, a, b, True, method=network.compare, rngs={"dropout": key})
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.same).mean()


@dataclasses.dataclass(frozen=True)
class Wu:
    """The trained recogniser: minus the log-odds of "the same person".

    Note: mean over both orders of the two walks, as neither has a reason to be the first.

    Attributes:
      params: parameters of `PairNetwork`.
    """

    params: Any
    name: ClassVar[str] = "wu"

    def distances(self, gallery: AlignedGaits, probes: AlignedGaits) -> Float[np.ndarray, "P G"]:
        """Minus the log-odds; the convolutions run once per walk (see `PairNetwork.compare`)."""
        out = np.zeros((len(probes), len(gallery)), np.float32)
        bar = tqdm(total=out.size, desc="matching wu", unit="pair", unit_scale=True, leave=False)
        for i in range(0, len(gallery), _STORED):
            gallery_maps = self._maps(gallery.large[i : i + _STORED])
            for j in range(0, len(probes), _BLOCK):
                probe_maps = self._maps(probes.large[j : j + _BLOCK])
                for k in range(0, len(gallery_maps), _BLOCK):
                    odds = _odds(self.params, probe_maps, gallery_maps[k : k + _BLOCK])
                    block = out[j : j + _BLOCK, i + k : i + k + _BLOCK]
                    block[:] = -np.asarray(odds)[: block.shape[0], : block.shape[1]]
                    bar.update(block.size)
        bar.close()
        return out

    def _maps(self, images: UInt8[np.ndarray, "N 126 126"]) -> Float[np.ndarray, "M 21 21 256"]:
        """Maps of N images, and of black ones that fill the last block: M is a multiple of it."""
        filled = np.pad(images, ((0, -len(images) % _BLOCK), (0, 0), (0, 0)))
        blocks = [
            np.asarray(_maps(self.params, filled[i : i + _BLOCK]))
            for i in range(0, len(filled), _BLOCK)
        ]
        return np.concatenate(blocks)

    def arrays(self) -> dict[str, Any]:
        """Arrays for `restore`."""
        return {"params": jax.tree.map(np.asarray, self.params)}


@jax.jit
def _maps(params, images):
    network = PairNetwork()
    return network.apply(params, images.astype(jnp.float32) / 255.0, method=network.maps)


@jax.jit
def _odds(params, a, b):
    """Log-odds of "same", mean over both orders: (P, 21, 21, 256), (G, 21, 21, 256) -> (P, G).

    The mean of relu(x + bias) and relu(-x + bias) is (max(|x|, |bias|) + bias) / 2.
    """
    weights = params["params"]
    bias = jnp.tile(weights["third"]["bias"], 21 * 21)
    kernel = weights["last"]["kernel"] @ jnp.array([-0.5, 0.5])
    offset = jnp.diff(weights["last"]["bias"])[0] + bias @ kernel
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)

    def of_probe(row):
        return jnp.maximum(jnp.abs(row[None] - b), jnp.abs(bias)[None]) @ kernel + offset

    return jax.lax.map(of_probe, a)


def restore(settings: WuSettings, arrays: dict[str, Any]) -> Wu:
    """Rebuilds a recogniser from its `arrays`."""
    del settings
    return Wu(arrays["params"])


def train(gaits: AlignedGaits, seed: int, settings: WuSettings) -> Wu:
    """Trains on pairs of walks of all conditions and views, half of them of one person.

    Note: a batch is some walks of each of some people in a few views, and the pairs are formed
    among its walks: the convolutions run once per walk instead of once per pair. Half of the
    pairs of different people are of the same view.

    Raises:
      InputError: there are fewer than two subjects, or the loss is not finite.
    """
    draw = _batches(gaits, settings)
    key = jax.random.key(seed)
    params = _init(key)
    opt_state = _tx(settings).init(params)
    progress = tqdm(range(settings.steps), desc="training wu", unit="step")
    for number in progress:
        batch = draw(np.random.default_rng([seed, number]))
        step_key = jax.random.fold_in(key, number)
        params, opt_state, loss = _step(settings, params, opt_state, step_key, batch)
        if number % 10 == 9:
            if not np.isfinite(loss):
                raise InputError(f"recogniser wu: the loss is {loss} at step {number}")
            progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
    return Wu(jax.tree.map(np.asarray, params))


@jax.jit
def _init(key):
    return PairNetwork().init(key, *jnp.zeros((2, 1, LARGE, LARGE)))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _step(settings, params, opt_state, key, batch):
    loss, grads = jax.value_and_grad(pair_loss)(params, batch, key)
    updates, opt_state = _tx(settings).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


def _tx(settings: WuSettings) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, settings.steps // 20, max(1, settings.steps)
    )
    return optax.chain(
        optax.masked(optax.scale(settings.slow), _is_slow),
        optax.clip_by_global_norm(settings.clip),
        optax.add_decayed_weights(settings.weight_decay),
        optax.sgd(rate, momentum=0.9),
    )


def _is_slow(params: Any) -> Any:
    """The last layer and the bias before it: hundreds of features push each at once."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[1].key == "last" or [key.key for key in path[1:]] == ["third", "bias"],
        params,
    )


def _batches(gaits: AlignedGaits, settings: WuSettings) -> Callable[[np.random.Generator], WuBatch]:
    """A function that draws a batch."""
    people, views = np.unique(gaits.subject), np.unique(gaits.view)
    if len(people) < 2:
        raise InputError("recogniser wu: there must be two subjects at least")
    in_view = {
        (person, view): np.flatnonzero((gaits.subject == person) & (gaits.view == view))
        for person in people
        for view in views
    }
    in_any_view = {person: np.flatnonzero(gaits.subject == person) for person in people}

    def draw(rng):
        chosen = []
        batch_views = rng.choice(views, min(settings.views, len(views)), replace=False)
        for person in rng.choice(people, min(settings.subjects, len(people)), replace=False):
            for view in batch_views:
                walks = in_view[person, view]
                walks = walks if len(walks) else in_any_view[person]
                few = len(walks) < settings.walks
                chosen.append(rng.choice(walks, settings.walks, replace=few))
        index = np.concatenate(chosen)
        subject, view = gaits.subject[index], gaits.view[index]
        same = subject[:, None] == subject[None]
        alike = np.argwhere(same & ~np.eye(len(index), dtype=bool))
        in_one_view = np.argwhere(~same & (view[:, None] == view[None]))
        different = np.argwhere(~same)
        # Half of the different pairs are of one view, which differ by nothing but the person.
        half = len(alike) // 2
        near = in_one_view if len(in_one_view) else different
        near = near[rng.integers(len(near), size=half)]
        other = different[rng.integers(len(different), size=len(alike) - half)]
        first, second = np.concatenate([alike, near, other]).astype(np.int32).T
        labels = np.repeat(np.array([1, 0], np.int32), len(alike))
        return WuBatch(gaits.large[index], first, second, labels)

    return draw
