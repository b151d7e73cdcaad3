"""What a command's inputs stand for: files, patterns and folders become a list of jobs."""

import dataclasses
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stgan_jax.media import containers, pictures
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import decisions, walks

VIDEOS = {
    *containers.SUFFIXES, ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".vob", ".mxf", ".gif", ".asf", ".divx", ".f4v", ".3g2", ".m2v", ".mjpg", ".mjpeg",
    ".h264", ".264", ".hevc", ".265", ".y4m", ".rm", ".dv", ".mod", ".tod", ".trp", ".ivf", ".qt",
}  # fmt: skip
_MARK = "_anonymized"
_REPORT = "_report.json"
SIGNED = "_signed"  # in the names of the files that sign an output off
UNKNOWN = "neither a video, a picture nor a pickle, by its name"
_SAMPLED = 16  # folders of pictures that are looked into to tell what a tree of them holds


@dataclasses.dataclass(frozen=True)
class Job:
    """One input and its output; `kind` is "clip" or "dataset".

    `in_tree`: whether the output's folder is one of a tree that is created.
    """

    source: Path
    output: Path
    kind: str
    in_tree: bool = False


@dataclasses.dataclass(frozen=True)
class Left:
    """Something in a folder that is not processed, and why."""

    path: Path
    why: str


def plan(
    inputs: Sequence[str | os.PathLike], output: str | os.PathLike | None, many: bool = False
) -> tuple[list[Job], list[Left]]:
    """The list of jobs for some inputs, and what of folders is in none of them.

    Folders are walked, and their tree is kept in the output. Hidden files are never input, nor
    are outputs of an earlier call.

    Args:
      inputs: files, folders, and patterns such as `clips/*.mp4`.
      output: a file or folder for one input, a folder for several; None writes beside each
        input, with `_anonymized` in the name.
      many: whether `output` is a folder in any case.

    Raises:
      InputError: inputs that do not exist or are of no known kind, or two with one output.
    """
    left: list[Left] = []
    avoided = None if output is None else Path(output).absolute()
    sources = [source for path in inputs for source in _expand(path, left, avoided)]
    many = many or len(sources) > 1 or (len(inputs) == 1 and sources[0][0] != Path(inputs[0]))
    if output is not None and many:
        if os.path.exists(output) and not os.path.isdir(output):
            raise InputError(f"{output}: is a file; name a folder for several outputs")
        Path(output).mkdir(parents=True, exist_ok=True)
    jobs: dict[Path, Job] = {}
    for source, kind, base in sources:
        target = beside(source) if output is None else Path(output)
        if output is not None and (many or (source.is_file() and Path(output).is_dir())):
            inside = source.parent.relative_to(base) if source != base else Path()
            target = Path(output) / inside / beside(source).name
        if (twin := jobs.get(target)) is not None:
            if twin.source == source:
                continue
            raise InputError(
                f"{source} and {twin.source} would both become {target}: do them one after the "
                "other, with --output"
            )
        jobs[target] = Job(source, target, kind, many)
    return list(jobs.values()), left


def beside(source: Path) -> Path:
    """Where the output of an input is written by default."""
    if source.is_dir():
        path = source.absolute() if source.name in ("", "..") else source
        return path.with_name(files.shortened(path.name, _MARK) + _MARK)
    suffix = source.suffix.lower() if source.suffix.lower() in containers.SUFFIXES else ".mp4"
    return source.with_name(files.shortened(source.stem, _MARK + _REPORT) + _MARK + suffix)


def report_beside(output: Path) -> Path:
    """Where the report of an output is written by default."""
    return output.with_name(files.shortened(output.stem, _REPORT) + _REPORT)


Source = tuple[Path, str, Path]  # where, of which kind, and the folder whose tree is kept


def _expand(
    name: str | os.PathLike, left: list[Left], avoided: Path | None, base: Path | None = None
) -> Iterator[Source]:
    """The sources that an input stands for."""
    path = Path(name)
    if path.is_dir():
        folder = _read(path, left, avoided)
        found = list(_in_tree(folder, left))
        if not found:
            raise InputError(f"{path}: holds no videos, no pictures and no pickles of silhouettes")
        yield from ((source, kind, base or path) for source, kind in found)
    elif path.exists() or not glob.has_magic(os.fspath(name)):
        yield path, "clip", base or path.parent
    else:
        start, pattern = literal(path)
        matches = sorted(start.glob(pattern))  # follows no links to folders, which may be loops
        matches = [match for match in matches if is_input(match.relative_to(start))]
        if not matches:
            raise InputError(f"{name}: no file of such a name")
        for match in matches:
            yield from _expand(match, left, avoided, start)


def literal(path: Path) -> tuple[Path, str]:
    """The folder that a pattern begins with, with brackets as they are, and the pattern in it."""
    start = Path(path.anchor)
    for part in path.relative_to(start).parts[:-1]:
        if glob.has_magic(part) and not (start / part).is_dir():
            break
        start = start / part
    return start, os.fspath(path.relative_to(start))


@dataclasses.dataclass(frozen=True)
class _Folder:
    """What is in a folder, by kind; `deep` says whether there is a video in it or below it."""

    path: Path
    videos: list[Path]
    pictures: list[Path]
    pickles: list[Path]
    others: list[Path]
    folders: list["_Folder"]
    deep: bool

    def all(self) -> Iterator["_Folder"]:
        """This folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.all()


def _read(path: Path, left: list[Left], avoided: Path | None) -> _Folder:
    """Reads a tree. Folders inside that cannot be read are left; raises if `path` cannot be."""
    found = _Folder(path, [], pictures.listing(path), [], [], [], False)
    with os.scandir(path) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        inside = Path(entry.path)
        if files.is_hidden(entry.name) or _is_output(entry.name) or inside.absolute() == avoided:
            continue
        suffix = inside.suffix.lower()
        if inside.is_dir():
            if entry.is_symlink():
                left.append(Left(inside, "a link to a folder: name that folder"))
                continue
            try:
                found.folders.append(_read(inside, left, avoided))
            except (InputError, OSError) as error:
                why = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
                left.append(Left(inside, f"cannot be read ({why})"))
        elif not inside.is_file():
            left.append(Left(inside, "no file, or a link to one that is gone"))
        elif suffix in VIDEOS:
            found.videos.append(inside)
        elif suffix == ".pkl":
            found.pickles.append(inside)
        elif suffix not in pictures.SUFFIXES:
            found.others.append(inside)
    deep = bool(found.videos) or any(folder.deep for folder in found.folders)
    return dataclasses.replace(found, deep=deep)


def is_input(path: Path) -> bool:
    """Whether something in a folder may be input by its name, and by those of folders around it."""
    return not _is_output(path.name) and not any(map(files.is_hidden, path.parts))


def _is_output(name: str) -> bool:
    """Whether an earlier call wrote a file or folder of this name."""
    stem = Path(name).stem
    return stem.endswith((_MARK, _MARK + SIGNED)) or name.endswith(
        (_MARK + _REPORT, decisions.SUFFIX)
    )


def _in_tree(folder: _Folder, left: list[Left]) -> Iterator[tuple[Path, str]]:
    """The clips and datasets in a folder and below it; notes all that is in none of them."""
    left.extend(Left(path, UNKNOWN) for path in folder.others)
    if not folder.deep:
        for below in folder.folders:
            for inside in below.all():
                left.extend(Left(path, UNKNOWN) for path in inside.others)
        yield from _without_videos(folder, left)
        return
    yield from ((path, "clip") for path in folder.videos)
    left.extend(
        Left(path, "a pickle among videos: name the folder of the dataset")
        for path in folder.pickles
    )
    if not folder.videos and _are_frames(folder.pictures):
        yield folder.path, "clip"
    else:
        left.extend(
            Left(path, "a picture among videos: frames of a clip have a folder of their own")
            for path in folder.pictures
        )
    for inside in folder.folders:
        yield from _in_tree(inside, left)


def _are_frames(paths: Sequence[Path]) -> bool:
    """Whether pictures are a clip's frames by their names, which differ by their numbers alone."""
    return len(paths) > 1 and len({re.sub(r"\d+", "", path.name) for path in paths}) == 1


def _without_videos(folder: _Folder, left: list[Left]) -> Iterator[tuple[Path, str]]:
    """A dataset, or clips as folders of frames."""
    leaves = [inside for inside in folder.all() if inside.pictures]
    sampled = leaves[:: max(1, len(leaves) // _SAMPLED)]
    kinds = {walks.are_silhouettes(inside.path) for inside in sampled}
    kinds |= {True} if any(inside.pickles for inside in folder.all()) else set()
    if kinds == {True}:
        yield folder.path, "dataset"
    elif kinds == {False}:
        yield from ((leaf.path, "clip") for leaf in leaves)
    elif kinds:  # a job for each folder
        walks_here = folder.pickles or walks.are_silhouettes(folder.path)
        if walks_here and folder.folders:
            why = "walks beside folders of clips: give them a folder of their own"
            left.extend(Left(path, why) for path in (*folder.pictures, *folder.pickles))
        elif walks_here or folder.pictures:
            yield folder.path, "dataset" if walks_here else "clip"
        for inside in folder.folders:
            yield from _without_videos(inside, left)
