"""Devices and processes: however many there are, the same training."""

import socket

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.training import checkpoint, parallel
from stgan_jax.util.errors import InputError

CASE = "tests/training/parallel_case.py"


def started(script, *arguments, devices):
    """Without what was compiled: only process 0 would have it, and JAX waits for no late one."""
    return commands.Started(
        script, *arguments, devices=devices, jax_platforms="cpu", jax_enable_compilation_cache=False
    )


def ended(*processes):
    """Waits for all, for one that fails makes JAX abort the others."""
    done = [process.ended(timeout=600) for process in processes]
    brief = [one.stderr.split("Extension modules:")[0][-3000:] for one in done]
    assert not any(one.returncode for one in done), "\n\n".join(brief)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The case on one device."""
    out = tmp_path_factory.mktemp("one") / "x"
    ended(started(CASE, out, "jit", devices=1))
    return dict(np.load(f"{out}.jit.0.npz"))


def assert_same(path, expected):
    found = np.load(path)
    assert set(found) == set(expected)
    assert len(expected) > 40
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_case_moves_every_network(alone):
    norms = [value for name, value in alone.items() if "update_norm" in name]
    assert len(norms) == 9
    # Large enough that a wrong average would show.
    assert min(norms) > 1e-3


@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.soak), 4])
def test_a_mesh_and_pmap_do_what_one_device_does(alone, tmp_path, devices):
    ended(started(CASE, tmp_path / "x", "jit", "pmap", devices=devices))
    assert_same(tmp_path / "x.jit.0.npz", alone)
    assert_same(tmp_path / "x.pmap.0.npz", alone)


@pytest.mark.soak  # the launcher's own, below, compares as well
@pytest.mark.processes
def test_two_processes_do_what_one_does(alone, tmp_path):
    place = f"127.0.0.1:{free_port()}"
    case = CASE, tmp_path / "x", "jit", "pmap", place, 2
    both = [started(*case, i, devices=2) for i in range(2)]
    ended(*both)
    for mode in parallel.MODES:
        for i in range(2):
            assert_same(tmp_path / f"x.{mode}.{i}.npz", alone)


@pytest.mark.processes
def test_two_processes_train_together_and_one_goes_on(tmp_path):
    """The launcher itself: each process feeds its share, all write one run."""

    def command(folder, steps, *more):
        flags = (
            "validation_subjects=(77,77) data.last_subject=62 data.frames=4 data.views=(0,90) "
            "data.walks=('nm-01',) save_every=2 log_every=1 evaluate_every=2 picture_every=2 "
            "batch_size=4 optimizer=sgd gen_learning_rate=1e-4 disc_learning_rate=1e-4 "
            f"features=2 lstm_units=4 convolution=plain steps={steps}"
        )
        launcher = ["launch/train.py", "--config=configs/stgan.py:gaussian"]
        changes = [f"--config.{flag}" for flag in flags.split()]
        return [*launcher, f"--workdir={tmp_path / folder}", *changes, *more]

    place = f"--coordinator=127.0.0.1:{free_port()}"
    both = [
        started(*command("two", 2, place, "--num_processes=2", f"--process_id={i}"), devices=1)
        for i in range(2)
    ]
    ended(*both)
    assert checkpoint.latest_step(tmp_path / "two") == 2
    # One process with two devices goes on, beside one device that trains from the start.
    ended(started(*command("two", 4), devices=2), started(*command("one", 4), devices=1))
    one, two = (checkpoint.load(tmp_path / folder).state for folder in ("one", "two"))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_processes_that_do_not_fit_together_are_named():
    with pytest.raises(InputError, match="go together"):
        parallel.initialize("127.0.0.1:1", None, 0)
    with pytest.raises(InputError, match="from 0 to 1"):
        parallel.initialize("127.0.0.1:1", 2, 2)


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match="batch_size=4"):
        parallel.compiled(lambda *_: None, 3)
    with pytest.raises(InputError, match="jit, pmap"):
        parallel.compiled(lambda *_: None, 4, "magic")


def test_lanes_are_spread_over_the_devices_that_divide_them():
    def step(state, batch, alpha, _):
        return state + alpha * batch.sum(), {"x": state}

    batches = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    for lanes, used in ((4, 2), (3, 1)):
        rows, alphas = np.arange(lanes) % 2, jnp.arange(lanes, dtype=jnp.float32)
        sums = np.array([(3.0, 12.0)[i % 2] * i for i in range(lanes)])
        program = parallel.lanes_compiled(step, rows)
        state = program.put_state(np.zeros(lanes, np.float32))
        out, metrics = program.step(state, program.put_batch(*batches), alphas)
        assert len(out.sharding.device_set) == used
        np.testing.assert_allclose(out, sums)
        assert metrics["x"].shape == (lanes,)
        held = parallel.lanes_compiled(step, rows, np.arange(9.0, dtype=np.float32))
        drawn = held.put_batch(np.array([[0, 1, 2]] * 2), np.array([[3, 4, 5]] * 2))  # two steps
        twice, metrics = held.step(held.put_state(np.zeros(lanes, np.float32)), drawn, alphas)
        np.testing.assert_allclose(twice, 2 * sums)
        np.testing.assert_allclose(metrics["x"], [np.zeros(lanes), out])
