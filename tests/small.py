"""Settings for tests: the real networks, some of them narrower, on a handful of walkers."""

import dataclasses

from stgan_jax.data.selection import RenderedData, WalkerData
from stgan_jax.methods.retarget.settings import RetargetSettings
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.methods.stgan.settings import NoiseSettings, StganSettings
from stgan_jax.methods.wifs.settings import WifsSettings

WALKERS = WalkerData(51, 53, (0, 90), ("nm-01",), frames=12)
NOISE = NoiseSettings(
    data=WALKERS,
    validation_subjects=(77, 78),
    steps=400,
    batch_size=64,
    basis_size=24,
    log_every=100,
    save_every=200,
    evaluate_every=200,
)
STGAN = StganSettings(
    data=dataclasses.replace(WALKERS, first_subject=61, last_subject=62),
    validation_subjects=(77, 78),
    balance="printed",
    steps=24,
    batch_size=2,
    features=2,  # compiling takes as long as there are channels
    lstm_units=16,
    convolution="plain",  # a quarter of a stencil's compiling, and the same function
    save_every=12,
    evaluate_every=12,
)
GAIT = dataclasses.replace(
    STGAN, noise="gait", noise_checkpoint="retarget", alpha=0.8, balance="convex"
)
WIFS = WifsSettings(
    data=dataclasses.replace(WALKERS, first_subject=1, last_subject=3),
    steps=20,
    batch_size=2,
    save_every=10,
)
RETARGET = RetargetSettings(
    data=RenderedData(12, 2, 8),
    window=5,
    width=16,
    steps=30,
    batch_size=4,
    log_every=10,
    save_every=30,
    evaluate_every=30,
    hold=True,
    steps_per_call=10,
)
SILHOUETTE = SilhouetteSettings(
    data=RenderedData(4, 2, 4),
    widths=(4, 8, 8, 8),
    steps=20,
    batch_size=2,
    log_every=10,
    save_every=20,
    evaluate_every=20,
)
