"""Trains a model: python launch/train.py --config=configs/noise.py --workdir=runs/noise

Settings are changed on the command line as --config.alpha=0.4. The run is saved in
--workdir as it goes; the same command goes on where it stopped.
"""

from absl import app, flags
from ml_collections import config_flags

from stgan_jax import settings
from stgan_jax.errors import one_sentence, parse_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run: checkpoints go there.", required=True
)


def main(_):
    with one_sentence():
        config = settings.from_config(_CONFIG.value)
        from stgan_jax import train  # after the settings are known to be good: it is slow to load

        train.train(config, _WORKDIR.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
