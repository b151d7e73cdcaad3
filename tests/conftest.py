"""Strict JAX for every test: silent promotion, silent broadcasting and warnings are errors.

Two fake CPU devices, so that nothing rests on there being one; and run-time checks of
the shapes in the package's signatures.
"""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

from jaxtyping import install_import_hook

install_import_hook("stgan_jax", "shape_checks.check")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
