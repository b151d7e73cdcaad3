"""How well people are found, followed and hidden in hard rendered scenes, all of whose pixels
are known:

    python benchmarks/people.py --out=FILE.json [--compare=BEFORE.json] [--cache=FOLDER]

Prints a table, a row a kind of scene, and writes it with the counts of each scene to --out. The
same command goes on where it was stopped. Of a written video is measured what it shows of people
and what it changes elsewhere; the new bodies are painted in one colour there, so that a copied
colour is no original pixel. --cache keeps the rendered scenes, for the next version.
"""

import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import people_scores
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.walkers.hard_scenes import KINDS, HardFrame, HardScene
from stgan_jax.media import pictures
from stgan_jax.methods import api, catalog
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags
from stgan_jax.video import backdrop, clip
from stgan_jax.video.blanks import Blanks
from stgan_jax.video.people import finding, networks
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings
from stgan_jax.video.render import compose
from stgan_jax.video.source import ClipOptions, ClipSource

_KINDS = flags.DEFINE_list("kinds", list(KINDS), "Which scenes.")
_SEEDS = flags.DEFINE_integer("seeds", 2, "Scenes of each kind.", lower_bound=1)
_FIRST = flags.DEFINE_integer("first_seed", 0, "Seed of the first of each kind.", lower_bound=0)
_FRAMES = flags.DEFINE_integer("length", 125, "Frames of a scene.", lower_bound=30)
_PIXELS = flags.DEFINE_bool("pixels", True, "Also writes videos, and measures them.")
_PEOPLE = flags.DEFINE_string("people", "networks", "As of stgan-anonymize.")
_MODELS = flags.DEFINE_string("models", None, "The networks' files; by default they are fetched.")
_CACHE = flags.DEFINE_string(
    "cache", None, "Folder that keeps the scenes, 60 MB each, as long as their code is the same."
)
_OUT = flags.DEFINE_string(
    "out", None, "JSON file to write, and to go on with.", allow_override=True
)  # tests import other scripts beside this one
_COMPARE = flags.DEFINE_string("compare", None, "JSON file of before.")
_QUICK = flags.DEFINE_bool("quick", False, "Two short scenes, to see that all works.")

Finder = Callable[[Path], list[people_scores.Masks]]  # folder of frames -> tracks
Writer = Callable[[Path, Path], None]  # folder of frames, folder of what is written


def main(_) -> None:
    with one_sentence():
        if unknown := set(_KINDS.value) - set(KINDS):
            raise InputError(f"--kinds: no {', '.join(unknown)}; there are {', '.join(KINDS)}")
        options = ClipOptions(people=_PEOPLE.value, models=_MODELS.value, seed=0)
        kinds, seeds = _KINDS.value, range(_FIRST.value, _FIRST.value + _SEEDS.value)
        frames = _FRAMES.value
        if _QUICK.value:
            kinds, seeds, frames = ["crossing", "screen"], range(1), 30
        before = stored(_COMPARE.value) if _COMPARE.value else None
        head: dict[str, Any] = {"commit": _commit(), "people": _PEOPLE.value, "frames": frames}
        head["pixels"] = _PIXELS.value
        result: dict[str, Any] = {**head, "kinds": {}, "scenes": {}}
        if _OUT.value and files.check_output(_OUT.value).exists():
            result = stored(_OUT.value)
            if {name: result.get(name) for name in head} != head:
                raise InputError(f"{_OUT.value}: of another commit or other flags, name another")
        write = None
        if _PIXELS.value:
            write = functools.partial(write_anonymous, options, catalog.load("retarget"))
        find = functools.partial(find_people, options)
        cases = [(kind, seed) for seed in seeds for kind in kinds]
        for kind, seed in tqdm(cases, desc="scenes", unit="scene"):
            if f"{kind} {seed}" in result["scenes"]:
                continue
            with rendered(HardScene(kind, seed, frames), seed, _CACHE.value) as folder:
                result["scenes"][f"{kind} {seed}"] = measure(folder, find, write)
            result["kinds"] = people_scores.pooled(result["scenes"])
            if _OUT.value:
                with files.replacing(_OUT.value) as beside:
                    beside.write_text(json.dumps(result, indent=1) + "\n")
        print(people_scores.markdown(result["kinds"], before and before["kinds"]))


def find_people(options: ClipOptions, folder: Path) -> list[people_scores.Masks]:
    """The tracks of the package as it is, of a folder of frames.

    Raises:
      InputError: the clip is refused.
    """
    source, blanks = ClipSource(folder, options.cut), Blanks()
    samples = source.samples()
    source.moves = backdrop.moves(samples)
    shelf = Shelf(tempfile.gettempdir())
    nets = networks.load(options.models)
    if nets is None:
        raise InputError("the networks cannot be had: name their folder by --models")
    sides = finding.sides(samples, nets)
    found = finding.find(source, sides, nets, shelf, blanks, lambda what: tqdm(desc=what))
    return [Outlines(subject.sightings, source.shape) for subject in found.subjects]


class Outlines(Mapping[int, np.ndarray]):
    """A track's masks by frame, unpacked as they are asked for."""

    def __init__(self, sightings: Sightings, shape: tuple[int, int]):
        self._sightings, self._shape = sightings, shape
        self._at = {int(frame): i for i, frame in enumerate(sightings.table()[:, 0])}

    def __getitem__(self, frame: int) -> np.ndarray:
        return self._sightings[self._at[frame]].on(self._shape)

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


def write_anonymous(
    options: ClipOptions, model: api.Anonymizer, folder: Path, output: Path
) -> None:
    """Anonymises a folder of frames, with the new bodies in one colour.

    Raises:
      InputError: the clip is refused.
    """

    def flat(canvas: np.ndarray, frame: np.ndarray, own: np.ndarray, new: np.ndarray, *_) -> None:
        canvas[new > 0] = people_scores.MARK

    options = dataclasses.replace(options, color="nearest")  # the colours that `flat` replaces
    with mock.patch.object(compose, "colorize", flat):
        clip.anonymize_video(folder, output, model, options=options)


def measure(folder: Path, find: Finder, write: Writer | None) -> dict[str, float | str]:
    """Counts of one scene, see `people_scores`; if it is refused, also the sentence."""
    truth = list(read(folder))
    reasons: dict[str, str] = {}
    tracks: list[people_scores.Masks] = []
    try:
        with _quiet():
            tracks = find(folder / "frames")
    except InputError as error:
        reasons["reason"] = _reason(error, folder)
    scores = people_scores.Tracking()
    for t, frame in enumerate(truth):
        masks = {k: track[t] for k, track in enumerate(tracks) if t in track}
        scores.update(frame.people, frame.visible, masks)
    counts = scores.counts
    if write is not None and not reasons:
        with tempfile.TemporaryDirectory() as place:
            output = Path(place) / "written"
            try:
                with _quiet():
                    write(folder / "frames", output)
            except InputError as error:
                reasons["reason"] = _reason(error, folder)
            else:
                for t, frame in enumerate(truth):
                    shown = _picture(output / f"{t:05d}.png")
                    seen = people_scores.pixels(frame.image, shown, frame.empty, frame.people)
                    for name, count in seen.items():
                        counts[name] += count
    counts["refused"] = len(reasons)
    return {**{name: round(float(n), 4) for name, n in counts.items()}, **reasons}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress of each scene."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _reason(error: InputError, folder: Path) -> str:
    return str(error).replace(f"{folder / 'frames'}: ", "")


@contextlib.contextmanager
def rendered(scene: HardScene, seed: int, cache: str | None = None) -> Iterator[Path]:
    """A folder with a scene's frames and truth, kept if there is a cache."""
    name = f"{scene.kind}-{seed}-{scene.frames}-{scene.size[0]}"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(cache or place) / name
        if not (folder / "visible.json").exists():
            for part in ("frames", "people", "empty"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            shares = []
            for t, frame in enumerate(scene):
                for part, picture in (("frames", frame.image), ("empty", frame.empty)):
                    cv2.imwrite(os.fspath(folder / part / f"{t:05d}.png"), picture[..., ::-1])
                cv2.imwrite(os.fspath(folder / "people" / f"{t:05d}.png"), frame.people)
                shares.append(frame.visible)
            (folder / "visible.json").write_text(json.dumps(shares))
        yield folder


def read(folder: Path) -> Iterator[HardFrame]:
    """The frames of a folder that `rendered` yields."""
    for t, shares in enumerate(json.loads((folder / "visible.json").read_text())):
        name = f"{t:05d}.png"
        people = pictures.read(folder / "people" / name, cv2.IMREAD_GRAYSCALE)
        image, empty = _picture(folder / "frames" / name), _picture(folder / "empty" / name)
        yield HardFrame(image, people, empty, tuple(shares))


def _picture(path: Path) -> np.ndarray:
    return np.ascontiguousarray(pictures.read(path)[..., ::-1])


def stored(path: str) -> dict:
    """Reads an --out. Raises `InputError` if the file is none."""
    try:
        result = json.loads(Path(path).read_text())
        result["kinds"], result["scenes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not what --out of this script writes") from error
    return result


def _commit() -> str:
    """The last commit that changed the package, with "+" if files of it differ from that."""

    def git(*words: str) -> str:
        package = Path(__file__).parents[1] / "stgan_jax"
        done = subprocess.run(["git", *words, "--", "."], cwd=package, capture_output=True)
        return done.stdout.decode().strip()

    changed = git("status", "--porcelain")
    return git("log", "-1", "--format=%h", "--abbrev=12") + ("+" if changed else "")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
