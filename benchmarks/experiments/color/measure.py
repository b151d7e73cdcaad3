"""Measures colourings of anonymised walks, walk by walk; a stopped run goes on:

    python benchmarks/experiments/color/measure.py --part=tables --color=color \
        --baseline=runs/color_baseline --data_dir=data --out=runs/color_measured

Parts, each a file of a line a walk in --out, summed up by --part=summary:

* tables: PSNR and SSIM (Colour 2020, tables I and II) against the original frame, of the test
  people's walks in synthetic_walkers/rgb, with their own silhouettes as they were segmented.
* truth: the same against the other body rendered in the same clothes, the clothes by body part
  (`atlas`) as well; and how unsteady the colours are, in the picture and on the body's surface. It
  needs no dataset.
* matched: whether colouring changes what a recogniser finds: energy images of silhouettes cut out
  of coloured frames, against recorded walks of synthetic_walkers/full in --gallery_dir.
* pictures: people of each of the four sets, side by side.
* broken: how often broken silhouettes come out in one piece, from the 2019 anonymiser
  (--silhouette; all that it draws, and the largest part without holes, as in use) and by way of
  contours (--contour).
"""

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from absl import app, flags

from stgan_jax.data.datasets import built, records, splits
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.data.datasets.synthetic_walkers import SyntheticWalkers
from stgan_jax.data.walkers import color_walks, procedural
from stgan_jax.evaluation import naturalness
from stgan_jax.evaluation.image_quality import image_quality
from stgan_jax.methods import catalog, weights
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.color import atlas, dressing, examples
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.methods.silhouette.anonymizer import SilhouetteAnonymizer
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.shapes import contour, cropping, gei, surface
from stgan_jax.util.errors import one_sentence, parse_flags
from stgan_jax.video.people import bodies

PARTS = ("tables", "truth", "matched", "broken", "pictures", "summary")
_PART = flags.DEFINE_enum("part", "summary", PARTS, "What to measure.")
_COLOR = flags.DEFINE_string("color", "color", "Colour transfer: a training, or shipped weights.")
_BASELINE = flags.DEFINE_string("baseline", "color_baseline", "The network of 2019, as well.")
_MORE = flags.DEFINE_list("more", [], "NAME=TRAINING of further networks.")
_SILHOUETTE = flags.DEFINE_string("silhouette", "runs/silhouette", "The anonymiser of 2019.")
_CONTOUR = flags.DEFINE_string("contour", "runs/stgan", "An ST-GAN.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where synthetic_walkers/rgb is built.")
_GALLERY_DIR = flags.DEFINE_string("gallery_dir", "data", "Where synthetic_walkers/full is.")
_VIEWS = flags.DEFINE_list("views", ["0", "36", "54", "90", "126"], "Degrees.")
_FRAMES = flags.DEFINE_integer("frames", 3, "Of each walk, for tables.", lower_bound=1)
_PEOPLE = flags.DEFINE_integer("people", 40, "How many of the test people.", lower_bound=1)
_OUT = flags.DEFINE_string("out", "runs/color_measured", "Folder.")

Painter = Callable[[examples.Crops], np.ndarray]


@functools.cache
def painters() -> dict[str, Painter]:
    """Colourings by name: crops -> anonymised gaits on black."""
    named = {"baseline": _BASELINE.value, "transfer": _COLOR.value}
    named |= dict(entry.split("=", 1) for entry in _MORE.value)
    out: dict[str, Painter] = {"nearest": examples.nearest_colors}
    for name, source in named.items():
        out[name] = functools.partial(_by_network, Recolorer.load(source))
    return out


def _by_network(model: Recolorer, crop: examples.Crops) -> np.ndarray:
    return model(crop.colors, crop.anonymized)


def on_scene(crop: examples.Crops, colored: np.ndarray) -> np.ndarray:
    """Coloured gaits in front of the empty scene."""
    return np.where(crop.anonymized[..., None] > 0, colored, crop.background)


def walks() -> Iterator[tuple[WalkName, Callable[[], records.ColorWalk], int]]:
    """The test people's colour walks, and a number that keys their noise."""
    views = [int(view) for view in _VIEWS.value]
    people = splits.subjects("stgan/test")["test"][: _PEOPLE.value]
    sequences = built.Sequences("synthetic_walkers/rgb", _DATA_DIR.value, people, views)
    for i, walk in enumerate(sequences.walks):
        number = ((walk.subject * 181) + walk.view) * 10 + walk.repetition
        yield walk, functools.partial(sequences.color, i), number


@functools.cache
def retargeter() -> Anonymizer:
    """Draws the binary anonymised gaits, in the pose of the original frame around them."""
    return catalog.load("retarget").with_options(in_step=True, turn=0.0)


def anonymized(walk: records.ColorWalk, number: int) -> tuple[np.ndarray, np.ndarray]:
    """A walk's new silhouettes, from those as segmented, and the squares of their crops."""
    places = examples.squares(walk.silhouettes)
    own = cropping.crop_masks(walk.silhouettes, places)
    return retargeter()(own, jax.random.key(number)), places


def tables(name: WalkName, walk: records.ColorWalk, number: int) -> dict[str, Any]:
    """Figures of each colouring against the original frame."""
    new, places = anonymized(walk, number)
    every = np.linspace(0, len(new) - 1, _FRAMES.value + 2)[1:-1].astype(int)
    crop = examples.crops(walk, new, places, every)
    assert walk.masks is not None
    visible = [
        cropping.crop_mask(walk.masks[t] * (1 - walk.occluder), places[t], crop.own.shape[1])
        for t in every
    ]
    body = np.stack(visible)
    out = {}
    for method, image in paint_all(crop).items():
        whole = image_quality(crop.colors, image, body | crop.anonymized)
        both = image_quality(crop.colors, image, body & crop.anonymized)
        out[method] = {
            "psnr": whole["psnr"],
            "ssim": whole["ssim"],
            "psnr_union": whole["psnr_person"],
            "ssim_union": whole["ssim_person"],
            "psnr_overlap": both["psnr_person"],
            "ssim_overlap": both["ssim_person"],
        }
    return out


def paint_all(crop: examples.Crops) -> dict[str, np.ndarray]:
    """Each colouring of crops, on the scene; and "untouched", the original frame."""
    images = {name: on_scene(crop, paint(crop)) for name, paint in painters().items()}
    return images | {"untouched": crop.colors}


def rendered() -> Iterator[tuple[WalkName, None, int]]:
    """The names of the walks that `walks` has of the same people, for `truth`."""
    config = next(c for c in SyntheticWalkers.BUILDER_CONFIGS if c.name == "rgb")
    for subject in splits.subjects("stgan/test")["test"][: _PEOPLE.value]:
        for view in map(int, _VIEWS.value):
            for walk, (textural, complete) in config.color.items():
                condition, repetition = procedural.walk_name(walk)
                kinds = ("plain", "textural")[textural], ("incomplete", "complete")[complete]
                name = WalkName(subject, condition, repetition, view, color_walks.FRAMES, *kinds)
                yield name, None, ((subject * 181) + view) * 10 + repetition


def dressed(
    own: records.ColorWalk,
    places: np.ndarray,
    new: Sequence[surface.Figure],
    shown: np.ndarray,
    number: int,
) -> np.ndarray:
    """Some frames of another body in the clothes of a walk, on the scene, by outlines alone."""
    crops = cropping.crop_masks(own.silhouettes, places)
    drawn = retargeter().drawn(crops, jax.random.key(number))
    boxes = [cv2.boundingRect(mask) for mask in own.silhouettes]
    feet = np.array([(y + h, x + w / 2, h) for x, y, w, h in boxes])
    read = bodies.Bodies(drawn, places, feet, 25.0)
    used = np.linspace(0, len(crops) - 1, 12).round().astype(int)
    seen = [
        bodies.Shot(own.silhouettes[t][y : y + h, x : x + w], np.array([y, x]))
        for t, (x, y, w, h) in zip(used, np.array(boxes)[used], strict=True)
    ]
    figures = bodies.fitted([read.own(t) for t in used], seen)
    layout = atlas.Layout.of(max(figure.scale for figure in figures))
    frames = [
        atlas.sample(layout, figure, own.frames[t], own.silhouettes[t])
        for figure, t in zip(figures, used, strict=True)
    ]
    clothes, _ = atlas.joined(layout, frames, "keep")
    out = np.repeat(own.background[None], len(shown), 0)
    for canvas, t in zip(out, shown, strict=True):
        dressing.paint(canvas, new[t], clothes, view=read.view(t))
    return out


def flicker(images: np.ndarray, figures: Sequence[surface.Figure], region: np.ndarray) -> float:
    """Mean change of colour from frame to frame at each place of a body's surface, grey levels."""
    layout = atlas.Layout.of(48)
    count, changes, before = int(layout.starts[-1]), [], None
    for image, figure, where in zip(images.astype(float), figures, region, strict=True):
        seen = surface.surface(figure, where.shape)
        at = (seen.patch >= 0) & (where > 0)
        patch = seen.patch[at].astype(np.int64)
        texels = layout.places(patch, seen.along[at], seen.across[at], figure.view)
        total = np.bincount(texels, minlength=count)
        sums = [np.bincount(texels, image[at][:, c], minlength=count) for c in range(3)]
        mean = np.stack(sums, -1) / np.maximum(total, 1)[:, None]
        if before is not None:
            both = (total > 0) & (before[0] > 0)
            changes.append(np.abs(mean - before[1])[both].mean())
        before = total, mean
    return float(np.mean(changes))


def truth(name: WalkName, _, number: int) -> dict[str, Any]:
    """Figures against the right answer: another body, rendered in the same clothes."""
    textural, complete = name.clothes == "textural", name.completeness == "complete"
    which = name.subject, name.view, name.condition, name.repetition, textural
    own = color_walks.render(*which, complete)
    other = color_walks.render(*which, complete, body_of=500_000 + number)
    walker = color_walks.walker(*which, body_of=500_000 + number)
    places = examples.squares(own.silhouettes)
    assert other.masks is not None
    body = cropping.crop_masks(other.masks, places)
    every = np.arange(22, 28)
    crop = examples.crops(own, body, places, every)
    size = crop.own.shape[1]
    right = np.stack([cropping.crop(other.frames[t], places[t], size) for t in every])
    front = np.stack([cropping.crop_mask(own.occluder, places[t], size) for t in every])
    region = crop.anonymized & (1 - front)
    new = [walker.figure(t) for t in range(len(own.frames))]
    whole = dressed(own, places, new, every, number)
    cut = np.stack([cropping.crop(i, places[t], size) for i, t in zip(whole, every, strict=True)])
    images = paint_all(crop) | {"atlas": on_scene(crop, cut), "truth": right}
    scales = [size / places[t, 2] for t in every]
    bodies_there = [
        new[t].moved(scale, -scale * places[t, :2]) for t, scale in zip(every, scales, strict=True)
    ]
    out = {}
    for method, image in images.items():
        figures = image_quality(right, image, region)
        error = image.astype(float) - right
        steady = (region[1:] & region[:-1]) > 0
        out[method] = {
            "psnr_truth": figures["psnr_person"],
            "ssim_truth": figures["ssim_person"],
            "psnr_edge": _psnr(error, region & (1 - crop.own)),
            "unsteadiness": float(np.abs(np.diff(error, axis=0))[steady].mean()),
            "flicker": flicker(image, bodies_there, region),
        }
    return out


def _psnr(error: np.ndarray, where: np.ndarray) -> float:
    at = where > 0
    if not at.any():
        return np.nan
    return float(20 * np.log10(255) - 10 * np.log10(np.square(error[at]).mean()))


def matched(name: WalkName, walk: records.ColorWalk, number: int) -> dict[str, Any]:
    """Energy images of the walk before, of its new silhouettes, and cut out of each result."""
    new, places = anonymized(walk, number)
    every = np.arange(0, len(new), 2)
    crop = examples.crops(walk, new, places, every)
    found = {"original": crop.own, "silhouettes": crop.anonymized}
    for method, image in paint_all(crop).items():
        if method != "untouched":
            apart = np.abs(image.astype(int) - crop.background).max(-1) > 12
            found[method] = np.stack([_largest(mask) for mask in apart.astype(np.uint8)])
    return {k: np.round(gei.energy_image(v), 3).tolist() for k, v in found.items()}


def _largest(mask: np.ndarray) -> np.ndarray:
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return mask
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


@functools.cache
def anonymizers() -> tuple[SilhouetteAnonymizer, Anonymizer]:
    """The anonymiser of 2019 and an ST-GAN."""
    silhouette = SilhouetteAnonymizer(*weights.load_as(_SILHOUETTE.value, SilhouetteSettings))
    return silhouette, catalog.load(_CONTOUR.value)


def broken(name: WalkName, walk: records.ColorWalk, number: int) -> dict[str, Any]:
    """Frames whose silhouette is in pieces: how many come out whole, and overlap as they should."""
    places = examples.squares(walk.silhouettes)
    assert walk.masks is not None
    own, whole = (cropping.crop_masks(m, places) for m in (walk.silhouettes, walk.masks))
    pieces = ~naturalness.one_piece(own) & own.any((1, 2))
    silhouette, stgan = anonymizers()
    key = jax.random.key(number)

    def by_field(masks):
        drawn = silhouette.draw(masks, key)
        fine = [cv2.resize(f, (contour.SIZE,) * 2, interpolation=cv2.INTER_CUBIC) for f in drawn]
        return (np.stack(fine) > 0).astype(np.uint8)

    out: dict[str, Any] = {}
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "dcgan": by_field,
        "dcgan, largest part": functools.partial(silhouette, key=key),
        "contour": functools.partial(stgan, key=key),
    }
    for way, apply in ways.items():
        drawn, aim = apply(own), apply(whole)
        shared = (drawn & aim).sum((1, 2)) / np.maximum((drawn | aim).sum((1, 2)), 1)
        one = naturalness.one_piece(drawn)
        strict = np.array([cv2.connectedComponents(m)[0] == 2 for m in drawn])
        out[way] = {
            "frames": int(pieces.sum()),
            "one_piece": int(one[pieces].sum()),
            "one_component": int(strict[pieces].sum()),
            "iou_with_whole": float(shared[pieces].sum()),
        }
    return out


def pictures(people: int = 4) -> np.ndarray:
    """A row a person: frame, silhouette, new silhouette, then each colouring on the scene.

    Above those in plain clothes, below those in patterned ones; of each, complete silhouettes
    first, then incomplete ones. In two columns.
    """
    rows = []
    every = list(walks())
    kinds = itertools.product(("plain", "textural"), ("complete", "incomplete"))
    for kind in kinds:
        chosen = [entry for entry in every if (entry[0].clothes, entry[0].completeness) == kind]
        for walk, read, number in chosen[7 :: len(chosen) // people][:people]:
            shown = read()
            new, places = anonymized(shown, number)
            crop = examples.crops(shown, new, places, np.array([len(new) // 2]))
            masks = [np.repeat(255 * m[0][..., None], 3, -1) for m in (crop.own, crop.anonymized)]
            images = paint_all(crop)
            rows.append([crop.colors[0], *masks, *(images[name][0] for name in painters())])
            print(f"{walk.subject:03d} {walk.view:3d}", *kind)
    cut = [np.hstack([cell[:, 20:108] for cell in row]) for row in rows]
    return np.hstack([np.vstack(cut[::2]), np.vstack(cut[1::2])]).astype(np.uint8)


def main(_):
    with one_sentence():
        folder = Path(_OUT.value)
        folder.mkdir(parents=True, exist_ok=True)
        if _PART.value == "summary":
            import summary

            print(summary.text(folder, _GALLERY_DIR.value))
            return
        if _PART.value == "pictures":
            cv2.imwrite(str(folder / "sets.png"), pictures()[..., ::-1])
            return
        path = folder / f"{_PART.value}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        done = {json.loads(line)["walk"] for line in lines}
        measure = {"tables": tables, "truth": truth, "matched": matched, "broken": broken}
        with open(path, "a") as file:
            known = rendered() if _PART.value == "truth" else walks()
            for walk, read, number in _in_turns(list(known)):
                key = records.name(walk.subject, walk.condition, walk.repetition, walk.view)
                wanted = _PART.value != "broken" or walk.completeness == "incomplete"
                if key in done or not wanted:
                    continue
                shown = None if _PART.value == "truth" else read()
                row = measure[_PART.value](walk, shown, number)  # type: ignore[arg-type]
                about = {"walk": key, "clothes": walk.clothes, "completeness": walk.completeness}
                file.write(json.dumps(about | {"figures": row}) + "\n")
                file.flush()
                print(key, len(done), flush=True)
                done.add(key)


def _in_turns(every: list) -> Iterator:
    """View by view, all people in each, so that a stopped run has measured everybody."""
    order = sorted(range(len(every)), key=lambda i: (every[i][0].view, every[i][0].subject))
    groups = [list(g) for _, g in itertools.groupby(order, key=lambda i: every[i][0].view)]
    return (every[i] for group in groups for i in group)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
