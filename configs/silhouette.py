"""Silhouette-to-silhouette anonymiser, in the manner of APSIPA 2019.

    python launch/train.py --config=configs/silhouette.py --workdir=runs/silhouette

Written and tried for a few steps; it has not been trained to its end yet, so that there are neither
figures nor weights.
"""

from ml_collections import config_dict

from stgan_jax.settings import PairData, SilhouetteSettings, to_dict


def get_config() -> config_dict.ConfigDict:
    settings = SilhouetteSettings(
        data=PairData(walks=1200, validation_walks=50, frames=4),
        code_size=24,
        widths=(8, 16, 32, 64),
        temporal=False,
        adversarial_weight=0.3,
        steps=1200,
        batch_size=8,
        learning_rate=1e-3,
        disc_learning_rate=2e-4,
        schedule="cosine",
        log_every=50,
        save_every=200,
        evaluate_every=200,
        picture_every=200,
    )
    return config_dict.ConfigDict(to_dict(settings))
