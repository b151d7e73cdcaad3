"""What is counted of finding, following and hiding people, by tracks and pictures made by hand."""

import json
import shutil
from pathlib import Path

import commands
import numpy as np
import people
import people_scores
import pytest
from people_scores import MARK
from scipy.ndimage import distance_transform_edt

from stgan_jax.data.walkers.hard_scenes import HardScene
from stgan_jax.util.errors import InputError

SHAPE = (120, 200)
WHOLE = (1.0, 1.0)


def body(left, top=10, height=80, width=30):
    mask = np.zeros(SHAPE, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


ONE, TWO = body(20), body(120)
PEOPLE = ONE + 2 * TWO


def scored(frames, visible=WHOLE, people=PEOPLE):
    scores = people_scores.Tracking()
    for masks in frames:
        scores.update(people, visible, masks)
    return people_scores.figures(scores.counts)


def test_true_masks_are_perfect():
    row = scored([{7: ONE, 3: TWO}] * 4)
    assert (row["recall"], row["outline IoU"], row["feet IoU"]) == (1, 1, 1)
    assert (row["switches"], row["fragments"], row["false people a frame"]) == (0, 0, 0)
    assert row["share shown"] is row["shown"] is None  # nothing was written


def test_a_half_missed_is_a_recall_of_a_half():
    assert scored([{0: ONE}] * 6)["recall"] == 0.5
    assert scored([{0: ONE, 1: TWO}, {}])["recall"] == 0.5


def test_another_track_is_one_switch_and_a_swap_is_two():
    first = {0: ONE, 1: TWO}
    assert scored([first, {2: ONE, 1: TWO}, {2: ONE, 1: TWO}])["switches"] == 1
    assert scored([first, {1: ONE, 0: TWO}, {1: ONE, 0: TWO}])["switches"] == 2
    assert scored([first, {1: ONE, 0: TWO}, first])["switches"] == 4
    assert scored([first, {}, {2: ONE, 1: TWO}])["switches"] == 1


def test_an_interruption_is_a_fragment_and_an_end_is_none():
    assert scored([{0: ONE}, {}, {}, {0: ONE}, {}, {0: ONE}])["fragments"] == 2
    assert scored([{0: ONE}, {}, {0: ONE}, {0: ONE}, {0: ONE}])["fragments"] == 1
    assert scored([{0: ONE}, {0: ONE}, {}])["fragments"] == 0
    assert scored([{}, {}, {0: ONE}])["fragments"] == 0


def test_a_match_lasts_as_long_as_it_fits():
    worse = body(20, height=48)  # IoU 0.6
    assert scored([{0: worse}, {0: worse, 1: ONE}])["switches"] == 0
    assert scored([{0: ONE}, {0: body(20, height=32), 1: ONE}])["switches"] == 1  # IoU 0.4


def test_a_mask_serves_one_person_and_the_best_pairs_are_taken():
    both = ONE | TWO  # IoU 0.5 with each
    assert scored([{0: both}])["recall"] == 0.5
    assert scored([{0: both, 1: ONE}])["recall"] == 1.0


def test_outlines_are_compared_as_a_whole_and_at_the_feet():
    row = scored([{0: body(20, height=64), 1: body(120, height=64)}])
    assert (row["outline IoU"], row["feet IoU"]) == (0.8, 0.0)
    row = scored([{0: body(20, height=96), 1: body(120, height=96)}])  # a shadow below
    assert row["outline IoU"] == pytest.approx(80 / 96)
    assert row["feet IoU"] == pytest.approx(16 / 32)


@pytest.mark.parametrize(
    ("visible", "people", "expected"),
    [
        ((1.0, 0.4), PEOPLE, 1),
        (WHOLE, ONE + 2 * body(120, height=59), 1),
        (WHOLE, ONE + 2 * body(120, height=60), 2),
    ],
)
def test_who_is_hidden_or_small_does_not_count(visible, people, expected):
    scores = people_scores.Tracking()
    scores.update(people, visible, {})
    assert scores.counts["person-frames"] == expected


def test_a_mask_of_nobody_is_a_false_person_and_one_of_somebody_small_is_not():
    beside = body(60)
    assert scored([{0: ONE, 1: TWO, 2: beside}, {0: ONE, 1: TWO}])["false people a frame"] == 0.5
    touching = body(23 + 25)  # two columns of 30 on the person: less than a tenth
    assert scored([{2: touching}])["false people a frame"] == 1
    assert scored([{2: body(20 + 26)}])["false people a frame"] == 0  # four columns
    small = body(120, height=20)
    assert scored([{2: small}], people=ONE + 2 * small)["false people a frame"] == 0


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    empty = rng.integers(80, 120, (*SHAPE, 3), np.uint8)
    original = empty.copy()
    original[PEOPLE > 0] = 220
    return original, empty


def test_an_untouched_frame_shows_everybody_and_changes_nothing(pictures):
    original, empty = pictures
    counts = people_scores.pixels(original, original, empty, PEOPLE)
    assert counts["shown"] == counts["shown in patches"] == counts["people's pixels"] == 2 * 2400
    assert counts["changed"] == 0


def test_the_empty_scene_shows_nobody_and_a_remaining_hand_is_counted(pictures):
    original, empty = pictures
    output = empty.copy()
    output[20:24, 25:30] = original[20:24, 25:30]
    output[80, 40] = original[80, 40]
    counts = people_scores.pixels(original, output, empty, PEOPLE)
    assert (counts["shown"], counts["shown in patches"], counts["changed"]) == (21, 20, 0)


def test_colours_that_are_everywhere_are_shown_by_chance(pictures):
    """Noise over people and over what is shown: as many pixels are the same in any order."""
    original, empty = (image.copy() for image in pictures)
    rng = np.random.default_rng(1)
    inside = PEOPLE > 0
    original[inside] = rng.integers(200, 240, (inside.sum(), 3))
    output = empty.copy()
    output[inside] = rng.integers(200, 240, (inside.sum(), 3))
    counts = people_scores.pixels(original, output, empty, PEOPLE)
    assert 20 < counts["shown"] < 120
    assert abs(counts["shown by chance"] - counts["shown"]) < 5 * counts["shown"] ** 0.5
    output[inside] = original[inside]
    counts = people_scores.pixels(original, output, empty, PEOPLE)
    assert counts["shown by chance"] < 0.05 * counts["shown"]


def test_who_looks_as_the_wall_is_not_told_from_it(pictures):
    original, empty = pictures
    original[PEOPLE > 0] = empty[PEOPLE > 0] + 25
    assert people_scores.pixels(original, original, empty, PEOPLE)["people's pixels"] == 0


def test_a_hole_in_the_wall_is_changed_and_a_body_beyond_the_margin_too(pictures):
    original, empty = pictures
    output = empty.copy()
    output[100:110, 60:90] = 0
    output[PEOPLE > 0] = MARK
    output[10:90, 75:80] = MARK  # 25 columns beside somebody, of whose height a tenth is 8
    counts = people_scores.pixels(original, output, empty, PEOPLE)
    # Blurring adds a rim of a pixel.
    assert 300 <= counts["changed"] - counts["changed by bodies"] <= 12 * 32
    assert 400 <= counts["changed by bodies"] <= 82 * 7
    near = distance_transform_edt(PEOPLE == 0) <= 8
    assert counts["outside"] == near.size - near.sum()


def test_a_shadow_may_stay_or_go(pictures):
    original, empty = pictures
    original[95:105, 20:60] = empty[95:105, 20:60] // 2
    for output in (original, empty):
        assert people_scores.pixels(original, output, empty, PEOPLE)["changed"] == 0
    assert people_scores.pixels(original, original // 2, empty, PEOPLE)["changed"] > 1000


def test_scenes_of_a_kind_are_pooled_by_their_counts():
    scenes = {
        "car 0": {"frames": 2, "person-frames": 2, "found": 1, "refused": 1, "reason": "dark"},
        "car 1": {"frames": 2, "person-frames": 6, "found": 6, "switches": 2},
        "crowd 0": {"frames": 4, "person-frames": 8, "found": 0},
    }
    kinds = people_scores.pooled(scenes)
    assert list(kinds) == ["car", "crowd", "all"]
    assert (kinds["car"]["recall"], kinds["car"]["switches"]) == (0.875, 2)
    assert (kinds["all"]["recall"], kinds["all"]["refused"]) == (7 / 16, 1)


def test_a_table_shows_before_and_after_where_they_differ():
    before, now = (
        people_scores.pooled({"car 0": {"person-frames": 4, "found": n}}) for n in (1, 3)
    )
    assert "| car | 0.2500 → 0.7500 |" in people_scores.markdown(now, before)
    assert "→" not in people_scores.markdown(now, now)


@pytest.fixture(scope="module")
def scene():
    with people.rendered(HardScene("screen", 0, frames=4), 0) as folder:
        yield folder


def true_tracks(folder):
    truth = list(people.read(folder.parent))
    return [{t: f.people == n for t, f in enumerate(truth)} for n in (1, 2)]


def test_a_rendered_scene_scores_perfectly_by_its_truth(scene):
    def copy(frames: Path, output: Path) -> None:
        shutil.copytree(frames, output)

    def empty(frames: Path, output: Path) -> None:
        shutil.copytree(frames.parent / "empty", output)

    counts = people.measure(scene, true_tracks, copy)
    row = people_scores.figures(counts)
    assert (row["recall"], row["outline IoU"], row["switches"]) == (1, 1, 0)
    assert (row["share shown"], row["share changed"]) == (1, 0)
    assert counts["person-frames"] >= 4
    row = people_scores.figures(people.measure(scene, true_tracks, empty))
    assert row["share shown"] < 0.002
    assert (row["shown in patches"], row["share changed"]) == (0, 0)


def test_a_refused_scene_is_counted_with_the_sentence(scene):
    def refuse(folder):
        raise InputError(f"{folder}: the camera moves")

    counts = people.measure(scene, refuse, None)
    assert counts["reason"] == "the camera moves"
    assert people_scores.figures(counts)["refused"] == 1
    assert people_scores.figures(counts)["recall"] == 0


def test_the_command_writes_a_table_and_goes_on(tmp_path):
    out = tmp_path / "out.json"
    small = ["--kinds=crossing", "--seeds=1", "--length=30"]
    command = [people.__file__, *small, "--nopixels", "--people=difference"]

    def run(*flags):
        return commands.run(*command, f"--out={out}", *flags)

    done = run()
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert set(result["scenes"]) == {"crossing 0"}
    assert 0.2 < result["kinds"]["all"]["recall"] <= 1
    result["scenes"]["crossing 0"]["found"] = 0  # is read, not measured anew
    result["commit"] += "?"
    out.write_text(json.dumps(result))
    assert "of another commit" in run().stderr
    result["commit"] = result["commit"][:-1]
    out.write_text(json.dumps(result))
    assert run(f"--compare={out}").returncode == 0
    assert json.loads(out.read_text())["scenes"]["crossing 0"]["found"] == 0
