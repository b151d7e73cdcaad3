"""Retargeting: a gait is read and drawn as another walker's. Not in the papers.

    python launch/train.py --config=configs/retarget.py --workdir=runs/retarget

Walks of procedural walkers, recorded badly, are rendered as it starts (0.8 GB, held in memory; 10
minutes on one core at 0.03 s a walk), and the reader learns from them, some 20 steps a second on
one core. Drawing needs no training. Not run to its end: docs/models.md says where the package's
weights come from.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import RenderedData
from stgan_jax.methods.retarget.settings import RetargetSettings


def get_config(size: str = "full") -> config_dict.ConfigDict:
    settings = RetargetSettings(
        data=RenderedData(walks=20000, validation_walks=100, frames=24),
        steps=24000,
        batch_size=20,
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=100,
        window=15,
        width=128,
        hold=True,
        steps_per_call=10,
        log_every=50,
        save_every=500,
        evaluate_every=2000,
        picture_every=8000,
    )
    config = config_dict.ConfigDict(settings.to_dict())
    if size == "demo":  # minutes on 2 cores; the networks keep their size
        config.data.walks, config.steps = 800, 600
        config.save_every = config.evaluate_every = config.picture_every = 300
    elif size == "tuned":  # from the package's weights, which learnt from former walkers
        config.initial, config.learning_rate = "retarget", 4e-4
        config.data.walks, config.steps, config.evaluate_every = 12000, 3000, 500
    elif size != "full":
        raise ValueError(f"unknown size {size!r}: choose full, tuned or demo")
    return config
