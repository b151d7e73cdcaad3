"""Does a restructured checkout compute what another one did, bit for bit?

    git worktree add /tmp/before a4819ee
    python benchmarks/before_after.py --before=/tmp/before --out=runs/before_after

Runs the same commands in both checkouts, by this Python: a rendered scene anonymised by each
method's weights (compared by the pixels that are decoded), 20 training steps of every config
(by the digest that a checkpoint holds of its state); every run of the first checkout is gone on
with in the second, to step 40 if its schedule allows; and four methods are evaluated, quickly (by
the report, but for digests and alphas of methods). A case whose outcome is in --out is
not run again, so that the same command goes on; delete OUT/after to run the second half anew.
Leaves OUT/table.md. It stays until the next release.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
from absl import app, flags
from tqdm import tqdm

_BEFORE = flags.DEFINE_string("before", None, "The other checkout.", required=True)
_AFTER = flags.DEFINE_string("after", str(Path(__file__).parents[1]), "This one.")
_OUT = flags.DEFINE_string("out", "runs/before_after", "Folder of outcomes.")
_DATA = flags.DEFINE_string("data_dir", "data", "Where synthetic_walkers/rgb and /demo are built.")
_ONLY = flags.DEFINE_string("only", "", "Cases whose names hold this.")
_SIDES = flags.DEFINE_list("sides", ["before", "after"], "Which to run.")

_SHORT = {"steps": 20, "save_every": 20, "evaluate_every": 20, "log_every": 10, "picture_every": 20}
_WALKS = {"data.views": (0, 90), "data.walks": ("nm-01",)}
_SEEN = {"validation_subjects": (77, 77)}
_FEW = _SHORT | {"data.walks": 40, "data.validation_walks": 2}
# Name -> (config file before, config file after, settings).
TRAINING = {
    "noise": ("noise.py", None, _SHORT | _WALKS | _SEEN),
    "noise:demo": ("noise.py:demo", None, _SHORT | _WALKS | _SEEN),
    "noise:paper": ("noise.py:paper", None, _SHORT | _WALKS | _SEEN),
    "stgan": ("stgan.py", None, _SHORT | _WALKS | _SEEN | {"data.last_subject": 64}),
    "stgan:static": ("stgan.py:static", None, _SHORT | _WALKS | _SEEN),
    "stgan:demo": ("stgan.py:demo", None, _SHORT | _WALKS | _SEEN),
    "stgan:paper": ("stgan_paper.py", "stgan.py:paper", _SHORT | _WALKS | _SEEN),
    "stgan:gaussian": ("stgan_no_noise_gan.py", "stgan.py:gaussian", _SHORT | _WALKS | _SEEN),
    "wifs": ("wifs.py", None, {k: v for k, v in _SHORT.items() if k != "evaluate_every"} | _WALKS),
    "wifs:resampled": ("wifs.py:resampled", None,
                       {k: v for k, v in _SHORT.items() if k != "evaluate_every"} | _WALKS),
    "retarget": ("retarget.py", None, _FEW),
    "retarget:demo": ("retarget.py:demo", None, _FEW | {"seed": 1}),
    "silhouette": ("silhouette.py", None, _FEW),
    "color": ("color.py", None, _SHORT | _SEEN | {"data.last_subject": 53}),
    "color:baseline": ("color.py:baseline", None, _SHORT | _SEEN | {"data.last_subject": 53}),
}  # fmt: skip
# Whose learning rates do not depend on the number of steps; the others are at their end.
RESUMED = ("noise:demo", "stgan:static", "stgan:paper", "stgan:gaussian", "wifs")
# Name -> (flags before, flags after).
VIDEOS = {
    "retarget": ([], None),
    "retarget, alpha 0.7": (["--strength=mild"], ["--alpha=0.7"]),
    "retarget, in step": (["--in_step"], None),
    "stgan": (["--checkpoint=stgan"], None),
    "stgan, mild": (["--checkpoint=stgan", "--strength=mild"], ["--checkpoint=stgan_mild"]),
    "stgan, strong": (["--checkpoint=stgan", "--strength=strong"], ["--checkpoint=stgan_strong"]),
    "silhouette": (["--silhouette=dcgan"], ["--checkpoint=silhouette"]),
    "color transfer": (["--color=transfer"], None),
    "silhouettes only": (["--silhouettes_only"], None),
}


def _run(tree: Path, command: list[str], log: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree), "TQDM_DISABLE": "1"}
    with open(log, "w") as file:
        code = subprocess.run(
            [sys.executable, *command], cwd=tree, env=environment, stdout=file, stderr=file
        ).returncode
    if code not in (0, 3):
        raise SystemExit(f"error: {' '.join(command)}: exit code {code}, see {log}")


def _trained(tree: Path, config: str, settings: dict, folder: Path) -> str:
    work, noise = folder / "run", folder.parent / "train noise:paper" / "run"
    given = [f"--config.{name}={value}" for name, value in settings.items()]
    if config.startswith(("stgan_paper", "stgan.py:paper")):
        given.append(f"--config.noise_checkpoint={noise}")
    if config.startswith("color"):
        given.append(f"--config.data.data_dir={Path(_DATA.value).absolute()}")
    command = ["launch/train.py", f"--config=configs/{config}", f"--workdir={work}", *given]
    _run(tree, command, folder / "log.txt")
    step = settings["steps"]
    meta = json.loads((work / "checkpoints" / str(step) / "meta" / "metadata").read_text())
    return meta["digest"]


def _resumed(tree: Path, name: str, config: str, settings: dict, folder: Path) -> str:
    """Goes on with what the first checkout has trained; a run at its end must say so."""
    trained = folder.parents[1] / "before" / f"train {name}" / "run"
    shutil.copytree(trained, folder / "run", dirs_exist_ok=True)
    if name in RESUMED:
        settings = settings | {"steps": 40}
    digest = _trained(tree, config, settings, folder)
    if name not in RESUMED and "trained to its end" not in (folder / "log.txt").read_text():
        raise SystemExit(f"error: {name}: was not taken for the run that it is, see {folder}")
    return digest


def _anonymized(tree: Path, given: list[str], scene: Path, folder: Path) -> str:
    video = folder / "out.mp4"
    options = f"--output={video}", "--seed=5", "--overwrite", "--crf=0"
    _run(tree, ["launch/anonymize.py", str(scene), *options, *given], folder / "log.txt")
    digest = hashlib.sha256()
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def _evaluated(tree: Path, folder: Path) -> str:
    out, cache = folder / "report", folder / "cache"
    command = [
        "launch/evaluate.py",
        "--checkpoint=stgan,retarget,silhouette",
        "--linear_mix=noise",
        "--dataset=synthetic_walkers/demo",
        f"--data_dir={Path(_DATA.value).absolute()}",
        *("--quick", "--recognizers=gei", "--views=54"),
        *(f"--out={out}", f"--cache={cache}"),
    ]
    _run(tree, command, folder / "log.txt")
    report = json.loads((out / "report.json").read_text())
    for method in report["methods"]:
        del method["digest"], method["alpha"]
    return hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()


def main(_):
    out = Path(_OUT.value).absolute()
    out.mkdir(parents=True, exist_ok=True)
    trees = {"before": Path(_BEFORE.value).absolute(), "after": Path(_AFTER.value).absolute()}
    scene = out / "scene.mp4"
    if not scene.exists():
        command = ["launch/render.py", f"--output={scene}", "--seed=6", "--people=3", "--frames=90"]
        _run(trees["before"], command, out / "scene.txt")
    cases: list[tuple[str, str, Any]] = [("video", *case) for case in VIDEOS.items()]
    cases += [("train", *case) for case in TRAINING.items()]
    cases += [("resume", *case) for case in TRAINING.items()]
    cases.append(("evaluate", "quick", (None, None)))
    cases = [case for case in cases if _ONLY.value in f"{case[0]} {case[1]}"]
    rows = []
    for kind, name, (first, second, *rest) in tqdm(cases, unit="case"):
        digests = {}
        for side, tree in trees.items():
            folder = out / side / f"{kind} {name}"
            result = folder / "digest.txt"
            given = first if side == "before" or second is None else second
            if not result.exists() and side in _SIDES.value:
                folder.mkdir(parents=True, exist_ok=True)
                if kind == "video":
                    if side == "after":  # which has networks that find who stands, too
                        given = [*given, "--people=difference"]
                    digest = _anonymized(tree, given, scene, folder)
                elif kind == "evaluate":
                    digest = _evaluated(tree, folder)
                elif kind == "train":
                    digest = _trained(tree, given, rest[0], folder)
                else:
                    digest = _resumed(tree, name, given, rest[0], folder)
                result.write_text(digest)
            digests[side] = result.read_text() if result.exists() else None
        same = None if None in digests.values() else digests["before"] == digests["after"]
        rows.append(
            (kind, name, {True: "same bits", False: "**different**", None: "not run"}[same])
        )
    table = ["| what | case | before and after |", "| --- | --- | --- |"]
    table += [f"| {kind} | {name} | {same} |" for kind, name, same in rows]
    (out / "table.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))
    sys.exit(any(same == "**different**" for *_, same in rows))


if __name__ == "__main__":
    app.run(main)
