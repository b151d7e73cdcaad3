"""Walks of a clip's people: in pieces or whole, each with one key; and who is not drawn."""

import dataclasses

import jax
import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.media.segmentation import Region
from stgan_jax.methods import api, catalog
from stgan_jax.video.people import anonymizing, course, tracking
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.people.sightings import Sightings, Subject

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
    model = catalog.load()

    def anonymized(subject, model=model):
        [person] = anonymizing.anonymize([subject], SHAPE, 25.0, root, model, shelf)
        return person

    person = anonymized(long_walk(frames, shelf))
    crops = np.stack([anonymizing._crop(person, i) for i in range(frames)])
    key = jax.random.fold_in(root, 0)
    [way] = course.ways([person.sightings], [], SHAPE, None)
    at_once = model(crops, key, course.track(way.places, 25.0, SHAPE, None))
    for track, in_step in ((None, False), (None, True)):
        other = model.with_options(in_step=in_step)(crops, key, track)
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

        def in_pieces(self, crops, frames, key, track):
            yield next(model.in_pieces(crops, frames, key, track))
            raise RuntimeError

    assert all(anonymized(long_walk(30, shelf), Broken()).hidden)


def joints(shoulders, hips, knees, ankles, visibility=0.9):
    """Joints by the rows of four pairs."""
    out = np.zeros((33, 3), np.float32)
    rows = ((shoulders, [11, 12]), (hips, [23, 24]), (knees, [25, 26]), (ankles, [27, 28]))
    for row, pair in rows:
        out[pair] = row, 100, 0.9
    out[[27, 28], 2] = visibility
    return out


POSES = {
    "stands": (joints(60, 100, 125, 150), True),
    "walks": (joints(60, 100, 120, 145), True),
    "sits": (joints(60, 100, 108, 150), False),
    "sits, from behind": (joints(40, 110, 130, 150), False),
    "bends": (joints(95, 100, 125, 103), False),
    "is behind a table": (joints(60, 100, 125, 150, visibility=0.1), False),
    "has guessed feet": (joints(60, 100, 125, 190), False),
}


def somebody(poses, shelf):
    """A silhouette 120 pixels high in each frame, with joints."""
    sightings = Sightings(shelf)
    region = Region(np.array([40, 80, 160, 120]), np.ones((120, 40), np.uint8))
    for number, pose in enumerate(poses):
        sightings.add(number, region, pose, clear=pose is not None)
    return Subject(sightings)


@pytest.mark.parametrize("pose", POSES)
def test_who_is_not_upright_is_covered_and_not_drawn(pose, tmp_path):
    points, is_drawn = POSES[pose]
    shelf, model = Shelf(tmp_path), Blurred()
    subject = somebody([points] * 30, shelf)
    [person] = anonymizing.anonymize([subject], SHAPE, 25.0, jax.random.key(0), model, shelf)
    reason = None if is_drawn else "sits, bends or is half hidden"
    assert person.hidden == [reason] * 30
    assert (person.slips[:, 1] > 0).all() == is_drawn
    assert bool(model.lengths) == is_drawn
    assert person.row()["frames_anonymized"] == 30 * is_drawn


def test_a_moment_does_not_make_somebody_sit(tmp_path):
    """Joints are uncertain: the median over a second counts, and who sits down is covered then."""
    stands, sits = (POSES[pose][0] for pose in ("stands", "sits"))
    poses = [stands] * 40
    poses[20] = poses[21] = sits
    subject = somebody(poses, Shelf(tmp_path))
    assert anonymizing.reasons(subject.sightings, SHAPE, 25.0) == [None] * 40
    subject = somebody([stands] * 50 + [sits] * 50, Shelf(tmp_path))
    hidden = anonymizing.reasons(subject.sightings, SHAPE, 25.0)
    assert hidden[:45] == [None] * 45
    assert all(hidden[55:])


def test_legs_below_the_frame_say_nothing_unless_thighs_are_bent(tmp_path):
    """Who came in whole and goes on towards the camera is drawn; who sits at its edge is not."""
    sightings = somebody([POSES["stands"][0]] * 30, Shelf(tmp_path)).sightings
    for points, is_drawn in (
        (joints(80, 130, 170, 210, visibility=0.2), True),
        (joints(80, 130, 138, 210, visibility=0.2), False),
        (joints(80, SHAPE[0] + 5, SHAPE[0] + 50, 260, visibility=0.2), False),
        (joints(80, 130, 170, SHAPE[0] - 10), True),  # the soles alone are outside
    ):
        cut = Sightings(Shelf(tmp_path))
        for sighting in sightings:
            cut.add(sighting.frame, Region(sighting.box, sighting.mask), sighting.joints)
        region = Region(np.array([60, 80, SHAPE[0], 140]), np.ones((SHAPE[0] - 60, 60), np.uint8))
        for number in range(30, 60):
            bent = joints(80, 130, 138, 210) if number % 5 == 4 else points  # misread now and then
            cut.add(number, region, bent)
        hidden = anonymizing.reasons(cut, SHAPE, 25.0)
        assert [reason is None for reason in hidden[45:]] == [is_drawn] * 15


def test_who_has_no_clear_outline_for_a_while_is_not_drawn(tmp_path):
    """For a second the nearest silhouette is read; before the first there is none."""
    stands = POSES["stands"][0]
    poses = [None] * 5 + [stands] * 20 + [None] * 60 + [stands] * 20
    subject = somebody(poses, Shelf(tmp_path))
    hidden = anonymizing.reasons(subject.sightings, SHAPE, 25.0)
    assert hidden[:5] == [anonymizing.UNCLEAR] * 5
    assert hidden[5:49] == [None] * 44
    assert hidden[50:60] == [anonymizing.UNCLEAR] * 10
    assert hidden[61:] == [None] * 44
    assert anonymizing.reasons(somebody([None] * 9, Shelf(tmp_path)).sightings, SHAPE, 25.0) == (
        [anonymizing.UNCLEAR] * 9
    )


def test_who_cannot_be_anonymised_at_all_is_covered_for_that_reason(tmp_path):
    shelf, model = Shelf(tmp_path), Blurred()
    subject = dataclasses.replace(somebody([POSES["stands"][0]] * 30, shelf), why="is a thing")
    [person] = anonymizing.anonymize([subject], SHAPE, 25.0, jax.random.key(0), model, shelf)
    assert person.hidden == ["is a thing"] * 30
    assert not person.slips.any()
    assert model.lengths == []
