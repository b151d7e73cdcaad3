"""The command `stgan-anonymize`:

    stgan-anonymize IN... [--output=...] [--checkpoint=runs/stgan]

IN are videos, patterns such as 'clips/*.mp4', folders of videos, of frames or of silhouettes, or
datasets of OpenGait's pickles. Whoever cannot be anonymised is covered by background, counted
and listed in the report. Exit code: 0 if all went well, 3 if somebody is covered, 2 if something
could not be done, which is then not written.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from stgan_jax.errors import InputError, numbers, one_sentence


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        print(f"error: {message} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "stgan-anonymize", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("inputs", nargs="*", metavar="IN", help="Videos, patterns or folders.")
    add("--input", action="append", default=[], help="One more IN.")
    add("--output", help="File for one IN, folder for several. Default: beside, as *_anonymized.")
    add("--checkpoint", help="--workdir of a training of stgan.py or retarget.py, or an .npz of "
        "weights. Default: those that come along, which draw another walker.")  # fmt: skip
    add(
        "--strength",
        choices=["mild", "default", "strong"],
        default="default",
        help="mild changes people less and hides them less. strong: with ST-GAN's weights alone.",
    )
    add("--overwrite", action="store_true", help="Replace outputs that are there.")
    add("--seed", type=int, help="Decides everybody's noise. Random by default.")
    add("--tempo", type=float, help="Gaits up to this share faster or slower; feet slip by it.")
    add("--in_step", action="store_true", default=None,
        help="Poses as they are read, when they were recorded, as on stairs. By default no more "
        "than the gait is kept, at another moment, so that results are not linked.")  # fmt: skip
    add("--build", type=float, help="New bodies so many times as various as people's, up to 2.")
    add("--store_seed", action="store_true", help="Put the seed into the report.")
    add("--keep_audio", action="store_true", default=True, help="Keep the sound (the default).")
    add("--no_keep_audio", "--nokeep_audio", dest="keep_audio", action="store_false",
        help="Leave the sound out.")  # fmt: skip
    add("--codec", help="h264, h265, vp9, av1 or mpeg4. Default: the container's.")
    add("--crf", type=int, default=18, help="Quality of the codec, lower is better.")
    add("--start", type=float, default=0.0, help="Seconds at which to start.")
    add("--end", type=float, help="Seconds at which to end.")
    add("--max_resolution", type=int, help="Scale down to so many pixels on the shorter side.")
    add("--masks", help="Folder with a PNG a frame: people's ids, 0 is nobody.")
    add("--segmenter", help="ONNX network that tells where people are.")
    add("--segmenter_input", default="512,512,0", help="Its height, width, class of people.")
    add("--background", help="Picture of the empty scene; with masks also a video of it.")
    add("--silhouettes_only", action="store_true", help="White people on black.")
    add("--silhouette", default="contour", choices=["contour", "dcgan"],
        help="dcgan: drawn frame by frame, by the anonymiser of 2019.")  # fmt: skip
    add("--color", default="nearest", help="Of the nearest pixel, or by a transfer network.")
    add("--face", default="blur", help="Original heads: blur, fill (one colour) or keep.")
    add("--standing", default="cover", help="What may be people who stand in the background: "
        "cover it, or keep it, if you have looked and there is nobody.")  # fmt: skip
    add("--preview", help="PNG to write: a few frames of the result.")
    add("--contact_sheet", help="PNG to write, before and after. It shows the original people.")
    add("--report", help="JSON file to write. Default: one beside each output.")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="Processes for datasets.")
    add("--device", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="Where to compute.")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, does what it says, and exits with its code."""
    argv = sys.argv[1:] if arguments is None else arguments
    given = _parser().parse_args([_underscored(word) for word in argv])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left half-written
    with one_sentence():
        result = _run(given)
    print(_summary(result))
    sys.exit(result["exit_code"])


def _underscored(word: str) -> str:
    """--keep-audio is --keep_audio."""
    name, equals, value = word.partition("=")
    return (
        (name[:2] + name[2:].replace("-", "_") if name.startswith("--") else name) + equals + value
    )


def _run(given: argparse.Namespace) -> dict[str, Any]:
    inputs = [*given.inputs, *given.input]
    if not inputs:
        raise InputError("name what is to be anonymised (--help lists the flags)")
    side = numbers("--segmenter_input", given.segmenter_input.split(","))
    if len(side) != 3:
        raise InputError("--segmenter_input needs three numbers, as 512,512,0")
    if given.silhouette == "dcgan":
        given.checkpoint = _dcgan(given.checkpoint)
    if given.jobs < 1:
        raise InputError("--jobs must be 1 or more")

    from stgan_jax.footage import batch, source  # after the flags are known to be good: slow

    named = {name: getattr(given, name) for name in (
        "keep_audio", "codec", "crf", "start", "end", "max_resolution", "silhouettes_only", "masks",
        "segmenter", "background", "seed", "tempo", "in_step", "build", "store_seed", "preview",
        "contact_sheet", "face", "color", "standing",
    )}  # fmt: skip
    options = source.Options(**named, segmenter_input=(side[0], side[1], side[2]))
    with _device(given.device):
        return batch.anonymize(
            inputs, given.output, checkpoint=given.checkpoint, strength=given.strength,
            overwrite=given.overwrite,
            report_file=given.report, report_beside=given.report is None,
            jobs=given.jobs, options=options,
        )  # fmt: skip


def _dcgan(source: str | None) -> str:
    """What is to be a training of silhouette.py; the package's weights where none is named."""
    from stgan_jax import checkpoint
    from stgan_jax.settings import SilhouetteSettings

    kind = SilhouetteSettings.kind
    if source is not None and (checkpoint.settings_in(source) or {}).get("kind") != kind:
        raise InputError(
            f"--silhouette=dcgan: {source} is no training of silhouette.py: leave --checkpoint out "
            "for the weights that come along"
        )
    return kind if source is None else source


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
    from stgan_jax.footage import batch

    return batch.summary(result)
