"""Seeds and keys."""

import zlib

import jax

from stgan_jax.video import keys


def test_seeds_beyond_32_bits_are_keys_of_their_own():
    """JAX alone would take the low half, or none; and no two walks share a key by their names."""
    seeds = [0, 7, (1 << 32) + 7, 7 << 32, (1 << 64) - 1]
    data = [jax.random.key_data(keys.root(seed)).tolist() for seed in seeds]
    assert data == [[0, 0], [0, 7], [1, 7], [7, 0], [0xFFFFFFFF] * 2]
    assert jax.random.key_data(jax.random.key(7)).tolist() == [0, 7]
    twins = ("plumless", "buckeroo")  # of one CRC-32
    assert zlib.crc32(twins[0].encode()) == zlib.crc32(twins[1].encode())
    one, other = (jax.random.key_data(keys.named(keys.root(7), name)) for name in twins)
    assert one.tolist() != other.tolist()
    assert len({keys.random_seed() >> 32 for _ in range(8)}) == 8
