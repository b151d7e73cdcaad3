"""Milliseconds to turn silhouettes into contour vectors and back, and a walk through G:

    python benchmarks/codec.py [--frames=200] [--out=FILE.json]

A frame's encoding and decoding in each codec, and a person's 50 frames through G without them, in
a batch as `StganAnonymizer.many` fills it. G is not trained: weights do not change the work.
"""

import functools
from collections.abc import Callable

import cases
import jax
import numpy as np
import timing
from absl import flags

from stgan_jax.data.walkers import procedural
from stgan_jax.methods.stgan.anonymizer import StganAnonymizer
from stgan_jax.shapes import contour, identity

_FRAMES = flags.DEFINE_integer("frames", 200, "Silhouettes, 240x240.", lower_bound=10)
timing.define_flags()

_WALK = 50  # frames, a sequence in ST-GAN


def main():
    masks = np.concatenate(
        [
            procedural.silhouettes(seed, view, condition, frames=10, fps=5)
            for seed, view in enumerate(procedural.VIEWS)
            for condition in identity.CONDITIONS
        ]
    )
    masks = masks[np.arange(_FRAMES.value) % len(masks)]
    calls: dict[str, Callable] = {"calibration": timing.calibration()}
    for codec in contour.CODECS:
        vectors = contour.encode(masks, codec)
        calls[f"{codec} encode"] = functools.partial(contour.encode, masks, codec)
        calls[f"{codec} decode"] = functools.partial(contour.decode, vectors, codec)
    case = cases.stgan(1, _WALK)
    model = StganAnonymizer(case.run, case.params())
    walk = contour.to_pixels(np.asarray(case.batch.unit()[0][0]))
    through = f"{_WALK} frames through G"
    calls[through] = functools.partial(model._shapes, [walk], [jax.random.key(0)], [])
    times = timing.interleaved(calls, flags.FLAGS.runs)
    seconds = timing.spreads(times)
    milliseconds = {
        f"{name}, ms": {
            key: round(1e3 * value / (1 if name == through else len(masks)), 4)
            for key, value in each.items()
        }
        for name, each in seconds.items()
        if name != "calibration"
    }
    timing.report(
        {"frames": len(masks), "each": milliseconds, "seconds": seconds},
        timing.by_calibration(times),
    )


if __name__ == "__main__":
    timing.run(main)
