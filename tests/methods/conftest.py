"""Walks, and small trainings, that tests of several methods share."""

import dataclasses
import fcntl
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import tiny

from stgan_jax.data.walkers import procedural
from stgan_jax.methods import catalog, contours
from stgan_jax.methods.retarget.anonymizer import RetargetAnonymizer
from stgan_jax.methods.stgan import noise_networks
from stgan_jax.shapes import contour
from stgan_jax.training.loop import train


@pytest.fixture(scope="module")
def fixed():
    """Fixed-point contours of four people, (4, 6, 4000)."""
    return jnp.asarray(procedural.contours(range(4), [54], ["nm-01"], 6, "resampled", workers=1))


@pytest.fixture(scope="module")
def noise_params(fixed):
    """Parameters of `tiny.NOISE`."""
    unit = contour.fixed_to_unit(np.asarray(fixed).reshape(-1, 4000))
    return jax.jit(tiny.NOISE.init)(jax.random.key(0), noise_networks.ContourBasis.fit(unit, 12))


@pytest.fixture(scope="session")
def walks():
    """Contours in [0, 1] of two people on whom nothing was trained, and their names."""
    data = dataclasses.replace(small.WALKERS, first_subject=85, last_subject=86)
    source = contours.source_of(data)
    every = np.arange(source.count)
    return np.asarray(contour.fixed_to_unit(source.fetch(every, every).contours)), source.walks


@pytest.fixture(scope="session")
def retarget_run(tmp_path_factory):
    """Folder of a small training of retargeting, ended; one for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "retarget"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        train(small.RETARGET, catalog.prepare, folder)  # at once where another worker has
    return folder


@pytest.fixture(scope="session")
def shipped():
    """The package's retargeting networks."""
    return RetargetAnonymizer.load("retarget")


@pytest.fixture(scope="session")
def in_step(shipped):
    """The same, of which nothing is moved."""
    return shipped.with_options(in_step=True, turn=0.0)
