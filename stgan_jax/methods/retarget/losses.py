"""The objectives of retargeting. Not in the papers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.examples import PairBatch
from stgan_jax.training.gradients import Metrics
from stgan_jax.training.state import inference_params


@dataclasses.dataclass(frozen=True)
class RetargetLoss:
    """Weights of the terms beside the L1 distance (percent of a field's range).

    Attributes:
      rate: weight of the pose code's Kullback-Leibler divergence from N(0, 1), nats a frame: what
        does not help to draw the other person is not worth its noise.
      motion: weight of the L1 distance of the changes from frame to frame.
      overlap: weight of 1 - Dice coefficient of the soft silhouettes. Note: L1 alone would leave
        thin arms out rather than draw them a little beside their place.
      pose: weight of the squared error of `PoseHead`.
      read: weight of the squared difference between what `PoseReader` reads from the silhouettes
        drawn and from those wanted: which leg is in front, a few pixels tell.
      stride: one in so many cells of a field counts in a step; which ones, is drawn each time.
    """

    rate: float = 0.03
    motion: float = 1.0
    overlap: float = 10.0
    pose: float = 5.0
    read: float = 0.0
    stride: int = 1


def objective(
    params: dict[str, Any],
    basis: networks.Basis,
    batch: PairBatch,
    noise: Float[Array, "B T C"],
    nets: networks.RetargetNets,
    loss: RetargetLoss,
    cells: Int[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """What the encoder, the decoder and their heads minimise, and its terms.

    Args:
      params: the networks' parameters, by name.
      basis: the basis that fields are written in.
      batch: pairs of walks, float32.
      noise: Gaussian, for the pose codes.
      nets: the modules.
      loss: weights.
      cells: those cells of a field that count; None for all.
    """
    basis = basis if cells is None else networks.at(basis, cells)
    own, wanted = batch.walks[:, 0], networks.field(basis, batch.walks[:, 1])
    mean, log_variance = nets.encoder.apply(params["encoder"], own)
    code = mean + jnp.exp(log_variance / 2) * noise
    coordinates = nets.decoder.apply(params["decoder"], code, batch.people[:, 1])
    drawn = networks.field(basis, coordinates)
    fixed = jax.lax.stop_gradient
    guess = nets.identity.apply(params["identity"], fixed(own), fixed(mean)).mean(1)
    rate = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance, -1)
    shape, terms = _likeness(drawn, wanted, loss)
    off = nets.pose.apply(params["pose"], code) - batch.pose[..., : nets.pose.size]
    terms |= {
        "rate": jnp.mean(rate),
        "pose": jnp.mean(jnp.square(off)),
        "identity": jnp.mean(jnp.square(guess - batch.people[:, 0])),
    }
    total = shape + loss.rate * terms["rate"] + loss.pose * terms["pose"] + terms["identity"]
    if nets.reader is not None:
        of_wanted = nets.reader.apply(params["reader"], batch.walks[:, 1])
        of_drawn = nets.reader.apply(fixed(params["reader"]), coordinates)
        terms["reader"] = jnp.mean(jnp.square(of_wanted - _readable(batch)))
        terms["read"] = jnp.mean(jnp.square(of_drawn - fixed(of_wanted)))
        total += terms["reader"] + loss.read * terms["read"]
    metrics = {f"loss/gen_{k}": v for k, v in terms.items()}
    return total, {"loss/gen": total, "iou": _iou(drawn, wanted), **metrics}


def gait_objective(
    params: dict[str, Any],
    rest: Mapping[str, Any],
    batch: PairBatch,
    nets: networks.RetargetNets,
    loss: RetargetLoss,
    cells: Int[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """What `GaitReader` and `GaitCoder` minimise, and its terms.

    The first reads the pose of a walk, the second finds codes by which any pose is drawn; what is
    read badly does not blur what is drawn.

    Args:
      params: theirs, as "reader" and "coder".
      rest: the other networks and "basis", by name.
      batch: pairs of walks, float32.
      nets: the modules.
      loss: weights, of which those of silhouettes and reading count.
      cells: as in `objective`.
    """
    gen = inference_params(rest)
    basis = rest["basis"] if cells is None else networks.at(rest["basis"], cells)
    mean, _ = nets.encoder.apply(gen["encoder"], batch.walks[:, 0])
    pose = nets.gait_reader.apply(params["reader"], mean)
    code = nets.gait_coder.apply(params["coder"], batch.pose)
    coordinates = nets.decoder.apply(gen["decoder"], code, batch.people[:, 1])
    drawn = networks.field(basis, coordinates)
    wanted = networks.field(basis, batch.walks[:, 1])
    total, terms = _likeness(drawn, wanted, loss)
    terms["pose"] = jnp.mean(jnp.square(pose - batch.pose))
    total += terms["pose"]  # of the reader alone: Adam needs no weight for it
    if nets.reader is not None:
        wanted_angles, drawn_angles = (
            nets.reader.apply(gen["reader"], walk) for walk in (batch.walks[:, 1], coordinates)
        )
        terms["read"] = jnp.mean(jnp.square(wanted_angles - drawn_angles))
        total += loss.read * terms["read"]
    metrics = {f"loss/gait_{k}": v for k, v in terms.items()}
    return total, {"loss/gait": total, "iou/gait": _iou(drawn, wanted), **metrics}


def _readable(batch: PairBatch) -> Float[Array, "B T 6"]:
    """What `PoseReader` is to tell, in units of about one."""
    return jnp.concatenate([batch.angles / jnp.radians(20.0), batch.pose[..., 4:6]], -1)


def _likeness(
    drawn: Float[Array, "B T N"], wanted: Float[Array, "B T N"], loss: RetargetLoss
) -> tuple[Float[Array, ""], Metrics]:
    """How far fields are from those wanted, and its terms."""
    inside = (wanted > 0).astype(jnp.float32)
    soft = jax.nn.sigmoid(10.0 * drawn)
    dice = (2 * jnp.sum(soft * inside, -1) + 1) / (jnp.sum(soft + inside, -1) + 1)
    changes = jnp.diff(drawn, axis=1) - jnp.diff(wanted, axis=1)
    terms = {
        "field": 100 * jnp.mean(jnp.abs(drawn - wanted)),
        "motion": 100 * jnp.mean(jnp.abs(changes)),
        "overlap": 1 - jnp.mean(dice),
    }
    total = terms["field"] + loss.motion * terms["motion"] + loss.overlap * terms["overlap"]
    return total, terms


def _iou(drawn: Float[Array, "B T N"], wanted: Float[Array, "B T N"]) -> Float[Array, ""]:
    both, either = (drawn > 0) & (wanted > 0), (drawn > 0) | (wanted > 0)
    return jnp.mean(jnp.sum(both, -1) / jnp.sum(either, -1))
