"""The training step of the retargeting networks: (state, batch, alpha) -> (state, metrics)."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float16, Int

from stgan_jax import losses
from stgan_jax.fields import SIDE
from stgan_jax.models import retarget as models
from stgan_jax.models.silhouette import Discriminator
from stgan_jax.state import Optimizers, TrainState
from stgan_jax.steps import Metrics, Options, used


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
      read: of the squared difference of what `PoseReader` reads of the silhouettes drawn and of
        those wanted: which leg is in front, a few pixels tell.
      adversarial: of D_S and D_T, each, on what is drawn.
      adversary: of what `IdentityAdversary` explains of the source's identity, see `objective`.
      cycle: of `cycle`, both distances; of walks without a pair where there are such, else of
        the pairs' own.
      stride: one of so many of a field's cells counts in a step; which, is drawn for each.
    """

    rate: float = 0.03
    motion: float = 1.0
    overlap: float = 10.0
    pose: float = 5.0
    read: float = 0.0
    adversarial: float = 0.0
    adversary: float = 0.0
    cycle: float = 0.0
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class RetargetNets:
    """The modules, see `models.retarget`.

    Attributes:
      gait_reader, gait_coder: what is published of a walk, see `gait`. They learn beside the others
        and change none of them.
      discs: D_S as "spatial" and D_T as "temporal", where they are.
      reader, adversary: None where there is none.
    """

    encoder: models.PoseEncoder
    decoder: models.BodyDecoder
    identity: models.IdentityEncoder
    pose: models.PoseHead
    gait_reader: models.GaitReader
    gait_coder: models.GaitCoder
    discs: Mapping[str, Discriminator] = dataclasses.field(default_factory=dict)
    reader: models.PoseReader | None = None
    adversary: models.IdentityAdversary | None = None

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
        if self.reader is not None:
            gen["reader"] = self.reader.init(jax.random.fold_in(key, 7), seen)
        judges = {}
        shown = jnp.zeros((1, frames, SIDE, SIDE))
        for number, (name, disc) in enumerate(self.discs.items()):
            judges[f"{name}_disc"] = disc.init(jax.random.fold_in(key, 4 + number), shown)
        if self.adversary is not None:
            judges["identity_disc"] = self.adversary.init(jax.random.fold_in(key, 6), code)
        gait = {
            "reader": self.gait_reader.init(jax.random.fold_in(key, 8), code),
            "coder": self.gait_coder.init(
                jax.random.fold_in(key, 9), jnp.zeros((1, frames, models.POSE))
            ),
        }
        return {"gen": gen, "gait": gait, **judges, **jax.tree.map(jnp.asarray, fixed)}


def packed_size(frames: int, components: int) -> int:
    """Numbers of a pair in a batch, see `unpacked`."""
    return frames * (2 * components + models.POSE + models.ANGLES) + 2 * models.IDENTITY


def parted(rows: Array, frames: int, components: int) -> tuple[Array, Array]:
    """Pairs, and coordinates (B, T, K) of the walks without one that follow them, B = 0 if none."""
    size = packed_size(frames, components)
    pairs, alone = rows[:, :size], rows[:, size:].astype(jnp.float32)
    return pairs, alone.reshape(-1, frames, components)


def unpacked(rows: Array, frames: int) -> tuple[Array, Array, Array, Array]:
    """Coordinates (B, 2, T, K) of both walkers, identities (B, 2, I), pose (B, T, P), angles.

    The angles (B, T, 4) are the other's.
    """
    tails = ((2, models.IDENTITY), (frames, models.POSE), (frames, models.ANGLES))
    sizes = [a * b for a, b in tails]
    count = rows.shape[1] - sum(sizes)
    stops = list(itertools.accumulate([count, *sizes]))[:-1]
    parts = jnp.split(rows.astype(jnp.float32), stops, axis=1)
    shapes = ((2, frames, count // (2 * frames)), *tails)
    walks, people, pose, angles = (
        part.reshape(len(rows), *shape) for part, shape in zip(parts, shapes, strict=True)
    )
    return walks, people, pose, angles


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
    """One update of D_S, D_T and the adversary where they are, then one of all other networks.

    The other's silhouettes are to come of the one's. The identity encoder, for alpha below 1, the
    reader and those of `gait_objective` learn beside them and change none of them.

    Args:
      state: as `RetargetNets.init` and `TrainState.create` make it.
      rows: pairs, see `unpacked`, each with another walk after it or none, see `parted`.
      frames: T of a walk.
      nets: the modules.
      optimizers: for "gait", "gen" unless that stays as it is, and for "spatial_disc",
        "temporal_disc" and "identity_disc" if any.
      loss: weights.
      options: additions; `disc_steps` and `r1` do nothing.
    """
    noise = options.own_share(
        lambda count: jax.random.normal(state.key(), (count, frames, nets.encoder.size)), len(rows)
    )

    first = jax.random.randint(jax.random.fold_in(state.key(), 1), (), 0, loss.stride)
    cells = first + loss.stride * jnp.arange(models.CELLS // loss.stride)

    def contest(params, rows, noise):
        return judged(params, state.params, rows, noise, nets, options.real_label)

    seen: Metrics = {}
    judges = {name: tree for name, tree in state.params.items() if name.endswith("_disc")}
    if judges:
        grads, seen = options.gradients(contest, judges, rows, noise)
        state, norms = state.updated(grads, optimizers)
        seen |= norms

    some = cells if loss.stride > 1 else None

    def gait_cost(params, rows):
        return gait_objective(params, state.params, rows, frames, nets, loss, some)

    def cost(params, rows, noise):
        return objective(params, state.params, rows, noise, nets, loss, some)

    grads, metrics = options.gradients(gait_cost, state.params["gait"], rows)
    if "gen" not in optimizers:
        state, norms = state.finished("gait", grads, optimizers, 0.0)
        return state, {**seen, **metrics, **norms}
    gen_grads, gen_metrics = options.gradients(cost, state.params["gen"], rows, noise)
    state, norms = state.updated({"gait": grads}, optimizers)
    state, gen_norms = state.finished("gen", gen_grads, optimizers, options.ema)
    return state, {**seen, **metrics, **gen_metrics, **norms, **gen_norms}


def judged(
    params: dict[str, Any],
    fixed: Mapping[str, Any],
    rows: Array,
    noise: Float[Array, "B T C"],
    nets: RetargetNets,
    real_label: float = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """What discriminators (ST-GAN Eqs. 2, 3) and the adversary minimise, and its terms.

    Args:
      params: theirs, by name.
      fixed: of all other networks, by name.
      rows: as in `retarget_step`.
      noise: Gaussian, for the pose codes.
      nets: the modules.
      real_label: see `steps.Options`.
    """
    rows, _ = parted(rows, noise.shape[1], nets.decoder.outputs)
    walks, people, *_ = unpacked(rows, noise.shape[1])
    gen, basis = fixed["gen"], fixed["basis"]
    mean, log_variance = nets.encoder.apply(gen["encoder"], walks[:, 0])
    total: Array = jnp.zeros(())
    terms: Metrics = {}
    if nets.discs:
        code = mean + jnp.exp(log_variance / 2) * noise
        fake = nets.decoder.apply(gen["decoder"], code, people[:, 1])
        both = jnp.concatenate([_judged(walks[:, 1]), _judged(fake)])
        shown = _squares(models.field(basis, both))
        for name, disc in nets.discs.items():
            real, false = jnp.split(disc.apply(params[f"{name}_disc"], shown), 2)
            value = losses.discriminator_value(real, false, real_label)
            total, terms[f"loss/{name}_disc"] = total - value, -value
            terms[f"accuracy/{name}_real"] = jnp.mean(real > 0, dtype=jnp.float32)
            terms[f"accuracy/{name}_fake"] = jnp.mean(false < 0, dtype=jnp.float32)
    if nets.adversary is not None:
        guessed = nets.adversary.apply(params["identity_disc"], mean)
        error = jnp.mean(jnp.square(guessed - people[:, 0]))
        total, terms["loss/identity_disc"] = total + error, error
    return total, terms


def _judged(walks: Float[Array, "B *shape"]) -> Float[Array, "b *shape"]:
    """Every fourth walk of a batch: discriminators take longer than all the rest."""
    return walks[::4]


def _readable(angles: Float[Array, "B T 4"], pose: Float[Array, "B T P"]) -> Array:
    """What `PoseReader` is to tell, in units of about one."""
    return jnp.concatenate([angles / jnp.radians(20.0), pose[..., 4:6]], -1)


def _squares(fields: Float[Array, "B T 6400"]) -> Float[Array, "B T 80 80"]:
    return fields.reshape(*fields.shape[:2], SIDE, SIDE)


def cycle(
    params: dict[str, Any],
    basis: models.Basis,
    own: Float[Array, "B T K"],
    strangers: Float[Array, "B I"],
    noise: Float[Array, "B T C"],
    nets: RetargetNets,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far walks are from themselves, redrawn at once (alpha 0) and by way of strangers.

    It takes no pair: the own body is what the identity encoder takes it for, which learns by it,
    too. Both in percent of a field's range. Note: codes are noisy on the way, too, or the drawn
    stranger could carry what the noise is there to hide.

    Args:
      params: of the networks, by name.
      basis: of fields.
      own: coordinates of walks.
      strangers: identities, one for each walk.
      noise: Gaussian, for the pose codes.
      nets: the modules.
    """

    def read(seen, noise):
        mean, log_variance = nets.encoder.apply(params["encoder"], seen)
        return mean, mean + jnp.exp(log_variance / 2) * noise

    def drawn(code, who):
        return nets.decoder.apply(params["decoder"], code, who)

    fixed = jax.lax.stop_gradient
    mean, code = read(own, noise)
    who = nets.identity.apply(params["identity"], fixed(own), fixed(mean)).mean(1)
    _, again = read(drawn(code, strangers), jnp.flip(noise, (0, 1)))
    wanted = models.field(basis, own)
    redrawn, back = (
        100 * jnp.mean(jnp.abs(models.field(basis, drawn(x, who)) - wanted)) for x in (code, again)
    )
    return redrawn, back


def objective(
    params: dict[str, Any],
    rest: Mapping[str, Any],
    rows: Array,
    noise: Float[Array, "B T C"],
    nets: RetargetNets,
    loss: RetargetLoss,
    cells: Int[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """What is minimised, and its terms.

    Of the adversary it is the share of identities' variance that it explains (their numbers have
    unit variance), down to none: that it errs more than by the mean is not asked for, which it
    would soon undo. It is shown the codes without noise, which use decodes.

    Args:
      params: of the networks, by name.
      rest: "basis" of fields, and what the discriminators and the adversary have, by name.
      rows: as in `retarget_step`.
      noise: Gaussian, for the pose codes.
      nets: the modules.
      loss: weights.
      cells: those of a field that count; None for all.
    """
    rows, alone = parted(rows, noise.shape[1], nets.decoder.outputs)
    walks, people, pose, angles = unpacked(rows, noise.shape[1])
    basis = rest["basis"] if cells is None else models.at(rest["basis"], cells)
    own, wanted = walks[:, 0], models.field(basis, walks[:, 1])
    mean, log_variance = nets.encoder.apply(params["encoder"], own)
    code = mean + jnp.exp(log_variance / 2) * noise
    drawn = nets.decoder.apply(params["decoder"], code, people[:, 1])
    made = models.field(basis, drawn)
    fixed = jax.lax.stop_gradient
    guessed = nets.identity.apply(params["identity"], fixed(own), fixed(mean)).mean(1)
    rate = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance, -1)
    shape, terms = _likeness(made, wanted, loss)
    off = nets.pose.apply(params["pose"], code) - pose[..., : nets.pose.size]
    terms |= {
        "rate": jnp.mean(rate),
        "pose": jnp.mean(jnp.square(off)),
        "identity": jnp.mean(jnp.square(guessed - people[:, 0])),
    }
    total = shape + loss.rate * terms["rate"] + loss.pose * terms["pose"] + terms["identity"]
    if nets.reader is not None:
        told = nets.reader.apply(params["reader"], walks[:, 1])
        seen = nets.reader.apply(fixed(params["reader"]), drawn)
        terms["reader"] = jnp.mean(jnp.square(told - _readable(angles, pose)))
        terms["read"] = jnp.mean(jnp.square(seen - fixed(told)))
        total += terms["reader"] + loss.read * terms["read"]
    for name, disc in nets.discs.items():
        shown = _squares(models.field(rest["basis"], _judged(drawn)))
        logits = disc.apply(rest[f"{name}_disc"], shown)
        terms[name] = losses.adversarial(logits, saturating=False)
        total += loss.adversarial * terms[name]
    if nets.adversary is not None:
        told = nets.adversary.apply(rest["identity_disc"], mean)
        terms["adversary"] = 1 - jnp.mean(jnp.square(told - people[:, 0]))
        total += loss.adversary * jnp.maximum(terms["adversary"], 0)
    if loss.cycle:
        taken = alone if len(alone) else own
        strangers = jnp.roll(people[:, 1], 1, 0)  # of another pair
        terms["redrawn"], terms["cycle"] = cycle(params, basis, taken, strangers, noise, nets)
        total += loss.cycle * (terms["redrawn"] + terms["cycle"])
    metrics = {f"loss/gen_{k}": v for k, v in terms.items()}
    return total, {"loss/gen": total, "iou": _iou(made, wanted), **metrics}


def gait_objective(
    params: dict[str, Any],
    rest: Mapping[str, Any],
    rows: Array,
    frames: int,
    nets: RetargetNets,
    loss: RetargetLoss,
    cells: Int[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """What `GaitReader` and `GaitCoder` minimise, and its terms.

    The first reads the pose of a walk, the second finds codes by which any pose is drawn; what is
    read badly does not blur what is drawn.

    Args:
      params: theirs, as "reader" and "coder".
      rest: the other networks and "basis", by name.
      rows: as in `retarget_step`.
      frames: of a walk.
      nets: the modules.
      loss: weights, of which those of silhouettes and reading count.
      cells: as in `objective`.
    """
    rows, _ = parted(rows, frames, nets.decoder.outputs)
    walks, people, pose, _ = unpacked(rows, frames)
    gen, basis = used(rest), rest["basis"] if cells is None else models.at(rest["basis"], cells)
    mean, _ = nets.encoder.apply(gen["encoder"], walks[:, 0])
    told = nets.gait_reader.apply(params["reader"], mean)
    code = nets.gait_coder.apply(params["coder"], pose)
    drawn = nets.decoder.apply(gen["decoder"], code, people[:, 1])
    made, wanted = models.field(basis, drawn), models.field(basis, walks[:, 1])
    total, terms = _likeness(made, wanted, loss)
    terms["told"] = jnp.mean(jnp.square(told - pose))
    total += terms["told"]  # of the reader alone: Adam needs no weight for it
    if nets.reader is not None:
        seen = [nets.reader.apply(gen["reader"], walk) for walk in (walks[:, 1], drawn)]
        terms["read"] = jnp.mean(jnp.square(seen[0] - seen[1]))
        total += loss.read * terms["read"]
    metrics = {f"loss/gait_{k}": v for k, v in terms.items()}
    return total, {"loss/gait": total, "iou/gait": _iou(made, wanted), **metrics}


def _likeness(
    made: Float[Array, "B T N"], wanted: Float[Array, "B T N"], loss: RetargetLoss
) -> tuple[Float[Array, ""], Metrics]:
    """How far fields are from those wanted, and its terms."""
    inside = (wanted > 0).astype(jnp.float32)
    soft = jax.nn.sigmoid(10.0 * made)
    dice = (2 * jnp.sum(soft * inside, -1) + 1) / (jnp.sum(soft + inside, -1) + 1)
    changes = jnp.diff(made, axis=1) - jnp.diff(wanted, axis=1)
    terms = {
        "field": 100 * jnp.mean(jnp.abs(made - wanted)),
        "motion": 100 * jnp.mean(jnp.abs(changes)),
        "overlap": 1 - jnp.mean(dice),
    }
    total = terms["field"] + loss.motion * terms["motion"] + loss.overlap * terms["overlap"]
    return total, terms


def _iou(made: Float[Array, "B T N"], wanted: Float[Array, "B T N"]) -> Float[Array, ""]:
    both, either = (made > 0) & (wanted > 0), (made > 0) | (wanted > 0)
    return jnp.mean(jnp.sum(both, -1) / jnp.sum(either, -1))
