"""Boxes, outlines and joints: on rendered scenes by the real networks, and by made-up outputs."""

import importlib.util

import numpy as np
import pytest

from stgan_jax.data.walkers.hard_scenes import HardScene
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.util.errors import InputError
from stgan_jax.video.people import models, networks

BACKENDS = [
    "opencv",
    pytest.param(
        "litert",
        marks=pytest.mark.skipif(
            not importlib.util.find_spec("ai_edge_litert"), reason="LiteRT is not installed"
        ),
    ),
]


@pytest.fixture(scope="module")
def scene():
    """Two people apart from each other, and each one's true mask."""
    frame = list(Scene(0, people=2, frames=40, size=(360, 480)))[19]
    return frame.image, [frame.people == number for number in (1, 2)]


@pytest.fixture(scope="module")
def detector(networks_folder):
    return networks.Detector(networks_folder)


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], np.float32)


def iou(one, other):
    """Intersection over union of two boxes, by drawing them."""
    drawn = np.zeros((2, 400, 500), bool)
    for layer, (top, left, bottom, right) in zip(drawn, (one, other), strict=True):
        layer[round(top) : round(bottom), round(left) : round(right)] = True
    return drawn.all(0).sum() / drawn.any(0).sum()


def test_the_people_of_a_scene_are_found_and_nobody_else(detector, scene):
    image, masks = scene
    boxes, scores, things = detector(image)
    assert len(boxes) == 2
    assert (np.diff(scores) <= 0).all()
    assert things.shape == (0, 4)
    for mask in masks:
        assert max(iou(box, box_of(mask)) for box in boxes) > 0.6


def test_who_is_small_is_found_by_a_larger_input(detector, scene):
    image, masks = scene
    # The scene as a corner of a large frame: people of 200 pixels become ones of 40, then of 110.
    frame = np.full((1440, 1920, 3), 127, np.uint8)
    frame[:360, :480] = image
    assert len(detector(frame).boxes) < 2
    boxes, scores, _ = detector(frame, (416, 960))
    assert len(boxes) == len(scores) == 2  # nobody twice
    for mask in masks:
        assert max(iou(box, box_of(mask)) for box in boxes) > 0.6


def test_a_car_is_a_thing_and_nobody(detector):
    """One that is rendered, in a picture without people, and again behind two people."""
    frame = list(HardScene("car", 0, 30, (240, 320)))[24]
    assert not (frame.empty == frame.image).all()
    boxes, _, things = detector(frame.empty)
    assert boxes.shape == (0, 4)
    background = next(iter(HardScene("car", 0, 30, (240, 320)))).empty
    car = box_of(np.abs(frame.empty.astype(int) - background).max(-1) > 20)
    assert [iou(thing, car) > 0.6 for thing in things] == [True]
    boxes, _, things = detector(frame.image)
    assert len(boxes) == 2
    assert [iou(thing, car) > 0.6 for thing in things] == [True]


def test_an_empty_scene_has_nobody(detector):
    boxes, scores, things = detector(Scene(0, people=1, frames=4, size=(240, 320)).background)
    assert boxes.shape == things.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outlines_are_the_true_ones(networks_folder, scene, backend):
    image, masks = scene
    outliner = networks.Outliner(networks_folder, backend=backend)
    outlines = outliner(image, np.stack([box_of(mask) for mask in masks]))
    for mask, outline in zip(masks, outlines, strict=True):
        assert outline.presence > 0.9
        found = outline.placed(mask.shape) > 0.5
        assert (found & mask).sum() / (found | mask).sum() > 0.9
        nose, ankles = outline.joints[0], outline.joints[27:29]
        height = np.ptp(np.nonzero(mask)[0])
        assert abs(nose[0] - box_of(mask)[0]) < 0.15 * height
        assert (abs(ankles[:, 0] - box_of(mask)[2]) < 0.15 * height).all()


def test_where_nobody_is_presence_is_low(networks_folder, scene):
    image, _ = scene
    empty = np.full_like(image, 127)
    outliner = networks.Outliner(networks_folder, backend="opencv")
    (outline,) = outliner(empty, np.float32([[100, 100, 300, 200]]))
    assert outline.presence < 0.3


class Heads:
    """Stands for NanoDet: logits of classes at a cell of the level with stride 16."""

    def __init__(self, row, column, distances, logits):
        self.shape = None
        self._cell, self._distances, self._logits = (row, column), distances, logits

    def setInput(self, image):  # noqa: N802
        self.shape = image.shape

    def forward(self, names):
        heads = []
        for stride in (8, 16, 32):
            head = np.full((1, 124, self.shape[2] // stride, self.shape[3] // stride), -9.0)
            if stride == 16:
                row, column = self._cell
                for number, logit in self._logits.items():
                    head[0, number, row, column] = logit
                for edge, distance in enumerate(self._distances):  # left, top, right, bottom
                    head[0, 80 + 11 * edge + distance, row, column] = 60
            heads.append(head.astype(np.float32))
        return heads


def made_up(row, column, distances, logits):
    detector = object.__new__(networks.Detector)
    detector._net = Heads(row, column, distances, logits)
    detector._threshold, detector._overlap = 0.35, 0.5
    return detector


def test_a_box_is_what_the_distances_say():
    detector = made_up(4, 6, (1, 3, 2, 5), {0: 2.0})
    boxes, scores, things = detector(np.zeros((300, 832, 3), np.uint8))
    assert detector._net.shape == (1, 3, 160, 416)  # half the size, to a multiple of 32
    # Cell (4, 6) has its centre at (72, 104); pixels of the frame are half as large.
    expected = 2 * np.array([72 - 3 * 16, 104 - 16, 72 + 5 * 16, 104 + 2 * 16])
    np.testing.assert_allclose(boxes, [np.minimum(expected, 300)], atol=1e-3)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2))], rtol=1e-6)
    assert things.shape == (0, 4)


@pytest.mark.parametrize(
    ("logits", "people", "count"),
    [
        ({2: 2.0}, 0, 1),  # a car
        ({16: 2.0, 1: 3.0}, 0, 1),  # a dog on a bicycle
        ({1: 2.0, 13: 2.0, 24: 2.0, 62: 2.0}, 0, 0),  # what people ride, sit on, carry, look at
        ({7: 2.0, 0: 0.0}, 1, 0),  # somebody in a lorry
        ({2: -1.5}, 0, 0),  # a score of 0.18
    ],
)
def test_vehicles_and_animals_are_things(logits, people, count):
    frame = np.zeros((300, 832, 3), np.uint8)
    boxes, scores, things = made_up(4, 6, (1, 3, 2, 4), logits)(frame)
    assert (len(boxes), len(scores), len(things)) == (people, people, count)
    for box in (*boxes, *things):
        np.testing.assert_allclose(box, [48, 176, 272, 272], atol=1e-3)


def test_of_overlapping_boxes_the_best_stays():
    boxes = np.float32([[0, 0, 100, 40], [5, 0, 105, 40], [0, 60, 100, 100], [0, 0, 50, 40]])
    scores = np.float32([0.6, 0.9, 0.5, 0.4])
    assert networks.best(boxes, scores).tolist() == [1, 2, 3]
    assert networks.best(boxes[:0], scores[:0]).tolist() == []


def test_crops_reach_beyond_the_frame(networks_folder, scene):
    image, masks = scene
    cut = np.ascontiguousarray(image[:, int(box_of(masks[0])[1]) + 10 :])
    box = box_of(masks[0][:, int(box_of(masks[0])[1]) + 10 :])
    (outline,) = networks.Outliner(networks_folder, backend="opencv")(cut, box[None])
    height, width = outline.probability.shape
    assert 0 <= outline.top <= outline.top + height <= cut.shape[0]
    assert 0 <= outline.left <= outline.left + width <= cut.shape[1]
    assert outline.left == 0
    assert outline.placed(cut.shape[:2]).shape == cut.shape[:2]


def test_without_networks_a_sentence_says_so_once(monkeypatch, tmp_path, capsys):
    def refuse(folder):
        raise InputError("there are none")

    monkeypatch.setattr(models, "fetched", refuse)
    monkeypatch.setattr(networks, "_refused", set())
    assert networks.load() is None
    assert networks.load() is None
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("people are found by difference from the empty scene")
    assert line.endswith("there are none")
    with pytest.raises(InputError, match="there are none"):  # a folder that the user has named
        networks.load(tmp_path)
