"""The recovery attack: it finds what is there to be found, and nothing else."""

import numpy as np
import pytest

from stgan_jax.evaluation import recovery
from stgan_jax.util.errors import InputError

FRAMES = 3


@pytest.fixture(scope="module")
def people():
    """Pairs to learn from and to attack: bodies (a vector each) that move alike."""
    rng = np.random.default_rng(0)
    motion = 0.02 * rng.normal(size=(FRAMES, 4000))

    def pairs(first, count):
        bodies = 0.5 + 0.05 * rng.normal(size=(count, 3)) @ shapes
        gaits = (bodies[:, None] + motion).astype(np.float32)
        return recovery.Pairs(gaits, gaits, np.arange(first, first + count))

    shapes = rng.normal(size=(3, 4000))
    return pairs(0, 20), pairs(20, 8)


def hidden(pairs, change):
    rng = np.random.default_rng(1)
    return pairs._replace(anonymized=change(pairs.original, rng).astype(np.float32))


def test_static_noise_that_lies_elsewhere_is_computed_away(people):
    # Noise in a direction that no body differs in: the mixture looks far off and is no secret.
    away = np.random.default_rng(2).normal(size=4000)

    def mixed(x, rng):
        return x + 0.3 * rng.normal(size=(len(x), 1, 1)) * away

    figures = recovery.figures(*(hidden(each, mixed) for each in people))
    assert figures["untouched"] > 20
    assert figures["recovered"] < 0.1 * figures["mean_pose"]


def test_nothing_comes_back_of_a_replaced_body(people):
    known, attacked = people
    someone = known.original[0]

    def replaced(x, rng):
        return np.broadcast_to(someone, x.shape)

    figures = recovery.figures(hidden(known, replaced), hidden(attacked, replaced))
    assert figures["recovered"] == pytest.approx(figures["mean_pose"], rel=0.05)


def test_distances_are_in_pixels_and_by_hand():
    rng = np.random.default_rng(3)
    gaits = rng.random((2, 2, 4000)).astype(np.float32)
    known = recovery.Pairs(gaits, gaits, np.array([1, 2]))
    original = gaits[:1]
    moved = original.reshape(1, 2, 2000, 2) + np.array([3 / 240, 4 / 240])
    attacked = recovery.Pairs(original, moved.reshape(original.shape), np.array([3]))
    figures = recovery.figures(known, attacked)
    assert figures["untouched"] == pytest.approx(5, rel=1e-3)
    # Each known person in the pose nearest to the true one: the first in the very same frame.
    pose = gaits - gaits.mean(1, keepdims=True)
    nearest = [np.linalg.norm(pose[1] - wanted, axis=1).argmin() for wanted in pose[0]]
    guess = (gaits[0] + gaits[1][nearest]) / 2
    expected = 240 * np.linalg.norm((guess - gaits[0]).reshape(2, 2000, 2), axis=-1).mean()
    assert figures["mean_pose"] == pytest.approx(expected, rel=1e-4)


def test_one_known_person_is_too_few(people):
    alone = people[0]._replace(subject=np.zeros(20, int))
    with pytest.raises(InputError, match="two known people"):
        recovery.figures(alone, people[1])
