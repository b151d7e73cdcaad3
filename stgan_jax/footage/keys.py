"""Seeds and keys: whoever has the weights must not be able to try all seeds that there are."""

import hashlib
import secrets

import jax
import jax.numpy as jnp
import numpy as np

BITS = 64  # of a seed; all of them come into the key


def random_seed() -> int:
    """A seed that nobody can guess or try out."""
    return secrets.randbits(BITS)


def root(seed: int) -> jax.Array:
    """The key of a seed from 0 to 2**64 - 1; below 2**32 that of `jax.random.key`.

    Note: JAX's own takes 32 bits of a seed where 64-bit numbers are not switched on.
    """
    words = jnp.asarray(np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32))
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def named(key: jax.Array, name: str) -> jax.Array:
    """Another key for each name, by 64 bits of its hash (BLAKE2): no two share one."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    for word in np.frombuffer(digest, "<u4"):
        key = jax.random.fold_in(key, word)
    return key
