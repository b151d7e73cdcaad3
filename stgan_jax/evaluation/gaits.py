"""Walks as gait recognisers see them: aligned silhouettes and energy images, and whose they are."""

import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from stgan_jax import files
from stgan_jax.evaluation import gei

LARGE = 126  # side of the energy images of Wu et al. 2017


@dataclasses.dataclass(frozen=True)
class Gaits:
    """Walks of many people, a row each.

    Attributes:
      packed: of each walk, the bits of its aligned silhouettes, see `frames`.
      large: energy images of 126x126 pixels, 0 to 255 (Wu et al. 2017's size).
      subject: whose it is.
      condition: "nm", "bg" or "cl".
      repetition: which of the condition's walks, from 1.
      view: degrees.
    """

    packed: Sequence[UInt8[np.ndarray, "_ 352"]]
    large: UInt8[np.ndarray, "N 126 126"]
    subject: Int[np.ndarray, " N"]
    condition: np.ndarray
    repetition: Int[np.ndarray, " N"]
    view: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        """How many walks."""
        return len(self.packed)

    def __getitem__(self, chosen: Bool[np.ndarray, " N"] | Int[np.ndarray, " M"]) -> "Gaits":
        """Some of the walks, by a mask or by indices."""
        index = np.arange(len(self))[chosen]
        rest = {
            field.name: getattr(self, field.name)[index]
            for field in dataclasses.fields(self)
            if field.name != "packed"
        }
        return Gaits([self.packed[i] for i in index], **rest)

    def frames(self, i: int) -> UInt8[np.ndarray, "T 64 44"]:
        """Walk i's silhouettes, 0 or 1, as `gei.normalize` aligns them; empty ones left out."""
        bits = np.unpackbits(self.packed[i], axis=-1)
        return bits.reshape(-1, gei.HEIGHT, gei.WIDTH)

    def energy(self) -> UInt8[np.ndarray, "N 64 44"]:
        """Energy images of 64x44 pixels, 0 to 255; black where a walk has no frame."""
        out = np.zeros((len(self), gei.HEIGHT, gei.WIDTH), np.uint8)
        for i, packed in enumerate(self.packed):
            if len(packed):
                out[i] = np.round(255 * self.frames(i).mean(0))
        return out


def collect(walks: Iterable[tuple[Any, UInt8[np.ndarray, "_ H W"]]]) -> Gaits:
    """Gaits of silhouettes.

    Args:
      walks: of each, what names it (`subject`, `condition`, `repetition` and `view`, as of
        `data.datasets.Walk`), and its silhouettes, 0 or 1.
    """
    packed, large, names = [], [], []
    for walk, silhouettes in walks:
        small = gei.normalize(silhouettes)
        packed.append(np.packbits(small.reshape(len(small), -1), axis=-1))
        image = gei.energy_image(silhouettes, LARGE, LARGE)
        large.append(np.round(255 * image).astype(np.uint8))
        names.append((walk.subject, walk.condition, walk.repetition, walk.view))
    subject, condition, repetition, view = (np.array(x) for x in zip(*names, strict=True))
    return Gaits(packed, np.stack(large), subject, condition, repetition, view)


def kept(path: Path, make: Callable[[], Gaits]) -> Gaits:
    """What `make` gives, kept in a file: some 12 kB a walk. What is damaged is made anew."""
    if path.is_file():
        try:
            with np.load(path) as stored:
                arrays = dict(stored)
            packed = np.split(arrays.pop("packed"), arrays.pop("ends")[:-1])
            return Gaits(packed, **arrays)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
            print(f"{path}: damaged, its walks are made anew")
    made = make()
    rest = {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.name != "packed"}
    ends = np.cumsum([len(packed) for packed in made.packed])
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, packed=np.concatenate(made.packed), ends=ends, **rest)
    return made
