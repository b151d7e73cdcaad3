"""Gait datasets: anonymises folders of silhouettes and OpenGait's pickles walk by walk."""

import contextlib
import functools
import os
import pickle
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from stgan_jax.util import arrays, children, errors, files
from stgan_jax.util.errors import InputError
from stgan_jax.video import keys

_EDGE = 5  # pixels across which edges are soft
_VIEW = re.compile(r"\b(?:nm|bg|cl)-\d\d/(\d{3})(?:/[^/]+\.pkl)?$")  # CASIA-B's names
_GREY = 0.25  # of the pixels that are not black: more grey ones elsewhere are a picture's
Checkpoint = str | os.PathLike | api.Anonymizer | None


def are_silhouettes(folder: str | os.PathLike) -> bool:
    """Whether the pictures of a folder (a sample of about eight) are black and white only.

    But for edges, which are grey where silhouettes were scaled. Damaged pictures say nothing.
    """
    paths = pictures.listing(folder)
    known = []
    for path in paths[:: max(1, len(paths) // 8)]:
        with contextlib.suppress(InputError):
            known.append(_is_silhouette(pictures.read(path, cv2.IMREAD_UNCHANGED)))
    return bool(known) and all(known)


def _is_silhouette(image: np.ndarray) -> bool:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 3 and np.ptp(image[..., :3], axis=-1).max() > 16:
        return False
    flat = image if image.ndim == 2 else image[..., :3].max(-1)
    # JPEGs are a little off; soft edges have nobody and somebody beside them.
    around, bright = np.ones((_EDGE, _EDGE), np.uint8), int(flat.max()) - 8
    beside = (cv2.erode(flat, around) <= 8) & (cv2.dilate(flat, around) >= bright)
    grey = (flat > 8) & (flat < bright) & ~beside
    return bool(grey.sum() <= _GREY * (flat > 8).sum())


def anonymize_dataset(
    source: str | os.PathLike,
    output: str | os.PathLike,
    checkpoint: Checkpoint,
    seed: int,
    *,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    jobs: int | None = 1,
) -> dict[str, Any]:
    """Anonymises every walk of a dataset; outputs have the inputs' format and names.

    A walk is an OpenGait pickle, (n, height, width) in which all people have one height, or a
    folder of black and white pictures. Where walks lie as CASIA-B's, in nm-01/090, methods that
    draw bodies take the view from the folder's name, whatever they read. Walks that exist in
    the output are skipped, so that an interrupted call can be repeated.

    Args:
      source: folder with walks at any depth.
      output: folder for the same tree.
      checkpoint: argument of `catalog.load`, loaded by each process; or a loaded model, which
        is used by this process alone.
      seed: decides a walk's random numbers, together with its path in the dataset.
      options: arguments of the model's `with_options`.
      overwrite: anonymises existing walks again.
      jobs: number of parallel processes, see `processes`.

    Returns:
      `walks`, `written`, `skipped`, `frames`; `errors`: walk and sentence; and `left`: pickles of
      other kinds beside a walk's silhouettes, path and why.

    Raises:
      InputError: no walks in the folder, an output inside of it, or a model that cannot
        anonymise walks.
    """
    left: list[dict[str, str]] = []
    names = find(source, output, left)
    for folder in (Path(output), *Path(output).absolute().parents):
        if folder.exists():  # the new folders are created in it
            files.check_output(folder / ".x")
            break
    work = functools.partial(one, Path(source), Path(output), seed, overwrite)
    counts: dict[str, Any] = {"walks": len(names), "written": 0, "skipped": 0, "frames": 0}
    failed = []
    results = _results(work, names, (checkpoint, dict(options or {})), jobs)
    for name, frames, error in tqdm(results, desc="anonymising", unit="walk", total=len(names)):
        if error:
            failed.append({"walk": name, "error": error})
        else:
            counts["written" if frames else "skipped"] += 1
            counts["frames"] += frames
    code = 2 if failed else 3 if left else 0
    return counts | {"errors": failed, "left": left, "exit_code": code}


def find(
    source: str | os.PathLike, output: str | os.PathLike, left: list[dict[str, str]]
) -> list[str]:
    """Paths of all walks relative to a dataset's folder; notes pickles that are none.

    Raises:
      InputError: no walks in the folder, or an output inside of it.
    """
    if Path(source).resolve() in (Path(output).resolve(), *Path(output).resolve().parents):
        raise InputError(f"{output}: lies in the input, name a folder outside of it")
    names = sorted(_find(Path(source), left))
    if not names:
        raise InputError(f"{source}: holds no silhouettes")
    return names


def _find(source: Path, left: list[dict[str, str]]) -> Iterator[str]:
    """Paths of all walks relative to a folder; notes pickles that are none."""
    for folder, folders, inside in os.walk(source):
        folders[:] = [name for name in folders if not files.is_hidden(name)]
        here = Path(folder)
        names = sorted(n for n in inside if n.endswith(".pkl") and not files.is_hidden(n))
        if arrays.are_kinds(names):
            chosen = _one_kind(here, names)
            for name in names:
                if name != chosen:
                    why = f"another kind of pickle beside {chosen}, the silhouettes"
                    left.append({"path": os.fspath(here / name), "why": why})
            names = [chosen]
        yield from (os.fspath((here / name).relative_to(source)) for name in names)
        if pictures.listing(here):
            yield os.fspath(here.relative_to(source))


def _one_kind(folder: Path, names: Sequence[str]) -> str:
    """Which of a walk's pickles holds its silhouettes; the likeliest by its name if none does."""
    order = arrays.by_kind(names)
    for name in order:
        with contextlib.suppress(InputError, OSError):
            arrays.silhouettes((folder / name).read_bytes(), name)
            return name
    return order[0]


def processes(jobs: int | None) -> int:
    """How many processes share the work: as many as asked for, or one a core, or one a GPU."""
    if jobs is not None:
        return jobs
    return (os.cpu_count() or 1) if platform_name() == "cpu" else jax.local_device_count()


def chosen_device() -> Any:
    """The device, or its platform's name, that this process is told to use; None for any."""
    return getattr(jax.config, "jax_default_device")  # noqa: B009 (its stub lacks it)


def platform_name() -> str:
    """Where this process computes: cpu, gpu or tpu."""
    chosen = chosen_device()
    return jax.default_backend() if chosen is None else getattr(chosen, "platform", str(chosen))


def _results(
    work: Callable, names: list[str], model: tuple[Checkpoint, dict[str, Any]], jobs: int | None
) -> Iterator[tuple[str, int, str | None]]:
    """`work(model, name)` for all names in order, in this or in several processes."""
    jobs = processes(jobs)
    if jobs <= 1 or len(names) < 2 or isinstance(model[0], api.Anonymizer):
        loaded = _load(*model)
        yield from (work(loaded, name) for name in names)
        return
    context = children.context(__name__)
    platform = platform_name()
    devices = 1 if platform == "cpu" else jax.local_device_count()
    place = platform, context.Value("i", 0), devices
    with ProcessPoolExecutor(jobs, context, _load_here, (*model, *place)) as pool:
        yield from pool.map(functools.partial(_with_loaded, work), names, chunksize=4)


def _load(checkpoint: Checkpoint, options: Mapping[str, Any]) -> api.Anonymizer:
    model = checkpoint if isinstance(checkpoint, api.Anonymizer) else catalog.load(checkpoint)
    model = model.with_options(**options)
    model.require_video()
    return model


_LOADED: list[api.Anonymizer | Exception] = []  # the model of a process of the pool


def _load_here(
    checkpoint: Checkpoint, options: Mapping[str, Any], platform: str, started: Any, devices: int
) -> None:
    """Begins a process of the pool: on the platform of the first one, each on a device in turn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process stops them
    if platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    try:
        if platform != "cpu":
            jax.config.update("jax_default_device", jax.local_devices()[number % devices])
        _LOADED.append(_load(checkpoint, options))
    except Exception as error:  # a pool would print it
        _LOADED.append(error)


def _with_loaded(work: Callable, name: str) -> tuple[str, int, str | None]:
    [model] = _LOADED
    if isinstance(model, Exception):
        raise model
    return work(model, name)


def one(
    source: Path, output: Path, seed: int, overwrite: bool, model: api.Anonymizer, name: str
) -> tuple[str, int, str | None]:
    """Anonymises a walk; returns its name, the number of frames written, and an error or None."""
    target = output / name
    if not overwrite and is_done(source / name, target):
        return name, 0, None
    key = keys.named(keys.root(seed), name)
    if view := _VIEW.search(name):
        model = model.from_view(float(view[1]))
    try:
        anonymize = _pickle if name.endswith(".pkl") else _folder
        return name, anonymize(source / name, target, model, key), None
    except (InputError, OSError) as error:
        return name, 0, str(error)
    except Exception as error:
        return name, 0, f"{name}: {errors.unexpected(error)}"


def is_done(source: Path, target: Path) -> bool:
    """Whether a walk exists, complete; a folder may exist for the walks inside it."""
    if not source.is_dir() or not target.is_dir():
        return target.exists()
    return len(pictures.listing(target)) >= len(pictures.listing(source))


def _pickle(source: Path, target: Path, model: api.Anonymizer, key: jax.Array) -> int:
    frames = arrays.silhouettes(source.read_bytes(), os.fspath(source))
    if not len(frames):
        raise InputError(f"{source}: holds no frames")
    out = _normalized(_anonymize(frames, model, key)[0], frames.shape[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(target) as beside:
        beside.write_bytes(pickle.dumps(out, protocol=4))
    return len(out)


def _normalized(
    masks: UInt8[np.ndarray, "T 240 240"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "T H W"]:
    """Silhouettes scaled to one height, 0 or 255, as `gei.normalize` does; all of them."""
    out = np.zeros((len(masks), *shape), np.uint8)
    for i, mask in enumerate(masks):
        normal = gei.normalize(mask[None], *shape)
        if len(normal):
            out[i] = normal[0] * np.uint8(255)
    return out


def _folder(source: Path, target: Path, model: api.Anonymizer, key: jax.Array) -> int:
    paths, names = pictures.listing(source), pictures.png_names(source)
    images = [pictures.read(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    if len({image.shape for image in images}) > 1:
        raise InputError(f"{source}: its pictures are of several sizes")
    frames = arrays.as_levels(np.stack(images))
    if not all(map(_is_silhouette, frames[:: max(1, len(frames) // 8)])):
        raise InputError(f"{source}: its pictures are no silhouettes: name the folder itself")
    masks, squares = _anonymize(frames, model, key)
    if gei.is_normalized(frames):
        placed = _normalized(masks, frames.shape[1:])
    else:
        pairs = zip(masks, squares, strict=True)
        placed = np.stack(
            [cropping.place(*pair, frames.shape[1:]) * np.uint8(255) for pair in pairs]
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    nested = any(path.is_dir() for path in source.iterdir())
    with (pictures.filling if nested else pictures.replacing)(target) as beside:
        for name, image in zip(names, placed, strict=True):
            pictures.write(beside / name, image)
    return len(paths)


def _anonymize(
    frames: UInt8[np.ndarray, "T H W"], model: api.Anonymizer, key: jax.Array
) -> tuple[UInt8[np.ndarray, "T 240 240"], Int[np.ndarray, "T 3"]]:
    """Anonymised crops and their squares; crops without anybody are empty."""
    boxes = cropping.boxes(frames)
    occupied = boxes[:, 2] > boxes[:, 0]
    masks = np.zeros((len(frames), contour.SIZE, contour.SIZE), np.uint8)
    squares = np.tile([0, 0, 1], (len(frames), 1))
    if occupied.any():
        squares[occupied] = cropping.track_squares(boxes[occupied])
        pairs = zip(frames[occupied], squares[occupied], strict=True)
        # Grey values are scaled, not thresholds: OpenGait's 64 pixels keep their soft outlines.
        crops = np.stack([cropping.crop(f, square) > 127 for f, square in pairs]).astype(np.uint8)
        masks[occupied] = model(crops, key)
    return masks, squares
