"""TensorFlow.js graphs as ONNX: a small one of NanoDet's operations, against NumPy."""

import base64
import json

import cv2
import numpy as np
import pytest

from stgan_jax.video.people import graphs


class Files:
    """A TensorFlow.js graph model, written node by node, as its converter writes NanoDet's."""

    def __init__(self):
        self.nodes, self.manifest, self.data = [], [], b""

    def constant(self, name, values, half=False):
        entry = {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
        if half:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        self.manifest.append(entry)
        self.data += values.astype(np.float16 if half else values.dtype).tobytes()
        self.nodes.append({"name": name, "op": "Const"})
        return name

    def add(self, op, name, *inputs, **attributes):
        attr = {k: v if isinstance(v, dict) else ints(v) for k, v in attributes.items()}
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attr})
        return name

    def transposed(self, name, order):
        perm = self.constant(f"{name}/{order}", np.int32(order))
        return self.add("Transpose", f"{name}/to{order}", name, perm)

    def write(self, folder):
        model = {
            "modelTopology": {"node": self.nodes[::-1]},  # in no order
            "weightsManifest": [{"paths": ["x.bin"], "weights": self.manifest}],
        }
        (folder / "x.json").write_text(json.dumps(model))
        (folder / "x.bin").write_bytes(self.data)
        return folder / "x.json", folder / "x.bin"


def ints(values):
    return {"list": {"i": [str(value) for value in values]}}


NHWC, NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
VALID = {"s": base64.b64encode(b"VALID").decode()}


def small(folder, kernel, bias):
    """Pooled, padded, convolved with stride 2, rectified; enlarged and added to what was pooled;
    then both side by side.
    """
    files = Files()
    shape = {"shape": {"dim": [{"size": str(n)} for n in (1, 3, 8, 8)]}}
    image = files.add("Placeholder", "x", shape=shape)
    pads = files.constant("pads", np.int32([[0, 0], [0, 0], [1, 1], [1, 1]]))
    lowest = files.constant("lowest", np.float32(-3e38))
    padded = files.add("PadV2", "padded", image, pads, lowest)
    kind = {"strides": [1, 1, 1, 1], "padding": VALID}
    pooled = files.add("MaxPool", "pool", files.transposed(padded, NHWC), ksize=[1, 3, 3, 1],
                       **kind)  # fmt: skip
    pooled = files.transposed(pooled, NCHW)
    padded = files.transposed(files.add("Pad", "zeros", pooled, pads), NHWC)
    weights = files.constant("kernel", kernel, half=True)
    convolved = files.add("Conv2D", "conv", padded, weights, strides=[1, 2, 2, 1], padding=VALID)
    convolved = files.add("Add", "biased", convolved, files.constant("bias", bias))
    leaky = files.add("LeakyRelu", "leaky", files.transposed(convolved, NCHW), alpha={"f": 0.1})
    to = files.constant("to", np.int32([8, 8]))
    larger = files.add("ResizeBilinear", "larger", files.transposed(leaky, NHWC), to)
    total = files.add("AddV2", "sum", files.transposed(larger, NCHW), pooled)
    axis = files.constant("axis", np.int32(1))
    files.add("ConcatV2", "out", total, pooled, axis)
    return files.write(folder)


def expected(image, kernel, bias):
    """The same, pixel by pixel, on (H, W, 3)."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    pooled = np.empty_like(image)
    for y, x in np.ndindex(height, width):
        pooled[y, x] = padded[y : y + 3, x : x + 3].max((0, 1))
    padded = np.pad(pooled, ((1, 1), (1, 1), (0, 0)))
    leaky = np.empty((height // 2, width // 2, 3), np.float32)
    for y, x in np.ndindex(*leaky.shape[:2]):
        value = np.einsum("ijk,ijkl->l", padded[2 * y : 2 * y + 3, 2 * x : 2 * x + 3], kernel)
        leaky[y, x] = np.where(value + bias > 0, value + bias, 0.1 * (value + bias))
    larger = cv2.resize(leaky, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.concatenate([larger + pooled, pooled], -1)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (16, 8)])
def test_a_graph_computes_the_same_at_every_size(tmp_path, size):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 3, 3)).astype(np.float16).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    onnx = graphs.to_onnx(*small(tmp_path, kernel, bias), ["out"])
    network = cv2.dnn.readNetFromONNX(np.frombuffer(onnx, np.uint8))
    image = rng.normal(size=(*size, 3)).astype(np.float32)
    network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    (result,) = network.forward(["out"])
    np.testing.assert_allclose(
        result[0].transpose(1, 2, 0), expected(image, kernel, bias), atol=1e-4
    )


def test_an_unknown_operation_is_refused(tmp_path):
    files = Files()
    files.add("Softplus", "out", "x")
    with pytest.raises(ValueError, match="Softplus"):
        graphs.to_onnx(*files.write(tmp_path), ["out"])


def test_a_transpose_of_something_else_is_refused(tmp_path):
    files = Files()
    files.transposed("x", [0, 1, 3, 2])
    with pytest.raises(ValueError, match="NCHW"):
        graphs.to_onnx(*files.write(tmp_path), ["x/to[0, 1, 3, 2]"])
