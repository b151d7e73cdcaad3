"""How well people are hidden before a camera that moves, in rendered scenes whose pixels and camera
are known:

    python benchmarks/moving.py --out=FILE.json [--kinds=pan,past] [--pictures=FOLDER]

Prints a table, a row a kind of motion, and writes the figures of each scene to --out; the same
command goes on where it was stopped. The new bodies are left out of what is written, so that all
that was behind people can be compared with the truth; how they would have been drawn says how far
their feet slip. With --clip, of a camera that stands, also whether the same people are found in it
when hands seem to hold the camera as when they seem not to move.
"""

import contextlib
import itertools
import json
import os
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import people_scores
from absl import app, flags
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from stgan_jax.data.walkers.moving_scenes import KINDS, MovingFrame, MovingScene, hand
from stgan_jax.media import containers, path, pictures
from stgan_jax.methods import catalog
from stgan_jax.methods.color import dressing
from stgan_jax.shapes.surface import Figure
from stgan_jax.util import files
from stgan_jax.util.errors import one_sentence, parse_flags
from stgan_jax.video import backdrop, clip
from stgan_jax.video.people import linking
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
_CLIP = flags.DEFINE_string("clip", None, "A real video of a camera that stands.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write, and to go on with.")

_SHAKES = 3  # of a real clip, and as many steady hands
_CLOSER = 1.1  # by which a clip is enlarged, so that hands do not look beyond it
# A foot stands alone in this part of a cycle, which begins as it strikes; so many frames at least.
_STANCE, _LEAST = (0.12, 0.5), 5
_SHOE = ("heel", "ball", "toe", "back", "inner", "outer", "tip")


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
        if _CLIP.value:
            result["clip"] = in_hands(Path(_CLIP.value), _FRAMES.value)
            if _OUT.value:
                with files.replacing(_OUT.value) as beside:
                    beside.write_text(json.dumps(result, indent=1) + "\n")
        for name, row in [*result["scenes"].items(), ("clip", result.get("clip"))]:
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
        persons, report, hidden = written(source, output)
        seconds = time.monotonic() - started
        shown = [_picture(path) for path in sorted(output.iterdir())]
    if _PICTURES.value:
        Path(_PICTURES.value).mkdir(parents=True, exist_ok=True)
        for t in range(5, len(truth), 20):
            pair = np.hstack([truth[t].image, shown[t], truth[t].empty])[..., ::-1]
            pictures.write(Path(_PICTURES.value) / f"{name}-{t:03d}.png", pair)
    return {
        **figures(truth, shown),
        **left(truth, hidden),
        "slip": slip(scene, persons),
        "found": len(persons),
        "camera": report.get("camera"),
        "made_up": report.get("made_up"),
        "exit_code": report["exit_code"],
        "covered": sum(row["frames_covered"] for row in report["people"]),
        "seconds": round(seconds, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def written(
    source: Path, output: Path, dressed: bool = False
) -> tuple[list[Person], dict[str, Any], dict[int, np.ndarray]]:
    """Anonymises a folder of frames without drawing anybody.

    With `dressed` they have their clothes, which takes a pass over the frames.

    Returns:
      whom it would have drawn; the report; and 1 where people are hidden, by the frames' numbers.
    """
    persons: list[Person] = []
    hidden: dict[int, np.ndarray] = {}
    collect, canvas = wardrobe.collect, backdrop.Backdrop.canvas

    def keep(found: list[Person], *others: Any) -> None:
        persons.extend(found)
        if dressed:
            collect(found, *others)

    def behind(own: backdrop.Backdrop, entry: backdrop.Entry) -> np.ndarray:
        hide = None if own.hidden is None else own.hidden[entry.number]
        everywhere = np.ones(entry.frame.image.shape[:2], np.uint8)
        hidden[entry.number] = everywhere if hide is None else hide.copy()
        return canvas(own, entry)

    bare = mock.patch.object(compose, "compose", lambda canvas, *_: compose.Composed(canvas, []))
    kept = mock.patch.object(wardrobe, "collect", keep)
    seen = mock.patch.object(backdrop.Backdrop, "canvas", behind)
    options = ClipOptions(models=_MODELS.value, seed=0)
    with bare, kept, seen, open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        report = clip.anonymize_video(source, output, catalog.load(), options=options)
    return persons, report, hidden


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


def left(truth: list[MovingFrame], hidden: dict[int, np.ndarray]) -> dict[str, int]:
    """How many pixels of people are not hidden, whatever their colours, and how many of these are
    unlike the scene.

    What is shown of people, of `figures`, counts hidden ones as well, behind which an empty scene
    that is not quite the true one happens to have a person's colour.
    """
    bare = [(frame.people > 0) & (hidden[t] == 0) for t, frame in enumerate(truth)]
    unlike = [
        mask & (people_scores.distance(frame.image, frame.empty) > people_scores.UNLIKE)
        for mask, frame in zip(bare, truth, strict=True)
    ]
    return {"not hidden": int(np.sum(bare)), "not hidden, unlike": int(np.sum(unlike))}


def in_hands(video: Path, frames: int) -> dict[str, Any]:
    """Who is found in a clip as if hands had held the camera, and as if the same hands had not
    moved, `_SHAKES` times each.

    What results of steady hands differ by is the noise in which a shake may differ from none: they
    hold the camera a little differently, so that all pixels are interpolated anew.
    """
    images = [
        frame.image for _, frame in zip(range(frames), containers.read_stamped(video), strict=False)
    ]
    fps = float(containers.probe(video).fps)
    results: dict[str, list[dict[str, Any]]] = {"steady": [], "shaken": []}
    for how, seed in tqdm([(how, seed) for how in results for seed in range(_SHAKES)], "hands"):
        poses = _held(images[0].shape[:2], frames, fps, seed)
        poses = poses[:1] * frames if how == "steady" else poses
        with tempfile.TemporaryDirectory() as place:
            source = Path(place) / "in.mp4"
            with containers.video_writer(source, images[0].shape[:2], Fraction(fps), 12) as append:
                for image, pose in zip(images, poses, strict=True):
                    size = image.shape[1::-1]
                    append(cv2.warpPerspective(image, pose, size, flags=cv2.INTER_CUBIC))
            persons, report, _ = written(source, Path(place) / "out.mp4", dressed=True)
        results[how].append({
            "places": [_places(person, poses) for person in persons],
            "colours": [_colour(person) for person in persons],
            "covered": sum(row["frames_anonymized"] == 0 for row in report["people"]),
            "camera": report["camera"],
            "seconds": report["seconds"],
        })  # fmt: skip
    steady, shaken = results.values()
    pairs = {
        "both steady": itertools.combinations(steady, 2),
        "steady and shaken": itertools.product(steady, shaken),
        "both shaken": itertools.combinations(shaken, 2),
    }
    each = {
        how: {
            "tracks": [len(one["places"]) for one in some],
            "sightings": [sum(map(len, one["places"])) for one in some],
            **{key: [one[key] for one in some] for key in ("covered", "camera", "seconds")},
        }
        for how, some in results.items()
    }
    alike = {name: [_alike(*pair) for pair in some] for name, some in pairs.items()}
    return {"frames": len(images), **each, **alike, "load": round(os.getloadavg()[0], 1)}


def _held(size: tuple[int, int], frames: int, fps: float, seed: int) -> list[np.ndarray]:
    """Homographies from a clip to what somebody sees who holds the camera."""
    height, width = size
    rng = np.random.default_rng(seed)
    turns = np.stack([hand(rng, frames, fps) for _ in range(3)], -1)
    middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    lens = np.diag([1.25 * height, 1.25 * height, 1.0])
    closer = np.linalg.inv(middle) @ np.diag([_CLOSER, _CLOSER, 1]) @ lens
    return [
        closer @ cv2.Rodrigues(np.radians(turn))[0] @ np.linalg.inv(lens) @ middle for turn in turns
    ]


def _alike(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What two results of one clip have in common: places, people, and their colours."""
    tracks, others = one["places"], other["places"]
    pairs = np.array([[_shared(a, b) for b in others] for a in tracks])
    rows, cols = linear_sum_assignment(-pairs)
    same = pairs[rows, cols]
    mostly = same > 0.5 * np.array([len(tracks[row]) for row in rows])
    off = [
        float(np.abs(one["colours"][row] - other["colours"][col]).mean())
        for row, col, good in zip(rows, cols, mostly, strict=True)
        if good and one["colours"][row] is not None and other["colours"][col] is not None
    ]
    return {
        "at one place": _at_one_place(tracks, others),
        "of the same": int(same.sum()),
        "people of whom more than half is the same": int(mostly.sum()),
        "colours differ by": round(float(np.mean(off)), 1) if off else None,
    }


def _colour(person: Person) -> np.ndarray | None:
    """The mean RGB of somebody's new bodies; None if none is drawn in their clothes."""
    if person.bodies is None or person.outfit is None:
        return None
    total, count = np.zeros(3), 0.0
    for i in [i for i, reason in enumerate(person.hidden) if reason is None][::3]:
        figure = person.bodies.new(i)
        low, high = np.floor(figure.box()[:2]), np.ceil(figure.box()[2:])
        shape = tuple((high - low).astype(int).tolist())
        view = person.bodies.view(i)
        layer, alpha = dressing.drawn(
            figure.moved(1.0, -low),
            shape,
            person.outfit.atlas,
            figure.view if view is None else view,
        )
        total, count = total + layer[alpha > 127].sum(0), count + float((alpha > 127).sum())
    return total / count if count else None


def _at_one_place(tracks: list[dict], others: list[dict]) -> int:
    """How many boxes of the one have a box of the other, frame by frame, whosever they are."""
    count = 0
    for t in sorted({t for track in tracks for t in track}):
        one, other = (np.array([x[t] for x in some if t in x]) for some in (tracks, others))
        if len(other):
            overlaps = linking.overlap(one, other)
            rows, cols = linear_sum_assignment(-overlaps)
            count += int((overlaps[rows, cols] > 0.5).sum())
    return count


def _places(person: Person, poses: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Frame -> box of somebody, in the pixels of the original clip."""
    out = {}
    for frame, top, left, bottom, right in person.sightings.table()[:, :5]:
        corners = np.array([[left, top], [right, bottom]], np.float64)
        (x, y), (x2, y2) = path.moved(np.linalg.inv(poses[frame]), corners)
        out[int(frame)] = np.array([y, x, y2, x2])
    return out


def _shared(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> int:
    """In how many frames two tracks are at one place."""
    both = sorted(set(one) & set(other))
    return sum(linking.overlap(one[t][None], other[t][None])[0, 0] > 0.5 for t in both)


def slip(scene: MovingScene, persons: list[Person]) -> float | None:
    """How far a standing foot moves over the ground while it stands, in statures, in the mean.

    What moves is the place of the shoe that is on the ground: a foot rolls from the heel to the
    toes without slipping.
    """
    found: list[float] = []
    for person in persons:
        if person.bodies is None:
            continue
        numbers = person.sightings.table()[:, 0]
        figures = [person.bodies.new(i) for i in range(len(numbers))]
        drawn = np.array([reason is None for reason in person.hidden])
        zooms = np.array([_zoom(scene, int(t)) for t in numbers])
        scale = zooms * np.array([figure.scale for figure in figures])
        shoes = np.array([[_shoe(figure, side) for side in "LR"] for figure in figures])
        for foot in (0, 1):
            phase = (person.bodies.phases - 0.5 * foot + 0.5) % 1  # from this foot's strike on
            for run in _runs(drawn & (phase > _STANCE[0]) & (phase < _STANCE[1])):
                if len(run) >= _LEAST:
                    way = np.zeros(2)
                    for i, after in itertools.pairwise(run):
                        place = _lowest(figures[i], shoes[i, foot])
                        before, then = (
                            scene.on_the_ground(int(numbers[n]), shoes[n, foot, place, None, :2])
                            for n in (i, after)
                        )
                        way += (then - before)[0]
                    found.append(float(np.linalg.norm(way) / scale[run].mean()))
    return round(float(np.mean(found)), 4) if found else None


def _shoe(figure: Figure, side: str) -> np.ndarray:
    """The spheres of a shoe, see `Figure`."""
    return np.array([figure.spheres[f"{name}_{side}"] for name in _SHOE])


def _lowest(figure: Figure, spheres: np.ndarray) -> int:
    """Which sphere of a shoe is lowest above the ground, see `drawing.project`."""
    tilt = np.radians(figure.pitch)
    below = spheres[:, 0] - figure.ground[0]
    up = spheres[:, 2] * np.sin(tilt) - below * np.cos(tilt) - spheres[:, 3]
    return int(up.argmin())


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
