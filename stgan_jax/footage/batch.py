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

from stgan_jax import anonymizer, files
from stgan_jax.errors import InputError
from stgan_jax.footage import clip, keys, report, walks
from stgan_jax.footage.source import Options
from stgan_jax.video import io, pictures

_VIDEOS = {*io.SUFFIXES, ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv", ".3gp",
           ".ogv", ".vob", ".mxf", ".gif"}  # fmt: skip
_MARK = "_anonymized"


@dataclasses.dataclass(frozen=True)
class Job:
    """One input and what comes of it: `kind` is "clip" or "dataset"."""

    source: Path
    output: Path
    kind: str


def anonymize(
    inputs: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike | None = None,
    *,
    checkpoint: str | os.PathLike | anonymizer.AnyModel | None = None,
    strength: str = anonymizer.STRENGTHS[1],
    overwrite: bool = False,
    report_file: str | os.PathLike | None = None,
    report_beside: bool = False,
    jobs: int = 1,
    options: Options | None = None,
) -> dict[str, Any]:
    """Anonymises videos and datasets, see `stgan_jax.anonymize`.

    Returns:
      `files`: a report for each, of `clip.anonymize_video` or `walks.anonymize_dataset`, or its
      `error`, or that it was `skipped` because its output is there; `exit_code`: 2 if there
      was an error, 3 if somebody is covered, else 0.

    Raises:
      InputError: what is wrong with a single input, or with all of them.
      OSError: a full disk and the like.
    """
    options = options or Options()
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    todo = plan(given, output, many=len(given) > 1)
    alone = len(todo) == 1 and len(given) == 1 and todo[0].source == Path(given[0])
    single = (options.masks, options.contact_sheet, options.preview, options.background)
    if any(single) and len(todo) > 1:
        raise InputError("masks, a background, a preview or a contact sheet go with one input")
    if report_file:
        files.check_output(report_file)
    if alone and todo[0].kind == "clip" and todo[0].output.exists() and not overwrite:
        raise InputError(f"{todo[0].output}: is there already; --overwrite replaces it")
    if alone:
        _readable(todo[0].source)
    model = checkpoint
    if not isinstance(model, anonymizer.AnyModel):
        model = anonymizer.load_model(model, strength)  # here at first: what is wrong is said once
    elif strength != anonymizer.STRENGTHS[1]:
        raise InputError("a loaded model has its strength: leave strength out")
    model = anonymizer.varied(model, options.tempo, options.build, options.in_step)
    told = []
    for job in tqdm(todo, desc="all", unit="file", disable=len(todo) < 2):
        files.sweep(job.output)
        if len(todo) > 1:
            tqdm.write(os.fspath(job.source))
        try:
            if job.kind == "dataset":
                by_name = jobs > 1 and not isinstance(checkpoint, anonymizer.AnyModel)
                network = checkpoint if by_name else model
                told.append(_dataset(job, network, strength, overwrite, jobs, options))
            else:
                told.append(_clip(job, model, overwrite, report_beside, options))
        except (InputError, OSError) as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            if alone or full:
                raise
            told.append({"input": os.fspath(job.source), "error": str(error), "exit_code": 2})
        except Exception as error:
            if alone:
                raise
            what = f"{job.source}: {type(error).__name__}: {error}"
            told.append({"input": os.fspath(job.source), "error": what, "exit_code": 2})
    codes = {one["exit_code"] for one in told}
    result = {"version": 2, "files": told, "exit_code": 2 if 2 in codes else 3 if 3 in codes else 0}
    if report_file:
        with files.replacing(report_file) as beside:
            beside.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _clip(job: Job, model: Any, overwrite: bool, report_beside: bool, options: Options) -> dict:
    beside = job.output.with_name(f"{job.output.stem}_report.json") if report_beside else None
    if job.output.exists() and not overwrite:
        try:
            code = json.loads(beside.read_text())["exit_code"] if beside else 0
        except (OSError, ValueError, KeyError):
            code = 0
        return {
            "input": os.fspath(job.source), "output": os.fspath(job.output),
            "skipped": "is there already", "exit_code": code,
        }  # fmt: skip
    return clip.anonymize_video(job.source, job.output, model, report=beside, options=options)


def _dataset(
    job: Job, model: Any, strength: str, overwrite: bool, jobs: int, options: Options
) -> dict:
    seed = keys.random_seed() if options.seed is None else options.seed
    done = walks.anonymize_dataset(
        job.source, job.output, model, seed, strength=strength, largest_tempo=options.tempo,
        build=options.build, in_step=options.in_step, overwrite=overwrite, jobs=jobs,
    )  # fmt: skip
    named = {"input": os.fspath(job.source), "output": os.fspath(job.output)}
    return named | done | ({"seed": seed} if options.store_seed else {})


def plan(
    inputs: Sequence[str | os.PathLike], output: str | os.PathLike | None, many: bool = False
) -> list[Job]:
    """What is to be done.

    Args:
      inputs: files, folders, and patterns such as `clips/*.mp4`.
      output: a file or folder for one input, a folder for several; None for beside each input,
        with `_anonymized` in its name.
      many: whether `output` is a folder in any case.

    Raises:
      InputError: inputs that are not there or of no kind that is known, or two of one output.
    """
    sources = [found for given in inputs for found in _expanded(given)]
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
    suffix = source.suffix.lower() if source.suffix.lower() in io.SUFFIXES else ".mp4"
    return source.with_name(f"{source.stem}{_MARK}{suffix}")


def _expanded(given: str | os.PathLike) -> Iterator[tuple[Path, str]]:
    path = Path(given)
    if path.is_dir():
        yield from _in_folder(path)
    elif path.exists() or not glob.has_magic(os.fspath(given)):
        yield path, "clip"
    else:
        found = sorted(Path(name) for name in glob.glob(os.fspath(given), recursive=True))
        found = [one for one in found if not one.stem.endswith(_MARK)]
        if not found:
            raise InputError(f"{given}: no file of such a name")
        for one in found:
            yield from _expanded(one)


def _in_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    inside = pictures.listing(folder)  # or it says that there is no permission
    videos = [
        path for path in sorted(folder.iterdir())
        if path.suffix.lower() in _VIDEOS and path.is_file()
        and not path.stem.endswith(_MARK) and not path.name.startswith(".")
    ]  # fmt: skip
    if videos:  # pictures beside them may be covers and the like
        yield from ((path, "clip") for path in videos)
        return
    if inside:
        yield folder, "dataset" if walks.are_silhouettes(folder) else "clip"
        return
    if next(folder.rglob("*.pkl"), None) is not None:
        yield folder, "dataset"
        return
    leaves = sorted({
        path.parent for path in folder.rglob("*")
        if path.suffix.lower() in pictures.SUFFIXES and not path.name.startswith(".")
    })  # fmt: skip
    if not leaves:
        raise InputError(f"{folder}: holds no videos, no pictures and no pickles of silhouettes")
    if walks.are_silhouettes(leaves[0]):
        yield folder, "dataset"
    else:
        yield from ((leaf, "clip") for leaf in leaves if not leaf.name.endswith(_MARK))


def _readable(path: Path) -> None:
    """Raises `InputError` early, before a model is loaded for nothing."""
    if not path.is_dir():
        io.probe(path)


def summary(result: dict[str, Any]) -> str:
    """What was done, in lines for people."""
    told = result["files"]
    if len(told) == 1 and "people" in told[0]:
        return report.summary(told[0])
    return "\n".join(map(_line, told))


def _line(one: dict[str, Any]) -> str:
    if "error" in one:
        return f"error: {one['error']}"
    if "walks" in one:
        wrong = [f"error: {e['error']}" for e in one["errors"]]
        return "\n".join([
            *wrong, f"{one['output']}: {one['written']} of {one['walks']} walks, {one['frames']} "
            f"frames, {one['skipped']} were there already, {len(wrong)} failed",
        ])  # fmt: skip
    if "skipped" in one:
        return f"{one['output']}: {one['skipped']}, left (--overwrite replaces it)"
    return report.sentence(one)
