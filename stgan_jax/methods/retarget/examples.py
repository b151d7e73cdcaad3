"""Training examples of retargeting: rendered pairs of walkers in coordinates of a basis."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float16, Int8

from stgan_jax.data.batches import Arrays
from stgan_jax.data.walkers import pairs
from stgan_jax.methods.retarget import networks
from stgan_jax.shapes import fields, gait, identity

_CHUNK = 400  # walks whose fields are in memory at a time; the basis is fitted to the first


class PairBatch(NamedTuple):
    """One walk of two people each; I = 43, P = 12.

    Attributes:
      walks: coordinates of both walkers' silhouettes, the source first, badly segmented.
      people: both identities' numbers, standardised, see `identity.vector`.
      pose: see `gait.pose_vector`.
      angles: hips and knees of the other, see `body.leg_angles`.
    """

    walks: Float[Arrays, "B 2 T K"] | Float16[Arrays, "B 2 T K"]
    people: Float[Arrays, "B 2 I"] | Float16[Arrays, "B 2 I"]
    pose: Float[Arrays, "B T P"] | Float16[Arrays, "B T P"]
    angles: Float[Arrays, "B T 4"] | Float16[Arrays, "B T 4"]


def examples(
    count: int,
    frames: int,
    components: int,
    first: int = 0,
    fixed: Mapping[str, Any] | None = None,
    workers: int | None = None,
) -> tuple[PairBatch, dict[str, Any]]:
    """Renders pairs of walkers, on all cores, with a progress bar.

    Args:
      count: N, how many walks.
      frames: T of each.
      components: K of the basis that silhouettes are written in.
      first: seed of the first pair.
      fixed: basis and people of other pairs; None computes them from these.
      workers: processes, 1 for none; by default all cores if it is worth it.

    Returns:
      examples as float16, and "basis" and "people", see `RetargetNets.init`.
    """
    out = PairBatch(
        np.empty((count, 2, frames, components), np.float16),
        np.empty((count, 2, identity.SIZE), np.float16),
        np.empty((count, frames, gait.SIZE), np.float16),
        np.empty((count, frames, networks.ANGLES), np.float16),
    )
    results = pairs.rendered(count, frames, first, workers)
    for start in range(0, count, _CHUNK):
        chunk = list(itertools.islice(results, _CHUNK))
        if fixed is None:
            wanted = np.concatenate([pair.other[:: max(1, frames // 8)] for pair in chunk])
            basis = networks.fit_basis(wanted, components)
            fixed = {"basis": basis, "people": identity.statistics()}
        for i, pair in enumerate(chunk, start):
            _fill(out, i, pair, fixed)
    assert fixed is not None
    return out, dict(fixed)


def _fill(out: PairBatch, i: int, pair: pairs.Pair, fixed: Mapping[str, Any]) -> None:
    mean, scale = fixed["people"]["mean"], fixed["people"]["scale"]
    both = np.stack([pair.own, pair.other])
    out.walks[i] = _coordinates(both, fixed["basis"]).reshape(out.walks.shape[1:])
    out.people[i] = [(p - mean) / scale for p in (pair.own_person, pair.other_person)]
    out.pose[i], out.angles[i] = pair.pose, pair.angles


def _coordinates(
    encoded: Int8[np.ndarray, "*batch 80 80"], basis: Mapping[str, Any]
) -> Float[np.ndarray, "N K"]:
    flat = encoded.reshape(-1, networks.CELLS).astype(np.float32) / fields.STEPS
    return (flat - basis["mean"]) @ basis["components"].T / basis["scale"]
