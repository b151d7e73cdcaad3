"""ST-GAN's three networks: gait generator G, spatial and temporal discriminators D_S and D_T.

All take contours in [0, 1] and the discriminators return logits: the papers' sigmoid
is part of the losses.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from stgan_jax.ops import stencil
from stgan_jax.ops.convolution import convolution
from stgan_jax.ops.layers import cast, weights
from stgan_jax.ops.lstm import Lstm


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
        encoder = weights("encoder", (taps, 1, features), _passing(1.0), self.dtype)
        noise_encoder = encoder
        if not self.share_encoder:
            noise_encoder = weights("noise_encoder", (taps, 1, features), _passing(1.0), self.dtype)
        kernel, bias = weights("decoder", (taps, features, 1), _passing(0.5), self.dtype, 0.5)
        own_conv, noise_conv = (stencil.Conv(k[:, 0], b) for k, b in (encoder, noise_encoder))
        weights_of_g = stencil.GeneratorWeights(
            own_conv, noise_conv, stencil.Conv(kernel[..., 0], bias[0])
        )
        # One noise contour stands for all frames (ST-GAN 3.3).
        noise = noise[:, None] if noise.ndim == 2 else noise
        own, noise = (cast(2.0 * x - 1.0, self.dtype) for x in (contours, noise))
        reach = 2 * (taps // 2) if self.closed else 0  # of both layers
        if reach:
            own, noise = (
                jnp.concatenate([x[..., -reach:], x, x[..., :reach]], -1) for x in (own, noise)
            )
        out = convolution(self.convolution).generate(weights_of_g, own, noise)
        return out[..., reach : out.shape[-1] - reach].astype(contours.dtype)


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
        kernel, bias = weights("Conv_0", (self.kernel, 1, features), start, self.dtype)
        dense, offset = weights("Dense_0", (size * features, 1), start, self.dtype)
        weights_of_d = stencil.SpatialWeights(
            stencil.Conv(kernel[:, 0], bias), dense.reshape(size, features).T, offset[0]
        )
        spatial_logits = convolution(self.convolution).spatial_logits
        logits = [
            spatial_logits(weights_of_d, cast(_centred(x), self.dtype)).astype(x.dtype)
            for x in contours
        ]
        return jnp.concatenate(logits)


class TemporalDiscriminator(nn.Module):
    """D_T: a contour sequence -> logit of moving like a real gait (ST-GAN 3.4, Fig. 5b).

    An LSTM whose outputs at all T steps are concatenated and fully connected to one logit.
    Note: 128 units are our choice, the paper gives no size. `dtype` as in `Generator`. Several
    batches give the logits of the joined one; one recurrence serves all, see `ops.lstm.Lstm`.
    """

    units: int = 128
    dtype: Any = None
    recurrence: str = "auto"

    @nn.compact
    def __call__(self, *contours: Float[Array, "_ T 4000"]) -> Float[Array, "B"]:
        lstm = Lstm(self.units, self.dtype, self.recurrence, name="OptimizedLSTMCell_0")
        x = lstm(*map(_centred, contours))
        x = nn.Dense(1, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return x[..., 0].astype(contours[0].dtype)


def _centred(contours: jax.Array) -> jax.Array:
    """[0, 1] -> about unit range around 0, where the discriminators start well conditioned."""
    return 4.0 * contours - 2.0
