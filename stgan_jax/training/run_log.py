"""The log of a run: figures as JSON lines and TensorBoard events, and pictures."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.util import files

Figures = Mapping[str, float]


class Log:
    """Figures and pictures of a run, in its folder.

    `metrics.jsonl` has a line of JSON for each call of `figures`, `events.out.tfevents.*` the same
    for TensorBoard, `pictures/NAME_STEP.png` the pictures.
    """

    def __init__(self, workdir: str | os.PathLike, step: int):
        """Continues a log after `step`; lines that a killed run wrote beyond it are dropped."""
        from tensorboardX import SummaryWriter  # slow to load, and only training needs it

        self._folder = Path(workdir)
        self._path = self._folder / "metrics.jsonl"
        kept = [line for line in read(self._path) if line["step"] <= step]
        with files.replacing(self._path) as beside:
            beside.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._events = SummaryWriter(os.fspath(self._folder), purge_step=step + 1)

    def figures(self, step: int, values: Figures) -> None:
        """Logs the figures of a step."""
        with open(self._path, "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W *channels"]) -> None:
        """Saves a picture of a step, grey or RGB."""
        folder = self._folder / "pictures"
        folder.mkdir(exist_ok=True)
        with files.replacing(folder / f"{name}_{step:07d}.png") as beside:
            cv2.imwrite(os.fspath(beside), image[..., ::-1] if image.ndim == 3 else image)
        layout = "HWC" if image.ndim == 3 else "HW"
        self._events.add_image(name, image, step, dataformats=layout)

    def close(self) -> None:
        """Writes everything out."""
        self._events.close()


def read(path: str | os.PathLike) -> list[dict]:
    """The lines of a metrics.jsonl, as far as they are whole; none where there is no file."""
    lines = []
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                if not line.endswith("\n"):  # cut off when the run was killed
                    break
                try:
                    lines.append(json.loads(line))
                except json.JSONDecodeError:
                    break
    return lines


def mean(window: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of each figure over some steps."""
    return {name: np.mean([figures[name] for figures in window], axis=0) for name in window[0]}


def line(values: Figures) -> str:
    """The losses in brief, for a progress bar."""
    return " ".join(f"{k[5:]} {v:.3g}" for k, v in values.items() if k.startswith("loss/"))
