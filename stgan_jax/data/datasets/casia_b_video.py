"""CASIA-B's videos, `001-nm-01-090.avi`, with the empty scenes, `001-bkgrd-090.avi`.

Folders around them (`DatasetB-1/video` and so on) are looked through.
"""

import os
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stgan_jax.data.datasets import building, records
from stgan_jax.media import background, containers, segmentation
from stgan_jax.util.errors import InputError

_WALK = re.compile(r"(\d{3})-(nm|bg|cl)-(\d{2})-(\d{3})\.avi", re.IGNORECASE)
_EMPTY = re.compile(r"(\d{3})-bkgrd-(\d{3})\.avi", re.IGNORECASE)
_PERSON = 0.004  # share of a frame's pixels below which a region is no person
_LEVELS = 5  # folders that are looked through


def subjects(source: str | os.PathLike) -> list[int]:
    """Numbers of the subjects that have videos in the source, ascending.

    Raises:
      InputError: no such folder, or no videos of CASIA-B in it.
    """
    found = {int(match[1]) for path in _videos(source) if (match := _WALK.fullmatch(path.name))}
    if not found:
        raise InputError(
            f"{source}: no videos found (001-nm-01-090.avi and so on): give the folder that holds "
            "your CASIA-B copy"
        )
    return sorted(found)


def read_subject(source: str | os.PathLike, subject: int) -> building.Subject:
    """Reads one subject's videos and segments them against the empty scenes.

    Args:
      source: folder with the videos, at any depth up to four.
      subject: number.

    Returns:
      `records.ColorWalk`s by name, `masks` unknown; and what was dropped: frames without a
      person or with the person cut off by the frame's upper or side borders, and walks
      without a background clip, or without a usable frame.

    Raises:
      InputError: a damaged video, or one of another size than its background.
    """
    walks, empty = {}, {}
    dropped: Counter = Counter()
    for path in _videos(source):
        if (match := _WALK.fullmatch(path.name)) and int(match[1]) == subject:
            key = records.name(subject, match[2].lower(), int(match[3]), int(match[4]))
            walks[key] = path
        elif (match := _EMPTY.fullmatch(path.name)) and int(match[1]) == subject:
            empty[int(match[2])] = path
    by_view = defaultdict(list)
    for key in sorted(walks):
        by_view[records.parsed(key)[-1]].append(key)
    found = {}
    for view, keys in by_view.items():
        if view not in empty:
            dropped["walks without a background clip"] += len(keys)
            continue
        samples = background.spread(containers.read_frames(empty[view]))
        if not samples:
            raise InputError(f"{empty[view]}: holds no frames")
        scene, restlessness = background.median_background(np.stack(samples))
        threshold = background.thresholds(restlessness)
        for key in keys:
            walk = _segmented(walks[key], scene, threshold, dropped)
            if walk is None:
                dropped["walks without a usable frame"] += 1
            else:
                found[key] = walk
    return found, +dropped


def _segmented(
    path: Path, scene: UInt8[np.ndarray, "H W 3"], threshold: np.ndarray, dropped: Counter
) -> records.ColorWalk | None:
    frames, silhouettes = [], []
    for frame in containers.read_frames(path):
        if frame.shape != scene.shape:
            raise InputError(
                f"{path}: of another size than the background clip: get both of one copy"
            )
        mask = segmentation.foreground(frame, scene, threshold)
        people = segmentation.regions(mask, round(_PERSON * mask.size))
        if not people:
            dropped["frames without a person"] += 1
            continue
        person = max(people, key=lambda region: region.area)
        top, left, _, right = person.box
        if top == 0 or left == 0 or right == mask.shape[1]:
            dropped["frames with the person cut off"] += 1
            continue
        frames.append(frame)
        silhouettes.append(person.on(mask.shape))
    if not frames:
        return None
    return records.ColorWalk(
        frames=np.stack(frames),
        background=scene,
        silhouettes=np.stack(silhouettes),
        masks=None,
        occluder=np.zeros(scene.shape[:2], np.uint8),
    )


def _videos(source: str | os.PathLike) -> list[Path]:
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{source}: no such folder: give the folder that holds your CASIA-B copy")
    return sorted(
        path for depth in range(_LEVELS) for path in root.glob("*/" * depth + "*.[aA][vV][iI]")
    )
