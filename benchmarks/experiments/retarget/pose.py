"""Does a retargeted walk keep pose and view? A regressor that learnt from clean walkers reads them.

    python benchmarks/experiments/retarget/pose.py

A network reads hip and knee angles of both legs and the view of seven frames' silhouettes. It
learns from ideal silhouettes of subjects 1-50 and is asked about subjects 85-124, by how many
degrees it errs, all views and each:

* clean: their own walks;
* exchanged: the other person, rendered in their steps, whom retargeting is to draw. Another person
  bends her knees otherwise, so that no exchange of walkers errs by less;
* retargeted: that person as the networks draw her, against the angles of the moments that are
  drawn, and turned as always;
* exchanged, her own; retargeted, her own: against her angles instead of those of the source.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from stgan_jax.data.walkers import procedural
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer, stranger_seed
from stgan_jax.shapes import body, fields, gait, identity
from stgan_jax.util import files
from stgan_jax.util.errors import one_sentence, parse_flags

_MODEL = flags.DEFINE_string("checkpoint", "retarget", "Weights, or the --workdir of retarget.py.")
_OUT = flags.DEFINE_string("out", str(Path(__file__).with_name("pose.csv")), "Table to write.")
_FRAMES, _FPS, _AROUND, _COMPONENTS = 50, 25.0, 3, 100
_WALKS = ("clean", "exchanged", "retargeted", "exchanged, her own", "retargeted, her own")


def _walk(
    subject: int, view: int, repetition: int, body_of: identity.Identity | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ideal silhouettes, and their `_truth`."""
    masks = procedural.silhouettes(subject, view, "nm", repetition, _FRAMES, _FPS, body_of=body_of)
    return masks, _truth(subject, view, repetition, body_of)


def _truth(
    subject: int,
    view: int,
    repetition: int,
    body_of: identity.Identity | None = None,
    ahead: float = 0.0,
) -> np.ndarray:
    """Angles in degrees (T, 4) with the view's cosine and sine (T, 2), some cycles later."""
    motion = identity.sample_motion(subject, "nm", repetition)
    phase = procedural.gait_phase(identity.sample_identity(subject), motion, _FRAMES, _FPS)
    person = identity.sample_identity(subject) if body_of is None else body_of
    angles = body.leg_angles(person, motion, (phase + ahead) % 1.0)
    turn = np.radians(view)
    direction = np.broadcast_to([np.cos(turn), np.sin(turn)], (_FRAMES, 2))
    return np.concatenate([np.degrees(angles), direction], 1)


def _features(model: RetargetAnonymizer, masks: np.ndarray) -> np.ndarray:
    """Coordinates of each frame's field and of those around it."""
    unit = networks.to_unit(jnp.asarray(fields.encode(masks)[None]))
    here = networks.coordinates(model.params["basis"], unit)[..., :_COMPONENTS]
    return np.asarray(networks.windows(here, 2 * _AROUND + 1)[0])


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


def _view_errors(
    model: RetargetAnonymizer, read: Callable[[np.ndarray], np.ndarray], view: int
) -> dict[str, list[dict[str, float]]]:
    """Each test person's `_errors` in a view, by name of `_WALKS`; `read` gives angles of masks."""
    off: dict[str, list[dict[str, float]]] = {name: [] for name in _WALKS}
    for subject in range(85, 125):
        key = jax.random.key(subject)
        masks, angles = _walk(subject, view, 5)
        person = identity.sample_identity(stranger_seed(key), model.options.manner)
        other, hers = _walk(subject, view, 5, person)
        clean, exchanged, retargeted = map(read, (masks, other, model(masks, key)))
        # Drawn at other moments: the truth is that of those.
        ahead = 0.0 if model.options.in_step else gait.start(key)
        his_later = _truth(subject, view, 5, None, ahead)
        hers_later = _truth(subject, view, 5, person, ahead)
        pairs = (
            (clean, angles),
            (exchanged, angles),
            (retargeted, his_later),
            (exchanged, hers),
            (retargeted, hers_later),
        )
        for name, pair in zip(_WALKS, pairs, strict=True):
            off[name].append(_errors(*pair))
    return off


def main(_):
    with one_sentence():
        files.check_output(_OUT.value)
        model = RetargetAnonymizer.load(_MODEL.value)
        jobs = [(s, v) for s in range(1, 51) for v in procedural.VIEWS]
        walks = [_walk(s, v, 1) for s, v in tqdm(jobs, "walks to learn from")]
        inputs = np.concatenate([_features(model, masks) for masks, _ in walks])
        scaler, truth = StandardScaler().fit(inputs), np.concatenate([t for _, t in walks])
        units = truth.std(0)
        regressor = MLPRegressor(
            hidden_layer_sizes=(256, 128), alpha=1e-3, early_stopping=True, random_state=0
        )
        regressor.fit(scaler.transform(inputs), truth / units)

        def read(masks: np.ndarray) -> np.ndarray:
            return regressor.predict(scaler.transform(_features(model, masks))) * units

        rows = []
        for view in tqdm(procedural.VIEWS, "views"):
            for name, each in _view_errors(model, read, view).items():
                errors = {k: float(np.mean([e[k] for e in each])) for k in each[0]}
                rows.append({"seen_from": view, "walks": name, **errors})
        for name in _WALKS:
            own = [row for row in rows if row["walks"] == name]
            keys = [key for key in own[0] if key not in ("seen_from", "walks")]
            mean = {key: float(np.mean([row[key] for row in own])) for key in keys}
            rows.append({"seen_from": "all", "walks": name, **mean})
            print(name, {key: round(value, 2) for key, value in mean.items()})
        files.write_table(_OUT.value, rows, 2)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
