"""Segmentation networks from files; and smooth filling."""

import numpy as np
import pytest
from onnx_bytes import field, node, tensor, value_info

from stgan_jax.util.errors import InputError
from stgan_jax.video.people import masks


def test_filling_leaves_nothing_of_what_is_masked():
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), 80, np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    mask[30:90, 50:80] = 1
    image[mask > 0] = rng.integers(180, 255, (mask.sum(), 3))
    filled = masks.fill(image, mask)
    assert np.abs(filled.astype(int) - 80).max() < 10
    assert np.array_equal(filled[:20], image[:20])
    assert not masks.fill(image, np.ones_like(mask)).any()


def segmenter(path, weights, size=(48, 64)):
    """A network that classifies by colour: one 1x1 convolution (classes, 3)."""
    weights = np.float32(weights)
    inputs, outputs = (1, 3, *size), (1, len(weights), *size)
    conv = node("Conv", ["x", "w", "b"], "y", kernel_shape=(1, 1))
    graph = field(1, conv) + field(2, "tiny")
    graph += field(5, tensor("w", weights[:, :3, None, None]))
    graph += field(5, tensor("b", np.ascontiguousarray(weights[:, 3])))
    graph += field(11, value_info("x", inputs)) + field(12, value_info("y", outputs))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 11)))
    return path


@pytest.mark.parametrize("weights", [[[10, -10, -10, -2]], [[0, 0, 0, 0], [10, -10, -10, -2]]])
def test_a_segmenter_finds_people(tmp_path, weights):
    """Red people on grey, by one channel's sign or by the larger of two classes."""
    network = masks.Segmenter(segmenter(tmp_path / "net.onnx", weights), (48, 64, len(weights) - 1))
    image = np.full((96, 128, 3), 128, np.uint8)
    image[20:80, 40:60] = (255, 0, 0)
    mask = network(0, image, None)
    wanted = np.zeros((96, 128), bool)
    wanted[20:80, 40:60] = True
    assert (mask.astype(bool) != wanted).mean() < 0.02


def test_a_segmenter_that_is_none_is_refused(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    for name, word in (("bad.onnx", "not an ONNX network"), ("none.onnx", "no such file")):
        with pytest.raises(InputError, match=word):
            masks.Segmenter(tmp_path / name, (48, 64, 0))
    net = segmenter(tmp_path / "net.onnx", [[1, 0, 0, 0]])
    with pytest.raises(InputError, match="with a class 1 is needed"):
        masks.Segmenter(net, (48, 64, 1))
