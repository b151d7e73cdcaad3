"""Renders a scene of procedural people: python launch/render.py --output=scene.mp4

Footage for trying things out, whose every pixel is known: --truth=DIR also writes the
empty background and, for each frame, who is seen where.
"""

import os
from fractions import Fraction
from pathlib import Path

import cv2
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import containers
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

_OUTPUT = flags.DEFINE_string("output", None, "Video to write.", required=True)
_TRUTH = flags.DEFINE_string("truth", None, "Folder for background.png and 00000.png and so on.")
_SEED = flags.DEFINE_integer("seed", 0, "People, paths, clothes and place.", lower_bound=0)
_PEOPLE = flags.DEFINE_integer("people", 3, "How many cross.", lower_bound=0, upper_bound=9)
_FRAMES = flags.DEFINE_integer("frames", 120, "Length.", lower_bound=1)
_SIZE = flags.DEFINE_list("size", ["640", "480"], "Width,height.")
_FPS = flags.DEFINE_float("fps", 25.0, "Frames a second.", lower_bound=1)
_TEXTURED = flags.DEFINE_bool("textured", True, "Patterned clothes; --notextured for plain ones.")
_SHADOW = flags.DEFINE_float("shadow", 1.0, "How much light people's shadows leave; 1: no shadows.",
                             lower_bound=0, upper_bound=1)  # fmt: skip


def main(_):
    with one_sentence():
        try:
            width, height = map(int, _SIZE.value)
        except ValueError:
            width = height = 0
        if min(width, height) < 32:
            raise InputError("--size needs width,height in pixels, of 32 or more")
        files.check_output(_OUTPUT.value)
        containers.codec_of(_OUTPUT.value)
        scene = Scene(
            _SEED.value, _PEOPLE.value, _FRAMES.value, (height, width), _FPS.value, _TEXTURED.value,
            shadow=_SHADOW.value,
        )  # fmt: skip
        if _TRUTH.value:
            os.makedirs(_TRUTH.value, exist_ok=True)
            background = Path(_TRUTH.value) / "background.png"
            cv2.imwrite(os.fspath(background), scene.background[..., ::-1])
        with containers.video_writer(_OUTPUT.value, scene.size, Fraction(_FPS.value)) as append:
            for number, frame in enumerate(tqdm(scene, total=scene.frames, unit="frame")):
                append(frame.image)
                if _TRUTH.value:
                    cv2.imwrite(f"{_TRUTH.value}/{number:05d}.png", frame.people)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
