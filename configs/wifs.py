"""The WIFS 2017 baseline: a shared encoder, squared losses (Eq. 5), SGD, a noise gait.

    python launch/train.py --config=configs/wifs.py --workdir=runs/wifs

One of the first 10 subjects, drawn at random, is the noise gait of the others in the same view
(WIFS III-E, IV). 100 epochs as in the paper: 990 sequences, 124 steps an epoch, 30 to 65 minutes
on 2 busy cores. Result: Eq. 5 0.0041, no lower than
after 10 epochs, heads shredded by the padding.
`wifs.py:resampled` uses the other codec.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.wifs.settings import WifsSettings


def get_config(codec: str = "padded") -> config_dict.ConfigDict:
    settings = WifsSettings(
        data=WalkerData(first_subject=1, last_subject=10, frames=50, codec=codec),
        noise_subject=0,  # drawn by the seed
        alpha=0.3,
        steps=12400,
        batch_size=8,
        optimizer="sgd",
        learning_rate=0.1,  # Note: rate and batch size are not in the paper.
        features=16,  # Fig. 5
        kernel=3,  # Fig. 5
        share_encoder=True,  # Eqs. 2, 3
        log_every=50,
        save_every=1000,
        picture_every=2000,
    )
    return config_dict.ConfigDict(settings.to_dict())
