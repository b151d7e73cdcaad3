"""What defines a training run: plain values, checked once, saved beside the weights.

`configs/` fills these in; `nets()` and `optimizers()` turn them into modules and update rules,
the same in training, in resuming and in use.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

from stgan_jax import contour
from stgan_jax.checked import build, require, require_positive
from stgan_jax.color_settings import ColorSettings, SilhouetteSettings
from stgan_jax.errors import InputError
from stgan_jax.models.noise import NoiseDiscriminator, NoiseGenerator
from stgan_jax.models.retarget import (
    BodyDecoder,
    GaitCoder,
    GaitReader,
    IdentityAdversary,
    IdentityEncoder,
    PoseEncoder,
    PoseHead,
    PoseReader,
)
from stgan_jax.models.silhouette import Discriminator
from stgan_jax.models.stgan import Generator, SpatialDiscriminator, TemporalDiscriminator
from stgan_jax.retargeting import RetargetLoss, RetargetNets
from stgan_jax.run_settings import RunSettings
from stgan_jax.state import Optimizers
from stgan_jax.steps import GaitNoise, NoiseNets, RawNoise, StganLoss, StganNets
from stgan_jax.training_data import PairData
from stgan_jax.training_data import WalkerData as WalkerData  # part of what settings are


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseSettings(RunSettings):
    """Pre-training of the noise GAN (ST-GAN 3.3).

    Attributes:
      truncation: see `steps.NoiseNets`; of use alone.
    """

    kind: ClassVar[str] = "noise"

    steps: int = 8000
    batch_size: int = 256
    learning_rate: float = 4e-4
    beta1: float = 0.5
    seed_size: int = 64
    truncation: float = 1.0
    basis_size: int = 64  # 0: no basis, the paper's plain GAN on contours
    r1: float = 0.1
    ema: float = 0.999
    log_every: int = 50
    save_every: int = 2000
    evaluate_every: int = 2000

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "seed_size")
        require(self.basis_size >= 0, "basis_size must not be negative")
        require(0 < self.truncation <= 1, "truncation must be above 0 and at most 1")

    def nets(self) -> NoiseNets:
        """The networks these settings describe."""
        gen = NoiseGenerator(self.basis_size or contour.DIM, dtype=self.dtype)
        disc = NoiseDiscriminator(dtype=self.dtype)
        return NoiseNets(gen, disc, self.seed_size, self.truncation)

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        tx = self.update_rule(self.learning_rate, self.beta1)
        return {"noise_gen": tx, "noise_disc": tx}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StganSettings(RunSettings):
    """Training of ST-GAN (3.4) on top of a pre-trained noise GAN.

    Attributes:
      noise: "gan" for G_N's contours, "gaussian" for raw Gaussian noise (Fig. 7), "gait" for a
        gait in step with the own one: the same walk by somebody who does not exist.
      noise_checkpoint: a name of `weights.names`, or the folder of a training of noise.py; of
        "gait" likewise of retarget.py, which use needs, too.
      noise_run: the noise GAN's settings, filled in from its checkpoint.
      balance: of L_Rec and L_Per, "printed" or "convex", see `losses.generator`.
      closed: see `models.stgan.Generator`; of resampled contours.
      (the others): see `configs/stgan.py`.
    """

    kind: ClassVar[str] = "stgan"

    noise: str = "gan"
    noise_checkpoint: str = ""
    alpha: float = 0.3
    gen_learning_rate: float = 5e-3
    disc_learning_rate: float = 2e-4
    features: int = 16
    kernel: int = 3
    share_encoder: bool = False
    lstm_units: int = 128
    distance: str = "l2"
    saturating: bool = False
    adversarial_weight: float = 0.1
    balance: str = "printed"
    closed: bool = False
    noise_run: NoiseSettings | None = None

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            self, "gen_learning_rate", "disc_learning_rate", "features", "kernel", "lstm_units"
        )
        require(self.kernel % 2 == 1, "kernel must be odd")
        require(self.alpha >= 0, "alpha must not be negative")
        require(self.distance in ("l1", "l2"), 'distance must be "l1" or "l2"')
        require(
            self.noise in ("gan", "gaussian", "gait"), 'noise must be "gan", "gaussian" or "gait"'
        )
        require(self.balance in ("printed", "convex"), 'balance must be "printed" or "convex"')
        require(
            self.balance == "printed" or self.alpha <= 1,
            'alpha must be at most 1 with balance "convex"',
        )
        # Of a contour that is not filled no other walker can be told.
        require(
            self.noise != "gait" or self.data.codec == "resampled",
            'noise "gait" takes data.codec "resampled"',
        )
        require(
            not self.closed or self.data.codec == "resampled",
            'closed=True takes data.codec "resampled": padded contours end in zeros',
        )

    def nets(self) -> StganNets:
        """The networks these settings describe, the frozen noise GAN's among them."""
        noise: NoiseNets | RawNoise | GaitNoise = RawNoise()
        if self.noise == "gait":
            noise = GaitNoise()
        if self.noise == "gan":
            if self.noise_run is None:
                raise InputError("noise_run is missing: it is filled in from the noise checkpoint")
            noise = self.noise_run.nets()
        return StganNets(
            Generator(
                self.features,
                self.kernel,
                self.share_encoder,
                self.dtype,
                self.convolution,
                self.closed,
            ),
            SpatialDiscriminator(self.features, self.kernel, self.dtype, self.convolution),
            TemporalDiscriminator(self.lstm_units, self.dtype),
            noise,
        )

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        disc = self.update_rule(self.disc_learning_rate, beta1=0.5)
        gen = self.update_rule(self.gen_learning_rate)
        return {"gen": gen, "spatial_disc": disc, "temporal_disc": disc}

    def loss(self) -> StganLoss:
        """Which form of the losses is trained."""
        return StganLoss(self.distance, self.saturating, self.adversarial_weight, self.balance)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WifsSettings(RunSettings):
    """Training of the WIFS 2017 network on pairs of an original gait and a noise gait.

    Attributes:
      noise_subject: whose gait is the noise gait of all others, in their view (WIFS III-E, IV);
        0 draws one of the training subjects by the seed.
      (the others): see `configs/wifs.py`.
    """

    kind: ClassVar[str] = "wifs"

    noise_subject: int = 0
    alpha: float = 0.3
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    features: int = 16
    kernel: int = 3
    share_encoder: bool = True

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "features", "kernel")
        require(self.kernel % 2 == 1, "kernel must be odd")
        require(self.alpha >= 0, "alpha must not be negative")
        first, last = self.data.first_subject, self.data.last_subject
        require(first < last, "a noise gait needs a second subject: raise data.last_subject")
        require(
            self.noise_subject == 0 or first <= self.noise_subject <= last,
            f"noise_subject must be one of the subjects {first} to {last}, or 0 to draw one",
        )

    def net(self) -> Generator:
        """Phi, the network these settings describe: 113 parameters as printed."""
        return Generator(
            self.features, self.kernel, self.share_encoder, self.dtype, self.convolution
        )

    def optimizers(self) -> Optimizers:
        """Update rule of the network."""
        return {"gen": self.update_rule(self.learning_rate)}


_JUDGING = (8, 16, 32, 64)  # widths of D_S and D_T on retargeted fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetargetSettings(RunSettings):
    """Training of the networks that keep a walk and replace its walker.

    Attributes:
      alpha: share of the new identity, the rest is the own one's; of use alone.
      tempo: largest relative change of cadence; of use alone.
      in_step: whether poses are drawn as they are read in each frame, at the moments that were
        recorded, by which two results of one recording can be linked; of use alone.
      turn: by how many degrees at most walkers are drawn turned; likewise.
      manner: how far new identities' way to walk is from the mean one, of what it is in people, see
        `identity.sample_identity`; of use alone.
      build: how various new bodies are, see `retarget.stranger`; of use alone.
      components: of the basis in which silhouettes are written.
      inputs: how many of them the encoders look at.
      window: frames that a pose code is read from.
      code_size: its numbers.
      width: of the decoder's layers.
      rate_weight, motion_weight, overlap_weight, pose_weight, read_weight, adversarial_weight,
        adversary_weight, cycle_weight, stride: see `retargeting.RetargetLoss`.
      disc_learning_rate: of D_S, D_T and the identity adversary, which are there where their
        weights are not 0.
      base: weights, or a training's folder, whose networks stay as they are: those of
        `retargeting.gait_objective` alone are trained. Sizes have to be theirs.
      unpaired: walks of a built dataset for the cycle term, their last `frames` frames, for which
        nobody's identity need be known; None takes the pairs' own.
    """

    kind: ClassVar[str] = "retarget"

    data: PairData = dataclasses.field(default_factory=PairData)  # type: ignore[assignment]
    validation_subjects: tuple[int, ...] = ()
    alpha: float = 1.0
    tempo: float = 0.0
    in_step: bool = False
    turn: float = 8.0
    manner: float = 1.0
    build: float = 1.0
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
    adversarial_weight: float = 0.0
    adversary_weight: float = 0.0
    cycle_weight: float = 0.0
    disc_learning_rate: float = 1e-3
    base: str = ""
    unpaired: WalkerData | None = None

    def __post_init__(self):
        super().__post_init__()
        sizes = ("components", "inputs", "window", "code_size", "width", "stride")
        require_positive(self, "learning_rate", *sizes)
        require(self.window % 2 == 1, "window must be odd")
        require(self.inputs <= self.components, "inputs must be at most components")
        require(0 <= self.alpha <= 1, "alpha must be from 0 to 1")
        require(0 <= self.tempo <= 1, "tempo must be from 0 to 1")
        require(not (self.tempo and self.in_step), "in_step keeps the cadence: tempo must be 0")
        require(0 <= self.turn <= 30, "turn must be from 0 to 30")
        require(0 <= self.manner <= 1, "manner must be from 0 to 1")
        require(1 <= self.build <= 2, "build must be from 1 to 2")
        require_positive(self, "disc_learning_rate")
        for name in ("read_weight", "adversarial_weight", "adversary_weight", "cycle_weight"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        judges = self.adversarial_weight or self.adversary_weight or self.cycle_weight
        require(not (self.base and judges), "base: what judges it would have nothing to teach")
        if self.unpaired is not None:
            require(self.cycle_weight > 0, "unpaired walks need a cycle_weight above 0")
            require(self.unpaired.dataset != "", "unpaired.dataset: name a built dataset")
            require(
                self.unpaired.frames == self.data.frames,
                f"unpaired.frames must be data.frames, {self.data.frames}",
            )

    def nets(self) -> RetargetNets:
        """The networks these settings describe."""
        return RetargetNets(
            PoseEncoder(self.code_size, self.window, self.inputs),
            BodyDecoder(self.components, (self.width,) * 3),
            IdentityEncoder(self.inputs),
            PoseHead(),
            GaitReader(self.window),
            GaitCoder(self.code_size),
            {"spatial": Discriminator(_JUDGING), "temporal": Discriminator(_JUDGING, True)}
            if self.adversarial_weight
            else {},
            PoseReader(self.inputs) if self.read_weight else None,
            IdentityAdversary() if self.adversary_weight else None,
        )

    def loss(self) -> RetargetLoss:
        """Weights of the loss' terms."""
        return RetargetLoss(
            self.rate_weight,
            self.motion_weight,
            self.overlap_weight,
            self.pose_weight,
            self.read_weight,
            self.adversarial_weight,
            self.adversary_weight,
            self.cycle_weight,
            self.stride,
        )

    def optimizers(self) -> Optimizers:
        """Update rules: one of all networks together, and of those that judge them."""
        judge = self.update_rule(self.disc_learning_rate, beta1=0.5)
        judges = ["spatial_disc", "temporal_disc"] if self.adversarial_weight else []
        judges += ["identity_disc"] if self.adversary_weight else []
        learning = ["gait"] if self.base else ["gait", "gen"]
        rule = self.update_rule(self.learning_rate)
        return dict.fromkeys(learning, rule) | dict.fromkeys(judges, judge)


Settings = (
    NoiseSettings | StganSettings | WifsSettings | RetargetSettings | ColorSettings
    | SilhouetteSettings
)  # fmt: skip
_KINDS = {cls.kind: cls for cls in typing.get_args(Settings)}


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as nested plain values, with their kind."""
    values = {"kind": settings.kind, **dataclasses.asdict(settings)}
    if values.get("noise_run"):
        values["noise_run"]["kind"] = NoiseSettings.kind
    return values


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Inverse of `to_dict`, also of what JSON and ConfigDict make of it.

    Raises:
      InputError: an unknown kind, key, or a value that cannot be.
    """
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(f"unknown kind {kind!r} of model: choose one of {', '.join(_KINDS)}")
    return build(_KINDS[kind], values, "config")


def from_config(config: Any) -> Settings:
    """`from_dict` of the value of a config flag; `InputError` too where its file is unreadable."""
    try:
        values = config.to_dict()
    except OSError as error:  # the flag tells only when it is looked into
        raise InputError(
            f"cannot read the config: {str(error).splitlines()[-1].strip()}"
        ) from error
    return from_dict(values)
