"""Who plays which role: the papers' numbers, nobody twice."""

import pytest

from stgan_jax.data.datasets import splits
from stgan_jax.util.errors import InputError

SIZES = {
    "stgan": {"recognizer": 50, "noise": 10, "train": 16, "validation": 8, "test": 40},
    "wifs": {"recognizer": 24, "train": 10, "test": 90},
    "opengait": {"train": 74, "test": 50},
}


@pytest.mark.parametrize("seed", [None, 0, 7])
@pytest.mark.parametrize("protocol", SIZES)
def test_roles_have_the_published_sizes_and_share_nobody(protocol, seed):
    roles = splits.subjects(protocol, seed)
    assert {role: len(people) for role, people in roles.items()} == SIZES[protocol]
    assert sorted(s for people in roles.values() for s in people) == list(range(1, 125))


def test_fixed_roles_are_the_published_ones():
    assert splits.subjects("wifs/train") == {"train": tuple(range(1, 11))}
    assert splits.subjects("wifs/recognizer") == {"recognizer": tuple(range(101, 125))}
    assert splits.subjects("opengait/test") == {"test": tuple(range(75, 125))}
    assert splits.subjects("stgan/noise") == {"noise": tuple(range(51, 61))}


def test_a_seed_gives_other_roles_and_always_the_same():
    assert splits.subjects("stgan", 1) == splits.subjects("stgan", 1)
    assert splits.subjects("stgan", 1) != splits.subjects("stgan", 2)


@pytest.mark.parametrize("name", ["gan", "stgan/tset", ""])
def test_an_unknown_split_is_named(name):
    with pytest.raises(InputError, match="split"):
        splits.subjects(name)
