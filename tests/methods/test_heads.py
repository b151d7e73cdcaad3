"""Heads that are nobody's: what is left of a person's colours."""

import numpy as np
import pytest

from stgan_jax.methods.color import heads
from stgan_jax.shapes import surface

HAIR, SKIN = np.array([40, 30, 20]), np.array([200, 150, 120])


def patches(**known):
    """Noise; of the named patches rows and columns are known."""
    rng = np.random.default_rng(0)
    out = {}
    for name in surface.NAMES:
        at = np.zeros((40, 60), bool)
        if name in known:
            at[known[name]] = True
        out[name] = heads.PatchColors(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), at)
    return out


def own(*views):
    """A head with dark hair, of which these sides are seen."""
    here = patches(hair=np.s_[:, 20:40], head=np.s_[:, :])
    face = np.zeros((40, 60), bool)
    face[:, :15] = face[:, 45:] = "front" in views
    here["head"] = heads.PatchColors(here["head"].texture, face)
    here["head"].texture[:] = SKIN + np.random.default_rng(1).integers(-20, 21, (40, 60, 3))
    if "back" not in views:
        here["hair"].known[:] = False
        here["head"].texture[:6] = HAIR
    here["hair"].texture[:] = HAIR
    return here


@pytest.mark.parametrize("views", [("front", "back"), ("front",)])
def test_hair_and_skin_have_the_persons_mean_colours(views):
    found = heads.nobodys(own(*views), "blur")
    assert set(found) == set(heads.PATCHES)
    assert np.abs(found["hair"][0, 0] - HAIR.astype(float)).max() < 3
    assert np.abs(found["neck"][0, 0] - heads.THROAT * SKIN).max() < 8
    head = found["head"].astype(float)
    assert np.abs(head[0] - HAIR).max() < 8  # the top
    assert np.abs(head[10:30, 30] - HAIR).max() < 8  # the back, and below it the nape
    assert np.abs(head[34, [0, 30]] - SKIN).max() < 40


def test_a_face_is_like_all_others():
    """Light by which two people's skin is darker there is the same; nothing of their own is."""
    one, other = own("front", "back"), own("front", "back")
    other["head"].texture[:] = 255 - other["head"].texture
    light = [
        heads.nobodys(person, "blur")["head"][10:36, :8].astype(float) for person in (one, other)
    ]
    share = [x / x.max((0, 1)) for x in light]
    assert np.abs(share[0] - share[1]).max() < 0.05
    assert share[0].min() < 0.7  # there is an eye


def test_who_is_seen_from_behind_has_the_skin_of_neck_or_hands_and_else_a_usual_one():
    person = own("back")
    person["hand_L"].texture[:], person["hand_L"].known[:] = SKIN, True
    found = heads.nobodys(person, "blur")
    assert np.abs(found["neck"][0, 0] - heads.THROAT * SKIN).max() < 2
    usual = heads.nobodys(own("back"), "blur")["neck"]
    person["hand_L"].texture[:] = (20, 60, 160)  # a blue glove
    assert (heads.nobodys(person, "blur")["neck"] == usual).all()
    lightness = usual[0, 0].astype(float)
    assert lightness[0] > lightness[1] > lightness[2] > 60


def test_a_hat_is_none_of_the_hair():
    person = own("front", "back")
    yellow = np.array([230, 200, 40])
    person["hair"].texture[:20] = yellow
    for name, found in heads.nobodys(person, "blur").items():
        if name in ("head", "hair"):
            assert np.abs(found[2] - yellow.astype(float)).max() < 2  # all around
            assert np.abs(found[24, 30] - HAIR.astype(float)).max() < 8  # below it, behind
    person["hair"].texture[:] = HAIR
    assert np.abs(heads.nobodys(person, "blur")["hair"][2] - HAIR.astype(float)).max() < 2


def test_ears_show_at_both_sides_of_hair():
    hair = heads.nobodys(own("front", "back"), "blur")["hair"].astype(float)
    left, right = hair[23, 16], hair[23, 60 - 17]  # 96 to 99 degrees
    assert np.abs(left - SKIN).max() < 60
    assert np.abs(left - right).max() < 2
    assert np.abs(hair[23, 30] - HAIR).max() < 8
    assert np.abs(hair[39] - HAIR).max() < 8  # what hangs


def test_filled_heads_have_one_colour():
    found = heads.nobodys(own("front", "back"), "fill")
    assert len(np.unique(np.concatenate([x.reshape(-1, 3) for x in found.values()]), axis=0)) == 1
