"""How well people are hidden before a camera that moves, in rendered scenes whose pixels and camera
are known:

    python benchmarks/moving.py --out=FILE.json [--kinds=pan,past] [--pictures=FOLDER]

Prints a table, a row a kind of motion, and writes the figures of each scene to --out; the same
command goes on where it was stopped. The new bodies are left out of what is written, so that all
that was behind people can be compared with the truth; how they would have been drawn says how far
their feet slip.
"""

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import people_scores
from absl import app, flags
from tqdm import tqdm

from stgan_jax.data.walkers.moving_scenes import KINDS, MovingFrame, MovingScene
from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.util import files
from stgan_jax.util.errors import one_sentence, parse_flags
from stgan_jax.video import clip
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.render import compose, wardrobe
from stgan_jax.video.source import ClipOptions

_KINDS = flags.DEFINE_list("kinds", list(KINDS), "Which motions.")
_SEEDS = flags.DEFINE_integer("seeds", 2, "Scenes of each kind.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("length", 125, "Frames of a scene.", lower_bound=30)
_SIZE = flags.DEFINE_list("size", ["640", "480"], "Width, height.")
_PEOPLE = flags.DEFINE_integer("people", 2, "In a scene.", lower_bound=1)
_MODELS = flags.DEFINE_string("models", None, "The networks' files; by default they are fetched.")
_PICTURES = flags.DEFINE_string("pictures", None, "Folder for frames before and after.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write, and to go on with.")

_STANCE = 8  # frames that a foot stands at least to be counted
_LOW = 0.03  # statures above the lowest foot within which one stands


def main(_) -> None:
    with one_sentence():
        size = int(_SIZE.value[1]), int(_SIZE.value[0])
        head = {"frames": _FRAMES.value, "size": list(size), "people": _PEOPLE.value}
        result: dict[str, Any] = {**head, "scenes": {}}
        if _OUT.value and files.check_output(_OUT.value).exists():
            result = json.loads(Path(_OUT.value).read_text())
        cases = [(kind, seed) for kind in _KINDS.value for seed in range(_SEEDS.value)]
        for kind, seed in tqdm(cases, desc="scenes", unit="scene"):
            if f"{kind} {seed}" in result["scenes"]:
                continue
            scene = MovingScene(kind, seed, _FRAMES.value, size, people=_PEOPLE.value)
            result["scenes"][f"{kind} {seed}"] = measure(scene, f"{kind}-{seed}")
            if _OUT.value:
                with files.replacing(_OUT.value) as beside:
                    beside.write_text(json.dumps(result, indent=1) + "\n")
        for name, row in result["scenes"].items():
            print(name, row)


def measure(scene: MovingScene, name: str) -> dict[str, Any]:
    """Figures of one scene."""
    truth = list(scene)
    with tempfile.TemporaryDirectory() as place:
        source, output = Path(place) / "in", Path(place) / "out"
        source.mkdir()
        for t, frame in enumerate(truth):
            cv2.imwrite(os.fspath(source / f"{t:05d}.png"), frame.image[..., ::-1])
        started = time.monotonic()
        persons, report = written(source, output)
        seconds = time.monotonic() - started
        shown = [_picture(path) for path in sorted(output.iterdir())]
    if _PICTURES.value:
        for t in range(5, len(truth), 20):
            pair = np.hstack([truth[t].image, shown[t], truth[t].empty])[..., ::-1]
            pictures.write(Path(_PICTURES.value) / f"{name}-{t:03d}.png", pair)
    return {
        **figures(truth, shown),
        "slip": slip(scene, persons),
        "found": len(persons),
        "camera": report.get("camera"),
        "made_up": report.get("made_up"),
        "exit_code": report["exit_code"],
        "covered": sum(row["frames_covered"] for row in report["people"]),
        "seconds": round(seconds, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def written(source: Path, output: Path) -> tuple[list[Person], dict[str, Any]]:
    """Anonymises a folder of frames without drawing anybody; whom it would have drawn."""
    persons: list[Person] = []
    bare = mock.patch.object(compose, "compose", lambda canvas, *_: compose.Composed(canvas, []))
    kept = mock.patch.object(wardrobe, "collect", lambda found, *_: persons.extend(found))
    options = ClipOptions(models=_MODELS.value, seed=0)
    with bare, kept, open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        report = clip.anonymize_video(source, output, catalog.load(), options=options)
    return persons, report


def figures(truth: list[MovingFrame], shown: list[np.ndarray]) -> dict[str, float]:
    """What is shown where people were."""
    error = count = 0.0
    totals: dict[str, int] = {}
    for frame, picture in zip(truth, shown, strict=True):
        people = frame.people > 0
        away = picture[people].astype(float) - frame.empty[people]
        error, count = error + float(np.square(away).sum()), count + away.size
        for key, n in people_scores.pixels(frame.image, picture, frame.empty, frame.people).items():
            totals[key] = totals.get(key, 0) + int(n)
    return {"psnr": round(float(10 * np.log10(255**2 / (error / count))), 2), **totals}


def slip(scene: MovingScene, persons: list[Person]) -> float | None:
    """How far a standing foot moves over the ground while it stands, in statures, in the mean."""
    found: list[float] = []
    for person in persons:
        if person.bodies is None:
            continue
        numbers = person.sightings.table()[:, 0]
        figures = [person.bodies.new(i) for i in range(len(numbers))]
        feet = np.array([[_sole(f, side) for side in "LR"] for f in figures])
        tall = np.array([figure.scale for figure in figures])
        ground = np.array(
            [scene.on_the_ground(int(t), place) for t, place in zip(numbers, feet, strict=True)]
        )
        scale = tall * np.array([_zoom(scene, int(t)) for t in numbers])
        for foot in (0, 1):
            stands = feet[:, foot, 0] > feet[:, 1 - foot, 0]
            stands &= np.array([reason is None for reason in person.hidden])
            for run in _runs(stands & np.isfinite(scale)):
                inner = run[len(run) // 5 : len(run) - len(run) // 5]
                if len(run) >= _STANCE:
                    way = ground[inner[-1], foot] - ground[inner[0], foot]
                    found.append(float(np.linalg.norm(way) / scale[inner].mean()))
    return round(float(np.mean(found)), 4) if found else None


def _sole(figure, side: str) -> np.ndarray:
    """Where a foot touches the ground: (row, col)."""
    heel, ball = figure.spheres[f"heel_{side}"], figure.spheres[f"ball_{side}"]
    return np.array([max(heel[0] + heel[3], ball[0] + ball[3]), (heel[1] + ball[1]) / 2])


def _zoom(scene: MovingScene, t: int) -> float:
    """How much smaller a frame's pixels are in the wide picture."""
    return float(1 / np.cbrt(np.linalg.det(scene.views[t])) ** 1.5)


def _runs(where: np.ndarray) -> list[np.ndarray]:
    at = np.flatnonzero(where)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(run)]


def _picture(path: Path) -> np.ndarray:
    return np.ascontiguousarray(pictures.read(path)[..., ::-1])


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
