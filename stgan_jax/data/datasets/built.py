"""Built datasets: how they are built, and random access to their sequences."""

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from stgan_jax.data.datasets import building, casia_b, records, splits, synthetic_walkers
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

_BUILDERS = {"synthetic_walkers": synthetic_walkers.SyntheticWalkers, "casia_b": casia_b.CasiaB}
NAMES = (
    *(
        f"synthetic_walkers/{config.name}"
        for config in synthetic_walkers.SyntheticWalkers.BUILDER_CONFIGS
    ),
    "casia_b",
    "casia_b/rgb",
)


def build(
    dataset: str,
    data_dir: str | os.PathLike,
    source: str | os.PathLike | None = None,
    beam: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds a dataset, or goes on with an interrupted build, and shows progress.

    Args:
      dataset: one of `NAMES`.
      data_dir: folder for built datasets, created if it does not exist.
      source: casia_b: where the user's copy lies, see `casia_b.open_source`.
      beam: flags of Apache Beam, by which subjects are then rendered or read, by this machine's
        processes or, with --runner, by others that see both folders.

    Returns:
      what TFDS' metadata say: `sequences`, and for casia_b `dropped`, reason -> count.

    Raises:
      InputError: an unknown dataset, or a source that cannot be used. Nothing is left then
        but what the next build goes on with.
    """
    if dataset not in NAMES:
        raise InputError(f"dataset {dataset!r}: choose one of {', '.join(NAMES)}")
    if (source is not None) != dataset.startswith("casia_b"):
        raise InputError(
            f"{dataset}: --source, the folder with your copy, is needed for casia_b and for it only"
        )
    source = None if source is None else files.local(source)
    builder = _builder(dataset, data_dir, source)
    return _prepared(builder, beam)


def build_copy(
    dataset: str,
    data_dir: str | os.PathLike,
    originals: str | os.PathLike,
    change: Callable[[WalkName, UInt8[np.ndarray, "T 240 240"]], UInt8[np.ndarray, "T 240 240"]],
    beam: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds a copy of a dataset of silhouettes, with other walks by the same names.

    Args:
      dataset: one of `NAMES`.
      data_dir: folder for the copy.
      originals: where the dataset is built.
      change: gives the copy's walk; picklable. Its `repr` tells which interrupted build goes on.
      beam: see `build`.

    Returns:
      see `build`.

    Raises:
      InputError: the dataset is not built, holds videos, or the copy would lie where it does.
    """
    if Path(data_dir).resolve() == Path(originals).resolve():
        raise InputError(f"{data_dir}: holds the originals: name another folder for the copy")
    stored = Sequences(dataset, originals, range(1, splits.SUBJECTS + 1))
    builder = _builder(dataset, data_dir)
    if builder.kind != records.SILHOUETTES:
        raise InputError(f"{dataset}: holds videos: copies are made of silhouettes alone")
    subjects = sorted({walk.subject for walk in stored.walks})
    read = _Copied(dataset, os.fspath(originals), change)
    builder.copied = building.SubjectReader(subjects, read, repr(change))
    builder.origin = f"{originals} {change!r}"
    return _prepared(builder, beam)


def _prepared(builder: building.SequenceBuilder, beam: Sequence[str]) -> dict[str, Any]:
    if beam:
        from stgan_jax.util import engine  # Apache Beam

        engine.check(beam)
    builder.beam = tuple(beam)
    builder.prepare()
    return dict(builder.info.metadata)


@dataclasses.dataclass(frozen=True)
class _Copied:
    """Gives a subject's walks of a built dataset, changed; see `build_copy`."""

    dataset: str
    originals: str
    change: Callable[[WalkName, np.ndarray], np.ndarray]

    def __call__(self, subject: int) -> building.Subject:
        stored, walks = Sequences(self.dataset, self.originals, [subject]), {}
        for i, walk in enumerate(stored.walks):
            name = records.name(walk.subject, walk.condition, walk.repetition, walk.view)
            walks[name] = self.change(walk, stored.silhouettes(i))
        return walks, Counter()


class Sequences:
    """Some of a built dataset's sequences, read from disk as they are asked for.

    Attributes:
      walks: the name of each, in a fixed order.
      version: the dataset's.
    """

    def __init__(
        self,
        dataset: str,
        data_dir: str | os.PathLike,
        subjects: Iterable[int],
        views: Sequence[int] | None = None,
        walks: Sequence[str] | None = None,
        least_frames: int = 1,
    ):
        """Selects sequences.

        Args:
          dataset: one of `NAMES`.
          data_dir: where it has been built.
          subjects: whose.
          views: degrees; all by default.
          walks: "nm-01" and so on; all by default.
          least_frames: shorter recordings are left out (ST-GAN 4 and WIFS IV drop those
            under 50).

        Raises:
          InputError: the dataset is not built there, or nothing is selected.
        """
        if dataset not in NAMES:
            raise InputError(f"dataset {dataset!r}: choose one of {', '.join(NAMES)}")
        self._dataset = dataset
        builder = _builder(dataset, data_dir)
        if not builder.is_prepared():
            source = " --source=YOUR_COPY" if dataset.startswith("casia_b") else ""
            raise InputError(
                f"{data_dir}: {dataset} is not built there: run python launch/build_data.py "
                f"--dataset={dataset}{source} --data_dir={data_dir}"
            )
        self.version = str(builder.version)
        stored = builder.info.metadata["sequences"]
        splits = [f"s{subject:03d}" for subject in subjects if f"s{subject:03d}" in stored]
        everything = [
            WalkName(*records.parsed(name), *summary)
            for split in splits
            for name, *summary in stored[split]
        ]
        self._chosen = [
            i
            for i, walk in enumerate(everything)
            if (views is None or walk.view in views)
            and (walks is None or walk.name in walks)
            and walk.frames >= least_frames
        ]
        if not self._chosen:
            raise InputError(
                f"{dataset}: holds no sequence of the wanted subjects, views and walks"
            )
        self.walks = [everything[i] for i in self._chosen]
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        self._raw = builder.as_data_source("+".join(splits), deserialize_method=raw)
        self._every = builder.info.features
        wanted = ("silhouettes",), ("outline_points", "outline_lengths")
        self._pictures, self._outlines = (
            tfds.features.FeaturesDict({n: self._every[n] for n in names if n in self._every})
            for names in wanted
        )

    def __len__(self) -> int:
        """How many."""
        return len(self.walks)

    def outlines(self, i: int) -> Sequence[UInt8[np.ndarray, "N 2"]]:
        """Outline pixels of each frame of sequence i, as `contour.outline` gives them.

        Raises:
          InputError: a set of colour walks, which has none.
        """
        if "outline_points" not in self._every:
            raise InputError(
                f"{self._dataset}: holds videos, no contours: train contours on another dataset, "
                "as synthetic_walkers/full"
            )
        return records.outlines(self._read(i, self._outlines))

    def silhouettes(self, i: int) -> UInt8[np.ndarray, "T H W"]:
        """Silhouettes of sequence i, 0 or 1: 240x240, or of the frame's size in colour sets."""
        return records.silhouettes(self._read(i, self._pictures))

    def color(self, i: int) -> records.ColorWalk:
        """Walk i of a colour set.

        Raises:
          InputError: a set of silhouettes alone.
        """
        if "frames" not in self._every:
            raise InputError(
                f"{self._dataset}: holds silhouettes alone: colour is in synthetic_walkers/rgb and "
                "casia_b/rgb"
            )
        return records.color_walk(self._read(i, self._every))

    def _read(self, i: int, features: tfds.features.FeaturesDict):
        return features.deserialize_example_np(self._raw[self._chosen[i]])


def _builder(dataset: str, data_dir, source=None):
    logging.getLogger("absl").addFilter(_matters)
    name, _, config = dataset.partition("/")
    options: dict[str, Any] = {"config": config} if config else {}
    if source is not None:
        options["source"] = os.fspath(source)
    return _BUILDERS[name](
        data_dir=os.fspath(files.local(data_dir)), file_format="array_record", **options
    )


def _matters(record: logging.LogRecord) -> bool:
    """A version's folder without a dataset is how an interrupted build looks: no reason to warn."""
    return "has no dataset_info.json" not in record.getMessage()
