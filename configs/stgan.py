"""ST-GAN (Tieu et al. 2019), in the form in which alpha steers and the legs keep swinging.

    python launch/train.py --config=configs/stgan.py --workdir=runs/stgan
    python launch/train.py --config=configs/stgan.py:static --workdir=runs/stgan_static

On the paper's 16 training subjects (1,760 sequences of 50 frames), 1000 steps. What it gives, and
what each departure from the paper is worth: benchmarks/experiments/stgan. Rank-1 below is of 40
unseen walkers by gait energy images at views 0, 54, 90: 1.00 before, chance 0.03.

`static`: one contour of G_N for all frames, as in the paper (the package's weights of
    configs/noise.py, or a training by --config.noise_checkpoint=runs/noise): 0.21 of the way to the
    noise; rank-1 0.38, 0.48, 0.50 after. The validation loss is least after 400 to 600 steps
    (`best`): later D_S and D_T pull the share below what alpha asks for.
`gaussian`: raw Gaussian noise in place of G_N (ablation, ST-GAN Fig. 7): 0.22 of the way to the
    noise, spiky blobs instead of people, as in the paper's figure; rank-1 at chance.
`paper`: the losses exactly as printed (Eqs. 1-8), on padded contours, with a plain noise GAN
    (configs/noise.py:paper, trained to runs/noise_paper): the unchanged gait (0.003 of the way to
    the noise) with a spike from the head to the corner where the padding lies; D_S and D_T stay at
    chance. Rank-1 0.18, 0.25, 0.20 after: the spike spoils their alignment.
`demo`: `static` for minutes on 2 cores; the networks keep their size.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import WalkerData
from stgan_jax.methods.stgan.settings import StganSettings


def get_config(variant: str = "full") -> config_dict.ConfigDict:
    settings = StganSettings(
        # Note: not in the papers. The noise walks in step with the own gait: a contour that stands
        # still fuses the legs.
        noise="gait",
        noise_checkpoint="retarget",  # weights that come with the package
        # Note: not in the papers; index i means the same body part in every frame.
        data=WalkerData(first_subject=61, last_subject=76, frames=50, codec="resampled"),
        alpha=0.8,
        # Note: with Eq. 6 + alpha Eq. 7 as printed the best output is the input. Steered: squared
        # distances, (1 - alpha) Eq. 6 + alpha Eq. 7, so that alpha is the share of the noise; -log
        # D in place of Eqs. 4 and 5, which lose their gradient while D wins; and a tenth of their
        # weight, as D_S and D_T, which tell any mixture, push back against alpha.
        loss="steered",
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
        hold=True,
        steps_per_call=10,
        log_every=10,
        save_every=200,
        evaluate_every=200,
        picture_every=200,
    )
    config = config_dict.ConfigDict(settings.to_dict())
    del config.noise_run  # filled in from the checkpoint
    # Parts of the loss, for ablations: --config.distance=l1 and so on override what `loss` says.
    for name, kind in (("distance", str), ("saturating", bool), ("adversarial_weight", float)):
        config[name] = config_dict.placeholder(kind)
    config.balance = config_dict.placeholder(str)
    if variant == "full":
        return config
    if variant not in ("static", "gaussian", "paper", "demo"):
        raise ValueError(
            f"unknown variant {variant!r}: choose full, static, gaussian, paper or demo"
        )
    config.noise, config.noise_checkpoint = "gan", "noise"  # ST-GAN 3.3; the package's G_N
    config.alpha, config.balance = 0.3, "printed"  # ST-GAN 4, Eq. 8
    config.hold, config.steps_per_call, config.closed = False, 1, False
    if variant == "gaussian":
        config.noise, config.noise_checkpoint = "gaussian", ""
    elif variant == "paper":
        config.noise_checkpoint = "runs/noise_paper"
        config.data.codec = "padded"  # ST-GAN 3.2
        config.loss = "printed"
    elif variant == "demo":
        config.data.views = (0, 54, 90)
        config.data.walks = ("nm-01", "bg-01", "cl-01")
        config.steps = config.save_every = config.evaluate_every = config.picture_every = 100
        config.log_every = 1
    return config
