"""ST-GAN and the WIFS baseline over alpha, against every attacker: trains, measures and draws.

    python benchmarks/experiments/stgan/run.py --data_dir=data --out=runs/experiment
    python benchmarks/experiments/stgan/run.py --data_dir=data --out=runs/experiment --ablation \
        --attacks=ignorant --recognizers=gei,zheng --views=0,54,90

Wants `launch/build_data.py --dataset=synthetic_walkers/full`. Whatever stops it, the same command
goes on: trainings, recognisers and figures are kept in --out. Without --attacks and --recognizers
all of it, which takes days on 2 cores; README.md says what was run. --ablation compares short
trainings instead, each with one setting changed.
"""

import dataclasses
import json
import os
import runpy
from pathlib import Path

import drawing
from absl import app, flags

from stgan_jax import checkpoint, methods, settings
from stgan_jax.errors import numbers, one_sentence, parse_flags

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "What is measured on.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_OUT = flags.DEFINE_string("out", "runs/experiment", "Folder of everything.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of trainings, noise and recognisers.")
_ALPHAS = flags.DEFINE_list("alphas", [*(f"0.{i}" for i in range(1, 9)), "0.95"], "Of ST-GAN.")
# 0.09 to 0.75 of the noise gait.
_WIFS = flags.DEFINE_list("wifs_alphas", ["0.1", "0.3", "1", "3"], "Of WIFS; empty for none.")
_WIFS_STEPS = flags.DEFINE_integer("wifs_steps", 1240, "Of WIFS; 12400 in the paper, no better.")
_CODECS = flags.DEFINE_list("wifs_codecs", ["resampled", "padded"], "Of WIFS.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", [], "Which; all four by default.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Which; all three by default.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Processes that share the evaluation.")
_SHARE = flags.DEFINE_string("share", "", "2/3: takes a third of the figures, and no more.")
_ABLATION = flags.DEFINE_bool("ablation", False, "Single changes instead of alphas.")
_NOISE = flags.DEFINE_string("noise", "noise", "Of noise.py, for the ablation: weights, training.")
_WALKS = flags.DEFINE_integer("natural_walks", 40, "A view, that naturalness is taken of.")
_RECOVERY = flags.DEFINE_integer("recovery_walks", 50, "A view, that are computed back; 0: none.")
_CONFIGS = Path(__file__).parents[3] / "configs"

_CHANGES: dict[str, dict] = {
    "as configured": {},
    "noise=gan": {"noise": "gan", "noise_checkpoint": _NOISE},
    **{
        f"noise=gan alpha={a:g}": {"noise": "gan", "noise_checkpoint": _NOISE, "alpha": a}
        for a in (0.2, 0.4, 0.6)
    },
    "balance=printed": {"balance": "printed"},
    "distance=l1": {"distance": "l1"},
    "saturating": {"saturating": True},
    "adversarial_weight=0": {"adversarial_weight": 0.0},
    "adversarial_weight=1": {"adversarial_weight": 1.0},
    "share_encoder": {"share_encoder": True},
    "kernel=9": {"kernel": 9},
    "closed=False": {"closed": False},
}
_ROWS = flags.DEFINE_multi_enum("row", [*_CHANGES], [*_CHANGES], "One of the ablation; again.")


def _config(name: str, *arguments: str) -> settings.Settings:
    return settings.from_config(runpy.run_path(str(_CONFIGS / name))["get_config"](*arguments))


def _trained(seed: int) -> list[methods.Method]:
    """All trainings with a seed, made where they are not there."""
    from stgan_jax import sweep

    out, made = Path(_OUT.value), []
    runs = [("stgan", _config("stgan.py"), _ALPHAS.value)]
    for codec in _CODECS.value if _WIFS.value else []:
        config = dataclasses.replace(_config("wifs.py", codec), steps=_WIFS_STEPS.value)
        runs.append((f"wifs {codec}", config, _WIFS.value))
    for name, config, alphas in runs:
        folder = out / name.replace(" ", "_") / f"seed={seed}"
        sweep.sweep(config, [float(a) for a in alphas], [seed], folder)
        for alpha in alphas:
            method = methods.trained(folder / f"alpha={float(alpha):g},seed={seed}")
            made.append(dataclasses.replace(method, name=f"{name} {float(alpha):g}"))
    return made


def _ablated(seed: int, views: tuple[int, ...]) -> list[methods.Method]:
    """Short trainings on these views, alike but for what their names say."""
    from stgan_jax import train

    base = _config("stgan.py")
    assert isinstance(base, settings.StganSettings)
    base = dataclasses.replace(
        base, seed=seed, steps=400, batch_size=4, gen_learning_rate=0.01,
        schedule="cosine", save_every=400, evaluate_every=400, picture_every=400,
    )  # fmt: skip
    if views:
        base = dataclasses.replace(base, data=dataclasses.replace(base.data, views=views))
    made = []
    for name in _ROWS.value:
        change = _CHANGES[name]
        change = {k: _NOISE.value if v is _NOISE else v for k, v in change.items()}
        folder = Path(_OUT.value) / f"ablation-seed={seed}" / name.replace(" ", "_")
        if checkpoint.latest_step(folder) != base.steps:
            train.train(dataclasses.replace(base, **change), folder)
        made.append(dataclasses.replace(methods.trained(folder), name=name))
    return made


def main(_):
    with one_sentence():
        from stgan_jax import evaluate
        from stgan_jax.evaluation import report
        from stgan_jax.material import Walks

        out = Path(_OUT.value)
        out.mkdir(parents=True, exist_ok=True)
        views = tuple(int(view) for view in numbers("--views", _VIEWS.value))
        walks = Walks.of_dataset(_DATASET.value, _DATA_DIR.value, views or None)
        for seed in map(int, _SEEDS.value):
            chosen = evaluate.options(
                recognizers=_RECOGNIZERS.value, attacks=_ATTACKS.value, seed=seed
            )
            chosen = dataclasses.replace(
                chosen, natural_walks=_WALKS.value, recovery_walks=_RECOVERY.value
            )
            made = _ablated(seed, views) if _ABLATION.value else _trained(seed)
            made = made[evaluate.in_shares(_JOBS.value, _SHARE.value)]
            told, pictures = evaluate.evaluate(made, walks, chosen, out / "kept", _DATASET.value)
            if _SHARE.value:
                continue
            folder = out / f"{'ablation-' * _ABLATION.value}report-seed={seed}"
            report.write(folder, told, pictures)
            told = json.loads((folder / "report.json").read_text())
            drawing.table(told, folder / "table.csv")
            if not _ABLATION.value:
                for measure in drawing.NATURAL:
                    drawing.curves(told, folder / f"curves-{measure}.png", measure)
            print(f"{folder}{os.sep}report.html, table.csv")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
