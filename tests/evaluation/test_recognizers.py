"""The recognisers against closed forms, brute force and toy walkers; and how they are kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.evaluation import numbers, recognizers
from stgan_jax.evaluation.gaits import AlignedGaits, collect
from stgan_jax.evaluation.recognizers import (
    gait_numbers,
    gei,
    sequence_network,
    set_network,
    strips,
    wu,
    zheng,
)
from stgan_jax.util.errors import InputError


def toy_walk(walk, frames=6):
    """An ellipse on two swinging legs; the subject is how broad each part is, the view how wide."""
    rng = np.random.default_rng([walk.subject, 7])
    broad, leg, head = rng.uniform(12, 26), rng.uniform(4, 10), rng.uniform(6, 14)
    noise = np.random.default_rng([walk.subject, walk.repetition, walk.view])
    rows, columns = np.mgrid[:128, :96].astype(np.float64)
    out = np.zeros((frames, 128, 96), np.uint8)
    for t in range(frames):
        swing = (4 + 14 * np.sin(np.radians(walk.view))) * np.sin(t + noise.uniform(0, 0.3))
        body = ((columns - 48) / broad) ** 2 + ((rows - 55) / 34) ** 2 < 1
        top = ((columns - 48) / head) ** 2 + ((rows - 14) / 12) ** 2 < 1
        legs = np.zeros_like(body)
        for side in (-1, 1):
            middle = 48 + side * swing * (rows - 80) / 44
            legs |= (np.abs(columns - middle) < leg) & (rows > 78) & (rows < 124)
        out[t] = body | top | legs
    return out


def toy_gaits(subjects, views=(0, 90), repetitions=4):
    walks = [
        WalkName(s, "nm", r, v, 6)
        for s in subjects
        for r in range(1, repetitions + 1)
        for v in views
    ]
    found = collect((walk, toy_walk(walk)) for walk in walks)
    read = np.random.default_rng(0).normal(size=(len(walks), numbers.COUNT)).astype(np.float32)
    return dataclasses.replace(found, numbers=read)


@pytest.fixture(scope="module")
def known():
    return toy_gaits(range(1, 9))


@pytest.fixture(scope="module")
def strangers():
    return toy_gaits(range(51, 59), repetitions=2)


def accuracy(recognizer, gaits):
    """Rank-1, same view, walk 2 against walk 1."""
    gallery, probes = gaits[gaits.repetition == 1], gaits[gaits.repetition == 2]
    distances = recognizer.distances(gallery, probes)
    assert distances.shape == (len(probes), len(gallery))
    hits = []
    for row, subject, view in zip(distances, probes.subject, probes.view, strict=True):
        there = gallery.view == view
        hits.append(gallery.subject[there][row[there].argmin()] == subject)
    return np.mean(hits)


def permuted_frames(gaits, rng):
    packed = [p[rng.permutation(len(p))] for p in gaits.packed]
    return dataclasses.replace(gaits, packed=packed)


# Zheng


def linear_world(views=3, size=7, rank=4, walks=30, seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(views, size, rank))
    people = rng.normal(size=(rank, walks))
    return maps, maps @ people


def test_view_transform_recovers_the_true_one_of_a_linear_world():
    maps, features = linear_world()
    bases = zheng.view_bases(features, 4)
    for i in range(3):
        for j in range(3):
            if i != j:
                true = maps[j] @ np.linalg.pinv(maps[i])
                np.testing.assert_allclose(zheng.view_transform(bases, i, j), true, atol=1e-8)
    np.testing.assert_array_equal(zheng.view_transform(bases, 1, 1), np.eye(7))


def test_robust_split_takes_gross_errors_off_and_saves_the_transform():
    maps, features = linear_world(size=20, rank=3, walks=80)
    rng = np.random.default_rng(1)
    errors = np.where(
        rng.random(features.shape) < 0.03, 30.0 * rng.choice([-1, 1], features.shape), 0
    )
    low, sparse = zheng.robust_split((features + errors).reshape(60, 80))
    np.testing.assert_allclose(sparse.reshape(errors.shape), errors, atol=0.05)
    true = maps[2] @ np.linalg.pinv(maps[0])

    def off(matrix):
        found = zheng.view_transform(zheng.view_bases(matrix, 3), 0, 2)
        return np.abs(found - true).max()

    assert off(low.reshape(features.shape)) < 0.02
    assert off(features + errors) > 0.1


def test_robust_split_of_a_matrix_adds_up_and_leaves_zeros():
    matrix = np.random.default_rng(0).normal(size=(12, 9))
    low, sparse = zheng.robust_split(matrix)
    np.testing.assert_allclose(low + sparse, matrix, atol=1e-4)
    assert not np.any(zheng.robust_split(np.zeros((3, 4)))[0])


def test_reduction_is_partial_least_squares_of_all_pixels():
    from sklearn.cross_decomposition import PLSRegression

    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(5), 6)
    images = rng.normal(size=(5, 50))[subjects] + 0.3 * rng.normal(size=(30, 50))
    images -= images.mean(0)
    labels = np.eye(5)[subjects]
    direct = PLSRegression(3, scale=False).fit(images, labels).x_rotations_
    found = zheng.reduction(images, subjects, 3)
    signs = np.sign((found * direct).sum(0))
    np.testing.assert_allclose(found * signs, direct, atol=1e-4)


def test_zheng_crosses_views_that_neighbours_do_not(known, strangers):
    settings = zheng.ZhengSettings(components=6, rank=4)
    recognizer = zheng.train(known, 0, settings)
    assert accuracy(recognizer, strangers) >= 0.75
    gallery = strangers[(strangers.repetition == 1) & (strangers.view == 0)]
    probes = strangers[(strangers.repetition == 2) & (strangers.view == 90)]
    nearest = recognizer.distances(gallery, probes).argmin(1)
    assert np.mean(gallery.subject[nearest] == probes.subject) >= 0.4  # chance 0.125


def test_zheng_says_which_view_it_does_not_know(known, strangers):
    recognizer = zheng.train(known[known.view == 0], 0, zheng.ZhengSettings(4, 4))
    with pytest.raises(InputError, match="without view 90"):
        recognizer.distances(strangers, strangers)


# Wu


@pytest.fixture(scope="module")
def network(known):
    """With kernels that call walks different in all sorts of ways, as a trained one does."""
    params = wu.train(known, 0, wu.WuSettings(steps=0)).params
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + 0.05 * rng.normal(size=x.shape).astype(np.float32), params)


def test_wu_has_as_many_parameters_as_the_paper_s(network):
    assert sum(x.size for x in jax.tree.leaves(network)) == 1_079_906


def test_wu_s_third_layer_is_a_convolution():
    rng = np.random.default_rng(0)
    images, kernel = (
        rng.normal(size=shape).astype(np.float32) for shape in ((2, 9, 8, 3), (7, 7, 3, 4))
    )
    expected = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(wu._product(images, kernel), expected, atol=1e-4)


@jax.jit
def logits_of(params, a, b):
    """The network as in the paper, for six pairs of energy images."""
    a, b = (x.astype(jnp.float32) / 255.0 for x in (a, b))
    return wu.PairNetwork().apply(params, a, b)


def test_wu_distances_are_the_network_applied_to_each_pair(network, strangers):
    gallery, probes = strangers[np.arange(3)], strangers[np.arange(5, 7)]
    found = wu.Wu(network).distances(gallery, probes)
    p, g = np.repeat(probes.large, 3, 0), np.tile(gallery.large, (2, 1, 1))
    odds = [np.diff(logits_of(network, *pair))[:, 0] for pair in ((p, g), (g, p))]
    np.testing.assert_allclose(found.ravel(), -np.mean(odds, 0), rtol=1e-3, atol=1e-3)


def test_wu_s_network_sees_the_order_and_its_distance_does_not(network, strangers):
    some = strangers[np.arange(12)]
    one, other = some.large[:6], some.large[6:]
    assert not np.allclose(
        logits_of(network, one, other), logits_of(network, other, one), atol=1e-3
    )
    table = wu.Wu(network).distances(some, some)
    np.testing.assert_allclose(table, table.T, atol=1e-4)


def test_wu_merges_by_difference_so_that_any_walk_is_as_like_itself(network, strangers):
    images = strangers.large[:6]
    logits = logits_of(network, images, images)
    np.testing.assert_allclose(logits, np.broadcast_to(logits[:1], (6, 2)), atol=1e-5)


def test_local_response_by_brute_force():
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 7)).astype(np.float32) * 30
    expected = np.zeros_like(x)
    for c in range(7):
        around = x[..., max(0, c - 2) : c + 3]
        expected[..., c] = x[..., c] / (2 + 1e-4 * (around**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(wu.local_response(jnp.asarray(x)), expected, rtol=1e-4)


def test_wu_s_pairs_are_half_of_one_person(known):
    draw = wu._batches(known, wu.WuSettings(subjects=3, views=2, walks=2))
    index = {image.tobytes(): s for image, s in zip(known.large, known.subject, strict=True)}
    images, first, second, same = draw(np.random.default_rng(0))
    assert same.mean() == 0.5
    assert len(images) == 12
    for a, b, label in zip(first, second, same, strict=True):
        assert a != b
        assert (index[images[a].tobytes()] == index[images[b].tobytes()]) == label


# The set network


@pytest.fixture(scope="module")
def small_set_network(known):
    settings = set_network.SetNetworkSettings(
        steps=60, subjects=4, walks=4, frames=4, channels=(8, 16), size=16, learning_rate=3e-3
    )
    return set_network.train(known, 0, settings)


def test_set_network_does_not_see_the_order_of_frames(small_set_network, strangers):
    some = strangers[np.arange(5)]
    shuffled = permuted_frames(some, np.random.default_rng(0))
    np.testing.assert_allclose(
        small_set_network.embed(some), small_set_network.embed(shuffled), atol=1e-5
    )


def test_set_network_sees_frames_where_an_average_does_not(small_set_network, strangers):
    walk = strangers[np.arange(1)]
    halved = dataclasses.replace(walk, packed=[walk.packed[0][:1]])
    apart = small_set_network.distances(walk, halved)
    assert apart[0, 0] > 1e-3
    assert small_set_network.distances(walk, walk)[0, 0] < 1e-2


def test_set_network_distance_is_the_mean_over_strips(small_set_network, strangers):
    some = strangers[np.arange(4)]
    vectors = small_set_network.embed(some)
    expected = [[np.linalg.norm(a - b, axis=-1).mean() for b in vectors] for a in vectors]
    np.testing.assert_allclose(small_set_network.distances(some, some), expected, atol=1e-2)


def test_walks_of_different_lengths_or_none_are_embedded_as_by_themselves(
    small_set_network, strangers
):
    lengths = (6, 3, 0, 1)
    some = strangers[np.arange(4)]
    some = dataclasses.replace(
        some, packed=[p[:n] for p, n in zip(some.packed, lengths, strict=True)]
    )
    together = small_set_network.embed(some)
    for i in range(4):
        alone = small_set_network.embed(some[np.array([i])])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_batch_all_triplet_loss_by_brute_force():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 3, 4)).astype(np.float32)
    who = np.array([0, 0, 1, 1, 1, 2, 2])
    means = []
    for s in range(3):
        values = []
        for a in range(7):
            for p in range(7):
                for n in range(7):
                    if a != p and who[a] == who[p] and who[a] != who[n]:
                        near = np.linalg.norm(x[a, s] - x[p, s])
                        far = np.linalg.norm(x[a, s] - x[n, s])
                        values.append(max(0.0, 0.7 + near - far))
        positive = [v for v in values if v > 0]
        means.append(sum(positive) / len(positive))
    found = jax.jit(lambda x: strips.triplet_loss(x, jnp.asarray(who), 0.7))(x)
    np.testing.assert_allclose(found, np.mean(means), rtol=1e-5)


def test_triplet_loss_of_separate_people_is_zero_and_has_gradients_where_walks_coincide():
    x = jnp.asarray(np.repeat(np.eye(2, dtype=np.float32) * 10, 2, 0)[:, None])
    who = jnp.array([0, 0, 1, 1])
    both = jax.jit(jax.value_and_grad(lambda x: strips.triplet_loss(x, who, 0.2)))
    value, grads = both(x)
    assert value == 0
    assert not np.any(grads)
    value, grads = both(jnp.zeros_like(x))
    assert value == pytest.approx(0.2)
    assert np.isfinite(grads).all()


# The sequence network


@pytest.fixture(scope="module")
def small_sequence_network(known):
    settings = sequence_network.SequenceNetworkSettings(
        steps=1, subjects=2, walks=2, frames=6, channels=(4, 8), size=8, temporal=8, stride=1
    )
    return sequence_network.train(known, 0, settings)


def test_sequence_network_sees_the_order_of_frames(small_sequence_network, strangers):
    some = strangers[np.arange(5)]
    shuffled = permuted_frames(some, np.random.default_rng(1))
    apart = np.abs(small_sequence_network.embed(some) - small_sequence_network.embed(shuffled))
    assert apart.max() > 1e-3


def test_sequences_of_different_lengths_or_none_are_embedded_as_by_themselves(
    small_sequence_network, strangers
):
    some = strangers[np.arange(4)]
    cut = [p[:n] for p, n in zip(some.packed, (6, 3, 0, 1), strict=True)]
    some = dataclasses.replace(some, packed=cut)
    together = small_sequence_network.embed(some)
    longer = [np.concatenate([p, np.repeat(p[-1:], 8, 0)]) if len(p) else p for p in cut]
    stands = small_sequence_network.embed(dataclasses.replace(some, packed=longer))
    for i in range(4):
        alone = small_sequence_network.embed(some[np.array([i])])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
    # One frame that stays is a walk of one frame, but to stop is something else.
    np.testing.assert_allclose(together[3], stands[3], atol=1e-5)
    assert np.abs(together[0] - stands[0]).max() > 1e-3


def test_networks_of_gaitbase_s_size_are_as_deep_and_wide():
    large = recognizers.KINDS["set_network"].sizes["large"]
    network = set_network.SetStrips(large.channels, large.size)
    shapes = jax.eval_shape(
        network.init, jax.random.key(0), jnp.zeros((1, 1, 64, 44)), jnp.ones(1, int)
    )
    kernels = [x.shape for x in jax.tree.leaves(shapes) if x.ndim == 4]
    assert sum(shape[0] == 3 for shape in kernels) == 9
    assert max(shape[-1] for shape in kernels) == 512


# All of them


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for recognisers that several tests use."""
    return tmp_path_factory.mktemp("kept") / "new"


def test_recognizers_learn_to_tell_strangers_apart(known, strangers, small_set_network, kept):
    assert accuracy(small_set_network, strangers) >= 0.6  # chance 0.125
    assert accuracy(recognizers.train("gei", known), strangers) >= 0.6
    before = wu.train(known, 0, wu.WuSettings(steps=0))
    after = recognizers.cached(kept, "wu", known, 0, SETTINGS["wu"])
    assert accuracy(after, strangers) >= 0.6
    few = known[(known.subject < 4) & (known.repetition < 3)]
    assert pair_entropy(after, few) < pair_entropy(before, few)


def pair_entropy(recognizer, gaits):
    """Mean cross-entropy of "same" and "different", each half, from distances."""
    odds = -recognizer.distances(gaits, gaits).astype(np.float64)
    same = gaits.subject[:, None] == gaits.subject
    other = ~np.eye(len(gaits), dtype=bool)
    return np.logaddexp(0, -odds[same & other]).mean() / 2 + np.logaddexp(0, odds[~same]).mean() / 2


SETTINGS = {
    "gei": gei.GeiSettings(),
    "zheng": zheng.ZhengSettings(4, 3),
    "wu": wu.WuSettings(steps=8, subjects=2, views=1, walks=2),
    "sequence_network": sequence_network.SequenceNetworkSettings(
        steps=1, subjects=2, walks=2, frames=6, channels=(4, 4), size=4, temporal=4
    ),
    "gait_numbers": gait_numbers.GaitNumbersSettings(),
    "set_network": set_network.SetNetworkSettings(
        steps=1, subjects=2, walks=2, frames=2, channels=(4, 4), size=4
    ),
}


@pytest.mark.parametrize("name", recognizers.KINDS)
def test_cache_trains_once_and_gives_back_the_same(name, known, strangers, kept, monkeypatch):
    some = strangers[np.arange(4)]
    first = recognizers.cached(kept, name, known, 0, SETTINGS[name])
    assert isinstance(first, recognizers.Recognizer)
    assert first.name == name

    def forbidden(*_):
        raise AssertionError("trained again")

    kind = dataclasses.replace(recognizers.KINDS[name], train=forbidden)
    monkeypatch.setitem(recognizers.KINDS, name, kind)
    again = recognizers.cached(kept, name, known, 0, SETTINGS[name])
    np.testing.assert_array_equal(first.distances(some, some), again.distances(some, some))


def test_cache_tells_walks_settings_and_seeds_apart(known, tmp_path):
    def names():
        return len(list(tmp_path.iterdir()))

    recognizers.cached(tmp_path, "zheng", known, 0, zheng.ZhengSettings(4, 3))
    assert names() == 1
    recognizers.cached(tmp_path, "zheng", known, 0, zheng.ZhengSettings(4, 2))
    recognizers.cached(tmp_path, "zheng", known, 1, zheng.ZhengSettings(4, 3))
    packed = [known.packed[0] ^ np.uint8(1), *known.packed[1:]]
    recognizers.cached(
        tmp_path, "zheng", dataclasses.replace(known, packed=packed), 0, zheng.ZhengSettings(4, 3)
    )
    assert names() == 4


@pytest.mark.parametrize(
    ("damage", "name"), [("cut", "zheng"), ("flipped", "set_network"), ("empty", "gei")]
)
def test_a_damaged_file_is_trained_anew_to_the_same(damage, name, known, tmp_path, capsys):
    recognizers.cached(tmp_path, name, known, 0, SETTINGS[name])
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    path.write_bytes({"cut": good[:-100], "flipped": bytes(flipped), "empty": b""}[damage])
    recognizers.cached(tmp_path, name, known, 0, SETTINGS[name])
    assert "damaged" in capsys.readouterr().out
    assert path.read_bytes() == good


def test_one_subject_alone_or_an_unknown_name_is_refused_in_a_sentence(known):
    alone = known[known.subject == 1]
    for name in ("zheng", "wu", "set_network", "sequence_network"):
        with pytest.raises(InputError, match="two subjects"):
            recognizers.train(name, alone)
    with pytest.raises(InputError, match="choose one of gei, zheng, wu, set_network"):
        recognizers.train("zhang", known)


def test_gei_distances_by_brute_force(strangers):
    some: AlignedGaits = strangers[np.arange(4)]
    found = gei.Gei().distances(some[np.arange(3)], some)
    images = [np.round(255 * some.frames(i).mean(0)) / 255 for i in range(4)]
    expected = [[np.sqrt(np.sum((p - g) ** 2)) for g in images[:3]] for p in images]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_partial_least_squares_of_images_that_are_alike_is_finite():
    two = np.random.default_rng(0).random((2, 30))
    subjects = np.array([1, 1, 2, 2, 3, 3])
    for images in (two[[0, 0, 1, 1, 0, 1]] - two.mean(0), np.zeros((6, 30))):
        found = zheng.reduction(images, subjects, 5)
        assert found.shape == (30, 5)
        assert np.isfinite(found).all()
