"""Settings of retargeting."""

import dataclasses
from typing import Any, ClassVar

from stgan_jax.data.selection import RenderedData
from stgan_jax.methods.retarget.networks import WalkReader
from stgan_jax.training.settings import ValidatedSettings
from stgan_jax.training.state import Optimizers
from stgan_jax.util.checked import require, require_positive
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetargetSettings(ValidatedSettings):
    """Training of the network that reads gaits, to be drawn as other people's.

    Attributes:
      window: frames that a frame is read from, odd, and again of what is read so.
      width: units that a frame is reduced to before it is seen beside others.
      learning_rate: rate for the reader.
      initial: weights that the training starts from, as `--checkpoint` takes them; "" for none.
    """

    kind: ClassVar[str] = "retarget"
    TRACED: ClassVar[tuple[str, ...]] = ("learning_rate",)

    data: RenderedData = dataclasses.field(default_factory=RenderedData)
    window: int = 15
    width: int = 128
    learning_rate: float = 1e-3
    initial: str = ""

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "learning_rate", "window", "width")
        require(self.window % 2 == 1, "window must be odd")

    def nets(self) -> WalkReader:
        """The reader that these settings describe."""
        return WalkReader(self.window, self.width)

    def optimizers(self) -> Optimizers:
        """The reader's update rule."""
        return {"gen": self.update_rule(self.learning_rate)}

    @classmethod
    def upgraded(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See `RunSettings.upgraded`; networks that drew bodies themselves are refused."""
        if "components" in values:
            raise InputError(
                "a retargeting model of an earlier version, whose networks drew the bodies: train "
                "it again, or use commit ebdad74"
            )
        return super().upgraded(values)
