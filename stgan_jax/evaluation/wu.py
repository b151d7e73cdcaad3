"""Wu et al. 2017, model MT: a convolutional network that says whether two walks are one person's.

"A comprehensive study on cross-view gait based human identification with deep CNNs", IEEE TPAMI
39(2): one of the two recognisers of ST-GAN 4.2.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax.errors import InputError
from stgan_jax.evaluation.gaits import LARGE, Gaits


@dataclasses.dataclass(frozen=True)
class Settings:
    """How it is trained. By default for two CPU cores: minutes, and walks of the same view.

    Note: the paper trains for about a million steps on pairs across all views. With an
    accelerator raise `steps`, and `views` to 2 or more for an attacker who crosses views.

    Attributes:
      steps: updates.
      subjects: people in a batch.
      views: of each of them, the same for all.
      walks: of each in each view.
      learning_rate: highest, after a rise over a twentieth of the steps and before a cosine's
        fall to 0.
      weight_decay: added to the gradient, times the weights.
      slow: by how much the gradients of the last layer and of the bias before it are scaled.
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


def local_response(x: Float[Array, "N h w C"]) -> Float[Array, "N h w C"]:
    """Each channel over (2 + 1e-4 sum of squares of the 5 channels around it) to the power 3/4.

    Krizhevsky et al. 2012, with their constants.
    """
    channels = x.shape[-1]
    padded = jnp.pad(x * x, ((0, 0), (0, 0), (0, 0), (2, 2)))
    squares = sum(padded[..., i : i + channels] for i in range(5))
    root = jax.lax.rsqrt(2.0 + 1e-4 * squares)
    return x * root * jnp.sqrt(root)


def halved(x: Float[Array, "N h w C"]) -> Float[Array, "N h2 w2 C"]:
    """Highest of each 2x2 pixels; h and w are even.

    What a max pooling gives, whose gradient takes ten times as long on a CPU.
    """
    n, h, w, channels = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, channels).max((2, 4))


class Network(nn.Module):
    """MT ("mid-level and top"): energy images of two walks -> logits of (different, same).

    Two shared layers of 7x7 kernels with ReLU, local response normalisation and pooling, the
    difference of the two, a third convolution, and one linear layer. 1 079 906 parameters.

    A ReLU follows the third convolution too: without it the whole would be linear in the
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
        self.last = nn.Dense(2, kernel_init=_apart, bias_init=_alike)

    def __call__(
        self, a: Float[Array, "N 126 126"], b: Float[Array, "N 126 126"]
    ) -> Float[Array, "N 2"]:
        """The network as the paper has it, of N pairs of energy images in [0, 1]."""
        return self._judged(self.third(self.shared(a) - self.shared(b)))

    def shared(self, images: Float[Array, "N 126 126"]) -> Float[Array, "N 27 27 64"]:
        """What is done to each walk by itself."""
        x = images[..., None]
        for layer in (self.first, self.second):
            x = halved(local_response(nn.relu(layer(x))))
        return x

    def maps(self, images: Float[Array, "N 126 126"]) -> Float[Array, "N 21 21 256"]:
        """The third convolution of each walk by itself: it is linear, and may go first."""
        return self.third(self.shared(images))

    def compare(
        self, a: Float[Array, "N 21 21 256"], b: Float[Array, "N 21 21 256"], drop: bool = False
    ) -> Float[Array, "N 2"]:
        """Logits of pairs of `maps`: the same as those of the network on their images."""
        # Its bias has cancelled out of the difference.
        bias = self.third.variables["params"]["bias"][None, None, None]
        return self._judged(a - b + bias, drop)

    def _judged(self, x, drop=False):
        x = self.dropout(nn.relu(x), deterministic=not drop)
        return self.last(x.reshape(len(x), -1))


def _product(x, kernel, *_, **__):
    """`lax.conv_general_dilated` without padding or strides, as one matrix product."""
    rows, columns = (x.shape[axis] - kernel.shape[axis - 1] + 1 for axis in (1, 2))
    around = [
        x[:, i : i + rows, j : j + columns] for i, j in np.ndindex(kernel.shape[:2])
    ]  # fmt: skip
    return jnp.tensordot(jnp.concatenate(around, -1), kernel.reshape(-1, kernel.shape[-1]), 1)


def _apart(key, shape, dtype=jnp.float32):
    """Starts by calling walks the more different, the further they are apart."""
    del key
    scale = jnp.full(shape[:1], 100.0 / shape[0], dtype)
    return jnp.stack([scale, -scale], 1)


def _alike(key, shape, dtype=jnp.float32):
    """Balances `_apart` at the distance that two walks typically have at the start."""
    del key, shape
    return jnp.array([-2.0, 2.0], dtype)


def pair_loss(
    params: Any,
    images: UInt8[Array, "N 126 126"],
    first: Int[Array, " pairs"],
    second: Int[Array, " pairs"],
    same: Int[Array, " pairs"],
    key: Array,
) -> Float[Array, ""]:
    """Mean cross-entropy of pairs of a batch's walks; what is done to a walk is done once.

    Args:
      params: of `Network`.
      images: energy images, 0 to 255.
      first: of each pair, which walk is the first.
      second: and the second.
      same: 1 where they are one person's, 0 where not.
      key: of the dropout. Note: one mask for all pairs of a batch.
    """
    network = Network()
    maps = network.apply(params, images.astype(jnp.float32) / 255.0, method=network.maps)
    # A product with one-hot rows picks: on a CPU the gradient of an index is slow.
    pick = lambda index: jnp.tensordot(jax.nn.one_hot(index, len(images)), maps, 1)  # noqa: E731
    logits = network.apply(
        params, pick(first), pick(second), True, method=network.compare, rngs={"dropout": key}
    )
    return optax.softmax_cross_entropy_with_integer_labels(logits, same).mean()


@dataclasses.dataclass(frozen=True)
class Wu:
    """The trained recogniser: minus the log-odds of "the same person".

    Note: the mean of both orders of the two walks, as neither has reason to be the first.

    Attributes:
      params: of `Network`.
    """

    params: Any
    name: ClassVar[str] = "wu"

    def distances(self, gallery: Gaits, probes: Gaits) -> Float[np.ndarray, "P G"]:
        """Minus the log-odds; the convolutions run once a walk (see `Network.compare`)."""
        out = np.zeros((len(probes), len(gallery)), np.float32)
        bar = tqdm(total=out.size, desc="matching wu", unit="pair", unit_scale=True, leave=False)
        for i in range(0, len(gallery), _STORED):
            stored = self._maps(gallery.large[i : i + _STORED])
            for j in range(0, len(probes), _BLOCK):
                seen = self._maps(probes.large[j : j + _BLOCK])
                for k in range(0, len(stored), _BLOCK):
                    odds = _odds(self.params, seen, stored[k : k + _BLOCK])
                    block = out[j : j + _BLOCK, i + k : i + k + _BLOCK]
                    block[:] = -np.asarray(odds)[: block.shape[0], : block.shape[1]]
                    bar.update(block.size)
        bar.close()
        return out

    def _maps(self, images: UInt8[np.ndarray, "N 126 126"]) -> Float[np.ndarray, "M 21 21 256"]:
        """Of N images and of black ones that fill the last block: M is a multiple of it."""
        filled = np.pad(images, ((0, -len(images) % _BLOCK), (0, 0), (0, 0)))
        blocks = [
            np.asarray(_maps(self.params, filled[i : i + _BLOCK]))
            for i in range(0, len(filled), _BLOCK)
        ]
        return np.concatenate(blocks)

    def arrays(self) -> dict[str, Any]:
        """What to store, for `restore`."""
        return {"params": jax.tree.map(np.asarray, self.params)}


_BLOCK = 16  # walks whose maps are compared with as many others' at a time
_STORED = 1024  # walks of the gallery whose maps are held: 450 KB each


@jax.jit
def _maps(params, images):
    network = Network()
    return network.apply(params, images.astype(jnp.float32) / 255.0, method=network.maps)


@jax.jit
def _odds(params, a, b):
    """Log-odds of "same", mean of both orders: (P, 21, 21, 256), (G, 21, 21, 256) -> (P, G).

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


def restore(settings: Settings, arrays: dict[str, Any]) -> Wu:
    """The recogniser that `Wu.arrays` was taken from."""
    del settings
    return Wu(arrays["params"])


def train(gaits: Gaits, seed: int, settings: Settings) -> Wu:
    """Trains on pairs of walks of all conditions and views, half of them of one person.

    Note: a batch is some walks of each of some people in a few views, and the pairs are formed
    among its walks: the convolutions are done once a walk instead of once a pair. Half of the
    pairs of different people are of the same view.

    Raises:
      InputError: there are fewer than two subjects, or the loss is not finite.
    """
    draw = _batches(gaits, settings)
    key = jax.random.key(seed)
    params = _start(key)
    moments = _optimizer(settings).init(params)
    progress = tqdm(range(settings.steps), desc="training wu", unit="step")
    for number in progress:
        batch = draw(np.random.default_rng([seed, number]))
        params, moments, value = _step(
            settings, params, moments, jax.random.fold_in(key, number), *batch
        )
        if number % 10 == 9:
            if not np.isfinite(value):
                raise InputError(f"recogniser wu: the loss is {value} at step {number}")
            progress.set_postfix_str(f"loss {value:.3f}", refresh=False)
    return Wu(jax.tree.map(np.asarray, params))


@jax.jit
def _start(key):
    return Network().init(key, *jnp.zeros((2, 1, LARGE, LARGE)))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _step(settings, params, moments, key, images, first, second, same):
    value, grads = jax.value_and_grad(pair_loss)(params, images, first, second, same, key)
    updates, moments = _optimizer(settings).update(grads, moments, params)
    return optax.apply_updates(params, updates), moments, value


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, settings.steps // 20, max(1, settings.steps)
    )
    return optax.chain(
        optax.masked(optax.scale(settings.slow), _slow),
        optax.clip_by_global_norm(settings.clip),
        optax.add_decayed_weights(settings.weight_decay),
        optax.sgd(rate, momentum=0.9),
    )


def _slow(params: Any) -> Any:
    """The last layer and the bias before it: hundreds of features push each at once."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[1].key == "last" or [key.key for key in path[1:]] == ["third", "bias"],
        params,
    )


def _batches(gaits: Gaits, settings: Settings) -> Callable[[np.random.Generator], tuple]:
    """A function that draws images and the pairs to be formed of them, see `pair_loss`."""
    people, views = np.unique(gaits.subject), np.unique(gaits.view)
    if len(people) < 2:
        raise InputError("recogniser wu: there must be two subjects at least")
    of = {(p, v): np.flatnonzero((gaits.subject == p) & (gaits.view == v))
          for p in people for v in views}  # fmt: skip
    anywhere = {p: np.flatnonzero(gaits.subject == p) for p in people}

    def draw(rng):
        chosen = []
        seen = rng.choice(views, min(settings.views, len(views)), replace=False)
        for person in rng.choice(people, min(settings.subjects, len(people)), replace=False):
            for view in seen:
                walks = of[person, view] if len(of[person, view]) else anywhere[person]
                few = len(walks) < settings.walks
                chosen.append(rng.choice(walks, settings.walks, replace=few))
        index = np.concatenate(chosen)
        subject, view = gaits.subject[index], gaits.view[index]
        same = subject[:, None] == subject[None]
        alike = np.argwhere(same & ~np.eye(len(index), dtype=bool))
        near = np.argwhere(~same & (view[:, None] == view[None]))
        far = np.argwhere(~same)
        # Half of the others are of one view, where it takes the person to tell them apart.
        some = lambda pairs, n: pairs[rng.integers(len(pairs), size=n)]  # noqa: E731
        half = len(alike) // 2
        others = some(near if len(near) else far, half), some(far, len(alike) - half)
        first, second = np.concatenate([alike, *others]).astype(np.int32).T
        labels = np.repeat(np.array([1, 0], np.int32), len(alike))
        return gaits.large[index], first, second, labels

    return draw
