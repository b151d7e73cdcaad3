"""Milliseconds to turn silhouettes into contour vectors and back, and a walk through G:

    python benchmarks/codec.py [--frames=200] [--out=FILE.json]

A frame's encoding and decoding in each codec, and a person's 50 frames through
`anonymize_contours`, by a G that is not trained: weights do not change the work.
"""

import functools
from collections.abc import Callable

import cases
import jax
import numpy as np
import timing
from absl import flags

from stgan_jax import anonymizer, contour
from stgan_jax.data import identity, walkers

_FRAMES = flags.DEFINE_integer("frames", 200, "Silhouettes, 240x240.", lower_bound=10)
timing.define_flags()

_WALK = 50  # frames, a sequence in ST-GAN


def main():
    masks = np.concatenate([
        walkers.silhouettes(seed, view, condition, frames=10, fps=5)
        for seed, view in enumerate(walkers.VIEWS) for condition in identity.CONDITIONS
    ])[np.arange(_FRAMES.value) % 330]  # fmt: skip
    calls: dict[str, Callable] = {"calibration": timing.calibration()}
    for codec in contour.CODECS:
        vectors = contour.encode(masks, codec)
        calls[f"{codec} encode"] = functools.partial(contour.encode, masks, codec)
        calls[f"{codec} decode"] = functools.partial(contour.decode, vectors, codec)
    case = cases.stgan(1, _WALK)
    model = anonymizer.Model(case.nets, case.params(), "resampled", case.run.alpha)
    walk, key = contour.to_pixels(contour.fixed_to_unit(case.gaits[0])), jax.random.key(0)
    through = f"{_WALK} frames through G"
    calls[through] = lambda: anonymizer.anonymize_contours(model, walk, key)
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
