"""What trainings on contours share: their examples, validation walks and pictures."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt, UInt8, UInt16
from tqdm import tqdm

from stgan_jax.data.batches import Gaits
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.data.selection import WalkerData
from stgan_jax.data.walkers import procedural
from stgan_jax.shapes import contour
from stgan_jax.util import grids
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from stgan_jax.data.feed import ExampleSource


def render(data: WalkerData) -> UInt16[np.ndarray, "N T 4000"]:
    """Contours of the ideal walkers that settings ask for."""
    return procedural.contours(data.subjects, data.views, data.walks, data.frames, data.codec)


def source_of(data: WalkerData) -> "ExampleSource":
    """The walks that settings ask for, rendered or from a built dataset."""
    from stgan_jax.data import feed  # TensorFlow: only where data is fed
    from stgan_jax.data.datasets import built

    if not data.dataset:
        names = [
            WalkName(subject, *procedural.walk_name(walk), view, data.frames)
            for subject in data.subjects
            for view in data.views
            for walk in data.walks
        ]
        return dataclasses.replace(feed.array_source(Gaits(render(data))), walks=names)
    sequences = built.Sequences(
        data.dataset, data.data_dir, data.subjects, data.views, data.walks, data.frames
    )
    return feed.sequence_source(
        sequences,
        frames=data.frames,
        codec=data.codec,
        window=data.window,
        mirror=data.mirror,
    )


def in_memory(data: WalkerData) -> UInt[np.ndarray, "N T 4000"]:
    """The contours of these walks, all of them."""
    if not data.dataset:
        return render(data)
    source = source_of(data)
    every = np.arange(source.count)
    return np.concatenate(
        [source.fetch(every[[i]], every[[i]]).contours for i in tqdm(every, "reading", unit="seq")]
    )


def validation(data: WalkerData, subjects: tuple[int, ...]) -> Float[np.ndarray, "N T 4000"] | None:
    """Contours in [0, 1] of the validation subjects: the first walk in four views at most.

    Args:
      data: what is trained on.
      subjects: the first and the last; empty gives None.
    """
    if not subjects:
        return None
    first, last = subjects
    data = dataclasses.replace(
        data,
        first_subject=first,
        last_subject=last,
        views=data.views[:: -(-len(data.views) // 4)],
        walks=data.walks[:1],
        window="last",
        mirror=False,
    )
    try:
        return np.asarray(contour.fixed_to_unit(in_memory(data)))
    except InputError as error:
        raise InputError(f"validation_subjects: {error}") from error


def before_after(
    own: Float[Any, "N T 4000"], anonymized: Float[Any, "N T 4000"], codec: str
) -> UInt8[np.ndarray, "H W"]:
    """Silhouettes of walks whose contours are in [0, 1]: eight frames before, a row, and after."""
    rows, columns = [], 8
    for before, after in zip(own, anonymized, strict=True):
        frames = np.linspace(0, len(before) - 1, columns).astype(int)
        for walk in (before, after):
            pixels = contour.to_pixels(np.asarray(walk)[frames])
            rows += list(contour.decode(np.nan_to_num(pixels), codec))
    return grids.grid(np.stack(rows), columns)
