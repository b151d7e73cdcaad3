"""What the step, a sweep and the networks for videos take on devices that need not be there:

    python benchmarks/plan.py [--devices=H100,H200,v5e,v6e] [--out=FILE.json]

Each is compiled ahead of time for a description of the device, by its own compiler: `jax[cuda13]`
for NVIDIA's (`jax-cuda13-plugin` and `jax-cuda13-pjrt` are enough) and `libtpu` for Google's; no
such device has to be in the machine. Memory is that compiler's. Operations and bytes are the least
(`counts`), of networks for videos those of the program. The floor is the longer of both at the
maker's rates (`training.plan.DEVICES`). Where a compiler is not installed, memory is that of a
compilation for this machine's CPU, and the table says so.

A program takes a minute or more. FILE.json is written after each one; the same command again takes
over what is in it if versions, --frames and --convolution are the same, so remove it after a change
of the code. How many lanes fit is reckoned from what the last two numbers of them take.
"""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # nothing runs but what makes shapes
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # of a cloud machine, which this is not
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # nobody's TPU is taken

import cases
import counts
import jax
import numpy as np
import timing
from absl import flags
from jax.experimental import topologies
from tqdm import tqdm

from stgan_jax.methods import weights
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.silhouette.settings import SilhouetteSettings
from stgan_jax.training import plan
from stgan_jax.training.state import inference_params
from stgan_jax.util import errors, files
from stgan_jax.util.errors import InputError, numbers

# What a stored entry must have been compiled by, to stand beside new ones.
_SAME = ("jax", "libtpu", "jax-cuda13-pjrt", "convolution", "frames")
_NAMES = {"H100": "H100", "H200": "H200", "v5e": "TPU v5e", "v6e": "TPU v6e"}
_DEVICES = flags.DEFINE_list("devices", list(_NAMES), f"Of {', '.join(_NAMES)}.")
_BATCHES = flags.DEFINE_list("batches", [str(2**i) for i in range(10)], "Sequences a step.")
_LANES = flags.DEFINE_list("lanes", [str(2**i) for i in range(7)], "Lanes of a sweep, batch 8.")
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_CONVOLUTION = flags.DEFINE_enum(
    "convolution", "stencil", ("stencil", "plain", "pallas"), "How G and D_S are computed."
)
timing.define_flags()

# What XLA has to know of a GPU of compute capability 9.0; then what the two differ in.
_HOPPER = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  l2_cache_size: 52428800 clock_rate_ghz: 1.98 cuda_compute_capability {{ major: 9 }}
  memory_bandwidth: {bandwidth} device_memory_size: {memory}
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} runtime_version {{ major: 13 }}
device_description_str: "{kind}"
"""


class Program(NamedTuple):
    """What is compiled.

    Attributes:
      of: batch, lanes, or the name of a network.
      make: gives the function and its arguments, arrays or shapes; the first is taken over if
        `least` is not None.
      least: the least work; None takes the program's own.
    """

    of: Any
    make: Callable[[], tuple[Callable, tuple]]
    least: counts.Work | None


def main():
    unknown = [name for name in _DEVICES.value if name not in _NAMES]
    if unknown:
        raise InputError(f"--devices={unknown[0]}: choose from {', '.join(_NAMES)}")
    parts = {
        "step": [step(count) for count in numbers("--batches", _BATCHES.value)],
        "sweep": [sweep(count) for count in numbers("--lanes", _LANES.value)],
        "videos": videos(),
    }
    found = {"convolution": _CONVOLUTION.value, "frames": _FRAMES.value, "devices": {}}
    devices = found["devices"] = earlier({**timing.machine(), **found})
    for name in _DEVICES.value:
        device = next(each for each in plan.DEVICES if each.name == _NAMES[name])
        sharding, compiler = described(name, device)
        if devices.get(device.name, {}).get("compiler") != compiler:
            devices[device.name] = {"compiler": compiler} | {part: [] for part in parts}
        shown = devices[device.name]
        every = [(part, one) for part in parts for one in parts[part]]
        for part, one in tqdm(every, name, unit="program"):
            if one.of in [each["of"] for each in shown[part]]:
                continue
            shown[part].append({"of": one.of, **entry(one, sharding, device)})
            if part != "videos":
                shown[part].sort(key=lambda each: each["of"])
            shown["lanes_fit"] = lanes_fit(shown["sweep"], device)
            if flags.FLAGS.out:
                with files.replacing(Path(flags.FLAGS.out)) as beside:
                    beside.write_text(json.dumps({"machine": timing.machine(), **found}, indent=2))
        print(f"{device.name}, memory by {compiler}\n{table(shown)}", flush=True)
    timing.report(found, {})


def earlier(now: dict[str, Any]) -> dict[str, Any]:
    """The devices in --out as far as they were compiled; none if that was by other means."""
    path = flags.FLAGS.out
    if not path or not Path(path).exists():
        return {}
    then = json.loads(Path(path).read_text())
    about = {**then, **then["machine"]}
    return then["devices"] if all(about.get(key) == now.get(key) for key in _SAME) else {}


def lanes_fit(sweep: list[dict[str, Any]], device: plan.Device) -> int | None:
    """Lanes that a device has memory for, by the growth between the last two that it has it for."""
    having = [one for one in sweep if one.get("fits")]
    taken = [(one["of"], one["argument_bytes"] + one["temporary_bytes"]) for one in having]
    if len(taken) < 2:
        return None
    (few, less), (lanes, more) = taken[-2:]
    return lanes + int((plan.SHARE * device.memory - more) * (lanes - few) / (more - less))


def described(name: str, device: plan.Device) -> tuple[Any, str]:
    """Where a description's arrays are, and whose compiler this is; the CPU's for want of it."""
    try:
        if name.startswith("v"):
            where = topologies.get_topology_desc(
                f"{name}:1x1", "tpu", chips_per_host_bounds=(1, 1, 1)
            )
        else:
            config = _HOPPER.format(
                bandwidth=int(device.bandwidth), memory=device.memory, kind=device.kind
            )
            where = topologies.get_topology_desc(
                name, "cuda", target_config=config, topology="1x1x1"
            )
    except Exception as error:  # many kinds: no plugin, no library, no such description
        print(f"{device.name}: no compiler ({str(error).splitlines()[0]}): by the CPU's")
        return jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0]), "the CPU's compiler"
    return jax.sharding.SingleDeviceSharding(where.devices[0]), "its own compiler"


def step(batch: int) -> Program:
    """ST-GAN's step."""

    def make():
        case = cases.stgan(batch, _FRAMES.value)
        nets = cases.convolved(case.nets, _CONVOLUTION.value)
        function = functools.partial(case.step(nets), alpha=0.3)
        return function, (jax.eval_shape(case.state), case.batch)

    return Program(batch, make, counts.step(counts.Size(batch, _FRAMES.value)))


def sweep(lanes: int) -> Program:
    """The step of lanes that are vmapped, batch 8, as `parallel.lanes_compiled` has them."""

    def make():
        function, (state, batch) = step(8).make()
        state = jax.tree.map(lambda x: jax.ShapeDtypeStruct((lanes, *x.shape), x.dtype), state)

        def every(state, batch, alpha):
            return jax.vmap(lambda one, alpha: function(one, batch, alpha=alpha))(state, alpha)

        return every, (state, batch, np.zeros(lanes, np.float32))

    one = counts.step(counts.Size(8, _FRAMES.value))
    return Program(lanes, make, counts.Work(lanes * one.flops, lanes * one.bytes))


def videos() -> list[Program]:
    """The JAX networks of `stgan-anonymize`, a call each; others run on the CPU by OpenCV."""

    def stgan():
        case = cases.stgan(8, 16)
        nets = cases.convolved(case.nets, "plain")  # what `auto` is there without a training
        noise = np.zeros(case.shape, np.float32)
        params = jax.eval_shape(case.params)["gen"]
        return nets.gen.apply, (params, noise, noise)

    def retarget():
        model = RetargetAnonymizer.load()
        cells = networks.to_cells(np.zeros((96, 240, 240), np.uint8))[None]
        return model.settings.nets().apply, (inference_params(model.params), cells)

    def silhouette():
        settings, params = weights.load_as("silhouette", SilhouetteSettings)
        people = np.shape(params["people"]["mean"])
        given = np.zeros((1, 64, 80, 80), np.float32), np.zeros((1, *people), np.float32)
        return settings.nets().generate, (inference_params(params), *given)

    def color():
        model = Recolorer.load("color")
        given = np.zeros((1, 128, 128, 3), np.uint8), np.zeros((1, 128, 128), np.uint8)
        return model._apply_net, (model.params, *given)

    return [
        Program("stgan, 8 x 16 frames", stgan, None),
        Program("retarget, 96 frames", retarget, None),
        Program("silhouette, 64 frames", silhouette, None),
        Program("color, a frame", color, None),
    ]


def entry(program: Program, sharding: Any, device: plan.Device) -> dict[str, Any]:
    """What a program takes on a device; `why` where it cannot be compiled."""
    function, arguments = program.make()
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=sharding), arguments
    )
    donated = () if program.least is None else 0
    try:
        cost = plan.cost(jax.jit(function, donate_argnums=donated).trace(*shapes))
    except Exception as error:
        return {"why": errors.unexpected(error)}
    work = program.least or counts.Work(cost.flops, cost.moved)
    use = cost.memory
    return {
        "argument_bytes": use and use.arguments,
        "temporary_bytes": use and use.temporary,
        "flops": work.flops,
        "bytes": work.bytes,
        "floor_seconds": max(work.flops / device.float32, work.bytes / device.bandwidth),
        "fits": plan.fits(use, device),
    }


def table(shown: dict[str, Any]) -> str:
    """The programs of a device as lines."""
    lines = []
    for part in ("step", "sweep", "videos"):
        for one in shown[part]:
            if "why" in one:
                lines.append(f"{part} {one['of']}: {one['why']}")
                continue
            memory = [
                "does not fit" if one[name] is None else f"{one[name] / 1e6:.0f} MB"
                for name in ("argument_bytes", "temporary_bytes")
            ]
            lines.append(
                f"{part:7}{one['of']!s:>22} arguments {memory[0]:>12} temporary {memory[1]:>12} "
                f"{one['flops'] / 1e9:9.2f} GFLOP {one['bytes'] / 1e6:8.0f} MB "
                f"floor {1e3 * one['floor_seconds']:8.3f} ms {'' if one['fits'] else 'too much'}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    timing.run(main)
