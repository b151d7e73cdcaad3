"""Frame and video scores through networks small enough to compute by hand."""

import struct

import numpy as np
import pytest
from onnx_bytes import field, node, tensor, value_info

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import detectors
from stgan_jax.util.errors import InputError


def write_onnx(
    path, matrix, bias, shape=None, entering=(1, 3, 32, 32), pool="AveragePool", outputs=1
):
    """Channel means (or all pixels) times a matrix plus a bias, in some shape."""
    axes = (
        {"kernel_shape": entering[2:]}
        if pool == "AveragePool"
        else {"axes": range(2, len(entering))}
    )
    nodes = [
        node(pool, ["x"], "m", **axes) if pool else node("Identity", ["x"], "m"),
        node("Flatten", ["m"], "f"),
        node("Gemm", ["f", "matrix", "bias"], "g"),
    ]
    tensors = [tensor("matrix", np.float32(matrix)), tensor("bias", np.float32(bias))]
    if shape:
        nodes.append(node("Reshape", ["g", "shape"], "y"))
        tensors.append(tensor("shape", np.array(shape, np.int64)))
    nodes += [node("Sigmoid", ["y" if shape else "g"], f"more{i}") for i in range(outputs - 1)]
    names = ["y" if shape else "g"] + [f"more{i}" for i in range(outputs - 1)]
    graph = b"".join(field(1, n) for n in nodes) + field(2, "tiny")
    graph += b"".join(field(5, t) for t in tensors) + field(11, value_info("x", entering))
    graph += b"".join(field(12, value_info(n, shape or (1, len(bias)))) for n in names)
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 11)))
    return path


def grey(*levels, size=32):
    return np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


# --- classifiers and detectors of images -------------------------------------------------------


def test_a_classifier_gives_the_softmax_of_its_logits(tmp_path):
    rng = np.random.default_rng(0)
    matrix, bias = rng.normal(size=(3, 5)), rng.normal(size=5)
    path = write_onnx(tmp_path / "classes.onnx", matrix, bias)
    frames = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    network = detectors.image_network(path, person=2, size=(32, 32), mean=mean, std=std)
    score = detectors.frame_score(frames, network)
    logits = ((frames / 255).mean((1, 2)) - mean) / std @ matrix + bias
    expected = np.exp(logits[:, 2]) / np.exp(logits).sum(1)
    np.testing.assert_allclose(score.each, expected, atol=1e-5)
    assert score.value == pytest.approx(expected.mean(), abs=1e-5)
    assert score.scorer == "classes.onnx"


def test_probabilities_of_a_classifier_are_taken_as_they_are(tmp_path):
    path = write_onnx(tmp_path / "p.onnx", np.zeros((3, 3)), [0.2, 0.7, 0.1])
    network = detectors.image_network(path, person=1, size=(32, 32))
    assert detectors.frame_score(grey(9), network).value == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize("layout", ["yolov5", "yolov8"])
def test_the_surest_box_for_a_person_counts_in_either_layout(tmp_path, layout):
    rng = np.random.default_rng(1)
    boxes = rng.uniform(0, 0.5, (20, 5 + 3))  # object and three classes, rising with the light
    light = rng.uniform(0, 0.3, (20, 5 + 3))
    level = 102 / 255
    at = boxes + level * light
    expected = (at[:, 4] * at[:, 6]).max()
    if layout == "yolov8":
        boxes, light = (np.delete(x, 4, axis=1).T for x in (boxes, light))
        expected = at[:, 6].max()
    matrix = np.repeat(light.ravel()[None] / 3, 3, axis=0)
    path = write_onnx(tmp_path / "boxes.onnx", matrix, boxes.ravel(), (1, *boxes.shape))
    for named in (None, layout):
        network = detectors.image_network(path, person=1, size=(32, 32), layout=named)
        assert detectors.frame_score(grey(102), network).value == pytest.approx(expected, abs=1e-5)


def test_frames_keep_their_aspect_between_grey_bars(tmp_path):
    path = write_onnx(tmp_path / "light.onnx", [[0.0, 1.0]] * 3, [0.0, 0.0])
    network = detectors.image_network(path, person=1, size=(32, 32))
    wide = np.full((1, 20, 40, 3), 255, np.uint8)  # half of the input is bars
    logit = 3 * (0.5 + 0.5 * 114 / 255)
    assert detectors.frame_score(wide, network).value == pytest.approx(sigmoid(logit), abs=1e-4)


def write_darknet(folder, weights, bias, side=4, classes=2):
    (folder / "tiny.cfg").write_text(
        f"[net]\nwidth={side}\nheight={side}\nchannels=3\n\n"
        f"[convolutional]\nfilters={len(bias)}\nsize=1\nstride=1\npad=0\nactivation=linear\n\n"
        f"[yolo]\nmask=0\nanchors=2,2\nclasses={classes}\nnum=1\n"
    )
    numbers = np.concatenate([np.ravel(bias), np.ravel(weights)]).astype(np.float32)
    data = struct.pack("<iiiq", 0, 2, 0, 0) + numbers.tobytes()
    (folder / "tiny.weights").write_bytes(data)
    return folder / "tiny.cfg", folder / "tiny.weights"


def test_a_darknet_yolo_layer_gives_object_times_class(tmp_path):
    rng = np.random.default_rng(2)
    weights, bias = rng.normal(size=(7, 3)), np.array([0, 0, 0, 0, 1.0, 0.5, 2.0])
    files = write_darknet(tmp_path, weights, bias)
    frames = rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    z = frames / 255 @ weights.T + bias
    for person in (0, 1):
        network = detectors.image_network(*files, person=person, size=(4, 4))
        expected = (sigmoid(z[..., 4]) * sigmoid(z[..., 5 + person])).max((1, 2))
        np.testing.assert_allclose(detectors.frame_score(frames, network).each, expected, atol=1e-4)


# --- clips ---------------------------------------------------------------------------------------


def test_a_clip_network_averages_over_clips(tmp_path):
    matrix = np.array([[0, 1.0, 0], [0, 0.5, 0], [0, -0.3, 0]])
    path = write_onnx(tmp_path / "clips.onnx", matrix, [0.1, 0.2, -0.3], entering=(1, 3, 4, 16, 16))
    network = detectors.video_network(path, walking=1, frames=4, size=(16, 16))
    walk = grey(*range(0, 250, 25), size=16)  # 10 frames: two clips, two frames left over
    clips = np.array([walk[:4].mean() / 255, walk[4:8].mean() / 255])
    logits = clips[:, None] * matrix.sum(0) + [0.1, 0.2, -0.3]
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(1)
    score = detectors.video_score(walk, network)
    np.testing.assert_allclose(score.each, expected, atol=1e-5)
    short = detectors.video_score(walk[2:4], network)  # starts over: the same mean
    logits = walk[2:4].mean() / 255 * matrix.sum(0) + [0.1, 0.2, -0.3]
    assert short.each == pytest.approx([np.exp(logits[1]) / np.exp(logits).sum()], abs=1e-5)


def test_a_clip_network_whose_average_opencv_gets_wrong_is_refused(tmp_path):
    path = write_onnx(
        tmp_path / "clips.onnx", np.ones((3, 2)), np.ones(2), None, (1, 3, 4, 8, 8), "ReduceMean"
    )
    with pytest.raises(InputError, match="AveragePool"):
        detectors.video_network(path, walking=0, frames=4, size=(8, 8))


def test_without_an_action_network_there_is_no_video_score_but_a_reason():
    score = detectors.video_score(grey(1, 2, 3))
    assert score.value is None
    assert score.scorer is None
    assert "ONNX" in score.reason


# --- OpenCV's people detector --------------------------------------------------------------------


def test_the_people_detector_finds_walkers_and_no_one_on_a_wall():
    people = [
        detectors.draw(procedural.silhouettes(s, v, frames=3)) for s in (3, 5) for v in (0, 54)
    ]
    found = [detectors.frame_score(frames) for frames in people]
    assert min(score.value for score in found) > 0.8
    assert {score.scorer for score in found} == {"opencv-hog people detector"}
    rng = np.random.default_rng(0)
    wall = np.full((2, 240, 240, 3), 200, np.uint8)
    bricks = wall.copy()
    bricks[:, ::20] = bricks[:, :, ::40] = 90
    grain = rng.integers(150, 250, wall.shape, dtype=np.uint8)
    for empty in (wall, bricks, grain):
        assert detectors.frame_score(empty).value < 0.5


def test_a_silhouette_is_drawn_dark_on_light():
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 1] = 1
    drawn = detectors.draw(mask)
    assert drawn.shape == (1, 4, 4, 3)
    assert (drawn[0, 1] == 60).all()
    assert (drawn[0, [0, 2, 3]] == 200).all()


# --- what cannot be used -----------------------------------------------------------------------


def test_files_that_are_no_networks_are_named(tmp_path, capfd):
    good = write_onnx(tmp_path / "good.onnx", np.ones((3, 4)), np.ones(4)).read_bytes()
    (tmp_path / "text.onnx").write_text("This is no network.")
    (tmp_path / "cut.onnx").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.onnx").touch()
    for name, word in (
        ("missing.onnx", "no such file"),
        (".", "no such file"),
        ("empty.onnx", "empty"),
        ("text.onnx", "not an ONNX network"),
        ("cut.onnx", "not an ONNX network"),
    ):
        for load in (detectors.image_network, lambda p: detectors.video_network(p, 0)):
            with pytest.raises(InputError, match=word) as raised:
                load(tmp_path / name)
            assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_darknet_files_that_do_not_belong_together_are_named(tmp_path, capfd):
    cfg, weights = write_darknet(tmp_path, np.ones((7, 3)), np.ones(7))
    data = weights.read_bytes()
    for damaged in (data[:-8], data[:22], data + data[-8:], b"no"):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match="Darknet"):
            detectors.image_network(cfg, weights, size=(4, 4))
    weights.write_bytes(data)
    for text in ("no cfg", "", cfg.read_text().replace("[yolo]", "[wolo]")):
        (tmp_path / "bad.cfg").write_text(text)
        with pytest.raises(InputError, match=r"bad\.cfg"):
            detectors.image_network(tmp_path / "bad.cfg", weights, size=(4, 4))
    with pytest.raises(InputError, match="no such file"):
        detectors.image_network(cfg, tmp_path / "missing.weights")
    assert capfd.readouterr().err == ""


def test_networks_of_another_shape_are_refused_in_a_sentence(tmp_path, capfd):
    fixed = write_onnx(
        tmp_path / "fixed.onnx", np.ones((3 * 64, 4)), np.ones(4), pool=None, entering=(1, 3, 8, 8)
    )
    classes = write_onnx(tmp_path / "classes.onnx", np.ones((3, 4)), np.ones(4))
    cube = write_onnx(tmp_path / "cube.onnx", np.ones((3, 16)), np.ones(16), (1, 2, 2, 4))
    logits = write_onnx(tmp_path / "logits.onnx", np.ones((3, 60)), np.full(60, 7.0), (1, 10, 6))
    two = write_onnx(tmp_path / "two.onnx", np.ones((3, 4)), np.ones(4), outputs=2)
    infinite = write_onnx(tmp_path / "infinite.onnx", np.ones((3, 2)), [np.nan, 1.0])
    for path, settings, word in (
        (fixed, {"size": (16, 16)}, "input of 1x3x16x16"),
        (classes, {"person": 4}, "4 classes"),
        (classes, {"person": -1}, "number -1"),
        (classes, {"layout": "yolov8"}, "yolov8|which is not"),
        (classes, {"layout": "yolov9"}, "unknown layout"),
        (cube, {}, r"\(1, 2, 2, 4\)"),
        (logits, {}, "between 0 and 1"),
        (logits, {"person": 1}, "1 classes"),
        (logits, {"layout": "classes"}, "which is not"),
        (two, {}, "2 outputs"),
        (infinite, {}, "not finite"),
    ):
        with pytest.raises(InputError, match=word) as raised:
            detectors.image_network(path, **{"size": (32, 32), **settings})
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="input of 1x3x16x112x112"):
        detectors.video_network(fixed, walking=0)
    assert capfd.readouterr().err == ""


def test_a_walk_without_frames_has_no_score():
    score = detectors.frame_score(grey(1)[:0])
    assert score.value is None
    assert score.reason
