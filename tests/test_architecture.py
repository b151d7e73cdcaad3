"""Which module may import which: read with ast, nothing is run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stgan_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rank of each module: it may import lower ranks only.
RANKS = [
    {"errors"},
    {"contour", "losses", "color_losses", "files", "checked", "arrays", "slices"},
    {"fields", "gait", "training_data"},
    {"models", "state", "evaluation", "video", "metrics"},
    {"steps", "parallel"},
    {"retargeting", "coloring", "run_settings"},
    {"color_settings"},
    {"settings", "data"},
    {"checkpoint", "experiment"},
    {"weights"},
    {"retarget", "recolor"},
    {"dcgan"},
    {"color_examples", "anonymizer"},
    {"color_experiments"},
    {"experiments"},
    {"train", "methods", "footage"},
    {"material"},
    {"evaluate"},
    {"sweep", "demo", "study"},
]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """The part of the package that a module belongs to: models, of stgan_jax.models.noise."""
    parts = name.split(".")
    return parts[1] if parts[0] == "stgan_jax" and len(parts) > 1 else None


def rank(name):
    return next(i for i, rooms in enumerate(RANKS) if name in rooms)


def of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    here = of(path)
    if here == "__init__":
        return
    for name in imported(path):
        other = room(name)
        if (
            other
            and other != here
            and (PACKAGE / other).with_suffix(".py").exists() | (PACKAGE / other).is_dir()
        ):
            assert rank(other) < rank(here), f"{here} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_tensorflow_is_imported_in_data_alone(path):
    heavy = {"tensorflow", "tensorflow_datasets"}
    if of(path) != "data":
        assert not heavy & {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_flags_and_configs_stay_in_launch_and_configs(path):
    names = set(imported(path))
    if of(path) != "errors":  # which words what absl's parser rejects
        assert "absl.flags" not in names
    assert not any(name.startswith("ml_collections") for name in names)


def test_launchers_are_short():
    for path in (PACKAGE.parent / "launch").glob("*.py"):
        assert len(path.read_text().splitlines()) < 60, path.name
