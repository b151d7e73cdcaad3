"""Walks of a dataset, and what methods make of them: what evaluations and studies are made of."""

import collections
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax import contour
from stgan_jax.data import splits
from stgan_jax.errors import InputError
from stgan_jax.evaluation import gaits
from stgan_jax.evaluation.gaits import Gaits
from stgan_jax.methods import Method

if TYPE_CHECKING:
    from stgan_jax.data.datasets import Walk
    from stgan_jax.data.pipeline import Source

FRAMES = 50  # ST-GAN 4: the last frames of each sequence; shorter ones are left out
_CHUNK = 8  # walks a call of a method


class Walks:
    """Sequences of 50 frames, and what methods make of them.

    Attributes:
      named: what each is.
      subject, condition, repetition, view: the same as arrays.
    """

    def __init__(self, named: "Sequence[Walk]", sources: Mapping[str, "Source"]):
        """Takes the walks' names, and their contours by codec."""
        self.named, self._sources = named, sources
        self.subject, self.condition, self.repetition, self.view = (
            np.array([getattr(walk, name) for walk in named])
            for name in ("subject", "condition", "repetition", "view")
        )

    @classmethod
    def of_dataset(
        cls, dataset: str, data_dir: str | os.PathLike, views: Sequence[int] | None = None
    ) -> "Walks":
        """All of a built dataset's. Raises `InputError` where it is not there or lacks a view."""
        from stgan_jax.data import datasets, pipeline  # TensorFlow: only where data are read

        everybody = range(1, splits.SUBJECTS + 1)
        sequences = datasets.Sequences(dataset, data_dir, everybody, views, least_frames=FRAMES)
        missing = set(views or ()) - {walk.view for walk in sequences.walks}
        if missing:
            raise InputError(f"{dataset}: holds no walk seen from {min(missing)} degrees")
        sources = {
            codec: pipeline.sequence_source(sequences, frames=FRAMES, codec=codec)
            for codec in contour.CODECS
        }
        return cls(sequences.walks, sources)

    def roles(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Who trains recognisers and who is to be recognised: as in ST-GAN 4, or halves.

        Raises:
          InputError: there are fewer than four people.
        """
        there = sorted(set(self.subject.tolist()))
        roles = splits.subjects("stgan")
        training, test = (
            tuple(subject for subject in roles[role] if subject in there)
            for role in ("recognizer", "test")
        )
        if min(len(training), len(test)) >= 2:
            return training, test
        if len(there) < 4:
            raise InputError(
                f"there are {len(there)} subjects, and it takes four: two to train recognisers "
                "and two others to be told apart"
            )
        return tuple(there[: len(there) // 2]), tuple(there[len(there) // 2 :])

    def digest(self) -> str:
        """Changes with the names of the walks, and with the data, as far as the first ones tell."""
        digest = hashlib.sha256(repr(self.named).encode())
        digest.update(self.contours(np.arange(min(3, len(self.named))), "padded").tobytes())
        return digest.hexdigest()[:16]

    def of(self, subjects: Sequence[int]) -> Bool[np.ndarray, " N"]:
        """Which walks are of the given people."""
        return np.isin(self.subject, subjects)

    def contours(self, index: Int[np.ndarray, " B"], codec: str) -> Float[np.ndarray, "B T 4000"]:
        """Walks' own contours in [0, 1]."""
        return np.asarray(contour.fixed_to_unit(self._sources[codec].fetch(index, index)))

    def silhouettes(
        self, method: Method, index: Int[np.ndarray, " M"], seed: int
    ) -> Iterator[tuple[int, Float[np.ndarray, "T 4000"], UInt8[np.ndarray, "T 240 240"]]]:
        """What a method makes: number, contours in pixels and silhouettes of each walk."""

        def make(start: int):
            # One compiled shape: the last ones are filled up.
            rows = index[np.minimum(np.arange(start, start + _CHUNK), len(index) - 1)]
            walks = [self.named[i] for i in rows]
            made = method.contours(self.contours(rows, method.codec), walks, seed)
            count = min(_CHUNK, len(index) - start)
            drawn = contour.decode(made[:count], method.codec)
            return zip(rows.tolist(), made, drawn)  # noqa: B905 (as many as were asked for)

        with ThreadPoolExecutor(2) as pool:
            ahead: collections.deque = collections.deque()
            for start in range(0, len(index), _CHUNK):
                ahead.append(pool.submit(make, start))
                if len(ahead) > 2:  # a little ahead of whoever looks at them
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def gaits(self, method: Method, chosen: Bool[np.ndarray, " N"], seed: int, what: str) -> Gaits:
        """Walks after a method, as recognisers see them; with a progress bar that says `what`."""
        index = np.flatnonzero(chosen)
        bar = tqdm(total=len(index), desc=f"{method.name}: {what}", unit="walk")

        def each():
            for number, _, silhouettes in self.silhouettes(method, index, seed):
                yield self.named[number], silhouettes
                bar.update()

        with bar:
            return gaits.collect(each())
