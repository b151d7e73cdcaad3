"""The whole path in some minutes: train on walkers, anonymise a scene, see what it hides."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from tqdm import tqdm

from stgan_jax.data.walkers import procedural, scenes
from stgan_jax.media import containers
from stgan_jax.methods import catalog, weights
from stgan_jax.methods.api import Anonymizer
from stgan_jax.methods.stgan.settings import NoiseSettings
from stgan_jax.shapes import contour, gei, likeness
from stgan_jax.training.loop import train
from stgan_jax.training.settings import RunSettings
from stgan_jax.util import files, grids
from stgan_jax.video import clip

VIEWS = (0, 54, 90)
TEST_SUBJECTS = range(85, 109)


def run(folder: str | os.PathLike, noise_settings: RunSettings, settings: RunSettings) -> dict:
    """Trains both models, anonymises a rendered scene and measures recognition.

    Leaves in `folder`: `noise/` and `stgan/` (the trainings, resumed if they are there),
    `scene.mp4`, `anonymized.mp4`, `contact_sheet.png`, `noise_samples.png`, `report.json`.

    Args:
      folder: created if it does not exist.
      noise_settings: settings of the noise GAN.
      settings: settings of ST-GAN, with the noise checkpoint at `folder`/noise.

    Returns:
      the report.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _train(noise_settings, folder / "noise")
    samples = _noise_report(folder)
    _train(settings, folder / "stgan")
    model = catalog.load(folder / "stgan")
    scene = scenes.Scene(seed=6, people=3, frames=120)
    with containers.video_writer(
        folder / "scene.mp4", scene.size, containers.Fraction(scene.fps)
    ) as append:
        for frame in tqdm(scene, total=scene.frames, desc="rendering a scene", unit="frame"):
            append(frame.image)
    video = clip.anonymize_video(
        folder / "scene.mp4",
        folder / "anonymized.mp4",
        model,
        seed=0,
        contact_sheet=folder / "contact_sheet.png",
    )
    report = {"video": video, "noise": samples, "rank1": recognition(model)}
    with files.replacing(folder / "report.json") as beside:
        beside.write_text(json.dumps(report, indent=2) + "\n")
    return report


def _train(settings: RunSettings, workdir: Path) -> None:
    if not train(settings, catalog.prepare, workdir):
        raise KeyboardInterrupt


def _noise_report(folder: Path) -> dict[str, Any]:
    """Draws 128 noise contours, 32 of them as a picture, and compares them with unseen people."""
    settings, params = weights.load_as(folder / "noise", NoiseSettings)
    sampled = settings.nets().sample(params, jax.random.key(1), 128)
    masks = contour.decode(contour.to_pixels(np.asarray(sampled)), settings.data.codec)
    with files.replacing(folder / "noise_samples.png") as beside:
        cv2.imwrite(os.fspath(beside), grids.grid(masks[:32]))
    unseen = np.concatenate(
        [
            procedural.silhouettes(subject, view, condition, 1, frames=8, fps=8)
            for subject in range(77, 85)
            for view in procedural.VIEWS
            for condition in ("nm", "bg", "cl")
        ]
    )
    return {
        "samples": len(masks),
        "mean_best_iou_to_unseen_walkers": float(likeness.best_iou(masks, unseen).mean()),
        "pairwise_iou_of_samples": likeness.pairwise_iou(masks),
        "pairwise_iou_of_walkers": likeness.pairwise_iou(unseen[:: len(unseen) // 128]),
    }


def recognition(model: Anonymizer) -> list[dict[str, float]]:
    """Rank-1 of gait-energy-image matching by view, before and after.

    Walkers nobody trained on; two clean walks each in the gallery, one as probe, same
    view. An ignorant attacker: neither gallery nor recogniser knows of anonymisation.
    """
    rows = []
    subjects = list(TEST_SUBJECTS)
    for view in tqdm(VIEWS, desc="recognising", unit="view"):
        gallery, probes, anonymized = [], [], []
        for subject in subjects:
            for walk in (1, 2):
                gallery.append(gei.energy_image(procedural.silhouettes(subject, view, "nm", walk)))
            probe = procedural.silhouettes(subject, view, "nm", 5)
            probes.append(gei.energy_image(probe))
            key = jax.random.fold_in(jax.random.key(view), subject)
            anonymized.append(gei.energy_image(model(probe, key)))
        of = np.repeat(subjects, 2)
        before = gei.rank1(np.stack(gallery), of, np.stack(probes), subjects)
        after = gei.rank1(np.stack(gallery), of, np.stack(anonymized), subjects)
        rows.append(
            {
                "view": view,
                "rank1_before": float(before.mean()),
                "rank1_after": float(after.mean()),
                "chance": 1 / len(subjects),
            }
        )
    return rows


def table(report: dict) -> str:
    """The demo's result in a few lines."""
    lines = ["view  rank-1 before  rank-1 after  chance"]
    lines += [
        f"{row['view']:4d}  {row['rank1_before']:13.2f}  {row['rank1_after']:12.2f}  "
        f"{row['chance']:6.2f}"
        for row in report["rank1"]
    ]
    iou = report["noise"]["mean_best_iou_to_unseen_walkers"]
    lines.append(f"noise contours: mean best IoU {iou:.3f} with people they were not trained on")
    return "\n".join(lines)
