"""Gait anonymisation in JAX: the same scene, the same walk, another walker."""

from typing import Any

__all__ = ["anonymize"]
__version__ = "0.1.0"


def anonymize(
    inputs: Any,
    output: Any = None,
    *,
    checkpoint: Any = None,
    overwrite: bool = False,
    report: Any = None,
    jobs: int = 1,
    **options: Any,
) -> dict[str, Any]:
    """Anonymises everybody who walks in videos, as the command `stgan-anonymize` does.

    Args:
      inputs: a path or several: videos, patterns, folders of videos, of frames or of
        silhouettes, datasets of OpenGait's pickles.
      output: file or folder; by default beside each input, with `_anonymized` in its name.
      checkpoint: a name of the package's weights, an .npz of weights, the --workdir of a
        training, or a model from `methods.catalog.load`; None for "retarget".
      overwrite: replaces outputs that exist; otherwise a batch leaves them and goes on.
      report: JSON file to write, the returned value.
      jobs: number of processes for datasets; with a loaded model it is one.
      **options: fields of `video.source.ClipOptions`: keep_audio, codec, crf, start, end,
        max_resolution, silhouettes_only, color, face, standing, people, models, masks,
        segmenter, segmenter_input, background, seed, alpha, in_step, store_seed,
        preview, contact_sheet, decisions.

    Returns:
      `files`, a report for each input, `left`, what of folders is not processed, and `exit_code`,
      the command's.

    Raises:
      errors.InputError: a sentence on what is wrong with a single input, or with all of them.
    """
    from stgan_jax.video import batch, source  # slow to import, and not needed for training

    return batch.anonymize(
        inputs,
        output,
        checkpoint=checkpoint,
        overwrite=overwrite,
        report_to=report,
        jobs=jobs,
        options=source.ClipOptions(**options),
    )
