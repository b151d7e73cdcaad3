"""Who is in a box that a person drew."""

import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media.segmentation import enclosed
from stgan_jax.video.people import networks
from stgan_jax.video.people.boxed import boxed


@pytest.fixture(scope="module")
def frame():
    return next(iter(Scene(0, people=1, frames=2, size=(240, 320))))


def test_the_outline_is_taken_where_the_network_sees_one(frame, networks_folder):
    person = frame.people > 0
    box = enclosed(person).box + np.array([-4, -4, 4, 4])
    with networks.Networks(networks_folder, workers=1).outliner() as outliner:
        seen = boxed(frame.image, box.astype(float), outliner)
        wall = boxed(frame.image, np.array([4.0, 4.0, 60.0, 30.0]), outliner)
    found = seen.region.on((240, 320)) > 0
    assert seen.clear
    assert seen.joints.shape == (33, 3)
    assert (found & person).sum() > 0.8 * (found | person).sum()
    assert seen.hide[person].all()
    assert seen.hide[box[0] : box[2], box[1] : box[3]].all()
    assert (wall.clear, wall.joints) == (False, None)


def test_all_of_the_box_is_hidden_without_a_network(frame):
    one = boxed(frame.image, np.array([10.0, 20.0, 50.0, 60.0]), None)
    expected = np.zeros((240, 320), np.uint8)
    expected[10:50, 20:60] = 1
    np.testing.assert_array_equal(one.hide, expected)
    np.testing.assert_array_equal(one.region.on((240, 320)), expected)
    assert not one.clear
