"""`make demo`, on models trained before."""

import dataclasses
import json
import shutil

import cv2
import small

from stgan_jax import demo
from stgan_jax.data.walkers import scenes
from stgan_jax.media import containers


def test_demo_leaves_what_it_promises(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "TEST_SUBJECTS", range(85, 88))
    whole = scenes.Scene
    monkeypatch.setattr(scenes, "Scene", lambda seed, people, frames: whole(seed, people, 40))
    for name in ("noise", "stgan"):
        shutil.copytree(trained / name, tmp_path / name)
    config = dataclasses.replace(small.STGAN, noise_checkpoint=str(tmp_path / "noise"))
    report = demo.run(tmp_path, small.NOISE, config)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert (
        len(list(containers.read_frames(tmp_path / "anonymized.mp4"))) == report["video"]["frames"]
    )
    assert cv2.imread(str(tmp_path / "contact_sheet.png")).shape[0] >= 480
    assert cv2.imread(str(tmp_path / "noise_samples.png")).shape == (480, 960, 3)
    for row in report["rank1"]:
        assert row["rank1_before"] > 0.9
        assert row["rank1_after"] < row["rank1_before"]
        assert row["chance"] == 1 / 3
    table = demo.table(report).splitlines()
    assert table[0].split() == ["view", "rank-1", "before", "rank-1", "after", "chance"]
    assert len(table) == 5
