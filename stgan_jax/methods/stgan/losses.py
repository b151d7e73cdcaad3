"""ST-GAN's losses, one function an equation.

Discriminators give logits l with D = sigmoid(l), so log D = -softplus(-l) and
log(1 - D) = -softplus(l), which neither overflow nor lose precision. Expectations
are means over all leading axes; norms are sums over the last one (4000).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


class StganLoss(NamedTuple):
    """Which form of Eqs. 4-8 is trained.

    Attributes:
      distance: "l1", as Eqs. 6 and 7 print it, or "l2", see `deviation`.
      saturating: Eqs. 4 and 5 as printed, see `adversarial`.
      adversarial_weight: weight of L_S and L_T; 1 as printed.
      balance: how L_Rec and L_Per are weighed, "printed" or "convex", see `generator`.
    """

    distance: str
    saturating: bool
    adversarial_weight: float
    balance: str


# As printed, and the form in which alpha steers: the share of the noise in G's output.
LOSSES = {
    "printed": StganLoss("l1", True, 1.0, "printed"),
    "steered": StganLoss("l2", False, 0.1, "convex"),
}


def discriminator_value(
    real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."]
) -> Scalar:
    """L(D_S) or L(D_T), to be maximised: E[log D(Y)] + E[log(1 - D(G(Y, Z-hat)))] (Eqs. 2, 3).

    Args:
      real_logits: logits of original gaits.
      fake_logits: logits of generated gaits.
    """
    real, fake = jax.nn.softplus(-real_logits), jax.nn.softplus(fake_logits)
    return -jnp.mean(real) - jnp.mean(fake)


def adversarial(fake_logits: Float[Array, "..."], saturating: bool = True) -> Scalar:
    """L_S(G) or L_T(G), to be minimised: E[log(1 - D(G(Y, Z-hat)))] (Eqs. 4, 5).

    Args:
      fake_logits: logits of generated gaits.
      saturating: as printed. Note: False gives -E[log D(G)], which has the same fixed
        point and keeps its gradient while the discriminator wins (Goodfellow 2014).
    """
    if saturating:
        return -jnp.mean(jax.nn.softplus(fake_logits))
    return jnp.mean(jax.nn.softplus(-fake_logits))


def reconstruction(
    contours: Float[Array, "B T D"], generated: Float[Array, "B T D"], distance: str = "l1"
) -> Scalar:
    """L_Rec(G) = E ||Y - G(Y, Z-hat)|| (Eq. 6), for `distance` see `deviation`."""
    return jnp.mean(deviation(contours - generated, distance))


def perturbation(
    noise: Float[Array, "B D"] | Float[Array, "B T D"],
    generated: Float[Array, "B T D"],
    distance: str = "l1",
) -> Scalar:
    """L_Per(G) = E ||Z-hat - G(Y, Z-hat)|| (Eq. 7; the Poster's L_Pur).

    Note: Eq. 7 prints the seeds Z; only the generated noise Z-hat has a contour's shape.
    """
    noise = noise[:, None] if noise.ndim == 2 else noise
    return jnp.mean(deviation(noise - generated, distance))


def deviation(difference: Float[Array, "*batch D"], distance: str) -> Float[Array, "*batch"]:
    """Size of a difference: "l1", the norm as printed in ST-GAN, or "l2", its square as in WIFS.

    With "l1" and alpha < 1 the optimum of Eq. 6 + alpha Eq. 7 is the unchanged gait;
    with "l2" it is Y + alpha / (1 + alpha) (Z-hat - Y), so that alpha steers.

    Raises:
      ValueError: another distance.
    """
    if distance == "l1":
        return jnp.sum(jnp.abs(difference), -1)
    if distance == "l2":
        return jnp.sum(jnp.square(difference), -1)
    raise ValueError(f'unknown distance {distance!r}: choose "l1" or "l2"')


def generator(
    spatial: Scalar,
    temporal: Scalar,
    rec: Scalar,
    per: Scalar,
    alpha: float | Scalar,
    balance: str = "printed",
) -> Scalar:
    """L(G) = L_S + L_T + L_Rec + alpha L_Per (Eq. 8).

    Args:
      spatial: L_S, see `adversarial`.
      temporal: L_T.
      rec: L_Rec.
      per: L_Per.
      alpha: weight of the perturbation.
      balance: "printed". Note: "convex" gives (1 - alpha) L_Rec + alpha L_Per instead, with
        alpha from 0 to 1. With squared distances G's optimum is then a share alpha of the noise,
        where as printed it is alpha / (1 + alpha) and most of the way is out of reach.
    """
    own = 1.0 - alpha if balance == "convex" else 1.0
    return spatial + temporal + own * rec + alpha * per
