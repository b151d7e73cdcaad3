"""Measures how private and how natural anonymised walks are:

    python launch/evaluate.py --checkpoint=runs/stgan --dataset=synthetic_walkers/full --out=runs/e

Leaves report.html, report.json, tables and pictures in --out, trained recognisers in --cache. All
of a checkpoint takes over an hour on 2 cores, --quick some minutes, several less with --jobs=2.
"""

from absl import app, flags

from stgan_jax.errors import numbers, one_sentence, parse_flags

_CHECKPOINT = flags.DEFINE_list("checkpoint", [], "Trainings, sweeps, weights: runs/a,retarget.")
_MIX = flags.DEFINE_string("linear_mix", None, "A noise GAN: adds 0.7 own gait + 0.3 its noise.")
_DATASET = flags.DEFINE_string("dataset", None, "A dataset of build_data.py.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_OUT = flags.DEFINE_string("out", None, "Folder of the report.", required=True)
_CACHE = flags.DEFINE_string("cache", "runs/recognizers", "Folder of trained recognisers.")
_QUICK = flags.DEFINE_bool("quick", False, "Fewer recognisers and walks, the same views alone.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees, as 0,54,90; all by default.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", [], "Which; all four by default.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Which; all three by default.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the noise and of the recognisers.")
_DETECTOR = flags.DEFINE_list("detector", [], "For frame scores: ONNX, or Darknet CFG,WEIGHTS.")
_DETECTOR_INPUT = flags.DEFINE_list("detector_input", ["0", "640"], "Its class person, its side.")
_ACTION = flags.DEFINE_string("action", None, "Gives the video score: ONNX, takes clips.")
_ACTION_INPUT = flags.DEFINE_list("action_input", ["0", "16", "112"], "Walking, frames, side.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Processes that share the checkpoints.")
_SHARE = flags.DEFINE_string("share", "", "2/3: takes figures of a third, for --cache alone.")
_STUDY = flags.DEFINE_string("study", None, "A report of study.py, whose MOS go into this one.")


def main(_):
    with one_sentence():
        from stgan_jax import evaluate, methods  # slow to load
        from stgan_jax.study import report as study

        options = evaluate.options(_QUICK.value, _RECOGNIZERS.value, _ATTACKS.value, _SEED.value)
        networks = evaluate.detectors.networks(
            _DETECTOR.value, numbers("--detector_input", _DETECTOR_INPUT.value),
            _ACTION.value, numbers("--action_input", _ACTION_INPUT.value),
        )  # fmt: skip
        opinions = study.load(_STUDY.value) if _STUDY.value else None
        evaluate.report.check(_OUT.value)
        compared = methods.all_trained(_CHECKPOINT.value)
        compared += [methods.linear_mix(_MIX.value, 0.3)] if _MIX.value else []
        views = numbers("--views", _VIEWS.value) or None
        walks = evaluate.Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        share = evaluate.in_shares(_JOBS.value, _SHARE.value)
        told, pictures = evaluate.evaluate(
            compared[share], walks, options, _CACHE.value, _DATASET.value, *networks
        )
        if not _SHARE.value:
            evaluate.report.write(_OUT.value, {**told, "study": opinions}, pictures)
            print(f"{evaluate.report.summary(told)}\n{_OUT.value}/report.html")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
