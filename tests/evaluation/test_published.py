"""What another program published is measured as a method is; our own outputs give our figures."""

import dataclasses
import pickle

import cv2
import numpy as np
import pytest
import toys

from stgan_jax.evaluation import published, run
from stgan_jax.methods import peers
from stgan_jax.shapes import gei
from stgan_jax.util.errors import InputError

SETTINGS = run.EvaluationSettings(recognizers=("gei",), natural_walks=1, recovery_walks=0)


@pytest.fixture(scope="module")
def walks():
    """Four people from the side, 50 frames."""
    return toys.rendered(range(1, 5), views=(90,), walks=("nm-01", "nm-05"))


@pytest.fixture(scope="module")
def tree(walks, tmp_path_factory):
    """Pixelated walks as pictures, a tree for each role."""
    root = tmp_path_factory.mktemp("published")
    method = peers.Peer("pixelation", peers.pixelation)
    for role, (mask, seed) in walks.parts(0).items():
        for i, _, masks in walks.silhouettes(method, np.flatnonzero(mask), seed):
            name = walks.names[i]
            folder = root / role / f"{name.subject:03d}" / name.name / f"{name.view:03d}"
            folder.mkdir(parents=True)
            for t, frame in enumerate(masks):
                cv2.imwrite(str(folder / f"{t:03d}.png"), frame * 255)
    return root


def figures(methods, walks, folder):
    return run.evaluate(methods, walks, SETTINGS, folder, "walkers", toys.INSTRUMENTS)[0]["methods"]


def test_our_own_outputs_as_a_tree_give_the_figures_of_the_method(walks, tree, tmp_path, capsys):
    (own,) = published.from_flags([f"theirs={tree}"], walks)
    assert own.missing == {}
    method = peers.Peer("pixelation", peers.pixelation)
    _, expected, found = figures([method, own], walks, tmp_path)
    assert set(expected["privacy"]) == {"ignorant", "lazy-informed", "semi-informed"}
    assert found["privacy"] == expected["privacy"]
    for name, value in expected["naturalness"]["measures"].items():
        if name not in ("self_crossing", "roughness", "head_roughness"):  # of contours
            assert found["naturalness"]["measures"][name] == value
    assert "no " not in capsys.readouterr().out


def test_what_is_missing_decides_which_attacks_are_made(walks, tree, tmp_path, capsys):
    for role in ("probes", "gallery"):
        (tmp_path / "tree" / role).parent.mkdir(exist_ok=True)
        (tmp_path / "tree" / role).symlink_to(tree / role)
    (own,) = published.from_flags([f"theirs={tmp_path / 'tree'}"], walks)
    assert own.missing == {"training": "all"}
    _, found = figures([own], walks, tmp_path / "cache")
    assert set(found["privacy"]) == {"ignorant", "lazy-informed"}
    assert found["missing"] == {"training": "all"}
    said = capsys.readouterr().out
    assert "theirs: no semi-informed attack, as its tree has no walk of the training" in said


def test_one_tree_of_pickles_serves_every_role_and_walks_that_lack_are_left_out_for_all(
    walks, tmp_path
):
    for i, _, masks in walks.silhouettes(
        peers.Peer("mean", peers.mean), np.arange(len(walks.names)), 0
    ):
        name = walks.names[i]
        if (name.subject, name.name) == (3, "nm-05"):
            continue
        folder = tmp_path / "tree" / f"{name.subject:03d}" / name.name / f"{name.view:03d}"
        folder.mkdir(parents=True)
        small = gei.normalize(masks, 64, 64) * np.uint8(255)
        (folder / f"{name.view:03d}.pkl").write_bytes(pickle.dumps(small))
    (own,) = published.from_flags([f"mean={tmp_path / 'tree'}"], walks)
    assert own.missing == {"probes": 1}
    common = published.common(walks, [own])
    assert len(common.names) == len(walks.names) - 1
    plain, found = figures([own], walks, tmp_path / "cache")
    people = found["privacy"]["ignorant"]["gei"]["conditions"]["nm"]["rank1"]["by_view"]
    assert set(people) == {"90"}
    assert plain["missing"] == {}


def test_what_is_no_tree_is_said_in_a_sentence(walks, tree, tmp_path):
    for text, message in (
        ("theirs", "write NAME=TREE"),
        (f"theirs={tmp_path / 'none'}", "no such folder"),
        (f"theirs={tree / 'gallery'}", "none of the dataset's probes"),
    ):
        with pytest.raises(InputError, match=message):
            published.from_flags([text], walks)
    (own,) = published.from_flags([f"theirs={tree}"], walks)
    own._files = {key: files[:40] for key, files in own._files.items()}
    name = walks.names[0]
    with pytest.raises(InputError, match="has 40 frames with a person, and 50 are needed"):
        own.contours(walks.contours(np.array([0]), "padded"), [name], 0)
    other = dataclasses.replace(own._files[(1, "nm", 1, 90)][0], name="x")
    assert other.state() != own._files[(1, "nm", 1, 90)][0].state()
