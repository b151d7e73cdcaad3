"""Batches of walks by name: what data modules yield and training steps take."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, UInt8, UInt16

from stgan_jax.shapes import contour

Arrays = Array | np.ndarray


class Gaits(NamedTuple):
    """Walks, fixed-point, see `contour.to_fixed`.

    Attributes:
      contours: original gaits Y.
    """

    contours: UInt8[Arrays, "B T 4000"] | UInt16[Arrays, "B T 4000"]

    def unit(self) -> tuple[Any, None]:
        """The gaits in [0, 1], float32 (B, T, 4000); no noise comes with them."""
        return contour.fixed_to_unit(self.contours), None


class GaitPairs(NamedTuple):
    """Walks with a noise gait each, fixed-point.

    Attributes:
      contours: each original gait Y (X_1 in WIFS 2017), and after it its noise gait (X_2).
    """

    contours: UInt8[Arrays, "B 2 T 4000"] | UInt16[Arrays, "B 2 T 4000"]

    def unit(self) -> tuple[Any, Any]:
        """The original gaits and their noise gaits in [0, 1], float32 (B, T, 4000) each."""
        pairs = contour.fixed_to_unit(self.contours)
        return pairs[:, 0], pairs[:, 1]
