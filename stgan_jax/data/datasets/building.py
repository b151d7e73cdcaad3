"""Base of the TFDS builders: a file a subject first, on all cores; then TFDS writes them out."""

import contextlib
import functools
import io
import itertools
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from stgan_jax.data.datasets import records
from stgan_jax.shapes import gei
from stgan_jax.util import children, files
from stgan_jax.util.errors import InputError

# A subject's sequences by name, and counts of what was dropped, by reason.
Subject = tuple[dict[str, Any], Counter]
_SUMMARY = "told"  # key of a part's JSON: its sequences' names and lengths, and what was dropped


class SubjectReader(NamedTuple):
    """Where a dataset's subjects come from.

    Attributes:
      subjects: their numbers, ascending.
      read: renders or reads one's sequences; picklable.
      note: what the dataset's metadata say of that, as `change`.
    """

    subjects: list[int]
    read: Callable[[int], Subject]
    note: str = ""


class SequenceBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A dataset with one TFDS split a subject, `s001` and so on.

    So a role in an experiment reads its subjects' files and no others. TFDS cannot go on
    with an interrupted build; the files a subject beside the dataset can.
    """

    origin = ""  # where the sequences come from, if the dataset's name does not say it
    beam: tuple[str, ...] = ()  # flags of Apache Beam, by which subjects are read; none without
    copied: "SubjectReader | None" = (
        None  # where subjects come from instead of `subjects` and `reader`
    )

    @property
    def kind(self) -> records.Kind:
        """How its sequences are stored."""
        return records.SILHOUETTES

    def subjects(self) -> list[int]:
        """Numbers of the subjects, ascending."""
        raise NotImplementedError

    def reader(self) -> Callable[[int], Subject]:
        """A picklable function that renders or reads one subject's sequences."""
        raise NotImplementedError

    @property
    def _subject_reader(self) -> SubjectReader:
        return self.copied or SubjectReader(self.subjects(), self.reader())

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self.kind.features(),
            description=(self.__doc__ or "").strip(),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def prepare(self) -> None:
        """Builds the dataset. See `built.build`."""
        if self.is_prepared():
            return
        folder = Path(self.data_dir).parent
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with files.locked(folder, "is built in"):
                self._prepare(folder)
        except InputError:
            with contextlib.suppress(OSError):  # not empty: something else is kept there
                for path in created:
                    path.rmdir()
            raise

    def _prepare(self, folder: Path) -> None:
        if self.is_prepared():  # by another process, since it was asked for
            return
        for stale in folder.glob(f"incomplete.*_{self.VERSION}"):  # of a killed build
            shutil.rmtree(stale)
        try:
            self._make_parts()
            self._require_walks()
        except InputError:
            shutil.rmtree(self._parts)
            raise
        tfds.disable_progress_bar()  # four bars a split are more than there is to see
        try:
            self.download_and_prepare()
        finally:
            tfds.enable_progress_bar()
        for parts in folder.glob(f"{self.VERSION}.*.parts"):
            shutil.rmtree(parts)

    @property
    def _parts(self) -> Path:
        # A build from one copy must not go on with what another left.
        origin = zlib.crc32(self.origin.encode())
        return Path(self.data_dir).parent / f"{self.VERSION}.{origin:08x}.parts"

    def _part(self, subject: int) -> Path:
        return self._parts / f"{subject:03d}.npz"

    def _make_parts(self) -> None:
        self._parts.mkdir(exist_ok=True)
        missing = [
            subject for subject in self._subject_reader.subjects if not self._part(subject).exists()
        ]
        if not missing:
            return
        workers = min(os.cpu_count() or 1, len(missing))
        if self.beam:
            from stgan_jax.util import engine  # Apache Beam

            runner = engine.Runner.of_flags(workers, self.beam)
            make = functools.partial(_PartMaker, self._subject_reader.read, self.kind)
            parts = [(subject, str(self._part(subject))) for subject in missing]
            engine.run(make, [parts], runner, str(self._parts / "rows"))
            return
        with ProcessPoolExecutor(workers, children.context(__name__)) as pool:
            jobs = pool.map(
                _make_part,
                itertools.repeat(self._subject_reader.read),
                itertools.repeat(self.kind),
                missing,
                [str(self._part(subject)) for subject in missing],
            )
            progress = tqdm(jobs, total=len(missing), desc=f"{self.name}: reading", unit="subject")
            try:
                for _ in progress:
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _require_walks(self) -> None:
        dropped: Counter = Counter()
        for subject in self._subject_reader.subjects:
            with np.load(self._part(subject)) as part:
                summary = json.loads(str(part[_SUMMARY]))
            if summary["frames"]:
                return
            dropped.update(summary["dropped"])
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise InputError(f"{self.origin}: holds no walk that can be used ({reasons or 'no files'})")

    def _split_generators(self, dl_manager):
        del dl_manager
        sequences: dict[str, list] = {}
        dropped: Counter = Counter()
        images = []
        for subject in self._subject_reader.subjects:
            with np.load(self._part(subject)) as part:
                summary = json.loads(str(part[_SUMMARY]))
                keys = [f"{name}/gei" for name, *_ in summary["frames"]]
                images += [part[key] for key in keys if key in part]
            if summary["frames"]:
                sequences[f"s{subject:03d}"] = summary["frames"]
            dropped.update(summary["dropped"])
        names = [records.parsed(entry[0]) for split in sequences.values() for entry in split]
        matching = gei.calibration(np.stack(images), names) if images else {}
        self.info.metadata.update(sequences=sequences, dropped=dropped, matching=matching)
        if self._subject_reader.note:
            self.info.metadata.update(change=self._subject_reader.note)
        bar = tqdm(total=len(sequences), desc=f"{self.name}: writing", unit="subject")
        return {split: self._generate_examples(int(split[1:]), bar) for split in sequences}

    def _generate_examples(self, subject: int, bar: tqdm) -> Iterator[tuple[str, dict[str, Any]]]:
        with np.load(self._part(subject)) as part:
            for key, *_ in json.loads(str(part[_SUMMARY]))["frames"]:
                yield key, _unpacked(part, key)
        bar.update()


def _make_part(read: Callable[[int], Subject], kind: records.Kind, subject: int, path: str) -> None:
    sequences, dropped = read(subject)
    summary: dict[str, Any] = {"frames": [], "dropped": dropped}
    arrays: dict[str, Any] = {}
    for key, sequence in sequences.items():
        summary["frames"].append([key, *kind.summary(sequence)])
        for name, value in kind.example(key, sequence).items():
            arrays |= _packed(f"{key}/{name}", value)
        if kind == records.SILHOUETTES:
            arrays[f"{key}/gei"] = gei.energy_image(sequence)
    arrays[_SUMMARY] = np.array(json.dumps(summary))
    with files.replacing(path) as beside:
        np.savez_compressed(beside, **arrays)


class _PartMaker:
    """Makes parts by Apache Beam, in whatever process."""

    def __init__(self, read: Callable[[int], Subject], kind: records.Kind):
        self._read, self._kind = read, kind

    def __call__(self, part: tuple[int, str]) -> None:
        _make_part(self._read, self._kind, *part)


def _packed(name: str, value: Any) -> dict[str, np.ndarray]:
    """Arrays of one feature: encoded pictures, one or a list, become their bytes and lengths."""
    if isinstance(value, bytes):
        return {f"{name}.one": np.frombuffer(value, np.uint8)}
    if isinstance(value, list):
        ends = np.cumsum([len(item) for item in value])
        return {f"{name}.many": np.frombuffer(b"".join(value), np.uint8), f"{name}.ends": ends}
    return {name: np.asarray(value)}


def _unpacked(part: Any, key: str) -> dict[str, Any]:
    example = {}
    for path in part.files:
        name = path.removeprefix(f"{key}/")
        if name in (path, "gei") or name.endswith(".ends"):
            continue
        value = part[path]
        if name.endswith(".one"):
            value = io.BytesIO(value.tobytes())
        elif name.endswith(".many"):
            ends = part[path.removesuffix("many") + "ends"]
            value = (
                [io.BytesIO(item.tobytes()) for item in np.split(value, ends[:-1])]
                if len(ends)
                else []
            )
        elif not value.ndim:
            value = value.item()
        example[name.partition(".")[0]] = value
    return example
