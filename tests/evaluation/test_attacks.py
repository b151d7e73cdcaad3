"""Privacy figures against closed forms, brute force and what must hold by construction."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from stgan_jax.evaluation import attacks, gaits
from stgan_jax.util.errors import InputError

VIEWS, SUBJECTS = (0, 90), 20


def world(rng, spread=0.3):
    """Points of people seen from two views, some walks each: names and features."""
    rows = [
        (subject, condition, repetition, view)
        for subject, view in itertools.product(range(SUBJECTS), VIEWS)
        for condition, repetition in [("nm", n) for n in range(1, 7)] + [("cl", 1), ("cl", 2)]
    ]
    centres = rng.normal(size=(SUBJECTS, len(VIEWS), 8))
    subject, condition, repetition, view = (np.array(x) for x in zip(*rows, strict=True))
    features = centres[subject, (view > 0).astype(int)]
    features = features + spread * rng.normal(size=features.shape)
    empty = [np.zeros((0, 352), np.uint8)] * len(rows)
    large = np.zeros((len(rows), 126, 126), np.uint8)
    none = np.zeros((len(rows), 0), np.float32)
    named = gaits.AlignedGaits(empty, large, subject, condition, repetition, view, none)
    return named, features


def compared(named, features, anonymized=None):
    """Anonymised features of the probes against the gallery's."""
    is_gallery = (named.condition == "nm") & (named.repetition <= 4)
    anonymized = features if anonymized is None else anonymized
    probes, gallery = anonymized[~is_gallery], features[is_gallery]
    distances = np.linalg.norm(probes[:, None] - gallery, axis=-1)
    return attacks.matching(lambda *_: distances, named[is_gallery], named[~is_gallery])


def test_hits_equal_a_loop_over_subjects():
    rng = np.random.default_rng(0)
    gallery, probes = rng.integers(0, 6, 40) + 3, rng.integers(0, 6, 25) + 3
    gallery[:6] = np.arange(6) + 3
    distances = rng.random((25, 40))
    for top in (1, 3):
        expected = []
        for row, own in zip(distances, probes, strict=True):
            order = sorted(set(gallery), key=lambda s: row[gallery == s].min())
            expected.append(float(own in order[:top]))
        assert 0 < np.mean(expected) < 1
        np.testing.assert_array_equal(attacks.hits(distances, gallery, probes, top), expected)


def test_equally_near_subjects_are_a_guess():
    distances = np.zeros((3, 10))
    gallery = np.repeat(np.arange(5), 2)
    np.testing.assert_allclose(attacks.hits(distances, gallery, np.arange(3)), 1 / 5)
    np.testing.assert_allclose(attacks.hits(distances, gallery, np.arange(3), top=3), 3 / 5)


def test_success_by_both_definitions():
    before = np.array([1.0, 1, 1, 1, 0, 0])
    found = np.array([1.0, 0, 0, 0, 0, 1])
    rates = attacks.success(found, before)
    assert rates == pytest.approx({"all": 4 / 6, "recognized_before": 3 / 4})
    assert np.isnan(attacks.success(found, np.zeros(6))["recognized_before"])


def test_walks_of_the_same_view_alone_give_the_same_figures():
    named, features = world(np.random.default_rng(8), spread=0.9)
    named.large[:] = np.rint(40 * features[:, :1, None] + 128)
    is_gallery = (named.condition == "nm") & (named.repetition <= 4)
    asked = []

    def distances(gallery, probes):
        asked.append(len(gallery) * len(probes))
        p, g = (gaits.large[:, 0, 0].astype(float) for gaits in (probes, gallery))
        return np.abs(p[:, None] - g)

    every, same = (
        attacks.matching(distances, named[is_gallery], named[~is_gallery], across)
        for across in (True, False)
    )
    assert sum(asked[1:]) == asked[0] / len(VIEWS)
    figures = attacks.figures(same, same, across_views=False)
    assert figures == attacks.figures(every, every, across_views=False)
    assert 0.03 < figures["conditions"]["nm"]["rank1"]["accuracy"] < 1


def test_an_anonymiser_that_changes_nothing_has_no_success():
    named, features = world(np.random.default_rng(1), spread=0.9)
    clean = compared(named, features)
    figures = attacks.figures(clean, clean)
    for row in figures["conditions"].values():
        assert 0.3 < row["rank1"]["accuracy"] < 1
        assert row["rank1"]["success"]["recognized_before"] == 0
        assert row["rank1"]["success"]["all"] == pytest.approx(1 - row["rank1"]["accuracy"])


def test_one_silhouette_for_everybody_is_chance():
    named, features = world(np.random.default_rng(2))
    clean, same = compared(named, features), np.zeros_like(features)
    ignorant = compared(named, features, same)
    lazy = compared(named, same, same)
    for matching in (ignorant, lazy):
        figures = attacks.figures(matching, clean)
        for row in figures["conditions"].values():
            assert row["rank1"]["accuracy"] == pytest.approx(1 / SUBJECTS)
            assert row["rank3"]["accuracy"] == pytest.approx(3 / SUBJECTS)
    assert figures["eer"] == pytest.approx(0.5)
    assert figures["linkability"] == pytest.approx(0)


def test_a_gallery_with_permuted_names_is_chance():
    rng = np.random.default_rng(3)
    named, features = world(rng)
    accuracies = []
    for _ in range(40):
        names = rng.permutation(SUBJECTS)
        clean = compared(named, features)
        shuffled = dataclasses.replace(clean, gallery_subject=names[clean.gallery_subject])
        accuracies.append(shuffled.same_view().mean())
    # A permutation leaves one of its items in place on average.
    assert np.mean(accuracies) == pytest.approx(1 / SUBJECTS, abs=0.03)
    assert compared(named, features).same_view().mean() > 0.9


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.5])
def test_eer_and_linkability_match_gaussian_scores(gap):
    rng = np.random.default_rng(4)
    mated, nonmated = rng.normal(gap, 1, 30_000), rng.normal(0, 1, 300_000)
    assert attacks.equal_error_rate(mated, nonmated) == pytest.approx(
        scipy.stats.norm.cdf(-gap / 2), abs=0.006
    )

    def density(score):
        p, q = scipy.stats.norm.pdf(score, gap), scipy.stats.norm.pdf(score)
        return p * max(2 * p / (p + q) - 1, 0.0)

    expected = scipy.integrate.quad(density, -9, 9 + gap)[0]
    assert attacks.linkability(mated, nonmated) == pytest.approx(expected, abs=0.015)


def test_eer_of_scores_that_part_people_is_zero():
    assert attacks.equal_error_rate(np.array([2.0, 3]), np.array([0.0, 1])) == 0
    assert attacks.equal_error_rate(np.array([0.0, 1]), np.array([2.0, 3])) == 1
    assert attacks.linkability(np.array([2.0, 3]), np.array([0.0, 1])) == 1


def test_interval_is_as_wide_as_the_spread_of_subjects():
    rng = np.random.default_rng(5)
    subjects = np.repeat(np.arange(60), 10)
    # Ten equal probes say no more of a person than one does.
    values = np.repeat(rng.random(60) < 0.5, 10).astype(float)
    low, high = attacks.interval(values, subjects)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(60), rel=0.15)
    assert low < values.mean() < high
    assert attacks.interval(np.ones(600), subjects) == (1.0, 1.0)


def test_table_of_views_equals_a_nearest_neighbour_loop():
    named, features = world(np.random.default_rng(6), spread=0.8)
    matching = compared(named, features)
    table = matching.table("cl")
    for i, view in enumerate(VIEWS):
        for j, stored in enumerate(VIEWS):
            expected = []
            for p in np.flatnonzero(
                (matching.probe_view == view) & (matching.probe_condition == "cl")
            ):
                g = np.flatnonzero(matching.gallery_view == stored)
                nearest = g[np.argmin(matching.distances[p, g])]
                expected.append(matching.gallery_subject[nearest] == matching.probe_subject[p])
            assert table[i, j] == pytest.approx(np.mean(expected))
    rows = attacks.figures(matching, matching)["table"]["cl"]
    assert rows["mean_other_views"] == pytest.approx((table[0, 1] + table[1, 0]) / 2)


def test_probes_that_nobody_could_find_are_refused():
    distances = np.zeros((2, 3))
    with pytest.raises(InputError, match="subject 9 has no gallery walk"):
        attacks.hits(distances, np.array([1, 2, 2]), np.array([1, 9]))
    with pytest.raises(InputError, match="one subject alone"):
        attacks.hits(distances, np.array([1, 1, 1]), np.array([1, 1]))
    named, features = world(np.random.default_rng(7))
    matching = compared(named, features)
    with pytest.raises(InputError, match="seen from 54 degrees"):
        matching.hits(0, 54)


def test_probes_without_a_gallery_walk_are_left_out_and_counted():
    named, features = world(np.random.default_rng(9))
    matching = compared(named, features)
    kept = ~((matching.gallery_subject == 4) & (matching.gallery_view == 90))
    fewer = dataclasses.replace(
        matching,
        distances=matching.distances[:, kept],
        gallery_subject=matching.gallery_subject[kept],
        gallery_view=matching.gallery_view[kept],
    )
    missing = np.isnan(fewer.same_view())
    np.testing.assert_array_equal(
        missing, (matching.probe_subject == 4) & (matching.probe_view == 90)
    )
    figures = attacks.figures(fewer, matching)
    assert figures["probes_without_gallery"] == 4
    assert figures["conditions"]["nm"]["rank1"]["accuracy"] == pytest.approx(
        matching.same_view()[~missing & (matching.probe_condition == "nm")].mean()
    )
