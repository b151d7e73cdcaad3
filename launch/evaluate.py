"""Measures how private and how natural anonymised walks are:

    python launch/evaluate.py --checkpoint=runs/stgan --dataset=synthetic_walkers/full --out=runs/e

Writes report.html, report.json, tables and pictures to --out, trained recognisers to --cache. One
checkpoint takes over an hour on 2 cores, minutes with --quick; several take less with --jobs=2.
"""

from absl import app, flags

from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_CHECKPOINT = flags.DEFINE_list("checkpoint", [], "Trainings, sweeps or weights: runs/a,retarget.")
_MIX = flags.DEFINE_string("linear_mix", None, "A noise GAN; adds 0.7 own contour + 0.3 its noise.")
_PEERS = flags.DEFINE_list("peers", [], "Methods of the literature, as rhythm,blur; or all.")
_PUBLISHED = flags.DEFINE_list("published", [], "NAME=TREE of silhouettes anonymised elsewhere.")
_NETWORKS = flags.DEFINE_string("networks", "medium", "Recognisers' size: small, medium or large.")
_DATASET = flags.DEFINE_string("dataset", None, "A dataset of build_data.py.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_OUT = flags.DEFINE_string("out", None, "Folder of the report.", required=True)
_CACHE = flags.DEFINE_string("cache", "runs/recognizers", "Folder of trained recognisers.")
_QUICK = flags.DEFINE_bool("quick", False, "Fewer recognisers, walks and galleries.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees, as 0,54,90; all by default.")
_CONDITIONS = flags.DEFINE_list("conditions", [], "Some of nm, bg, cl; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", [], "Some of the six; all by default.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Some of the three; all by default.")
_SEED = flags.DEFINE_integer("seed", 0, "For the noise and the recognisers.")
_DETECTOR = flags.DEFINE_list("detector", [], "For frame scores: ONNX, or Darknet CFG,WEIGHTS.")
_DETECTOR_INPUT = flags.DEFINE_list("detector_input", ["0", "640"], "Its class 'person', its side.")
_ACTION = flags.DEFINE_string("action", None, "For video scores: ONNX, takes clips.")
_ACTION_INPUT = flags.DEFINE_list("action_input", ["0", "16", "112"], "Walking, frames, side.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Processes that share the figures.", lower_bound=1)
_BEAM = flags.DEFINE_list("beam", [], "Apache Beam's flags, for other machines: --runner=...,...")
_STUDY = flags.DEFINE_string("study", None, "A report of study.py, to be added to this one.")


def main(_):
    with one_sentence():
        from stgan_jax.evaluation import cells, report, run  # slow to load
        from stgan_jax.study import report as study

        chosen = _RECOGNIZERS.value, _ATTACKS.value
        settings = run.settings(_QUICK.value, *chosen, _SEED.value, _NETWORKS.value)
        frames = numbers("--detector_input", _DETECTOR_INPUT.value)
        clips = numbers("--action_input", _ACTION_INPUT.value)
        views = numbers("--views", _VIEWS.value)
        opinions = study.load(_STUDY.value) if _STUDY.value else None
        report.check(_OUT.value)
        load = cells.Compared(
            *(_DATASET.value, _DATA_DIR.value, views, _CONDITIONS.value),
            *(_CHECKPOINT.value, _MIX.value, _PEERS.value, _PUBLISHED.value),
            *(_DETECTOR.value, frames, _ACTION.value, clips),
        )
        where = settings, _CACHE.value, _JOBS.value, _BEAM.value
        several = _JOBS.value > 1 or _BEAM.value
        methods, walks, instruments = cells.fill(load, *where) if several else load()
        known = _CACHE.value, walks.dataset, instruments
        figures, pictures = run.evaluate(methods, walks, settings, *known)
        print(report.write(_OUT.value, {**figures, "study": opinions}, pictures))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
