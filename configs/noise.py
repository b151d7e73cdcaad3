"""The noise GAN G_N / D_N (ST-GAN 3.3), pre-trained before ST-GAN.

    python launch/train.py --config=configs/noise.py --workdir=runs/noise

On the 10 subjects that ST-GAN 4 sets aside for it: 6 minutes on one core. Sizes and rates are our
choice: the paper gives none. Result (`benchmarks/noise_quality.py`): best IoU with unseen people
0.902 (real ones 0.904), alike among each other 0.610 (0.562), whole and simple 0.992.
`noise.py:demo` is smaller in data; `noise.py:paper` is the plain GAN on padded contours, without
what keeps it from collapsing: crumpled polygons after 8000 steps.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.stgan.settings import NoiseSettings


def get_config(size: str = "full") -> config_dict.ConfigDict:
    settings = NoiseSettings(
        data=WalkerData(first_subject=51, last_subject=60, codec="resampled"),
        steps=24000,
        batch_size=256,
        learning_rate=4e-4,
        schedule="cosine",
        beta1=0.5,
        seed_size=64,
        # Note: not in the paper. Without: best IoU 0.891, alike 0.584, whole and simple 0.975.
        truncation=0.78,
        # Note: principal components instead of 4000 free coordinates; 0 is the plain GAN.
        basis_size=64,
        # Note: not in the paper; without the two, samples gather on a few contours.
        r1=0.1,
        ema=0.999,
        hold=True,
        steps_per_call=10,
        log_every=50,
        save_every=2000,
        evaluate_every=1000,
        picture_every=2000,
    )
    config = config_dict.ConfigDict(settings.to_dict())
    if size not in ("full", "demo", "paper"):
        raise ValueError(f"unknown size {size!r}: choose full, demo or paper")
    if size != "full":
        config.steps, config.schedule, config.truncation = 8000, "constant", 1.0
        config.hold, config.steps_per_call = False, 1
    if size == "demo":  # minutes on 2 cores; the networks keep their size
        config.data.walks = ("nm-01", "bg-01", "cl-01")
        config.steps = config.save_every = config.evaluate_every = 4000
    elif size == "paper":
        config.data.codec = "padded"
        config.basis_size, config.r1, config.ema = 0, 0.0, 0.0
    return config
