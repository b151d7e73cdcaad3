"""ONNX files by hand: https://protobuf.dev's wire format, onnx.proto's field numbers."""


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def tensor(name, values):
    kind = {"float32": 1, "int64": 7}[str(values.dtype)]
    dims = b"".join(field(1, n) for n in values.shape)
    return dims + field(2, kind) + field(8, name) + field(9, values.tobytes())


def node(kind, inputs, output, **attributes):
    out = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, values in attributes.items():
        ints = b"".join(field(8, value) for value in values)
        out += field(5, field(1, name) + ints + field(20, 7))
    return out


def value_info(name, shape):
    dims = b"".join(field(1, field(1, n)) for n in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))
