"""Footage as people have it: what fails is covered, whatever it is; many inputs in many forms."""

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import clips
import cv2
import jax
import numpy as np
import pytest
from test_detectors import field, node, tensor, value_info

import stgan_jax
from stgan_jax import anonymizer, contour, weights
from stgan_jax.data import walkers
from stgan_jax.data.scenes import Scene
from stgan_jax.errors import InputError
from stgan_jax.evaluation import naturalness
from stgan_jax.evaluation.noise import best_iou
from stgan_jax.footage import batch, clip, compose, keys, masks, people
from stgan_jax.footage.report import summary
from stgan_jax.footage.source import Options
from stgan_jax.video import background, io, pictures, standing, tracking
from stgan_jax.video.shelf import Shelf

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scene():
    return Scene(4, people=2, frames=30, size=(240, 320))


@pytest.fixture(scope="module")
def frames(scene):
    return list(scene)


@pytest.fixture(scope="module")
def source(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("footage") / "in.mkv"
    return clips.write(path, [f.image for f in frames], options={"crf": "10"}, sound="pcm_s16le")


@pytest.fixture(scope="module")
def truth(frames, tmp_path_factory):
    """A folder with everybody's true masks."""
    folder = tmp_path_factory.mktemp("truth")
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame.people)
    return folder


def shown(frames, scene, output, dilated=None):
    """Share of a frame's people's pixels (that differ from the scene) shown as they were."""
    shares = []
    for frame, image in zip(frames, io.read_frames(output), strict=True):
        person = (frame.people > 0) & (
            np.abs(frame.image.astype(int) - scene.background).max(-1) > 60
        )
        if dilated is not None:
            person &= ~dilated[len(shares)]
        near = np.abs(image.astype(int) - frame.image).max(-1) < 25
        shares.append((near & person).sum() / max(1, person.sum()))
    return np.array(shares)


# --- fails closed ----------------------------------------------------------------------------


def failing(function, when):
    """The function, raising at calls for which `when(number of the call)`."""
    calls = Counter()

    def wrapped(*arguments, **named):
        calls["n"] += 1
        if when(calls["n"]):
            raise RuntimeError("injected")
        return function(*arguments, **named)

    return wrapped


STAGES = {
    "detect": (masks.ByBackground, "__call__"),
    "track": (tracking.Follower, "see"),
    "encode": (contour, "encode"),
    "G": (anonymizer, "_generate"),
    "decode": (contour, "decode"),
    "colour": (compose, "colorize"),
    "compose": (compose, "compose"),
    "background": (background.Light, "see"),
}


def test_people_are_shown_where_nothing_fails(frames, scene, source, model, tmp_path):
    """So that the tests below can fail: much of each person keeps its pixels."""
    report = clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1)
    assert np.median(shown(frames, scene, tmp_path / "out.mkv")) > 0.3
    assert report["blanked_frames"] == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_original_person_gets_through_a_crash(
    stage, frames, scene, source, model, tmp_path, monkeypatch
):
    """In half of the stage's calls, or in all: frames it hits show nobody, and are told."""
    owner, name = STAGES[stage]
    always = ("encode", "G", "decode", "colour")
    function = failing(getattr(owner, name), lambda n: n % 2 or stage in always)
    monkeypatch.setattr(owner, name, function)
    output = tmp_path / "out.mkv"
    report = clip.anonymize_video(source, output, model, seed=1)
    assert report["exit_code"] == 3
    assert report["frames"] == 30
    shares = shown(frames, scene, output)
    if stage in ("encode", "G", "decode"):
        assert all(row["frames_anonymized"] == 0 for row in report["people"])
        reasons = {row["why"] for row in report["covered"]}
        assert "anonymising failed (RuntimeError)" in reasons
        assert shares.max() < 0.03
    elif stage == "colour":
        assert "colouring failed (RuntimeError)" in {row["why"] for row in report["covered"]}
        assert shares.max() < 0.03
    else:
        hit = [row["frame"] for row in report["blanked_frames"]]
        assert len(hit) >= 14
        assert all("failed (RuntimeError)" in row["why"] for row in report["blanked_frames"])
        assert shares[hit].max() < 0.03


def test_one_bad_frame_hides_itself_alone(source, model, tmp_path, monkeypatch):
    """The batch fails, then the piece, then the one frame."""
    fails = failing(anonymizer.anonymize_walks, lambda n: n <= 3)
    monkeypatch.setattr(anonymizer, "anonymize_walks", fails)
    report = clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1)
    failed = [row for row in report["covered"] if "anonymising failed" in row["why"]]
    assert [row["last_frame"] - row["first_frame"] for row in failed] == [0]
    assert failed[0]["to"] == failed[0]["from"] == pytest.approx(failed[0]["first_frame"] / 25)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError()])
def test_a_failure_to_write_leaves_nothing(source, model, tmp_path, monkeypatch, error):
    def write(*_):
        raise error

    monkeypatch.setattr(io, "_count", write)  # as the last thing before the file is renamed
    with pytest.raises(type(error)):
        clip.anonymize_video(source, tmp_path / "out.mkv", model, report=tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_under_the_shelf_stops_all(source, model, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="No space"):
        clip.anonymize_video(source, tmp_path / "out.mkv", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "codec"), [((1, 1), "ffv1"), ((18, 300), "libx264")])
def test_frames_too_small_for_people_are_refused_in_a_sentence(model, tmp_path, size, codec):
    """As a program that goes on: OpenCV's detectors crash on them."""
    images = [np.full((*size, 3), value, np.uint8) for value in range(12)]
    source = clips.write(tmp_path / "in.mkv", images, codec=codec)
    with pytest.raises(InputError, match="no walking person"):
        clip.anonymize_video(source, tmp_path / "out.mkv", model)
    assert not (tmp_path / "out.mkv").exists()


# --- masks from outside, cameras that move ------------------------------------------------------


def test_masks_tell_who_is_who_and_cover_all(frames, scene, source, truth, model, tmp_path):
    """Each id is one person throughout; outside the new silhouettes nobody is left."""
    report = clip.anonymize_video(
        source, tmp_path / "out.mkv", model, seed=1, options=Options(masks=truth)
    )
    seen = Counter()
    for frame in frames:
        seen.update(set(np.unique(frame.people).tolist()) - {0})
    assert sorted(row["frames_seen"] for row in report["people"]) == sorted(seen.values())
    plain = tmp_path / "plain.mkv"
    clip.anonymize_video(
        source, plain, model, seed=1, options=Options(masks=truth, silhouettes_only=True)
    )
    new = [cv2.dilate(image[..., 1], np.ones((5, 5))) > 60 for image in io.read_frames(plain)]
    assert np.mean(new) > 0.005
    assert shown(frames, scene, tmp_path / "out.mkv", dilated=new).max() == 0


def test_who_stands_still_throughout_is_hidden_by_masks(model, tmp_path):
    """A median would take them for background."""
    scene = Scene(4, people=1, frames=30, size=(240, 320))
    middle = next(itertools.islice(scene, 14, None))
    images = [middle.image] * 12
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(12):
        soft = cv2.GaussianBlur(middle.people * np.uint8(255), (3, 3), 0)  # grey edges are no ids
        cv2.imwrite(str(folder / f"{number:03d}.png"), soft)
    source = clips.write(tmp_path / "in.mkv", images, options={"crf": "10"})
    options = Options(masks=folder, silhouettes_only=False)
    clip.anonymize_video(source, tmp_path / "out.mkv", model, seed=1, options=options)
    clip.anonymize_video(
        source, tmp_path / "plain.mkv", model, seed=1,
        options=Options(masks=folder, silhouettes_only=True),
    )  # fmt: skip
    new = [
        cv2.dilate(i[..., 1], np.ones((5, 5))) > 60 for i in io.read_frames(tmp_path / "plain.mkv")
    ]
    assert shown([middle] * 12, scene, tmp_path / "out.mkv", dilated=new).max() < 0.05


def test_a_moving_camera_is_filled_around_masks(frames, scene, model, tmp_path):
    panned = [np.roll(frame.image, 3 * n, axis=1) for n, frame in enumerate(frames)]
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, frame in enumerate(frames):
        mask = np.roll(frame.people, 3 * number, axis=1)
        cv2.imwrite(str(folder / f"{number}.png"), mask)
    (folder / "7.png").write_bytes(b"damaged")
    source = clips.write(tmp_path / "in.mkv", panned, options={"crf": "10"})
    report = clip.anonymize_video(
        source, tmp_path / "out.mkv", model, seed=1,
        options=Options(masks=folder, silhouettes_only=False),
    )  # fmt: skip
    assert [row["frame"] for row in report["blanked_frames"]] == [7]
    for number, image in enumerate(io.read_frames(tmp_path / "out.mkv")):
        if number == 7:
            assert image.max() < 10  # black: nobody knows where people are in it
            continue
        around = cv2.dilate(np.roll(frames[number].people, 3 * number, axis=1), np.ones((61, 61)))
        same = np.abs(image.astype(int) - panned[number]).max(-1)[around == 0]
        assert np.median(same) < 8


def test_filling_leaves_nothing_of_what_is_masked():
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), 80, np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    mask[30:90, 50:80] = 1
    image[mask > 0] = rng.integers(180, 255, (mask.sum(), 3))
    made = masks.fill(image, mask)
    assert np.abs(made.astype(int) - 80).max() < 10
    assert np.array_equal(made[:20], image[:20])
    assert not masks.fill(image, np.ones_like(mask)).any()


def test_masks_that_do_not_fit_are_refused(source, truth, model, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for number in range(5):
        (few / f"{number}.png").write_bytes((truth / f"{number}.png").read_bytes())
    for folder, word in ((few, "5 masks for 30 frames"), (tmp_path / "none", "no such folder")):
        with pytest.raises(InputError, match=word):
            clip.anonymize_video(source, tmp_path / "out.mkv", model, options=Options(masks=folder))
    assert not (tmp_path / "out.mkv").exists()


def segmenter(path, weights, size=(48, 64)):
    """A network that tells by colour: a 1x1 convolution (classes, 3) and nothing else."""
    weights = np.float32(weights)
    given, made = (1, 3, *size), (1, len(weights), *size)
    conv = node("Conv", ["x", "w", "b"], "y", kernel_shape=(1, 1))
    graph = field(1, conv) + field(2, "tiny")
    graph += field(5, tensor("w", weights[:, :3, None, None]))
    graph += field(5, tensor("b", np.ascontiguousarray(weights[:, 3])))
    graph += field(11, value_info("x", given)) + field(12, value_info("y", made))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 11)))
    return path


@pytest.mark.parametrize("weights", [[[10, -10, -10, -2]], [[0, 0, 0, 0], [10, -10, -10, -2]]])
def test_a_segmenter_tells_where_people_are(tmp_path, weights):
    """Red people on grey, by one channel's sign or by the larger of two classes."""
    network = masks.Segmenter(segmenter(tmp_path / "net.onnx", weights), (48, 64, len(weights) - 1))
    image = np.full((96, 128, 3), 128, np.uint8)
    image[20:80, 40:60] = (255, 0, 0)
    mask = network(0, image, None)
    wanted = np.zeros((96, 128), bool)
    wanted[20:80, 40:60] = True
    assert (mask.astype(bool) != wanted).mean() < 0.02


def test_a_segmenter_that_is_none_is_refused(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    for name, word in (("bad.onnx", "not an ONNX network"), ("none.onnx", "no such file")):
        with pytest.raises(InputError, match=word):
            masks.Segmenter(tmp_path / name, (48, 64, 0))
    net = segmenter(tmp_path / "net.onnx", [[1, 0, 0, 0]])
    with pytest.raises(InputError, match="with a class 1 is needed"):
        masks.Segmenter(net, (48, 64, 1))


# --- light, standing people ---------------------------------------------------------------------


def test_who_stands_in_the_background_is_covered_and_told(model, tmp_path):
    """All the while, as a picture shows in which OpenCV's people detectors find them."""
    size, seed = (360, 480), 6
    walking = list(Scene(seed, people=1, frames=21, size=size))
    still = max(walking, key=lambda frame: frame.people.sum())
    there = still.people > 0
    empty = Scene(seed, people=0, frames=1, size=size).background
    differs = there & (np.abs(still.image.astype(int) - empty).max(-1) > 60)
    output = tmp_path / "out.mkv"
    # Who passes has other colours, so that theirs are not taken for the other's.
    others = [np.where(f.people[..., None] > 0, 255 - f.image, f.image) for f in walking[::2]]
    for passing in (others, [empty] * 6):
        images = [np.where(there[..., None], still.image, image) for image in passing]
        source = clips.write(tmp_path / "in.mkv", images, options={"crf": "10"})
        report = clip.anonymize_video(source, output, model, seed=1)
        rows = [row for row in report["covered"] if row["person"] is None]
        assert report["exit_code"] == 3
        assert f"{len(rows)} places in the background" in summary(report)
        inside = np.zeros(size, bool)
        for row in rows:
            assert (row["first_frame"], row["last_frame"]) == (0, len(images) - 1)
            left, top, right, bottom = row["box"]
            inside[top:bottom, left:right] = True
        assert inside[there].all()
        assert inside.mean() < 0.3
        for image in io.read_frames(output):
            assert (np.abs(image.astype(int) - still.image).max(-1)[differs] < 25).mean() < 0.1
    with pytest.raises(InputError, match="no walking person"):
        clip.anonymize_video(source, output, model, options=Options(standing="keep"))


@pytest.mark.parametrize("seed", [81, 83, 85])
def test_most_of_a_street_without_people_stays(seed):
    """While whoever is put into it is covered from head to foot."""
    scene = Scene(seed, people=1, frames=21, size=(360, 480))
    still = next(itertools.islice(scene, 10, None))
    assert standing.people_in(scene.background).mean() < 0.05
    assert standing.people_in(still.image)[still.people > 0].mean() > 0.98


def test_background_follows_light_and_not_a_person_who_stands_still():
    """Light falls by 40 % while somebody stands there for the later two thirds."""
    scene = Scene(4, people=1, frames=60, size=(240, 320))
    rendered = list(scene)
    middle = int(np.argmax([f.people.sum() for f in rendered]))
    order = [min(n, middle) if n > 20 else n for n in range(60)]
    light = np.linspace(1.0, 0.6, 60)
    images = [
        np.clip(rendered[t].image * light[n], 0, 255).astype(np.uint8) for n, t in enumerate(order)
    ]
    found = background.scene_behind(np.stack(images[::2]).copy())
    lamp = background.Light(found.empty, 5.0)
    for number, image in enumerate(images):
        empty = lamp.see(image)
        truth = scene.background * light[number]
        if number > 30:
            away = np.abs(empty.astype(int) - truth).max(-1)
            assert np.mean(away < 20) > 0.97
            person = rendered[order[number]].people > 0
            mask = masks.ByBackground(found.threshold)(number, image, empty)
            assert mask[person].mean() > 0.85
            assert mask[~person].mean() < 0.05


def test_a_lamp_that_is_switched_is_followed_within_a_fifth_of_a_second():
    empty = Scene(4, people=0, frames=1, size=(240, 320)).background
    lamp = background.Light(empty, 25.0)
    dark = (empty * 0.6).astype(np.uint8)
    seen = [lamp.see(image) for image in [empty, *[dark] * 5]]
    assert np.array_equal(seen[0], empty)
    assert np.abs(seen[-1].astype(int) - dark).max() < 12


# --- many people -----------------------------------------------------------------------------


def test_everybody_gets_one_noise_and_nobody_shares_it(model):
    """Whatever else is in the batch, and in whatever pieces the walk comes."""
    import jax

    walks = [walkers.silhouettes(s, 90, frames=n) for s, n in ((90, 70), (90, 20), (91, 5))]
    keys = list(jax.random.split(jax.random.key(3), 3))
    together = anonymizer.anonymize_walks(model, walks, keys)
    for walk, key, made in zip(walks, keys, together, strict=True):
        assert np.array_equal(made, anonymizer.anonymize_silhouettes(model, walk, key))
        assert np.array_equal(made[-3:], anonymizer.anonymize_silhouettes(model, walk[-3:], key))
    assert np.mean(together[0][:20] != together[1]) > 0.001


def test_memory_of_a_track_is_64_bytes_a_sighting():
    follower = tracking.Follower((240, 320))
    mask = np.zeros((240, 320), np.uint8)
    mask[50:200, 100:160] = 1
    for number in range(50):
        follower.see(number, mask)
    [track] = follower.tracks
    assert len(track.sightings._rows) * track.sightings._rows.itemsize == 64 * 50
    assert np.array_equal(track.sightings[17].on((240, 320)), mask)


# --- many files -------------------------------------------------------------------------------


def test_a_batch_goes_on_where_it_stopped(source, model, tmp_path):
    """What is done stays, what cannot be done is told, and nothing else is touched."""
    folder = tmp_path / "clips"
    folder.mkdir()
    good = folder / "good.mkv"
    good.write_bytes(source.read_bytes())
    (folder / "cut.mkv").write_bytes(source.read_bytes()[:30_000])
    (folder / "zero.mp4").touch()
    (folder / "notes.txt").write_text("not taken for a video")
    cv2.imwrite(str(folder / "cover.png"), np.zeros((9, 9), np.uint8))
    clips.write(folder / "one.mp4", [np.full((48, 64, 3), 90, np.uint8)])
    first = stgan_jax.anonymize(folder, checkpoint=model, seed=1, report=tmp_path / "all.json")
    by_name = {Path(one["input"]).name: one for one in first["files"]}
    assert sorted(by_name) == ["cut.mkv", "good.mkv", "one.mp4", "zero.mp4"]
    assert first["exit_code"] == 2
    assert "no walking person" in by_name["one.mp4"]["error"]
    assert "error" in by_name["cut.mkv"]
    assert "not a video" in by_name["zero.mp4"]["error"]
    assert json.loads((tmp_path / "all.json").read_text()) == first
    done = folder / "good_anonymized.mkv"
    assert sorted(p.name for p in folder.glob("*anonymized*")) == [done.name]
    assert clips.times(done) == clips.times(source)
    assert np.array_equal(clips.samples(done)[0], clips.samples(source)[0])
    written = done.stat().st_mtime_ns
    again = stgan_jax.anonymize([folder / "g*.mkv", good], checkpoint=model)
    assert [one.get("skipped") for one in again["files"]] == ["is there already"]
    assert done.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="--overwrite replaces it"):
        stgan_jax.anonymize(good, checkpoint=model)
    assert good.read_bytes() == source.read_bytes()


def test_seed_is_stored_where_asked_for_alone(source, model, tmp_path):
    for name, store in (("a", False), ("b", True)):
        told = stgan_jax.anonymize(
            source, tmp_path / f"{name}.mkv", checkpoint=model, seed=123456, store_seed=store,
            end=0.4, preview=tmp_path / "look.png",
        )["files"][0]  # fmt: skip
        assert ("123456" in json.dumps(told)) == store
        assert told["frames"] == 10
    assert cv2.imread(str(tmp_path / "look.png")).shape == (480, 960, 3)


def test_outputs_that_would_collide_are_refused(source, tmp_path):
    for name in ("a.mts", "a.mp4"):
        (tmp_path / name).write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="would both become"):
        batch.plan([tmp_path], None)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"start": 3, "end": 2}, "--end must be later"),
        ({"crf": 99}, "--crf"),
        ({"tempo": -0.1}, "--tempo"),
        ({"tempo": 0.1, "in_step": True}, "leave --tempo out"),
        ({"build": 0.9}, "--build"),
        ({"masks": "a", "start": 1}, "leave --start out"),
        ({"masks": "a", "segmenter": "b"}, "exclude each other"),
        ({"preview": "a.jpg"}, "name a .png"),
        ({"max_resolution": 1}, "--max_resolution"),
        ({"seed": 1 << 64}, "--seed"),
    ],
)
def test_options_that_cannot_be_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        Options(**options)


def test_killed_in_mid_write_there_is_no_output(source, trained, tmp_path):
    """Not under its name; and the next run clears away what was left."""
    code = (
        "import sys, time\nfrom stgan_jax.footage import cli\nfrom stgan_jax.video import io\n"
        "count = io._count\n"
        "def wait(path):\n    print('writing', flush=True)\n    time.sleep(60)\n"
        "io._count = wait\ncli.main(sys.argv[1:])\n"
    )
    target = tmp_path / "out.mkv"
    command = [sys.executable, "-c", code, str(source), f"--output={target}",
               f"--checkpoint={trained / 'stgan'}"]  # fmt: skip
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert running.stdout.readline() == b"writing\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    left = [p.name for p in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".out.")
    stgan_jax.files.sweep(target)
    assert list(tmp_path.iterdir()) == []


# --- datasets and folders ------------------------------------------------------------------------


def test_pickles_of_opengait_come_back_as_pickles(model, tmp_path):
    from stgan_jax.evaluation import gei

    root = tmp_path / "data"
    walk = gei.normalize(walkers.silhouettes(90, 90, frames=12), 64, 64) * np.uint8(255)
    walk[4] = 0
    for name in ("001/nm-01/090/090.pkl", "001/nm-02/090/090.pkl"):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(walk))
    (root / "002").mkdir()
    (root / "002/bad.pkl").write_bytes(pickle.dumps({"a": print}))
    told = stgan_jax.anonymize(root, checkpoint=model, seed=1, jobs=2)  # a loaded one: in this
    [one] = told["files"]
    assert (one["walks"], one["written"], told["exit_code"]) == (3, 2, 2)
    assert "refused" in one["errors"][0]["error"]
    out = tmp_path / "data_anonymized"
    first, second = (pickle.loads((out / f"001/nm-0{n}/090/090.pkl").read_bytes()) for n in (1, 2))
    assert first.shape == walk.shape
    assert first.dtype == np.uint8
    assert not first[4].any()
    for frame in np.delete(first, 4, 0):
        assert np.ptp(np.flatnonzero(frame.any(1))) >= 61  # full height
    assert np.mean(first != walk) > 0.01
    assert np.mean(first != second) > 0.001  # each walk has its own noise
    assert not (out / "002/bad.pkl").exists()
    again = stgan_jax.anonymize(root, checkpoint=model, seed=1)["files"][0]
    assert (again["written"], again["skipped"]) == (0, 2)


def test_silhouettes_come_back_as_silhouettes_and_frames_as_frames(frames, scene, model, tmp_path):
    walk, colour = tmp_path / "walk", tmp_path / "colour"
    walk.mkdir()
    colour.mkdir()
    own = [(frame.people == 1) * np.uint8(255) for frame in frames[5:25]]
    for number, mask in enumerate(own):
        cv2.imwrite(str(walk / f"{number}.png"), mask)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(colour / f"shot{number}.png"), frame.image[..., ::-1])
    stgan_jax.anonymize(walk, checkpoint=model, seed=1)
    made = [
        cv2.imread(str(tmp_path / f"walk_anonymized/{n}.png"), cv2.IMREAD_UNCHANGED)
        for n in range(20)
    ]
    for before, after in zip(own, made, strict=True):
        assert set(np.unique(after).tolist()) <= {0, 255}
        assert before.any() == after.any()
        if before.any():
            both = (before & after).astype(bool).sum() / ((before | after) > 0).sum()
            assert 0.4 < both < 0.999
    stgan_jax.anonymize(colour, checkpoint=model, seed=1)
    told = stgan_jax.anonymize(colour, checkpoint=model, seed=1, overwrite=True)["files"][0]
    out = tmp_path / "colour_anonymized"
    assert told["frames"] == 30
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in colour.iterdir())
    image = cv2.imread(str(out / "shot29.png"))[..., ::-1]
    around = cv2.dilate(frames[29].people, np.ones((45, 45))) == 0
    assert np.mean(np.abs(image.astype(int) - scene.background).max(-1)[around] > 20) < 0.01


def test_a_dataset_is_done_by_several_processes(trained, tmp_path):
    """Whose folder holds pictures of its own, too, beside the walks; cadence and builds change."""
    for name, count in (("data", 4), ("data/0", 4), ("data/1", 40)):
        (tmp_path / name).mkdir()
        for n, mask in enumerate(walkers.silhouettes(90, 90, frames=count)):
            cv2.imwrite(str(tmp_path / name / f"{n:02d}.png"), mask * np.uint8(255))
    outputs = {}
    for jobs, largest in ((1, 0.0), (2, 0.3), (1, 0.3), (1, None)):
        out = tmp_path / f"out{jobs}{largest}"
        (out / "0").mkdir(parents=True)  # as by another process
        options = {"tempo": largest, "build": 1.6}
        if largest is None:
            options = {"build": 1.6, "in_step": True}
        told = stgan_jax.anonymize(tmp_path / "data", out, seed=5, jobs=jobs, **options)
        assert told["files"][0]["written"] == 3
        outputs[jobs, largest] = [p.read_bytes() for p in sorted(out.rglob("*.png"))]
    assert outputs[1, 0.3] == outputs[2, 0.3]
    assert len(outputs[1, 0.3]) == 48
    for one, other in (((1, 0.3), (1, 0.0)), ((1, 0.0), (1, None))):
        same = [a == b for a, b in zip(outputs[one], outputs[other], strict=True)]
        assert sum(same) < 24
    options = {"tempo": 0.3, "build": 1.6}
    (tmp_path / "out10.3/03.png").unlink()  # as of one that was killed
    again = stgan_jax.anonymize(tmp_path / "data", tmp_path / "out10.3", seed=5, **options)
    assert (again["files"][0]["written"], again["files"][0]["skipped"]) == (1, 2)
    made, other = ((tmp_path / f"out{n}0.3/03.png").read_bytes() for n in (1, 2))
    assert made == other
    stgan_jax.anonymize(tmp_path / "data", tmp_path / "as_people", seed=5, tempo=0.3)
    assert made != (tmp_path / "as_people/03.png").read_bytes()
    out = tmp_path / "out"
    for options, word in (
        ({"checkpoint": tmp_path / "none"}, "none"),
        ({"checkpoint": trained / "stgan", "tempo": 0.1}, "only retargeting can change cadence"),
    ):  # in a sentence, before any process starts
        with pytest.raises(InputError, match=word):
            stgan_jax.anonymize(tmp_path / "data", out, jobs=2, **options)
    assert not out.exists()


def long_walk(frames, shelf):
    follower = tracking.Follower((240, 400), shelf=shelf)
    for number, mask in enumerate(walkers.silhouettes(3, 90, frames=frames)):
        follower.see(number, np.pad(mask, ((0, 0), (number, 160 - number))))
    [track] = follower.tracks
    return track


def test_a_long_walk_in_pieces_is_as_in_one(tmp_path):
    frames, reach = 150, 7
    shelf = Shelf(tmp_path)
    track, seen = long_walk(frames, shelf), []

    def blurred(walks, keys):
        """A model whose every frame depends on so many before and after it."""
        out = []
        for walk in walks:
            seen.append(len(walk))
            around = [walk[max(t - reach, 0) : t + reach + 1] for t in range(len(walk))]
            out.append(np.stack([near.max(0) for near in around]))
        return out

    key = jax.random.key(0)
    [person] = people.anonymize([track], (240, 400), 25, key, blurred, shelf, reach)
    assert max(seen) <= 64
    seen.clear()
    crops = np.stack([people._crop(person, i) for i in range(frames)])
    [whole] = blurred([crops], [key])
    for i in range(frames):
        np.testing.assert_array_equal(person.silhouette(i), whole[i])


def test_a_re_timed_walk_is_one_and_fails_closed(tmp_path, monkeypatch):
    frames, shelf, root = 120, Shelf(tmp_path), jax.random.key(1)
    model = anonymizer.varied(anonymizer.load_model(), 0.3)
    whole = anonymizer.whole_walks(model)

    def made(track, whole=whole):
        [person] = people.anonymize([track], (240, 400), 25, root, list, shelf, 7, whole)
        return person

    person = made(long_walk(frames, shelf))
    crops = np.stack([people._crop(person, i) for i in range(frames)])
    key = jax.random.fold_in(root, 0)
    at_once = model(crops, key)
    for in_step in (False, True):
        other = anonymizer.varied(model, 0.0, in_step=in_step)(crops, key)
        assert np.mean(at_once != other) > 0.005
    for i in range(frames):  # sums in another order: a pixel here and there
        assert np.count_nonzero(person.silhouette(i) != at_once[i]) < 20

    crop = people._crop
    monkeypatch.setattr(people, "_crop", lambda p, i: crop(p, i) if i != 70 else 1 / 0)
    hidden = made(long_walk(frames, shelf)).hidden
    assert [i for i in range(frames) if hidden[i]] == [70]

    assert made(long_walk(10, shelf)).hidden == [None] * 10

    def broken(crops, frames, key):
        yield from [next(whole(crops, frames, key))]
        raise RuntimeError

    assert all(made(long_walk(30, shelf), broken).hidden)


def test_stgan_refuses_to_change_cadence_and_builds(model):
    assert anonymizer.varied(model, 0.0, 1.0, in_step=True) is model
    assert anonymizer.whole_walks(model) is None
    drawn = anonymizer.load_model()
    assert anonymizer.whole_walks(drawn) is not None
    assert anonymizer.whole_walks(anonymizer.varied(drawn, in_step=True)) is None
    with pytest.raises(InputError, match="only retargeting can change cadence"):
        anonymizer.varied(model, 0.1)
    with pytest.raises(InputError, match="leave --build out"):
        anonymizer.varied(model, build=1.5)


def test_without_a_checkpoint_the_package_brings_weights():
    model = anonymizer.load_model()
    walks = [walkers.silhouettes(85, view, frames=20) for view in (0, 90)]
    made = anonymizer.anonymize_walks(model, walks, [jax.random.key(n) for n in (1, 2)])
    for own, new in zip(walks, made, strict=True):
        assert naturalness.one_piece(new).all()
        assert 0.5 < best_iou(new, own).mean() < 0.97


def test_strength_is_weights_of_stgan_or_a_share_of_the_other_walker(
    trained, tmp_path, monkeypatch
):
    assert [anonymizer.load_model(strength=s).alpha for s in anonymizer.STRENGTHS] == [0.7, 1, 1]
    with pytest.raises(InputError, match=r"one strength, that of its alpha \(0\.3\)"):
        anonymizer.load_model(trained / "stgan", "mild")
    weights.export(trained / "stgan", tmp_path / "stgan_strong.npz")
    weights.export(trained / "noise", tmp_path / "noise.npz")
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    loaded, before = (
        anonymizer.load_model("stgan", "strong"),
        anonymizer.load_model(trained / "stgan"),
    )
    walk, key = walkers.silhouettes(90, 90, frames=4), jax.random.key(0)
    ours, theirs = (anonymizer.anonymize_silhouettes(m, walk, key) for m in (loaded, before))
    assert best_iou(ours, theirs).mean() > 0.98
    for name, strength, word in (
        ("stgan", "mild", "no weights 'stgan_mild' come with the package"),
        ("noise", "default", "anonymises no videos"),
        (None, "weak", "must be one of mild, default, strong"),
    ):
        with pytest.raises(InputError, match=word):
            anonymizer.load_model(name, strength)


def test_a_folder_that_holds_more_than_pictures_is_not_replaced(tmp_path, model, monkeypatch):
    """Nor does any work begin."""
    monkeypatch.setattr(clip._Clip, "run", None)
    (tmp_path / "kept").mkdir()
    note = tmp_path / "kept" / "note.txt"
    note.write_text("mine")
    (tmp_path / "in").mkdir()
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / "in" / name), np.full((64, 64, 3), (9, 99, 199), np.uint8))
    with pytest.raises(InputError, match=r"note\.txt, which is no picture"):
        stgan_jax.anonymize(tmp_path / "in", tmp_path / "kept", checkpoint=model, overwrite=True)
    (tmp_path / "in" / "2.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"two pictures would become 2\.png"):
        stgan_jax.anonymize(tmp_path / "in", checkpoint=model)
    assert note.read_text() == "mine"
    note.rename(tmp_path / "kept" / "old.png")
    with pictures.replacing(tmp_path / "kept") as beside:
        (beside / "new.png").write_bytes(b"")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["new.png"]


@pytest.fixture
def without_rights(tmp_path, monkeypatch):
    """The working folder; a function that makes this process one that rights hold for."""
    mask = os.umask(0o022)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    root = os.geteuid() == 0
    try:
        yield lambda: os.setresuid(65534, 65534, 0) if root else None
    finally:
        if root:
            os.setresuid(0, 0, 0)
        os.umask(mask)


def test_what_may_not_be_read_or_written_is_named(source, model, tmp_path, without_rights):
    for name in ("in.mkv", "shut.mkv"):
        (tmp_path / name).write_bytes(source.read_bytes())
    for name in ("frames", "walks", "out"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.zeros((48, 64), np.uint8))
    (tmp_path / "shut.mkv").chmod(0)
    (tmp_path / "frames").chmod(0)
    (tmp_path / "walks" / "1.png").chmod(0)
    (tmp_path / "out").chmod(0o555)
    before = sorted(os.listdir("."))
    without_rights()
    for given, output, word in (
        ("shut.mkv", None, "shut.mkv: no permission to read it"),
        ("frames", None, "frames: no permission to read it"),
        ("walks", None, "1.png: cannot be read"),
        ("in.mkv", "out/made.mkv", "out: cannot write there"),
    ):
        with pytest.raises(InputError, match=word):
            stgan_jax.anonymize(given, output, checkpoint=model)
    assert sorted(os.listdir(".")) == before


def test_seeds_beyond_32_bits_are_keys_of_their_own():
    """JAX alone would take the low half, or none; and no two walks share a key by their names."""
    seeds = [0, 7, (1 << 32) + 7, 7 << 32, (1 << 64) - 1]
    made = [jax.random.key_data(keys.root(seed)).tolist() for seed in seeds]
    assert made == [[0, 0], [0, 7], [1, 7], [7, 0], [0xFFFFFFFF] * 2]
    assert jax.random.key_data(jax.random.key(7)).tolist() == [0, 7]
    twins = ("plumless", "buckeroo")  # of one CRC-32
    assert zlib.crc32(twins[0].encode()) == zlib.crc32(twins[1].encode())
    one, other = (jax.random.key_data(keys.named(keys.root(7), name)) for name in twins)
    assert one.tolist() != other.tolist()
    assert len({keys.random_seed() >> 32 for _ in range(8)}) == 8


def test_a_dataset_is_not_written_into_itself(tmp_path, model):
    pictures.write(tmp_path / "1.png", np.zeros((64, 44), np.uint8))
    for output in (tmp_path, tmp_path / "out"):
        with pytest.raises(InputError, match="lies in the input"):
            stgan_jax.anonymize(tmp_path, output, checkpoint=model, overwrite=True)


def test_a_dataset_is_told_by_its_walks():
    told = {"output": "out", "walks": 3, "written": 2, "frames": 99, "skipped": 1, "errors": []}
    assert batch._line(told) == ("out: 2 of 3 walks, 99 frames, 1 were there already, 0 failed")
