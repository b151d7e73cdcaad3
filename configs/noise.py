"""The noise GAN G_N / D_N (ST-GAN 3.3), pre-trained before ST-GAN.

    python launch/train.py --config=configs/noise.py --workdir=runs/noise

On the 10 subjects that ST-GAN 4 sets aside for it: 3 minutes on 2 cores. Sizes and rates
are our choice: the paper gives none.
"""

from ml_collections import config_dict


def get_config(size: str = "full") -> config_dict.ConfigDict:
    config = config_dict.create(
        kind="noise",
        seed=0,
        data=dict(
            first_subject=51,
            last_subject=60,
            views=tuple(range(0, 181, 18)),
            walks=("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06",
                   "bg-01", "bg-02", "cl-01", "cl-02"),
            frames=50,
            codec="resampled",  # "padded" as in the papers
        ),
        steps=8000,
        batch_size=256,
        learning_rate=4e-4,
        beta1=0.5,
        seed_size=64,
        # Note: principal components instead of 4000 free coordinates; 0 is the plain GAN.
        basis_size=64,
        # Note: not in the paper; without the two, samples gather on a few contours.
        r1=0.1,
        ema=0.999,
        log_every=50,
        save_every=2000,
    )  # fmt: skip
    if size == "demo":  # minutes on 2 cores; the networks keep their size
        config.data.walks = ("nm-01", "bg-01", "cl-01")
        config.steps = 4000
        config.save_every = 4000
    elif size != "full":
        raise ValueError(f"unknown size {size!r}: choose full or demo")
    return config
