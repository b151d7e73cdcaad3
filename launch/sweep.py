"""Trains one model for many alphas and seeds at once:

    python launch/sweep.py --config=configs/stgan.py --alphas=0.1,0.2,0.3,0.4 --seeds=0,1 \
        --workdir=runs/sweep

Every lane gets a folder alpha=A,seed=S in --workdir, an ordinary run for every other command;
the table and a plot of the lanes come at the end. The same command goes on where it stopped.
"""

from absl import app, flags
from ml_collections import config_flags

from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.")
_ALPHAS = flags.DEFINE_list("alphas", None, "As 0.1,0.2,0.3.", required=True)
_SEEDS = flags.DEFINE_list("seeds", ["0"], "As 0,1,2.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the sweep.", required=True)


def main(_):
    with one_sentence():
        alphas = numbers("--alphas", _ALPHAS.value, float)
        seeds = numbers("--seeds", _SEEDS.value)
        from stgan_jax.methods import catalog  # slow to load
        from stgan_jax.training import sweep

        settings = catalog.settings_of_config(_CONFIG.value)
        sweep.sweep(settings, catalog.prepare, alphas, seeds, _WORKDIR.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
