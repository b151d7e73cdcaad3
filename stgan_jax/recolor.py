"""A trained colour network at work: colours for an anonymised silhouette (Colour 2020)."""

import os
from collections.abc import Mapping
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from stgan_jax import contour, weights
from stgan_jax.models.color import SIZE, blended
from stgan_jax.settings import ColorSettings
from stgan_jax.steps import used
from stgan_jax.video import head

_AROUND = 0.08  # of the stature: how far beyond the silhouette somebody's own pixels are looked for


class Recolorer:
    """Gives anonymised silhouettes the original's colours.

    Attributes:
      settings: of the network's training.
      params: of the network.
    """

    def __init__(self, settings: ColorSettings, params: Mapping[str, Any]):
        """Takes what `weights.load` or a checkpoint gives."""
        self.settings, self.params = settings, used(params)
        self._net = settings.net()
        self._run = jax.jit(self._run_plain)

    @classmethod
    def load(cls, source: str | os.PathLike = "color") -> "Recolorer":
        """Of the weights that come with the package, by name, or of a training's folder.

        Raises:
          InputError: there is no such thing, or it is of another kind of model.
        """
        return cls(*weights.trained(source, ColorSettings))

    def __call__(
        self, colors: UInt8[np.ndarray, "T S S 3"], anonymized: UInt8[np.ndarray, "T S S"]
    ) -> UInt8[np.ndarray, "T S S 3"]:
        """Phi(x_bi, x_rgb) * x_bi in the network's resolution.

        Args:
          colors: crops of frames, RGB.
          anonymized: new silhouettes, 0 or 1.
        """
        made, kept = self._run(self.params, colors, anonymized)
        shown = blended(jnp.asarray(colors) / 255.0, jnp.asarray(anonymized) * 1.0, made, kept)
        return np.rint(np.asarray(shown) * 255).astype(np.uint8)

    def paint(
        self,
        canvas: UInt8[np.ndarray, "H W 3"],
        frame: UInt8[np.ndarray, "H W 3"],
        own: UInt8[np.ndarray, "H W"],
        anonymized: UInt8[np.ndarray, "H W"],
        square: Int[np.ndarray, "3"],
        stature: head.Stature = head.UNKNOWN,
    ) -> None:
        """Paints one person onto a canvas that shows the scene, in place; see `color.paint`.

        What the network sees of the frame is the person and what is near, elsewhere the canvas, so
        that nobody else gets through; at the head, whose own pixels alone are made unrecognisable,
        nothing but the silhouette. Kept colours are the frame's, in its own resolution.

        Args:
          canvas: starts as the scene.
          frame: the original, the head hidden.
          own: silhouette, 0/1.
          anonymized: the new silhouette, 0/1.
          square: the person's crop (top, left, side); it may reach beyond the frame.
          stature: as far as it is known.
        """
        if not anonymized.any() or not own.any():
            return
        source = np.where(self._near(own, stature)[..., None] > 0, frame, canvas)
        side = int(square[2])
        seen = contour.crop(source, square, SIZE)
        made, kept = self._run(
            self.params, seen[None], contour.crop_mask(anonymized, square, SIZE)[None]
        )
        share, own_colors = np.asarray(kept)[0], np.asarray(made)[0] * 255
        maps = np.concatenate([share[..., None], own_colors * (1 - share[..., None])], -1)
        shape, top, left = canvas.shape[:2], int(square[0]), int(square[1])
        full = cv2.resize(maps, (side, side), interpolation=cv2.INTER_LINEAR)
        rows = slice(max(top, 0), min(top + side, shape[0]))
        columns = slice(max(left, 0), min(left + side, shape[1]))
        inner = full[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        cover = cv2.blur(anonymized.astype(np.float32), (3, 3))[rows, columns, None]
        part = canvas[rows, columns]
        colors = inner[..., :1] * source[rows, columns] + inner[..., 1:]
        part[:] = np.clip(np.rint(part + cover * (colors - part)), 0, 255).astype(np.uint8)

    def _near(
        self, own: UInt8[np.ndarray, "H W"], stature: head.Stature
    ) -> UInt8[np.ndarray, "H W"]:
        rows = np.flatnonzero(own.any(1))
        reach = max(1, round(_AROUND * max(stature.most, len(rows))))
        near = cv2.dilate(own, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        last = int(np.flatnonzero(head.mask(own, stature).any(1))[-1]) + 1
        near[:last] = own[:last]
        return near

    def _run_plain(self, params, colors, anonymized):
        given = colors.astype(jnp.float32) / 255.0, anonymized.astype(jnp.float32)
        return self._net.apply(params, *given)
