"""How a step is compiled: jit over a mesh of devices, pmap, one process or many, and sweeps."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from stgan_jax.errors import InputError
from stgan_jax.state import TrainState

AXIS = "data"
MODES = ("jit", "pmap")
# (state, batch, alpha, axis) -> (state, metrics), axis as in `steps.Options`.
Step = Callable[..., tuple[TrainState, dict[str, Any]]]


def initialize(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the processes of a run (`jax.distributed`); to be called before anything of JAX.

    Args:
      coordinator: "host:port" of process 0; None leaves all to the cluster's environment.
      processes: how many there are.
      process: which of them this is, from 0.

    Raises:
      InputError: arguments that do not go together, or processes that do not meet.
    """
    given = [value is not None for value in (coordinator, processes, process)]
    if any(given) and not all(given):
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
      step: (state, batch, alpha) -> (state, metrics); takes the state over.
      put_state: a state in this process' memory -> as the step wants it.
      put_batch: this process' share of a batch -> as the step wants it.
      one: a state or metrics as the step has them -> a single copy.
    """

    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    put_state: Callable[[TrainState], TrainState]
    put_batch: Callable[[np.ndarray], jax.Array]
    one: Callable[[Any], Any]


def compiled(
    step: Step, batch_size: int, mode: str = "jit", held: np.ndarray | None = None
) -> Compiled:
    """Compiles a pure step for all devices of all processes.

    Args:
      step: takes (state, batch, alpha, axis).
      batch_size: of all devices together.
      mode: of `MODES`. "jit" shards the batch over a mesh and lets the compiler place the
        sums; "pmap" runs a copy of the step on each device and averages gradients in it.
      held: all examples, to be kept on each device. Then a batch is (K, B) indices of examples,
        a call makes K steps, and metrics have a leading axis of them.

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


def _over_mesh(step: Step, held: np.ndarray | None) -> Compiled:
    mesh = jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))
    axes = (AXIS,) if held is None else (None, AXIS)
    everywhere, shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), axes))
    examples = None if held is None else _placed(held, everywhere)

    def drawn(state, index, alpha, examples):
        return jax.lax.scan(
            lambda state, index: step(state, examples[index], alpha, None), state, index
        )

    def given(state, batch, alpha, _):
        return step(state, batch, alpha, None)

    program = jax.jit(
        given if held is None else drawn,
        in_shardings=(everywhere, shared, None, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )

    def put_state(state):
        # A copy: the step takes its argument over, and its caller may need it again.
        return jax.tree.map(lambda x: _placed(np.array(x), everywhere), state)

    return Compiled(
        lambda state, batch, alpha: program(state, batch, alpha, examples),
        put_state,
        lambda batch: _placed(batch, shared, share=True),
        _same,
    )


def _placed(value: np.ndarray, sharding: NamedSharding, share: bool = False) -> jax.Array:
    """A value that is whole in each process, or each process' share of a batch, on the devices."""
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
        return batch.reshape(local, -1, *batch.shape[1:])

    def one(tree):
        return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)

    return Compiled(program, put_state, put_batch, one)


def lanes_compiled(step: Step, lanes: int, held: np.ndarray | None = None) -> Compiled:
    """Compiles a step for many runs at once: vmapped over lanes, the lanes spread over devices.

    On one CPU lanes follow each other in the compiled step: vmapped, eight take 1.9 times as long.

    The compiled step takes (state, batches, rows, alpha). State, rows and alpha have a leading
    axis of lanes; `batches` (S, B, ...) are one of each seed, and `rows` says which is a lane's.

    Args:
      step: takes (state, batch, alpha, axis).
      lanes: how many. As many devices work as divide them evenly.
      held: all examples, to be kept on each device. Then `batches` are (S, K, B) indices of
        examples, a call makes K steps, and metrics are (K, lanes).
    """
    devices = jax.devices()
    used = max(n for n in range(1, len(devices) + 1) if lanes % n == 0)
    mesh = jax.make_mesh((used,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:used])
    everywhere, spread = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (AXIS,)))

    examples = None if held is None else jax.device_put(held, everywhere)

    def lane(state, batches, row, alpha, examples):
        if examples is None:
            return step(state, batches[row], alpha, None)
        return jax.lax.scan(
            lambda state, index: step(state, examples[index], alpha, None), state, batches[row]
        )

    def every(state, batches, rows, alpha, examples):
        if used == 1 and jax.default_backend() == "cpu":
            state, seen = jax.lax.map(
                lambda one: lane(one[0], batches, one[1], one[2], examples), (state, rows, alpha)
            )
        else:
            each = jax.vmap(lane, in_axes=(0, None, 0, 0, None))
            state, seen = each(state, batches, rows, alpha, examples)
        return state, seen if held is None else jax.tree.map(lambda x: x.swapaxes(0, 1), seen)

    of_steps = spread if held is None else NamedSharding(mesh, PartitionSpec(None, AXIS))
    program = jax.jit(
        every,
        in_shardings=(spread, everywhere, spread, spread, everywhere),
        out_shardings=(spread, of_steps),
        donate_argnums=0,
    )

    def put_state(state):
        return jax.tree.map(lambda x: jax.device_put(np.array(x), spread), state)

    return Compiled(
        lambda *arguments: program(*arguments, examples),
        put_state,
        lambda batch: jax.device_put(batch, everywhere),
        _same,
    )


def stacked(states: list[TrainState]) -> TrainState:
    """States of many lanes as one with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *states)


def lane(state: TrainState, number: int) -> TrainState:
    """One lane's state, in this process' memory."""
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
