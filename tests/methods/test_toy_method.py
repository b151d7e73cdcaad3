"""A method of one's own in under 40 lines, through training, loading, evaluation and video."""

import dataclasses
import inspect
from typing import ClassVar

import clips
import cv2
import jax.numpy as jnp
import numpy as np
import pytest
import small

import stgan_jax
from stgan_jax.data.selection import WalkerData
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.evaluation import run
from stgan_jax.evaluation.walks import Walks
from stgan_jax.media import containers
from stgan_jax.methods import api, catalog, contours
from stgan_jax.shapes import contour
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.loop import train
from stgan_jax.training.settings import RunSettings
from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(RunSettings):
    """Learns how wide people are on average, as a share of the crop."""

    kind: ClassVar[str] = "toy"
    data: WalkerData


def toy_experiment(settings):
    optimizers = {"gen": settings.update_rule(0.25)}

    def update(state, batch, alpha, *, optimizers, options):
        def loss(width, columns):
            value = jnp.mean(jnp.square(width - jnp.ptp(columns, -1)))
            return value, {"loss/gen": value}

        columns = batch.unit()[0][..., 1::2]
        grads, metrics = options.gradients(loss, state.params["gen"], columns)
        state, norms = state.finish_step("gen", grads, optimizers, options.ema)
        return state, metrics | norms

    def start(seed):
        return TrainState.create(seed, {"gen": jnp.zeros(())}, optimizers)

    source, step = contours.source_of(settings.data), step_of(update, settings, optimizers)
    return Experiment(settings, source, start, step, None, lambda params: {})


class ToyAnonymizer(api.Anonymizer):
    """Draws everybody as a box of this width and the person's height."""

    kind = "toy"

    def __init__(self, settings, params, digest):
        self.codec, self.digest = settings.data.codec, digest
        self.half = round(float(params["gen"]) * contour.SIZE / 2)

    def __call__(self, silhouettes, key):
        inside = np.abs(np.arange(contour.SIZE) - contour.SIZE // 2) <= self.half
        return (silhouettes.any(2, keepdims=True) & inside).astype(np.uint8)


TOY = catalog.Method(ToySettings, toy_experiment, ToyAnonymizer)
DATA = WalkerData(1, 6, (90,), ("nm-01", "nm-02", "nm-05", "cl-01"))
SETTINGS = ToySettings(
    data=DATA, optimizer="sgd", steps=12, batch_size=24, log_every=4, save_every=12
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Folder of the toy's training, ended, while the toy is registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "_METHODS", dict(catalog._METHODS))
        catalog.register(TOY)
        folder = tmp_path_factory.mktemp("toy") / "boxes"
        assert train(SETTINGS, catalog.prepare, folder)
        yield folder
    with pytest.raises(InputError, match="unknown kind 'toy'"):
        catalog.load(folder)


def test_the_toy_is_under_40_lines():
    parts = (ToySettings, toy_experiment, ToyAnonymizer)
    assert sum(len(inspect.getsource(part).splitlines()) for part in parts) + 2 < 40


def test_a_toy_is_trained_and_resumed(workdir):
    """Gradient descent on a square: the error is multiplied by 1 - 2 * 0.25 in each step."""
    columns = np.asarray(contour.fixed_to_unit(contours.render(DATA)))[..., 1::2]
    mean = np.ptp(columns, -1).mean()
    model = catalog.load(workdir)
    assert model.half == round(120 * mean * (1 - 0.5**12))
    assert 10 < model.half < 60
    assert train(SETTINGS, catalog.prepare, workdir)
    with pytest.raises(InputError, match="seed=0"):
        train(dataclasses.replace(SETTINGS, seed=1), catalog.prepare, workdir)


def test_a_toy_loads_by_its_folder(workdir):
    model = catalog.load(workdir)
    assert (type(model), model.kind, model.name) == (ToyAnonymizer, "toy", "boxes")
    assert model.digest
    with pytest.raises(InputError, match="a 'toy' model has no --alpha"):
        model.with_options(alpha=0.5)


def test_a_toy_is_evaluated_and_hides_people(workdir, tmp_path):
    sources = {
        codec: contours.source_of(dataclasses.replace(DATA, codec=codec))
        for codec in contour.CODECS
    }
    walks = Walks(sources["padded"].walks, sources)
    settings = run.settings(quick=True, recognizers=["gei"])
    figures, pictures = run.evaluate([catalog.load(workdir)], walks, settings, tmp_path, "walkers")
    plain, toy = figures["methods"]
    assert (toy["name"], toy["kind"], toy["alpha"]) == ("boxes", "toy", None)
    clean = plain["privacy"]["clean"]["gei"]["conditions"]["nm"]["rank1"]["accuracy"]
    ignorant = toy["privacy"]["ignorant"]["gei"]["conditions"]["nm"]["rank1"]["accuracy"]
    assert clean > 0.9 > 0.7 > ignorant
    assert pictures


def test_a_toy_anonymises_a_clip(workdir, tmp_path):
    frames = list(Scene(4, people=2, frames=30, size=(240, 320)))
    source = clips.write(tmp_path / "in.mkv", [f.image for f in frames], options={"crf": "10"})
    (report,) = stgan_jax.anonymize(
        source,
        tmp_path / "out.mkv",
        checkpoint=workdir,
        seed=1,
        silhouettes_only=True,
        people="difference",
    )["files"]
    assert sum(person["frames_anonymized"] for person in report["people"]) > 20
    boxes = []
    for frame in containers.read_frames(tmp_path / "out.mkv"):
        mask = (frame[..., 0] > 127).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes += [area / (width * height) for *_, width, height, area in stats[1:] if area > 200]
    assert len(boxes) > 20
    assert np.median(boxes) > 0.95  # bodies fill two thirds of their box at most


def test_a_method_that_a_package_declares_is_found_by_itself(monkeypatch):
    class Point:
        def load(self):
            return TOY

    groups = []
    monkeypatch.setattr(catalog, "_METHODS", dict(catalog._METHODS))
    monkeypatch.setattr(
        catalog.metadata, "entry_points", lambda group: groups.append(group) or [Point()]
    )
    catalog._METHODS.pop("toy", None)
    assert catalog.settings_of(SETTINGS.to_dict()) == SETTINGS
    assert groups == ["stgan_jax.methods"]
    assert catalog.settings_of(small.NOISE.to_dict()) == small.NOISE
