"""What defines a training run: plain values, checked once, saved beside the weights.

`configs/` fills these in; `nets()` and `optimizers()` turn them into modules and update rules,
the same in training, in resuming and in use.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

import optax

from stgan_jax import contour
from stgan_jax.errors import InputError
from stgan_jax.models.noise import NoiseDiscriminator, NoiseGenerator
from stgan_jax.models.stgan import Generator, SpatialDiscriminator, TemporalDiscriminator
from stgan_jax.state import Optimizers
from stgan_jax.steps import NoiseNets, StganLoss, StganNets


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
    views: tuple[int, ...]
    walks: tuple[str, ...]
    frames: int = 50
    codec: str = "resampled"
    dataset: str = ""
    data_dir: str = "data"
    window: str = "last"
    mirror: bool = False

    def __post_init__(self):
        _require(self.window in ("last", "random"), 'data.window must be "last" or "random"')
        _require(self.first_subject <= self.last_subject, "data.last_subject is below the first")
        _require(self.frames > 0, "data.frames must be positive")
        _require(
            self.codec in contour.CODECS, f"data.codec must be one of {', '.join(contour.CODECS)}"
        )


@dataclasses.dataclass(frozen=True)
class NoiseSettings:
    """Pre-training of the noise GAN (ST-GAN 3.3)."""

    kind: ClassVar[str] = "noise"

    data: WalkerData
    seed: int = 0
    steps: int = 8000
    batch_size: int = 256
    learning_rate: float = 4e-4
    beta1: float = 0.5
    seed_size: int = 64
    basis_size: int = 64  # 0: no basis, the paper's plain GAN on contours
    r1: float = 0.1
    ema: float = 0.999
    log_every: int = 50
    save_every: int = 2000

    def __post_init__(self):
        _require_positive(self, "steps", "batch_size", "learning_rate", "seed_size", "save_every")
        _require(self.basis_size >= 0, "basis_size must not be negative")

    def nets(self) -> NoiseNets:
        """The networks these settings describe."""
        gen = NoiseGenerator(self.basis_size or contour.DIM)
        return NoiseNets(gen, NoiseDiscriminator(), self.seed_size)

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        tx = optax.adam(self.learning_rate, b1=self.beta1)
        return {"noise_gen": tx, "noise_disc": tx}


@dataclasses.dataclass(frozen=True)
class StganSettings:
    """Training of ST-GAN (3.4) on top of a pre-trained noise GAN.

    `noise_run`, the noise GAN's own settings, is filled in from its checkpoint.
    """

    kind: ClassVar[str] = "stgan"

    data: WalkerData
    noise_checkpoint: str
    alpha: float = 0.3
    seed: int = 0
    steps: int = 1000
    batch_size: int = 8
    gen_learning_rate: float = 5e-3
    disc_learning_rate: float = 2e-4
    features: int = 16
    kernel: int = 3
    share_encoder: bool = False
    lstm_units: int = 128
    distance: str = "l2"
    saturating: bool = False
    adversarial_weight: float = 0.1
    log_every: int = 1
    save_every: int = 200
    noise_run: NoiseSettings | None = None

    def __post_init__(self):
        _require_positive(
            self, "steps", "batch_size", "gen_learning_rate", "disc_learning_rate", "save_every",
            "features", "kernel", "lstm_units",
        )  # fmt: skip
        _require(self.alpha >= 0, "alpha must not be negative")
        _require(self.distance in ("l1", "l2"), 'distance must be "l1" or "l2"')

    def nets(self) -> StganNets:
        """The networks these settings describe, the frozen noise GAN's among them."""
        if self.noise_run is None:
            raise InputError("noise_run is missing: it is filled in from the noise checkpoint")
        return StganNets(
            Generator(self.features, self.kernel, self.share_encoder),
            SpatialDiscriminator(self.features, self.kernel),
            TemporalDiscriminator(self.lstm_units),
            self.noise_run.nets(),
        )

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        disc = optax.adam(self.disc_learning_rate, b1=0.5)
        gen = optax.adam(self.gen_learning_rate)
        return {"gen": gen, "spatial_disc": disc, "temporal_disc": disc}

    def loss(self) -> StganLoss:
        """Which form of the losses is trained."""
        return StganLoss(self.distance, self.saturating, self.adversarial_weight)


Settings = NoiseSettings | StganSettings


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
    kinds = {cls.kind: cls for cls in (NoiseSettings, StganSettings)}
    kind = values.pop("kind", None)
    if kind not in kinds:
        raise InputError(f"unknown kind {kind!r} of model: choose one of {', '.join(kinds)}")
    return _build(kinds[kind], values, "config")


def from_config(config: Any) -> Settings:
    """`from_dict` of the value of a config flag; `InputError` too where its file is unreadable."""
    try:
        values = config.to_dict()
    except OSError as error:  # the flag tells only when it is looked into
        raise InputError(
            f"cannot read the config: {str(error).splitlines()[-1].strip()}"
        ) from error
    return from_dict(values)


def _build(cls: type, values: Mapping[str, Any], path: str):
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    kwargs = {}
    for name, value in values.items():
        if name not in fields:
            raise InputError(f"{path}.{name}: no such setting; there are {', '.join(fields)}")
        hint = hints[name]
        if isinstance(value, Mapping):
            inner = next(
                t for t in _options(hint) if isinstance(t, type) and dataclasses.is_dataclass(t)
            )
            value = {k: v for k, v in value.items() if k != "kind"}
            kwargs[name] = _build(inner, value, f"{path}.{name}")
        else:
            kwargs[name] = tuple(value) if isinstance(value, list | tuple) else value
    missing = [
        name for name, field in fields.items()
        if name not in kwargs and field.default is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} must be set")
    return cls(**kwargs)


def _options(hint) -> tuple:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise InputError(sentence)


def _require_positive(settings, *names: str) -> None:
    for name in names:
        _require(getattr(settings, name) > 0, f"{name} must be positive")
