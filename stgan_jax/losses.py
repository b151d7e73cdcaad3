"""The papers' losses, one function an equation.

Discriminators give logits l with D = sigmoid(l), so log D = -softplus(-l) and
log(1 - D) = -softplus(l), which neither overflow nor lose precision. Expectations
are means over all leading axes; norms are sums over the last one (4000).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


def discriminator_value(
    real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."], real_label: float = 1.0
) -> Scalar:
    """L(D_S) or L(D_T), to be maximised: E[log D(Y)] + E[log(1 - D(G(Y, Z-hat)))] (Eqs. 2, 3).

    Args:
      real_logits: of original gaits.
      fake_logits: of generated gaits.
      real_label: 1 as printed. Note: below 1, one-sided label smoothing (Salimans 2016):
        real_label E[log D(Y)] + (1 - real_label) E[log(1 - D(Y))] stands for the first term.
    """
    real = real_label * jax.nn.softplus(-real_logits)
    if real_label != 1.0:
        real = real + (1.0 - real_label) * jax.nn.softplus(real_logits)
    return -jnp.mean(real) - jnp.mean(jax.nn.softplus(fake_logits))


def minimax_value(
    real_spatial: Float[Array, "B T"],
    fake_spatial: Float[Array, "B T"],
    real_temporal: Float[Array, "B"],
    fake_temporal: Float[Array, "B"],
) -> Scalar:
    """L(G, D_S, D_T), the game's value (Eq. 1): the sum of Eqs. 2 and 3."""
    return discriminator_value(real_spatial, fake_spatial) + discriminator_value(
        real_temporal, fake_temporal
    )


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


def modification(
    contours: Float[Array, "B T D"],
    noise: Float[Array, "B T D"],
    modified: Float[Array, "B T D"],
    alpha: float | Scalar,
) -> Scalar:
    """WIFS Eq. 5: (1/D) (||Phi_2 - X_1||^2 + alpha ||Phi_2 - X_2||^2), the mean over frames.

    Args:
      contours: X_1, original gaits.
      noise: X_2, noise gaits, another subject in the same view.
      modified: Phi_2(X_1, X_2).
      alpha: how much of the noise gait is added; 0.3 in the paper.
    """
    return jnp.mean(jnp.square(modified - contours)) + alpha * jnp.mean(
        jnp.square(modified - noise)
    )
