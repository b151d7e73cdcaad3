"""ST-GAN (Tieu et al. 2019), in the form in which alpha steers and the legs keep swinging.

    python launch/train.py --config=configs/stgan.py --workdir=runs/stgan
    python launch/train.py --config=configs/stgan.py:static --workdir=runs/stgan_static

On the paper's 16 training subjects (1,760 sequences of 50 frames). What it gives, and what each
departure from the paper is worth: benchmarks/experiments/stgan.

`static` has one contour of G_N for all frames, as the paper does (the package's weights of
configs/noise.py; or a training of it, by --config.noise_checkpoint=runs/noise):
0.21 of the way to the noise; rank-1 of 40 unseen walkers by gait energy images, views 0, 54, 90:
1.00 before, 0.38, 0.48, 0.50 after, chance 0.03. The validation loss is least after 400 to 600
steps (`best`): later D_S and D_T pull the share below what alpha asks for.
"""

from ml_collections import config_dict

from stgan_jax.settings import StganSettings, WalkerData, to_dict


def get_config(size: str = "full") -> config_dict.ConfigDict:
    settings = StganSettings(
        # Note: not in the papers. The noise walks in step with the own gait: a contour that stands
        # still fuses the legs.
        noise="gait",
        noise_checkpoint="retarget",  # weights that come with the package
        # Note: not in the papers; index i means the same body part in every frame.
        data=WalkerData(first_subject=61, last_subject=76, frames=50, codec="resampled"),
        alpha=0.8,
        # Note: (1 - alpha) Eq. 6 + alpha Eq. 7, so that alpha is the share of the noise.
        balance="convex",
        steps=1000,
        batch_size=8,
        # Note: optimiser (Adam) and rates are not in the paper.
        gen_learning_rate=5e-3,
        disc_learning_rate=2e-4,
        features=16,  # WIFS Fig. 5
        kernel=3,  # WIFS Fig. 5
        share_encoder=False,
        closed=True,  # Note: not in the papers; zeros beyond a contour's ends dent the head.
        lstm_units=128,  # Note: not in the paper.
        # Note: with Eq. 6 + alpha Eq. 7 as printed ("l1") the best output is the input.
        distance="l2",
        # Note: -log D instead of Eqs. 4 and 5, which lose their gradient while D wins.
        saturating=False,
        # Note: 1 as printed. There D_S and D_T, which tell any mixture, push back against alpha.
        adversarial_weight=0.1,
        hold=True,
        steps_per_call=10,
        log_every=10,
        save_every=200,
        evaluate_every=200,
        picture_every=200,
    )
    config = config_dict.ConfigDict(to_dict(settings))
    del config.noise_run  # filled in from the checkpoint
    if size == "full":
        return config
    if size not in ("static", "demo"):
        raise ValueError(f"unknown size {size!r}: choose full, static or demo")
    config.noise, config.noise_checkpoint = "gan", "noise"  # ST-GAN 3.3; the package's G_N
    config.alpha, config.balance = 0.3, "printed"  # ST-GAN 4, Eq. 8
    config.hold, config.steps_per_call, config.closed = False, 1, False
    if size == "demo":  # minutes on 2 cores; the networks keep their size
        config.data.views = (0, 54, 90)
        config.data.walks = ("nm-01", "bg-01", "cl-01")
        config.steps = config.save_every = config.evaluate_every = config.picture_every = 100
        config.log_every = 1
    return config
