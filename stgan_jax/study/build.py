"""Builds a study: clips of one form under blind names, a plan and a token for every rater."""

import csv
import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stgan_jax.study import clips, database
from stgan_jax.study.plan import ANCHOR, Clip, plans
from stgan_jax.util import files
from stgan_jax.util.errors import InputError

_FORMATS = {"mp4": "video/mp4", "webm": "video/webm"}


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """What a study is like.

    Attributes:
      raters: number of places.
      per_rater, repeats, anchors: clips per rater, see `plan.plans`; None for its defaults.
      size: (width, height) of the clips, pixels.
      seconds: greatest length of the clips.
      container: "mp4" (H.264), or "webm" (VP9) for browsers without H.264.
      consent: text for the consent page: who asks, and whom raters may ask; empty lines separate
        paragraphs.
      seed: for the plan.
    """

    raters: int = 20
    per_rater: int | None = None
    repeats: int | None = None
    anchors: int | None = None
    size: Sequence[int] = (640, 480)
    seconds: float = 10.0
    container: str = "mp4"
    consent: str = ""
    seed: int = 0

    def __post_init__(self):
        """Raises `InputError` for impossible values."""
        if self.raters < 1:
            raise InputError("--raters needs one or more")
        if len(self.size) != 2 or any(s % 2 or not 64 <= s <= 4096 for s in self.size):
            raise InputError("--size needs width,height: even numbers of pixels from 64 to 4096")
        if not 1 <= self.seconds <= 120:
            raise InputError("--seconds is from 1 to 120")
        if self.container not in _FORMATS:
            raise InputError(f"--container: choose one of {', '.join(_FORMATS)}")


def text_of(path: str | os.PathLike | None) -> str:
    """The text of a file in UTF-8, "" for None. Raises `InputError` if it cannot be read."""
    try:
        return "" if path is None else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text in UTF-8") from error


def sources(
    folders: Sequence[str],
    checkpoints: Sequence[str] = (),
    dataset: str | None = None,
    data_dir: str | os.PathLike = "data",
    views: Sequence[int] = (),
    walks: int = 6,
    seed: int = 0,
) -> list[clips.SourceClip]:
    """Clips from the values of a command line's flags.

    Args:
      folders: METHOD=DIR, see `clips.in_folder`.
      checkpoints: trainings or weights whose silhouettes are shown, and unprotected ones beside
        them.
      dataset: name of the dataset that holds their walks.
      data_dir: folder of built datasets.
      views: degrees; all if empty.
      walks: number of walks in each view.
      seed: for the noise.

    Raises:
      InputError: an entry is no METHOD=DIR, there are no clips, or as `clips` and `catalog` do.
    """
    out: list[clips.SourceClip] = []
    for pair in folders:
        method, _, folder = pair.partition("=")
        if not method.strip() or not folder:
            raise InputError(f"--clips={pair}: METHOD=DIR is needed, as --clips=stgan=runs/clips")
        out += clips.in_folder(method.strip(), folder)
    if bool(checkpoints) != bool(dataset):
        raise InputError("--checkpoint and --dataset go together")
    if checkpoints:
        from stgan_jax.evaluation.walks import Walks  # slow to load
        from stgan_jax.methods import catalog
        from stgan_jax.methods.baselines import Unprotected

        methods = [Unprotected(), *catalog.load_all(checkpoints)]
        everybody = Walks.of_dataset(str(dataset), data_dir, views)
        out += clips.of_methods(methods, everybody, walks, seed)
    if not out:
        raise InputError("give --clips=METHOD=DIR, or --checkpoint and --dataset")
    return out


def build(
    folder: str | os.PathLike,
    gather: Callable[[], Sequence[clips.SourceClip]],
    options: StudyOptions = StudyOptions(),
) -> str:
    """Builds a study, completely or not at all.

    Args:
      folder: for the study; must not exist. Only its owner may read it.
      gather: returns the clips; called once it is known that the folder can be written.
      options: what the study is like.

    Returns:
      a summary in a sentence or two.

    Raises:
      InputError: the folder exists or cannot be created, or clips cannot be used or are fewer
        than the options ask for.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise InputError(f"{folder}: exists, and no study is overwritten: choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    files.check_output(folder)
    files.sweep(folder)  # of a build that was killed
    beside = files.beside(folder)
    try:
        beside.mkdir(mode=0o700)
        summary = _fill(beside, gather(), options)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return summary


def _fill(folder: Path, sources: Sequence[clips.SourceClip], options: StudyOptions) -> str:
    """Writes clips, database and invitations; returns a summary."""
    twice = len({(s.method, s.view, s.name) for s in sources}) < len(sources)
    if twice:
        raise InputError("two sources give clips of the same name to the same method")
    named = [
        Clip(f"{secrets.token_hex(8)}.{options.container}", s.method, s.view, s.name)
        for s in sources
    ]
    planned = plans(
        named, options.raters, options.per_rater, options.repeats, options.anchors, options.seed
    )
    used = {clip for plan in planned for clip, _ in plan}
    chosen = [(clip, s) for clip, s in zip(named, sources, strict=True) if clip in used]
    frames = clips.common_length([source for _, source in chosen], options.seconds)
    _write_clips(folder / database.CLIPS, chosen, options.size, frames)
    width, height = options.size
    settings = {
        "id": secrets.token_hex(4),
        "consent": options.consent,
        "video": _FORMATS[options.container],
        "width": str(width),
        "height": str(height),
    }
    tokens = database.create(
        folder,
        settings,
        [(clip.name, clip.method, clip.view, clip.source) for clip, _ in chosen],
        [[(clip.name, is_repeat) for clip, is_repeat in plan] for plan in planned],
    )
    with open(folder / database.INVITATIONS, "x", newline="") as f:
        os.fchmod(f.fileno(), 0o600)
        invitations = ((number, f"/join/{token}") for number, token in enumerate(tokens, 1))
        csv.writer(f).writerows([("rater", "path"), *invitations])
    first = planned[0]
    anchors = sum(clip.method == ANCHOR for clip, _ in first)
    repeats = sum(is_repeat for _, is_repeat in first)
    views = ", ".join(map(str, sorted({clip.view for clip in used})))
    return (
        f"{len(chosen)} clips seen from {views} degrees, of {float(frames / clips.FPS):g} s; "
        f"each of {options.raters} raters sees {len(first) - anchors - repeats}, {repeats} of them "
        f"twice, and {anchors} unprotected ones"
    )


def _write_clips(
    folder: Path,
    chosen: Sequence[tuple[Clip, clips.SourceClip]],
    size: Sequence[int],
    frames: int,
) -> None:
    """In random order, so that the files' dates say nothing about what they show."""
    folder.mkdir()
    width, height = size
    order = np.random.default_rng().permutation(len(chosen))
    for clip, source in tqdm([chosen[i] for i in order], desc="clips", unit="clip"):
        clips.write(source, folder / clip.name, (height, width), frames)
