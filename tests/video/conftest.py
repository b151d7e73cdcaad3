"""A clip with two people, and masks of them. No networks, unless a test asks for them."""

import clips
import cv2
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.video.people import networks


@pytest.fixture(autouse=True)
def without_networks(monkeypatch):
    """As where they cannot be fetched."""
    monkeypatch.setattr(networks, "load", lambda folder=None: None)


@pytest.fixture(scope="module")
def scene():
    return Scene(4, people=2, frames=30, size=(240, 320))


@pytest.fixture(scope="module")
def frames(scene):
    return list(scene)


@pytest.fixture(scope="module")
def source(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("footage") / "in.mkv"
    return clips.write(path, [f.image for f in frames], options={"crf": "10"}, sound="pcm_s16le")


@pytest.fixture(scope="module")
def truth(frames, tmp_path_factory):
    """A folder with everybody's true masks."""
    folder = tmp_path_factory.mktemp("truth")
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame.people)
    return folder
