"""Many inputs of any kind in one call: videos, folders of them, of frames, of silhouettes."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stgan_jax.media import containers
from stgan_jax.methods import api, catalog
from stgan_jax.util import errors, files
from stgan_jax.util.errors import InputError
from stgan_jax.video import clip, inputs, keys, report, walks
from stgan_jax.video.inputs import Job
from stgan_jax.video.source import ClipOptions

_SHOWN = 20  # lines on the screen about what is left


def anonymize(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike | None = None,
    *,
    checkpoint: str | os.PathLike | api.Anonymizer | None = None,
    overwrite: bool = False,
    report_to: str | os.PathLike | bool | None = None,
    jobs: int | None = 1,
    options: ClipOptions | None = None,
) -> dict[str, Any]:
    """Anonymises videos and datasets, see `stgan_jax.anonymize`.

    Args:
      paths: inputs, see `inputs.plan`.
      output: see `inputs.plan`.
      checkpoint: argument of `catalog.load`, or a model from it.
      overwrite: replaces outputs that exist; otherwise a batch leaves them and goes on.
      report_to: JSON file to write, the returned value; True for a file beside each output.
      jobs: number of processes for datasets; with a loaded model it is one. None for one a core,
        or one a GPU.
      options: how clips are anonymised.

    Returns:
      `files`: for each input the report of `clip.anonymize_video` or `walks.anonymize_dataset`,
      or its `error`, or that it was `skipped` because its output exists; `left`: what of folders
      is not processed, `path` and `why`; `exit_code`: 2 if there was an error, 3 if somebody is
      covered or something left, else 0.

    Raises:
      InputError: something is wrong with a single input, or with all of them.
      OSError: a full disk and the like.
    """
    options = options or ClipOptions()
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    names = [files.local(name) for name in names]
    output = None if output is None else files.local(output)
    todo, left = inputs.plan(names, output, many=len(names) > 1)
    alone = len(todo) == 1 and len(names) == 1 and todo[0].source == Path(names[0])
    if len(todo) > 1:
        refuse_of_one_input(options)
    report_file = None if isinstance(report_to, bool) else report_to
    if report_file:
        files.check_output(report_file)
    _check_written(todo, (report_file, options.preview, options.contact_sheet))
    if alone:
        check_input(todo[0], overwrite)
    loaded = isinstance(checkpoint, api.Anonymizer)
    model = checkpoint if isinstance(checkpoint, api.Anonymizer) else catalog.load(checkpoint)
    model = model.with_options(**options.of_model)
    model.require_video()

    def run(job: Job) -> dict[str, Any]:
        if job.kind == "clip":
            return one_clip(job, model, options, overwrite, report_beside=report_to is True)
        source = model if loaded or walks.processes(jobs) == 1 else checkpoint
        with _prepared(job):
            return _dataset(job, source, overwrite, jobs, options)

    results = _each(todo, run, alone)
    rows = [{"path": os.fspath(one.path), "why": one.why} for one in left]
    rows += [row for result in results for row in result.get("left", ())]
    summed = {"version": 2, "files": results, "left": rows, "exit_code": exit_code(results, rows)}
    if report_file:
        with files.replacing(report_file) as beside:
            beside.write_text(json.dumps(summed, indent=2) + "\n")
    return summed


def exit_code(results: Sequence[Mapping[str, Any]], left: Sequence[Any]) -> int:
    """The worst of what was done: 2, then 3, which also stands for what is `left`, then 0."""
    codes = {result["exit_code"] for result in results} | ({3} if left else set())
    return 2 if 2 in codes else 3 if 3 in codes else 0


def _each(todo: list[Job], run: Callable[[Job], dict[str, Any]], alone: bool) -> list[dict]:
    """The result of each job; a job that fails has an `error`, and raises if it is `alone`."""
    results = []
    for job in tqdm(todo, desc="all", unit="file", disable=len(todo) < 2):
        if len(todo) > 1:
            tqdm.write(os.fspath(job.source))
        try:
            results.append(run(job))
        except Exception as error:
            if is_full(error) or (alone and isinstance(error, InputError | OSError)):
                raise
            text = reason(job.source, error)
            if alone:
                raise InputError(f"{text} (--debug shows where)") from error
            results.append({"input": os.fspath(job.source), "error": text, "exit_code": 2})
    return results


def one_clip(
    job: Job,
    model: api.Anonymizer,
    options: ClipOptions,
    overwrite: bool = False,
    report_beside: bool = False,
) -> dict[str, Any]:
    """Anonymises a clip of many: what a batch and an archive do with each.

    Args:
      job: its input and output. Folders of a tree are created, and removed if it fails.
      model: the anonymiser.
      options: how it is anonymised.
      overwrite: replaces an output that is there, which otherwise is `skipped`.
      report_beside: writes the report beside the output.

    Returns:
      the report of `clip.anonymize_video`, or that it was `skipped`.

    Raises:
      Exception: whatever goes wrong, see `reason`; nothing is written then.
    """
    with _prepared(job):
        return _clip(job, model, overwrite, report_beside, options)


def refuse_of_one_input(options: ClipOptions) -> None:
    """Raises `InputError` for options that cannot hold for many clips."""
    single = (options.masks, options.contact_sheet, options.preview, options.background)
    decided = options.decisions is not None and os.fspath(options.decisions) != "beside"
    if any(single) or decided:
        raise InputError(
            "masks, a background, a preview, a contact sheet or a file of decisions go with one "
            "input"
        )


def is_full(error: Exception) -> bool:
    """Whether a disk or a quota is full, so that nothing more can be written."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def reason(source: str | os.PathLike, error: Exception) -> str:
    """Why an input failed, in a sentence."""
    known = isinstance(error, InputError | OSError)
    return str(error) if known else f"{source}: {errors.unexpected(error)}"


@contextlib.contextmanager
def _prepared(job: Job) -> Iterator[None]:
    """Clears away what a killed process left, and makes the output's folders, for a job's work."""
    files.sweep(job.output)
    folders = (job.output.parent, *job.output.parent.parents) if job.in_tree else ()
    created = [folder for folder in folders if not folder.exists()]
    try:
        if created:
            created[0].mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: another input's
            for folder in created:
                folder.rmdir()
        raise


def _check_written(todo: list[Job], paths: Sequence[str | os.PathLike | None]) -> None:
    """Raises `InputError` if a report or picture would replace an input or another output."""
    taken = {path.resolve() for job in todo for path in (job.source, job.output)}
    for path in paths:
        if path is None:
            continue
        if (written := Path(path).resolve()) in taken:
            raise InputError(f"{path}: is an input or another output, name another file")
        taken.add(written)


def check_input(job: Job, overwrite: bool) -> None:
    """Raises `InputError` early, before a model is loaded."""
    if job.kind == "clip" and job.output.exists() and not overwrite:
        raise InputError(f"{job.output}: is there already; --overwrite replaces it")
    if not job.source.is_dir():
        containers.probe(job.source)


def _clip(
    job: Job, model: api.Anonymizer, overwrite: bool, report_beside: bool, options: ClipOptions
) -> dict[str, Any]:
    beside = inputs.report_beside(job.output) if report_beside else None
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
    jobs: int | None,
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


def summary(result: dict[str, Any]) -> str:
    """A batch's result in lines for people."""
    results, left = result["files"], result.get("left", ())
    lines = [f"left: {row['path']}: {row['why']}" for row in left[:_SHOWN]]
    lines += [f"left: {len(left) - _SHOWN} more, see the report"] if len(left) > _SHOWN else []
    if len(results) == 1 and "people" in results[0]:
        return "\n".join([report.summary(results[0]), *lines])
    return "\n".join([*map(_line, results), *lines])


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
