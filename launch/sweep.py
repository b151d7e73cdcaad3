"""Trains one model for every point of a grid of settings, and for every seed:

    python launch/sweep.py --config=configs/stgan.py --grid=alpha=0.1,0.2,0.4,0.8 \
        --grid=gen_learning_rate=1e-3,5e-3 --seeds=0,1,2 --workdir=runs/sweep

Any number in the config can be swept over. Lanes that fit into memory train at once, the rest in
rounds. Every lane gets a folder in --workdir, as alpha=0.1,gen_learning_rate=0.001,seed=0, an
ordinary run for every other command; tables and a plot of the lanes, with 95 % intervals over
seeds, come at the end. The same command goes on where it stopped. --plan trains nothing and
prints what the sweep takes on this device.
"""

from absl import app, flags
from ml_collections import config_flags

from stgan_jax.util.errors import InputError, numbers, one_sentence, parse_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.")
_GRID = flags.DEFINE_multi_string("grid", [], "A setting and its values, as alpha=0.1,0.2,0.3.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "As 0,1,2.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the sweep.", required=True)
_AT_ONCE = flags.DEFINE_integer("at_once", 0, "Lanes of a round; 0: as many as fit.", lower_bound=0)
_PLAN = flags.DEFINE_bool("plan", False, "Say what memory and work it takes, and train nothing.")


def grid(texts: list[str]) -> dict[str, list[float]]:
    """Setting -> values, from texts NAME=VALUE,VALUE."""
    found: dict[str, list[float]] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        if not sign or name in found:
            raise InputError(f"--grid={text}: as alpha=0.1,0.2, each setting once")
        found[name] = numbers(f"--grid={name}", values.split(","), _number)
    return found


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def main(_):
    with one_sentence():
        points, seeds = grid(_GRID.value), numbers("--seeds", _SEEDS.value)
        from stgan_jax.methods import catalog  # slow to load
        from stgan_jax.training import sweep

        settings = catalog.settings_of_config(_CONFIG.value)
        if _PLAN.value:
            print(sweep.planned(settings, catalog.prepare, points, seeds, _AT_ONCE.value))
            return
        sweep.sweep(settings, catalog.prepare, points, seeds, _WORKDIR.value, _AT_ONCE.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
