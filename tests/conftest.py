"""For every test: no silent broadcasting, shapes and types of signatures checked as they run,
and two fake CPU devices, so that nothing rests on there being one. Most programs run a few times,
so they are compiled in a hurry. What is compiled is kept in .pytest_cache, for all workers, the
commands that they start, and the next session; the key holds the program, the versions and the
processor. It begins anew when it has become too large.
"""

import fcntl
import gc
import importlib
import os
import shutil
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=2 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1 "  # in many parts it takes a third more CPU time
    # On a busy machine one device may wait long for the other; XLA's own limit, a minute, aborts.
    "--xla_cpu_collective_call_terminate_timeout_seconds=600"
)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Where each operation comes from: to carry it through the compiler takes a tenth of its time.
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
# Of workers and commands, whose threads would spin while they wait for each other's cores.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
if "PYTEST_XDIST_WORKER" not in os.environ:
    cache = Path(__file__).parents[1] / ".pytest_cache" / "compiled"
    if sum(path.stat().st_size for path in cache.glob("*")) > 2**30:
        shutil.rmtree(cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import commands
import jax
import pytest
import shape_checks  # noqa: F401
from jaxtyping import install_import_hook

install_import_hook("stgan_jax", "shape_checks.check")

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collectstart():
    """While the hook loads a module, it compiles anew what that imports, unless it is there. Not
    before tests are collected: who only hands them out to workers does without.
    """
    for name in ("flax", "optax", "orbax.checkpoint", "tensorflow", "apache_beam"):
        importlib.import_module(name)


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that the workers end about together."""
    commands.prepare()  # here, as only those who run tests collect them
    long = (
        "loop finding resume sweep run stgan_step clip recognizers datasets anonymize stencil demo "
        "parallel emptying moving_camera stgan_anonymizer wifs silhouette launch scenes batch "
        "files_of_people casia_b kernels benchmarks hard_scenes retarget_step moving "
        "toy_method review study_report study_server"
    )
    order = {f"test_{name}.py": rank for rank, name in enumerate(long.split())}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
    gc.freeze()  # what is imported stays: it need not be looked through again and again
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def strict_dtypes():
    """No silent promotion of dtypes; not everywhere, as optax's Adam promotes."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder with a small `noise` and a small `stgan` training, ended; one for all workers."""
    import dataclasses

    import small

    from stgan_jax.methods.catalog import prepare
    from stgan_jax.training.loop import train

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    config = dataclasses.replace(small.STGAN, noise_checkpoint=str(folder / "noise"))
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        train(small.NOISE, prepare, folder / "noise")  # at once where another worker has
        train(config, prepare, folder / "stgan")
    return folder


@pytest.fixture(scope="session")
def model(trained):
    """The small ST-GAN, ready for use."""
    from stgan_jax.methods import catalog

    return catalog.load(trained / "stgan")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; tests that need it are skipped where there is none."""
    from playwright import sync_api

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=path, args=flags)
        except sync_api.Error as error:
            pytest.skip(
                "no Chromium can be started here (apt-get install chromium, or CHROMIUM=PATH): "
                + str(error).splitlines()[0]
            )
        yield started
        started.close()
