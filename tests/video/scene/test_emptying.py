"""The empty scene behind people whose places are known, and of those who stand in it."""

import numpy as np
import pytest

from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.media import background
from stgan_jax.util.errors import InputError
from stgan_jax.video.people import linking, models, networks
from stgan_jax.video.people.shelf import Shelf
from stgan_jax.video.scene import emptying

SIZE = (240, 320)


def upper_median(values):
    return np.sort(values, axis=0)[len(values) // 2]


def is_middle(color, values):
    """Whether each channel is a middle value: of an even number of them there are two."""
    ordered = np.sort(values, axis=0)
    middles = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    return ((color == middles[0]) | (color == middles[1])).all()


@pytest.mark.parametrize("count", [9, 20])
def test_the_scene_is_the_median_of_what_no_mask_covers(count):
    """Pixel by pixel; what fewer than a tenth of the samples show is unknown."""
    rng = np.random.default_rng(count)
    # One light, by most pixels, so that no sample is brought to another one.
    samples = np.full((count, 48, 64, 3), 120, np.uint8)
    samples[:, 10:30, 20:40] = rng.integers(0, 256, (count, 20, 20, 3))
    masks = (rng.random((count, 48, 64)) < 0.4).astype(np.uint8)
    masks[:, 12, 20:40] = 1
    masks[1:, 13, 20:40] = 1  # one sample shows it
    masks[2:, 14, 20:40], masks[:2, 14, 20:40] = 1, 0  # two do
    scene, unknown = background.scene_without(samples.copy(), masks)
    for row in range(48):
        for column in range(64):
            shown = samples[masks[:, row, column] == 0, row, column]
            known = len(shown) >= count / 10 and len(shown) > 0
            assert unknown[row, column] == (not known)
            if known:
                assert is_middle(scene.empty[row, column], shown)
                assert scene.threshold[row, column] < 255 or 10 <= row < 30
            else:
                every = upper_median(samples[:, row, column])
                assert np.array_equal(scene.empty[row, column], every)
                assert scene.threshold[row, column] == 255
    assert unknown[12, 20:40].all()
    assert unknown[13, 20:40].all() == (count > 10)
    assert not unknown[14, 20:40].any()


def test_where_a_scene_is_restless_its_threshold_is_higher():
    """By what is shown alone: what masks cover may change as it likes."""
    rng = np.random.default_rng(0)
    samples = np.full((20, 48, 64, 3), 120, np.uint8)
    samples[:10, 10:20, 10:20] = 160
    samples[:5, 30:40, 10:20] = rng.integers(0, 256, (5, 10, 10, 3))
    masks = np.zeros((20, 48, 64), np.uint8)
    masks[:5, 30:40, 10:20] = 1
    scene, _ = background.scene_without(samples, masks)
    assert (scene.threshold[10:20, 10:20] > 100).all()
    assert (scene.threshold[30:40, 10:20] == scene.threshold[0, 0]).all()


@pytest.fixture(scope="module")
def nets():
    try:
        return networks.Networks(models.fetched())
    except InputError as error:
        pytest.skip(str(error))


def somebody_who_stands(seed, stirs, since=4):
    """Numbered samples, in which somebody stands since one; the true scene; the one who stands."""
    walk = list(Scene(seed, people=1, frames=20, size=SIZE))
    background = Scene(seed, people=0, frames=1, size=SIZE).background
    still = max(walk, key=lambda frame: frame.people.sum())
    samples, rng = [], np.random.default_rng(seed)
    for t in range(20):
        sway = round(2 * np.sin(t)) if stirs else 0
        there = (np.roll(still.people, sway, 1) > 0) & (t >= since)
        image = np.where(there[..., None], np.roll(still.image, sway, 1), background)
        noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        samples.append((3 * t, noisy))
    return samples, background, still


@pytest.mark.parametrize(("seed", "stirs"), [(6, True), (2, True), (6, False)])
def test_who_stands_for_long_and_was_not_detected_is_found_in_the_scene(
    nets, tmp_path, seed, stirs
):
    """Four fifths of the time; no track, or one, knows of them, for a moment."""
    samples, background, still = somebody_who_stands(seed, stirs)
    there = still.people > 0
    rows, columns = np.nonzero(there)
    box = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], np.float32)
    look = linking.looks(still.image, box[None])[0]
    for tracks in ([], [linking.BoxTrack(57, box, 0.45, look)]):
        scene, unknown, _, found = emptying.empty(
            samples, list(tracks), nets, Shelf(tmp_path), frames=60, beyond=1
        )
        throughout = [t for t in found if (t.frames[0], t.frames[-1]) == (0, 59)]
        assert len(throughout) == 1
        drawn = np.zeros((2, *SIZE), bool)
        for layer, (top, left, bottom, right) in zip(
            drawn, (box, throughout[0].boxes[0]), strict=True
        ):
            layer[round(top) : round(bottom), round(left) : round(right)] = True
        assert drawn.all(0).sum() / drawn.any(0).sum() > 0.6
        telling = there & (np.abs(still.image.astype(int) - background).max(-1) > 60)
        differs = np.abs(scene.empty.astype(int) - still.image).max(-1)
        assert (differs[telling] > 25).mean() > 0.95
        assert np.abs(scene.empty.astype(int) - background).max(-1)[~drawn.any(0)].mean() < 3
        assert unknown.mean() < 3 * there.mean()


def test_a_picture_of_somebody_does_not_stir_and_is_nobody(nets, tmp_path):
    samples, _, _ = somebody_who_stands(6, stirs=False, since=0)
    behind = emptying.empty(samples, [], nets, Shelf(tmp_path), frames=60, beyond=1)
    assert behind.tracks == []


def test_who_walks_for_a_moment_does_not_stay(nets, tmp_path):
    """Pieces of tracks in a short clip: what outlines cover together is known all the same."""
    scene = Scene(7, people=2, frames=30, size=SIZE)
    frames = list(scene)
    tracks = []
    for number in (1, 2):
        for piece in (range(0, 15, 5), range(15, 30, 5)):
            boxes = []
            for t in piece:
                rows, columns = np.nonzero(frames[t].people == number)
                boxes.append([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
            boxes = np.array(boxes, np.float32)
            look = linking.looks(frames[piece[0]].image, boxes[:1])[0]
            tracks.append(linking.BoxTrack(piece[0], boxes[0], 0.8, look))
            for t, box in zip(piece[1:], boxes[1:], strict=True):
                tracks[-1].add(t, box, 0.8, look)
    samples = [(t, frame.image) for t, frame in enumerate(frames)]
    found, unknown, _, _ = emptying.empty(samples, tracks, nets, Shelf(tmp_path), 30, beyond=12)
    assert unknown.mean() < 0.01
    assert np.abs(found.empty.astype(int) - scene.background).mean() < 2
