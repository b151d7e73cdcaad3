"""Measures how private and how natural anonymised walks are:

    python launch/evaluate.py --checkpoint=runs/stgan,runs/wifs --out=runs/evaluation \
        --dataset=synthetic_walkers/full --data_dir=data

Leaves report.html, report.json, tables and pictures in --out. Recognisers are trained once and
kept in --cache. All of a checkpoint takes over an hour on 2 cores, --quick some minutes.
"""

from absl import app, flags

from stgan_jax.errors import numbers, one_sentence, parse_flags

_CHECKPOINT = flags.DEFINE_list("checkpoint", [], "Trainings, or weights: runs/stgan,retarget.")
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
_DETECTOR_INPUT = flags.DEFINE_list(
    "detector_input", ["0", "640"], "Its class person, and its side."
)
_ACTION = flags.DEFINE_string("action", None, "Gives the video score: ONNX, takes clips.")
_ACTION_INPUT = flags.DEFINE_list("action_input", ["0", "16", "112"], "Walking, frames, side.")
_STUDY = flags.DEFINE_string("study", None, "A report of study.py, whose MOS go into this one.")


def main(_):
    with one_sentence():
        from stgan_jax import evaluate, methods  # slow to load
        from stgan_jax.evaluation import detectors, report
        from stgan_jax.study import report as study

        options = evaluate.options(_QUICK.value, _RECOGNIZERS.value, _ATTACKS.value, _SEED.value)
        networks = detectors.networks(
            _DETECTOR.value, numbers("--detector_input", _DETECTOR_INPUT.value),
            _ACTION.value, numbers("--action_input", _ACTION_INPUT.value),
        )  # fmt: skip
        opinions = study.load(_STUDY.value) if _STUDY.value else None
        report.check(_OUT.value)
        compared = [methods.trained(folder) for folder in _CHECKPOINT.value]
        compared += [methods.linear_mix(_MIX.value, 0.3)] if _MIX.value else []
        views = numbers("--views", _VIEWS.value) or None
        walks = evaluate.Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views)
        told, pictures = evaluate.evaluate(
            compared, walks, options, _CACHE.value, _DATASET.value, *networks
        )
        report.write(_OUT.value, {**told, "study": opinions}, pictures)
    print(f"{report.summary(told)}\n{_OUT.value}/report.html")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
