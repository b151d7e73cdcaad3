"""The original's head: nothing that distinguishes faces is left in the result."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers import color_walks
from stgan_jax.media.segmentation import Region
from stgan_jax.methods.color import nearest
from stgan_jax.util.errors import InputError
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings
from stgan_jax.video.render import head
from stgan_jax.video.source import ClipOptions


@pytest.fixture(scope="module")
def walk():
    return color_walks.render(60, 0, "nm", 2, True, True, frames=3)


def with_face(frame, own, seed):
    """A strong pattern over the head's own pixels, of zero mean in every cell."""
    noise = np.random.default_rng(seed).choice([-40.0, 40.0], frame.shape)
    rows = np.flatnonzero(own.any(1))
    zone = own.copy()
    zone[rows[0] + round(0.17 * len(rows)) :] = 0
    noise *= zone[..., None]
    mean = cv2.blur(noise, (9, 9)) / np.maximum(cv2.blur(zone * 1.0, (9, 9)), 1e-3)[..., None]
    return np.clip(frame + noise - mean * zone[..., None], 0, 255).astype(np.uint8), zone > 0


def detail(image, zone):
    """What is finer than a face's parts, in a region."""
    rough = image.astype(float)
    return (rough - cv2.blur(rough, (7, 7)))[zone]


@pytest.mark.parametrize("how", ["blur", "fill"])
def test_two_faces_come_out_alike(walk, how):
    own, background = walk.silhouettes[1], walk.background
    new = np.roll(own, (-6, 3), (0, 1))  # the new head above and beside the old one
    faces = [with_face(walk.frames[1], own, seed) for seed in (0, 1)]
    zone = faces[0][1]
    for way in ("keep", how):
        outs = []
        for face, _ in faces:
            canvas = background.copy()
            nearest.paint(canvas, head.hide(face, own, way), own, new)
            outs.append(canvas.astype(float))
        apart = np.abs(outs[0] - outs[1]).max(-1)[zone & (new > 0)].mean()
        alike = np.corrcoef(detail(outs[0], zone).ravel(), detail(faces[0][0], zone).ravel())[0, 1]
        assert (apart > 20, alike > 0.4) == (way == "keep", way == "keep"), (apart, alike)
        if way != "keep":
            assert apart < 6  # means of few pixels


def test_below_the_head_nothing_changes(walk):
    frame, own = walk.frames[1], walk.silhouettes[1]
    hidden = head.hide(frame, own, "blur")
    rows = np.flatnonzero(own.any(1))
    chin, hips = rows[0] + round(0.16 * len(rows)), rows[0] + round(0.3 * len(rows))
    assert (np.abs(hidden.astype(int) - frame).max(-1) > 0)[:chin][own[:chin] > 0].mean() > 0.5
    np.testing.assert_array_equal(hidden[hips:], frame[hips:])
    np.testing.assert_array_equal(hidden[own == 0], frame[own == 0])
    assert head.hide(frame, own, "keep") is frame
    assert head.hide(frame, np.zeros_like(own), "fill") is frame
    with pytest.raises(ValueError, match="choose one of keep, blur, fill"):
        head.hide(frame, own, "smile")


def test_a_raised_hand_is_no_head_and_half_a_body_has_more_of_one():
    own = np.zeros((120, 60), np.uint8)
    own[20:110, 22:38] = 1
    plain = head.mask(own)
    assert plain[:20].sum() == 0
    assert plain[20:39].any(1).all()
    own[0:40, 40:44] = 1  # an arm
    own[38:42, 38:44] = 1
    raised = head.mask(own)
    assert (raised[20:38, 22:38] == 1).all()
    assert head.mask(own, head.Stature(150)).sum() > raised.sum()


def test_a_head_below_what_has_grown_onto_the_silhouette_is_hidden():
    own = np.zeros((160, 60), np.uint8)
    own[60:150, 22:38] = 1
    plain = head.mask(own, head.Stature(90, 90))
    own[10:60, 28:32] = 1  # somebody's leg or a pole behind
    grown = head.mask(own, head.Stature(140, 90))
    assert (grown >= plain).all()
    assert grown[10:60].sum() == own[10:60].sum()
    assert not grown[82:].any()
    assert (head.mask(own, head.Stature(140)) < plain).any()  # without it the face would be left
    shorter = own[80:]  # legs or not, who is shorter than usual is hidden as before
    np.testing.assert_array_equal(
        head.mask(shorter, head.Stature(90, 90)), head.mask(shorter, head.Stature(90))
    )


def test_tiny_people_and_thin_masks_do_not_fail():
    frame = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    for shape in ((1, 1), (2, 1), (1, 5), (9, 2), (9, 9)):
        own = np.zeros((9, 9), np.uint8)
        own[: shape[0], : shape[1]] = 1
        for how in ("blur", "fill"):
            out = head.hide(frame, own, how)
            assert out.shape == frame.shape
            np.testing.assert_array_equal(out[own == 0], frame[own == 0])


def test_boxes_are_a_slice_of_the_sightings():
    shelf = Shelf()
    sightings = Sightings(shelf)
    for frame, height in enumerate((50, 120, 60)):
        sightings.add(frame, Region(np.array([0, 0, height, 9]), np.ones((height, 9), np.uint8)))
    np.testing.assert_array_equal(sightings.boxes(1, 9)[:, 2], [120, 60])


def test_unknown_ways_of_painting_are_refused():
    for name in ("face", "color"):
        with pytest.raises(InputError, match=f"--{name} must be one of"):
            ClipOptions(**{name: "nothing"})


def test_a_stature_is_measured_on_the_silhouettes_about_a_frame():
    sightings = Sightings(Shelf())
    for frame in range(30):
        height = 140 if 10 <= frame < 18 else 90
        region = Region(np.array([0, 0, height, 9]), np.ones((height, 9), np.uint8))
        sightings.add(frame, region)
    assert head.stature(sightings, 12) == head.Stature(140.0, 90.0)
