"""ST-GAN and the WIFS baseline over alpha, against every attacker: trains, measures and draws.

    python benchmarks/experiments/stgan/run.py --data_dir=data --out=runs/experiment
    python benchmarks/experiments/stgan/run.py --data_dir=data --out=runs/experiment --ablation \
        --attacks=ignorant --recognizers=gei,zheng --views=0,54,90

Wants `launch/build_data.py --dataset=synthetic_walkers/full`. A stopped run goes on by the same
command: trainings, recognisers and figures are kept in --out. Without --attacks and --recognizers
it does all, which takes days on 2 cores; README.md says what was run. --ablation compares short
trainings instead, each with one setting changed.
"""

import dataclasses
import json
import os
import runpy
from pathlib import Path

import drawing
from absl import app, flags

from stgan_jax.methods import catalog
from stgan_jax.methods.stgan.settings import StganSettings
from stgan_jax.training import checkpoint
from stgan_jax.training.settings import RunSettings
from stgan_jax.util.errors import numbers, one_sentence, parse_flags

_DATASET = flags.DEFINE_string("dataset", "synthetic_walkers/full", "What is measured on.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of built datasets.")
_OUT = flags.DEFINE_string("out", "runs/experiment", "Folder of everything.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of trainings, noise and recognisers.")
_ALPHAS = flags.DEFINE_list("alphas", [*(f"0.{i}" for i in range(1, 9)), "0.95"], "Of ST-GAN.")
# 0.09 to 0.75 of the noise gait.
_WIFS = flags.DEFINE_list("wifs_alphas", ["0.1", "0.3", "1", "3"], "Of WIFS; empty for none.")
_WIFS_STEPS = flags.DEFINE_integer("wifs_steps", 1240, "Of WIFS; 12400 in the paper, no better.")
_CODECS = flags.DEFINE_list("wifs_codecs", ["resampled", "padded"], "Of WIFS.")
_RECOGNIZERS = flags.DEFINE_list("recognizers", [], "Which; all by default.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Which; all three by default.")
_VIEWS = flags.DEFINE_list("views", [], "Degrees; all by default.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Processes that share the evaluation.")
_ABLATION = flags.DEFINE_bool("ablation", False, "Single changes instead of alphas.")
_NOISE = flags.DEFINE_string("noise", "noise", "Of noise.py, for the ablation: weights, training.")
_WALKS = flags.DEFINE_integer("natural_walks", 40, "A view, for naturalness.")
_RECOVERY = flags.DEFINE_integer("recovery_walks", 50, "A view, for the recovery attack; 0: none.")
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


def _settings(name: str, *arguments: str) -> RunSettings:
    """The settings of a config file."""
    get_config = runpy.run_path(str(_CONFIGS / name))["get_config"]
    return catalog.settings_of_config(get_config(*arguments))


def _trained(seed: int) -> dict[str, Path]:
    """The folders of all models of a seed, by name; those that are not in --out are trained."""
    from stgan_jax.training import sweep

    out, models = Path(_OUT.value), {}
    runs = [("stgan", _settings("stgan.py"), _ALPHAS.value)]
    for codec in _CODECS.value if _WIFS.value else []:
        settings = dataclasses.replace(_settings("wifs.py", codec), steps=_WIFS_STEPS.value)
        runs.append((f"wifs {codec}", settings, _WIFS.value))
    for name, settings, texts in runs:
        alphas = [float(text) for text in texts]
        folder = out / name.replace(" ", "_") / f"seed={seed}"
        sweep.sweep(settings, catalog.prepare, {"alpha": alphas}, [seed], folder)
        for alpha in alphas:
            models[f"{name} {alpha:g}"] = folder / f"alpha={alpha:g},seed={seed}"
    return models


def _ablated(seed: int, views: tuple[int, ...]) -> dict[str, Path]:
    """Short trainings on these views, alike but for what their names say."""
    from stgan_jax.training import loop

    base = _settings("stgan.py")
    assert isinstance(base, StganSettings)
    data = dataclasses.replace(base.data, views=views or base.data.views)
    base = dataclasses.replace(
        base,
        data=data,
        seed=seed,
        steps=400,
        batch_size=4,
        gen_learning_rate=0.01,
        schedule="cosine",
        save_every=400,
        evaluate_every=400,
        picture_every=400,
    )
    models = {}
    for name in _ROWS.value:
        change = _CHANGES[name]
        change = {k: _NOISE.value if v is _NOISE else v for k, v in change.items()}
        folder = Path(_OUT.value) / f"ablation-seed={seed}" / name.replace(" ", "_")
        if checkpoint.latest_step(folder) != base.steps:
            loop.train(dataclasses.replace(base, **change), catalog.prepare, folder)
        models[name] = folder
    return models


def main(_):
    with one_sentence():
        from stgan_jax.evaluation import cells, report, run

        out = Path(_OUT.value)
        out.mkdir(parents=True, exist_ok=True)
        views = tuple(numbers("--views", _VIEWS.value))
        for seed in map(int, _SEEDS.value):
            settings = dataclasses.replace(
                run.settings(recognizers=_RECOGNIZERS.value, attacks=_ATTACKS.value, seed=seed),
                natural_walks=_WALKS.value,
                recovery_walks=_RECOVERY.value,
            )
            models = _ablated(seed, views) if _ABLATION.value else _trained(seed)
            load = cells.Compared(
                _DATASET.value,
                _DATA_DIR.value,
                views,
                checkpoints=[str(folder) for folder in models.values()],
                names=list(models),
            )
            kept = out / "kept"
            many = _JOBS.value > 1
            loaded = cells.fill(load, settings, kept, _JOBS.value) if many else load()
            methods, walks, instruments = loaded
            known = kept, walks.dataset, instruments
            result, pictures = run.evaluate(methods, walks, settings, *known)
            folder = out / f"{'ablation-' * _ABLATION.value}report-seed={seed}"
            report.write(folder, result, pictures)
            written = json.loads((folder / "report.json").read_text())
            drawing.table(written, folder / "table.csv")
            if not _ABLATION.value:
                for measure in drawing.NATURAL:
                    drawing.curves(written, folder / f"curves-{measure}.png", measure)
            print(f"{folder}{os.sep}report.html, table.csv")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
