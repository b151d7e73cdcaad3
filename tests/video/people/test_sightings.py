"""Sightings of somebody, taken apart and joined."""

import numpy as np

from stgan_jax.media.segmentation import Region
from stgan_jax.video.people.shelf import Shelf, Unions
from stgan_jax.video.people.sightings import Sightings


def region(top, left, height=3, width=2):
    box = np.array([top, left, top + height, left + width])
    return Region(box, np.ones((height, width), np.uint8))


def test_parts_are_joined_by_frame_and_silhouettes_of_a_frame_are_one():
    shelf = Shelf()
    one, other = Sightings(shelf), Sightings(shelf)
    for frame in range(6):
        one.add(frame, region(10, frame, height=5), np.full((33, 3), frame, np.float32))
    for frame in range(4, 9):
        other.add(frame, region(14, frame + 1), None, clear=False)
    assert [s.frame for s in one.part(2, 4)] == [2, 3, 4]
    assert len(one.part(7, 9)) == len(one.part(-3, -1)) == 0
    joined = Sightings.joined([other.part(5, 8), one], shelf)
    assert [s.frame for s in joined] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    both = joined[5]
    expected = one[5].on((30, 30)) | other[1].on((30, 30))
    np.testing.assert_array_equal(both.on((30, 30)), expected)
    assert (both.area, both.clear, both.joints[0, 0]) == (int(expected.sum()), True, 5)
    assert (joined[7].clear, joined[7].joints) == (False, None)


def test_a_copy_of_masks_is_changed_alone():
    shelf = Shelf()
    masks = Unions(shelf, (4, 4))
    masks.add(np.eye(4, dtype=np.uint8))
    masks.add(None)
    copy = masks.copy()
    copy.join(0, np.ones((4, 4), np.uint8))
    copy.join(1, np.ones((4, 4), np.uint8))
    np.testing.assert_array_equal(masks[0], np.eye(4))
    assert copy[0].all()
    assert copy[1] is None
