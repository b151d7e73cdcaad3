"""What every training run has in common: plain values, checked once."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import optax

from stgan_jax.checked import require, require_positive
from stgan_jax.errors import InputError
from stgan_jax.models.stgan import CONVOLUTIONS
from stgan_jax.steps import Options
from stgan_jax.training_data import WalkerData


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every training has.

    Attributes:
      data: what is trained on.
      validation_subjects: first and last of those whom `validation/...` figures are taken of,
        and by whom the best checkpoint is chosen; empty for none.
      seed: of everything random.
      steps: how many.
      batch_size: sequences (noise GAN: contours) a step, of all devices together.
      optimizer: "adam" or "sgd".
      schedule: of the learning rates: "constant", or "linear" or "cosine" down to 0.
      warmup_steps: over which the rates rise from 0.
      clip_norm: gradients of a network are scaled down to this Euclidean norm; 0 for never.
      disc_steps, real_label, r1, ema, accumulate, remat: see `steps.Options`.
      compute_dtype: "float32" or "bfloat16"; weights and losses are float32 always.
      convolution: of G and D_S, one of `models.stgan.CONVOLUTIONS`: the same function.
      hold: all examples stay on each device, as stored integers, and the compiled step draws the
        same batches from them. They must fit.
      steps_per_call: how many steps a call of it makes; all others are multiples of that.
      log_every, save_every, evaluate_every, picture_every: in steps; 0 for never, except
        for `save_every`.
    """

    kind: ClassVar[str]

    data: WalkerData
    validation_subjects: tuple[int, ...] = (77, 84)
    seed: int = 0
    steps: int = 1000
    batch_size: int = 8
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float = 0.0
    disc_steps: int = 1
    real_label: float = 1.0
    r1: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    remat: bool = False
    compute_dtype: str = "float32"
    convolution: str = "auto"
    hold: bool = False
    steps_per_call: int = 1
    log_every: int = 1
    save_every: int = 200
    evaluate_every: int = 200
    picture_every: int = 0

    def __post_init__(self):
        require_positive(self, "steps", "batch_size", "save_every", "disc_steps", "accumulate")
        require_positive(self, "steps_per_call")
        for name in ("warmup_steps", "log_every", "evaluate_every", "picture_every"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("clip_norm", "r1"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(0 <= self.ema < 1, "ema must be at least 0 and below 1")
        require(0.5 < self.real_label <= 1, "real_label must be above 0.5, and at most 1")
        for name, known in (
            ("optimizer", ("adam", "sgd")),
            ("schedule", ("constant", "linear", "cosine")),
            ("compute_dtype", ("float32", "bfloat16")),
            ("convolution", CONVOLUTIONS),
        ):
            require(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}")
        require(len(self.validation_subjects) in (0, 2), "validation_subjects: a first and a last")
        require(
            self.batch_size % self.accumulate == 0,
            f"a batch of {self.batch_size} cannot be accumulated in {self.accumulate} slices",
        )
        require(self.hold or self.steps_per_call == 1, "steps_per_call above 1 needs hold=True")
        for name in ("steps", "log_every", "save_every", "evaluate_every", "picture_every"):
            require(
                getattr(self, name) % self.steps_per_call == 0,
                f"{name} must be a multiple of steps_per_call, {self.steps_per_call}",
            )
        if (
            self.hold
            and isinstance(self.data, WalkerData)
            and (self.data.window != "last" or self.data.mirror)
        ):
            raise InputError("hold=True: without random windows and mirroring")

    def options(self) -> Options:
        """What the step adds to the paper's."""
        return Options(
            self.disc_steps, self.real_label, self.r1, self.ema, self.accumulate, self.remat
        )

    @property
    def dtype(self) -> Any:
        """What the networks compute in; None as their inputs are."""
        return None if self.compute_dtype == "float32" else jnp.bfloat16

    def update_rule(self, rate: float, beta1: float = 0.9) -> optax.GradientTransformation:
        """The optimiser with its schedule and clipping."""
        require(rate > 0, "learning rates must be positive")
        schedule: Any = rate
        if self.schedule != "constant" or self.warmup_steps:
            rest = max(self.steps - self.warmup_steps, 1)
            after = {
                "constant": optax.constant_schedule(rate),
                "linear": optax.linear_schedule(rate, 0.0, rest),
                "cosine": optax.cosine_decay_schedule(rate, rest),
            }[self.schedule]
            warm = optax.linear_schedule(0.0, rate, max(self.warmup_steps, 1))
            schedule = optax.join_schedules([warm, after], [self.warmup_steps])
        rule = optax.sgd(schedule) if self.optimizer == "sgd" else optax.adam(schedule, b1=beta1)
        if not self.clip_norm:
            return rule
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), rule)
