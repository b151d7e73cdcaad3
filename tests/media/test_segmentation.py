"""Foreground by background difference, against scenes whose truth is known."""

import numpy as np

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background, segmentation


def test_foreground_finds_the_people():
    scene = Scene(3, people=3, frames=80, size=(360, 480))
    frames = list(scene)
    empty, restlessness = background.median_background(np.stack([f.image for f in frames]))
    threshold = background.thresholds(restlessness)
    found = np.stack([segmentation.foreground(f.image, empty, threshold) > 0 for f in frames])
    truth = np.stack([frame.people > 0 for frame in frames])
    assert (found & truth).sum() > 0.93 * truth.sum()  # whom it misses is covered
    assert (found & ~truth).sum() < 0.12 * truth.sum()


def test_who_is_in_the_last_row_of_a_frame_differs_from_the_scene():
    empty, limits = np.full((20, 30, 3), 100, np.uint8), np.full((20, 30), 16, np.uint8)
    for place in (np.s_[0, 5:20], np.s_[-1, 5:20], np.s_[5:15, 0], np.s_[5:15, -1]):
        frame = empty.copy()
        frame[place] = 130
        assert segmentation.difference(frame, empty, limits)[place][1:-1].all()


def shares_of_people_and_shadows(scene, dark=None):
    """Mean share of people's pixels, and of shadows beside them, that is foreground.

    Garments named in `dark` have the plain colour of the ground in shadow.
    """
    ground = scene.background[-60:].reshape(-1, 3).mean(0) * 0.55
    for garment in dark or ():
        scene._walks[0]._clothes[garment] = np.broadcast_to(np.float32(ground), (32, 32, 3))
    threshold = np.full(scene.size, 16, np.uint8)
    shares = []
    for t, frame in enumerate(scene):
        mask = segmentation.foreground(frame.image, scene.background, threshold) > 0
        person, shade = frame.people > 0, (scene.shadows(t) > 0.5) & (frame.people == 0)
        if person.sum() > 500:
            shares.append((mask[person].mean(), mask[shade].mean()))
    return np.mean(shares, axis=0)


def test_shadows_are_not_taken_for_people_nor_dark_clothes_for_shadows():
    everything = ["bottom", "shoe", "top", "coat", "bag", "skin", "hair"]
    for dark in ([], ["bottom"], ["bottom", "shoe"], everything):
        scene = Scene(5, people=1, frames=10, size=(240, 320), shadow=0.55)
        people, shadows = shares_of_people_and_shadows(scene, dark)
        assert people > 0.9
        assert shadows < (1.01 if dark else 0.25)
