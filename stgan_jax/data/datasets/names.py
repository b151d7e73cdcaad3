"""What a sequence of a dataset is called."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WalkName:
    """What is known of a stored sequence without reading it."""

    subject: int
    condition: str
    repetition: int
    view: int
    frames: int
    clothes: str = "unknown"
    completeness: str = "unknown"

    @property
    def name(self) -> str:
        """CASIA-B's name of the walk, as in nm-01."""
        return f"{self.condition}-{self.repetition:02d}"
