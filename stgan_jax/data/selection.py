"""Selections of training data, as plain values: a part of a training's settings."""

import dataclasses

from stgan_jax.shapes import contour
from stgan_jax.util.checked import require, require_positive


@dataclasses.dataclass(frozen=True)
class WalkerData:
    """Selection of gait sequences to train on.

    Attributes:
      first_subject, last_subject: CASIA-B's numbers, 1 to 124, or those of the walkers that stand
        for them; both included.
      views: degrees.
      walks: CASIA-B's names, such as "nm-01".
      frames: T, the length of a sequence.
      codec: one of `contour.CODECS`.
      dataset: a built dataset, one of `datasets.built.NAMES`; "" renders ideal walkers instead.
      data_dir: where it has been built.
      window: "last" frames of a recording (ST-GAN 4) or "random" ones; of a dataset only.
      mirror: whether half of the examples are mirrored; of a dataset only.
    """

    first_subject: int
    last_subject: int
    views: tuple[int, ...] = tuple(range(0, 181, 18))
    walks: tuple[str, ...] = (
        *(f"nm-{number:02d}" for number in range(1, 7)),
        *("bg-01", "bg-02", "cl-01", "cl-02"),
    )
    frames: int = 50
    codec: str = "resampled"
    dataset: str = ""
    data_dir: str = "data"
    window: str = "last"
    mirror: bool = False

    @property
    def subjects(self) -> range:
        """Numbers of the subjects."""
        return range(self.first_subject, self.last_subject + 1)

    @property
    def fixed(self) -> bool:
        """Whether an example is the same one each time it is drawn."""
        return self.window == "last" and not self.mirror

    def __post_init__(self):
        require(self.window in ("last", "random"), 'data.window must be "last" or "random"')
        require(self.first_subject <= self.last_subject, "data.last_subject is below the first")
        require(self.frames > 0, "data.frames must be positive")
        require(
            self.codec in contour.CODECS, f"data.codec must be one of {', '.join(contour.CODECS)}"
        )


@dataclasses.dataclass(frozen=True)
class RenderedData:
    """Rendered walks, to learn reading or drawing from.

    Attributes:
      walks: number of walks to train on.
      validation_walks: number of further walks for `validation/...` figures; 0 for none.
      frames: T, the length of each walk.
    """

    walks: int = 5000
    validation_walks: int = 100
    frames: int = 24

    def __post_init__(self):
        require_positive(self, "walks", "frames")
        require(self.validation_walks >= 0, "data.validation_walks must not be negative")


@dataclasses.dataclass(frozen=True)
class ColorData:
    """Selection of frames of colour walks to train on.

    Attributes:
      first_subject, last_subject: ends included.
      views: degrees; an empty tuple takes all that the dataset has.
      walks: names of walks; those with complete silhouettes, whose centres are known.
      frames: number of frames taken of each walk, evenly spread.
      dataset: a dataset in colour, one of `datasets.built.NAMES`.
      data_dir: where it has been built.
      anonymizer: the model that draws the binary anonymised gaits: a name of `weights.names`.
    """

    first_subject: int = 51
    last_subject: int = 76
    views: tuple[int, ...] = ()
    walks: tuple[str, ...] = ("nm-01", "nm-02")
    frames: int = 5
    dataset: str = "synthetic_walkers/rgb"
    data_dir: str = "data"
    anonymizer: str = "retarget"

    @property
    def subjects(self) -> range:
        """Numbers of the subjects."""
        return range(self.first_subject, self.last_subject + 1)

    def __post_init__(self):
        require_positive(self, "frames")
        require(self.first_subject <= self.last_subject, "data.last_subject is below the first")
