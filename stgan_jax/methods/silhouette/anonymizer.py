"""The trained silhouette-to-silhouette networks as an anonymiser (in the manner of APSIPA 2019)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stgan_jax.methods.api import Anonymizer, Silhouettes
from stgan_jax.methods.retarget.anonymizer import stranger
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.shapes import fields, identity
from stgan_jax.training.state import inference_params

_CHUNK = 64  # frames: walks are filled up to a multiple, so that few shapes are compiled


class SilhouetteAnonymizer(Anonymizer):
    """Draws each silhouette of a walk as another person's, frame by frame."""

    kind = SilhouetteSettings.kind
    alpha = 1.0

    def __init__(self, settings: SilhouetteSettings, params: Mapping[str, Any], digest: str = ""):
        """Takes a trained model as `weights.load_as` gives it."""
        self.params, self.digest = dict(params), digest
        self._nets = settings.nets()
        self._run = jax.jit(self._run_plain)

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """See `Anonymizer.__call__`; input whole or with parts missing.

        Each frame comes out as the largest part that was drawn, without holes.
        """
        out = np.zeros(silhouettes.shape, np.uint8)
        there = np.flatnonzero(silhouettes.any((1, 2)))
        if len(there):
            out[there] = fields.decode(self.draw(silhouettes[there], key))
        return out

    def draw(self, silhouettes: Silhouettes, key: jax.Array) -> Float[np.ndarray, "T 80 80"]:
        """The decoder's output: fields, positive inside, with all their parts."""
        encoded = fields.encode(silhouettes)
        out = np.empty(encoded.shape, np.float32)
        mean, scale = (np.asarray(self.params["people"][name]) for name in ("mean", "scale"))
        person = (identity.vector(stranger(key)) - mean) / scale
        noise = jnp.asarray(person, jnp.float32)[None]
        for start in range(0, len(encoded), _CHUNK):
            part = encoded[start : start + _CHUNK]
            filled = np.zeros((_CHUNK, *part.shape[1:]), np.int8)
            filled[: len(part)] = part
            drawn = self._run(inference_params(self.params), filled, noise)
            out[start : start + len(part)] = np.asarray(drawn)[: len(part)]
        return out

    def _run_plain(self, gen, encoded, noise):
        field = encoded.astype(jnp.float32) / fields.STEPS
        return self._nets.generate(gen, field[None], noise)[0]
