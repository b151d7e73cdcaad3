"""Silhouette-to-silhouette anonymiser, in the manner of APSIPA 2019.

    python launch/train.py --config=configs/silhouette.py --workdir=runs/silhouette

Pairs of procedural walkers are rendered as it starts, some minutes; then 13 minutes on 2 cores
that were busy. Result: silhouettes of 50 unseen pairs overlap those wanted by 0.803 (IoU; 0.762
after 1200 steps on a schedule of their own). The weights are in the package, what they make of
broken silhouettes in benchmarks/experiments/color.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import RenderedData
from stgan_jax.methods.silhouette.settings import SilhouetteSettings


def get_config() -> config_dict.ConfigDict:
    settings = SilhouetteSettings(
        data=RenderedData(walks=1200, validation_walks=50, frames=4),
        code_size=24,
        widths=(8, 16, 32, 64),
        adversarial_weight=0.3,
        steps=4800,
        batch_size=8,
        learning_rate=1e-3,
        disc_learning_rate=2e-4,
        schedule="cosine",
        log_every=50,
        save_every=800,
        evaluate_every=800,
        picture_every=800,
    )
    return config_dict.ConfigDict(settings.to_dict())
