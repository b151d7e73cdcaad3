"""Settings for tests: the real networks on a handful of walkers, for seconds."""

import dataclasses

from stgan_jax import settings

WALKERS = settings.WalkerData(51, 53, (0, 90), ("nm-01",), frames=12)
NOISE = settings.NoiseSettings(
    data=WALKERS,
    validation_subjects=(77, 78),
    steps=400,
    batch_size=64,
    basis_size=24,
    log_every=100,
    save_every=200,
    evaluate_every=200,
)
STGAN = settings.StganSettings(
    data=dataclasses.replace(WALKERS, first_subject=61, last_subject=62),
    validation_subjects=(77, 78),
    steps=24,
    batch_size=2,
    save_every=12,
    evaluate_every=12,
)
GAIT = dataclasses.replace(
    STGAN, noise="gait", noise_checkpoint="retarget", alpha=0.8, balance="convex"
)
WIFS = settings.WifsSettings(
    data=dataclasses.replace(WALKERS, first_subject=1, last_subject=3),
    validation_subjects=(),
    steps=20,
    batch_size=2,
    save_every=10,
)
