"""What do walks in a video tell of who walked? There the way over the ground and its speed stay.

    python benchmarks/experiments/retarget/in_a_video.py --data_dir=data --out=runs/in_a_video

Walks of `synthetic_walkers`, each with the `Course` that a faultless tracker would see: the ground
that the person's steps cover, along the line that they walk. Measured are `retarget` with it, and
without it where no folder names the view; by the yardstick's recognisers, and by numbers:
those of the gait, read off published walks, and those of the way, which the video shows whatever is
done to the walker. "nearest" takes the nearest walk of the gallery, each number in units of its
spread over one person's walks; "LDA" learns from published walks of the training people. A stopped
run goes on.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from jaxtyping import Float
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.data.walkers import recording
from stgan_jax.evaluation import attacks, numbers, recognizers, report, run
from stgan_jax.evaluation.run import Evaluation, EvaluationSettings, Instruments
from stgan_jax.evaluation.walks import FRAMES, Walks
from stgan_jax.methods import catalog
from stgan_jax.methods.api import Anonymizer, Contours, Course, walk_keys
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.shapes import contour
from stgan_jax.util import errors, files

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "A built dataset of walkers.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where it lies.")
_VIEWS = flags.DEFINE_list("views", ["54", "90"], "Degrees.")
_NETWORKS = flags.DEFINE_string("networks", "small", "Recognisers' size: small, medium or large.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", list(recognizers.KINDS), "Some of the six.")
_OUT = flags.DEFINE_string("out", "runs/in_a_video", "Folder of report.json and numbers.json.")

_PITCH = 6.0  # degrees, of the laboratory's cameras
_WAY = {"speed": [0], "line of walking": [1, 2], "both": [0, 1, 2]}


class AsRead(RetargetAnonymizer):
    """`retarget` on folders that do not name the view."""

    @property
    def digest(self) -> str:  # type: ignore[override]
        """See `Anonymizer`."""
        return f"{super().digest} as read"

    def from_view(self, degrees: float) -> RetargetAnonymizer:
        """See `Anonymizer.from_view`."""
        del degrees
        return self


class InAVideo(RetargetAnonymizer):
    """`retarget` where the way over the ground is known."""

    @property
    def digest(self) -> str:  # type: ignore[override]
        """See `Anonymizer`."""
        return f"{super().digest} in a video"

    def unit_contours(self, own: Contours, walks: Sequence[WalkName], seed: int) -> Contours:
        """See `Anonymizer.unit_contours`."""
        before = contour.decode(contour.to_pixels(own), self.codec)
        each = zip(before, walk_keys(walks, seed), walks, strict=True)
        after = np.stack([self(one, key, course(walk)) for one, key, walk in each])
        return contour.to_unit(contour.encode(after, self.codec))


def course(walk: WalkName) -> Course:
    """The way of a walk's last frames in the picture, without any error.

    Far away and on a level ground, a step ahead moves a person's place by its share across the
    picture, and down by the rest times the sine of the pitch.
    """
    name = walk.subject, walk.view, walk.condition, walk.repetition
    camera, count = recording.sample_camera(*name), recording.length(*name)
    view = recording.turned(walk.view, camera, count)
    walker = recording.walker(walk.subject, view, camera.pitch, walk.condition, walk.repetition)
    speed, view = walker.stride * np.gradient(walker.gait.phase), np.radians(view)
    ahead = np.stack([np.cos(view) * np.sin(np.radians(camera.pitch)), -np.sin(view)], -1)
    return Course(recording.FPS, (speed[:, None] * ahead)[-FRAMES:], _PITCH)


def way(walk: WalkName) -> Float[np.ndarray, " 3"]:
    """What a video shows of a walk: its mean speed in statures a frame, its line as (cos, sin)."""
    steps = course(walk).steps
    assert steps is not None
    ahead, aside = (steps / [np.sin(np.radians(_PITCH)), -1.0]).mean(0)
    speed = np.hypot(ahead, aside)
    return np.array([speed, ahead / speed, aside / speed])


def rank1(values: np.ndarray, walks: Walks, attacker: str) -> list[float]:
    """Rank-1 in the same view, normal walks, and its interval; `values` of each walk."""
    parts, found, subjects = walks.parts(0), [], []
    for view in walks.views():
        here = (walks.condition == "nm") & (walks.view == view)
        training, gallery, probes = (
            np.flatnonzero(here & parts[name].mask) for name in ("training", "gallery", "probes")
        )
        people = walks.subject[training]
        each = [values[training][people == one] for one in np.unique(people)]
        unit = values / (np.sqrt(np.mean([one.var(0) for one in each if len(one) > 1], 0)) + 1e-9)
        if attacker == "LDA":
            unit = LinearDiscriminantAnalysis().fit(unit[training], people).transform(unit)
        away = np.linalg.norm(unit[probes][:, None] - unit[gallery], axis=-1)
        found.append(attacks.hits(away, walks.subject[gallery], walks.subject[probes]))
        subjects.append(walks.subject[probes])
    hits = np.concatenate(found)
    both = float(hits.mean()), *attacks.interval(hits, np.concatenate(subjects))
    return [round(value, 4) for value in both]


def by_numbers(evaluation: Evaluation, walks: Walks) -> dict[str, dict[str, list[float]]]:
    """Of each method, who is found by the numbers of published gaits, of the way, and by both."""
    shown = np.stack([way(name) for name in walks.names])
    parts = walks.parts(0)
    out: dict[str, dict[str, list[float]]] = {"the way alone": {}}
    for name, columns in _WAY.items():
        for attacker in ("nearest", "LDA"):
            key = f"{name}, {attacker}"
            out["the way alone"][key] = rank1(shown[:, columns], walks, attacker)
    for method in evaluation.compared:
        read = np.zeros((len(walks.names), numbers.COUNT))
        for part in parts:
            read[parts[part].mask] = evaluation.attackers.gaits(method, part).numbers
        chosen = {"gait": read, "gait and way": np.concatenate([read, shown], 1)}
        if not isinstance(method, InAVideo | Unprotected):
            chosen.pop("gait and way")  # nobody knows one
        out[method.name] = {
            f"{name}, {attacker}": rank1(values, walks, attacker)
            for name, values in chosen.items()
            for attacker in ("nearest", "LDA")
        }
    return out


def main(_):
    with errors.one_sentence():
        report.check(_OUT.value)
        views = errors.numbers("--views", _VIEWS.value)
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views, ["nm"])
        methods: list[Anonymizer] = [
            AsRead.load().named("retarget, view as read"),
            InAVideo.load().named("retarget, in a video"),
        ]
        settings = EvaluationSettings(
            recognizers=_RECOGNIZERS.value,
            across_views=False,
            natural_walks=2,
            recovery_walks=0,
            size=_NETWORKS.value,
        )
        cache = Path(_OUT.value) / "cache"
        known = settings, cache, walks.dataset, Instruments(catalog.gait_reader())
        found = by_numbers(Evaluation([Unprotected(), *methods], walks, *known), walks)
        with files.replacing(Path(_OUT.value) / "numbers.json") as beside:
            beside.write_text(json.dumps({"walks": walks.dataset, "rank1": found}, indent=1) + "\n")
        figures, pictures = run.evaluate(methods, walks, *known)
        print(report.write(_OUT.value, figures, pictures))


if __name__ == "__main__":
    app.run(main, flags_parser=errors.parse_flags)
