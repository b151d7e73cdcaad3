"""Settings of the silhouette-to-silhouette anonymiser."""

import dataclasses
from typing import ClassVar

from stgan_jax.data.selection import RenderedData
from stgan_jax.methods.silhouette.networks import Decoder, Discriminator, Encoder, SilhouetteNets
from stgan_jax.training.settings import (
    ANY,
    DTYPES,
    RunSettings,
    ValidatedSettings,
    dtype_of,
    require_one_of,
)
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import require, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class SilhouetteSettings(ValidatedSettings):
    """Training of the silhouette-to-silhouette anonymiser (in the manner of APSIPA 2019).

    Attributes:
      code_size: numbers in the middle between encoder and decoder.
      widths: channels of the four levels.
      adversarial_weight: weight of D_S's term, beside the distance to the wanted silhouette in
        percent of a field's range.
      learning_rate: rate for the generator.
      disc_learning_rate: rate for D_S.
      compute_dtype: "float32" or "bfloat16"; weights and losses are always float32.
    """

    kind: ClassVar[str] = "silhouette"
    TRACED: ClassVar[tuple[str, ...]] = ("learning_rate", "disc_learning_rate")
    FORMER: ClassVar = {
        **RunSettings.FORMER,
        "temporal": False,
        "validation_subjects": ANY,
        "r1": ANY,
        "convolution": ANY,
    }

    data: RenderedData = dataclasses.field(default_factory=RenderedData)
    code_size: int = 24
    widths: tuple[int, ...] = (8, 16, 32, 64)
    adversarial_weight: float = 0.3
    learning_rate: float = 1e-3
    disc_learning_rate: float = 2e-4
    compute_dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "disc_learning_rate", "code_size")
        require_one_of(self, "compute_dtype", DTYPES)
        require(self.adversarial_weight >= 0, "adversarial_weight must not be negative")
        require(len(self.widths) == 4 and min(self.widths) > 0, "widths: four positive numbers")

    def nets(self) -> SilhouetteNets:
        """The networks that these settings describe."""
        dtype = dtype_of(self.compute_dtype)
        return SilhouetteNets(
            Encoder(self.code_size, self.widths, dtype),
            Decoder(self.widths, dtype),
            Discriminator(self.widths, dtype),
        )

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        disc = self.update_rule(self.disc_learning_rate, beta1=0.5)
        return {"gen": self.update_rule(self.learning_rate, beta1=0.5), "spatial_disc": disc}
