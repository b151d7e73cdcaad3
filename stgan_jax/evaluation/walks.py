"""A dataset's walks, original and anonymised, and which of them serve what in an evaluation."""

import collections
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax.data.datasets import splits
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import gaits
from stgan_jax.evaluation.gaits import AlignedGaits
from stgan_jax.methods.api import Anonymizer, ReadsGaits
from stgan_jax.shapes import contour, gei
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from stgan_jax.data.feed import ExampleSource

FRAMES = 50  # ST-GAN 4: the last frames of each sequence; shorter ones are left out
_CHUNK = 8  # walks per call of a method


class WalkPart(NamedTuple):
    """Walks that serve one purpose in an evaluation.

    Attributes:
      mask: which of all walks they are.
      seed: seed of the anonymisers' random keys.
    """

    mask: Bool[np.ndarray, " N"]
    seed: int


class Walks:
    """Sequences of 50 frames of everybody in a dataset, and their anonymised versions.

    Attributes:
      names: name of each walk.
      subject, condition, repetition, view: the same as arrays.
      dataset: its name and version.
    """

    def __init__(
        self,
        names: Sequence[WalkName],
        sources: Mapping[str, "ExampleSource"],
        rows: Int[np.ndarray, " N"] | None = None,
        dataset: str = "",
    ):
        """Takes the walks' names, and for each codec a source of their contours.

        Args:
          names: the walks' names.
          sources: codec -> source of the walks' contours.
          rows: which of the sources' examples each walk is; all of them by default.
          dataset: its name and version.
        """
        self.names, self._sources, self.dataset = names, sources, dataset
        self._rows = np.arange(len(names)) if rows is None else rows
        self.subject, self.condition, self.repetition, self.view = (
            np.array([getattr(name, field) for name in names])
            for field in ("subject", "condition", "repetition", "view")
        )

    @classmethod
    def of_dataset(
        cls,
        dataset: str,
        data_dir: str | os.PathLike,
        views: Sequence[int] | None = None,
        conditions: Sequence[str] = (),
    ) -> "Walks":
        """All walks of a built dataset in some views and conditions, by default in all.

        Raises:
          InputError: the dataset is not built, or lacks a view or a condition.
        """
        from stgan_jax.data import feed  # TensorFlow: only where data are read
        from stgan_jax.data.datasets import built

        everybody = range(1, splits.SUBJECTS + 1)
        sequences = built.Sequences(
            dataset, data_dir, everybody, views or None, least_frames=FRAMES
        )
        missing = set(views or ()) - {walk.view for walk in sequences.walks}
        if missing:
            raise InputError(f"{dataset}: holds no walk seen from {min(missing)} degrees")
        sources = {
            codec: feed.sequence_source(sequences, frames=FRAMES, codec=codec)
            for codec in contour.CODECS
        }
        walks = cls(sequences.walks, sources, dataset=f"{dataset} {sequences.version}")
        if lacking := set(conditions) - set(walks.condition):
            raise InputError(f"{dataset}: holds no walk of condition {min(lacking)!r}")
        return walks.only(np.isin(walks.condition, conditions)) if conditions else walks

    def views(self) -> list[int]:
        """Degrees, in ascending order."""
        return sorted(set(self.view.tolist()))

    def roles(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Numbers of the people who train recognisers, and of those to be recognised.

        As in ST-GAN 4; if fewer than two of either are in the dataset, its two halves.

        Raises:
          InputError: there are fewer than four people.
        """
        people = sorted(set(self.subject.tolist()))
        by_role = splits.subjects("stgan")
        training, test = (
            tuple(subject for subject in by_role[role] if subject in people)
            for role in ("recognizer", "test")
        )
        if min(len(training), len(test)) >= 2:
            return training, test
        if len(people) < 4:
            raise InputError(
                f"there are {len(people)} subjects, and it takes four: two to train recognisers "
                "and two others to be told apart"
            )
        half = len(people) // 2
        return tuple(people[:half]), tuple(people[half:])

    def parts(self, seed: int) -> dict[str, WalkPart]:
        """Splits the walks: "probes", "gallery", and "training" of the recognisers.

        Each part has keys of its own, so that an attacker never has those of the probes.

        Raises:
          InputError: there are too few people, or a part has no normal walk.
        """
        training, test = self.roles()
        is_gallery, is_probe = gei.gallery_and_probes(self.condition, self.repetition)
        masks = {
            "probes": self.of(test) & is_probe,
            "gallery": self.of(test) & is_gallery,
            "training": self.of(training),
        }
        for name, mask in masks.items():
            if not (mask & (self.condition == "nm")).any():
                raise InputError(
                    f"no normal walk of {FRAMES} frames is there for {name}: nm-01 to nm-04 are "
                    "the gallery, nm-05, nm-06, bg and cl the probes"
                )
        return {
            name: WalkPart(mask, seed * len(masks) + i)
            for i, (name, mask) in enumerate(masks.items())
        }

    def digest(self) -> str:
        """Changes with the walks' names, and with the data as far as the first ones show it."""
        # Files that are cached already call the class of names Walk.
        names = repr(self.names)
        digest = hashlib.sha256(names.encode())
        digest.update(self.contours(np.arange(min(3, len(self.names))), "padded").tobytes())
        return digest.hexdigest()[:16]

    def of(self, subjects: Sequence[int]) -> Bool[np.ndarray, " N"]:
        """Mask of these people's walks."""
        return np.isin(self.subject, subjects)

    def contours(self, index: Int[np.ndarray, " B"], codec: str) -> Float[np.ndarray, "B T 4000"]:
        """Original contours in [0, 1]."""
        rows = self._rows[index]
        return np.asarray(contour.fixed_to_unit(self._sources[codec].fetch(rows, rows).contours))

    def only(self, mask: Bool[np.ndarray, " N"]) -> "Walks":
        """Some of the walks."""
        index = np.flatnonzero(mask)
        names = [self.names[i] for i in index.tolist()]
        return Walks(names, self._sources, self._rows[index], self.dataset)

    def silhouettes(
        self, method: Anonymizer, index: Int[np.ndarray, " M"], seed: int
    ) -> Iterator[tuple[int, Float[np.ndarray, "T 4000"], UInt8[np.ndarray, "T 240 240"]]]:
        """Anonymises walks, a few ahead of the caller.

        Args:
          method: anonymises them.
          index: numbers of the walks.
          seed: seed of the random keys.

        Yields:
          of each walk its index, its new contours in pixels, and the silhouettes drawn of them.
        """

        def chunk(start: int):
            # One compiled shape: the last chunk is filled up.
            rows = index[np.minimum(np.arange(start, start + _CHUNK), len(index) - 1)]
            names = [self.names[i] for i in rows]
            contours = method.contours(self.contours(rows, method.codec), names, seed)
            count = min(_CHUNK, len(index) - start)
            drawn = contour.decode(contours[:count], method.codec)
            return zip(rows[:count].tolist(), contours[:count], drawn, strict=True)

        with ThreadPoolExecutor(2) as pool:
            ahead: collections.deque = collections.deque()
            for start in range(0, len(index), _CHUNK):
                ahead.append(pool.submit(chunk, start))
                if len(ahead) > 2:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def gaits(
        self,
        method: Anonymizer,
        index: Int[np.ndarray, " M"],
        seed: int,
        what: str,
        reader: ReadsGaits | None = None,
    ) -> AlignedGaits:
        """Anonymises walks for recognisers, with a progress bar that says `what`."""
        bar = tqdm(total=len(index), desc=f"{method.name}: {what}", unit="walk")

        def each():
            for i, _, silhouettes in self.silhouettes(method, index, seed):
                yield self.names[i], silhouettes
                bar.update()

        with bar:
            return gaits.collect(each(), reader)


def spread(mask: Bool[np.ndarray, " N"], count: int) -> Int[np.ndarray, " M"]:
    """Indices of at most `count` chosen walks, evenly spaced from the first to the last."""
    index = np.flatnonzero(mask)
    return index[np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).astype(int))]
