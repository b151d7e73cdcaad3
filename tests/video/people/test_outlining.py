"""Outlines in a frame: whose pixels are whose, who is unclear, and what is hidden."""

import cv2
import numpy as np
import pytest

from stgan_jax.media import background
from stgan_jax.video.people import apart, hiding, networks, outlining

SIZE = (200, 300)
FRAME = np.zeros((*SIZE, 3), np.uint8)
NOTHING, EVERYTHING = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)


class Fake(networks.Outliner):
    """Rectangles of a probability; arms are invisible unless points are named."""

    def __init__(self, *people, arm=None):
        self._people, self._arm = people, arm

    def __call__(self, frame, boxes):
        return [self._outline(*person) for person in self._people[: len(boxes)]]

    def _outline(self, box, probability, presence):
        likely = np.zeros(SIZE, np.float32)
        likely[box[0] : box[2], box[1] : box[3]] = probability
        joints = np.zeros((33, 3), np.float32)
        if self._arm is not None:
            joints[[11, 13, 15, 19]] = self._arm
        return networks.Outline(0, 0, likely, presence, joints)


def outlined(outliner, boxes, moving=EVERYTHING):
    clothes = [apart.Clothes() for _ in boxes]
    return outlining.outlined(FRAME, np.array(boxes, float), outliner, moving, NOTHING, clothes)[0]


def hidden(people, moving=NOTHING, little=NOTHING, colour=(255, 255, 0), least=20):
    """On a grey scene, in which what moves has a colour."""
    empty = np.full((*SIZE, 3), 100, np.uint8)
    frame = np.where(moving[..., None] > 0, np.uint8(colour), empty)
    scene = background.EmptyScene(empty, np.full(SIZE, least, np.uint8))
    return hiding.hidden(people, little, frame, scene)


def on(person):
    return person.region.on(SIZE) > 0


def test_a_pixel_between_two_belongs_to_the_nearer_or_more_probable_person():
    boxes, moving = [(50, 50, 150, 100), (50, 80, 150, 130)], NOTHING.copy()
    moving[50:150, 50:130] = 1
    people = outlined(Fake((boxes[0], 0.8, 0.9), (boxes[1], 0.8, 0.9)), boxes, moving)
    assert not (on(people[0]) & on(people[1])).any()
    assert [on(person).sum() for person in people] == [100 * 40, 100 * 40]
    assert [person.clear for person in people] == [True, True]
    people = outlined(Fake((boxes[0], 0.6, 0.9), (boxes[1], 0.9, 0.9)), boxes, moving)
    assert on(people[1]).sum() > 100 * 45


def test_clothes_tell_whose_pixels_are_in_an_outline_of_two():
    """The one behind is outlined together with the one in front, and looks out to the left."""
    boxes = [(50, 50, 150, 100), (50, 75, 150, 125)]
    frame = np.full((*SIZE, 3), 128, np.uint8)
    frame[50:150, 50:75], frame[50:150, 75:125] = (200, 30, 30), (30, 30, 200)
    clothes = []
    for colour, box in zip([(200, 30, 30), (30, 30, 200)], boxes, strict=True):
        clothes.append(apart.Clothes())
        mask = np.zeros(SIZE, np.uint8)
        mask[box[0] : box[2], box[1] : box[3]] = 1
        clothes[-1].learn(
            np.where(mask[..., None], np.uint8(colour), frame), mask, np.array(box, float)
        )
    both, moving = (50, 50, 150, 125), (frame != 128).any(-1).astype(np.uint8)
    fake = Fake((both, 0.9, 0.9), (both, 0.9, 0.9))
    people, _ = outlining.outlined(frame, np.array(boxes, float), fake, moving, NOTHING, clothes)
    assert abs(on(people[0]).sum() - 100 * 25) < 300
    assert abs(on(people[1]).sum() - 100 * 50) < 300


def test_what_is_like_the_empty_scene_is_nobody():
    """A post that looks like a person."""
    boxes, moving = [(50, 50, 150, 100)], NOTHING.copy()
    moving[50:150, 50:54] = 1
    assert outlined(Fake((boxes[0], 0.9, 0.9)), boxes, moving) == [None]
    moving[50:150, 50:60] = 1
    assert outlined(Fake((boxes[0], 0.9, 0.9)), boxes, moving)[0].clear


def test_who_has_no_outline_of_their_own_gets_what_moves_in_the_box():
    """The second one's outline is the first one's, who is beside them."""
    boxes = [(50, 50, 150, 100), (60, 99, 150, 149)]
    moving = NOTHING.copy()
    moving[50:150, 50:135] = 1
    people = outlined(Fake((boxes[0], 0.8, 0.9), ((55, 52, 149, 99), 0.8, 0.9)), boxes, moving)
    assert [person.clear for person in people] == [True, False]
    hidden = np.zeros(SIZE, bool)
    top, left, bottom, right = people[0].window
    hidden[top:bottom, left:right] = people[0].hide
    around = np.zeros(SIZE, bool)
    around[46:164, 85:163] = True  # the box and a margin of 13.5
    assert np.array_equal(on(people[1]), (moving > 0) & ~hidden & around)


@pytest.mark.parametrize("moves", [False, True])
def test_who_is_not_present_is_there_only_if_something_moves(moves):
    boxes = [(50, 50, 150, 100)]
    moving = NOTHING.copy()
    moving[70:100, 60:80] = moves
    (person,) = outlined(Fake((boxes[0], 0.9, 0.1)), boxes, moving)
    assert (person is not None) == moves
    if moves:
        assert not person.clear
        assert np.array_equal(on(person), moving > 0)


def test_an_outline_ends_near_its_box():
    """It may reach into a neighbour, whose box is elsewhere."""
    boxes = [(50, 50, 150, 100)]
    (person,) = outlined(Fake(((50, 50, 150, 280), 0.9, 0.9)), boxes)
    assert person.region.box[3] == 115  # 0.15 of the height


def test_a_person_is_hidden_with_a_margin_and_what_touches_them():
    boxes = [(50, 50, 150, 100)]
    people = outlined(Fake((boxes[0], 0.9, 0.9)), boxes)
    moving = NOTHING.copy()
    moving[130:142, 60:250] = 1  # a bag that touches
    moving[20:40, 200:220] = 1  # something else
    hide = hidden(people, moving) > 0
    assert hide[46:154, 46:104].sum() > 0.98 * 108 * 58  # round corners
    assert hide[131:141, 60:134].all()
    assert not hide[:, 138:].any()  # 0.35 of the height beyond
    assert not hidden([None], moving).any()


def test_who_the_frame_cuts_is_hidden_down_to_its_edge():
    boxes = [(80, 50, 200, 100)]
    people = outlined(Fake(((80, 60, 160, 90), 0.9, 0.9)), boxes)
    assert (hidden(people)[130:, 50:100] > 0).all()
    boxes = [(40, 50, 160, 100)]
    people = outlined(Fake(((40, 60, 120, 90), 0.9, 0.9)), boxes)
    assert not hidden(people)[140:].any()


@pytest.mark.parametrize("turned", [False, True])
def test_who_has_no_outline_is_hidden_up_to_the_side_that_cuts_them(turned):
    """Hair of the wall's colour, open to the frame's side: the rest of the head moves."""
    boxes, moving = [(50, 0, 150, 40)], NOTHING.copy()
    moving[50:150, 0:40] = 1
    moving[50:80, 0:30] = 0
    if turned:
        boxes, moving = [(50, 260, 150, 300)], np.ascontiguousarray(moving[:, ::-1])
    (person,) = outlined(Fake((boxes[0], 0.9, 0.1)), boxes, moving)
    hide = hidden([person])
    hide = hide[:, ::-1] if turned else hide
    assert hide[50:150, :40].all()
    assert not hide[:, 50:].any()


def test_a_limb_that_comes_into_the_frame_again_is_hidden():
    """It leaves at the side; of somebody whom the side does not cut, none does."""
    for left, comes in ((240, True), (200, False)):
        boxes = [(50, left, 150, left + 60)]
        people = outlined(Fake((boxes[0], 0.9, 0.9)), boxes)
        moving = NOTHING.copy()
        moving[25:35, 294:300] = 1
        moving[0:10, 294:300] = 1  # farther away than 0.35 of the height
        hide = hidden(people, moving)
        assert hide[25:35, 294:300].all() == hide[25:35, 294:300].any() == comes
        assert not hide[:10, 294:].any()


def test_arms_are_hidden_by_their_joints():
    arm = np.array([[60, 70, 1], [50, 100, 1], [60, 108, 1], [62, 112, 0.1]], np.float32)
    boxes = [(50, 50, 150, 100)]
    box = (50, 60, 150, 80)
    without, with_arm = (hidden(outlined(Fake((box, 0.9, 0.9), arm=a), boxes)) for a in (None, arm))
    assert with_arm[50, 99]
    assert not without[50, 99]


def test_a_person_who_may_be_there_is_their_outline_or_if_that_is_unsure_the_box():
    box = np.array([50.0, 50, 150, 100])
    for presence, least, most in ((0.9, 20 * 100, 0.7 * 50 * 100), (0.1, 50 * 100, 2 * 50 * 100)):
        outliner = Fake(*2 * [((50, 60, 150, 80), 0.35, presence)])
        mask, found = outlining.possible(FRAME, box, outliner, both=True)
        assert found == presence
        assert least <= mask.sum() <= most
        assert mask[50:150, 60:80].all()


def test_somebody_may_be_between_their_outline_and_the_side_that_cuts_them():
    """A leg that leaves the frame, and a foot that comes in again, which the outline lacks."""
    box = np.array([50.0, 250, 150, 300])
    around, foot = np.s_[60:150, 260:300], np.s_[140:150, 290:300]

    class Leg(Fake):
        def __call__(self, frame, boxes):
            outlines = super().__call__(frame, boxes)
            outlines[0].probability[foot] = 0
            return outlines

    for right, cut in ((300, True), (270, False)):
        outliner = Leg(((60, 260, 150, right), 0.9, 0.9))
        mask, _ = outlining.possible(FRAME, box, outliner, both=False)
        assert mask[around].all() == mask[foot].any() == cut


def test_the_feet_of_somebody_behind_a_sign_are_hidden():
    moving = NOTHING.copy()
    moving[148:152, 60:70] = 1
    boxes = np.array([(50.0, 50, 150, 100)])
    fake = Fake(((50, 50, 150, 100), 0.9, 0.1))
    people, little = outlining.outlined(FRAME, boxes, fake, moving, NOTHING, [apart.Clothes()])
    assert people == [None]
    moving[20:24, 60:70] = 1  # elsewhere
    assert hidden(people, moving, little)[moving > 0].mean() == 0.5


def test_a_bag_that_begins_in_the_colour_of_the_scene_is_hidden():
    """Up to 0.025 of the height beyond what is hidden anyway, and the gap as well."""
    boxes = [(20, 50, 180, 110)]
    people = outlined(Fake((boxes[0], 0.9, 0.9)), boxes)
    edge = int(np.flatnonzero(hidden(people)[100]).max())
    for gap, same in ((5, 1), (12, 0)):
        moving = NOTHING.copy()
        moving[90:110, edge + 1 + gap : edge + 9 + gap] = 1
        mask = hidden(people, moving)
        assert (mask[moving > 0] == same).all()
        assert (mask[92:108, edge + 1 : edge + 1 + gap] == same).all()


def test_where_the_scene_is_restless_what_moves_close_to_somebody_is_hidden():
    boxes = [(20, 50, 180, 110)]
    people = outlined(Fake((boxes[0], 0.9, 0.9)), boxes)
    edge = int(np.flatnonzero(hidden(people)[100]).max())
    moving = NOTHING.copy()
    moving[90:110, edge + 1 : edge + 20] = 1
    row = hidden(people, moving, least=255)[100, edge + 1 : edge + 20]
    assert row[:4].all()
    assert not row[8:].any()


def test_shadows_and_mirror_images_are_hidden_farther_away():
    boxes = [(20, 50, 100, 90)]
    people = outlined(Fake((boxes[0], 0.9, 0.9)), boxes)
    moving = NOTHING.copy()
    moving[90:98, 60:250] = 1
    assert hidden(people, moving)[94, [115, 150, 200, 240]].tolist() == [1, 0, 0, 0]
    shadow = hidden(people, moving, colour=(60, 60, 60))
    assert shadow[94, [115, 150, 200, 240]].tolist() == [1, 1, 1, 0]  # 1.5 of the height
    mirror, beside = NOTHING.copy(), NOTHING.copy()
    mirror[112:175, 55:85] = beside[112:175, 155:185] = 1
    assert hidden(people, mirror)[mirror > 0].mean() > 0.98
    assert not hidden(people, beside)[beside > 0].any()


def test_a_margin_is_a_dilation_by_an_ellipse():
    rng = np.random.default_rng(0)
    for _ in range(40):
        high, wide = rng.integers(1, 90, 2)
        mask = (rng.random((high, wide)) < rng.random() ** 4).astype(np.uint8)
        radius = int(rng.integers(1, 24))
        side = 2 * radius + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        assert np.array_equal(outlining.grown(mask, radius), cv2.dilate(mask, disc))


def test_in_less_pixels_as_much_is_hidden():
    """All of an outline, and what touches it; where half a place moves, all of it is."""
    box, moving = (50, 50, 150, 100), NOTHING.copy()
    moving[50:150, 50:107] = 1
    people = outlined(Fake((box, 0.9, 0.9)), [box], moving)
    whole = hidden(people, moving)
    empty = np.full((SIZE[0] // 2, SIZE[1] // 2, 3), 100, np.uint8)
    frame = np.where(moving[..., None] > 0, np.uint8((255, 255, 0)), np.uint8(100))
    small = cv2.resize(frame, empty.shape[1::-1], interpolation=cv2.INTER_AREA)
    scene = background.EmptyScene(empty, np.full(empty.shape[:2], 20, np.uint8))
    less = hiding.hidden(people, NOTHING, small, scene)
    assert less.shape == SIZE
    assert not (moving & ~less & 1).any()
    assert (whole & ~less & 1).sum() <= 0.01 * whole.sum()
    assert less.sum() <= 1.2 * whole.sum()


def test_at_the_frames_sides_little_is_hidden_of_who_comes_in_whatever_the_scene_does():
    little, moving = NOTHING.copy(), NOTHING.copy()
    little[50:150, 250:] = 1
    moving[99:102, -1] = moving[99:102, -10] = moving[19:22, -1] = 1
    hide = hidden([None], moving, little, colour=(140, 140, 140), least=80)
    assert hide[100, -1]
    assert not hide[100, -10]  # the scene is restless
    assert not hide[20, -1]  # nobody is near
    assert not hidden([None], moving, little, colour=(110, 110, 110), least=80).any()
