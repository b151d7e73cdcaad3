"""Gait anonymisation in JAX: the same scene, the same walk, another walker."""

from typing import Any

__version__ = "0.1.0"


def anonymize(
    inputs: Any,
    output: Any = None,
    *,
    checkpoint: Any = None,
    strength: str = "default",
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
      checkpoint: --workdir of a training of ST-GAN or retargeting, or what
        `anonymizer.load_model` made of it; None for the weights that come along.
      strength: "mild", "default" or "strong", see `anonymizer.load_model`.
      overwrite: replaces outputs that are there; otherwise a batch leaves them and goes on.
      report: JSON file to write, the returned value.
      jobs: processes for datasets; with a loaded model it is one.
      **options: of `footage.source.Options`: keep_audio, codec, crf, start, end,
        max_resolution, silhouettes_only, color, face, standing, masks, segmenter,
        segmenter_input, background, seed, tempo, in_step, build, store_seed, preview,
        contact_sheet.

    Returns:
      `files`, a report for each input, and `exit_code`, the command's.

    Raises:
      errors.InputError: what is wrong, in a sentence, with a single input or with all.
    """
    from stgan_jax.footage import batch, source  # heavy, and not needed by those who train

    return batch.anonymize(
        inputs, output, checkpoint=checkpoint, strength=strength, overwrite=overwrite,
        report_file=report, jobs=jobs, options=source.Options(**options),
    )  # fmt: skip
