"""NanoDet's TensorFlow.js files as ONNX, which OpenCV reads.

TensorFlow.js keeps a graph as JSON and its weights in a file of their own. The graph came from
ONNX once: it goes back and forth between the layouts NCHW and NHWC around every convolution.
Here everything is NCHW, padding is the convolution's own, and the graph ends before the outputs
are split and reshaped, so that it takes any picture whose sides are multiples of 32.

Sources: the wire format of Protocol Buffers, the field numbers of onnx.proto, TensorFlow's
operations as documented.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

INPUT = "image"
_NHWC, _NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
_FLOAT, _FLOATS, _INT, _INTS, _STRING = 1, 6, 2, 7, 3  # onnx.proto, AttributeProto.AttributeType


def to_onnx(graph: Path, weights: Path, outputs: Sequence[str]) -> bytes:
    """A TensorFlow.js graph model as an ONNX model.

    Args:
      graph: its model.json.
      weights: the binary file beside it.
      outputs: names of the graph's operations whose results, 4-D, become the model's outputs.

    Returns:
      An ONNX model, opset 13, with one input `INPUT`, NCHW, and outputs of those names, NCHW,
      float32. The input has the size of the training; others are possible.

    Raises:
      ValueError: an operation that NanoDet does not have.
    """
    model = json.loads(graph.read_text())
    values = _values(model["weightsManifest"][0]["weights"], weights.read_bytes())
    nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
    return _Converter(nodes, values).model(outputs)


def _values(manifest: list[dict[str, Any]], data: bytes) -> dict[str, np.ndarray]:
    """Weights by name; half precision becomes single."""
    values, start = {}, 0
    for entry in manifest:
        dtype = np.dtype(entry.get("quantization", entry)["dtype"])
        count = math.prod(entry["shape"])
        array = np.frombuffer(data, dtype, count, start).reshape(entry["shape"])
        values[entry["name"]] = array.astype(entry["dtype"])
        start += count * dtype.itemsize
    return values


class _Converter:
    """Writes a graph's nodes in ONNX, inputs first."""

    def __init__(self, nodes: dict[str, dict], values: dict[str, np.ndarray]):
        self._nodes, self._values = nodes, values
        self._tensors: list[bytes] = []
        self._written: list[bytes] = []
        self._names: dict[str, str] = {}  # in TensorFlow -> in ONNX
        self._shape: list[int] = []  # of the input

    def model(self, outputs: Sequence[str]) -> bytes:
        results = [self._name(name) for name in outputs]
        graph = b"".join(_field(1, node) for node in self._written) + _field(2, "graph")
        graph += b"".join(_field(5, tensor) for tensor in self._tensors)
        graph += _field(11, _info(INPUT, self._shape))
        graph += b"".join(_field(12, _info(name, [None] * 4)) for name in results)
        return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))

    def _name(self, name: str) -> str:
        """Of a tensor in ONNX; its node is written first where it is not yet."""
        if name not in self._names:
            node = self._nodes[name]
            inputs = [text for text in node.get("input", []) if not text.startswith("^")]
            convert = getattr(self, f"_{node['op'].lower()}", None)
            if convert is None:
                raise ValueError(f"{name}: no operation {node['op']} here")
            self._names[name] = convert(name, inputs, node.get("attr", {}))
        return self._names[name]

    def _write(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        out = b"".join(_field(1, text) for text in inputs) + _field(2, name)
        out += _field(3, name) + _field(4, op)
        out += b"".join(_field(5, _attribute(key, value)) for key, value in attributes.items())
        self._written.append(out)
        return name

    def _tensor(self, name: str, array: np.ndarray) -> str:
        dims = b"".join(_field(1, size) for size in array.shape)
        data = np.ascontiguousarray(array, np.float32).tobytes()
        self._tensors.append(dims + _field(2, 1) + _field(8, name) + _field(9, data))
        return name

    # One method for each of TensorFlow's operations, named after it in lower case.

    def _placeholder(self, name, inputs, attr) -> str:
        self._shape = [int(dim["size"]) for dim in attr["shape"]["shape"]["dim"]]
        return INPUT

    def _identity(self, name, inputs, attr) -> str:
        return self._name(inputs[0])

    def _transpose(self, name, inputs, attr) -> str:
        if self._values[inputs[1]].tolist() not in (_NHWC, _NCHW):
            raise ValueError(f"{name}: not between NCHW and NHWC")
        return self._name(inputs[0])

    def _padded(self, name: str) -> tuple[str, list[int], list[int]]:
        """What a convolution or a pooling reads: the tensor, padding before and after (H, W)."""
        transposed = self._nodes[name]
        node = self._nodes[transposed["input"][0]]
        if not node["op"].startswith("Pad"):
            return self._name(name), [0, 0], [0, 0]
        before, after = self._values[node["input"][1]][2:].T.tolist()  # written for NCHW
        return self._name(node["input"][0]), before, after

    def _conv2d(self, name, inputs, attr) -> str:
        kernel = self._values[inputs[1]].transpose(3, 2, 0, 1)  # from HWIO
        tensor, before, after = self._padded(inputs[0])
        return self._write(
            "Conv",
            [tensor, self._tensor(f"{name}/kernel", kernel)],
            name,
            kernel_shape=list(kernel.shape[2:]),
            strides=_ints(attr["strides"])[1:3],
            pads=before + after,
        )

    def _maxpool(self, name, inputs, attr) -> str:
        tensor, before, after = self._padded(inputs[0])
        return self._write(
            "MaxPool",
            [tensor],
            name,
            kernel_shape=_ints(attr["ksize"])[1:3],
            strides=_ints(attr["strides"])[1:3],
            pads=before + after,
        )

    def _add(self, name, inputs, attr) -> str:
        if inputs[1] not in self._values:
            return self._write("Add", [self._name(text) for text in inputs], name)
        bias = self._values[inputs[1]].reshape(1, -1, 1, 1)
        operands = [self._name(inputs[0]), self._tensor(f"{name}/bias", bias)]
        return self._write("Add", operands, name)

    _addv2 = _add

    def _leakyrelu(self, name, inputs, attr) -> str:
        slope = float(attr["alpha"]["f"])
        return self._write("LeakyRelu", [self._name(inputs[0])], name, alpha=slope)

    def _concatv2(self, name, inputs, attr) -> str:
        if int(self._values[inputs[-1]]) != 1:
            raise ValueError(f"{name}: not of channels")
        return self._write("Concat", [self._name(text) for text in inputs[:-1]], name, axis=1)

    def _resizebilinear(self, name, inputs, attr) -> str:
        """By 2 or 1/2: to a larger or a smaller level, named by the size that is asked for."""
        to = int(self._values[inputs[1]][0])
        factor = 0.5 if to < self._side(inputs[0]) else 2.0
        scales = self._tensor(f"{name}/scales", np.array([1, 1, factor, factor]))
        return self._write(
            "Resize",
            [self._name(inputs[0]), "", scales],
            name,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _side(self, name: str) -> int:
        """Rows of a tensor in the network as it was trained, at 416 x 416."""
        node = self._nodes[name]
        if node["op"] == "Placeholder":
            return int(node["attr"]["shape"]["shape"]["dim"][2]["size"])
        if node["op"] == "ResizeBilinear":
            return int(self._values[node["input"][1]][0])
        stride = _ints(node["attr"]["strides"])[1] if "strides" in node.get("attr", {}) else 1
        return -(-self._side(node["input"][0]) // stride)


def _ints(attribute: dict[str, Any]) -> list[int]:
    return [int(text) for text in attribute["list"]["i"]]


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a message: a number, or text or bytes after their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _attribute(name: str, value: float | int | str | list[int]) -> bytes:
    out = _field(1, name)
    if isinstance(value, float):
        return out + _varint(2 << 3 | 5) + np.float32(value).tobytes() + _field(20, _FLOAT)
    if isinstance(value, int):
        return out + _field(3, value) + _field(20, _INT)
    if isinstance(value, str):
        return out + _field(4, value) + _field(20, _STRING)
    return out + b"".join(_field(8, number) for number in value) + _field(20, _INTS)


def _info(name: str, shape: Sequence[int | None]) -> bytes:
    """A tensor's name, that it is float32, and its shape, sizes that are None left open."""
    dims = b"".join(_field(1, b"" if size is None else _field(1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))
