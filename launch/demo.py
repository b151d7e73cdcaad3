"""From nothing to an anonymised video in minutes: python launch/demo.py (or: make demo)."""

import time
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from stgan_jax.util.errors import one_sentence, parse_flags

_CONFIGS = Path(__file__).parents[1] / "configs"
_NOISE = config_flags.DEFINE_config_file("noise", f"{_CONFIGS}/noise.py:demo", "The noise GAN.")
_STGAN = config_flags.DEFINE_config_file("stgan", f"{_CONFIGS}/stgan.py:demo", "The ST-GAN.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder for everything the demo makes.")


def main(_):
    started = time.monotonic()
    with one_sentence():
        _STGAN.value.noise_checkpoint = f"{_WORKDIR.value}/noise"
        from stgan_jax import demo  # slow to load
        from stgan_jax.methods import catalog
        from stgan_jax.video.report import summary

        configs = (catalog.settings_of_config(flag.value) for flag in (_NOISE, _STGAN))
        report = demo.run(_WORKDIR.value, *configs)
    print(summary(report["video"]))
    print(demo.table(report))
    print(f"{time.monotonic() - started:.0f} s; look at {_WORKDIR.value}/contact_sheet.png")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
