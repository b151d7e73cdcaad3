"""Plans are balanced over methods, views and walks."""

import collections

import numpy as np
import pytest

from stgan_jax.study.plan import ANCHOR, Clip, plans
from stgan_jax.util.errors import InputError


def some_clips(names=("ours", "theirs", ANCHOR), views=(0, 54, 90), each=10):
    return [
        Clip(f"{name}{view}{i}.mp4", name, view, f"walk-{i:02d}")
        for name in names
        for view in views
        for i in range(each)
    ]


def test_every_rater_sees_methods_and_views_alike():
    planned = plans(some_clips(), 20, 60, 6, 6)
    for plan in planned:
        assert len(plan) == 60 + 6 + 6
        once = [clip for clip, is_repeat in plan if not is_repeat]
        assert len(set(once)) == len(once)
        by = collections.Counter((clip.method, clip.view) for clip in once)
        assert all(n == (2 if method == ANCHOR else 10) for (method, _), n in by.items())
    assert len({tuple(clip for clip, _ in plan) for plan in planned}) == 20


def test_a_surplus_goes_round():
    planned = plans(some_clips(("a", "b", "c"), (0, 54, 90)), 9, 13, 0, 0)
    total = collections.Counter()
    for plan in planned:
        for key, most in (("method", 1), ("view", 2)):
            counts = collections.Counter(getattr(clip, key) for clip, _ in plan)
            assert max(counts.values()) - min(counts.values()) <= most
        total.update((clip.method, clip.view) for clip, _ in plan)
    assert set(total.values()) == {13}
    shown = collections.Counter(clip for plan in planned for clip, _ in plan)
    assert max(shown.values()) - min(shown.values()) <= 1


def test_raters_see_the_same_walks_by_every_method():
    for plan in plans(some_clips(each=8), 5, 12, 0, 0):
        walks = collections.defaultdict(set)
        for clip, _ in plan:
            walks[clip.method].add((clip.view, clip.source))
        assert walks["ours"] == walks["theirs"]


def test_repeats_come_again_much_later_and_are_no_anchors():
    for plan in plans(some_clips(), 20, 30, 10, 3):
        again = [i for i, (_, is_repeat) in enumerate(plan) if is_repeat]
        assert len(again) == 10
        for i in again:
            earlier = plan.index((plan[i][0], False))
            assert earlier < i
            assert plan[i][0].method != ANCHOR
        counts = collections.Counter(plan[i][0].method for i in again)
        assert counts == {"ours": 5, "theirs": 5}
        assert np.mean([i - plan.index((plan[i][0], False)) for i in again]) > 15


@pytest.mark.parametrize(
    ("clips", "options", "word"),
    [
        (some_clips()[:-1], {"per_rater": 61}, "from 1 to 60 can be had"),
        (some_clips(), {"repeats": 31}, "31 repeats"),
        (some_clips(), {"anchors": 31}, "31 anchors: from 0 to 30"),
        (some_clips(("ours",)), {"anchors": 1}, "1 anchors: from 0 to 0"),
        (some_clips((ANCHOR,)), {}, "no clip of a method to be rated"),
        (some_clips(("a",)) + some_clips(("b",), (0,)), {}, "b: has no clip seen from 54"),
    ],
)
def test_an_impossible_plan_is_refused_in_a_sentence(clips, options, word):
    with pytest.raises(InputError, match=word):
        plans(clips, 2, **options)
