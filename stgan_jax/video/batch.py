"""Many inputs of any kind in one call: videos, folders of them, of frames, of silhouettes."""

import dataclasses
import errno
import glob
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stgan_jax.media import containers, pictures
from stgan_jax.methods import api, catalog
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip, keys, report, walks
from stgan_jax.video.source import ClipOptions

_VIDEOS = {
    *containers.SUFFIXES, ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".vob", ".mxf", ".gif",
}  # fmt: skip
_MARK = "_anonymized"


@dataclasses.dataclass(frozen=True)
class Job:
    """One input and its output; `kind` is "clip" or "dataset"."""

    source: Path
    output: Path
    kind: str


def anonymize(
    inputs: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike | None = None,
    *,
    checkpoint: str | os.PathLike | api.Anonymizer | None = None,
    overwrite: bool = False,
    report_to: str | os.PathLike | bool | None = None,
    jobs: int = 1,
    options: ClipOptions | None = None,
) -> dict[str, Any]:
    """Anonymises videos and datasets, see `stgan_jax.anonymize`.

    Args:
      inputs: see `plan`.
      output: see `plan`.
      checkpoint: argument of `catalog.load`, or a model from it.
      overwrite: replaces outputs that exist; otherwise a batch leaves them and goes on.
      report_to: JSON file to write, the returned value; True for a file beside each output.
      jobs: number of processes for datasets; with a loaded model it is one.
      options: how clips are anonymised.

    Returns:
      `files`: for each input the report of `clip.anonymize_video` or `walks.anonymize_dataset`,
      or its `error`, or that it was `skipped` because its output exists; `exit_code`: 2 if there
      was an error, 3 if somebody is covered, else 0.

    Raises:
      InputError: something is wrong with a single input, or with all of them.
      OSError: a full disk and the like.
    """
    options = options or ClipOptions()
    names = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    todo = plan(names, output, many=len(names) > 1)
    alone = len(todo) == 1 and len(names) == 1 and todo[0].source == Path(names[0])
    single = (options.masks, options.contact_sheet, options.preview, options.background)
    if any(single) and len(todo) > 1:
        raise InputError("masks, a background, a preview or a contact sheet go with one input")
    report_file = None if isinstance(report_to, bool) else report_to
    if report_file:
        files.check_output(report_file)
    if alone:
        _check_input(todo[0], overwrite)
    loaded = isinstance(checkpoint, api.Anonymizer)
    model = checkpoint if isinstance(checkpoint, api.Anonymizer) else catalog.load(checkpoint)
    model = model.with_options(**options.of_model)
    model.require_video()

    def run(job: Job) -> dict[str, Any]:
        if job.kind == "clip":
            return _clip(job, model, overwrite, report_to is True, options)
        source = model if loaded or jobs == 1 else checkpoint
        return _dataset(job, source, overwrite, jobs, options)

    results = []
    for job in tqdm(todo, desc="all", unit="file", disable=len(todo) < 2):
        files.sweep(job.output)
        if len(todo) > 1:
            tqdm.write(os.fspath(job.source))
        try:
            results.append(run(job))
        except Exception as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            if alone or full:
                raise
            known = isinstance(error, InputError | OSError)
            text = str(error) if known else f"{job.source}: {type(error).__name__}: {error}"
            results.append({"input": os.fspath(job.source), "error": text, "exit_code": 2})
    codes = {result["exit_code"] for result in results}
    code = 2 if 2 in codes else 3 if 3 in codes else 0
    summed = {"version": 2, "files": results, "exit_code": code}
    if report_file:
        with files.replacing(report_file) as beside:
            beside.write_text(json.dumps(summed, indent=2) + "\n")
    return summed


def _check_input(job: Job, overwrite: bool) -> None:
    """Raises `InputError` early, before a model is loaded."""
    if job.kind == "clip" and job.output.exists() and not overwrite:
        raise InputError(f"{job.output}: is there already; --overwrite replaces it")
    if not job.source.is_dir():
        containers.probe(job.source)


def _clip(
    job: Job, model: api.Anonymizer, overwrite: bool, report_beside: bool, options: ClipOptions
) -> dict[str, Any]:
    beside = job.output.with_name(f"{job.output.stem}_report.json") if report_beside else None
    if job.output.exists() and not overwrite:
        try:
            code = json.loads(beside.read_text())["exit_code"] if beside else 0
        except (OSError, ValueError, KeyError):
            code = 0
        return {
            "input": os.fspath(job.source),
            "output": os.fspath(job.output),
            "skipped": "is there already",
            "exit_code": code,
        }
    return clip.anonymize_video(job.source, job.output, model, report=beside, options=options)


def _dataset(
    job: Job,
    checkpoint: str | os.PathLike | api.Anonymizer | None,
    overwrite: bool,
    jobs: int,
    options: ClipOptions,
) -> dict[str, Any]:
    seed = keys.random_seed() if options.seed is None else options.seed
    # A model that is loaded has its options.
    changes = {} if isinstance(checkpoint, api.Anonymizer) else options.of_model
    result = walks.anonymize_dataset(
        job.source, job.output, checkpoint, seed, options=changes, overwrite=overwrite, jobs=jobs
    )
    paths = {"input": os.fspath(job.source), "output": os.fspath(job.output)}
    return paths | result | ({"seed": seed} if options.store_seed else {})


def plan(
    inputs: Sequence[str | os.PathLike], output: str | os.PathLike | None, many: bool = False
) -> list[Job]:
    """The list of jobs for some inputs.

    Args:
      inputs: files, folders, and patterns such as `clips/*.mp4`.
      output: a file or folder for one input, a folder for several; None writes beside each
        input, with `_anonymized` in the name.
      many: whether `output` is a folder in any case.

    Raises:
      InputError: inputs that do not exist or are of no known kind, or two with one output.
    """
    sources = [source for path in inputs for source in _expand(path)]
    many = many or len(sources) > 1 or (len(inputs) == 1 and sources[0][0] != Path(inputs[0]))
    if output is not None and many:
        if os.path.exists(output) and not os.path.isdir(output):
            raise InputError(f"{output}: is a file; name a folder for several outputs")
        Path(output).mkdir(parents=True, exist_ok=True)
    jobs: dict[Path, Job] = {}
    for source, kind in sources:
        target = _beside(source) if output is None else Path(output)
        if output is not None and (many or (source.is_file() and Path(output).is_dir())):
            target = Path(output) / _beside(source).name
        if (twin := jobs.get(target)) is not None:
            if twin.source == source:
                continue
            raise InputError(
                f"{source} and {twin.source} would both become {target}: do them one after the "
                "other, with --output"
            )
        jobs[target] = Job(source, target, kind)
    return list(jobs.values())


def _beside(source: Path) -> Path:
    if source.is_dir():
        path = source.absolute()
        return path.with_name(path.name + _MARK)
    suffix = source.suffix.lower() if source.suffix.lower() in containers.SUFFIXES else ".mp4"
    return source.with_name(f"{source.stem}{_MARK}{suffix}")


def _expand(name: str | os.PathLike) -> Iterator[tuple[Path, str]]:
    """The sources that an input stands for, each with its kind."""
    path = Path(name)
    if path.is_dir():
        yield from _in_folder(path)
    elif path.exists() or not glob.has_magic(os.fspath(name)):
        yield path, "clip"
    else:
        matches = sorted(Path(match) for match in glob.glob(os.fspath(name), recursive=True))
        matches = [match for match in matches if not match.stem.endswith(_MARK)]
        if not matches:
            raise InputError(f"{name}: no file of such a name")
        for match in matches:
            yield from _expand(match)


def _in_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    inside = pictures.listing(folder)  # raises if there is no permission
    videos = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _VIDEOS
        and path.is_file()
        and not path.stem.endswith(_MARK)
        and not path.name.startswith(".")
    ]
    if videos:  # pictures beside them may be covers and the like
        yield from ((path, "clip") for path in videos)
        return
    if inside:
        yield folder, "dataset" if walks.are_silhouettes(folder) else "clip"
        return
    if next(folder.rglob("*.pkl"), None) is not None:
        yield folder, "dataset"
        return
    leaves = sorted(
        {
            path.parent
            for path in folder.rglob("*")
            if path.suffix.lower() in pictures.SUFFIXES and not path.name.startswith(".")
        }
    )
    if not leaves:
        raise InputError(f"{folder}: holds no videos, no pictures and no pickles of silhouettes")
    if walks.are_silhouettes(leaves[0]):
        yield folder, "dataset"
    else:
        yield from ((leaf, "clip") for leaf in leaves if not leaf.name.endswith(_MARK))


def summary(result: dict[str, Any]) -> str:
    """A batch's result in lines for people."""
    results = result["files"]
    if len(results) == 1 and "people" in results[0]:
        return report.summary(results[0])
    return "\n".join(map(_line, results))


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"error: {result['error']}"
    if "walks" in result:
        errors = [f"error: {row['error']}" for row in result["errors"]]
        counts = (
            f"{result['output']}: {result['written']} of {result['walks']} walks, "
            f"{result['frames']} frames, {result['skipped']} were there already, "
            f"{len(errors)} failed"
        )
        return "\n".join([*errors, counts])
    if "skipped" in result:
        return f"{result['output']}: {result['skipped']}, left (--overwrite replaces it)"
    return report.sentence(result)
