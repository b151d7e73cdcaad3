"""Settings of the colour networks."""

import dataclasses
from typing import ClassVar

from stgan_jax.data.selection import ColorData
from stgan_jax.methods.color.losses import ColorLoss
from stgan_jax.methods.color.networks import FORMS, ColorNet
from stgan_jax.training.settings import (
    ANY,
    DTYPES,
    RunSettings,
    ValidatedSettings,
    dtype_of,
    require_one_of,
    require_subjects,
)
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import require, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorSettings(ValidatedSettings):
    """Training of a colour network (Colour 2020, or its baseline of 2019).

    Attributes:
      validation_subjects: first and last of the subjects that `validation/...` figures are
        computed on, and by which the best checkpoint is chosen; empty for none.
      form: "transfer" (Colour 2020) or "plain" (APSIPA 2019), see `networks`.
      target: "style" for L_Rec + alpha L_Style, "pseudo" for the nearest pixel's colours as
        ground truth (APSIPA 2019).
      alpha: weight of L_Style; 1 as printed, with an L_Rec that is not printed.
      radius: pixels of Mp, of the network's 128.
      center: "overlap" or "erosion", see `losses.regions`.
      means: whether L_Style looks at mean colours, see `losses.style`.
      widths: channels of the network, from half the side down.
      jitter: how far gains of the colour channels are drawn from 1.
      learning_rate: rate for the network.
      compute_dtype: "float32" or "bfloat16"; weights and losses are always float32.
    """

    kind: ClassVar[str] = "color"
    TRACED: ClassVar[tuple[str, ...]] = ("alpha", "learning_rate")
    UNIT: ClassVar[str] = "frame"
    FORMER: ClassVar = {**RunSettings.FORMER, "r1": ANY, "convolution": ANY}

    data: ColorData = dataclasses.field(default_factory=ColorData)
    validation_subjects: tuple[int, ...] = (77, 84)
    form: str = "transfer"
    target: str = "style"
    alpha: float = 0.1
    radius: int = 2
    center: str = "overlap"
    means: bool = True
    widths: tuple[int, ...] = (24, 40, 64, 96)
    jitter: float = 0.3
    learning_rate: float = 2e-3
    compute_dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate")
        require_subjects(self.validation_subjects)
        require_one_of(self, "form", FORMS)
        require_one_of(self, "target", ("style", "pseudo"))
        require_one_of(self, "center", ("overlap", "erosion"))
        require_one_of(self, "compute_dtype", DTYPES)
        require(self.alpha >= 0, "alpha must not be negative")
        require(self.radius >= 0, "radius must not be negative")
        require(0 <= self.jitter < 1, "jitter must be at least 0 and below 1")
        require(
            1 <= len(self.widths) <= 6 and min(self.widths) > 0,
            "widths: one to six positive numbers",
        )

    def net(self) -> ColorNet:
        """The network that these settings describe."""
        return ColorNet(self.form, self.widths, dtype_of(self.compute_dtype))

    def loss(self) -> ColorLoss:
        """What is minimised."""
        return ColorLoss(self.target, self.radius, self.center, self.means, self.jitter)

    def optimizers(self) -> Optimizers:
        """Update rule of the network."""
        return {"gen": self.update_rule(self.learning_rate)}
