"""Retargeting: the walk is kept, the walker replaced. Not in the papers.

    python launch/train.py --config=configs/retarget.py --workdir=runs/retarget

Pairs of procedural walkers in one motion and view are rendered as it starts, 10 minutes on 2 cores
(half a gigabyte, held in memory); then 24 minutes, measured without the gait's networks, which add
a pass of the decoder (with them 16,000 steps took 47 minutes on one busy core).
`:gait` trains those alone, beside the package's other networks or those of `--config.base=WORKDIR`:
the package's come from that, 20 minutes on one core with rendering. Result: silhouettes of 100
unseen pairs overlap those wanted by 0.905 (IoU), and by 0.909 where they are drawn of the true
pose. The weights are in the package, privacy and pose in benchmarks/experiments/retarget, and there
what each term is worth.
"""

from ml_collections import config_dict

from stgan_jax.data.selection import PairData
from stgan_jax.methods.retarget.settings import RetargetSettings


def get_config(size: str = "full") -> config_dict.ConfigDict:
    settings = RetargetSettings(
        data=PairData(walks=20000, validation_walks=100, frames=24),
        steps=24000,
        batch_size=20,
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=100,
        clip_norm=1.0,
        components=256,
        inputs=100,
        window=15,
        code_size=20,
        rate_weight=0.01,
        motion_weight=2.0,
        overlap_weight=10.0,
        pose_weight=5.0,
        read_weight=10.0,  # without it left and right leg are mixed up from the side
        stride=3,  # 0.68 of a step's time on 2 cores
        hold=True,
        steps_per_call=10,
        log_every=50,
        save_every=2000,
        evaluate_every=2000,
        picture_every=8000,
    )
    config = config_dict.ConfigDict(settings.to_dict())
    if size == "demo":  # minutes on 2 cores; the networks keep their size
        config.data.walks, config.steps = 800, 600
        config.save_every = config.evaluate_every = config.picture_every = 300
    elif size == "gait":  # the package's other networks, and these two anew
        config.base, config.steps, config.data.walks = "retarget", 8000, 12000
        config.save_every = config.evaluate_every = config.picture_every = 1000
    elif size != "full":
        raise ValueError(f"unknown size {size!r}: choose full, gait or demo")
    return config
