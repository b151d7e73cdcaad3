"""Gait datasets: anonymises folders of silhouettes and OpenGait's pickles walk by walk."""

import functools
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Int, UInt8
from tqdm import tqdm

from stgan_jax.media import pictures
from stgan_jax.methods import api, catalog
from stgan_jax.shapes import contour, cropping, gei
from stgan_jax.util import arrays, files
from stgan_jax.util.errors import InputError
from stgan_jax.video import keys

Checkpoint = str | os.PathLike | api.Anonymizer | None


def are_silhouettes(folder: str | os.PathLike) -> bool:
    """Whether the pictures of a folder (a sample of about eight) are black and white only."""
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
    checkpoint: Checkpoint,
    seed: int,
    *,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """Anonymises every walk of a dataset; outputs have the inputs' format and names.

    A walk is an OpenGait pickle, (n, height, width) in which all people have one height, or a
    folder of black and white pictures. Walks that exist in the output are skipped, so that an
    interrupted call can be repeated.

    Args:
      source: folder with walks at any depth.
      output: folder for the same tree.
      checkpoint: argument of `catalog.load`, loaded by each process; or a loaded model, which
        is used by this process alone.
      seed: decides a walk's random numbers, together with its path in the dataset.
      options: arguments of the model's `with_options`.
      overwrite: anonymises existing walks again.
      jobs: number of parallel processes.

    Returns:
      `walks`, `written`, `skipped`, `frames`, and `errors`: walk and sentence.

    Raises:
      InputError: no walks in the folder, an output inside of it, or a model that cannot
        anonymise walks.
    """
    if Path(source).resolve() in (Path(output).resolve(), *Path(output).resolve().parents):
        raise InputError(f"{output}: lies in the input, name a folder outside of it")
    names = sorted(_find(Path(source)))
    if not names:
        raise InputError(f"{source}: holds no silhouettes")
    for folder in (Path(output), *Path(output).absolute().parents):
        if folder.exists():  # the new folders are created in it
            files.check_output(folder / ".x")
            break
    work = functools.partial(_one, Path(source), Path(output), seed, overwrite)
    counts: dict[str, Any] = {"walks": len(names), "written": 0, "skipped": 0, "frames": 0}
    errors = []
    results = _results(work, names, (checkpoint, dict(options or {})), jobs)
    for name, frames, error in tqdm(results, desc="anonymising", unit="walk", total=len(names)):
        if error:
            errors.append({"walk": name, "error": error})
        else:
            counts["written" if frames else "skipped"] += 1
            counts["frames"] += frames
    return counts | {"errors": errors, "exit_code": 2 if errors else 0}


def _find(source: Path) -> Iterator[str]:
    """Paths of all walks relative to a folder."""
    for folder, folders, _ in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder)
        yield from (os.fspath(path.relative_to(source)) for path in here.glob("*.pkl"))
        if pictures.listing(here):
            yield os.fspath(here.relative_to(source))


def _results(
    work: Callable, names: list[str], model: tuple[Checkpoint, dict[str, Any]], jobs: int
) -> Iterator[tuple[str, int, str | None]]:
    """`work(model, name)` for all names in order, in this or in several processes."""
    if jobs <= 1 or len(names) < 2 or isinstance(model[0], api.Anonymizer):
        loaded = _load(*model)
        yield from (work(loaded, name) for name in names)
        return
    # JAX has threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _load_here, model) as pool:
        yield from pool.map(functools.partial(_with_loaded, work), names, chunksize=4)


def _load(checkpoint: Checkpoint, options: Mapping[str, Any]) -> api.Anonymizer:
    model = checkpoint if isinstance(checkpoint, api.Anonymizer) else catalog.load(checkpoint)
    model = model.with_options(**options)
    model.require_video()
    return model


_LOADED: list[api.Anonymizer] = []  # the model of a process of the pool


def _load_here(checkpoint: Checkpoint, options: Mapping[str, Any]) -> None:
    _LOADED.append(_load(checkpoint, options))


def _with_loaded(work: Callable, name: str) -> tuple[str, int, str | None]:
    return work(_LOADED[0], name)


def _one(
    source: Path, output: Path, seed: int, overwrite: bool, model: api.Anonymizer, name: str
) -> tuple[str, int, str | None]:
    """Anonymises a walk; returns its name, the number of frames written, and an error or None."""
    target = output / name
    if not overwrite and _is_done(source / name, target):
        return name, 0, None
    key = keys.named(keys.root(seed), name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        anonymize = _pickle if name.endswith(".pkl") else _folder
        return name, anonymize(source / name, target, model, key), None
    except (InputError, OSError) as error:
        return name, 0, str(error)
    except Exception as error:
        return name, 0, f"{name}: {type(error).__name__}: {error}"


def _is_done(source: Path, target: Path) -> bool:
    """Whether a walk exists, complete; a folder may exist for the walks inside it."""
    if not source.is_dir() or not target.is_dir():
        return target.exists()
    return len(pictures.listing(target)) >= len(pictures.listing(source))


def _pickle(source: Path, target: Path, model: api.Anonymizer, key: jax.Array) -> int:
    frames = arrays.silhouettes(source.read_bytes(), os.fspath(source))
    masks, _ = _anonymize(frames, model, key)
    height, width = frames.shape[1:]
    out = np.zeros_like(frames)
    for i, mask in enumerate(masks):
        normal = gei.normalize(mask[None], height, width)
        if len(normal):
            out[i] = normal[0] * np.uint8(255)
    with files.replacing(target) as beside:
        beside.write_bytes(pickle.dumps(out, protocol=4))
    return len(out)


def _folder(source: Path, target: Path, model: api.Anonymizer, key: jax.Array) -> int:
    paths, names = pictures.listing(source), pictures.png_names(source)
    images = [pictures.read(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    if len({image.shape for image in images}) > 1:
        raise InputError(f"{source}: its pictures are of several sizes")
    masks, squares = _anonymize(np.stack(images), model, key)
    nested = any(path.is_dir() for path in source.iterdir())
    with (pictures.filling if nested else pictures.replacing)(target) as beside:
        for name, mask, square in zip(names, masks, squares, strict=True):
            placed = cropping.place(mask, square, images[0].shape)
            pictures.write(beside / name, placed * np.uint8(255))
    return len(paths)


def _anonymize(
    frames: UInt8[np.ndarray, "T H W"], model: api.Anonymizer, key: jax.Array
) -> tuple[UInt8[np.ndarray, "T 240 240"], Int[np.ndarray, "T 3"]]:
    """Anonymised crops and their squares; crops without anybody are empty."""
    boxes = []
    for frame in frames:
        left, top, width, height = cv2.boundingRect((frame > 127).astype(np.uint8))
        boxes.append((top, left, top + height, left + width))
    occupied = np.array([box[2] > box[0] for box in boxes], bool)
    masks = np.zeros((len(frames), contour.SIZE, contour.SIZE), np.uint8)
    squares = np.tile([0, 0, 1], (len(frames), 1))
    if occupied.any():
        squares[occupied] = cropping.track_squares(np.array(boxes)[occupied])
        pairs = zip(frames[occupied], squares[occupied], strict=True)
        # Grey values are scaled, not thresholds: OpenGait's 64 pixels keep their soft outlines.
        crops = np.stack([cropping.crop(f, square) > 127 for f, square in pairs]).astype(np.uint8)
        masks[occupied] = model(crops, key)
    return masks, squares
