"""Anonymises everybody who walks in a video:

    python launch/anonymize.py --input=IN.mp4 --output=OUT.mp4 --checkpoint=runs/stgan

The camera must stand still. Whoever cannot be anonymised is covered by background, and
counted in the report.
"""

import os

from absl import app, flags

from stgan_jax.errors import one_sentence, parse_flags

_INPUT = flags.DEFINE_string(
    "input", None, "Video to anonymise, any format that FFmpeg reads.", required=True
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Video to write: .mp4, .mov, .mkv, .avi or .webm.", required=True
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "--workdir of an ST-GAN training.", required=True
)
_SEED = flags.DEFINE_integer(
    "seed", None, "Decides everybody's noise. Random by default, and never stored."
)
_REPORT = flags.DEFINE_string(
    "report", None, "JSON file to write, a row a person. Default: beside the output."
)
_SHEET = flags.DEFINE_string(
    "contact_sheet", None, "PNG to write, before and after. It shows the original people."
)


def main(_):
    with one_sentence():
        from stgan_jax import anonymize  # after the flags are known to be good: slow to load

        report = anonymize.anonymize_video(
            _INPUT.value,
            _OUTPUT.value,
            anonymize.load_model(_CHECKPOINT.value),
            seed=_SEED.value,
            report=_REPORT.value or os.path.splitext(_OUTPUT.value)[0] + "_report.json",
            contact_sheet=_SHEET.value,
        )
    print(anonymize.summary(report))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
