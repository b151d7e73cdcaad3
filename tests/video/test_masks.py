"""Masks from files, segmentation networks from files; and smooth filling."""

import cv2
import numpy as np
import pytest
from onnx_bytes import field, node, tensor, value_info
from PIL import Image

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


DAVIS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


def people():
    """Two people, 1 and 2, and where each must be found."""
    ids = np.zeros((60, 90), np.uint8)
    ids[5:50, 5:25] = 1
    ids[8:50, 60:84] = 2
    return ids


def soft(ids):
    """Everybody of one level of grey, with blurred edges."""
    levels = np.array([0, 120, 250], np.uint8)[ids]
    return cv2.GaussianBlur(levels, (5, 5), 1.2)


def with_palette(ids, colours=DAVIS, **options):
    image = Image.fromarray(ids, "P")
    image.putpalette(colours + [0] * (768 - len(colours)))
    return image, options


def with_alpha(ids, alpha, colours):
    return Image.fromarray(np.dstack([np.array(colours, np.uint8)[ids], alpha]))


def noise():
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


IDS = people()
MATTE = np.where(IDS > 0, np.uint8(255), np.uint8(0))
COLOURS = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
OF_IDS = {
    "grey": Image.fromarray(IDS),
    "16 bit": Image.fromarray(IDS.astype(np.uint16) * 300),
    "palette": with_palette(IDS),
    "palette of greys": with_palette(IDS, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
    "palette with void edges": with_palette(
        np.where(cv2.morphologyEx(IDS, cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0, 255, IDS).astype(
            np.uint8
        )
    ),
    "palette whose black is last": with_palette(2 - IDS, [0, 128, 0, 128, 0, 0, 0, 0, 0]),
    "palette with transparency": with_palette(2 - IDS, [9, 9, 9, 5, 5, 5, 1, 1, 1], transparency=2),
    "colours": Image.fromarray(np.array(COLOURS, np.uint8)[IDS]),
    "soft colours": Image.fromarray(cv2.GaussianBlur(np.array(COLOURS, np.uint8)[IDS], (5, 5), 1)),
    "grey as colours": Image.fromarray(np.dstack([IDS] * 3)),
    "soft greys": Image.fromarray(soft(IDS)),
    "colours and alpha": with_alpha(IDS, MATTE, [[0, 0, 0], [0, 0, 0], [0, 128, 0]]),
    "opaque colours": with_alpha(IDS, np.full_like(IDS, 255), COLOURS),
    "grey and alpha": Image.merge("LA", [Image.fromarray(IDS * 9), Image.fromarray(MATTE)]),
}
OF_SOMEBODY = {
    "1 bit": Image.fromarray(IDS > 0),
    "0 and 1": Image.fromarray((IDS > 0).astype(np.uint8)),
    "soft white": Image.fromarray(cv2.GaussianBlur(MATTE, (9, 9), 2)),
    "hazy white": Image.fromarray(np.maximum(MATTE, noise()[..., 0] // 15)),
    "16 bit white": Image.fromarray(cv2.GaussianBlur(MATTE, (5, 5), 1).astype(np.uint16) * 257),
    "matte": Image.fromarray(np.dstack([noise(), MATTE])),
    "soft matte": Image.fromarray(np.dstack([noise(), cv2.GaussianBlur(MATTE, (5, 5), 1)])),
    "white matte": with_alpha(IDS, MATTE, [[255] * 3] * 3),
    "black matte": with_alpha(IDS, MATTE, [[0] * 3] * 3),
    "grey matte": Image.merge("LA", [Image.fromarray(MATTE), Image.fromarray(MATTE)]),
}


def read(folder, kind):
    image, options = kind if isinstance(kind, tuple) else (kind, {})
    for number in range(3):
        image.save(folder / f"{number}.png", **options)
    files = masks.FromFiles(folder)
    return files, files(1, np.zeros((60, 90, 3), np.uint8), None)


@pytest.mark.parametrize("name", OF_IDS)
def test_masks_of_every_kind_keep_people_apart(tmp_path, name):
    """Each has one number, nobody is 0, and soft edges belong to who is beside them."""
    files, mask = read(tmp_path, OF_IDS[name])
    assert files.has_ids
    inside = [cv2.erode((n == IDS).astype(np.uint8), np.ones((7, 7))) > 0 for n in (1, 2)]
    [first], [second] = (np.unique(mask[where]).tolist() for where in inside)
    assert 0 not in (first, second)
    assert first != second
    assert set(np.unique(mask).tolist()) == {0, first, second}
    assert not mask[cv2.dilate(IDS, np.ones((7, 7))) == 0].any()
    if "soft" not in name and "void" not in name:
        assert np.array_equal(mask > 0, IDS > 0)


@pytest.mark.parametrize("name", OF_SOMEBODY)
def test_mattes_say_where_somebody_is(tmp_path, name):
    files, mask = read(tmp_path, OF_SOMEBODY[name])
    assert not files.has_ids
    assert mask[IDS > 0].all()
    assert not mask[cv2.dilate(IDS, np.ones((11, 11))) == 0].any()


def test_pictures_are_no_masks(tmp_path):
    for number in range(2):
        Image.fromarray(noise()).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="holds pictures, no masks"):
        masks.FromFiles(tmp_path)


def test_inverted_masks_are_refused(tmp_path):
    """Else people would be shown as they are, and the scene hidden."""
    for number in range(2):
        Image.fromarray(np.where(IDS == 0, 255, 0).astype(np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    with pytest.raises(InputError, match="more than half"):
        masks.FromFiles(tmp_path)


def test_hidden_and_damaged_masks_are_none(tmp_path):
    files, _ = read(tmp_path, OF_IDS["palette"])
    (tmp_path / "._0.png").write_bytes(b"of another system")
    files = masks.FromFiles(tmp_path)
    files.check(3)
    data = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(data[:-30])
    with pytest.raises(InputError, match=r"1\.png: not a picture, or a damaged one"):
        files(1, np.zeros((60, 90, 3), np.uint8), None)
