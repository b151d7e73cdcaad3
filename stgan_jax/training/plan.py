"""What a compiled step takes: memory, work, and its least time at published rates."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

SHARE = 0.9  # of a device's memory can be used: the rest is lost to fragmentation


class Device(NamedTuple):
    """A device by its maker's figures.

    Attributes:
      name: what tables call it.
      kind: what JAX's name of it begins with.
      float32: FLOP/s of products of float32 numbers as JAX computes them by default, in TF32 on
        GPUs and in bfloat16 on TPUs.
      bfloat16: FLOP/s of products of bfloat16 numbers.
      bandwidth: bytes/s to and from its memory.
      memory: its size, bytes.
    """

    name: str
    kind: str
    float32: float
    bfloat16: float
    bandwidth: float
    memory: int


# NVIDIA's data sheets of H100 SXM and H200 SXM, without sparsity; Google's pages of Cloud TPUs.
DEVICES = (
    Device("H100", "NVIDIA H100", 494.7e12, 989.4e12, 3.35e12, 80 * 10**9),
    Device("H200", "NVIDIA H200", 494.7e12, 989.4e12, 4.8e12, 141 * 10**9),
    Device("TPU v5e", "TPU v5 lite", 197e12, 197e12, 0.819e12, 16 * 10**9),
    Device("TPU v6e", "TPU v6 lite", 918e12, 918e12, 1.64e12, 32 * 10**9),
)


class Memory(NamedTuple):
    """Bytes that a compiled program takes of each device.

    Attributes:
      arguments, results, temporary: by what they hold.
      shared: arguments whose memory results take over; counted in both.
    """

    arguments: int
    results: int
    temporary: int
    shared: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.arguments + self.results + self.temporary - self.shared


class Cost(NamedTuple):
    """What one call of a program takes.

    Attributes:
      flops: operations, see `flops`.
      moved: bytes of its arguments and results, which have to be read and written.
      memory: None if the compiler found that it does not fit.
    """

    flops: int
    moved: int
    memory: Memory | None

    def floor(self, device: Device) -> float:
        """Least seconds of a float32 program on a device, by its published rates."""
        return max(self.flops / device.float32, self.moved / device.bandwidth)


def published(kind: str) -> Device | None:
    """The device of a `device_kind` of JAX's; None if its figures are not known."""
    return next((device for device in DEVICES if kind.startswith(device.kind)), None)


def cost(traced: jax.stages.Traced) -> Cost:
    """What a program takes; it is compiled for the present devices, or those of its arguments."""
    shapes = jax.tree.leaves((traced.jaxpr.in_avals, traced.jaxpr.out_avals))
    return Cost(flops(traced.jaxpr), bytes_of(shapes), memory(traced))


def memory(traced: jax.stages.Traced) -> Memory | None:
    """Bytes that a program takes of each device; None if the compiler says it does not fit."""
    try:
        use = traced.lower().compile().memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return None
    return Memory(
        use.argument_size_in_bytes,
        use.output_size_in_bytes,
        use.temp_size_in_bytes,
        use.alias_size_in_bytes,
    )


def flops(program: Any) -> int:
    """Operations of a jaxpr: 2 for each product of matrices and convolutions, 1 for other numbers.

    Loops of a known length count as often as they run, branches as their longest.
    """
    jaxpr = getattr(program, "jaxpr", program)
    return sum(_flops_of(equation) for equation in jaxpr.eqns)


def _flops_of(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    inner = [
        part
        for value in params.values()
        for part in (value if isinstance(value, tuple | list) else [value])
        if hasattr(getattr(part, "jaxpr", part), "eqns")
    ]
    if inner and not name.startswith("custom_vjp"):
        each = [flops(part) for part in inner]
        return max(each) if name == "cond" else sum(each) * params.get("length", 1)
    if inner:  # its derivative is no part of it
        return flops(inner[0])
    sizes = [math.prod(v.aval.shape) for v in (*equation.invars, *equation.outvars)]
    out = sum(sizes[len(equation.invars) :])
    if name == "dot_general":
        ((contracted, _), _) = params["dimension_numbers"]
        return 2 * out * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        outputs = equation.invars[1].aval.shape[params["dimension_numbers"].rhs_spec[0]]
        return 2 * out * sizes[1] // outputs
    moves = "broadcast reshape transpose slice concat pad gather scatter copy convert iota squeeze"
    if any(word in name for word in moves.split()):
        return 0
    return max(sizes) if name.startswith("reduce") else out


def memory_limit() -> int | None:
    """Bytes that a program may use on every device; of a CPU, half of the machine's memory.

    None where a device does not say.
    """
    if jax.default_backend() == "cpu":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    if not all("bytes_limit" in each for each in stats):
        return None
    return int(SHARE * min(each["bytes_limit"] for each in stats))


def fits(use: Memory | None, device: Device) -> bool:
    """Whether a program fits into a device's memory."""
    return use is not None and use.total <= SHARE * device.memory


def bytes_of(tree: Any) -> int:
    """Bytes of all arrays, which may be shapes alone."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def largest(need: Callable[[int], int | None], most: int, limit: int, unit: int = 1) -> int:
    """The largest number, at most `most`, for which `need` bytes are within a limit; at least 1.

    Args:
      need: grows with the number; None where it is too much.
      most: 1 or more.
      limit: bytes.
      unit: below `most`, multiples of it are looked at, as far as there are any.
    """
    count = most
    while count > 1:
        taken = need(count)
        if taken is not None and taken <= limit:
            break
        less = count // 2 if taken is None else min(count - 1, count * limit // taken)
        count = max(1, less // unit * unit or less)
    return count


def heading() -> str:
    """The line above `row`s, which count lanes."""
    names = f"{'arguments':>11} {'temporary':>11} {'GFLOP':>9} {'moved':>9} {'floor':>9}"
    return f"{'lanes':>7} {names}  fits"


def row(count: int, use: Cost, device: Device | None, fitting: bool) -> str:
    """A line: MB of arguments and temporary memory, operations, MB moved, ms, whether it fits."""
    known = use.memory
    sizes = [known.arguments, known.temporary] if known else []
    cells = [f"{size / 1e6:.1f} MB" for size in sizes] or ["-", "-"]
    floor = f"{1e3 * use.floor(device):6.3f} ms" if device else "-"
    work = f"{use.flops / 1e9:9.2f} {use.moved / 1e6:6.1f} MB"
    return (
        f"{count:7d} {cells[0]:>11} {cells[1]:>11} {work} {floor:>9}  {'yes' if fitting else 'no'}"
    )
