"""Are people who stand still from end to end found, and what of empty scenes is covered?

    python benchmarks/standing.py [--input=FILE] [--each=4] [--scenes=20] [--out=FILE.json]
        [--clips=FILE,FILE] [--people=networks,difference] [--models=FOLDER]

By the networks, and by the HOG detectors that stand in for them (difference). In a real video from
a static camera, people who walk alone are cut out of some frames each and put into the video's
empty scene where they were: a picture of somebody who stood there from end to end. People half
behind a pole count, too. And rendered people, one a scene. A person is covered if all of their
silhouette is. Also: the share of the empty scenes that is covered, and of each of --clips.
"""

import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, containers
from stgan_jax.util import files
from stgan_jax.util.errors import InputError, one_sentence, parse_flags
from stgan_jax.video.people import anonymizing, masks, standing
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.source import ClipSource

_INPUT = flags.DEFINE_string("input", None, "Video from a static camera in which people walk.")
_EACH = flags.DEFINE_integer("each", 4, "Frames of each person.", lower_bound=1)
_SCENES = flags.DEFINE_integer("scenes", 20, "Rendered ones.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 60, "Of the first rendered scene.", lower_bound=0)
_CLIPS = flags.DEFINE_list("clips", [], "Videos whose empty scenes are searched.")
_PEOPLE = flags.DEFINE_list("people", ["networks", "difference"], "What is measured.")
_MODELS = flags.DEFINE_string("models", None, "The networks' files; by default they are fetched.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")
_LEAST = 40  # pixels in height of somebody who is tried
Case = tuple[np.ndarray, np.ndarray]  # picture, silhouette
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]  # picture, samples -> mask


def main(_) -> None:
    with one_sentence():
        if _OUT.value:
            files.check_output(_OUT.value)
        methods = {name: _method(name) for name in _PEOPLE.value}
        figures = {}
        if _INPUT.value:
            empty, cases = _real(_INPUT.value)
            figures["real"] = {n: _measured(m, cases, [empty]) for n, m in methods.items()}
        size = (480, 640)
        seeds = range(_SEED.value, _SEED.value + _SCENES.value)
        empties = [Scene(seed, people=0, frames=1, size=size).background for seed in seeds]
        rendered = [_rendered(seed, size) for seed in seeds]
        figures["rendered"] = {n: _measured(m, rendered, empties) for n, m in methods.items()}
        figures["clips, share of the picture covered"] = {
            Path(path).name: _shares(path, methods) for path in _CLIPS.value
        }
        text = json.dumps(figures, indent=2)
        print(text)
        if _OUT.value:
            with files.replacing(_OUT.value) as beside:
                beside.write_text(text + "\n")


def _method(name: str) -> Method:
    if name == "difference":
        return lambda picture, samples: standing.people_in(picture)
    nets = standing.load(_MODELS.value)
    if name != "networks" or nets is None:
        raise InputError("--people takes networks, where they can be had, and difference")
    return functools.partial(standing.people_standing, nets=nets)


def _shares(path: str, methods: dict[str, Method]) -> dict[str, float]:
    samples = ClipSource(path, containers.Cut()).samples()
    empty = background.scene_behind(samples).empty
    return {name: round(float(find(empty, samples).mean()), 4) for name, find in methods.items()}


def _measured(find: Method, cases: list[Case], empties: list[np.ndarray]) -> dict:
    shares, heights = [], []
    for picture, own in tqdm(cases):
        shares.append(float(find(picture, picture[None])[own > 0].mean()))
        heights.append(int(own.any(1).sum()))
    return {
        "people": len(cases),
        "covered": sum(share == 1 for share in shares),
        "covered by half or more": sum(share >= 0.5 for share in shares),
        "others, (share covered, pixels in height)": [
            (round(share, 2), tall)
            for share, tall in zip(shares, heights, strict=True)
            if share < 1
        ],
        "pixels in height, least and most": [min(heights, default=0), max(heights, default=0)],
        "share of empty scenes covered": [
            round(float(find(empty, empty[None]).mean()), 4) for empty in empties
        ],
    }


def _rendered(seed: int, size: tuple[int, int]) -> Case:
    """The frame of a person who crosses a scene in which they are largest and whole."""

    def visible(frame) -> int:
        person = frame.people > 0
        whole = not (person[:, [0, -1]].any() or person[[0, -1]].any())
        return int(whole and person.sum())

    best = max(Scene(seed, people=1, frames=21, size=size), key=visible)
    return best.image, (best.people > 0).astype(np.uint8)


def _real(path: str) -> tuple[np.ndarray, list[Case]]:
    source = ClipSource(path, containers.Cut())
    scene = background.scene_behind(source.samples())
    detector = masks.ByBackground(scene.threshold)
    shelf = Shelf(tempfile.gettempdir())
    packed: list[np.ndarray] = []  # masks of everybody, a frame each

    def detected() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        light = background.Light(scene.empty, float(source.info.fps))
        for number, frame in enumerate(source.frames()):
            mask = detector(number, frame.image, light.update(frame.image))
            packed.append(np.packbits(mask))
            yield number, frame.image, mask

    picks: dict[int, list[np.ndarray]] = {}
    blanks = anonymizing.Blanks()
    for track in anonymizing.track_people(detected(), source.shape, shelf, blanks):
        alone = []
        for one in track.sightings[2:-2]:
            everybody = np.unpackbits(packed[one.frame], count=source.shape[0] * source.shape[1])
            own = one.on(source.shape)
            if _is_alone(own, one.box, everybody.reshape(source.shape)):
                alone.append((one.frame, own))
        evenly = np.linspace(0, len(alone) - 1, min(_EACH.value, len(alone))).round().astype(int)
        for number, own in (alone[i] for i in evenly):
            picks.setdefault(number, []).append(own)
    cases = []
    for number, frame in enumerate(source.frames()):
        for own in picks.get(number, ()):
            wide = cv2.dilate(own, np.ones((13, 13), np.uint8)).astype(np.float32)
            soft = cv2.GaussianBlur(wide, (0, 0), 2)[..., None]
            picture = np.rint(scene.empty * (1 - soft) + frame.image * soft).astype(np.uint8)
            cases.append((picture, own))
    return scene.empty, cases


def _is_alone(own: np.ndarray, box: np.ndarray, everybody: np.ndarray) -> bool:
    """Whether a silhouette is shaped as one upright person's, and nobody is near."""
    height, width = box[2:] - box[:2]
    inside = (box[:2] > 2).all() and (box[2:] < np.array(own.shape) - 2).all()
    upright = 0.25 < width / height < 0.62 and own.sum() >= 0.4 * height * width
    near = cv2.dilate(own, np.ones((17, 17), np.uint8))
    return bool(inside and upright and height >= _LEAST and not (near & everybody & ~own).any())


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
