"""Names of a dataset's sequences."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WalkName:
    """What is known of a stored sequence without reading it.

    Attributes:
      subject: number of the person.
      condition: "nm", "bg" (bag) or "cl" (coat).
      repetition: number of the walk in its condition, from 1.
      view: degrees.
      frames: length.
      clothes, completeness: see `records.ColorWalk`; "unknown" outside colour sets.
    """

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
