"""Milliseconds a frame to turn silhouettes into contour vectors and back:

python benchmarks/codec.py [--frames=200] [--out=FILE.json]
"""

import numpy as np
import timing
from absl import app, flags

from stgan_jax import contour
from stgan_jax.data import identity, walkers

_FRAMES = flags.DEFINE_integer("frames", 200, "Silhouettes, 240x240.", lower_bound=10)
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")


def main(_):
    masks = np.concatenate([
        walkers.silhouettes(seed, view, condition, frames=10, fps=5)
        for seed, view in enumerate(walkers.VIEWS) for condition in identity.CONDITIONS
    ])[np.arange(_FRAMES.value) % 330]  # fmt: skip
    results = {}
    for codec in contour.CODECS:
        vectors = contour.encode(masks, codec)
        for name, function in (
            ("encode", lambda codec=codec: contour.encode(masks, codec)),
            ("decode", lambda codec=codec, vectors=vectors: contour.decode(vectors, codec)),
        ):
            seconds = timing.call(function)
            results[f"{codec} {name}, ms a frame"] = {
                key: round(1e3 * value / len(masks), 4) for key, value in seconds.items()
            }
    timing.report(results, _OUT.value)


if __name__ == "__main__":
    app.run(main)
