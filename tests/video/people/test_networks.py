"""Boxes, outlines and joints: on rendered scenes by the real networks, and by made-up outputs."""

import importlib.util

import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.video.people import networks

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
    frame = list(Scene(0, people=2, frames=40, size=(360, 480)))[20]
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
    boxes, scores = detector(image)
    assert len(boxes) == 2
    assert (np.diff(scores) <= 0).all()
    for mask in masks:
        assert max(iou(box, box_of(mask)) for box in boxes) > 0.6


def test_who_is_small_is_found_in_regions(detector, scene):
    image, masks = scene
    # The scene as a corner of a large frame: people of 200 pixels become ones of 30.
    frame = np.full((1800, 2400, 3), 127, np.uint8)
    frame[:360, :480] = image
    assert len(detector(frame)[0]) < 2
    boxes, _ = detector(frame, regions=np.float32([[0, 0, 400, 520]]))
    for mask in masks:
        assert max(iou(box, box_of(mask)) for box in boxes) > 0.6


def test_an_empty_scene_has_nobody(detector):
    boxes, scores = detector(Scene(0, people=1, frames=4, size=(240, 320)).background)
    assert boxes.shape == (0, 4)
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
        assert iou(outline.next_box, box_of(mask)) > 0.2
    again = outliner(image, np.stack([outline.next_box for outline in outlines]))
    for mask, outline in zip(masks, again, strict=True):
        found = outline.placed(mask.shape) > 0.5
        assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_where_nobody_is_presence_is_low(networks_folder, scene):
    image, _ = scene
    empty = np.full_like(image, 127)
    outliner = networks.Outliner(networks_folder, backend="opencv")
    (outline,) = outliner(empty, np.float32([[100, 100, 300, 200]]))
    assert outline.presence < 0.3


class Heads:
    """Stands for NanoDet: one person, at a cell of the level with stride 16."""

    def __init__(self, row, column, distances):
        self.shape = None
        self._cell, self._distances = (row, column), distances

    def setInput(self, image):  # noqa: N802
        self.shape = image.shape

    def forward(self, names):
        heads = []
        for stride in (8, 16, 32):
            head = np.full((1, 124, self.shape[2] // stride, self.shape[3] // stride), -9.0)
            if stride == 16:
                row, column = self._cell
                head[0, 0, row, column] = 2.0
                for edge, distance in enumerate(self._distances):  # left, top, right, bottom
                    head[0, 80 + 11 * edge + distance, row, column] = 60
            heads.append(head.astype(np.float32))
        return heads


def made_up(row, column, distances):
    detector = object.__new__(networks.Detector)
    detector._net = Heads(row, column, distances)
    detector._threshold, detector._overlap = 0.35, 0.5
    return detector


def test_a_box_is_what_the_distances_say():
    detector = made_up(4, 6, (1, 3, 2, 5))
    boxes, scores = detector(np.zeros((300, 832, 3), np.uint8))
    assert detector._net.shape == (1, 3, 160, 416)  # half the size, to a multiple of 32
    # Cell (4, 6) has its centre at (72, 104); pixels of the frame are half as large.
    expected = 2 * np.array([72 - 3 * 16, 104 - 16, 72 + 5 * 16, 104 + 2 * 16])
    np.testing.assert_allclose(boxes, [np.minimum(expected, 300)], atol=1e-3)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2))], rtol=1e-6)


@pytest.mark.parametrize(("column", "found"), [(6, 2), (0, 1)])
def test_a_box_cut_by_a_regions_border_is_left_out(column, found):
    # In the frame and in the region alike; there, one at its left border does not count.
    detector = made_up(4, column, (1, 1, 1, 1))
    region = np.float32([[100, 416, 300, 832]])
    boxes, _ = detector(np.zeros((300, 832, 3), np.uint8), regions=region)
    assert len(boxes) == found


def test_tiles_cover_a_frame_and_overlap_enough():
    for size, side, overlap in [
        ((576, 768), 300, 100),
        ((270, 480), 270, 90),
        ((100, 90), 300, 50),
    ]:
        boxes = networks.tiles(size, side, overlap).astype(int)
        assert (boxes[:, 2:] - boxes[:, :2] == np.minimum(side, size)).all()
        for top in range(0, size[0] - overlap, 7):
            for left in range(0, size[1] - overlap, 7):
                inside = (boxes[:, :2] <= (top, left)).all(1)
                inside &= (boxes[:, 2:] >= (top + overlap, left + overlap)).all(1)
                assert inside.any(), (size, top, left)


def test_of_overlapping_boxes_the_best_stays():
    boxes = np.float32([[0, 0, 100, 40], [5, 0, 105, 40], [0, 60, 100, 100], [0, 0, 50, 40]])
    scores = np.float32([0.6, 0.9, 0.5, 0.4])
    assert networks.best(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert networks.best(boxes[:0], scores[:0], 0.5).tolist() == []


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
