"""The loss of WIFS 2017."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def modification(
    contours: Float[Array, "B T D"],
    noise: Float[Array, "B T D"],
    modified: Float[Array, "B T D"],
    alpha: float | Float[Array, ""],
) -> Float[Array, ""]:
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
