"""Identities: what of a person `manner` moderates."""

import pytest

from stgan_jax.shapes import identity


def test_manner_moderates_the_walk_and_leaves_the_build():
    people = [identity.sample_identity(7, manner) for manner in (1.0, 0.5, 0.0)]
    swings = [person.hip_swing for person in people]
    assert swings[1] - 1 == pytest.approx((swings[0] - 1) / 2)
    assert swings[2] == 1.0
    assert people[0] == identity.sample_identity(7)
    assert people[2].harmonics == (0, 0, 0, 0)
    builds = [(p.legs, p.belly, p.lean, p.cadence, p.bag, p.hair, p.coat_bulk) for p in people]
    assert builds[0] == builds[1] == builds[2]
