"""The basis that retargeting writes silhouettes in."""

import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.methods.retarget import networks
from stgan_jax.shapes import fields


def test_basis_is_orthonormal_and_exact_on_its_span():
    walks = [procedural.silhouettes(seed, 90.0, frames=10) for seed in (1, 2)]
    encoded = fields.encode(np.concatenate(walks))
    basis = networks.fit_basis(encoded, 8)
    np.testing.assert_allclose(basis["components"] @ basis["components"].T, np.eye(8), atol=1e-4)
    code = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    back = networks.coordinates(basis, networks.field(basis, jnp.asarray(code)))
    np.testing.assert_allclose(back, code, atol=1e-3)
    # The first component is the singular vector of the centred fields.
    flat = encoded.reshape(len(encoded), -1) / fields.STEPS
    _, singular, rows = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    assert abs(rows[0] @ basis["components"][0]) > 0.999
    assert float(basis["scale"]) == pytest.approx(singular[0] / np.sqrt(len(flat)) / 2, rel=1e-3)
    with pytest.raises(ValueError, match="more than"):
        networks.fit_basis(encoded[:8], 8)
