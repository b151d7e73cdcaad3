"""For every test: no silent broadcasting, shapes and types of signatures checked as they run,
and two fake CPU devices, so that nothing rests on there being one.
"""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

from jaxtyping import install_import_hook

install_import_hook("stgan_jax", "shape_checks.check")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def strict_dtypes():
    """No silent promotion of dtypes; not everywhere, as optax's Adam promotes."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder with a small `noise` and a small `stgan` training, ended."""
    import dataclasses

    import small

    from stgan_jax.train import train

    folder = tmp_path_factory.mktemp("trained")
    train(small.NOISE, folder / "noise")
    train(
        dataclasses.replace(small.STGAN, noise_checkpoint=str(folder / "noise")), folder / "stgan"
    )
    return folder


@pytest.fixture(scope="session")
def model(trained):
    """The small ST-GAN, ready for use."""
    from stgan_jax.anonymize import load_model

    return load_model(trained / "stgan")
