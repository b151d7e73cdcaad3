"""`synthetic_walkers`: a benchmark of CASIA-B's size and names whose people do not exist."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping

import tensorflow_datasets as tfds

from stgan_jax.data.datasets import building, records
from stgan_jax.data.walkers import color_walks, procedural, recording

WALKS = ("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06", "bg-01", "bg-02", "cl-01", "cl-02")


@dataclasses.dataclass(kw_only=True)
class WalkersConfig(tfds.core.BuilderConfig):
    """People, views and walks of a config. Subject n is the same person in every config."""

    people: range = range(0)
    views: tuple[int, ...] = ()
    # Walks in colour: name -> (textural clothes, complete silhouettes).
    color: Mapping[str, tuple[bool, bool]] = dataclasses.field(default_factory=dict)


class SyntheticWalkers(building.SequenceBuilder):
    """Procedural walkers as a laboratory would record them; see `recording` and `records`."""

    VERSION = tfds.core.Version("2.1.0")
    RELEASE_NOTES = {  # noqa: RUF012 (TFDS' interface)
        "2.1.0": "Clothes melt into the wall, and shoes into the floor, at the same places in all "
        "walks of a person; cadences are less steady, manners steadier.",
        "2.0.0": "Bodies with heads, hair, shoes and loose clothes like people's. Habits: "
        "steadiness of the cadence, path, bags in normal walks, clothes that the segmentation "
        "takes for the wall.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012 (TFDS' interface)
        WalkersConfig(
            name="demo",
            description="16 subjects, 3 views, all 10 walks: 480 sequences.",
            people=range(1, 17),
            views=(0, 54, 90),
        ),
        WalkersConfig(
            name="full",
            description="124 subjects, 11 views, 10 walks: CASIA-B's 13,640 sequences.",
            people=range(1, 125),
            views=procedural.VIEWS,
        ),
        WalkersConfig(
            name="rgb",
            description="In colour: subjects 51 to 124, 11 views, plain and textural clothes, "
            "complete and incomplete silhouettes: 3,256 sequences of 50 frames.",
            people=range(51, 125),
            views=procedural.VIEWS,
            color={
                "nm-01": (False, True),
                "nm-02": (True, True),
                "nm-03": (False, False),
                "nm-04": (True, False),
            },
        ),
    ]

    @property
    def kind(self) -> records.Kind:
        """See `SequenceBuilder.kind`."""
        return records.COLOR if self.builder_config.color else records.SILHOUETTES

    def subjects(self) -> list[int]:
        """Numbers of the subjects, ascending."""
        return list(self.builder_config.people)

    def reader(self) -> Callable[[int], building.Subject]:
        """See `SequenceBuilder.reader`."""
        config = self.builder_config
        if config.color:
            return functools.partial(_in_color, views=config.views, walks=config.color)
        return functools.partial(_recorded, views=config.views)


def _recorded(subject: int, views: tuple[int, ...]) -> building.Subject:
    sequences = {}
    for walk in WALKS:
        condition, repetition = procedural.walk_name(walk)
        for view in views:
            key = records.name(subject, condition, repetition, view)
            sequences[key] = recording.silhouettes(subject, view, condition, repetition)
    return sequences, Counter()


def _in_color(
    subject: int, views: tuple[int, ...], walks: Mapping[str, tuple[bool, bool]]
) -> building.Subject:
    sequences = {}
    for walk, (textural, complete) in walks.items():
        condition, repetition = procedural.walk_name(walk)
        for view in views:
            key = records.name(subject, condition, repetition, view)
            sequences[key] = color_walks.render(
                subject, view, condition, repetition, textural, complete
            )
    return sequences, Counter()
