"""Which data a training takes, as plain values."""

import dataclasses

from stgan_jax import contour
from stgan_jax.checked import require, require_positive


@dataclasses.dataclass(frozen=True)
class WalkerData:
    """Which sequences are trained on.

    Attributes:
      first_subject, last_subject: of CASIA-B's 1 to 124, or who stands for them (ends included).
      views: degrees.
      walks: "nm-01" and the like, CASIA-B's names.
      frames: T, the length of a sequence.
      codec: of `contour.CODECS`.
      dataset: a built dataset, one of `data.datasets.NAMES`; "" renders ideal walkers instead.
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
        """Their numbers."""
        return range(self.first_subject, self.last_subject + 1)

    def __post_init__(self):
        require(self.window in ("last", "random"), 'data.window must be "last" or "random"')
        require(self.first_subject <= self.last_subject, "data.last_subject is below the first")
        require(self.frames > 0, "data.frames must be positive")
        require(
            self.codec in contour.CODECS, f"data.codec must be one of {', '.join(contour.CODECS)}"
        )


@dataclasses.dataclass(frozen=True)
class PairData:
    """How many walks of two people each are rendered to learn retargeting from.

    Attributes:
      walks: to train on.
      validation_walks: of which `validation/...` figures are taken; 0 for none.
      frames: T of each.
    """

    walks: int = 5000
    validation_walks: int = 100
    frames: int = 24

    def __post_init__(self):
        require_positive(self, "walks", "frames")
        require(self.validation_walks >= 0, "data.validation_walks must not be negative")


@dataclasses.dataclass(frozen=True)
class ColorData:
    """Which frames of colour walks are trained on.

    Attributes:
      first_subject, last_subject: ends included.
      views: degrees; an empty tuple takes all that the dataset has.
      walks: those of complete silhouettes, by which centres are told.
      frames: of each walk, evenly spread.
      dataset: in colour, of `data.datasets.NAMES`.
      data_dir: where it has been built.
      anonymizer: what makes the binary anonymised gaits: a name of `weights.names`.
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
        """Their numbers."""
        return range(self.first_subject, self.last_subject + 1)

    def __post_init__(self):
        require_positive(self, "frames")
        require(self.first_subject <= self.last_subject, "data.last_subject is below the first")
