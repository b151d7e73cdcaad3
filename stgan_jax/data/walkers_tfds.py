"""`synthetic_walkers`: a benchmark of CASIA-B's size and names whose people do not exist."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable

import tensorflow_datasets as tfds

from stgan_jax.data import building, recording, records, walkers

WALKS = ("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06", "bg-01", "bg-02", "cl-01", "cl-02")


@dataclasses.dataclass(kw_only=True)
class WalkersConfig(tfds.core.BuilderConfig):
    """How many people walk, seen from where. Subject n is the same person in every config."""

    people: int = 0
    views: tuple[int, ...] = ()


class SyntheticWalkers(building.SequenceBuilder):
    """Procedural walkers as a laboratory would record them; see `recording` and `records`."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 (TFDS' interface)
        WalkersConfig(
            name="demo",
            description="16 subjects, 3 views, all 10 walks: 480 sequences.",
            people=16,
            views=(0, 54, 90),
        ),
        WalkersConfig(
            name="full",
            description="124 subjects, 11 views, 10 walks: CASIA-B's 13,640 sequences.",
            people=124,
            views=walkers.VIEWS,
        ),
    ]

    def subjects(self) -> list[int]:
        """Numbers of the subjects, ascending."""
        return list(range(1, self.builder_config.people + 1))

    def reader(self) -> Callable[[int], building.Subject]:
        """See `SequenceBuilder.reader`."""
        return functools.partial(_recorded, views=self.builder_config.views)


def _recorded(subject: int, views: tuple[int, ...]) -> building.Subject:
    sequences = {}
    for walk in WALKS:
        condition, repetition = walkers.walk_name(walk)
        for view in views:
            key = records.name(subject, condition, repetition, view)
            sequences[key] = recording.silhouettes(subject, view, condition, repetition)
    return sequences, Counter()
