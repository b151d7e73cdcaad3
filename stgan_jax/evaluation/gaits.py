"""Walks in the form that gait recognisers take: aligned silhouettes and energy images, by name."""

import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import numbers
from stgan_jax.methods.api import ReadsGaits
from stgan_jax.shapes import gei
from stgan_jax.util import files

LARGE = 126  # side of the energy images of Wu et al. 2017, pixels


@dataclasses.dataclass(frozen=True)
class AlignedGaits:
    """Walks of many people, one per row.

    Attributes:
      packed: the bits of each walk's aligned silhouettes, see `frames`.
      large: energy images of 126x126 pixels, 0 to 255 (the size in Wu et al. 2017).
      subject: number of the person.
      condition: "nm", "bg" or "cl".
      repetition: number of the walk in its condition, from 1.
      view: degrees.
      numbers: the numbers of each walk's gait, see `numbers.of_walk`; K = 0 if they were not read.
    """

    packed: Sequence[UInt8[np.ndarray, "_ 352"]]
    large: UInt8[np.ndarray, "N 126 126"]
    subject: Int[np.ndarray, " N"]
    condition: np.ndarray
    repetition: Int[np.ndarray, " N"]
    view: Int[np.ndarray, " N"]
    numbers: Float[np.ndarray, "N K"]

    def __len__(self) -> int:
        """Number of walks."""
        return len(self.packed)

    def __getitem__(self, chosen: Bool[np.ndarray, " N"] | Int[np.ndarray, " M"]) -> "AlignedGaits":
        """Some of the walks, by a mask or by indices."""
        index = np.arange(len(self))[chosen]
        return AlignedGaits(
            [self.packed[i] for i in index],
            **{name: array[index] for name, array in self.arrays().items()},
        )

    def arrays(self) -> dict[str, Any]:
        """Every field but `packed`, by name."""
        return {name: array for name, array in vars(self).items() if name != "packed"}

    def frames(self, i: int) -> UInt8[np.ndarray, "T 64 44"]:
        """Silhouettes of walk i, 0 or 1, aligned by `gei.normalize`; without empty ones."""
        bits = np.unpackbits(self.packed[i], axis=-1)
        return bits.reshape(-1, gei.HEIGHT, gei.WIDTH)

    def energy(self) -> UInt8[np.ndarray, "N 64 44"]:
        """Energy images of 64x44 pixels, 0 to 255; black for a walk without frames."""
        out = np.zeros((len(self), gei.HEIGHT, gei.WIDTH), np.uint8)
        for i, packed in enumerate(self.packed):
            if len(packed):
                out[i] = np.round(255 * self.frames(i).mean(0))
        return out


def collect(
    walks: Iterable[tuple[WalkName, UInt8[np.ndarray, "_ H W"]]], reader: ReadsGaits | None = None
) -> AlignedGaits:
    """Aligns walks.

    Args:
      walks: the name and the silhouettes (0 or 1) of each.
      reader: reads the numbers of their gaits, for which they must be crops of 240x240.
    """
    packed, large, read, names = [], [], [], []
    for walk, silhouettes in walks:
        small = gei.normalize(silhouettes)
        packed.append(np.packbits(small.reshape(len(small), -1), axis=-1))
        image = gei.energy_image(silhouettes, LARGE, LARGE)
        large.append(np.round(255 * image).astype(np.uint8))
        read.append(numbers.of_walk(reader, silhouettes) if reader else np.zeros(0, np.float32))
        names.append((walk.subject, walk.condition, walk.repetition, walk.view))
    subject, condition, repetition, view = (np.array(x) for x in zip(*names, strict=True))
    return AlignedGaits(
        packed, np.stack(large), subject, condition, repetition, view, np.stack(read)
    )


def joined(blocks: Sequence[AlignedGaits]) -> AlignedGaits:
    """All walks of several, in order."""
    names = blocks[0].arrays()
    arrays = {name: np.concatenate([vars(block)[name] for block in blocks]) for name in names}
    return AlignedGaits([packed for block in blocks for packed in block.packed], **arrays)


def stored(path: Path, compute: Callable[[], AlignedGaits]) -> AlignedGaits:
    """Reads gaits from a file, or computes and stores them: some 12 kB per walk.

    A damaged file is replaced, and a line says so.
    """
    if path.is_file():
        try:
            with np.load(path) as file:
                arrays = dict(file)
            packed = np.split(arrays.pop("packed"), arrays.pop("ends")[:-1])
            return AlignedGaits(packed, **arrays)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
            print(f"{path}: damaged, its walks are computed again")
    gaits = compute()
    ends = np.cumsum([len(packed) for packed in gaits.packed])
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, packed=np.concatenate(gaits.packed), ends=ends, **gaits.arrays())
    return gaits
