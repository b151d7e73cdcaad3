"""What programs take: counted by hand, and by the compiler."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.training import plan
from stgan_jax.training.experiment import Experiment, step_of
from stgan_jax.training.state import TrainState
from stgan_jax.training.sweep import planned


def counted(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return plan.flops(jax.make_jaxpr(function)(*arguments))


def convolution(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )


def test_operations_are_counted_as_by_hand():
    assert counted(jnp.matmul, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert counted(convolution, (2, 10, 3), (5, 3, 7)) == 2 * (2 * 10 * 7) * 5 * 3
    assert counted(lambda x: jnp.sum(x + 1.0), (6, 2)) == 12 + 12
    assert counted(lambda x: jnp.reshape(x, (12,)), (6, 2)) == 0

    def loop(x):
        return jax.lax.scan(lambda x, _: (jax.jit(jnp.sin)(x), ()), x, length=9)[0]

    assert counted(loop, (4,)) == 9 * 4
    assert counted(lambda x: jax.lax.cond(x[0] > 0, loop, jnp.sin, x), (4,)) == 9 * 4 + 1


def test_floor_is_the_longer_of_work_and_traffic():
    device = plan.published("TPU v5 lite")
    assert device.name == "TPU v5e"
    assert plan.published("cpu") is None
    assert plan.Cost(197 * 10**9, 0, None).floor(device) == pytest.approx(1e-3)
    assert plan.Cost(0, 819 * 10**6, None).floor(device) == pytest.approx(1e-3)
    assert plan.fits(plan.Memory(10**9, 10**9, 10**9, 10**9), device)
    assert not plan.fits(plan.Memory(20 * 10**9, 0, 0, 0), device)
    assert not plan.fits(None, device)


class Ones:
    """Batches of ones."""

    def everything(self):
        return np.ones((3, 4), np.float32)

    def indices(self):
        return self

    def batches(self, batch_size, seed, start_step, process, processes):
        return itertools.repeat(np.ones((batch_size, 4), np.float32))


def test_a_sweep_is_planned_without_training(tmp_path, monkeypatch):
    config = dataclasses.replace(small.RETARGET, hold=False, steps_per_call=1)

    def total(weights, x):
        return jnp.sum(x @ weights), {}

    def update(state, batch, alpha, *, optimizers, options):
        grads, metrics = options.gradients(
            lambda w, x: (jnp.sum(x @ w), {}), state.params["gen"], batch
        )
        return state.apply_gradients({"gen": grads}, optimizers)[0], metrics

    def prepare(settings):
        def start(seed):
            return TrainState.create(seed, {"gen": jnp.ones((4, 1000))}, settings.optimizers())

        step = step_of(update, settings, settings.optimizers())
        return Experiment(settings, Ones(), start, step, None, dict)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "memory_limit", lambda: 4 * 3 * 16_000)
    rates = {"learning_rate": (1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3)}
    lines = planned(config, prepare, rates, (0,)).splitlines()
    assert [line.split()[0] for line in lines] == ["lanes", "1", "2", "4", "6", "6"]
    assert [line.split()[-1] for line in lines[1:5]] == ["yes", "yes", "yes", "no"]
    # States of one device's share of lanes, weights and two moments of 4 x 1000 float32 numbers.
    arguments = [float(line.split()[1]) for line in lines[1:5]]
    shares = np.array([1, 1, 2, 3])
    np.testing.assert_allclose(arguments, 0.048 * shares, atol=0.051)
    # On two devices three lanes, half of six, would be one device's.
    assert lines[-1] == "6 lanes as learning_rate=0.001,seed=0: 2 round(s)"
    assert not list(tmp_path.iterdir())
