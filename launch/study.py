"""Asks people in the browser how natural walks look, and reports mean opinion scores:

python launch/study.py build --clips=stgan=DIR --clips=unprotected=DIR --out=STUDY
python launch/study.py serve STUDY --port=8000
python launch/study.py report STUDY --out=REPORT
"""

import functools

from absl import app, flags

from stgan_jax.util import errors

_CLIPS = flags.DEFINE_multi_string("clips", [], "METHOD=DIR; unprotected=DIR are the anchors.")
_CHECKPOINT = flags.DEFINE_list("checkpoint", [], "Trainings or weights that anonymise --dataset.")
_DATASET = flags.DEFINE_string("dataset", None, "A dataset of build_data.py, for --checkpoint.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees, for --checkpoint; all by default.")
_WALKS = flags.DEFINE_integer("walks", 6, "Clips per view, for --checkpoint.", lower_bound=1)
_RATERS = flags.DEFINE_integer("raters", 20, "Number of places.", lower_bound=1)
_PER_RATER = flags.DEFINE_integer("per_rater", None, "Clips per rater: 60, or all if fewer.")
_REPEATS = flags.DEFINE_integer("repeats", None, "Clips shown twice: a tenth by default.")
_ANCHORS = flags.DEFINE_integer("anchors", None, "Unprotected clips per rater: one per view.")
_SIZE = flags.DEFINE_list("size", ["640", "480"], "Width,height of the clips.")
_SECONDS = flags.DEFINE_float("seconds", 10, "Greatest length; clips are as long as the shortest.")
_CONTAINER = flags.DEFINE_string("container", "mp4", "mp4 (H.264) or webm (VP9).")
_CONSENT = flags.DEFINE_string("consent", None, "Text for its page: who asks, and whom to ask.")
_SEED = flags.DEFINE_integer("seed", 0, "For noise and order.", lower_bound=0)
_OUT = flags.DEFINE_string("out", None, "Folder of the study, or of its report.")
_PORT = flags.DEFINE_integer("port", 8000, "0 for any.", lower_bound=0, upper_bound=65535)
_HOST = flags.DEFINE_string("host", None, "Address for others, who need invitations.")
_ROOT_PATH = flags.DEFINE_string("root_path", "", "Path behind a proxy, as /study.")
_BEHIND_PROXY = flags.DEFINE_bool("behind_proxy", False, "Believe X-Forwarded-Host and the like.")


def main(argv):
    command, study = [*argv[1:], "", ""][:2]
    with errors.one_sentence():
        from stgan_jax.study import build, report, server  # slow to load

        if (command, study) == ("build", "") and _OUT.value:
            shares = _RATERS.value, _PER_RATER.value, _REPEATS.value, _ANCHORS.value
            form = errors.numbers("--size", _SIZE.value), _SECONDS.value, _CONTAINER.value
            options = build.StudyOptions(*shares, *form, build.text_of(_CONSENT.value), _SEED.value)
            data = _DATASET.value, _DATA_DIR.value, errors.numbers("--views", _VIEWS.value)
            gather = functools.partial(
                build.sources, _CLIPS.value, _CHECKPOINT.value, *data, _WALKS.value, _SEED.value
            )
            print(build.build(_OUT.value, gather, options))
        elif command == "serve" and study:
            server.serve(study, _PORT.value, _HOST.value, _ROOT_PATH.value, _BEHIND_PROXY.value)
        elif command == "report" and study and _OUT.value:
            print(report.write(_OUT.value, study))
        else:
            raise errors.InputError("say build --out=STUDY, serve STUDY or report STUDY --out=DIR")


if __name__ == "__main__":
    app.run(main, flags_parser=functools.partial(errors.parse_flags, arguments=2))
