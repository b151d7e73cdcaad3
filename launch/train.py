"""Trains a model: python launch/train.py --config=configs/noise.py --workdir=runs/noise

Settings are changed on the command line as --config.alpha=0.4. The run is saved in
--workdir as it goes; the same command goes on where it stopped.
"""

from absl import app, flags
from ml_collections import config_flags

from stgan_jax import settings
from stgan_jax.errors import one_sentence

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run: checkpoints go there.", required=True
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    with one_sentence():
        config = settings.from_dict(_CONFIG.value.to_dict())
        from stgan_jax import train  # after the settings are known to be good: it is slow to load

        train.train(config, _WORKDIR.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
