"""Sequences a second by batch and by devices:

    python benchmarks/scaling.py [--most=256] [--dtype=bfloat16] [--out=FILE.json]

Batches of 1, 2, 4, ... to --most or to what does not fit, on one device; then the largest that
fitted on each of 1, 2, 4, ... devices, as much on each. --fake_devices=8 makes devices out of a
CPU, which shows that it runs and not how fast: they share its cores.
"""

import os
from collections.abc import Sequence
from typing import Any

import cases
import jax
import timing
from absl import flags
from jax.sharding import AxisType, NamedSharding, PartitionSpec

_MOST = flags.DEFINE_integer("most", 64, "Largest batch on a device.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "Computed in.")
_DEVICES = flags.DEFINE_integer("devices", 8, "Most devices to use.", lower_bound=1)
_FAKE = flags.DEFINE_integer("fake_devices", 0, "Devices to make of a CPU.", lower_bound=0)
timing.define_flags(runs=3)


def main():
    if _FAKE.value:  # before JAX looks for devices
        os.environ["XLA_FLAGS"] = " ".join(
            (
                f"--xla_force_host_platform_device_count={_FAKE.value}",
                # Devices that wait for a core are late; XLA ends the process after 40 seconds.
                "--xla_cpu_collective_call_warn_stuck_timeout_seconds=600",
                "--xla_cpu_collective_call_terminate_timeout_seconds=600",
            )
        )
    devices = jax.devices()[: _DEVICES.value]
    by_batch: dict[str, Any] = {}
    batch = fitted = 1
    while batch <= _MOST.value and (figures := measured(batch, devices[:1])):
        by_batch[str(batch)], fitted = figures, batch
        batch *= 2
    by_devices = {}
    count = 2
    while count <= len(devices) and (figures := measured(fitted * count, devices[:count])):
        by_devices[str(count)] = figures
        count *= 2
    if by_devices:
        by_devices["1"] = by_batch[str(fitted)]
    first = by_batch["1"]["sequences_per_second"]
    timing.report(
        {
            "frames": _FRAMES.value,
            "dtype": _DTYPE.value,
            "by_batch": by_batch,
            "batch_a_device": fitted,
            "by_devices": by_devices,
            "fake_devices": _FAKE.value,
        },
        {
            f"batch {name} / batch 1, sequences a second": x["sequences_per_second"] / first
            for name, x in by_batch.items()
        },
    )


def measured(batch: int, devices: Sequence[Any]) -> dict[str, Any] | None:
    """Sequences a second of a batch that devices share; None if it does not fit."""
    mesh = jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=list(devices)
    )
    everywhere, shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    case = cases.stgan(batch, _FRAMES.value, _DTYPE.value)
    try:
        step = timing.Step(
            case.step(),
            jax.device_put(case.state(), everywhere),
            jax.device_put(case.batch, shared),
            case.run.alpha,
        )
        times = timing.interleaved({"step": step}, flags.FLAGS.runs)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
            raise
        return None
    seconds = timing.spreads(times)["step"]
    rate = batch / seconds["median"]
    print(f"batch {batch} on {len(devices)}: {rate:.1f} sequences a second", flush=True)
    return {"sequences_per_second": rate, "seconds": seconds, **step.about}


if __name__ == "__main__":
    timing.run(main)
