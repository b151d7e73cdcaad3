"""Clothes by body part: what is taken from frames, and how it is worn."""

import dataclasses

import numpy as np
import pytest

from stgan_jax.data.walkers import color_walks
from stgan_jax.methods.color import atlas, dressing, nearest
from stgan_jax.shapes import surface

WHICH = 90, 54, "nm", 2
FRAMES = range(6, 42, 4)


@pytest.fixture(scope="module")
def walk():
    return color_walks.render(*WHICH, textural=False, complete=True)


@pytest.fixture(scope="module")
def own():
    walker = color_walks.walker(*WHICH, textural=False)
    return [walker.figure(t) for t in range(50)]


@pytest.fixture(scope="module")
def layout(own):
    return atlas.Layout.of(own[25].scale)


@pytest.fixture(scope="module")
def samples(walk, own, layout):
    return [atlas.sample(layout, own[t], walk.frames[t], walk.silhouettes[t]) for t in FRAMES]


@pytest.fixture(scope="module")
def clothes(layout, samples):
    return atlas.joined(layout, samples, "keep")[0]


def texture(clothes, name):
    return clothes.textures[surface.NAMES.index(name)][0].astype(float)


def test_another_body_wears_the_clothes_and_not_the_wall(walk, clothes):
    other = color_walks.render(*WHICH, textural=False, complete=True, body_of=77)
    walker = color_walks.walker(*WHICH, textural=False, body_of=77)
    worn, taken = [], []
    for t in (22, 25):
        region = other.masks[t] > 0
        dressed = walk.background.copy()
        dressing.paint(dressed, walker.figure(t), clothes)
        by_pixel = walk.background.copy()
        nearest.paint(by_pixel, walk.frames[t], walk.silhouettes[t], other.masks[t])
        for errors, image in ((worn, dressed), (taken, by_pixel)):
            errors.append(np.square(image.astype(float) - other.frames[t])[region].mean())
    assert np.mean(worn) < 0.5 * np.mean(taken)  # 3 dB


def test_a_texture_stays_on_the_cloth_when_the_leg_swings(walk, own, clothes):
    """Places of the surface keep their colours, which the nearest pixels' do not."""
    changes = {}
    for method in ("atlas", "own frame"):
        colors = []
        for t in (20, 25):
            image = walk.frames[t].copy()
            if method == "atlas":
                dressing.paint(image, own[t], clothes)
            one = atlas.sample(atlas.Layout.of(48), own[t], image, walk.masks[t])
            colors.append(one)
        both = colors[0].shown & colors[1].shown
        difference = colors[0].colors[both].astype(float) - colors[1].colors[both]
        changes[method] = np.abs(difference).mean()
    assert changes["atlas"] < changes["own frame"]
    assert changes["atlas"] < 8


def test_light_is_told_from_cloth(layout, samples, clothes):
    dark = [
        one._replace(colors=(one.colors * 0.75).astype(np.uint8)) if i >= 6 else one
        for i, one in enumerate(samples)
    ]
    found, gains = atlas.joined(layout, dark, "keep")
    assert gains[6:].mean() / gains[:6].mean() == pytest.approx(0.75, abs=0.04)
    assert np.abs(texture(found, "trunk") - texture(clothes, "trunk")).mean() < 6


def test_a_frame_that_is_wrong_is_outvoted(layout, samples, clothes):
    wrong = samples[4]._replace(colors=np.full_like(samples[4].colors, 255))
    found, _ = atlas.joined(layout, [*samples[:4], wrong, *samples[5:]], "keep")
    for name in ("trunk", "thigh_R"):
        assert np.abs(texture(found, name) - texture(clothes, name)).mean() < 6


def test_what_nobody_saw_is_the_other_sides_and_else_the_neighbours(layout, samples):
    def without(*names):
        hidden = []
        for one in samples:
            shown = one.shown.copy()
            for i in map(surface.NAMES.index, names):
                shown[layout.starts[i] : layout.starts[i + 1]] = False
            hidden.append(one._replace(shown=shown))
        return atlas.joined(layout, hidden, "keep")[0]

    whole = atlas.joined(layout, samples, "keep")[0]
    mirrored = texture(without("thigh_L"), "thigh_L")
    assert np.abs(mirrored - texture(whole, "thigh_R")[:, ::-1]).mean() < 6
    handless = without("hand_L", "hand_R")
    sleeve = texture(handless, "forearm_L").mean((0, 1))
    assert np.abs(texture(handless, "hand_L") - sleeve).max() < 30


def test_of_a_head_two_mean_colours_are_left(layout, samples):
    kept, blurred, filled = (
        atlas.joined(layout, samples, how)[0] for how in ("keep", "blur", "fill")
    )
    assert (kept.own_head, blurred.own_head, filled.own_head) == (True, False, False)
    assert len(np.unique(texture(filled, "head").reshape(-1, 3), axis=0)) == 1
    own = np.stack([texture(blurred, "hair")[0, 0], texture(blurred, "neck")[0, 0]]).astype(float)
    found = np.concatenate([texture(blurred, n).reshape(-1, 3) for n in ("hair", "head")])
    mixed = np.linalg.lstsq(own.T, found.T.astype(float))[0]
    assert np.abs(mixed.T @ own - found).max() < 2  # mixtures of the two, lighter or darker
    assert len(np.unique(texture(kept, "hair").reshape(-1, 3), axis=0)) > 20


def test_a_dress_is_told_from_trousers_by_where_its_colour_ends(clothes):
    """The hem lies where one cloth from the chest down ends; shirts and trousers have none."""

    def dressed(**colors):
        textures = [[np.full_like(x, 90) for x in levels] for levels in clothes.textures]
        for i, name in enumerate(surface.NAMES):
            textures[i][0][:] = colors.get(name.split("_")[0], (90, 60, 45))
        return dataclasses.replace(clothes, textures=textures)

    white, blue = (230, 225, 210), (40, 60, 120)
    assert dressed(trunk=white, thigh=blue, shank=blue).hem() == 0
    assert dressed(trunk=blue, thigh=blue, shank=blue).hem() == 0  # an overall
    dress = dressed(trunk=white, thigh=white)
    assert dress.hem() == 1.0
    for side in "LR":
        thigh = dress.textures[surface.NAMES.index(f"thigh_{side}")][0]
        thigh[round(0.6 * len(thigh)) :] = (90, 60, 45)
    assert abs(dress.hem() - 0.6) < 0.13
    dress.textures[surface.NAMES.index("trunk")][0][-6:] = blue  # shorts, and a shirt
    assert dress.hem() == 0


def test_a_heads_pixels_colour_the_head_alone(walk, own, layout):
    frame, mask = walk.frames[25].copy(), walk.silhouettes[25]
    upper = np.zeros_like(mask)
    upper[: int(own[25].spheres["chest_L"][0])] = 1
    frame[upper > 0] = (255, 0, 255)
    one = atlas.sample(layout, own[25], frame, mask, upper)
    wrong = one.shown & (one.colors == (255, 0, 255)).all(1)
    patches = np.searchsorted(layout.starts, np.flatnonzero(wrong), side="right") - 1
    assert wrong.any()
    assert set(patches) <= set(atlas._HEAD)


def test_a_body_beyond_the_frame_is_painted_as_far_as_it_is_in_it(walk, own, clothes):
    canvas = walk.background.copy()
    dressing.paint(canvas, own[25].moved(1.0, np.array([0.0, -own[25].ground[1]])), clothes)
    changed = np.abs(canvas.astype(int) - walk.background).max(-1) > 20
    assert changed[:, :30].any()
    away = walk.background.copy()
    dressing.paint(away, own[25].moved(1.0, np.array([0.0, -900.0])), clothes)
    assert np.array_equal(away, walk.background)
