"""The trained WIFS network as an anonymiser."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stgan_jax.methods import contours
from stgan_jax.methods.api import Anonymizer, Contours, walk_number
from stgan_jax.methods.wifs.settings import WifsSettings
from stgan_jax.shapes import contour
from stgan_jax.training.state import inference_params
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from stgan_jax.data.datasets.names import WalkName


class WifsAnonymizer(Anonymizer):
    """Adds the noise subject's gait in the same view, which has to be known."""

    kind = WifsSettings.kind

    def __init__(self, settings: WifsSettings, params: dict[str, Any], digest: str = ""):
        """Takes a trained model as `weights.load_as` gives it."""
        self.codec, self.alpha, self.digest = settings.data.codec, settings.alpha, digest
        self._subject = settings.drawn_subject()
        self._source = contours.source_of(
            dataclasses.replace(
                settings.data, first_subject=self._subject, last_subject=self._subject
            )
        )
        net = settings.net()
        self._modify = jax.jit(lambda own, noise: net.apply(inference_params(params), own, noise))

    def require_video(self) -> None:
        """Raises `InputError`: a video does not tell the view."""
        raise InputError(
            f"{self.name or self.kind}: holds a 'wifs' model, which needs to know each walk's "
            "view and anonymises no videos: choose another --checkpoint"
        )

    def unit_contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """See `Anonymizer.unit_contours`."""
        noise = np.stack([self._noise_gait(walk, seed, own.shape[1]) for walk in walks])
        return np.asarray(self._modify(own, jnp.asarray(noise)))

    def _noise_gait(self, walk: "WalkName", seed: int, frames: int) -> Float[np.ndarray, "T 4000"]:
        """One of the noise subject's gaits in this view, as long as the walk."""
        in_view = [i for i, other in enumerate(self._source.walks) if other.view == walk.view]
        if not in_view:
            raise InputError(
                f"the noise gait (subject {self._subject}) is not known from {walk.view} degrees: "
                "train with --config.data.views that hold it"
            )
        rng = np.random.default_rng(walk_number(walk, seed))
        index = np.array([in_view[rng.choice(len(in_view))]])
        noise = contour.fixed_to_unit(self._source.fetch(index, index).contours)[0]
        return noise[np.arange(frames) % len(noise)]
