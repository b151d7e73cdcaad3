"""ST-GAN's three networks: gait generator G, spatial and temporal discriminators D_S and D_T.

All take contours in [0, 1] and the discriminators return logits: the papers' sigmoid
is part of the losses.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.models import stencil


def _passing(gain: float) -> nn.initializers.Initializer:
    """Kernel that starts by passing its input on, with signs alternating over the 16 channels.

    relu(x) - relu(-x) = x, so encoder, sum and decoder together start as the mean of G's
    two inputs, disturbed by 30 % noise, and a hundred steps find the balance that alpha
    asks for. From a plain random start the same takes some thousand.
    """

    def init(key, shape, dtype=jnp.float32):
        taps, inputs, outputs = shape
        signs = jnp.where(jnp.arange(max(inputs, outputs)) % 2, -1.0, 1.0).astype(dtype)
        weights = signs.reshape(inputs, outputs) * gain / inputs
        kernel = jnp.zeros(shape, dtype).at[taps // 2].set(weights)
        return kernel + jax.random.normal(key, shape, dtype) * (0.3 * gain / inputs)

    return init


class _Weights(nn.Module):
    """A layer's weights under the names that flax's own layers give them."""

    shape: tuple[int, ...]
    start: nn.initializers.Initializer
    bias: float | None

    @nn.compact
    def __call__(self) -> tuple[Array, ...]:
        kernel = self.param("kernel", self.start, self.shape)
        if self.bias is None:
            return (kernel,)
        constant = nn.initializers.constant(self.bias)
        return kernel, self.param("bias", constant, self.shape[-1:])


def _weights(name: str, shape: tuple[int, ...], start, dtype: Any, bias: float | None = 0.0):
    return tuple(_cast(x, dtype) for x in _Weights(shape, start, bias, name=name)())


def _cast(x: Array, dtype: Any) -> Array:
    return x if dtype is None else x.astype(dtype)


CONVOLUTIONS = ("auto", "stencil", "pallas", "plain")


def _convolution(name: str) -> Any:
    """Functions `mixed` and `judged` as one of `CONVOLUTIONS` computes them.

    stencil: expressions of few taps (`models.stencil`); pallas: kernels for GPUs and TPUs
    (`models.kernels`); plain: general convolutions. Of these auto takes what is known to do well:
    stencils on a CPU, where they were measured, and plain ones elsewhere, where nothing was.
    Kernels are not for CPUs: whoever uses there what was trained with them gets stencils.
    """
    on_cpu = jax.default_backend() == "cpu"
    if name == "pallas" and not on_cpu:
        from stgan_jax.models import kernels  # takes long to load, and is for few

        return kernels
    if name == "plain" or (name == "auto" and not on_cpu):
        return _Plain
    return stencil


class _Plain:
    mixed = staticmethod(stencil.plain_mixed)
    judged = staticmethod(stencil.plain_judged)


class Generator(nn.Module):
    """G: own contours and noise contours -> anonymised contours (ST-GAN 3.4, WIFS Eqs. 2-4).

    Two encoders conv1d(1 -> features) + ReLU, summed, then conv1d(features -> 1) + ReLU,
    all over the 4000 interleaved coordinates. Note: the encoders see coordinates
    centred to [-1, 1] and the decoder's bias starts at 1/2, the middle of the crop. The
    papers give coordinates as they are, where body size swamps the difference of bodies
    and the last ReLU, fed by a random kernel, is as likely as not to die at once.

    Attributes:
      features: channels of the encoders (16 in WIFS Fig. 5).
      kernel: taps of each convolution (3 in WIFS Fig. 5).
      share_encoder: one encoder for both inputs, as WIFS Eqs. 2-3 print it. It makes G
        symmetric in its inputs, blind to which is the noise; ST-GAN has two.
      dtype: what is computed in; weights are float32. bfloat16 resolves half a pixel of 240.
      convolution: how, one of `CONVOLUTIONS`: the same function.
      closed: beyond a vector's ends its other end goes on, as a resampled contour's does, in
        place of zeros, which leave a dent at the top of the head. Note: not in the papers.
    """

    features: int = 16
    kernel: int = 3
    share_encoder: bool = False
    dtype: Any = None
    convolution: str = "auto"
    closed: bool = False

    @nn.compact
    def __call__(
        self,
        contours: Float[Array, "B T 4000"],
        noise: Float[Array, "B 4000"] | Float[Array, "B T 4000"],
    ) -> Float[Array, "B T 4000"]:
        taps, features = self.kernel, self.features
        encoder = _weights("encoder", (taps, 1, features), _passing(1.0), self.dtype)
        noise_encoder = encoder
        if not self.share_encoder:
            noise_encoder = _weights(
                "noise_encoder", (taps, 1, features), _passing(1.0), self.dtype
            )
        kernel, bias = _weights("decoder", (taps, features, 1), _passing(0.5), self.dtype, 0.5)
        own_conv, noise_conv = (stencil.Conv(k[:, 0], b) for k, b in (encoder, noise_encoder))
        weights = stencil.Mixer(own_conv, noise_conv, stencil.Conv(kernel[..., 0], bias[0]))
        # One noise contour stands for all frames (ST-GAN 3.3).
        noise = noise[:, None] if noise.ndim == 2 else noise
        own, noise = (_cast(2.0 * x - 1.0, self.dtype) for x in (contours, noise))
        reach = 2 * (taps // 2) if self.closed else 0  # of both layers
        if reach:
            own, noise = (
                jnp.concatenate([x[..., -reach:], x, x[..., :reach]], -1) for x in (own, noise)
            )
        made = _convolution(self.convolution).mixed(weights, own, noise)
        return made[..., reach : made.shape[-1] - reach].astype(contours.dtype)


class SpatialDiscriminator(nn.Module):
    """D_S: each frame's contour -> logit of being a real gait's (ST-GAN 3.4, Fig. 5a).

    conv1d, then a fully connected layer. Note: features, kernel and the leaky ReLU in
    between are our choice, the paper gives none. `dtype`, `convolution` as in `Generator`.
    """

    features: int = 16
    kernel: int = 3
    dtype: Any = None
    convolution: str = "auto"

    @nn.compact
    def __call__(self, *contours: Float[Array, "_ T 4000"]) -> Float[Array, "B T"]:
        start = nn.initializers.lecun_normal()
        size, features = contours[0].shape[-1], self.features
        kernel, bias = _weights("Conv_0", (self.kernel, 1, features), start, self.dtype)
        dense, offset = _weights("Dense_0", (size * features, 1), start, self.dtype)
        weights = stencil.Judge(
            stencil.Conv(kernel[:, 0], bias), dense.reshape(size, features).T, offset[0]
        )
        judged = _convolution(self.convolution).judged
        logits = [judged(weights, _cast(_centred(x), self.dtype)).astype(x.dtype) for x in contours]
        return jnp.concatenate(logits)


class TemporalDiscriminator(nn.Module):
    """D_T: a contour sequence -> logit of moving like a real gait (ST-GAN 3.4, Fig. 5b).

    An LSTM whose outputs at all T steps are concatenated and fully connected to one logit.
    Note: 128 units are our choice, the paper gives no size. `dtype` as in `Generator`. Several
    batches are judged as if they were joined; one recurrence serves all.
    """

    units: int = 128
    dtype: Any = None

    @nn.compact
    def __call__(self, *contours: Float[Array, "_ T 4000"]) -> Float[Array, "B"]:
        x = _Lstm(self.units, self.dtype, name="OptimizedLSTMCell_0")(*map(_centred, contours))
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return x[..., 0].astype(contours[0].dtype)


class _Lstm(nn.Module):
    """flax's OptimizedLSTMCell over a sequence, its weights under the same names.

    What no step waits for, the products of all frames with the input weights, comes before the
    recurrence. Several batches give the outputs of the joined one.
    """

    units: int
    dtype: Any

    @nn.compact
    def __call__(self, *given: Float[Array, "_ T D"]) -> Float[Array, "B T units"]:
        frames, size = given[0].shape[1:]
        batches = [_cast(x, self.dtype) for x in given]
        start, orthogonal = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
        inputs, recurrent, biases = [], [], []
        for gate in "ifgo":
            inputs += _weights(f"i{gate}", (size, self.units), start, self.dtype, bias=None)
            weights = _weights(f"h{gate}", (self.units, self.units), orthogonal, self.dtype)
            recurrent.append(weights[0])
            biases.append(weights[1])
        wide = jnp.concatenate([_projected(inputs, x.reshape(-1, size)) for x in batches])
        wide = wide.reshape(-1, frames, wide.shape[-1]) + jnp.concatenate(biases)[None, None]
        kernel = jnp.concatenate(recurrent, 1)

        def step(carry, of_input):
            cell, hidden = carry
            i, f, g, o = jnp.split(of_input + hidden @ kernel, 4, -1)
            cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
            hidden = nn.sigmoid(o) * jnp.tanh(cell)
            return (cell, hidden), hidden

        zeros = jnp.zeros((len(wide), self.units), wide.dtype)
        _, hidden = jax.lax.scan(step, (zeros, zeros), wide.swapaxes(0, 1))
        return hidden.swapaxes(0, 1)


@jax.custom_vjp
def _projected(kernels: list[Float[Array, "D units"]], x: Float[Array, "N D"]):
    """The products of x with each kernel, side by side: (N, 4 units); no kernel is copied."""
    return jnp.concatenate([x @ kernel for kernel in kernels], 1)


def _projected_backwards(kept, change):
    kernels, x = kept
    each = jnp.split(change, len(kernels), 1)
    # Here one product: a sum of four would write each of them, as large as x.
    return [x.T @ part for part in each], change @ jnp.concatenate(kernels, 1).T


_projected.defvjp(lambda *inputs: (_projected(*inputs), inputs), _projected_backwards)


def _centred(contours: jax.Array) -> jax.Array:
    """[0, 1] -> about unit range around 0, where the discriminators start well conditioned."""
    return 4.0 * contours - 2.0
