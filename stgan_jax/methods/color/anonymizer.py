"""The trained colour network: colours for an anonymised silhouette (Colour 2020)."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from stgan_jax.methods import weights
from stgan_jax.methods.color.networks import blended
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.training.state import inference_params


class Recolorer:
    """Colours anonymised silhouettes by the original's colours.

    Attributes:
      settings: the settings of the network's training.
      params: the network's parameters.
    """

    def __init__(self, settings: ColorSettings, params: Mapping[str, Any]):
        """Takes settings and parameters as weights and checkpoints hold them."""
        self.settings, self.params = settings, inference_params(params)
        self._net = settings.net()
        self._apply = jax.jit(self._apply_net)

    @classmethod
    def load(cls, source: str | os.PathLike = "color") -> "Recolorer":
        """Loads the package's weights by name, or a training's folder.

        Raises:
          InputError: there is no such thing, or it is another kind of model.
        """
        return cls(*weights.load_as(source, ColorSettings))

    def __call__(
        self, colors: UInt8[np.ndarray, "T S S 3"], silhouettes: UInt8[np.ndarray, "T S S"]
    ) -> UInt8[np.ndarray, "T S S 3"]:
        """Phi(x_bi, x_rgb) * x_bi in the network's resolution.

        Args:
          colors: crops of frames, RGB.
          silhouettes: the anonymised ones, 0 or 1.
        """
        drawn, kept = self.maps(colors, silhouettes)
        unit, inside = jnp.asarray(colors) / 255.0, jnp.asarray(silhouettes) * 1.0
        return np.rint(np.asarray(blended(unit, inside, drawn, kept)) * 255).astype(np.uint8)

    def maps(
        self, colors: UInt8[np.ndarray, "T S S 3"], silhouettes: UInt8[np.ndarray, "T S S"]
    ) -> tuple[Float[Array, "T S S 3"], Float[Array, "T S S"]]:
        """The network's output for the arguments of a call, see `networks.ColorNet`.

        Returns:
          the network's own colours, RGB in [0, 1], and the share of the original's to keep.
        """
        return self._apply(self.params, colors, silhouettes)

    def _apply_net(self, params, colors, silhouettes):
        inputs = colors.astype(jnp.float32) / 255.0, silhouettes.astype(jnp.float32)
        return self._net.apply(params, *inputs)
