"""Building a study: clips of one form under blind names, a plan and a token for every rater."""

import csv
import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stgan_jax import files
from stgan_jax.errors import InputError
from stgan_jax.study import clips, database
from stgan_jax.study.plan import ANCHOR, Clip, plans

_FORMATS = {"mp4": "video/mp4", "webm": "video/webm"}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a study is to be.

    Attributes:
      raters: how many places.
      per_rater, repeats, anchors: clips a rater, see `plan.plans`; None for the usual.
      size: (width, height) of the clips, pixels.
      seconds: length of the clips at most.
      container: "mp4" (H.264), or "webm" (VP9) for browsers without H.264.
      consent: text for the consent page: who asks, and whom raters may ask; paragraphs are parted
        by empty lines.
      seed: of the plan.
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
        """Raises `InputError` for what cannot be."""
        if self.raters < 1:
            raise InputError("--raters needs one or more")
        if len(self.size) != 2 or any(s % 2 or not 64 <= s <= 4096 for s in self.size):
            raise InputError("--size needs width,height: even numbers of pixels from 64 to 4096")
        if not 1 <= self.seconds <= 120:
            raise InputError("--seconds is from 1 to 120")
        if self.container not in _FORMATS:
            raise InputError(f"--container: choose of {', '.join(_FORMATS)}")


def text_of(path: str | os.PathLike | None) -> str:
    """A text file's text, "" for None. Raises `InputError` where it cannot be read."""
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
) -> list[clips.Source]:
    """Clips as a command line names them.

    Args:
      folders: METHOD=DIR, see `clips.in_folder`.
      checkpoints: trainings that make silhouettes, and unprotected ones beside.
      dataset: whose walks these are.
      data_dir: where it was built.
      views: degrees; none: all.
      walks: how many a view.
      seed: of the noise.

    Raises:
      InputError: what is no METHOD=DIR, no clips at all, or what `clips` and `methods` raise.
    """
    out: list[clips.Source] = []
    for pair in folders:
        method, _, folder = pair.partition("=")
        if not method.strip() or not folder:
            raise InputError(f"--clips={pair}: METHOD=DIR is needed, as --clips=stgan=runs/clips")
        out += clips.in_folder(method.strip(), folder)
    if bool(checkpoints) != bool(dataset):
        raise InputError("--checkpoint and --dataset go together")
    if checkpoints:
        from stgan_jax import material, methods  # slow to load

        made = [methods.unprotected(), *methods.all_trained(checkpoints)]
        there = material.Walks.of_dataset(str(dataset), data_dir, list(views) or None)
        out += clips.of_methods(made, there, walks, seed)
    if not out:
        raise InputError("give --clips=METHOD=DIR, or --checkpoint and --dataset")
    return out


def build(
    folder: str | os.PathLike,
    gather: Callable[[], Sequence[clips.Source]],
    options: Options = Options(),
) -> str:
    """Makes a study, complete or not at all.

    Args:
      folder: where to; must not exist. Only the owner may look into it.
      gather: gives the clips; called once it is known that the folder can be made.
      options: see there.

    Returns:
      what was made, in a sentence or two.

    Raises:
      InputError: the folder exists or cannot be made, clips that cannot be used, or fewer
        than the options ask for.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise InputError(f"{folder}: exists, and no study is overwritten: choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    files.check_output(folder)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)  # of a build that was killed
    try:
        beside.mkdir(mode=0o700)
        told = _fill(beside, gather(), options)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return told


def _fill(folder: Path, sources: Sequence[clips.Source], options: Options) -> str:
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
    (folder / database.CLIPS).mkdir()
    width, height = options.size
    # In random order: the files' dates tell nothing.
    order = np.random.default_rng().permutation(len(chosen))
    for clip, source in tqdm([chosen[i] for i in order], desc="clips", unit="clip"):
        clips.write(source, folder / database.CLIPS / clip.name, (height, width), frames)
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
    seen = ", ".join(map(str, sorted({clip.view for clip in used})))
    return (
        f"{len(chosen)} clips seen from {seen} degrees, of {float(frames / clips.FPS):g} s; "
        f"each of {options.raters} raters sees {len(first) - anchors - repeats}, {repeats} of them "
        f"twice, and {anchors} unprotected ones"
    )
