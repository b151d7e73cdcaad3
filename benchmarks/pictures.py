"""Draws the pictures of the README and of docs: python benchmarks/pictures.py [--demo=runs/demo]

walkers.png, recorded.png, color_walks.jpg and scenes.jpg from the renderers; retarget.png,
heads.png, moving.jpg and the contact sheet of a rendered scene by the weights in the package; the
noise samples as `make demo` left them. With --video also vtest.jpg, the same sheet of a real video,
without its frames.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import jax
import numpy as np
from absl import app, flags

import stgan_jax
from stgan_jax.data.walkers import color_walks, procedural, recording
from stgan_jax.data.walkers.moving_scenes import MovingScene
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.methods import catalog
from stgan_jax.shapes import contour

_DEMO = flags.DEFINE_string("demo", "runs/demo", "Folder of a finished demo.")
_VIDEO = flags.DEFINE_string("video", None, "A real video from a static camera.")
_FOLDER = Path(__file__).parent / "pictures"
# Subject, view and condition.
_IDEAL = ((12, 0, "nm"), (7, 54, "nm"), (21, 90, "nm"), (3, 90, "bg"), (8, 126, "cl"))
_RECORDED = ((12, 0, "nm"), (21, 90, "nm"), (8, 126, "cl"))
# Subject, view, textural clothes, complete silhouettes.
_COLORED = (
    (51, 36, False, True),
    (52, 90, True, True),
    (65, 126, False, False),
    (75, 90, True, False),
)


def _retargeted() -> np.ndarray:
    """Recorded walks, and each with two other walkers beneath, in step and not turned."""
    model = catalog.load("retarget").with_options(in_step=True, turn=0.0)
    rows = []
    for seed, view in ((91, 0), (92, 54), (93, 90)):
        own = recording.silhouettes(seed, view, "nm", 5, 50)
        others = [model(own, jax.random.key(seed + i)) for i in (0, 1)]
        rows += [255 * own[::5], *(170 * other[::5] for other in others)]
    cells = np.vstack([np.hstack(list(row[:, 8:232, 48:192])) for row in rows])
    return cv2.resize(255 - cells, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _heads() -> np.ndarray:
    """The upper third of walks towards and away from the camera, anonymised in two ways.

    Rows: recorded; 0.7 of the own and 0.3 of another padded contour, index by index; `stgan`.
    """
    model, rows = catalog.load("stgan"), []
    for seed, view in ((91, 0), (95, 180)):
        own, other = (recording.silhouettes(s, view, "nm", 5, 50)[::6] for s in (seed, seed + 1))
        mixed = 0.7 * contour.encode(own, "padded") + 0.3 * contour.encode(other, "padded")
        walk = recording.silhouettes(seed, view, "nm", 5, 50)
        anonymized = model(walk, jax.random.key(seed))[::6]
        rows += [255 * own, 170 * contour.decode(mixed, "padded"), 170 * anonymized]
    cells = np.vstack([np.hstack(list(row[:, 4:84, 72:168])) for row in rows])
    return 255 - cells


def _sheet(video: str) -> np.ndarray:
    """Before and after, as `stgan-anonymize --seed=3` draws it."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = f"{folder}/sheet.png"
        stgan_jax.anonymize(video, f"{folder}/out.mp4", seed=3, contact_sheet=sheet)
        return np.asarray(cv2.imread(sheet))


def _moving() -> np.ndarray:
    """Frames of a clip whose camera is carried past people, before (above) and after."""
    scene = MovingScene("past", 0, 75)
    before = [frame.image[..., ::-1] for frame in scene]
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        for t, image in enumerate(before):
            cv2.imwrite(f"{source}/{t:03d}.png", image)
        stgan_jax.anonymize(source, output, seed=3)
        after = [np.asarray(cv2.imread(f"{output}/{t:03d}.png")) for t in range(len(before))]
    return np.vstack([np.hstack([images[t] for t in (15, 35, 55)]) for images in (before, after)])


def main(_):
    _FOLDER.mkdir(exist_ok=True)
    ideal = [procedural.silhouettes(*walk, frames=10, fps=10) for walk in _IDEAL]
    recorded = [recording.silhouettes(*walk, frames=50)[::5] for walk in _RECORDED]
    for name, sequences in (("walkers", ideal), ("recorded", recorded)):
        rows = np.vstack([np.hstack(list(sequence)) for sequence in sequences])
        small = cv2.resize(255 * (1 - rows), None, fx=0.42, fy=0.42, interpolation=cv2.INTER_AREA)
        cv2.imwrite(f"{_FOLDER}/{name}.png", small)
    cv2.imwrite(f"{_FOLDER}/retarget.png", _retargeted())
    cv2.imwrite(f"{_FOLDER}/heads.png", _heads())
    colored = [
        color_walks.render(seed, view, "nm", 1, textural, complete)
        for seed, view, textural, complete in _COLORED
    ]
    pairs = [
        np.hstack([walk.frames[t], np.repeat(255 * walk.silhouettes[t][..., None], 3, -1)])
        for walk in colored
        for t in (20, 32)
    ]
    rows = np.vstack([np.hstack(pairs[i : i + 2]) for i in range(0, len(pairs), 2)])
    small = cv2.resize(rows[..., ::-1], None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    cv2.imwrite(f"{_FOLDER}/color_walks.jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    shots = [list(Scene(seed, people=3, frames=60))[45].image for seed in (1, 6, 11)]
    moving = cv2.resize(_moving(), None, fx=0.52, fy=0.52, interpolation=cv2.INTER_AREA)
    cv2.imwrite(f"{_FOLDER}/moving.jpg", moving, [cv2.IMWRITE_JPEG_QUALITY, 85])
    scene = cv2.resize(np.hstack(shots), None, fx=0.52, fy=0.52, interpolation=cv2.INTER_AREA)
    cv2.imwrite(f"{_FOLDER}/scenes.jpg", scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    with tempfile.TemporaryDirectory() as folder:
        video = f"{folder}/scene.mp4"
        command = [sys.executable, "launch/render.py", "--seed=4", f"--output={video}"]
        subprocess.run(command, check=True)
        sheets = {"contact_sheet": _sheet(video)}
    if _VIDEO.value:
        blocks = np.split(_sheet(_VIDEO.value), 12)  # three people, four rows each
        sheets["vtest"] = np.vstack([row for i, row in enumerate(blocks) if i % 4])
    for name, sheet in sheets.items():
        cv2.imwrite(f"{_FOLDER}/{name}.jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not Path(f"{_DEMO.value}/noise_samples.png").is_file():
        sys.exit(f"error: {_DEMO.value}/noise_samples.png: run make demo first")
    shutil.copy(f"{_DEMO.value}/noise_samples.png", _FOLDER / "noise_samples.png")


if __name__ == "__main__":
    app.run(main)
