"""Looks: heads of human proportions, loose cloth that follows the legs, hands and soles."""

import dataclasses

import numpy as np
import pytest

from stgan_jax.shapes import body, identity, looks
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.walker import Walker

PHASE = np.arange(40) / 40


def posed(seed=5, condition="nm", phase=PHASE, **look):
    person = dataclasses.replace(identity.sample_identity(seed), look=looks.Appearance(**look))
    return person, body.body_spheres(person, identity.MEAN_MOTION, condition, phase)[0]


def extent(spheres, names, axis):
    low = np.min([spheres[n][0][:, axis] - spheres[n][1] for n in names], 0)
    high = np.max([spheres[n][0][:, axis] + spheres[n][1] for n in names], 0)
    return float(np.mean(high - low))


def test_heads_have_the_proportions_of_people_s():
    """Height 0.13 of the stature, breadth 0.09, length 0.113 (Drillis and Contini; NASA 1978)."""
    sizes = []
    for seed in range(40):
        person, spheres = posed(seed)
        names = next(part.spheres for part in body.body_parts(person, "nm") if part.name == "head")
        sizes.append([extent(spheres, names, axis) for axis in (2, 1, 0)])
    assert np.mean(sizes, 0) == pytest.approx([0.13, 0.09, 0.113], abs=0.006)


def test_who_wears_what_is_drawn_and_nothing_else():
    plain, _ = posed()
    bare = {part.name for part in body.body_parts(plain, "nm")}
    for look, name in (
        ({"jacket": 0.3}, "jacket"), ({"skirt": 0.8}, "drape"), ({"knot": 2}, "knot"),
        ({"cap": True}, "cap"),
    ):  # fmt: skip
        person, spheres = posed(**look)
        parts = body.body_parts(person, "nm")
        assert {part.name for part in parts} - bare == {name}
        assert {sphere for part in parts for sphere in part.spheres} <= set(spheres)
    assert not {part.name for part in body.body_parts(posed(jacket=0.3)[0], "cl")} & {"jacket"}


def test_hems_swing_with_the_legs_and_late():
    _, spheres = posed(skirt=1.0, trousers=1.0)
    knee, hem = (spheres[f"{name}_R"][0][:, 0] for name in ("knee", "drape"))
    lags = [np.corrcoef(knee, np.roll(hem, -lag))[0, 1] for lag in range(-10, 11)]
    assert 1 <= np.argmax(lags) - 10 <= 4  # of 40 frames a cycle: later than the knee
    assert 0.6 * np.ptp(knee) < np.ptp(hem) < np.ptp(knee)


def test_wide_trousers_cover_ankles_and_leave_legs_apart():
    widths = []
    for trousers in (0.0, 1.0):
        person, _ = posed(trousers=trousers)
        gait = Gait(np.full(1, 0.0), np.full(1, 90.0), np.ones(1), "nm", 6.0)
        mask = Walker(person, gait).silhouettes()[0]
        rows = np.flatnonzero(mask.any(1))
        line = mask[rows[0] + round(0.91 * np.ptp(rows))].astype(int)  # above the ankles
        edges = np.flatnonzero(np.diff(line))
        assert len(edges) == 4  # into a leg, out of it, into the other and out
        widths.append(np.diff(edges)[::2].mean())
    assert widths[1] > 1.2 * widths[0]


def test_looks_are_a_function_of_the_seed_and_not_among_the_numbers_that_are_read():
    people = [identity.sample_identity(seed) for seed in range(300)]
    assert people[7] == identity.sample_identity(7)
    assert len({person.look for person in people}) == len(people)
    for name, least, most in (("jacket", 90, 150), ("skirt", 15, 60), ("cap", 15, 50)):
        assert least < sum(bool(getattr(person.look, name)) for person in people) < most
    bare = dataclasses.replace(people[7], look=looks.PLAIN)
    np.testing.assert_array_equal(identity.vector(people[7]), identity.vector(bare))
    assert identity.from_vector(identity.vector(people[7])).look == looks.PLAIN
