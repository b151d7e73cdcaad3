"""Retargeting: a narrow pose code of a walk, drawn again as somebody else's walk.

Not in the papers. They mix a contour with noise, so that part of the person stays in; here all
that passes is a code too narrow and too noisy for a person. All networks work on coordinates of
signed distance fields (`fields`) in a fixed linear basis.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, Int8

from stgan_jax.data.batches import Arrays
from stgan_jax.shapes import gait, identity
from stgan_jax.shapes.fields import SIDE, STEPS

CELLS = SIDE * SIDE
IDENTITY, POSE = identity.SIZE, gait.SIZE  # numbers of an identity and of a pose
ANGLES = 4  # numbers of `body.leg_angles`


Basis = Mapping[str, Any]  # "mean" (6400,), "components" (K, 6400) orthonormal rows, "scale" ()


def fit_basis(fields: Int8[np.ndarray, "N 80 80"], size: int) -> dict[str, Any]:
    """Principal components of fields, N > size = K.

    Raises:
      ValueError: too few fields.
    """
    if len(fields) <= size:
        raise ValueError(f"{size} components need more than {len(fields)} fields")
    flat = fields.reshape(len(fields), -1)
    used = np.flatnonzero(flat.min(0) != flat.max(0))  # where somebody comes to be
    values = flat[:, used].astype(np.float32) / STEPS
    mean = np.full(CELLS, -1.0, np.float32)
    mean[used] = values.mean(0)
    values -= mean[used]
    if len(values) < len(used):  # the smaller of two products
        spread, left = np.linalg.eigh(values @ values.T / len(values))
        rows = left[:, ::-1][:, :size].T @ values
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    else:
        spread, vectors = np.linalg.eigh(values.T @ values / len(values))
        rows = vectors[:, ::-1][:, :size].T
    components = np.zeros((size, CELLS), np.float32)
    components[:, used] = rows
    # One scale for all, so that distances are kept; the largest components come out at 2.
    scale = np.float32(np.sqrt(spread[-1]) / 2)
    return {"mean": mean, "components": components, "scale": scale}


def coordinates(basis: Basis, fields: Float[Array, "*batch 6400"]) -> Float[Array, "*batch K"]:
    """Coordinates of fields in [-1, 1]; what the basis does not span is dropped."""
    mean = basis["mean"].reshape((1,) * (fields.ndim - 1) + (-1,))
    return (fields - mean) @ basis["components"].T / basis["scale"]


def field(basis: Basis, coordinates: Float[Arrays, "*batch K"]) -> Float[Array, "*batch N"]:
    """Fields of coordinates, N = 6400 cells, or those that the basis is of (`at`)."""
    mean = basis["mean"].reshape((1,) * (coordinates.ndim - 1) + (-1,))
    return mean + (coordinates * basis["scale"]) @ basis["components"]


def at(basis: Basis, cells: Int[Array, " N"]) -> Basis:
    """The basis of some cells alone; what `field` draws by it are their values."""
    picked = {name: jnp.take(basis[name], cells, axis=-1) for name in ("mean", "components")}
    return {**basis, **picked}


def to_unit(fields: Int8[Array, "*batch 80 80"]) -> Float[Array, "*batch 6400"]:
    """Stored fields as the networks see them, in [-1, 1]."""
    return fields.reshape(*fields.shape[:-2], CELLS).astype(jnp.float32) / STEPS


def windows(walks: Float[Array, "B T D"], size: int) -> Float[Array, "B T W"]:
    """Each frame with those around it; at both ends the first and last frame stand in."""
    frames, half = walks.shape[1], size // 2
    padded = jnp.pad(walks, ((0, 0), (half, half), (0, 0)), "edge")
    return jnp.concatenate([padded[:, i : i + frames] for i in range(size)], -1)


class PoseEncoder(nn.Module):
    """A walk's coordinates -> mean and log variance of the pose code of each frame.

    Of a window of frames around it, see `windows`.

    Attributes:
      size: C, numbers of the code.
      window: frames, odd.
      inputs: how many of the K coordinates are looked at.
      hidden: widths; the first of each frame by itself.
    """

    size: int = 16
    window: int = 9
    inputs: int = 100
    hidden: Sequence[int] = (128, 384, 256)

    @nn.compact
    def __call__(
        self, coordinates: Float[Array, "B T K"]
    ) -> tuple[Float[Array, "B T C"], Float[Array, "B T C"]]:
        x = nn.gelu(nn.Dense(self.hidden[0])(coordinates[..., : self.inputs]))
        x = windows(x, self.window)
        for width in self.hidden[1:]:
            x = nn.gelu(nn.Dense(width)(x))
        mean, log_variance = jnp.split(nn.Dense(2 * self.size)(x), 2, -1)
        return mean, jnp.clip(log_variance - 2.0, -9.0, 2.0)


class BodyDecoder(nn.Module):
    """Pose codes and an identity -> coordinates of the silhouettes of that body in that pose."""

    outputs: int = 256
    hidden: Sequence[int] = (512, 512, 512)

    @nn.compact
    def __call__(
        self, code: Float[Array, "B T C"], identity: Float[Array, "B I"]
    ) -> Float[Array, "B T K"]:
        body = jnp.broadcast_to(identity[:, None], (*code.shape[:2], identity.shape[-1]))
        x = jnp.concatenate([code, body], -1)
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width)(x))
        return nn.Dense(self.outputs)(x)


class IdentityEncoder(nn.Module):
    """A walk -> its walker's identity as far as each frame shows it; to be averaged over frames.

    Attributes:
      inputs: how many of the K coordinates are looked at.
      size: I, numbers of an identity.
    """

    inputs: int = 100
    size: int = IDENTITY
    hidden: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(
        self, coordinates: Float[Array, "B T K"], code: Float[Array, "B T C"]
    ) -> Float[Array, "B T I"]:
        x = jnp.concatenate([coordinates[..., : self.inputs], code], -1)
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width)(x))
        return nn.Dense(self.size)(x)


class GaitReader(nn.Module):
    """A walk's pose codes -> what is known of the walker's pose, `gait.pose_vector` (P = 12).

    Attributes:
      window: frames, odd.
    """

    window: int = 15
    hidden: Sequence[int] = (384, 192)

    @nn.compact
    def __call__(self, code: Float[Array, "B T C"]) -> Float[Array, "B T P"]:
        x = windows(code, self.window)
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width)(x))
        return nn.Dense(POSE)(x)


class GaitCoder(nn.Module):
    """`gait.pose_vector` (P = 12) -> the pose code of which such a pose is drawn best.

    Nobody's own: of all who might be in that pose.
    """

    size: int = 20
    hidden: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(self, pose: Float[Array, "B T P"]) -> Float[Array, "B T C"]:
        for width in self.hidden:
            pose = nn.gelu(nn.Dense(width)(pose))
        return nn.Dense(self.size)(pose)


class PoseHead(nn.Module):
    """Pose code -> what is known of a walker's pose but the camera's pitch (P = 11), linearly."""

    size: int = POSE - 1

    @nn.compact
    def __call__(self, code: Float[Array, "B T C"]) -> Float[Array, "B T P"]:
        return nn.Dense(self.size)(code)


class PoseReader(nn.Module):
    """A walk's coordinates -> the walker's `ANGLES`, and cosine and sine of the view.

    It learns from silhouettes without fault and tells of drawn ones how she moves; of training
    alone.

    Attributes:
      inputs: how many of the K coordinates are looked at.
      window: frames, odd.
    """

    inputs: int = 100
    window: int = 7
    hidden: Sequence[int] = (256, 128)

    @nn.compact
    def __call__(self, coordinates: Float[Array, "B T K"]) -> Float[Array, "B T 6"]:
        x = windows(coordinates[..., : self.inputs], self.window)
        for width in self.hidden:
            x = nn.gelu(nn.Dense(width)(x))
        return nn.Dense(ANGLES + 2)(x)


@dataclasses.dataclass(frozen=True)
class RetargetNets:
    """The modules of retargeting.

    Attributes:
      encoder, decoder, identity, pose: trained together as "gen".
      gait_reader, gait_coder: reduce a walk to a gait, see `shapes.gait`. They learn beside the
        others and change none of them.
      reader: tells leg angles, in training only; None if there is none.
    """

    encoder: PoseEncoder
    decoder: BodyDecoder
    identity: IdentityEncoder
    pose: PoseHead
    gait_reader: GaitReader
    gait_coder: GaitCoder
    reader: PoseReader | None = None

    def init(self, key: jax.Array, fixed: dict[str, Any], frames: int) -> dict[str, Any]:
        """Parameters by name.

        Args:
          key: random.
          fixed: "basis", see `fit_basis`, and "people", the "mean" and the "scale" of identities'
            numbers.
          frames: length of a walk.
        """
        keys = jax.random.split(key, 4)
        walk = jnp.zeros((1, frames, self.decoder.outputs))
        code = jnp.zeros((1, frames, self.encoder.size))
        gen = {
            "encoder": self.encoder.init(keys[0], walk),
            "decoder": self.decoder.init(keys[1], code, jnp.zeros((1, self.identity.size))),
            "identity": self.identity.init(keys[2], walk, code),
            "pose": self.pose.init(keys[3], code),
        }
        if self.reader is not None:
            gen["reader"] = self.reader.init(jax.random.fold_in(key, 7), walk)
        pose = jnp.zeros((1, frames, POSE))
        gait_nets = {
            "reader": self.gait_reader.init(jax.random.fold_in(key, 8), code),
            "coder": self.gait_coder.init(jax.random.fold_in(key, 9), pose),
        }
        return {"gen": gen, "gait": gait_nets, **jax.tree.map(jnp.asarray, fixed)}
