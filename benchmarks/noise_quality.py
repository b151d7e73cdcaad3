"""Do the noise contours pass for people? Compared with real walkers nobody trained on.

    python benchmarks/noise_quality.py [--checkpoint=runs/noise]

Of G_N's samples (`noise="gan"`) and of frames of noise gaits (`noise="gait"`: walks of subjects
21-30 with another person's body), prints the mean of each contour's best intersection over union
with all 220,000 silhouettes of subjects 85-124 (11 views, ten walks, every frame); how alike they
are among each other; and the share that is one piece and does not cross itself. Real walkers, of
subjects 31-50, show how much can be asked for.
"""

import cv2
import jax
import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import naturalness
from stgan_jax.methods import weights
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.stgan.settings import NoiseSettings
from stgan_jax.shapes import contour, likeness
from stgan_jax.util import grids
from stgan_jax.util.errors import one_sentence, parse_flags

_CHECKPOINT = flags.DEFINE_string("checkpoint", "noise", "Weights or --workdir of noise.py.")
_GAIT = flags.DEFINE_string("gait", "retarget", "Weights or --workdir of retarget.py.")
_PICTURE = flags.DEFINE_string("picture", None, "PNG to write: the 32 samples least like people.")
_WALKS = tuple(f"nm-0{i}" for i in range(1, 7)) + ("bg-01", "bg-02", "cl-01", "cl-02")
_SOME = ("nm-01", "nm-03", "bg-01", "cl-01")
_SAMPLES = 512


def _contours(subjects: range, walks: tuple[str, ...]) -> np.ndarray:
    """Resampled contours (walks, 50, 4000) of real walkers, in fixed point, people in order."""
    return procedural.contours(subjects, procedural.VIEWS, walks, 50, "resampled")


def _in_step() -> np.ndarray:
    """Frames of noise gaits, as many as samples."""
    model = RetargetAnonymizer.load(_GAIT.value)
    gaits = _contours(range(21, 31), _SOME)
    frames, chosen = 10, np.random.default_rng(1).permutation(len(gaits))
    chosen = chosen[: -(-_SAMPLES // frames)]
    keys = jax.random.split(jax.random.key(8), len(chosen))
    noise = [
        model.noise_gait(np.asarray(contour.fixed_to_unit(gaits[i])), key)[:: 50 // frames]
        for i, key in tqdm([*zip(chosen, keys, strict=True)], "noise gaits", unit="walk")
    ]
    return np.concatenate(noise)[:_SAMPLES]


def _unit(contours: np.ndarray) -> np.ndarray:
    return np.asarray(contour.fixed_to_unit(contours.reshape(-1, contour.DIM)))


def _silhouettes(contours: np.ndarray) -> np.ndarray:
    return contour.decode(contour.to_pixels(contours), "resampled")


def main(_):
    with one_sentence():
        settings, params = weights.load_as(_CHECKPOINT.value, NoiseSettings)
        samples = settings.nets().sample(params, jax.random.key(7), _SAMPLES)
        real = _unit(_contours(range(31, 51), _SOME)[:, ::10])
        chosen = np.random.default_rng(0).permutation(len(real))[:_SAMPLES]
        contours = {"walkers": real[chosen], "G_N": np.asarray(samples), "in step": _in_step()}
        masks = {name: _silhouettes(values) for name, values in contours.items()}
        best = dict.fromkeys(masks, np.zeros(_SAMPLES))
        everybody = np.split(_contours(range(85, 125), _WALKS), 40)
        for own in tqdm(everybody, "comparing", unit="person"):
            people = _silhouettes(_unit(own))
            for name, drawn in masks.items():
                near = likeness.best_iou(drawn[:, ::2, ::2], people[:, ::2, ::2])
                best[name] = np.maximum(best[name], near)
        for name, drawn in masks.items():
            crossing = naturalness.self_crossing(contour.to_pixels(contours[name]))
            whole = naturalness.one_piece(drawn) & (crossing == 0)
            alike = likeness.pairwise_iou(drawn[:, ::2, ::2])
            print(
                f"{name:8} best IoU {best[name].mean():.3f}, among each other {alike:.3f}, "
                f"whole and simple {whole.mean():.3f}"
            )
        if _PICTURE.value:
            worst = np.argsort(best["G_N"])[:32]
            cv2.imwrite(_PICTURE.value, grids.grid(masks["G_N"][worst]))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
