"""Do the noise contours pass for people? G_N's samples beside real walkers nobody trained on.

    python benchmarks/noise_quality.py --checkpoint=runs/noise

Prints, for both, the mean of each contour's best intersection over union with 29,920 silhouettes of
subjects 85-124 (11 views, four walks, every third frame); how alike samples are among each other;
and the share that is one piece and does not cross itself. The real walkers, of subjects 31-50, show
how much can be asked for.
"""

import cv2
import jax
import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax import checkpoint, contour
from stgan_jax.data import walkers
from stgan_jax.errors import one_sentence, parse_flags
from stgan_jax.evaluation import naturalness, noise
from stgan_jax.settings import NoiseSettings, from_dict

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "--workdir of noise.py.", required=True)
_PICTURE = flags.DEFINE_string("picture", None, "PNG to write: the 32 samples least like people.")
_WALKS = ("nm-01", "nm-03", "bg-01", "cl-01")
_SAMPLES = 512


def _walkers(subjects: range, stride: int) -> np.ndarray:
    """Resampled contours (N, 4000) of real walkers, in [0, 1]."""
    gaits = walkers.contours(subjects, walkers.VIEWS, _WALKS, 50, "resampled")[:, ::stride]
    return np.asarray(contour.fixed_to_unit(gaits.reshape(-1, contour.DIM)))


def _silhouettes(contours: np.ndarray) -> np.ndarray:
    return contour.decode(contour.to_pixels(contours), "resampled")


def main(_):
    with one_sentence():
        saved = checkpoint.load(_CHECKPOINT.value, NoiseSettings.kind)
        settings = from_dict(saved.settings)
        assert isinstance(settings, NoiseSettings)
        samples = settings.nets().sample(saved.params(), jax.random.key(7), _SAMPLES)
        real = _walkers(range(31, 51), 10)
        chosen = np.random.default_rng(0).permutation(len(real))[:_SAMPLES]
        contours = {"walkers": real[chosen], "G_N": np.asarray(samples)}
        masks = {name: _silhouettes(values) for name, values in contours.items()}
        best = dict.fromkeys(masks, np.zeros(_SAMPLES))
        for subject in tqdm(range(85, 125), "comparing", unit="person"):
            people = _silhouettes(_walkers(range(subject, subject + 1), 3))
            for name, drawn in masks.items():
                near = noise.best_iou(drawn[:, ::2, ::2], people[:, ::2, ::2])
                best[name] = np.maximum(best[name], near)
        for name, drawn in masks.items():
            crossing = naturalness.self_crossing(contour.to_pixels(contours[name]))
            whole = naturalness.one_piece(drawn) & (crossing == 0)
            print(
                f"{name:8} best IoU {best[name].mean():.3f}, among each other "
                f"{noise.pairwise_iou(drawn[:, ::2, ::2]):.3f}, whole and simple {whole.mean():.3f}"
            )
        if _PICTURE.value:
            worst = np.argsort(best["G_N"])[:32]
            cv2.imwrite(_PICTURE.value, noise.grid(masks["G_N"][worst]))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
