"""Settings of the WIFS 2017 baseline."""

import dataclasses
from typing import ClassVar

import numpy as np

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.wifs.networks import Generator
from stgan_jax.ops.convolution import CONVOLUTIONS
from stgan_jax.training.settings import ANY, DTYPES, RunSettings, dtype_of, require_one_of
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import require, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class WifsSettings(RunSettings):
    """Training of the WIFS 2017 network on pairs of an original gait and a noise gait.

    Attributes:
      noise_subject: whose gait is the noise gait of all others, in their view (WIFS III-E, IV);
        0 draws one of the training subjects by the seed.
      alpha: how much of the noise gait is added (Eq. 5).
      learning_rate: rate for Phi.
      features: channels of the convolutions (16 in Fig. 5).
      kernel: taps of each convolution, odd (3 in Fig. 5).
      share_encoder: one encoder for both inputs, as Eqs. 2-3 print it.
      compute_dtype: "float32", "bfloat16", or "auto" for the faster one on an accelerator; weights
        and losses are always float32.
      convolution: how convolutions are computed, one of `ops.convolution.CONVOLUTIONS`: all are
        the same function. "auto" measures on an accelerator.
    """

    kind: ClassVar[str] = "wifs"
    TRACED: ClassVar[tuple[str, ...]] = ("alpha", "learning_rate")
    FORMER: ClassVar = {
        **RunSettings.FORMER,
        "validation_subjects": ANY,
        "evaluate_every": ANY,
        "r1": ANY,
    }
    FREE: ClassVar[tuple[str, ...]] = (*RunSettings.FREE, "convolution")

    data: WalkerData
    noise_subject: int = 0
    alpha: float = 0.3
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    features: int = 16
    kernel: int = 3
    share_encoder: bool = True
    compute_dtype: str = "float32"
    convolution: str = "auto"

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "features", "kernel")
        require_one_of(self, "compute_dtype", (*DTYPES, "auto"))
        require_one_of(self, "convolution", CONVOLUTIONS)
        require(self.kernel % 2 == 1, "kernel must be odd")
        require(self.alpha >= 0, "alpha must not be negative")
        first, last = self.data.first_subject, self.data.last_subject
        require(first < last, "a noise gait needs a second subject: raise data.last_subject")
        require(
            self.noise_subject == 0 or first <= self.noise_subject <= last,
            f"noise_subject must be one of the subjects {first} to {last}, or 0 to draw one",
        )

    def net(self) -> Generator:
        """Phi, the network that these settings describe."""
        dtype = dtype_of(self.compute_dtype)
        return Generator(self.features, self.kernel, self.share_encoder, dtype, self.convolution)

    def optimizers(self) -> Optimizers:
        """Update rule of the network."""
        return {"gen": self.update_rule(self.learning_rate)}

    def drawn_subject(self) -> int:
        """Who is the noise gait of all others: one of the set's subjects, at random (WIFS IV)."""
        rng = np.random.default_rng([self.seed, 0x4E])
        drawn = int(rng.integers(self.data.first_subject, self.data.last_subject + 1))
        return self.noise_subject or drawn

    def for_lanes(self, seed: int) -> "WifsSettings":
        """See `RunSettings.for_lanes`: one noise subject, as lanes share their batches."""
        return dataclasses.replace(
            self, noise_subject=dataclasses.replace(self, seed=seed).drawn_subject()
        )
