"""The training of retargeting: what each network learns from, and what stays."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from stgan_jax.data.selection import RenderedData
from stgan_jax.methods import catalog
from stgan_jax.methods.retarget import networks
from stgan_jax.methods.retarget.examples import examples
from stgan_jax.methods.retarget.losses import objective
from stgan_jax.training import checkpoint
from stgan_jax.training.loop import train
from stgan_jax.util.errors import InputError

NETS, LOSS = small.RETARGET.nets(), small.RETARGET.loss()


@pytest.fixture(scope="module")
def params(retarget_run):
    return checkpoint.load(retarget_run).params()


def batch_of(count, params):
    rows, _ = examples(count, 8, 32, fixed=jax.tree.map(np.asarray, params), workers=1)
    noise = jnp.zeros((count, 8, small.RETARGET.code_size))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), rows), noise


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def sizes_of(grads):
    """The squared norm of each network's gradient."""
    return {k: float(sum(jnp.vdot(x, x) for x in jax.tree.leaves(v))) for k, v in grads.items()}


def test_training_learns_and_keeps_its_best(retarget_run):
    first, *_, last = lines_of(retarget_run)
    assert last["loss/gen"] < 0.95 * first["loss/gen"]
    assert 0 < last["validation/iou"] < 1
    assert checkpoint.latest_step(retarget_run, checkpoint.BEST) == small.RETARGET.steps


@pytest.mark.parametrize(
    ("term", "learning"),
    [
        ("identity", {"identity"}),
        ("reader", {"reader"}),
        ("read", {"encoder", "decoder"}),
    ],
)
def test_identity_encoder_and_reader_change_no_pose_code(params, term, learning):
    """So that they cannot teach the code to carry the person."""
    batch, noise = batch_of(4, params)

    @jax.jit
    @jax.grad
    def slope(gen):
        _, metrics = objective(gen, params["basis"], batch, noise, NETS, LOSS)
        return metrics[f"loss/gen_{term}"]

    assert {part for part, size in sizes_of(slope(params["gen"])).items() if size > 0} == learning


def test_every_cell_of_a_field_counts_in_one_step_of_a_stride(params):
    batch, noise = batch_of(2, params)

    @jax.jit
    def terms(cells):
        return objective(params["gen"], params["basis"], batch, noise, NETS, LOSS, cells)[1]

    each = [terms(first + 4 * jnp.arange(networks.CELLS // 4)) for first in range(4)]
    whole = terms(jnp.arange(networks.CELLS))
    for name in ("loss/gen_field", "loss/gen_motion"):
        mean = np.mean([metrics[name] for metrics in each])
        assert mean == pytest.approx(float(whole[name]), rel=1e-4)
    assert float(whole["iou"]) == pytest.approx(np.mean([x["iou"] for x in each]), abs=0.02)


def test_gait_networks_learn_beside_others_that_stay(retarget_run, tmp_path):
    config = dataclasses.replace(
        small.RETARGET, base=str(retarget_run), data=RenderedData(8, 2, 8), steps=20, save_every=20
    )
    assert train(config, catalog.prepare, tmp_path / "run")
    first, *_, last = lines_of(tmp_path / "run")
    assert last["loss/gait"] < first["loss/gait"]
    assert 0 < last["validation/gait_iou"] < 1
    old, new = (checkpoint.load(run).params() for run in (retarget_run, tmp_path / "run"))
    for name in ("gen", "basis", "people"):
        jax.tree.map(np.testing.assert_array_equal, old[name], new[name])
    changes = jax.tree.map(lambda a, b: abs(a - b).max(), old["gait"], new["gait"])
    assert min(jax.tree.leaves(changes)) > 0
    with pytest.raises(InputError, match="was trained with window 5: set the same"):
        train(dataclasses.replace(config, window=7), catalog.prepare, tmp_path / "other")
