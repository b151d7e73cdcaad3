"""Does a retargeted walk keep pose and view? A regressor that learnt from clean walkers reads them.

    python benchmarks/experiments/retarget/pose.py

A network reads hip and knee angles of both legs and the view of seven frames' silhouettes. It
learns from ideal silhouettes of subjects 1-50 and is asked about subjects 85-124, by how many
degrees it errs, all views and each:

* clean: their own walks;
* exchanged: the other person, rendered in their steps, whom retargeting is to draw. Another person
  bends her knees otherwise, so that no exchange of walkers errs by less;
* in step: that person as retargeting draws her, in the pose of each moment as it is read;
* exchanged, her own; in step, her own: against her angles instead of those of the source.

By default retargeting keeps no moment of the source. "timing" of that is how far the gait period
is from the one that is to be drawn, and how far legs swing, in `naturalness.csv`.
"""

from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from stgan_jax.data.walkers import procedural
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer, stranger
from stgan_jax.methods.retarget.networks import to_cells
from stgan_jax.shapes import body, identity
from stgan_jax.util import files
from stgan_jax.util.errors import one_sentence, parse_flags

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("pose.csv")), "Table to write.")
_FRAMES, _FPS, _AROUND, _COMPONENTS = 50, 25.0, 3, 100


def _walk(
    subject: int, view: int, repetition: int, body_of: identity.Identity | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ideal silhouettes; angles in degrees (T, 4) with the view's cosine and sine (T, 2)."""
    masks = procedural.silhouettes(subject, view, "nm", repetition, _FRAMES, _FPS, body_of=body_of)
    motion = identity.sample_motion(subject, "nm", repetition)
    phase = procedural.gait_phase(identity.sample_identity(subject), motion, _FRAMES, _FPS)
    person = identity.sample_identity(subject) if body_of is None else body_of
    turn = np.radians(view)
    direction = np.broadcast_to([np.cos(turn), np.sin(turn)], (_FRAMES, 2))
    angles = np.degrees(body.leg_angles(person, motion, phase))
    return masks, np.concatenate([angles, direction], 1)


def _errors(read: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Mean errors of the legs' angles and of the view, in degrees."""
    off = np.abs(read[:, :4] - true[:, :4])
    views = [np.degrees(np.arctan2(x[:, 5], x[:, 4])) for x in (read, true)]
    # From behind at the same angle a person looks the same: only toes distinguish 0 and 180.
    turned = np.abs((views[0] - views[1] + 180) % 360 - 180)
    either = np.minimum(turned, np.abs(180 - np.abs(views[0]) - np.abs(views[1])))
    return {
        "hip": float(off[:, :2].mean()),
        "knee": float(off[:, 2:].mean()),
        "view": float(turned.mean()),
        "view, front or behind": float(either.mean()),
    }


class _Reader:
    """Reads angles and view of walks of ideal silhouettes."""

    def __init__(self, walks: list[tuple[np.ndarray, np.ndarray]]):
        cells = np.concatenate([self._cells(masks) for masks, _ in walks])
        self._basis = PCA(_COMPONENTS, random_state=0).fit(cells[::7])
        truth = np.concatenate([true for _, true in walks])
        self._units = truth.std(0)
        network = MLPRegressor(
            hidden_layer_sizes=(256, 128), alpha=1e-3, early_stopping=True, random_state=0
        )
        self._network = make_pipeline(StandardScaler(), network)
        inputs = np.concatenate([self._features(masks) for masks, _ in walks])
        self._network.fit(inputs, truth / self._units)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        return self._network.predict(self._features(masks)) * self._units

    def _features(self, masks: np.ndarray) -> np.ndarray:
        """Of each frame and those around it."""
        here = np.pad(
            self._basis.transform(self._cells(masks)), ((_AROUND, _AROUND), (0, 0)), "edge"
        )
        return sliding_window_view(here, 2 * _AROUND + 1, axis=0).reshape(len(masks), -1)

    def _cells(self, masks: np.ndarray) -> np.ndarray:
        return to_cells(masks).reshape(len(masks), -1).astype(np.float32)


def _view_errors(
    model: RetargetAnonymizer, read: _Reader, view: int
) -> dict[str, list[dict[str, float]]]:
    """Each test person's `_errors` in a view, by what is read."""
    off: dict[str, list[dict[str, float]]] = {}
    for subject in range(85, 125):
        key = jax.random.key(subject)
        masks, his = _walk(subject, view, 5)
        other, hers = _walk(subject, view, 5, stranger(key, model.options.manner))
        clean, exchanged, drawn = map(read, (masks, other, model(masks, key)))
        for name, found, true in (
            ("clean", clean, his),
            ("exchanged", exchanged, his),
            ("in step", drawn, his),
            ("exchanged, her own", exchanged, hers),
            ("in step, her own", drawn, hers),
        ):
            off.setdefault(name, []).append(_errors(found, true))
    return off


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        model = RetargetAnonymizer.load(_MODEL.value).in_own_step()
        jobs = [(s, v) for s in range(1, 51) for v in procedural.VIEWS]
        reader = _Reader([_walk(s, v, 1) for s, v in tqdm(jobs, "walks to learn from")])
        rows: list[dict] = []
        for view in tqdm(procedural.VIEWS, "views"):
            for name, each in _view_errors(model, reader, view).items():
                errors = {k: float(np.mean([e[k] for e in each])) for k in each[0]}
                rows.append({"seen_from": view, "walks": name, **errors})
        for name in dict.fromkeys(row["walks"] for row in rows):
            own = [row for row in rows if row["walks"] == name]
            keys = [key for key in own[0] if key not in ("seen_from", "walks")]
            mean = {key: float(np.mean([row[key] for row in own])) for key in keys}
            rows.append({"seen_from": "all", "walks": name, **mean})
            print(name, {key: round(value, 2) for key, value in mean.items()})
        files.write_table(_OUT.value, rows, 2)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
