"""What every training run has in common: plain values, checked once, saved beside the weights.

`configs/` fills these in. Each method derives its own settings, whose `nets()` and `optimizers()`
turn them into modules and update rules, the same in training, in resuming and in use.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import jax.numpy as jnp
import optax

from stgan_jax.training.gradients import StepOptions
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import build, require, require_positive
from stgan_jax.util.errors import InputError

_S = TypeVar("_S", bound="RunSettings")
DTYPES = ("float32", "bfloat16")
ANY = object()  # in `RunSettings.FORMER`: whatever the value was, it does not matter any more


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every training has.

    Attributes:
      data: which examples are trained on.
      seed: root of all randomness.
      steps: number of steps of the whole run.
      batch_size: examples (sequences, or contours, or frames) a step, on all devices together.
      optimizer: "adam" or "sgd".
      rates_for_batch: batch size that learning rates are given for: with another one they change
        by the ratio of sizes with "sgd" (Goyal 2017), and by its square root with "adam"
        (Malladi 2022). 0 takes them as they are.
      schedule: course of the learning rates: "constant", or "linear" or "cosine" down to 0.
      warmup_steps: number of steps over which the rates rise from 0.
      clip_norm: a network's gradients are scaled down to this Euclidean norm; 0 for never.
      ema: decay of an exponential moving average of the generator's weights; 0 for none.
      accumulate: slices that a batch is split into, one after the other, to save memory.
      hold: keeps all examples on each device as stored integers, and lets the compiled step draw
        the same batches from them. They must fit.
      steps_per_call: steps that one call of the compiled step makes; needs `hold`. All other
        numbers of steps are multiples of it.
      log_every: steps from one line of figures to the next; 0 for never.
      save_every: steps from one checkpoint to the next.
      picture_every: steps from one set of pictures to the next; 0 for never.
    """

    kind: ClassVar[str]
    # Settings of former versions -> the value that meant "off". A saved run where one is on cannot
    # be loaded any more; `ANY` means that the setting never changed what was trained.
    FORMER: ClassVar[Mapping[str, Any]] = {"disc_steps": 1, "real_label": 1.0, "remat": False}
    # Numbers that the compiled step takes as arguments: lanes of a sweep may differ in them.
    TRACED: ClassVar[tuple[str, ...]] = ()
    # What may change when a run goes on.
    FREE: ClassVar[tuple[str, ...]] = (
        "steps",
        "log_every",
        "save_every",
        "evaluate_every",
        "picture_every",
        "hold",
        "steps_per_call",
    )
    UNIT: ClassVar[str] = "seq"  # an example, in progress bars
    evaluate_every: ClassVar[int] = 0  # a field of those who validate, see `ValidatedSettings`

    data: Any
    seed: int = 0
    steps: int = 1000
    batch_size: int = 8
    optimizer: str = "adam"
    rates_for_batch: int = 0
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    hold: bool = False
    steps_per_call: int = 1
    log_every: int = 1
    save_every: int = 200
    picture_every: int = 0

    def __post_init__(self):
        require_positive(self, "steps", "batch_size", "save_every", "accumulate", "steps_per_call")
        not_negative = (
            "rates_for_batch warmup_steps log_every evaluate_every picture_every clip_norm"
        )
        for name in not_negative.split():
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(0 <= self.ema < 1, "ema must be at least 0 and below 1")
        require_one_of(self, "optimizer", ("adam", "sgd"))
        require_one_of(self, "schedule", ("constant", "linear", "cosine"))
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
        require(
            not self.hold or getattr(self.data, "fixed", True),
            "hold=True: without random windows and mirroring",
        )

    def options(self) -> StepOptions:
        """What the step adds to the paper's."""
        return StepOptions(getattr(self, "r1", 0.0), self.ema, self.accumulate)

    def update_rule(self, rate: Any, beta1: float = 0.9) -> optax.GradientTransformation:
        """The optimiser with its schedule and clipping; the rate may be traced."""
        if self.rates_for_batch:
            ratio = self.batch_size / self.rates_for_batch
            rate = rate * (ratio if self.optimizer == "sgd" else ratio**0.5)
        schedule = rate
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

    def traced(self: _S, values: Mapping[str, Any]) -> _S:
        """The settings with some of `TRACED` as arrays, which cannot be checked."""
        own = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(own, name, value)
        return own

    def optimizers(self) -> Optimizers:
        """Update rules of the trained networks."""
        raise NotImplementedError

    def completed(self: _S) -> _S:
        """The settings with what other files fill in, such as a noise GAN's settings."""
        return self

    def for_lanes(self: _S, seed: int) -> _S:
        """The settings that all lanes of a sweep share: what a seed would draw is drawn here."""
        del seed
        return self

    @classmethod
    def restored(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters read from a file, which has plain dictionaries, as the networks take them."""
        return params

    def published(self) -> dict[str, Any]:
        """`to_dict` without the places where data lay."""
        values = self.to_dict()
        values["data"].pop("data_dir", None)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, with the kind."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls: type[_S], values: Mapping[str, Any]) -> _S:
        """The inverse of `to_dict`, also of what JSON and ConfigDict make of it.

        Raises:
          InputError: an unknown name, or a value that cannot be.
        """
        return build(cls, {k: v for k, v in values.items() if k != "kind"}, "config")

    @classmethod
    def from_saved(cls: type[_S], values: Mapping[str, Any]) -> _S:
        """`from_dict` for the settings of a saved run, which may be of a former version.

        Raises:
          InputError: a setting was on that exists no more.
        """
        return cls.from_dict(cls.upgraded(dict(values)))

    @classmethod
    def upgraded(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Saved plain values of a former version as this version has them; see `from_saved`."""
        for name, off in cls.FORMER.items():
            value = values.pop(name, off)
            if off is not ANY and _plain(value) != off:
                raise InputError(
                    f"a saved run has {name}={value!r}, which this version cannot do any more: "
                    "use it with version 0.1.0 (commit a4819ee)"
                )
        return values

    def differing(self, other: "RunSettings") -> str | None:
        """The first setting by which two runs are not the same one, or None.

        How long a run takes and how often it saves may differ (`FREE`), and so may where its data
        lie. A schedule is spread over all steps, so that these count if there is one.
        """
        free = [name for name in self.FREE if name != "steps" or self.schedule == "constant"]
        own, others = _comparable(self.to_dict()), _comparable(other.to_dict())
        names = (name for name in own if name not in free and own[name] != others.get(name))
        return next(names, None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidatedSettings(RunSettings):
    """Trainings with a validation loss, by which the best checkpoint is chosen.

    Attributes:
      evaluate_every: steps from one validation to the next; 0 for never.
    """

    evaluate_every: int = 200  # type: ignore[misc]


def require_one_of(settings: Any, name: str, known: tuple[str, ...]) -> None:
    """Raises `InputError` unless the named attribute is one of the known values."""
    require(getattr(settings, name) in known, f"{name} must be one of {', '.join(known)}")


def require_subjects(subjects: tuple[int, ...]) -> None:
    """Raises `InputError` unless validation subjects are none, or a first and a last."""
    require(len(subjects) in (0, 2), "validation_subjects: a first and a last")


def dtype_of(compute_dtype: str) -> Any:
    """What networks compute in: None as their inputs are (float32; "auto", too), or bfloat16."""
    return jnp.bfloat16 if compute_dtype == "bfloat16" else None


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _comparable(value: Any) -> Any:
    """As JSON gives it back, without where the data lie: they may be moved."""
    if isinstance(value, dict):
        return {k: _comparable(v) for k, v in value.items() if k != "data_dir"}
    return [_comparable(v) for v in value] if isinstance(value, list | tuple) else value
