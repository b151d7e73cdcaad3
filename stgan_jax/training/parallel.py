"""How a step is compiled: jit over a mesh of devices, pmap, one process or many, and sweeps."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Int

from stgan_jax.training.state import TrainState
from stgan_jax.util.errors import InputError

AXIS = "data"
MODES = ("jit", "pmap")
LANES = ("vmapped", "in turn")  # how lanes of a sweep are computed on a device
# (state, batch, alpha, axis) -> (state, metrics), axis as in `gradients.StepOptions`.
Step = Callable[..., tuple[TrainState, dict[str, Any]]]


def compiler_options() -> dict[str, Any] | None:
    """How a step is compiled, for `jax.jit`.

    On a CPU with vectors of up to 512 bits: by default XLA uses 256, with which ST-GAN's stencils
    take up to 1.8 times as long. None elsewhere.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else None


def initialize(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the processes of a run (`jax.distributed`); to be called before anything of JAX.

    Args:
      coordinator: "host:port" of process 0; None leaves all to the cluster's environment.
      processes: number of processes.
      process: number of this one, from 0.

    Raises:
      InputError: arguments that do not go together, or processes that do not meet.
    """
    known = [value is not None for value in (coordinator, processes, process)]
    if any(known) and not all(known):
        raise InputError("--coordinator, --num_processes and --process_id go together: give all")
    if processes is not None and not 0 <= (process or 0) < processes:
        raise InputError(f"--process_id must be from 0 to {processes - 1}")
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except Exception as error:  # many kinds, by cluster
        raise InputError(
            f"the processes of this run do not meet ({_first_line(error)}): start all of them, "
            "with the same --coordinator"
        ) from error


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled step, and how state and batches are laid out for it.

    Attributes:
      step: (state, batch, alpha) -> (state, metrics); the state's memory is reused.
      put_state: sends a state in this process's memory to where the step wants it.
      put_batch: the same for this process's share of a batch; lanes take one batch of each seed.
      one: a state or metrics as the step has them -> a single copy.
      trace: (state, batch, alpha) -> the step before it is compiled, to see what it takes; shapes
        will do for the state. Only lanes have it; None otherwise.
    """

    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    put_state: Callable[[TrainState], TrainState]
    put_batch: Callable[..., Any]
    one: Callable[[Any], Any]
    trace: Callable[..., jax.stages.Traced] | None = None


def compiled(step: Step, batch_size: int, mode: str = "jit", held: Any = None) -> Compiled:
    """Compiles a pure step for all devices of all processes.

    Args:
      step: takes (state, batch, alpha, axis).
      batch_size: examples a step, on all devices together.
      mode: one of `MODES`. "jit" shards the batch over a mesh and lets the compiler place the
        sums; "pmap" runs a copy of the step on each device and averages gradients in it.
      held: all examples (a pytree), to be kept on each device. Then a batch is (K, B) indices of
        examples, a call makes K steps, and metrics have a leading axis of them.

    Raises:
      InputError: the batch cannot be shared evenly, there is no such mode, or pmap is to hold
        examples.
    """
    if mode not in MODES:
        raise InputError(f"parallel {mode!r}: choose one of {', '.join(MODES)}")
    devices = jax.device_count()
    if batch_size % devices:
        raise InputError(
            f"a batch of {batch_size} cannot be shared by {devices} devices: "
            f"--config.batch_size={-(-batch_size // devices) * devices} can"
        )
    if held is not None and mode == "pmap":
        raise InputError("examples are held on the devices with --parallel=jit alone")
    return _over_mesh(step, held) if mode == "jit" else _mapped(step)


def _over_mesh(step: Step, held: Any) -> Compiled:
    mesh = jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))
    axes = (AXIS,) if held is None else (None, AXIS)
    everywhere, shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), axes))
    examples = jax.tree.map(lambda x: _placed(x, everywhere), held)

    def steps(state, index, alpha, examples):
        return jax.lax.scan(
            lambda state, index: step(state, _rows(examples, index), alpha, None), state, index
        )

    def one_step(state, batch, alpha, _):
        return step(state, batch, alpha, None)

    program = jax.jit(
        one_step if held is None else steps,
        in_shardings=(everywhere, shared, None, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
        compiler_options=compiler_options(),
    )

    def put_state(state):
        # A copy: the step takes its argument over, and its caller may need it again.
        return jax.tree.map(lambda x: _placed(np.array(x), everywhere), state)

    return Compiled(
        lambda state, batch, alpha: program(state, batch, alpha, examples),
        put_state,
        lambda batch: jax.tree.map(lambda x: _placed(x, shared, share=True), batch),
        _same,
    )


def _rows(examples: Any, index: jax.Array) -> Any:
    """The examples of some indices."""
    return jax.tree.map(lambda x: x[index], examples)


def _placed(value: np.ndarray, sharding: NamedSharding, share: bool = False) -> jax.Array:
    """A value that is whole in each process, or each process's share of a batch, on the devices."""
    if jax.process_count() == 1:
        return jax.device_put(value, sharding)
    whole = None if share else value.shape
    return jax.make_array_from_process_local_data(sharding, value, whole)


def _same(tree):
    return tree


def _mapped(step: Step) -> Compiled:
    local = jax.local_device_count()
    program = jax.pmap(
        lambda state, batch, alpha: step(state, batch, alpha, AXIS),
        axis_name=AXIS,
        in_axes=(0, 0, None),
        donate_argnums=0,
    )

    def put_state(state):
        return jax.tree.map(lambda x: np.broadcast_to(x, (local, *np.shape(x))), state)

    def put_batch(batch):
        return jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)

    def one(tree):
        return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)

    return Compiled(program, put_state, put_batch, one)


def lanes_compiled(
    step: Step, rows: Int[np.ndarray, " L"], held: Any = None, way: str = ""
) -> Compiled:
    """Compiles a step for many runs at once, the lanes spread over devices.

    State and alpha, a number or a mapping of several, have a leading axis of lanes, as have
    metrics.

    Args:
      step: takes (state, batch, alpha, axis).
      rows: which of a call's batches each lane takes. As many devices work as divide the number of
        lanes evenly.
      held: all examples (a pytree), to be kept on each device. Then each batch is (K, B) indices
        of examples, a call makes K steps, and metrics are (K, lanes).
      way: one of `LANES`, of which several devices take the first. "" is that, too, but on one CPU
        lanes follow each other: vmapped, eight take 1.9 times as long.
    """
    devices, lanes = jax.devices(), len(rows)
    used = max(n for n in range(1, len(devices) + 1) if lanes % n == 0)
    mesh = jax.make_mesh((used,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:used])
    everywhere, spread = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (AXIS,)))
    examples = jax.tree.map(lambda x: jax.device_put(x, everywhere), held)

    def lane(state, batches, row, alpha, examples):
        if examples is None:
            return step(state, _rows(batches, row), alpha, None)
        return jax.lax.scan(
            lambda state, index: step(state, _rows(examples, index), alpha, None),
            state,
            batches[row],
        )

    alone = "in turn" if jax.default_backend() == "cpu" else LANES[0]
    way = (way or alone) if used == 1 else LANES[0]

    def every(state, batches, rows, alpha, examples):
        if way == "in turn":
            state, metrics = jax.lax.map(
                lambda one: lane(one[0], batches, one[1], one[2], examples), (state, rows, alpha)
            )
        else:
            each = jax.vmap(lane, in_axes=(0, None, 0, 0, None))
            state, metrics = each(state, batches, rows, alpha, examples)
        if held is not None:
            metrics = jax.tree.map(lambda x: x.swapaxes(0, 1), metrics)
        return state, metrics

    of_steps = spread if held is None else NamedSharding(mesh, PartitionSpec(None, AXIS))
    program = jax.jit(
        every,
        in_shardings=(spread, everywhere, spread, spread, everywhere),
        out_shardings=(spread, of_steps),
        donate_argnums=0,
        compiler_options=compiler_options(),
    )

    def put_state(state):
        return jax.tree.map(lambda x: jax.device_put(np.array(x), spread), state)

    def put_batch(*batches):
        return jax.tree.map(lambda *x: jax.device_put(np.stack(x), everywhere), *batches)

    return Compiled(
        lambda state, batches, alpha: program(state, batches, rows, alpha, examples),
        put_state,
        put_batch,
        _same,
        lambda state, batches, alpha: program.trace(state, batches, rows, alpha, examples),
    )


def stacked(states: list[TrainState]) -> TrainState:
    """The states of many lanes as one, with a leading axis of lanes."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *states)


def lane(state: TrainState, number: int) -> TrainState:
    """One lane's state, in this process's memory."""
    return jax.tree.map(lambda x: np.asarray(x[number]), state)


def same_everywhere(tree: Any) -> Any:
    """Process 0's values in every process: they must start alike to the last bit."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(jnp.asarray, multihost_utils.broadcast_one_to_all(tree))


def any_process(flag: bool) -> bool:
    """Whether a flag is set in any process."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
