"""Anonymisers of the literature that need no training, re-implemented from their descriptions.

They stand beside trained methods in an evaluation. None is their authors' code.
"""

import functools
from collections.abc import Callable, Sequence

import cv2
import jax
import numpy as np
from jaxtyping import UInt8

from stgan_jax.data.walkers import procedural
from stgan_jax.methods.api import Anonymizer, Silhouettes
from stgan_jax.shapes import contour, gei, identity
from stgan_jax.util.errors import InputError

_DONORS = 20  # people whose frames stand in for others', none of them in a dataset
_FRAMES = 26  # of each donor and view: a gait cycle at 25 frames a second


class Peer(Anonymizer):
    """A function of (silhouettes, key) as an anonymiser."""

    kind = "peer"

    def __init__(self, name: str, change: Callable[[Silhouettes, jax.Array], Silhouettes]):
        """Takes its name, and what it does to a walk in which somebody is."""
        self.name, self._change = name, change
        self.digest = f"{name} 1"

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """See `Anonymizer.__call__`."""
        there = silhouettes.any((1, 2))
        if not there.any():
            return silhouettes
        out = self._change((silhouettes > 0).astype(np.uint8), key)
        out[~there] = 0
        return out


def rhythm(silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """Deforms the silhouette and changes the rhythm of the walk.

    After Hanawa, Nishiyama and others' silhouette deformation with a change of walking rhythm.
    Each row is widened or narrowed about the body's middle by a smooth factor of its height, and
    heights are moved, one deformation for a walk; time runs faster or slower from stretch to
    stretch.

    Note: by how much is not known here: widths by 0.75 to 1.35 at five heights, the borders of
    head, trunk and legs by up to 0.05 of the stature, time by 0.7 to 1.4 in three stretches. A
    walk that is over before its time goes back and forth, so that its length stays.
    """
    rng = _rng(key)
    at = np.linspace(0, 1, 5)
    factors = np.exp(rng.uniform(np.log(0.75), np.log(1.35), 5))
    borders = np.array([0.0, 0.13, 0.5, 1.0])
    moved = borders + np.array([0.0, *rng.uniform(-0.05, 0.05, 2), 0.0])
    frames = len(silhouettes)
    rates = np.exp(rng.uniform(np.log(0.7), np.log(1.4), 3))
    rate = np.interp(np.arange(frames), np.linspace(0, frames - 1, 3), rates)
    when = np.cumsum(rate) - rate[0]
    last = max(1, frames - 1)
    when = last - np.abs(when % (2 * last) - last)
    rows, columns = np.mgrid[: contour.SIZE, : contour.SIZE].astype(np.float32)
    out = np.zeros_like(silhouettes)
    for t, frame in enumerate(silhouettes[np.rint(when).astype(int)]):
        box = _box(frame)
        if box is None:
            continue
        top, height, middle = box
        share = np.clip((rows[:, 0] - top) / height, 0, 1)
        source = top + height * np.interp(share, moved, borders)
        width = np.interp(share, at, factors)[:, None]
        columns_from = middle + (columns - middle) / width
        warped = cv2.remap(
            frame * np.uint8(255),
            columns_from.astype(np.float32),
            np.repeat(source[:, None], contour.SIZE, 1).astype(np.float32),
            cv2.INTER_LINEAR,
        )
        warped[(rows[:, 0] < top) | (rows[:, 0] > top + height)] = 0
        out[t] = warped > 127
    return out


def key_pose(silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """Replaces each frame by another person's frame in the same key pose.

    After Halder and others' GTNet, without its GAN, which smooths from frame to frame.

    Note: key poses are not clusters but the frames of one gait cycle of the other person, seen
    from that of 11 views in which the walks' mean silhouettes are the most alike; the pose is the
    same where aligned silhouettes are nearest. The others are 20 rendered people, of whom the key
    takes one.
    """
    bank, aligned = _donors()
    own = _aligned(silhouettes)
    person = int(_rng(key).integers(_DONORS))
    means = aligned[person].mean(1, dtype=np.float32)
    view = np.square(means - own.mean(0, dtype=np.float32)).sum((1, 2)).argmin()
    poses = aligned[person, view].reshape(_FRAMES, -1).astype(np.float32)
    flat = own.reshape(len(own), -1).astype(np.float32)
    nearest = ((poses**2).sum(1) - 2 * flat @ poses.T).argmin(1)
    return np.unpackbits(bank[person, view][nearest], axis=-1).astype(np.uint8)


def blur(silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """Blurs the whole person by a tenth of the stature, and says again where somebody is.

    Note: a segmentation of a blurred person is taken to find what the blurred silhouette is a half
    or more of.
    """
    del key
    few = contour.SIZE // 4  # so wide a blur needs no more pixels
    deviation = 0.1 * _stature(silhouettes) / 4
    out = []
    for frame in silhouettes:
        small = cv2.resize(frame * np.uint8(255), (few, few), interpolation=cv2.INTER_AREA)
        wide = cv2.GaussianBlur(small.astype(np.float32), (0, 0), deviation)
        out.append(cv2.resize(wide, frame.shape[::-1], interpolation=cv2.INTER_CUBIC) > 127.5)
    return np.stack(out).astype(np.uint8)


def pixelation(silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """Squares of an eighth of the stature, filled where at least half of them is the person.

    Note: the raster stands still in the crop, as it does in a picture that is pixelated as a whole.
    """
    del key
    cells = max(1, round(contour.SIZE / max(1.0, _stature(silhouettes) / 8)))
    size = contour.SIZE, contour.SIZE
    out = []
    for frame in silhouettes:
        few = cv2.resize(frame * np.uint8(255), (cells, cells), interpolation=cv2.INTER_AREA)
        squares = (few > 127).astype(np.uint8)
        out.append(cv2.resize(squares, size, interpolation=cv2.INTER_NEAREST))
    return np.stack(out)


def mean(silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
    """The mean silhouette in every frame: where somebody is in half of the walk's frames."""
    del key
    there = silhouettes[silhouettes.any((1, 2))]
    return np.repeat((2 * there.sum(0) >= len(there))[None], len(silhouettes), 0).astype(np.uint8)


PEERS: dict[str, Callable[[Silhouettes, jax.Array], Silhouettes]] = {
    "rhythm": rhythm,
    "key_pose": key_pose,
    "blur": blur,
    "pixelation": pixelation,
    "mean": mean,
}


def named(names: Sequence[str]) -> list[Anonymizer]:
    """Peers by name; "all" stands for every one.

    Raises:
      InputError: there is no such peer.
    """
    chosen = list(PEERS) if list(names) == ["all"] else names
    for name in chosen:
        if name not in PEERS:
            raise InputError(f"--peers={name}: choose from {', '.join(PEERS)}, or all")
    return [Peer(name, PEERS[name]) for name in chosen]


def _rng(key: jax.Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _box(frame: UInt8[np.ndarray, "H W"]) -> tuple[int, int, float] | None:
    """Top row, height and middle column of what is set."""
    left, top, width, height = cv2.boundingRect(frame)
    return (top, height, left + width / 2) if height else None


def _stature(silhouettes: Silhouettes) -> float:
    boxes = [_box(frame) for frame in silhouettes]
    return float(np.median([box[1] for box in boxes if box]))


def _aligned(silhouettes: Silhouettes) -> UInt8[np.ndarray, "T 64 44"]:
    """`gei.normalize`, with the frame before in place of one that shows too little."""
    out = np.zeros((len(silhouettes), gei.HEIGHT, gei.WIDTH), np.uint8)
    for t, frame in enumerate(silhouettes):
        found = gei.normalize(frame[None])
        out[t] = found[0] if len(found) else out[t - 1] if t else 0
    return out


@functools.cache
def _donors() -> tuple[UInt8[np.ndarray, "N V T 240 30"], UInt8[np.ndarray, "N V T 64 44"]]:
    """Packed bits of every donor's frames, and the frames as aligned: half a minute of one core."""
    bank = np.zeros(
        (_DONORS, len(procedural.VIEWS), _FRAMES, contour.SIZE, contour.SIZE // 8), "u1"
    )
    aligned = np.zeros((*bank.shape[:3], gei.HEIGHT, gei.WIDTH), np.uint8)
    for person in range(_DONORS):
        seed = identity.FIRST_UNSEEN + 7919 + person
        for i, view in enumerate(procedural.VIEWS):
            frames = procedural.silhouettes(seed, view, frames=_FRAMES)
            bank[person, i] = np.packbits(frames, axis=-1)
            aligned[person, i] = _aligned(frames)
    return bank, aligned
