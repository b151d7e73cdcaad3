"""A trained ST-GAN as an anonymiser."""

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stgan_jax.methods.api import Anonymizer, Contours, Course, Silhouettes, walk_keys
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.shapes import contour

if TYPE_CHECKING:
    from stgan_jax.data.datasets.names import WalkName

_ROWS, _FRAMES = 8, 16  # a call of G in `many`: one compiled shape for any people and lengths


class StganAnonymizer(Anonymizer):
    """G with one noise for each walk, or with noise that walks in step."""

    kind = StganSettings.kind

    def __init__(self, settings: StganSettings, params: dict[str, Any], digest: str = ""):
        """Takes a trained model as `weights.load_as` gives it."""
        self.codec, self.alpha, self.digest = settings.data.codec, settings.alpha, digest
        self._nets, self._params = settings.nets(), params
        self._noise_model = None
        if settings.noise == "gait":
            self._noise_model = RetargetAnonymizer.load(settings.noise_checkpoint)
            self.whole = True
            self.digest = f"{digest} {self._noise_model.digest}" if digest else ""

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """See `Anonymizer.__call__`."""
        return self.many([silhouettes], [key])[0]

    def many(self, walks: Sequence[np.ndarray], keys: Sequence[jax.Array]) -> list[np.ndarray]:
        """See `Anonymizer.many`: pieces of `_FRAMES` frames of any walks, `_ROWS` a call of G."""
        encoded = [contour.encode(walk, self.codec) for walk in walks]
        noise = []
        if self._noise_model is not None:
            noise = [
                self._noise_model.noise_gait(contour.to_unit(walk), key)
                for walk, key in zip(encoded, keys, strict=True)
            ]
        return self._decoded(encoded, keys, noise)

    def in_pieces(
        self,
        crops: Callable[[range], np.ndarray],
        frames: int,
        key: jax.Array,
        track: Course | None = None,
    ) -> Iterator[tuple[range, np.ndarray]]:
        """See `Anonymizer.in_pieces`: the noise gait is of the whole walk."""
        assert self._noise_model is not None
        noise_model = self._noise_model.in_own_step()
        for piece, drawn in noise_model.in_pieces(crops, frames, key, track):
            noise = contour.to_unit(contour.encode(drawn, "resampled"))
            own = contour.encode(crops(piece), self.codec)
            yield piece, self._decoded([own], [key], [noise])[0]

    def _decoded(
        self,
        encoded: Sequence[np.ndarray],
        keys: Sequence[jax.Array],
        noise: Sequence[np.ndarray],
    ) -> list[np.ndarray]:
        """Silhouettes of walks of contours in pixels; who is not there stays away."""
        out = []
        for own, anonymized in zip(encoded, self._shapes(encoded, keys, noise), strict=True):
            anonymized[~own.any(-1)] = 0.0
            out.append(contour.decode(anonymized, self.codec))
        return out

    def _shapes(
        self, walks: Sequence[np.ndarray], keys: Sequence[jax.Array], noise: Sequence[np.ndarray]
    ) -> list[Float[np.ndarray, "_ 4000"]]:
        """Anonymised contours in pixels of walks of contours in pixels, and of noise gaits."""
        out = [np.empty(walk.shape, np.float32) for walk in walks]
        pieces = [(n, t) for n, walk in enumerate(walks) for t in range(0, len(walk), _FRAMES)]
        for start in range(0, len(pieces), _ROWS):
            batch = pieces[start : start + _ROWS]
            own, beside = np.zeros((2, _ROWS, _FRAMES, contour.DIM), np.float32)
            for row, (n, t) in enumerate(batch):
                part = walks[n][t : t + _FRAMES]
                own[row, : len(part)] = contour.to_unit(part)
                if len(noise):
                    beside[row, : len(part)] = noise[n][t : t + _FRAMES]
            # A batch that is not full is filled up with its first walk.
            rows = jnp.stack([keys[n] for n, _ in batch + batch[:1] * (_ROWS - len(batch))])
            drawn = beside if len(noise) else _sample(self._nets, self._params, rows)
            shapes = _generate(self._nets, self._params, own, drawn)
            pixels = contour.to_pixels(np.asarray(shapes))
            for row, (n, t) in enumerate(batch):
                out[n][t : t + _FRAMES] = pixels[row, : len(out[n]) - t]
        return out

    def unit_contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """See `Anonymizer.unit_contours`."""
        keys = walk_keys(walks, seed)
        if self._noise_model is None:
            noise = _sample(self._nets, self._params, keys)
        else:
            each = zip(own, keys, strict=True)
            noise = np.stack([_kept_noise_gait(self._noise_model, *one) for one in each])
        return np.asarray(_generate(self._nets, self._params, own, noise))


@functools.partial(jax.jit, static_argnums=0)
def _sample(nets, params, keys) -> Float[Array, "B 4000"]:
    return jax.vmap(lambda key: nets.noise.sample(params, key, 1)[0])(keys)


@functools.partial(jax.jit, static_argnums=0)
def _generate(nets, params, contours: Float[Array, "B T 4000"], noise) -> Float[Array, "B T 4000"]:
    return nets.anonymize(params, contours, noise)


_KEPT: dict[tuple, bytes] = {}  # silhouettes of noise gaits, packed and compressed


def _kept_noise_gait(
    model: RetargetAnonymizer, own: Float[np.ndarray, "T 4000"], key: jax.Array
) -> Float[np.ndarray, "T 4000"]:
    """`RetargetAnonymizer.noise_gait`, kept while the process lasts, some 20 kB a walk.

    Drawing noise gaits is most of a walk's time, and lanes of a sweep have the same ones.
    """
    bits = np.asarray(jax.random.key_data(key)).tobytes()
    which = model.digest, zlib.crc32(own.tobytes()), bits
    if which not in _KEPT:
        drawn = model.noise_silhouettes(own, key)
        _KEPT[which] = zlib.compress(np.packbits(drawn).tobytes(), 1)
    packed = np.unpackbits(np.frombuffer(zlib.decompress(_KEPT[which]), np.uint8))
    silhouettes = packed[: len(own) * contour.SIZE**2].reshape(-1, contour.SIZE, contour.SIZE)
    return contour.to_unit(contour.encode(silhouettes, "resampled"))
