"""Colour transfer (Colour 2020), and the network of its baseline (APSIPA 2019).

    python launch/train.py --config=configs/color.py --workdir=runs/color
    python launch/train.py --config=configs/color.py:baseline --workdir=runs/color_baseline

Wants synthetic_walkers/rgb built, in the folder that --config.data.data_dir names; of casia_b/rgb
(--config.data.dataset) it has not been tried. Examples are cut out first, 2 to 3 minutes; then 1200
steps in 14 minutes on 2 cores that had much else to do, the baseline's in 7 by a step that is now
faster. Result: on unseen people L_Rec 0.026 and L_Style 5.96, from 16.8 after 40 steps; the
baseline's distance 0.124. The weights are in the package, tables and pictures in
benchmarks/experiments/color.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import ColorData
from stgan_jax.methods.color.settings import ColorSettings


def get_config(which: str = "transfer") -> config_dict.ConfigDict:
    settings = ColorSettings(
        data=ColorData(first_subject=51, last_subject=76, frames=5),
        validation_subjects=(77, 84),
        alpha=0.2,
        radius=2,
        center="overlap",
        steps=1200,
        batch_size=16,
        accumulate=4,  # two and two at a time: 1.5 times as fast on 2 cores; 1 on an accelerator
        learning_rate=1.5e-3,
        schedule="cosine",
        warmup_steps=100,
        clip_norm=1.0,
        jitter=0.3,
        log_every=20,
        save_every=300,
        evaluate_every=300,
        picture_every=300,
    )
    config = config_dict.ConfigDict(settings.to_dict())
    if which == "baseline":
        config.form, config.target = "plain", "pseudo"
    elif which != "transfer":
        raise ValueError(f"unknown network {which!r}: choose transfer or baseline")
    return config
