"""The training step of the retargeting networks: (state, batch, alpha) -> (state, metrics)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float16

from stgan_jax.models import retarget as models
from stgan_jax.state import Optimizers, TrainState
from stgan_jax.steps import Metrics, Options


@dataclasses.dataclass(frozen=True)
class RetargetLoss:
    """Weights of the terms beside the L1 distance (percent of a field's range).

    Attributes:
      rate: of the pose code's Kullback-Leibler divergence from N(0, 1), nats a frame: what does
        not help to draw the other person is not worth its noise.
      motion: of the L1 distance of the changes from frame to frame.
      overlap: of 1 - Dice coefficient of the soft silhouettes. Note: L1 alone would leave thin
        arms out rather than draw them a little beside their place.
      pose: of the squared error of `PoseHead`.
    """

    rate: float = 0.03
    motion: float = 1.0
    overlap: float = 10.0
    pose: float = 5.0


@dataclasses.dataclass(frozen=True)
class RetargetNets:
    """The modules, see `models.retarget`."""

    encoder: models.PoseEncoder
    decoder: models.BodyDecoder
    identity: models.IdentityEncoder
    pose: models.PoseHead

    def init(self, key: jax.Array, fixed: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name.

        Args:
          key: random.
          fixed: "basis" of `models.retarget.fit_basis`, and "people", the "mean" and the "scale"
            of identities' numbers.
          frames: of a walk.
        """
        keys = jax.random.split(key, 4)
        seen = jnp.zeros((1, frames, self.decoder.outputs))
        code = jnp.zeros((1, frames, self.encoder.size))
        gen = {
            "encoder": self.encoder.init(keys[0], seen),
            "decoder": self.decoder.init(keys[1], code, jnp.zeros((1, self.identity.size))),
            "identity": self.identity.init(keys[2], seen, code),
            "pose": self.pose.init(keys[3], code),
        }
        return {"gen": gen, **jax.tree.map(jnp.asarray, fixed)}


def packed_size(frames: int, components: int) -> int:
    """Numbers of a pair in a batch, see `unpacked`."""
    return frames * (2 * components + models.POSE) + 2 * models.IDENTITY


def unpacked(rows: Array, frames: int) -> tuple[Array, Array, Array]:
    """Coordinates (B, 2, T, K) of both walkers, identities (B, 2, I), pose (B, T, P)."""
    people, pose = 2 * models.IDENTITY, frames * models.POSE
    count = rows.shape[1] - people - pose

    def cut(start, stop, *shape):
        return rows[:, start:stop].astype(jnp.float32).reshape(len(rows), *shape)

    return (
        cut(0, count, 2, frames, -1),
        cut(count, count + people, 2, models.IDENTITY),
        cut(count + people, rows.shape[1], frames, models.POSE),
    )


def retarget_step(
    state: TrainState,
    rows: Float16[Array, "B N"],
    *,
    frames: int,
    nets: RetargetNets,
    optimizers: Optimizers,
    loss: RetargetLoss,
    options: Options,
) -> tuple[TrainState, Metrics]:
    """One update of all networks: the other's silhouettes are to come of the one's.

    The identity encoder, for alpha below 1, learns beside them and changes none of them.

    Args:
      state: as `RetargetNets.init` and `TrainState.create` make it.
      rows: pairs, see `unpacked`.
      frames: T of a walk.
      nets: the modules.
      optimizers: for "gen".
      loss: weights.
      options: additions; those for discriminators do nothing.
    """
    noise = options.own_share(
        lambda count: jax.random.normal(state.key(), (count, frames, nets.encoder.size)), len(rows)
    )

    def cost(params, rows, noise):
        return objective(params, state.params["basis"], rows, noise, nets, loss)

    grads, metrics = options.gradients(cost, state.params["gen"], rows, noise)
    state, norms = state.finished("gen", grads, optimizers, options.ema)
    return state, {**metrics, **norms}


def objective(
    params: dict[str, Any],
    basis: models.Basis,
    rows: Array,
    noise: Float[Array, "B T C"],
    nets: RetargetNets,
    loss: RetargetLoss,
) -> tuple[Float[Array, ""], Metrics]:
    """What is minimised, and its terms.

    Args:
      params: of the networks, by name.
      basis: of fields.
      rows: pairs, see `unpacked`.
      noise: Gaussian, for the pose codes.
      nets: the modules.
      loss: weights.
    """
    walks, people, pose = unpacked(rows, noise.shape[1])
    own, wanted = walks[:, 0], models.field(basis, walks[:, 1])
    mean, log_variance = nets.encoder.apply(params["encoder"], own)
    code = mean + jnp.exp(log_variance / 2) * noise
    made = models.field(basis, nets.decoder.apply(params["decoder"], code, people[:, 1]))
    fixed = jax.lax.stop_gradient
    guessed = nets.identity.apply(params["identity"], fixed(own), fixed(mean)).mean(1)
    inside = (wanted > 0).astype(jnp.float32)
    soft = jax.nn.sigmoid(10.0 * made)
    dice = (2 * jnp.sum(soft * inside, -1) + 1) / (jnp.sum(soft + inside, -1) + 1)
    changes = jnp.diff(made, axis=1) - jnp.diff(wanted, axis=1)
    both, either = (made > 0) & (wanted > 0), (made > 0) | (wanted > 0)
    rate = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance, -1)
    terms = {
        "field": 100 * jnp.mean(jnp.abs(made - wanted)),
        "motion": 100 * jnp.mean(jnp.abs(changes)),
        "overlap": 1 - jnp.mean(dice),
        "rate": jnp.mean(rate),
        "pose": jnp.mean(jnp.square(nets.pose.apply(params["pose"], code) - pose)),
        "identity": jnp.mean(jnp.square(guessed - people[:, 0])),
    }
    total = (
        terms["field"]
        + loss.motion * terms["motion"]
        + loss.overlap * terms["overlap"]
        + loss.rate * terms["rate"]
        + loss.pose * terms["pose"]
        + terms["identity"]
    )
    iou = jnp.mean(jnp.sum(both, -1) / jnp.sum(either, -1))
    return total, {"loss/gen": total, "iou": iou, **{f"loss/gen_{k}": v for k, v in terms.items()}}
