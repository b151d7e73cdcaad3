"""What a reader of gaits minimises. Not in the papers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stgan_jax.methods.retarget.examples import ReadingBatch
from stgan_jax.methods.retarget.networks import POSE, WalkReader
from stgan_jax.training.gradients import Metrics

_BUILD = 1.0  # weight of an identity's 43 numbers together, beside the pose's 12


def objective(
    params: Any, batch: ReadingBatch, reader: WalkReader
) -> tuple[Float[Array, ""], Metrics]:
    """Squared error of what is read, and the likelihood of that error.

    Note: the Gaussian likelihood teaches the variances alone, and the means learn by squared error
    (Stirn et al. 2023): otherwise what is uncertain at first is given up.

    Args:
      params: the reader's.
      batch: walks as they are recorded, and what is to be read.
      reader: the module.

    Returns:
      the mean over the batch, and its terms: "pose" and "build" squared errors, "surprise" the
      negative logarithm of the likelihood.
    """
    mean, log_variance = reader.apply(params, batch.cells)
    person = jnp.broadcast_to(batch.person[:, None], (*mean.shape[:2], batch.person.shape[-1]))
    error = jnp.square(mean - jnp.concatenate([batch.pose, person], -1))
    known = jax.lax.stop_gradient(error)
    surprise = 0.5 * (known * jnp.exp(-log_variance) + log_variance)
    wrong = error + surprise
    total = jnp.mean(wrong[..., :POSE]) + _BUILD * jnp.mean(wrong[..., POSE:])
    return total, {
        "loss/gen": total,
        "loss/pose": jnp.mean(error[..., :POSE]),
        "loss/build": jnp.mean(error[..., POSE:]),
        "loss/surprise": jnp.mean(surprise),
    }
