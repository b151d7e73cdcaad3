"""Settings of retargeting."""

import dataclasses
from typing import ClassVar

from stgan_jax.data.selection import PairData
from stgan_jax.methods.retarget.losses import RetargetLoss
from stgan_jax.methods.retarget.networks import (
    BodyDecoder,
    GaitCoder,
    GaitReader,
    IdentityEncoder,
    PoseEncoder,
    PoseHead,
    PoseReader,
    RetargetNets,
)
from stgan_jax.training.settings import ANY, RunSettings, ValidatedSettings
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import require, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetargetSettings(ValidatedSettings):
    """Training of the networks that keep a walk and replace its walker.

    Attributes:
      components: size of the basis that silhouettes are written in.
      inputs: how many of the components the encoders look at.
      window: frames that a pose code is read from, odd.
      code_size: numbers of a pose code.
      width: units in each of the decoder's three hidden layers.
      learning_rate: rate for all networks.
      rate_weight: weight of the pose code's divergence; for this and the next see
        `losses.RetargetLoss`.
      motion_weight: weight of the changes from frame to frame.
      overlap_weight: weight of the silhouettes' overlap.
      pose_weight: weight of the error of the pose that a code tells.
      read_weight: weight of the leg angles read from what is drawn; 0 for no such reader.
      stride: one in so many cells of a field counts in a step.
      base: weights or a training's folder whose networks stay as they are, so that only the
        gait's reader and coder are trained. Sizes must be theirs. Empty trains all.
    """

    kind: ClassVar[str] = "retarget"
    FORMER: ClassVar = {
        **RunSettings.FORMER,
        "adversarial_weight": 0.0,
        "adversary_weight": 0.0,
        "cycle_weight": 0.0,
        "unpaired": None,
        **dict.fromkeys(
            (
                *("alpha", "tempo", "in_step", "turn", "manner", "build", "disc_learning_rate"),
                *("validation_subjects", "r1", "compute_dtype", "convolution"),
            ),
            ANY,
        ),
    }

    data: PairData = dataclasses.field(default_factory=PairData)
    components: int = 256
    inputs: int = 100
    window: int = 15
    code_size: int = 20
    width: int = 512
    learning_rate: float = 1e-3
    rate_weight: float = 0.03
    motion_weight: float = 1.0
    overlap_weight: float = 10.0
    pose_weight: float = 5.0
    read_weight: float = 0.0
    stride: int = 1
    base: str = ""

    def __post_init__(self):
        super().__post_init__()
        sizes = ("components", "inputs", "window", "code_size", "width", "stride")
        require_positive(self, "learning_rate", *sizes)
        require(self.window % 2 == 1, "window must be odd")
        require(self.inputs <= self.components, "inputs must be at most components")
        require(self.read_weight >= 0, "read_weight must not be negative")

    def nets(self) -> RetargetNets:
        """The networks that these settings describe."""
        return RetargetNets(
            PoseEncoder(self.code_size, self.window, self.inputs),
            BodyDecoder(self.components, (self.width,) * 3),
            IdentityEncoder(self.inputs),
            PoseHead(),
            GaitReader(self.window),
            GaitCoder(self.code_size),
            PoseReader(self.inputs) if self.read_weight else None,
        )

    def loss(self) -> RetargetLoss:
        """Weights of the loss terms."""
        return RetargetLoss(
            self.rate_weight,
            self.motion_weight,
            self.overlap_weight,
            self.pose_weight,
            self.read_weight,
            self.stride,
        )

    def optimizers(self) -> Optimizers:
        """Update rules: of the gait's networks, and of the others unless they stay."""
        rule = self.update_rule(self.learning_rate)
        return dict.fromkeys(["gait"] if self.base else ["gait", "gen"], rule)
