"""Settings of ST-GAN and of the noise GAN that is pre-trained for it."""

import dataclasses
from typing import Any, ClassVar

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods import weights
from stgan_jax.methods.stgan.losses import LOSSES, StganLoss
from stgan_jax.methods.stgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator
from stgan_jax.methods.stgan.noise_networks import (
    ContourBasis,
    NoiseDiscriminator,
    NoiseGenerator,
)
from stgan_jax.methods.stgan.noise_step import GaitNoise, GaussianNoise, NoiseNets
from stgan_jax.methods.stgan.step import StganNets
from stgan_jax.ops.convolution import CONVOLUTIONS
from stgan_jax.ops.lstm import RECURRENCES
from stgan_jax.shapes import contour
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
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseSettings(ValidatedSettings):
    """Pre-training of the noise GAN (ST-GAN 3.3).

    Attributes:
      validation_subjects: first and last of the subjects that `validation/...` figures are
        computed on, and by which the best checkpoint is chosen; empty for none.
      learning_rate: rate for G_N and D_N.
      beta1: Adam's first decay rate.
      seed_size: length of the Gaussian seed.
      truncation: deviation of the seeds that noise is sampled from, 1 in training.
      basis_size: components of the basis that contours are written in; 0 for no basis, the
        paper's plain GAN on contours.
      r1: weight of the gradient penalty on D_N at real contours.
      compute_dtype: "float32" or "bfloat16"; weights and losses are always float32.
    """

    kind: ClassVar[str] = "noise"
    TRACED: ClassVar[tuple[str, ...]] = ("learning_rate",)
    FORMER: ClassVar = {**RunSettings.FORMER, "convolution": ANY}
    UNIT: ClassVar[str] = "contour"

    data: WalkerData
    validation_subjects: tuple[int, ...] = (77, 84)
    steps: int = 8000
    batch_size: int = 256
    learning_rate: float = 4e-4
    beta1: float = 0.5
    seed_size: int = 64
    truncation: float = 1.0
    basis_size: int = 64
    r1: float = 0.1
    ema: float = 0.999
    compute_dtype: str = "float32"
    log_every: int = 50
    save_every: int = 2000
    evaluate_every: int = 2000  # type: ignore[misc]

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "seed_size")
        require_subjects(self.validation_subjects)
        require_one_of(self, "compute_dtype", DTYPES)
        require(self.r1 >= 0, "r1 must not be negative")
        require(self.basis_size >= 0, "basis_size must not be negative")
        require(0 < self.truncation <= 1, "truncation must be above 0 and at most 1")

    def nets(self) -> NoiseNets:
        """The networks that these settings describe."""
        dtype = dtype_of(self.compute_dtype)
        gen = NoiseGenerator(self.basis_size or contour.DIM, dtype=dtype)
        return NoiseNets(gen, NoiseDiscriminator(dtype=dtype), self.seed_size, self.truncation)

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        tx = self.update_rule(self.learning_rate, self.beta1)
        return {"noise_gen": tx, "noise_disc": tx}

    @classmethod
    def restored(cls, params: dict[str, Any]) -> dict[str, Any]:
        """See `RunSettings.restored`: the basis as what it is."""
        return with_basis(params)


def with_basis(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the noise GAN's basis, if there is one, as a `ContourBasis`."""
    if "noise_basis" not in params:
        return params
    basis = params["noise_basis"]
    known = ContourBasis(basis["mean"], basis.get("components"), basis["scale"])
    return {**params, "noise_basis": known}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StganSettings(ValidatedSettings):
    """Training of ST-GAN (3.4) on top of a pre-trained noise GAN.

    Attributes:
      validation_subjects: first and last of the subjects that `validation/...` figures are
        computed on, and by which the best checkpoint is chosen; empty for none.
      noise: "gan" for contours of G_N, "gaussian" for raw Gaussian noise (Fig. 7), "gait" for a
        gait in step with the own one: the same walk by somebody who does not exist.
      noise_checkpoint: weights or --workdir of a noise GAN, or of retargeting for "gait"; empty
        for "gaussian".
      noise_run: the noise GAN's settings, filled in from its checkpoint.
      alpha: weight of L_Per, at least 0; at most 1 with the "convex" balance.
      loss: "printed" for Eqs. 1-8 as printed, "steered" for the form in which alpha is the share
        of the noise; see `losses.LOSSES`.
      distance: overrides that part of the loss; None leaves it, as for the next three.
      saturating: overrides that part of the loss.
      adversarial_weight: overrides that part of the loss.
      balance: overrides that part of the loss.
      gen_learning_rate: rate for G.
      disc_learning_rate: rate for D_S and D_T.
      features: channels of the convolutions (16 in WIFS Fig. 5).
      kernel: taps of each convolution, odd (3 in WIFS Fig. 5).
      share_encoder: one encoder for both inputs, as in WIFS Eqs. 2-3; ST-GAN has two.
      lstm_units: size of D_T's hidden state.
      closed: treats contours as closed lines, see `networks.Generator`; resampled ones only.
      r1: weight of the gradient penalty on D_S and D_T at real gaits; 0 for none.
      compute_dtype: "float32", "bfloat16", or "auto" for the faster one on an accelerator; weights
        and losses are always float32.
      convolution: how convolutions are computed, one of `ops.convolution.CONVOLUTIONS`: all are
        the same function. "auto" measures on an accelerator.
      recurrence: how D_T's LSTM is computed, one of `ops.lstm.RECURRENCES`, in the same way.
    """

    kind: ClassVar[str] = "stgan"
    TRACED: ClassVar[tuple[str, ...]] = (
        "alpha",
        "adversarial_weight",
        "gen_learning_rate",
        "disc_learning_rate",
    )
    FREE: ClassVar[tuple[str, ...]] = (
        *RunSettings.FREE,
        "noise_checkpoint",
        "convolution",
        "recurrence",
    )

    data: WalkerData
    validation_subjects: tuple[int, ...] = (77, 84)
    noise: str = "gan"
    noise_checkpoint: str = ""
    noise_run: NoiseSettings | None = None
    alpha: float = 0.3
    loss: str = "steered"
    distance: str | None = None
    saturating: bool | None = None
    adversarial_weight: float | None = None
    balance: str | None = None
    gen_learning_rate: float = 5e-3
    disc_learning_rate: float = 2e-4
    features: int = 16
    kernel: int = 3
    share_encoder: bool = False
    lstm_units: int = 128
    closed: bool = False
    r1: float = 0.0
    compute_dtype: str = "float32"
    convolution: str = "auto"
    recurrence: str = "auto"

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            self, "gen_learning_rate", "disc_learning_rate", "features", "kernel", "lstm_units"
        )
        require_subjects(self.validation_subjects)
        require(self.kernel % 2 == 1, "kernel must be odd")
        require(self.alpha >= 0, "alpha must not be negative")
        require(self.r1 >= 0, "r1 must not be negative")
        require_one_of(self, "noise", ("gan", "gaussian", "gait"))
        require_one_of(self, "loss", tuple(LOSSES))
        require_one_of(self, "compute_dtype", (*DTYPES, "auto"))
        require_one_of(self, "convolution", CONVOLUTIONS)
        require_one_of(self, "recurrence", RECURRENCES)
        require(
            self.recurrence != "cudnn" or (self.compute_dtype == "float32" and not self.r1),
            "recurrence=cudnn computes in float32 and without r1",
        )
        for name in StganLoss._fields:  # what the loss says already is no override
            if getattr(self, name) == getattr(LOSSES[self.loss], name):
                object.__setattr__(self, name, None)
        parts = self.loss_parts()
        require(parts.distance in ("l1", "l2"), 'distance must be "l1" or "l2"')
        require(parts.balance in ("printed", "convex"), 'balance must be "printed" or "convex"')
        require(
            parts.balance == "printed" or self.alpha <= 1,
            'alpha must be at most 1 with balance "convex"',
        )
        require(
            self.noise != "gaussian" or not self.noise_checkpoint,
            'noise "gaussian" needs no noise_checkpoint: leave it empty',
        )
        # From a contour that is not filled no other walker can be drawn.
        require(
            self.noise != "gait" or self.data.codec == "resampled",
            'noise "gait" takes data.codec "resampled"',
        )
        require(
            not self.closed or self.data.codec == "resampled",
            'closed=True takes data.codec "resampled": padded contours end in zeros',
        )

    def loss_parts(self) -> StganLoss:
        """The form of the losses, with what overrides it."""
        parts = {name: getattr(self, name) for name in StganLoss._fields}
        return LOSSES[self.loss]._replace(**{k: v for k, v in parts.items() if v is not None})

    def nets(self) -> StganNets:
        """The networks that these settings describe, the frozen noise GAN's among them."""
        noise: NoiseNets | GaussianNoise | GaitNoise = GaussianNoise()
        if self.noise == "gait":
            noise = GaitNoise()
        if self.noise == "gan":
            if self.noise_run is None:
                raise InputError("noise_run is missing: it is filled in from the noise checkpoint")
            noise = self.noise_run.nets()
        dtype, conv = dtype_of(self.compute_dtype), self.convolution
        return StganNets(
            Generator(self.features, self.kernel, self.share_encoder, dtype, conv, self.closed),
            SpatialDiscriminator(self.features, self.kernel, dtype, conv),
            TemporalDiscriminator(self.lstm_units, dtype, self.recurrence),
            noise,
        )

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        disc = self.update_rule(self.disc_learning_rate, beta1=0.5)
        gen = self.update_rule(self.gen_learning_rate)
        return {"gen": gen, "spatial_disc": disc, "temporal_disc": disc}

    def completed(self) -> "StganSettings":
        """The settings with those of the noise GAN that `noise_checkpoint` names.

        Raises:
          InputError: it is no noise GAN, or one of another codec.
        """
        if self.noise != "gan":
            return self
        noise_run, _ = weights.load_as(self.noise_checkpoint, NoiseSettings)
        if noise_run.data.codec != self.data.codec:
            raise InputError(
                f"{self.noise_checkpoint}: trained on {noise_run.data.codec} contours and this "
                f"run uses {self.data.codec} ones: train a noise GAN with the same codec"
            )
        return dataclasses.replace(self, noise_run=noise_run)

    def to_dict(self) -> dict[str, Any]:
        """See `RunSettings.to_dict`."""
        values = super().to_dict()
        if values["noise_run"]:
            values["noise_run"]["kind"] = NoiseSettings.kind
        return values

    @classmethod
    def upgraded(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See `RunSettings.upgraded`; each part of the loss was set by itself."""
        if "loss" not in values:
            values = {"balance": "printed", **values}  # which was the default
        if all(values.get(k) == v for k, v in LOSSES["printed"]._asdict().items()):
            values = {k: v for k, v in values.items() if k not in StganLoss._fields}
            values["loss"] = "printed"
        if values.get("noise_run"):
            values = {**values, "noise_run": NoiseSettings.upgraded(dict(values["noise_run"]))}
        return super().upgraded(values)

    @classmethod
    def restored(cls, params: dict[str, Any]) -> dict[str, Any]:
        """See `RunSettings.restored`: the noise GAN's basis as what it is."""
        return with_basis(params)
