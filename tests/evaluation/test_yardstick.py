"""What the yardstick must show by construction: chance where nothing is, people where they are."""

import dataclasses

import numpy as np
import pytest
import toys

from stgan_jax.evaluation import attacks, fusion, numbers
from stgan_jax.evaluation.attackers import apart, split
from stgan_jax.evaluation.recognizers import gait_numbers, gei, sequence_network, set_network
from stgan_jax.shapes import gait
from stgan_jax.util.errors import InputError


def matching(distances, walks):
    """The last two walks of each person against the others."""
    probes = walks.repetition > walks.repetition.max() - 2
    return attacks.matching(distances, walks[~probes], walks[probes], across_views=False)


def rank1(distances, walks):
    return matching(distances, walks).same_view().mean()


# Numbers


@pytest.fixture(scope="module")
def taught():
    return gait_numbers.train(toys.numbered(range(100, 130)), 0, gait_numbers.GaitNumbersSettings())


def test_numbers_that_are_people_s_find_them_alone_and_together(taught):
    walks = toys.numbered(range(1, 21))
    assert rank1(taught.distances, walks) == 1
    assert matching(taught.distances, walks).scores()[0].mean() > 0
    for part in taught.parts:
        alone = rank1(lambda g, p, part=part: taught.part(part, g, p), walks)
        assert alone > 0.15  # chance 0.05; one number of 17 tells some of 20 people apart


def test_permuted_numbers_are_chance(taught):
    walks = toys.permuted(toys.numbered(range(1, 41)))
    for distances in (taught.distances, lambda g, p: taught.part(gait_numbers.NEAREST, g, p)):
        assert rank1(distances, walks) < 0.1  # 160 probes, chance 0.025
        error = attacks.equal_error_rate(*matching(distances, walks).scores())
        assert error == pytest.approx(0.5, abs=0.05)


def test_likelihood_ratio_of_two_walks_by_the_gaussians_themselves():
    from scipy.stats import multivariate_normal

    walks = toys.numbered(range(60), spread=0.8, views=(90,))
    taught = gait_numbers.train(walks, 0, gait_numbers.GaitNumbersSettings())
    some = walks[np.arange(5)]
    values = some.numbers / taught.scale @ taught.directions - taught.middle[0]
    expected = np.zeros((5, 5))
    for i, j in np.ndindex(5, 5):
        for k, between in enumerate(taught.between):
            pair = values[[i, j], k]
            one = np.array([[1 + between, between], [between, 1 + between]])
            two = np.diag([1 + between] * 2)
            expected[i, j] += multivariate_normal.logpdf(pair, cov=one)
            expected[i, j] -= multivariate_normal.logpdf(pair, cov=two)
    found = -taught.distances(some, some)
    offset = (expected - found)[0, 0]
    np.testing.assert_allclose(found + offset, expected, atol=1e-3)


def test_numbers_of_a_walk_are_those_that_it_was_made_of():
    phase = 0.3 + 0.04 * np.arange(50)
    view = 60 + 0.2 * np.arange(50)

    class Reader:
        digest = "known"

        def read_gait(self, silhouettes):
            uneven = phase + 0.03 * np.cos(2 * np.pi * phase)
            return gait.pose_vector(uneven, view, 0.7, "cl", 16.0)

    found = numbers.of_walk(Reader(), np.ones((50, 240, 240), np.uint8))
    part = {name: found[columns] for name, columns in numbers.NAMES.items()}
    assert part["cadence"] == pytest.approx(0.04, rel=0.02)
    assert part["asymmetry"] == pytest.approx([0.03, 0], abs=0.01)  # smoothing takes some
    assert np.degrees(np.arctan2(*part["view"][::-1])) == pytest.approx(view.mean(), abs=1)
    assert part["turning"][0] == pytest.approx(0.2, rel=0.3)
    assert part["swing"] == pytest.approx([0.7, 0], abs=1e-3)
    assert (part["bag"][0], part["coat"][0]) == (0, 1)
    assert part["pitch"][0] == pytest.approx(16 / 25)
    assert not numbers.of_walk(Reader(), np.zeros((50, 240, 240), np.uint8)).any()


def test_walks_whose_numbers_were_not_read_are_refused(taught):
    walks = toys.numbered(range(4))
    none = dataclasses.replace(walks, numbers=walks.numbers[:, :0])
    with pytest.raises(InputError, match="no gait was read"):
        taught.distances(none, none)
    with pytest.raises(InputError, match="two people need two walks"):
        gait_numbers.train(walks[walks.subject == 1], 0, gait_numbers.GaitNumbersSettings())


# Cadence alone


@pytest.fixture(scope="module")
def cadences():
    """Walks of others to learn from, and of six people to be found."""
    known = toys.in_cadence(np.linspace(0.6, 1.3, 12), walks=4, first=101)
    return known, toys.in_cadence(np.linspace(0.65, 1.25, 6), walks=6, spread=0.01)


def test_cadence_alone_is_found_by_who_looks_at_time_and_by_nobody_else(cadences):
    known, walks = cadences
    by_numbers = gait_numbers.train(known, 0, gait_numbers.GaitNumbersSettings())
    assert rank1(by_numbers.distances, walks) > 0.9
    assert rank1(lambda g, p: by_numbers.part("cadence", g, p), walks) > 0.9
    assert rank1(gei.Gei().distances, walks) < 0.5  # 12 probes, chance 0.17

    size = {"subjects": 6, "walks": 3, "channels": (4, 8), "size": 8, "learning_rate": 1e-2}
    ordered = sequence_network.SequenceNetworkSettings(steps=60, temporal=16, **size)
    by_sequence = sequence_network.train(known, 0, ordered)
    by_set = set_network.train(known, 0, set_network.SetNetworkSettings(steps=20, **size))
    assert rank1(by_sequence.distances, walks) > 0.6
    assert rank1(by_set.distances, walks) < 0.5


# Fusion


def scores(rng, people, *strengths):
    """Matchings of two probes and four gallery walks of each by recognisers of some strength."""
    who = np.arange(people)
    probe, gallery = np.repeat(who, 2), np.repeat(who, 4)
    out = {}
    for i, strength in enumerate(strengths):
        centres = rng.normal(size=(people, 6))
        p, g = (strength * centres[x] + rng.normal(size=(len(x), 6)) for x in (probe, gallery))
        # Recognisers' distances have no common unit.
        distances = (i + 1) * 7.0 * np.linalg.norm(p[:, None] - g, axis=-1) + 100 * i
        out[f"r{i}"] = attacks.Matching(
            distances,
            probe,
            np.repeat("nm", len(probe)),
            np.repeat(90, len(probe)),
            gallery,
            np.repeat(90, len(gallery)),
        )
    return out


@pytest.mark.parametrize("strengths", [(1.5, 0.0, 0.0), (1.0, 1.0, 0.5), (2.5, 0.3, 0.0, 0.0)])
def test_fusion_is_never_below_its_best_member_by_more_than_its_interval(strengths):
    rng = np.random.default_rng(len(strengths))
    weights = fusion.weights(scores(rng, 10, *strengths))
    found = scores(rng, 40, *strengths)
    hits = {name: one.same_view() for name, one in found.items()}
    best = max(hits.values(), key=np.mean)
    low, high = attacks.interval(best, found["r0"].probe_subject)
    together = fusion.fused(found, weights).same_view().mean()
    assert together >= best.mean() - (high - low) / 2
    if strengths == (1.0, 1.0, 0.5):
        assert together > best.mean()  # what they see is independent


def test_fusion_weighs_by_strength_and_never_below_zero():
    rng = np.random.default_rng(5)
    known = scores(rng, 30, 2.0, 1.0, 0.0)
    known["against"] = attacks.Matching(
        -known["r0"].distances, *list(vars(known["r0"]).values())[1:]
    )
    weights = fusion.weights(known)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["r0"] > weights["r1"] > 3 * weights["r2"] >= 0
    assert weights["against"] == 0


def test_normalised_scores_have_no_unit_and_leave_uncompared_walks_out():
    one = scores(np.random.default_rng(0), 5, 1.0)["r0"]
    other = attacks.Matching(3 * one.distances + 8, *list(vars(one).values())[1:])
    np.testing.assert_allclose(fusion.normalized(one), fusion.normalized(other), atol=1e-6)
    np.testing.assert_allclose(fusion.normalized(one).std(1), 1)
    views = np.tile([54, 90], 10)
    apart_ = np.where(one.probe_view[:, None] == views, one.distances, np.inf)
    split_views = attacks.Matching(apart_, *list(vars(one).values())[1:5], views)
    found = fusion.normalized(split_views)
    assert (np.isneginf(found) == (views == 54)).all()
    assert np.isfinite(fusion.fused({"a": split_views}, {"a": 1.0}).distances[:, 1::2]).all()


def test_a_fifth_of_the_recognisers_subjects_weighs_and_teaches_nothing():
    assert split(tuple(range(1, 51))) == (tuple(range(1, 41)), tuple(range(41, 51)))
    assert split((1, 2, 3, 4)) == ((1, 2), (3, 4))
    assert split((1, 2, 3)) == ((1, 2, 3), ())
    learnt, weighing = apart(toys.numbered(range(10)))
    assert set(learnt.subject) == set(range(8))
    assert set(weighing.subject) == {8, 9}
    assert apart(toys.numbered(range(3)))[1] is None
