"""Hard scenes: the truth is what the picture shows, and a difficulty is there and no person."""

import cv2
import numpy as np
import pytest

from stgan_jax.data.walkers import hard_scenes, poses
from stgan_jax.data.walkers.hard_scenes import HardScene
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.shapes import identity
from stgan_jax.util.errors import InputError

SIZE = (240, 320)
# Of the bodies of synthetic_walkers 2.0.0.
PLAIN_AREAS, PLAIN_MEANS = [3075, 2104, 587], [154.112, 133.613, 126.550]
NOISE = {"noise": 8.0, "everything": 4.0}  # else 2
UNLIKE_EMPTY = ("shadows", "crowd", "reflection", "everything")  # outside of the people, too


@pytest.fixture(scope="module")
def rendered():
    """Each kind, 24 frames of it, rendered once."""
    kept = {}

    def render(kind):
        if kind not in kept:
            kept[kind] = list(HardScene(kind, 1, 24, SIZE, fps=5.0))
        return kept[kind]

    return render


def away(frame):
    return np.abs(frame.image.astype(int) - frame.empty).max(-1)


def near(frame, pixels=2):
    return cv2.dilate((frame.people > 0).astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


@pytest.mark.parametrize("kind", hard_scenes.KINDS)
def test_people_are_where_the_picture_differs_from_the_empty_scene(rendered, kind):
    for frame in rendered(kind)[::6]:
        far = away(frame)[~near(frame)]
        assert np.median(away(frame)[frame.people > 0]) > 15
        if kind not in UNLIKE_EMPTY:
            # Less than half of a pixel may be somebody's: a toe, a fingertip.
            assert np.sum(far > 6.5 * NOISE.get(kind, 2.0)) < 10


@pytest.mark.parametrize("kind", hard_scenes.KINDS)
def test_kind_and_seed_decide_every_bit(rendered, kind):
    again = next(iter(HardScene(kind, 1, 24, SIZE, fps=5.0)))
    other = next(iter(HardScene(kind, 2, 24, SIZE, fps=5.0)))
    first = rendered(kind)[0]
    for name in ("image", "people", "empty"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert first.visible == again.visible
    assert not np.array_equal(first.empty, other.empty)


def test_a_plain_scene_is_what_it_was():
    frames = list(Scene(3, people=3, frames=10, size=SIZE))
    assert [int(np.sum(frames[9].people == n)) for n in (1, 2, 3)] == pytest.approx(
        PLAIN_AREAS, abs=2
    )
    assert frames[9].image.mean((0, 1)) == pytest.approx(PLAIN_MEANS, abs=0.01)


@pytest.mark.parametrize(("kind", "darker"), [("shadows", True), ("reflection", None)])
def test_shadows_and_reflections_are_on_the_ground_and_no_people(rendered, kind, darker):
    found = 0
    for frame in rendered(kind):
        cast = (away(frame) > 14) & ~near(frame)
        assert not cast[: int(0.56 * SIZE[0])].any()
        found += cast.sum()
        if darker:
            assert (frame.image.mean(-1) < frame.empty.mean(-1))[cast].all()
    assert found > 40 * len(rendered(kind))


@pytest.mark.parametrize("kind", ["screen", "leaves", "car", "light", "everything"])
def test_what_moves_and_is_no_person_is_in_the_empty_scene(rendered, kind):
    first, *others = (frame.empty.astype(int) for frame in rendered(kind))
    changed = [np.mean(np.abs(other - first).max(-1) > 20) for other in others]
    assert max(changed) > 0.01


@pytest.mark.parametrize("kind", ["shadows", "hair", "noise", "poster", "crossing", "standing"])
def test_nothing_else_moves(rendered, kind):
    assert all(np.array_equal(f.empty, rendered(kind)[0].empty) for f in rendered(kind))


def test_a_light_is_switched_on_halfway(rendered):
    light = np.array([frame.empty.mean() for frame in rendered("light")])
    assert light[0] == light[8]
    assert light[-1] == light[-8] > 1.3 * light[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_standing_body_is_alive_and_moves_by_less_than_a_hundredth_of_its_stature(seed):
    person = identity.sample_identity(seed)
    spheres = poses.standing(person, "nm", 150, 25.0, seed)
    for name, (centre, radius) in spheres.items():
        moved = np.linalg.norm(centre - centre.mean(0), axis=-1)
        assert moved.max() < 0.01
        if name in ("cranium", "hip_L"):
            assert np.ptp(centre[:, :2], axis=0).max() > 0.002
        if name.startswith("toe"):
            assert np.ptp(centre, axis=0).max() < 0.001
            assert abs(centre[0, 2] - radius) < 0.02  # on the ground
    head = spheres["crown"][0][0, 2] + spheres["crown"][1]
    assert head == pytest.approx(1.0, abs=0.09)


def test_who_stands_is_drawn_nearly_still():
    scene = HardScene("standing", 1, 24, (480, 640), fps=5.0)
    who = scene.still[0]
    masks = [f.people == who for f in scene if f.visible[who - 1] > 0.99]
    assert len(masks) > 10
    stature = np.ptp(np.flatnonzero(masks[0].any(1)))
    middle = np.mean(masks, axis=0) > 0.5
    inside, outside = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 5)
                       for m in (middle, ~middle))  # fmt: skip
    depth = [(inside + outside)[mask != middle].max(initial=0) for mask in masks]
    assert 1 <= max(depth) <= 0.01 * stature + 1.5


def test_a_sitter_is_lower_than_somebody_who_stands_and_does_not_hover():
    spheres, seat = poses.sitting(identity.sample_identity(4), 50, 25.0, 4)
    top = max(float(c[0, 2] + r) for c, r in spheres.values())
    assert 0.6 < top < 0.9
    assert 0.15 < seat < 0.3
    assert min(float((c[:, 2] - r).min()) for c, r in spheres.values()) == pytest.approx(
        0, abs=0.01
    )


def test_visible_share_falls_with_what_is_before_a_body_and_with_the_edge(rendered):
    for kind in ("crossing", "entering", "car"):
        for frame in rendered(kind):
            for n, share in enumerate(frame.visible, 1):
                mask = frame.people == n
                assert (share == 0) == (not mask.any())
                edge = mask[[0, -1]].any() or mask[:, [0, -1]].any()
                others = near(frame, 3) & (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) > 0)
                alone = not (others & (frame.people > 0) & ~mask).any()
                if mask.any() and alone and not edge and kind != "car":
                    assert share > 0.9
    behind = [min(f.visible) for f in rendered("crossing") if len(np.unique(f.people)) == 4]
    assert min(behind) < 0.7 < max(behind)
    assert any(0 < share < 0.7 for f in rendered("entering") for share in f.visible)


def test_an_unknown_kind_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"kind 'fog': choose one of shadows, .*everything"):
        HardScene("fog", 0)
