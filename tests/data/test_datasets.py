"""Built datasets: the walkers' builder, what is read back, and the feed that reads it."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st
from numbers_feed import numbers, share

from stgan_jax.data import feed
from stgan_jax.data.datasets import building, built, records, synthetic_walkers
from stgan_jax.data.walkers import color_walks, recording
from stgan_jax.methods import catalog, copies
from stgan_jax.methods.api import walk_keys
from stgan_jax.shapes import contour
from stgan_jax.training.loop import train
from stgan_jax.util import children
from stgan_jax.util.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The first five people of `synthetic_walkers/demo`, built, and what the build says of them."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_of("demo"), "people", range(1, 6))
        return folder, built.build("synthetic_walkers/demo", folder)


@pytest.mark.processes
def test_a_copy_holds_the_same_walks_anonymised(tmp_path, monkeypatch):
    monkeypatch.setattr(config_of("demo"), "people", range(4, 5))
    monkeypatch.setattr(config_of("demo"), "views", (54,))
    own, new = tmp_path / "own", tmp_path / "new"
    built.build("synthetic_walkers/demo", own)
    change = copies.WalkChange.by("retarget", 3)
    about = built.build_copy("synthetic_walkers/demo", new, own, change)
    assert about["change"] == repr(change)
    before, after = (built.Sequences("synthetic_walkers/demo", d, [4]) for d in (own, new))
    assert before.walks == after.walks
    model = catalog.load("retarget").from_view(54.0)
    for i in (0, 7):
        [key] = walk_keys([before.walks[i]], 3)
        published = after.silhouettes(i)
        np.testing.assert_array_equal(published, model(before.silhouettes(i), key))
        assert [o.tolist() for o in after.outlines(i)] == [
            contour.outline(mask).tolist() for mask in published
        ]
    with pytest.raises(InputError, match="holds the originals"):
        built.build_copy("synthetic_walkers/demo", own, own, change)
    with pytest.raises(InputError, match="is not built there"):
        built.build_copy("synthetic_walkers/full", new, own, change)


@pytest.mark.processes
def test_a_build_by_beam_holds_the_same_examples(tmp_path, monkeypatch):
    monkeypatch.setattr(config_of("demo"), "people", range(1, 3))
    monkeypatch.setattr(config_of("demo"), "views", (90,))
    about = {}
    for name, flags in (("plain", ()), ("beam", ("--runner=DirectRunner",))):
        about[name] = built.build("synthetic_walkers/demo", tmp_path / name, beam=flags)
    assert about["plain"] == about["beam"]
    plain, beam = (built.Sequences("synthetic_walkers/demo", tmp_path / n, [1, 2]) for n in about)
    assert [walk.name for walk in beam.walks] == [*synthetic_walkers.WALKS] * 2
    for i in range(20):
        assert plain._raw[plain._chosen[i]] == beam._raw[beam._chosen[i]]
    assert not list(tmp_path.rglob("*parts*"))
    with pytest.raises(InputError, match="--runer: neither"):
        built.build("synthetic_walkers/demo", tmp_path / "no", beam=["--runer=x"])
    assert not (tmp_path / "no").exists()


def config_of(name):
    return next(c for c in synthetic_walkers.SyntheticWalkers.BUILDER_CONFIGS if c.name == name)


def assert_holds(people, folder, metadata):
    assert list(metadata["sequences"]) == [f"s{s:03d}" for s in range(1, people + 1)]
    sequences = built.Sequences("synthetic_walkers/demo", folder, range(1, 125))
    assert sequences.version == str(synthetic_walkers.SyntheticWalkers.VERSION)
    assert len(sequences) == people * 3 * 10
    assert {walk.view for walk in sequences.walks} == {0, 54, 90}
    assert len({walk.name for walk in sequences.walks}) == 10
    short = sum(walk.frames < 50 for walk in sequences.walks)
    assert 0 < short < 0.12 * len(sequences)  # CASIA-B: 5 % (ST-GAN 4)
    assert not list(folder.rglob("*parts*"))
    assert not list(folder.rglob("*incomplete*"))


def test_demo_holds_what_it_says(demo):
    assert_holds(5, *demo)
    assert config_of("demo").people == range(1, 17)


@pytest.mark.soak  # all sixteen people, of whom the tests here take five
def test_the_whole_demo_builds_in_a_minute(tmp_path):
    started = sum(os.times()[:4])
    metadata = built.build("synthetic_walkers/demo", tmp_path)
    # Of two cores; on the clock, where alone it takes 41 s, other tests beside it would count.
    assert 5 < sum(os.times()[:4]) - started < 120
    assert_holds(16, tmp_path, metadata)


def test_what_is_read_back_is_what_was_rendered(demo):
    sequences = built.Sequences("synthetic_walkers/demo", demo[0], [3], [54], ["nm-02"])
    (walk,) = sequences.walks
    masks = recording.silhouettes(3, 54, "nm", 2)
    assert walk.frames == len(masks)
    assert np.array_equal(sequences.silhouettes(0), masks)
    for points, mask in zip(sequences.outlines(0), masks, strict=True):
        assert np.array_equal(points, contour.outline(mask))


def test_a_built_dataset_is_left_alone(demo):
    before = {p: p.stat().st_mtime_ns for p in demo[0].rglob("*") if p.is_file()}
    built.build("synthetic_walkers/demo", demo[0])
    assert {p: p.stat().st_mtime_ns for p in demo[0].rglob("*") if p.is_file()} == before


@pytest.mark.soak
def test_a_killed_build_goes_on_where_it_was(tmp_path, monkeypatch):
    command = [
        sys.executable,
        "launch/build_data.py",
        "--dataset=synthetic_walkers/demo",
        f"--data_dir={tmp_path}",
    ]
    folder = tmp_path / "synthetic_walkers/demo"
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(folder.glob("*.parts/0*.npz"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("*.parts/0*.npz")}
    builder = synthetic_walkers.SyntheticWalkers(config="demo", data_dir=str(tmp_path))
    monkeypatch.setattr(builder.builder_config, "people", range(1, 7))  # enough to go on with
    builder._make_parts()
    subjects = {int(p.stem) for p in folder.glob("*.parts/0*.npz")}
    assert subjects == {*range(1, 7), *(int(p.stem) for p in kept)}
    assert len(subjects) > len(kept)
    assert all(p.stat().st_mtime_ns == then for p, then in kept.items())


def test_a_dataset_that_is_not_built_says_how(tmp_path):
    with pytest.raises(InputError, match=r"build_data.py --dataset=casia_b --source"):
        built.Sequences("casia_b", tmp_path, [1])
    with pytest.raises(InputError, match=r"build_data.py --dataset=synthetic_walkers/full"):
        built.Sequences("synthetic_walkers/full", tmp_path, [1])
    with pytest.raises(InputError, match="choose one of"):
        built.build("casia_c", tmp_path)
    with pytest.raises(InputError, match="--source"):
        built.build("casia_b", tmp_path)


def test_a_selection_without_a_sequence_is_refused(demo):
    with pytest.raises(InputError, match="no sequence"):
        built.Sequences("synthetic_walkers/demo", demo[0], [1], views=[18])


@pytest.mark.parametrize("codec", contour.CODECS)
def test_the_feed_gives_the_last_frames_as_fixed_point_contours(demo, codec):
    sequences = built.Sequences("synthetic_walkers/demo", demo[0], [5], [0], least_frames=50)
    source = feed.sequence_source(sequences, codec=codec)
    dtype = np.uint8 if codec == "padded" else np.uint16
    assert source.example.contours == jax.ShapeDtypeStruct((50, 4000), dtype)
    batch = source.fetch(np.array([1]), np.array([0])).contours
    assert batch.dtype == dtype
    walk = sequences.walks[1]
    masks = recording.silhouettes(5, 0, walk.condition, walk.repetition)[-50:]
    assert batch.shape == (1, 50, 4000)
    pixels = np.asarray(contour.fixed_to_unit(batch[0])) * 240
    np.testing.assert_allclose(pixels, contour.encode(masks, codec), atol=1 / 256)


def test_random_windows_lie_in_the_recording_and_differ(demo):
    sequences = built.Sequences("synthetic_walkers/demo", demo[0], [5], [0], least_frames=60)
    source = feed.sequence_source(sequences, frames=10, codec="padded", window="random")
    whole = contour.to_fixed(contour.encode(sequences.silhouettes(0), "padded"), "padded")
    starts = set()
    for number in range(12):
        (taken,) = source.fetch(np.array([0]), np.array([number])).contours
        (start,) = [s for s in range(len(whole) - 9) if np.array_equal(whole[s : s + 10], taken)]
        starts.add(start)
    assert len(starts) > 4


@pytest.mark.parametrize("codec", contour.CODECS)
def test_mirrored_contours_are_those_of_mirrored_silhouettes(demo, codec):
    sequences = built.Sequences("synthetic_walkers/demo", demo[0], [5], [54], least_frames=50)
    plain = feed.sequence_source(sequences, codec=codec)
    mirrored = feed.sequence_source(sequences, codec=codec, mirror=True)
    changed = 0
    for number in range(12):
        one, other = (
            s.fetch(np.array([2]), np.array([number])).contours[0] for s in (plain, mirrored)
        )
        if np.array_equal(one, other):
            continue
        changed += 1
        masks, flipped = (
            contour.decode(np.asarray(contour.fixed_to_unit(v)) * 240, codec) for v in (one, other)
        )
        same = (masks[..., ::-1] & flipped).sum() / (masks[..., ::-1] | flipped).sum()
        assert same > 0.97
    assert 2 <= changed <= 10


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, 40), window=st.sampled_from(["last", "random"]))
def test_stopping_anywhere_and_resuming_gives_the_same_stream(demo, start, window):
    sequences = built.Sequences("synthetic_walkers/demo", demo[0], [1, 2], [0], least_frames=20)
    source = feed.sequence_source(sequences, frames=8, window=window, mirror=True, seed=4)
    *_, uninterrupted = itertools.islice(source.batches(4, seed=9), start + 2)
    resumed = next(source.batches(4, seed=9, start_step=start + 1))
    assert uninterrupted.contours.tobytes() == resumed.contours.tobytes()


@pytest.mark.processes  # and there the two have TensorFlow already
def test_two_processes_together_draw_each_example_once_an_epoch():
    context = children.context()
    queue = context.Queue()
    workers = [context.Process(target=share, args=(i, queue)) for i in range(2)]
    for worker in workers:
        worker.start()
    shares = dict(queue.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    whole = numbers().batches(8, seed=3)
    for step in range(12):
        assert shares[0][step] + shares[1][step] == next(whole)[:, 0].tolist()
    for epoch in range(2):
        steps = range(6 * epoch, 6 * epoch + 6)
        drawn = [x for p in (0, 1) for step in steps for x in shares[p][step]]
        assert sorted(drawn) == list(range(48))


def test_a_batch_that_cannot_be_shared_is_refused():
    source = feed.array_source(np.zeros((4, 2), np.uint16))
    with pytest.raises(ValueError, match="shared"):
        source.batches(3, seed=0, processes=2)


def test_a_model_trains_on_a_dataset(demo, tmp_path):
    data = dataclasses.replace(
        small.WALKERS,
        first_subject=1,
        last_subject=3,
        views=(0, 90),
        walks=("nm-01", "nm-02"),
        dataset="synthetic_walkers/demo",
        data_dir=str(demo[0]),
        window="random",
        mirror=True,
    )
    noise = dataclasses.replace(small.NOISE, data=data, steps=5, validation_subjects=(4, 5))
    assert train(noise, catalog.prepare, tmp_path / "noise")
    stgan = dataclasses.replace(
        small.STGAN,
        data=data,
        noise_checkpoint=str(tmp_path / "noise"),
        steps=2,
        validation_subjects=(4, 5),
    )
    assert train(stgan, catalog.prepare, tmp_path / "stgan")
    missing = dataclasses.replace(data, data_dir=str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"build_data.py"):
        train(dataclasses.replace(noise, data=missing), catalog.prepare, tmp_path / "other")


def test_parts_of_a_stopped_build_are_whole_files(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building.np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        building._make_part(lambda _: ({}, {}), records.SILHOUETTES, 1, str(tmp_path / "001.npz"))
    assert not list(tmp_path.iterdir())


def test_colour_walkers_are_built_and_read_back(tmp_path, monkeypatch):
    whole = config_of("rgb")
    monkeypatch.setattr(whole, "people", range(51, 53))
    monkeypatch.setattr(whole, "views", (90,))
    built.build("synthetic_walkers/rgb", tmp_path)
    sequences = built.Sequences("synthetic_walkers/rgb", tmp_path, range(1, 125))
    assert [(w.subject, w.name, w.clothes, w.completeness) for w in sequences.walks[:4]] == [
        (51, "nm-01", "plain", "complete"), (51, "nm-02", "textural", "complete"),
        (51, "nm-03", "plain", "incomplete"), (51, "nm-04", "textural", "incomplete"),
    ]  # fmt: skip
    assert len(sequences) == 8
    walk, true = sequences.color(6), color_walks.render(52, 90, "nm", 3, False, False)
    for name in ("background", "silhouettes", "masks", "occluder"):
        assert np.array_equal(getattr(walk, name), getattr(true, name))
    assert np.abs(walk.frames.astype(int) - true.frames).mean() < 4  # JPEG
    assert (walk.clothes, walk.completeness) == ("plain", "incomplete")
