"""Seeds and keys. There are so many that nobody who has the weights can try them all."""

import hashlib
import secrets

import jax
import jax.numpy as jnp
import numpy as np

BITS = 64  # of a seed; the key depends on all of them


def random_seed() -> int:
    """A seed from the system's secure generator, which nobody can guess."""
    return secrets.randbits(BITS)


def root(seed: int) -> jax.Array:
    """The key for a seed from 0 to 2**64 - 1; below 2**32 equal to `jax.random.key(seed)`.

    Note: `jax.random.key` takes 32 bits of a seed only, unless 64-bit numbers are enabled.
    """
    words = jnp.asarray(np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32))
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def named(key: jax.Array, name: str) -> jax.Array:
    """A key for each name, from 64 bits of its hash (BLAKE2), so that no two names share one."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    for word in np.frombuffer(digest, "<u4"):
        key = jax.random.fold_in(key, word)
    return key
