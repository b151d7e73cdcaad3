"""Trains a model: python launch/train.py --config=configs/noise.py --workdir=runs/noise

Settings are changed on the command line as --config.alpha=0.4. The run is saved in
--workdir as it goes; the same command goes on where it stopped. All devices are used.
Several processes: the same command in each, with --coordinator=HOST:PORT --num_processes=N
--process_id=I, or --distributed where a cluster's environment tells these.
"""

from absl import app, flags
from ml_collections import config_flags

from stgan_jax.util.errors import one_sentence, parse_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "What to train, a file in configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run: checkpoints go there.", required=True
)
_PARALLEL = flags.DEFINE_enum(
    "parallel", "jit", ["jit", "pmap"], "How the step is spread over devices."
)
_PROFILE = flags.DEFINE_bool("profile", False, "Write a trace of ten steps to WORKDIR/profile.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Several processes, found by the cluster.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")


def main(_):
    with one_sentence():
        from stgan_jax.training import parallel  # slow to load

        processes = _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
        if _DISTRIBUTED.value or any(value is not None for value in processes):
            parallel.initialize(*processes)
        from stgan_jax.methods import catalog
        from stgan_jax.training import loop

        settings = catalog.settings_of_config(_CONFIG.value)
        loop.train(settings, catalog.prepare, _WORKDIR.value, _PARALLEL.value, _PROFILE.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
