"""CASIA-B in every layout, written from walkers and read back; bad copies are refused."""

import os
import pickle
import shutil
import tarfile

import av
import cv2
import numpy as np
import pytest

from stgan_jax.data.datasets import built, casia_b, casia_b_video
from stgan_jax.data.walkers import color_walks, recording
from stgan_jax.shapes import contour, cropping
from stgan_jax.util.errors import InputError

WALKS = {("nm", 1, 0): 6, ("nm", 2, 90): 4, ("bg", 1, 90): 5, ("cl", 2, 180): 3}


def silhouettes(subject, condition, repetition, view):
    return recording.silhouettes(subject, view, condition, repetition, frames=20)


def in_frame(mask):
    """A silhouette at half size in a frame of 320x240, as CASIA-B has it."""
    frame = np.zeros((240, 320), np.uint8)
    small = cv2.resize(255 * mask, (120, 120), interpolation=cv2.INTER_AREA)
    frame[60:180, 100:220] = np.where(small > 127, 255, 0)
    return frame


def write_tree(root, subjects=(1, 2)):
    for subject in subjects:
        for (condition, number, view), count in WALKS.items():
            name = f"{subject:03d}-{condition}-{number:02d}-{view:03d}"
            folder = root / f"{subject:03d}/{condition}-{number:02d}/{view:03d}"
            folder.mkdir(parents=True)
            masks = silhouettes(subject, condition, number, view)[:count]
            for i, mask in enumerate(masks, 1):
                cv2.imwrite(str(folder / f"{name}-{i:03d}.png"), in_frame(mask))
    return root


def write_archives(root):
    tree = write_tree(root / "tree")
    for subject in ("001", "002"):
        with tarfile.open(root / f"{subject}.tar.gz", "w:gz") as archive:
            archive.add(tree / subject, subject)
    shutil.rmtree(tree)
    return root


def write_pickles(root, subjects=(1, 2), protocol=4):
    for subject in subjects:
        for (condition, number, view), count in WALKS.items():
            folder = root / f"{subject:03d}/{condition}-{number:02d}/{view:03d}"
            folder.mkdir(parents=True)
            masks = silhouettes(subject, condition, number, view)[:count]
            rows = [np.flatnonzero(mask.any(1)) for mask in masks]
            frames = [
                cv2.resize(255 * m[r[0] : r[-1] + 1], (64, 64), interpolation=cv2.INTER_AREA)
                for m, r in zip(masks, rows, strict=True)
            ]
            with open(folder / f"{view:03d}.pkl", "wb") as file:
                pickle.dump(np.stack(frames), file, protocol=protocol)
    return root


def expected(subject, condition, number, view, count):
    """What the tree's frames must come out as, computed here apart."""
    frames = [in_frame(m) > 127 for m in silhouettes(subject, condition, number, view)[:count]]
    return np.stack(frames)


@pytest.mark.parametrize("layout", ["tree", "doubled", "archives"])
def test_every_layout_of_the_raw_silhouettes_is_read_back_equal(tmp_path, layout):
    if layout == "archives":
        write_archives(tmp_path)
    else:
        write_tree(
            tmp_path / ("GaitDatasetB-silh/GaitDatasetB-silh" if layout == "doubled" else "")
        )
    for subject in (1, 2):
        sequences, dropped = casia_b.read_subject(tmp_path, subject)
        assert not dropped
        assert len(sequences) == len(WALKS)
        for (condition, number, view), count in WALKS.items():
            masks = sequences[f"{subject:03d}-{condition}-{number:02d}-{view:03d}"]
            frames = expected(subject, condition, number, view, count)
            assert masks.shape == (count, 240, 240)
            boxes = [(t, left, t + h, left + w) for t, left, h, w in map(box, frames)]
            squares = cropping.track_squares(np.array(boxes))
            for mask, frame, square in zip(masks, frames, squares, strict=True):
                assert np.array_equal(mask, cropping.crop_mask(frame, square))
                # And, apart from our own crops: a scaled copy of what was in the frame.
                ratio = (mask.sum() / frame.sum()) / (240 / square[2]) ** 2
                assert 0.97 < ratio < 1.03


def box(mask):
    left, top, width, height = cv2.boundingRect(np.asarray(mask, np.uint8))
    return top, left, height, width


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_opengait_pickles_are_read(tmp_path, protocol):
    write_pickles(tmp_path, protocol=protocol)
    sequences, dropped = casia_b.read_subject(tmp_path, 1)
    assert not dropped
    assert {name: len(masks) for name, masks in sequences.items()} == {
        f"001-{c}-{n:02d}-{v:03d}": count for (c, n, v), count in WALKS.items()
    }
    for masks in sequences.values():
        heights = [box(mask)[2] for mask in masks]
        assert min(heights) > 0.8 * cropping.FILL * 240


def test_the_archives_hold_what_the_tree_holds(tmp_path):
    tree, archives = write_tree(tmp_path / "a"), write_archives(tmp_path / "b")
    one, other = (casia_b.read_subject(root, 2)[0] for root in (tree, archives))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_what_cannot_be_used_is_dropped_and_counted(tmp_path):
    write_tree(tmp_path)
    frames = sorted((tmp_path / "001/nm-01/000").glob("*.png"))
    cv2.imwrite(str(frames[0]), np.zeros((240, 320), np.uint8))
    cut = cv2.imread(str(frames[1]), cv2.IMREAD_GRAYSCALE)
    rows = np.flatnonzero((cut > 127).any(1))
    above = int(rows[len(rows) // 3])  # a third of those that show somebody
    cut = np.roll(cut, -above, axis=0)
    cut[-above:] = 0
    cv2.imwrite(str(frames[1]), cut)
    for path in (tmp_path / "001/nm-02/090").glob("*.png"):
        cv2.imwrite(str(path), np.zeros((240, 320), np.uint8))
    grey = cv2.imread(str(frames[2]), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(frames[2]), np.where(grey > 127, 200, 60).astype(np.uint8))
    shutil.rmtree(tmp_path / "001/bg-01/090")
    sequences, dropped = casia_b.read_subject(tmp_path, 1)
    assert sorted(sequences) == ["001-cl-02-180", "001-nm-01-000"]
    assert len(sequences["001-nm-01-000"]) == 4
    assert dropped == {
        "frames without a person": 1 + 4,
        "frames with the head cut off": 1,
        "sequences without a usable frame": 1,
    }


class Evil:
    def __reduce__(self):
        return os.system, ("touch broken_into",)


def bad_pickle(root, value):
    write_pickles(root)
    (root / "001/nm-01/000/000.pkl").write_bytes(pickle.dumps(value))


def evil_inside_an_array(root):
    value = np.empty(1, object)
    value[0] = Evil()
    bad_pickle(root, value)


def cut_png(root):
    path = sorted(write_tree(root).glob("001/nm-01/000/*.png"))[2]
    path.write_bytes(path.read_bytes()[:200])


def cut_archive(root):
    path = write_archives(root) / "001.tar.gz"
    path.write_bytes(path.read_bytes()[:2000])


BAD = {
    "code in a pickle": (lambda root: bad_pickle(root, Evil()), "system"),
    "code in an array": (evil_inside_an_array, "system"),
    "a pickle of something else": (lambda root: bad_pickle(root, {"a": 1}), "not an array"),
    "a cut pickle": (
        lambda root: (
            write_pickles(root),
            (root / "001/nm-01/000/000.pkl").write_bytes(b"\x80\x04\x95"),
        ),
        "000.pkl",
    ),
    "a cut picture": (cut_png, "damaged picture"),
    "a cut archive": (cut_archive, "damaged archive"),
    "an empty folder": (lambda root: root.mkdir(exist_ok=True), "no subjects"),
    "another folder": (lambda root: (root / "holiday/2019").mkdir(parents=True), "no subjects"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_copy_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, case):
    make, word = BAD[case]
    make(tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=word):
        built.build("casia_b", tmp_path / "data", tmp_path / "copy")
    assert not list((tmp_path / "data").rglob("*"))
    assert not (tmp_path / "broken_into").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        built.build("casia_b", tmp_path / "data", tmp_path / "nowhere")


def test_casia_b_is_built_and_read_like_the_walkers(tmp_path):
    write_tree(tmp_path / "copy", subjects=(3, 75))
    metadata = built.build("casia_b", tmp_path / "data", tmp_path / "copy")
    assert list(metadata["sequences"]) == ["s003", "s075"]
    sequences = built.Sequences("casia_b", tmp_path / "data", range(1, 125), views=[90])
    assert [(w.subject, w.name, w.view) for w in sequences.walks] == [
        (3, "bg-01", 90), (3, "nm-02", 90), (75, "bg-01", 90), (75, "nm-02", 90),
    ]  # fmt: skip
    direct = casia_b.read_subject(tmp_path / "copy", 75)[0]["075-nm-02-090"]
    assert np.array_equal(sequences.silhouettes(3), direct)
    for points, mask in zip(sequences.outlines(3), direct, strict=True):
        assert np.array_equal(points, contour.outline(mask))


def write_video(path, frames):
    """As cameras of 2005 did: MPEG-4 in an AVI."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def color_walk(view, repetition):
    return color_walks.render(7, view, "nm", repetition, False, True, frames=16)


def write_videos(root):
    """Subject 7 at 90 and 54 degrees, nm-01 and nm-02; 54 without an empty scene."""
    folder = root / "DatasetB-1/video"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for view in (54, 90):
        # One street behind all the walks of a view.
        scene = color_walk(view, 1).background
        for repetition in (1, 2):
            walk = color_walk(view, repetition)
            frames = np.where(walk.masks[..., None] == 1, walk.frames, scene)
            frames = [scene] * 3 + list(frames)
            write_video(folder / f"007-nm-{repetition:02d}-{view:03d}.avi", frames)
        if view == 90:
            noisy = [
                np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8)
                for _ in range(20)
            ]
            write_video(folder / f"007-bkgrd-{view:03d}.avi", noisy)
    return root


def test_videos_are_segmented_by_their_background_clips(tmp_path):
    write_videos(tmp_path)
    assert casia_b_video.subjects(tmp_path) == [7]
    walks, dropped = casia_b_video.read_subject(tmp_path, 7)
    assert sorted(walks) == ["007-nm-01-090", "007-nm-02-090"]
    assert dropped == {"frames without a person": 6, "walks without a background clip": 2}
    for repetition in (1, 2):
        walk, true = walks[f"007-nm-{repetition:02d}-090"], color_walk(90, repetition)
        assert walk.masks is None
        assert len(walk.frames) == 16
        both = (walk.silhouettes & true.masks).sum((1, 2))
        either = (walk.silhouettes | true.masks).sum((1, 2))
        assert (both / either).min() > 0.8
        inside = true.masks == 1
        assert np.abs(walk.frames.astype(int) - true.frames)[inside].mean() < 12


def test_colour_sets_are_built_and_read_back(tmp_path):
    write_videos(tmp_path / "copy")
    metadata = built.build("casia_b/rgb", tmp_path / "data", tmp_path / "copy")
    assert metadata["sequences"] == {
        "s007": [[f"007-nm-{n:02d}-090", 16, "unknown", "unknown"] for n in (1, 2)]
    }
    sequences = built.Sequences("casia_b/rgb", tmp_path / "data", [7], walks=["nm-02"])
    walk = sequences.color(0)
    direct = casia_b_video.read_subject(tmp_path / "copy", 7)[0]["007-nm-02-090"]
    assert np.array_equal(walk.silhouettes, direct.silhouettes)
    assert np.array_equal(walk.background, direct.background)
    assert walk.masks is None
    assert np.abs(walk.frames.astype(int) - direct.frames).mean() < 4  # JPEG
    assert sequences.silhouettes(0).shape == direct.silhouettes.shape
    with pytest.raises(InputError, match="no contours"):
        sequences.outlines(0)


def test_a_damaged_video_and_a_folder_without_videos_are_one_sentence(tmp_path):
    path = write_videos(tmp_path / "copy") / "DatasetB-1/video/007-nm-02-090.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="007-nm-02-090"):
        built.build("casia_b/rgb", tmp_path / "data", tmp_path / "copy")
    assert not list((tmp_path / "data").rglob("*"))
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="no videos found"):
        built.build("casia_b/rgb", tmp_path / "data", tmp_path / "other")


def write_normalised(root, size=(44, 64)):
    """The walkers as GaitSet's preparation leaves them: from the upper edge to the lower."""
    write_pickles(root)
    for path in list(root.rglob("*.pkl")):
        for i, frame in enumerate(pickle.loads(path.read_bytes())):
            picture = cv2.resize(frame, (64, 64))[:, 10:54] if size == (44, 64) else frame
            cv2.imwrite(str(path.with_name(f"{path.parts[-4]}-{i:03d}.png")), picture)
        path.unlink()
    return root


@pytest.mark.parametrize("size", [(44, 64), (64, 64)])
def test_height_normalised_pictures_are_read_as_pickles_are(tmp_path, size):
    """No frame is dropped for a head that is cut off; hidden files of other systems are none."""
    write_normalised(tmp_path, size)
    folder = tmp_path / "001/nm-01/000"
    (folder / "._001-000.png").write_bytes(b"Mac OS X")
    (folder / "Thumbs.db").write_bytes(b"Windows")
    sequences, dropped = casia_b.read_subject(tmp_path, 1)
    assert {name: len(frames) for name, frames in sequences.items()} == {
        f"001-{condition}-{number:02d}-{view:03d}": count
        for (condition, number, view), count in WALKS.items()
    }
    assert not dropped
    for frames in sequences.values():
        rows = [np.flatnonzero(frame.any(1)) for frame in frames]
        assert all(r[-1] - r[0] > 190 for r in rows)


def test_walks_of_other_pictures_are_counted_or_refused(tmp_path):
    """Pictures in another format are no walks without a word."""
    write_normalised(tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.png"):
        path.rename(path.with_suffix(".jpg"))
    _, dropped = casia_b.read_subject(tmp_path / "copy", 1)
    pictures = len(list((tmp_path / "copy/001").rglob("*.jpg")))
    assert dropped == {
        "files that are neither .png nor .pkl": pictures,
        "sequences without a usable frame": len(WALKS),
    }
    with pytest.raises(InputError, match="holds no walk that can be used"):
        built.build("casia_b", tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "data").exists()


def test_of_several_pickles_the_silhouettes_are_taken(tmp_path):
    """As they were cut out first, then aligned ones; what else lies there is counted."""
    write_pickles(tmp_path, subjects=(1,))
    wanted, _ = casia_b.read_subject(tmp_path, 1)
    rng = np.random.default_rng(0)
    for path in list(tmp_path.rglob("*.pkl")):
        frames = pickle.loads(path.read_bytes())
        path.rename(path.with_name("1-sils.pkl"))
        for name, value in {
            "0-aligned-sils.pkl": frames[:, ::-1],
            "2-ratios.pkl": rng.random(len(frames)),
            "3-pose2d.pkl": rng.random((len(frames), 17, 3), np.float32),
        }.items():
            path.with_name(name).write_bytes(pickle.dumps(value))
    sequences, dropped = casia_b.read_subject(tmp_path, 1)
    assert dropped == {"pickles of another kind beside the silhouettes": 12}
    assert list(sequences) == list(wanted)
    assert all(np.array_equal(sequences[name], wanted[name]) for name in wanted)
    for path in tmp_path.rglob("1-sils.pkl"):
        path.unlink()
    sequences, _ = casia_b.read_subject(tmp_path, 1)
    assert list(sequences) == list(wanted)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.zeros((9, 17, 3), np.float32), r"float32 numbers \(9, 17, 3\), as poses"),
        (np.zeros((9, 17, 3), np.int64), r"\(9, 17, 3\) is no silhouettes"),
        (np.zeros((9, 64, 44)), "float64 numbers"),
        (np.full((9, 64, 44), 300, np.int32), "beyond 0 to 255"),
        (np.zeros((9, 2, 64, 44), np.uint8), r"\(9, 2, 64, 44\) is no silhouettes"),
    ],
)
def test_arrays_that_are_no_silhouettes_are_refused_by_name(tmp_path, value, word):
    write_pickles(tmp_path, subjects=(1,))
    (tmp_path / "001/nm-01/000/000.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match=f"000.pkl: .*{word}"):
        casia_b.read_subject(tmp_path, 1)
