"""Gait datasets: folders of silhouettes and OpenGait's pickles, each walk anonymised by itself."""

import functools
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from stgan_jax import anonymizer, arrays, contour, files
from stgan_jax.errors import InputError
from stgan_jax.evaluation import gei
from stgan_jax.footage import keys
from stgan_jax.video import pictures


def are_silhouettes(folder: str | os.PathLike) -> bool:
    """Whether a folder's pictures, as far as eight of them tell, are black and white alone."""
    paths = pictures.listing(folder)
    for path in paths[:: max(1, len(paths) // 8)]:
        image = pictures.read(path, cv2.IMREAD_UNCHANGED)
        flat = image if image.ndim == 2 else image[..., :3].max(-1)
        away = np.minimum(flat, flat.max() - flat)  # JPEGs are a little off
        if (away > 8).any() or (image.ndim == 3 and np.ptp(image[..., :3], axis=-1).max() > 16):
            return False
    return bool(paths)


def anonymize_dataset(
    source: str | os.PathLike,
    output: str | os.PathLike,
    checkpoint: str | os.PathLike | anonymizer.AnyModel | None,
    seed: int,
    *,
    strength: str = anonymizer.STRENGTHS[1],
    largest_tempo: float | None = None,
    build: float | None = None,
    in_step: bool | None = None,
    overwrite: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """Anonymises every walk of a dataset in the form and under the name it has.

    A walk is an OpenGait pickle, (n, height, width) of one height of person, or a folder of
    black and white pictures. Walks that are there are left, so that what was interrupted goes on.

    Args:
      source: folder with walks at any depth.
      output: folder that gets the same tree.
      checkpoint: as `anonymizer.load_model` takes it, loaded by each process; or a loaded model,
        which stays in this one.
      seed: with a walk's place in the dataset decides its noise.
      strength: as `anonymizer.load_model` takes it.
      largest_tempo: as `anonymizer.varied` takes it; None for the model's.
      build: likewise.
      in_step: likewise.
      overwrite: makes walks anew that are there.
      jobs: processes that work side by side.

    Returns:
      `walks`, `written`, `skipped`, `frames`, and `errors`: walk and sentence.

    Raises:
      InputError: no walks in the folder, or an output inside of it.
    """
    if Path(source).resolve() in (Path(output).resolve(), *Path(output).resolve().parents):
        raise InputError(f"{output}: lies in the input, name a folder outside of it")
    names = sorted(_find(Path(source)))
    if not names:
        raise InputError(f"{source}: holds no silhouettes")
    for folder in (Path(output), *Path(output).absolute().parents):
        if folder.exists():  # what is to be made is made there
            files.check_output(folder / ".x")
            break
    work = functools.partial(_one, Path(source), Path(output), seed, overwrite)
    counts: dict[str, Any] = {"walks": len(names), "written": 0, "skipped": 0, "frames": 0}
    errors = []
    for name, frames, error in tqdm(
        _spread(work, names, (checkpoint, strength, largest_tempo, build, in_step), jobs),
        desc="anonymising",
        unit="walk",
        total=len(names),
    ):
        if error:
            errors.append({"walk": name, "error": error})
        else:
            counts["written" if frames else "skipped"] += 1
            counts["frames"] += frames
    return counts | {"errors": errors, "exit_code": 2 if errors else 0}


def _find(source: Path) -> Iterator[str]:
    for folder, folders, _ in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder)
        yield from (os.fspath(path.relative_to(source)) for path in here.glob("*.pkl"))
        if pictures.listing(here):
            yield os.fspath(here.relative_to(source))


def _spread(work: Callable, names: list[str], model: tuple, jobs: int) -> Iterator:
    if jobs <= 1 or len(names) < 2 or isinstance(model[0], anonymizer.AnyModel):
        loaded = _load(*model)
        yield from (work(loaded, name) for name in names)
        return
    # JAX has threads, which do not live through a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _load_here, model) as pool:
        yield from pool.map(functools.partial(_with_loaded, work), names, chunksize=4)


def _load(
    checkpoint: Any,
    strength: str,
    largest_tempo: float | None,
    build: float | None,
    in_step: bool | None,
) -> anonymizer.AnyModel:
    is_loaded = isinstance(checkpoint, anonymizer.AnyModel)
    model = checkpoint if is_loaded else anonymizer.load_model(checkpoint, strength)
    return anonymizer.varied(model, largest_tempo, build, in_step)


_LOADED: list[anonymizer.AnyModel] = []


def _load_here(*model: Any) -> None:
    _LOADED.append(_load(*model))


def _with_loaded(work: Callable, name: str) -> tuple[str, int, str | None]:
    return work(_LOADED[0], name)


def _one(
    source: Path, output: Path, seed: int, overwrite: bool, model: anonymizer.AnyModel, name: str
) -> tuple[str, int, str | None]:
    """(name, frames written, what is wrong)."""
    target = output / name
    if not overwrite and _is_done(source / name, target):
        return name, 0, None
    key = keys.named(keys.root(seed), name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = _pickle if name.endswith(".pkl") else _folder
        return name, made(source / name, target, model, key), None
    except (InputError, OSError) as error:
        return name, 0, str(error)
    except Exception as error:
        return name, 0, f"{name}: {type(error).__name__}: {error}"


def _is_done(source: Path, target: Path) -> bool:
    """Whether a walk is there; a folder alone may have come with the walks in it."""
    if not source.is_dir() or not target.is_dir():
        return target.exists()
    return len(pictures.listing(target)) >= len(pictures.listing(source))


def _pickle(source: Path, target: Path, model: anonymizer.AnyModel, key: jax.Array) -> int:
    frames = arrays.silhouettes(source.read_bytes(), os.fspath(source))
    made, _ = _reshaped(frames, model, key)
    height, width = frames.shape[1:]
    out = np.zeros_like(frames)
    for i, mask in enumerate(made):
        normal = gei.normalize(mask[None], height, width)
        if len(normal):
            out[i] = normal[0] * np.uint8(255)
    with files.replacing(target) as beside:
        beside.write_bytes(pickle.dumps(out, protocol=4))
    return len(out)


def _folder(source: Path, target: Path, model: anonymizer.AnyModel, key: jax.Array) -> int:
    paths, names = pictures.listing(source), pictures.written(source)
    images = [pictures.read(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    if len({image.shape for image in images}) > 1:
        raise InputError(f"{source}: its pictures are of several sizes")
    made, squares = _reshaped(np.stack(images), model, key)
    nested = any(path.is_dir() for path in source.iterdir())
    with (pictures.filling if nested else pictures.replacing)(target) as beside:
        for name, mask, square in zip(names, made, squares, strict=True):
            placed = contour.place(mask, square, images[0].shape)
            pictures.write(beside / name, placed * np.uint8(255))
    return len(paths)


def _reshaped(
    frames: UInt8[np.ndarray, "T H W"], model: anonymizer.AnyModel, key: jax.Array
) -> tuple[UInt8[np.ndarray, "T 240 240"], np.ndarray]:
    """Anonymised crops and their squares; empty where nobody is."""
    boxes = []
    for frame in frames:
        left, top, width, height = cv2.boundingRect((frame > 127).astype(np.uint8))
        boxes.append((top, left, top + height, left + width))
    there = np.array([box[2] > box[0] for box in boxes], bool)
    made = np.zeros((len(frames), contour.SIZE, contour.SIZE), np.uint8)
    squares = np.tile([0, 0, 1], (len(frames), 1))
    if there.any():
        squares[there] = contour.track_squares(np.array(boxes)[there])
        pairs = zip(frames[there], squares[there], strict=True)
        # Grey values are scaled as they are: OpenGait's 64 pixels keep their soft outlines.
        crops = np.stack([contour.crop(f, square) > 127 for f, square in pairs]).astype(np.uint8)
        made[there] = anonymizer.anonymize_silhouettes(model, crops, key)
    return made, squares
