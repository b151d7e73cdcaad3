"""The interface of all methods: options, names, keys of walks, and contours."""

import dataclasses

import jax
import numpy as np
import pytest

from stgan_jax.data.datasets.names import WalkName
from stgan_jax.methods import catalog
from stgan_jax.methods.api import Anonymizer, walk_keys
from stgan_jax.methods.baselines import Unprotected
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError

OPTIONS = ("alpha", "in_step", "turn", "manner")


@pytest.fixture(scope="module", params=["stgan", "silhouette", "unprotected"])
def plain(request):
    """A method without options."""
    return Unprotected() if request.param == "unprotected" else catalog.load(request.param)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_a_method_lacks_is_refused(plain, option):
    with pytest.raises(
        InputError, match=rf"{plain.name}: a '{plain.kind}' model has no --{option}"
    ):
        plain.with_options(**{option: 0.5})
    assert plain.with_options(**{option: None}) is plain


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"alpha": 1.5}, "alpha must be from 0 to 1"),
        ({"alpha": -0.1}, "alpha must be from 0 to 1"),
        ({"alpha": float("nan")}, "alpha must be from 0 to 1"),
        ({"turn": 31.0}, "turn must be from 0 to 30"),
        ({"manner": 1.1}, "manner must be from 0 to 1"),
    ],
)
def test_an_option_out_of_range_is_refused(shipped, options, sentence):
    with pytest.raises(InputError, match=sentence):
        shipped.with_options(**options)


def test_options_change_a_copy_and_its_digest(shipped):
    assert shipped.with_options(**dict.fromkeys(OPTIONS)) is shipped
    before, digest = shipped.options, shipped.digest
    half = shipped.with_options(alpha=0.5, turn=None)
    assert half.options == dataclasses.replace(before, alpha=0.5)
    assert (half.alpha, shipped.alpha) == (0.5, 1.0)
    assert (shipped.options, shipped.digest) == (before, digest)
    values = {"alpha": 0.5, "in_step": True, "turn": 0.0, "manner": 0.7}
    others = [shipped.with_options(**{name: value}) for name, value in values.items()]
    assert len({digest, *(other.digest for other in others)}) == 5


def test_a_copy_by_another_name_leaves_the_name(shipped):
    assert shipped.named("other").name == "other"
    assert shipped.name != "other"


def test_keys_of_walks_are_a_function_of_name_and_seed():
    walk = WalkName(3, "nm", 1, 90, 50)
    others = [
        dataclasses.replace(walk, **{name: value})
        for name, value in (("subject", 4), ("condition", "cl"), ("repetition", 2), ("view", 72))
    ]
    bits = [bytes(np.asarray(jax.random.key_data(key))) for key in walk_keys([walk, *others], 0)]
    assert len(set(bits)) == 5
    np.testing.assert_array_equal(
        jax.random.key_data(walk_keys([walk], 0)),
        jax.random.key_data(walk_keys([walk, *others], 0))[:1],
    )
    other_seed = jax.random.key_data(walk_keys([walk], 1))
    assert (np.asarray(other_seed) != np.asarray(jax.random.key_data(walk_keys([walk], 0)))).any()


class Mirror(Anonymizer):
    """Every silhouette seen from the other side."""

    kind = name = "mirror"

    def __call__(self, silhouettes, key):
        return silhouettes[..., ::-1]


def test_contours_are_by_default_those_of_silhouettes_and_empty_ones_stay_empty(walks):
    own, names = walks[0][:2, :4].copy(), walks[1][:2]
    own[1, 2] = 0.0
    after = Mirror().contours(own, names, 0)
    assert not after[1, 2].any()
    there = own.any(-1)
    masks = contour.decode(contour.to_pixels(own), "resampled")[..., ::-1][there]
    drawn = contour.decode(after, "resampled")[there]
    assert np.sum(masks & drawn) / np.sum(masks | drawn) > 0.98


def test_a_method_without_many_anonymises_one_walk_after_the_other():
    masks = (np.random.default_rng(0).random((2, 3, 240, 240)) < 0.5).astype(np.uint8)
    keys = list(jax.random.split(jax.random.key(0), 2))
    one, other = Mirror().many([masks[0], masks[1, :2]], keys)
    np.testing.assert_array_equal(one, masks[0, ..., ::-1])
    np.testing.assert_array_equal(other, masks[1, :2, :, ::-1])
