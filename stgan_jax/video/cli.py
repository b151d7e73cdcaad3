"""The command `stgan-anonymize`:

    stgan-anonymize IN... [--output=...] [--checkpoint=runs/stgan]
    stgan-anonymize review CLIP [--output=...]

IN are videos, patterns such as 'clips/*.mp4', folders of videos, of frames or of silhouettes, or
datasets of OpenGait's pickles. Whoever cannot be anonymised is covered by background, counted
and listed in the report. Exit code: 0 if all went well, 3 if somebody is covered, 2 if something
could not be done, which is then not written. `review` shows a clip before and after in the browser,
where it is mended and signed off; a file of that name is ./review.
"""

import argparse
import dataclasses
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from stgan_jax.util import children
from stgan_jax.util.errors import InputError, local_words, numbers, one_sentence


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        print(f"error: {message} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "stgan-anonymize",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("inputs", nargs="*", metavar="IN", help="Videos, patterns or folders.")
    add("--input", action="append", default=[], help="One more IN.")
    add("--output", help="File for one IN, folder for several. Default: beside, as *_anonymized.")
    add("--overwrite", action="store_true", help="Replace outputs that are there.")
    add("--report", help="JSON file to write. Default: one beside each output.")
    add("--jobs", type=int, help="Processes for datasets. Default: one a core, or one a GPU.")
    add("--device", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="Where to compute.")
    add("--debug", action="store_true", help="Show where an error comes from.")
    _add_flags_of_clips(parser)
    one = parser.add_argument_group("one input").add_argument
    one("--masks", help="Folder with a PNG for each frame: people's ids, 0 is nobody.")
    one("--background", help="Picture of the empty scene; with masks also a video of it.")
    one("--preview", help="PNG to write: a few frames of the result.")
    one("--contact_sheet", help="PNG to write, before and after. It shows the original people.")
    _add_review_flags(parser.add_argument_group("review").add_argument)
    return parser


def _archive_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "archive.py",
        description="Anonymises thousands of clips by several processes, or by many machines.",
        epilog="All other flags are Apache Beam's, as a runner takes them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("input", metavar="IN", help="Folder, file or pattern, also gs://, s3://, hdfs://.")
    add("output", metavar="OUT", help="Folder of outputs and of the summary.")
    add("--runner", default="DirectRunner", help="Of Beam: FlinkRunner, SparkRunner, ...")
    add("--jobs", type=int, help="Processes here. Default: one a core, or one a GPU.")
    add("--retries", type=int, default=2, help="How often what may pass is tried again.")
    add("--device", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="Where to compute.")
    add("--debug", action="store_true", help="Show where an error comes from.")
    _add_flags_of_clips(parser)
    return parser


def _add_flags_of_clips(parser: argparse.ArgumentParser) -> None:
    _add_model_flags(parser.add_argument_group("the new walkers").add_argument)
    _add_video_flags(parser.add_argument_group("videos").add_argument)
    _add_people_flags(parser.add_argument_group("people and scene").add_argument)


def _add_model_flags(add) -> None:
    add(
        "--checkpoint",
        help="Weights by name (retarget, stgan_mild, stgan, stgan_strong, silhouette), an .npz "
        "of weights, or the --workdir of a training. Default: retarget.",
    )
    add(
        "--alpha",
        type=float,
        help="How far bodies move to the stranger's: 1 (default) leaves nothing of the own body. "
        "Only for retarget; ST-GAN's alpha was trained in: --checkpoint=stgan_mild, stgan, "
        "stgan_strong.",
    )
    add(
        "--in_step",
        action="store_true",
        default=None,
        help="Draw each pose as it is read, at the moment of its recording, for stairs and the "
        "like. By default steps are the stranger's, at the speed at which feet do not slip, so "
        "that results cannot be linked.",
    )
    add("--seed", type=int, help="Seed of everybody's random numbers. Random by default.")
    add("--store_seed", action="store_true", help="Put the seed into the report.")


def _add_video_flags(add) -> None:
    add("--keep_audio", action="store_true", default=True, help="Keep the sound (the default).")
    add(
        "--no_keep_audio",
        "--nokeep_audio",
        dest="keep_audio",
        action="store_false",
        help="Leave the sound out.",
    )
    add("--codec", help="h264, h265, vp9, av1 or mpeg4. Default: the container's.")
    add("--crf", type=int, default=18, help="Quality of the codec, lower is better.")
    add("--start", type=float, default=0.0, help="Seconds at which to start.")
    add("--end", type=float, help="Seconds at which to end.")
    add("--max_resolution", type=int, help="Scale down to so many pixels on the shorter side.")
    add(
        "--stabilize",
        action="store_true",
        help="Steady a camera that moves: frames are enlarged by up to 1.2, and their edges cut.",
    )


def _add_people_flags(add) -> None:
    add("--segmenter", help="ONNX network that segments people.")
    add("--segmenter_input", default="512,512,0", help="Its height, width, class of people.")
    add("--silhouettes_only", action="store_true", help="White people on black.")
    add(
        "--color",
        default="atlas",
        help="atlas: clothes by body part, from the whole clip, where bodies are drawn "
        "(retarget), else as nearest; nearest: the nearest pixel's; transfer: by a network.",
    )
    add("--face", default="blur", help="Original heads: blur, fill (one colour) or keep.")
    add(
        "--people",
        default="networks",
        help="How people are found: by networks, which are fetched once, or by difference from the "
        "empty scene, which takes whatever moves for people and misses who stands all the while.",
    )
    add(
        "--things",
        default="keep",
        help="What moves and is no person, as cars: keep it, or remove it. Without networks, and "
        "with masks, it is always removed.",
    )
    add(
        "--models",
        metavar="FOLDER",
        help="The networks' files, for machines without a network. Default: the user's cache.",
    )


def _add_review_flags(add) -> None:
    add(
        "--decisions",
        help="File of what a person decided in a review of the clip; beside for each clip's own, "
        "CLIP.decisions.json beside it, where there is one.",
    )
    add("--review", action="store_true", help="Review the clip when it is done.")
    add("--port", type=int, help="Where review listens. Default: any free port.")
    add("--host", help="Address at which review listens. Default: this machine only.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    argv = _begun(arguments)
    with one_sentence("--debug" in argv):
        alone = list(argv[:1]) == ["review"]
        values = _parser().parse_intermixed_args(_words(local_words(argv[int(alone) :])))
        if alone or values.review:
            _check_review(values)
        elif values.port is not None or values.host is not None:
            raise InputError("--port and --host are for --review and stgan-anonymize review CLIP")
        code = 0
        if not alone:
            result = _run(values)
            print(_summary(result), flush=True)
            code, values.overwrite = result["exit_code"], True
        if alone or values.review:
            _review(values)
    sys.exit(code)


def archive(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line of launch/archive.py and exits with its code."""
    argv = _begun(arguments)
    with one_sentence("--debug" in argv):
        # Input and output may be on other machines.
        words = _words([word if "://" in word else local_words([word])[0] for word in argv])
        values, of_beam = _archive_parser().parse_known_intermixed_args(words)
        _check_jobs(values.jobs)
        if values.runner == "DirectRunner":
            children.prepare("stgan_jax.util.quiet", "stgan_jax.video.archive.worker")
        options = _clip_options(values)
        logging.getLogger().setLevel(logging.CRITICAL)  # what goes wrong is said once
        from stgan_jax.util.engine import Runner
        from stgan_jax.video import walks
        from stgan_jax.video.archive import run, summary

        with _device(values.device):
            runner = Runner(values.runner, walks.processes(values.jobs), of_beam)
            result = run.anonymize(
                values.input,
                values.output,
                options,
                checkpoint=values.checkpoint,
                runner=runner,
                retries=values.retries,
            )
        print(summary.lines(result), flush=True)
    sys.exit(result["exit_code"])


def _begun(arguments: Sequence[str] | None) -> Sequence[str]:
    """The words of a command line that begins."""
    for stream in (sys.stdout, sys.stderr):  # names may be no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left half-written
    # As much of a GPU's memory as is needed: processes of a dataset may share one.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return sys.argv[1:] if arguments is None else arguments


def _words(argv: Sequence[str]) -> list[str]:
    """The words for the parser: --keep-audio is --keep_audio, and files may begin with a dash."""
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    behind = [os.path.join(".", word) for word in words[end + 1 :]]
    return [_word(word) for word in words[:end]] + behind


def _word(word: str) -> str:
    if word.startswith("-") and os.path.lexists(word):
        return os.path.join(".", word)
    name, equals, value = word.partition("=")
    if name.startswith("--"):
        name = name[:2] + name[2:].replace("-", "_")
    return name + equals + value


def _check_review(values: argparse.Namespace) -> None:
    if len([*values.inputs, *values.input]) != 1 or values.report is not None:
        raise InputError("review takes one clip, and writes its report beside the output")
    if not 0 <= (values.port or 0) < 1 << 16:
        raise InputError("--port must be from 0 to 65535")


def _review(values: argparse.Namespace) -> None:
    options = _clip_options(values)

    from stgan_jax.video.review import server  # slow

    with _device(values.device):
        server.review(
            [*values.inputs, *values.input][0],
            values.output,
            options,
            checkpoint=values.checkpoint,
            overwrite=values.overwrite,
            port=values.port or 0,
            host=values.host,
        )


def _run(values: argparse.Namespace) -> dict[str, Any]:
    inputs = [*values.inputs, *values.input]
    if not inputs:
        raise InputError("name what is to be anonymised (--help lists the flags)")
    _check_jobs(values.jobs)
    options = _clip_options(values)

    from stgan_jax.video import batch  # slow: after the flags are checked

    with _device(values.device):
        return batch.anonymize(
            inputs,
            values.output,
            checkpoint=values.checkpoint,
            overwrite=values.overwrite,
            report_to=True if values.report is None else values.report,
            jobs=values.jobs,
            options=options,
        )


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise InputError("--jobs must be 1 or more")


def _clip_options(values: argparse.Namespace) -> Any:
    size = numbers("--segmenter_input", values.segmenter_input.split(","))
    if len(size) != 3:
        raise InputError("--segmenter_input needs three numbers, as 512,512,0")

    from stgan_jax.video import source  # slow

    names = {field.name for field in dataclasses.fields(source.ClipOptions)}
    chosen = {name: value for name, value in vars(values).items() if name in names}
    return source.ClipOptions(**{**chosen, "segmenter_input": tuple(size)})


def _device(name: str) -> Any:
    import jax

    if name == "auto":
        if jax.default_backend() == "cpu" and os.path.exists("/dev/nvidia0"):
            print("a GPU is there and is not used: pip install 'stgan-jax[cuda]'", file=sys.stderr)
        return jax.default_device(None)
    try:
        return jax.default_device(jax.devices(name)[0])
    except RuntimeError as error:
        raise InputError(f"--device={name}: JAX finds no such device here") from error


def _summary(result: dict[str, Any]) -> str:
    from stgan_jax.video import batch

    return batch.summary(result)
