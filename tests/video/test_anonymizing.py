"""Walks of a clip's people: in pieces or whole, each with one key."""

import jax
import numpy as np

from stgan_jax.data.walkers import procedural
from stgan_jax.methods import api, catalog
from stgan_jax.video.people import anonymizing, tracking
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Subject

SHAPE = (240, 400)


def test_everybody_gets_one_noise_and_nobody_shares_it(model):
    """Whatever else is in the batch, and in whatever pieces the walk comes."""
    walks = [procedural.silhouettes(s, 90, frames=n) for s, n in ((90, 70), (90, 20), (91, 5))]
    keys = list(jax.random.split(jax.random.key(3), 3))
    together = model.many(walks, keys)
    for walk, key, result in zip(walks, keys, together, strict=True):
        assert np.array_equal(result, model(walk, key))
        assert np.array_equal(result[-3:], model(walk[-3:], key))
    assert np.mean(together[0][:20] != together[1]) > 0.001


def long_walk(frames, shelf):
    tracker = tracking.Tracker(SHAPE, shelf=shelf)
    for number, mask in enumerate(procedural.silhouettes(3, 90, frames=frames)):
        tracker.update(number, np.pad(mask, ((0, 0), (number, 160 - number))))
    [track] = tracker.tracks
    return Subject(track.sightings)


class Blurred(api.Anonymizer):
    """A model whose every frame depends on `context` frames before and after it."""

    kind, context = "blurred", 7

    def __init__(self):
        self.lengths = []

    def __call__(self, walk, key):
        self.lengths.append(len(walk))
        reach = self.context
        around = [walk[max(t - reach, 0) : t + reach + 1] for t in range(len(walk))]
        return np.stack([near.max(0) for near in around])


def test_a_long_walk_in_pieces_is_as_in_one(tmp_path):
    frames, shelf, model = 150, Shelf(tmp_path), Blurred()
    key = jax.random.key(0)
    subject = long_walk(frames, shelf)
    [person] = anonymizing.anonymize([subject], SHAPE, 25.0, key, model, shelf)
    assert max(model.lengths) <= 64
    crops = np.stack([anonymizing._crop(person, i) for i in range(frames)])
    whole = model(crops, key)
    for i in range(frames):
        np.testing.assert_array_equal(person.silhouette(i), whole[i])


def test_a_re_timed_walk_is_one_and_fails_closed(tmp_path, monkeypatch):
    frames, shelf, root = 120, Shelf(tmp_path), jax.random.key(1)
    model = catalog.load().with_options(tempo=0.3)

    def anonymized(subject, model=model):
        [person] = anonymizing.anonymize([subject], SHAPE, 25.0, root, model, shelf)
        return person

    person = anonymized(long_walk(frames, shelf))
    crops = np.stack([anonymizing._crop(person, i) for i in range(frames)])
    key = jax.random.fold_in(root, 0)
    at_once = model(crops, key)
    for in_step in (False, True):
        other = model.with_options(tempo=0.0, in_step=in_step)(crops, key)
        assert np.mean(at_once != other) > 0.005
    for i in range(frames):  # sums in another order: a pixel here and there
        assert np.count_nonzero(person.silhouette(i) != at_once[i]) < 20

    crop = anonymizing._crop
    monkeypatch.setattr(anonymizing, "_crop", lambda p, i: crop(p, i) if i != 70 else 1 / 0)
    hidden = anonymized(long_walk(frames, shelf)).hidden
    assert [i for i in range(frames) if hidden[i]] == [70]

    assert anonymized(long_walk(10, shelf)).hidden == [None] * 10

    class Broken(api.Anonymizer):
        """Fails after its first piece."""

        kind, whole = "broken", True

        def in_pieces(self, crops, frames, key):
            yield next(model.in_pieces(crops, frames, key))
            raise RuntimeError

    assert all(anonymized(long_walk(30, shelf), Broken()).hidden)
