"""Settings of the colour networks and of the silhouette-to-silhouette anonymiser."""

import dataclasses
from typing import ClassVar

from stgan_jax.checked import require, require_positive
from stgan_jax.coloring import ColorLoss, SilhouetteLoss, SilhouetteNets
from stgan_jax.models import color, silhouette
from stgan_jax.run_settings import RunSettings
from stgan_jax.state import Optimizers
from stgan_jax.training_data import ColorData, PairData


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorSettings(RunSettings):
    """Training of a colour network (Colour 2020, or its baseline of 2019).

    Attributes:
      form: of `models.color.FORMS`.
      target: "style" for L_Rec + alpha L_Style, "pseudo" for the nearest pixel's colours as
        ground truth (APSIPA 2019).
      alpha: weight of L_Style; 1 as printed, with an L_Rec that is not printed.
      radius: pixels of Mp, of the network's 128.
      center: "overlap" or "erosion", see `color_losses.regions`.
      means: whether L_Style looks at mean colours, see `color_losses.style`.
      widths: of `models.color.ColorNet`.
      jitter: how far gains of the colour channels are drawn from 1.
    """

    kind: ClassVar[str] = "color"

    data: ColorData = dataclasses.field(default_factory=ColorData)  # type: ignore[assignment]
    form: str = "transfer"
    target: str = "style"
    alpha: float = 0.1
    radius: int = 2
    center: str = "overlap"
    means: bool = True
    widths: tuple[int, ...] = (24, 40, 64, 96)
    jitter: float = 0.3
    learning_rate: float = 2e-3

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate")
        require(self.form in color.FORMS, f"form must be one of {', '.join(color.FORMS)}")
        require(self.target in ("style", "pseudo"), 'target must be "style" or "pseudo"')
        require(self.center in ("overlap", "erosion"), 'center must be "overlap" or "erosion"')
        require(self.alpha >= 0, "alpha must not be negative")
        require(self.radius >= 0, "radius must not be negative")
        require(0 <= self.jitter < 1, "jitter must be at least 0 and below 1")
        require(
            1 <= len(self.widths) <= 6 and min(self.widths) > 0,
            "widths: one to six positive numbers",
        )

    def net(self) -> color.ColorNet:
        """The network these settings describe."""
        return color.ColorNet(self.form, self.widths, self.dtype)

    def loss(self) -> ColorLoss:
        """What is minimised."""
        return ColorLoss(self.target, self.radius, self.center, self.means, self.jitter)

    def optimizers(self) -> Optimizers:
        """Update rule of the network."""
        return {"gen": self.update_rule(self.learning_rate)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SilhouetteSettings(RunSettings):
    """Training of the silhouette-to-silhouette anonymiser (in the manner of APSIPA 2019).

    Attributes:
      code_size: numbers of the middle.
      temporal: whether D_T judges sequences beside D_S, which judges frames.
      adversarial_weight: of both, beside the distance to the wanted silhouette, in percent of a
        field's range.
    """

    kind: ClassVar[str] = "silhouette"

    data: PairData = dataclasses.field(default_factory=PairData)  # type: ignore[assignment]
    validation_subjects: tuple[int, ...] = ()
    code_size: int = 24
    widths: tuple[int, ...] = (8, 16, 32, 64)
    temporal: bool = False
    adversarial_weight: float = 0.3
    learning_rate: float = 1e-3
    disc_learning_rate: float = 2e-4

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "disc_learning_rate", "code_size")
        require(self.adversarial_weight >= 0, "adversarial_weight must not be negative")
        require(len(self.widths) == 4 and min(self.widths) > 0, "widths: four positive numbers")

    def nets(self) -> SilhouetteNets:
        """The networks these settings describe."""
        return SilhouetteNets(
            silhouette.Encoder(self.code_size, self.widths, self.dtype),
            silhouette.Decoder(self.widths, self.dtype),
            silhouette.Discriminator(self.widths, False, self.dtype),
            silhouette.Discriminator(self.widths, True, self.dtype) if self.temporal else None,
        )

    def loss(self) -> SilhouetteLoss:
        """Weights of the loss' terms."""
        return SilhouetteLoss(self.adversarial_weight)

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        disc = self.update_rule(self.disc_learning_rate, beta1=0.5)
        judges = {"spatial_disc": disc} | ({"temporal_disc": disc} if self.temporal else {})
        return {"gen": self.update_rule(self.learning_rate, beta1=0.5), **judges}
